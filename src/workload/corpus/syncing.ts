import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../dma/transfer.js';
import type { Mistake } from './corpus.js';

/** Buffers that are synced in another way than they are mapped. */
export const syncing: Readonly<Record<string, Mistake>> = {
  'sync-after-unmap': {
    title: 'a buffer is synced after it was unmapped',
    harm: "With bounce buffers the slot is another mapping's by then: its bytes land in this buffer.",
    kernel: ['SYNC_UNKNOWN at sync'],
    ours: [],
    run(lab) {
      const { device } = lab;
      const address = lab.map(lab.page(), 0, PAGE, DMA_FROM_DEVICE);
      lab.at('unmap');
      device.unmapPage(address, PAGE, DMA_FROM_DEVICE);
      lab.at('sync');
      device.syncForCpu(address, PAGE, DMA_FROM_DEVICE);
    },
  },
  'sync-too-long': {
    title: 'the length of the frame is synced, not that of the buffer',
    harm: 'What lies behind the buffer is written back or thrown away from the caches.',
    kernel: ['SYNC_UNKNOWN at sync'],
    ours: [],
    run(lab) {
      const { device } = lab;
      const address = lab.map(lab.page(), 0, 2048, DMA_FROM_DEVICE);
      lab.at('sync');
      device.syncForCpu(address, 2049, DMA_FROM_DEVICE);
      lab.at('unmap');
      device.unmapPage(address, 2048, DMA_FROM_DEVICE);
    },
  },
  'sync-wrong-direction': {
    title: 'a buffer that the device reads is synced as one that it writes',
    harm: 'The CPU throws its cached bytes away before they reached memory.',
    kernel: ['SYNC_DIR at sync', 'SYNC_RO_FOR_CPU at sync'],
    ours: [],
    run(lab) {
      const { device } = lab;
      const address = lab.map(lab.page(), 0, PAGE, DMA_TO_DEVICE);
      lab.at('sync');
      device.syncForCpu(address, PAGE, DMA_FROM_DEVICE);
      lab.at('unmap');
      device.unmapPage(address, PAGE, DMA_TO_DEVICE);
    },
  },
  'sync-to-a-writer': {
    title: 'a receive buffer is handed back to the device as one to read',
    harm: 'With bounce buffers old bytes are copied over what the device has just written.',
    kernel: ['SYNC_DIR at sync', 'SYNC_WO_FOR_DEV at sync'],
    ours: [],
    run(lab) {
      const { device } = lab;
      const address = lab.map(lab.page(), 0, PAGE, DMA_FROM_DEVICE);
      lab.at('sync');
      device.syncForDevice(address, PAGE, DMA_TO_DEVICE);
      lab.at('unmap');
      device.unmapPage(address, PAGE, DMA_FROM_DEVICE);
    },
  },
  'sync-sg-returned-count': {
    title: 'a list is synced with the count that dma_map_sg returned',
    harm: 'Entries past that count are not handed over.',
    kernel: ['SYNC_SGCOUNT at sync'],
    ours: [],
    run(lab) {
      const { device } = lab;
      const table = lab.scattered(4);
      lab.at('map');
      const nents = device.mapSg(table, DMA_FROM_DEVICE);
      lab.at('sync');
      device.syncSgForCpu(table, DMA_FROM_DEVICE, nents);
      lab.at('unmap');
      device.unmapSg(table, DMA_FROM_DEVICE);
    },
  },
};
