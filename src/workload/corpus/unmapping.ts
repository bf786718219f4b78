import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../dma/transfer.js';
import type { Mistake } from './corpus.js';

/** Mappings that are unmapped in another way than they were made. */
export const unmapping: Readonly<Record<string, Mistake>> = {
  'unmap-wrong-size': {
    title: 'two pages are mapped, one is unmapped',
    harm: 'The IOMMU loses only the first page; the device keeps reaching the second after it was freed.',
    kernel: ['UNMAP_SIZE at unmap'],
    ours: [],
    run(lab) {
      const { device } = lab;
      const address = lab.map(lab.block(1), 0, 2 * PAGE, DMA_TO_DEVICE);
      lab.at('unmap');
      device.unmapPage(address, PAGE, DMA_TO_DEVICE);
    },
  },
  'unmap-wrong-direction': {
    title: 'a buffer is mapped to the device and unmapped from it',
    harm: 'On machines whose caches are not coherent, or with a bounce buffer, stale bytes overwrite the buffer.',
    kernel: ['UNMAP_DIR at unmap'],
    ours: [],
    run(lab) {
      const { device } = lab;
      const address = lab.map(lab.page(), 0, PAGE, DMA_TO_DEVICE);
      lab.at('unmap');
      device.unmapPage(address, PAGE, DMA_FROM_DEVICE);
    },
  },
  'unmap-twice': {
    title: 'the completion and the error path both unmap',
    harm: 'The second unmap may end another mapping, made at that address in between.',
    kernel: ['UNMAP_UNKNOWN at error path'],
    ours: [],
    run(lab) {
      const { device } = lab;
      const address = lab.map(lab.page(), 0, PAGE, DMA_TO_DEVICE);
      lab.at('completion');
      device.unmapPage(address, PAGE, DMA_TO_DEVICE);
      lab.at('error path');
      device.unmapPage(address, PAGE, DMA_TO_DEVICE);
    },
  },
  'unmap-failed-mapping': {
    title: 'mapping fails unchecked, and the error value is unmapped',
    harm: 'The device was told to reach the last page of the address space.',
    kernel: ['UNMAP_INVALID at unmap'],
    ours: [],
    run(lab) {
      const { device } = lab;
      lab.at('map');
      lab.failNextIova();
      const address = device.mapPage(lab.page(), 0, PAGE, DMA_TO_DEVICE);
      lab.at('unmap');
      device.unmapPage(address, PAGE, DMA_TO_DEVICE);
    },
  },
  'mapping-error-unchecked': {
    title: 'a mapping is used without asking whether it was made',
    harm: 'It works until address space or bounce buffers run out, then the device writes where it must not.',
    kernel: ['UNMAP_UNCHECKED at unmap'],
    ours: [],
    run(lab) {
      const { device } = lab;
      lab.at('map');
      const address = device.mapPage(lab.page(), 0, PAGE, DMA_TO_DEVICE);
      lab.at('unmap');
      device.unmapPage(address, PAGE, DMA_TO_DEVICE);
    },
  },
  'unmap-other-device': {
    title: 'a buffer is mapped for one function of a card and unmapped for another',
    harm: 'The first keeps the mapping for good; the other may lose one of its own.',
    kernel: ['UNMAP_UNKNOWN at unmap', 'LEAK_ON_UNBIND at unbind'],
    ours: [],
    run(lab) {
      const { machine } = lab;
      const other = machine.addDevice({ driver: 'careless' });
      const address = lab.map(lab.page(), 0, PAGE, DMA_TO_DEVICE);
      lab.at('unmap');
      other.unmapPage(address, PAGE, DMA_TO_DEVICE);
      lab.unbind();
    },
  },
  'unmap-wrong-type': {
    title: 'the registers of another device are mapped as a resource and unmapped as a page',
    harm: 'Where pages bounce or are flushed from caches, that is done to registers.',
    kernel: ['UNMAP_TYPE at unmap'],
    ours: [],
    run(lab) {
      const { device } = lab;
      lab.at('map');
      const address = device.mapResource(0xfe900000, PAGE, DMA_BIDIRECTIONAL);
      device.mappingError(address);
      lab.at('unmap');
      device.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
    },
  },
  'unmap-sg-returned-count': {
    title: 'dma_unmap_sg is given the count that dma_map_sg returned',
    harm: 'Behind an IOMMU the count is smaller than the list: on some architectures the rest stays mapped.',
    kernel: ['UNMAP_SGCOUNT at unmap'],
    ours: ['UNMAP_MAPPED_COUNT at unmap'],
    run(lab) {
      const { device } = lab;
      const table = lab.scattered(4);
      lab.at('map');
      const nents = device.mapSg(table, DMA_TO_DEVICE);
      lab.at('unmap');
      device.unmapSg(table, DMA_TO_DEVICE, 0, nents);
    },
  },
  'unmap-sg-wrong-count': {
    title: 'a list of four entries is unmapped as three',
    harm: 'Without an IOMMU the last entry stays mapped, and bounced data is not copied back.',
    machine: { iommu: 'off', swiotlb: false },
    kernel: ['UNMAP_SGCOUNT at unmap', 'UNMAP_SGCOUNT at unmap', 'UNMAP_SGCOUNT at unmap', 'LEAK_ON_UNBIND at unbind'],
    ours: [],
    run(lab) {
      const table = lab.scattered(4);
      lab.at('map');
      lab.device.mapSg(table, DMA_TO_DEVICE);
      lab.at('unmap');
      lab.device.unmapSg(table, DMA_TO_DEVICE, 0, 3);
      lab.unbind();
    },
  },
  'unmap-sg-twice': {
    title: 'a list is unmapped twice',
    harm: 'The list still holds the old addresses; what is there by then has another owner.',
    kernel: [
      'UNMAP_UNKNOWN at unmap again',
      'UNMAP_INVALID at unmap again',
      'UNMAP_INVALID at unmap again',
      'UNMAP_INVALID at unmap again',
    ],
    ours: [],
    run(lab) {
      const { device } = lab;
      const table = lab.scattered(4);
      lab.at('map');
      device.mapSg(table, DMA_TO_DEVICE);
      lab.at('unmap');
      device.unmapSg(table, DMA_TO_DEVICE);
      lab.at('unmap again');
      device.unmapSg(table, DMA_TO_DEVICE);
    },
  },
  'coherent-wrong-size': {
    title: 'coherent memory is freed with the size of one descriptor instead of the ring',
    harm: 'The rest of the ring stays mapped while its pages go back to the system.',
    kernel: ['UNMAP_SIZE at free'],
    ours: ['FREED_WHILE_MAPPED at free'],
    run(lab) {
      const { device } = lab;
      lab.at('alloc');
      const ring = device.allocCoherent(4 * PAGE);
      lab.at('free');
      device.freeCoherent(ring, PAGE);
    },
  },
  'coherent-mixed-up': {
    title: 'of two rings, one is freed with the address of the other',
    harm: 'The pages of one are freed while the device still has them, the mapping of the other is gone.',
    kernel: ['UNMAP_CPUADDR at free'],
    ours: [],
    run(lab) {
      const { device } = lab;
      lab.at('alloc');
      const receive = device.allocCoherent(PAGE);
      const send = device.allocCoherent(PAGE);
      lab.at('free');
      device.freeCoherent(send, PAGE, receive.address);
    },
  },
};
