import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { ScatterTable } from '../../dma/sg-table.js';
import { DMA_ATTR, DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../dma/transfer.js';
import type { Mistake } from './corpus.js';

/** Memory that must not be mapped, or not like that. */
export const mapping: Readonly<Record<string, Mistake>> = {
  'map-stack': {
    title: 'a buffer on the stack is mapped as a page',
    harm: 'The function returns, and the device writes into the frames of others.',
    kernel: ['MAP_STACK at map'],
    ours: [],
    run(lab) {
      const { device, machine } = lab;
      const stack = lab.page();
      machine.dmaDebug.places({ stack: { start: stack * PAGE, length: PAGE } });
      const address = lab.map(stack, 512, 64, DMA_FROM_DEVICE);
      device.unmapPage(address, 64, DMA_FROM_DEVICE);
    },
  },
  'map-vmalloc': {
    title: 'vmalloc memory is given to dma_map_single',
    harm: 'Its pages are no neighbours: refused since 4.20, before that the device reached pages of others.',
    kernel: ['REJECT_VMALLOC at map'],
    ours: [],
    run(lab) {
      lab.at('map');
      lab.device.mapSingle(lab.page() * PAGE, PAGE, DMA_TO_DEVICE, 0, true);
    },
  },
  'map-read-only-data': {
    title: 'a constant in read-only data is mapped for the device to read',
    harm: 'On x86-64 the check compares the wrong alias of the address: the kernel never sees it.',
    kernel: [],
    ours: ['MAP_TEXT at map'],
    run(lab) {
      const { device, machine } = lab;
      const text = lab.page();
      machine.dmaDebug.places({ text: { start: text * PAGE, length: PAGE } });
      const address = lab.map(text, 16, 64, DMA_TO_DEVICE);
      device.unmapPage(address, 64, DMA_TO_DEVICE);
    },
  },
  'segment-too-long': {
    title: 'a list has an entry longer than the device says it can take',
    harm: 'The length is cut off in the descriptor: the device transfers less than was asked for.',
    device: { maxSegment: PAGE },
    kernel: ['SEG_LEN at map'],
    ours: [],
    run(lab) {
      const { device, machine } = lab;
      const table = ScatterTable.fromEntries(machine, [{ pfn: lab.block(1), offset: 0, length: 2 * PAGE }]);
      lab.at('map');
      device.mapSg(table, DMA_TO_DEVICE);
      device.unmapSg(table, DMA_TO_DEVICE);
    },
  },
  'segment-over-boundary': {
    title: 'an entry crosses a boundary that the device cannot cross',
    harm: "The device's address counter wraps inside the segment, and it writes below it.",
    machine: { iommu: 'off', swiotlb: false },
    device: { segmentBoundaryBits: 16, maxSegment: 1024 * 1024 },
    kernel: ['SEG_BOUNDARY at map'],
    ours: [],
    run(lab) {
      const { device, machine } = lab;
      // A block of 32 pages is aligned to 128 KiB: the entry from its 15th page on crosses 64 KiB.
      const table = ScatterTable.fromEntries(machine, [{ pfn: lab.block(5) + 15, offset: 0, length: 2 * PAGE }]);
      lab.at('map');
      device.mapSg(table, DMA_TO_DEVICE);
      device.unmapSg(table, DMA_TO_DEVICE);
    },
  },
  'map-page-twice': {
    title: 'a page that the device writes is mapped a second time',
    harm: 'Two transfers into one buffer; with bounce buffers the second unmap overwrites what the first brought.',
    kernel: ['CACHELINE_OVERLAP at map again'],
    ours: [],
    run(lab) {
      const { device } = lab;
      const pfn = lab.page();
      lab.at('map');
      const first = device.mapPage(pfn, 0, PAGE, DMA_FROM_DEVICE);
      device.mappingError(first);
      lab.at('map again');
      const second = device.mapPage(pfn, 0, PAGE, DMA_FROM_DEVICE);
      device.mappingError(second);
      lab.at('unmap');
      device.unmapPage(second, PAGE, DMA_FROM_DEVICE);
      device.unmapPage(first, PAGE, DMA_FROM_DEVICE);
    },
  },
  'shared-cacheline': {
    title: 'two small buffers share a cacheline, and the device writes both',
    harm: 'Where caches are not coherent, handing one buffer back throws away what the device wrote into the other.',
    kernel: ['CACHELINE_OVERLAP at map status'],
    ours: [],
    run(lab) {
      const { device } = lab;
      const pfn = lab.page();
      lab.at('map command');
      const command = device.mapPage(pfn, 0, 32, DMA_FROM_DEVICE);
      device.mappingError(command);
      lab.at('map status');
      const status = device.mapPage(pfn, 32, 32, DMA_FROM_DEVICE);
      device.mappingError(status);
      lab.at('unmap');
      device.unmapPage(command, 32, DMA_FROM_DEVICE);
      device.unmapPage(status, 32, DMA_FROM_DEVICE);
    },
  },
  'map-sg-twice': {
    title: 'a list is mapped again before it is unmapped',
    harm: 'The list keeps only the new addresses: the first range of address space is lost for good.',
    kernel: ['CACHELINE_OVERLAP at map again', 'LEAK_ON_UNBIND at unbind'],
    ours: ['DOUBLE_MAP at map again', 'ADDRESS_OVERWRITTEN at map again'],
    run(lab) {
      const { device } = lab;
      const table = lab.scattered(8);
      lab.at('map', 1);
      device.mapSg(table, DMA_BIDIRECTIONAL);
      lab.at('map again', 1);
      device.mapSg(table, DMA_BIDIRECTIONAL);
      lab.at('unmap', 1);
      device.unmapSg(table, DMA_BIDIRECTIONAL);
      lab.unbind();
    },
  },
  'map-sg-twice-silenced': {
    title: 'the same, mapped with the attribute that silences the overlap report',
    harm: 'A GPU driver flushes caches itself and says so: the loss is reported only when its driver is unbound.',
    kernel: ['LEAK_ON_UNBIND at unbind'],
    ours: ['DOUBLE_MAP at map again', 'ADDRESS_OVERWRITTEN at map again'],
    run(lab) {
      const { device } = lab;
      const table = lab.scattered(8);
      lab.at('map', 1);
      device.mapSg(table, DMA_BIDIRECTIONAL, DMA_ATTR.SKIP_CPU_SYNC);
      lab.at('map again', 1);
      device.mapSg(table, DMA_BIDIRECTIONAL, DMA_ATTR.SKIP_CPU_SYNC);
      lab.at('unmap', 1);
      device.unmapSg(table, DMA_BIDIRECTIONAL, DMA_ATTR.SKIP_CPU_SYNC);
      lab.unbind();
    },
  },
};
