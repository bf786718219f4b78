import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { ScatterTable } from '../../dma/sg-table.js';
import { DMA_ATTR, DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../dma/transfer.js';
import { kernelWith } from '../../kernels/kernels.js';
import type { Mistake } from './corpus.js';

const OBJECT = 1;

/** Mappings that outlive their memory, or that end before their users. */
export const lifetime: Readonly<Record<string, Mistake>> = {
  'leak-on-error-path': {
    title: 'the second of two mappings fails, and the error path forgets the first',
    harm: 'Every failure loses a page of address space: trouble begins when memory is short and makes more of it.',
    kernel: ['LEAK_ON_UNBIND at unbind'],
    ours: ['OBJECT_GONE at drop request'],
    run(lab) {
      const { device, machine } = lab;
      lab.at('map header', OBJECT);
      const header = device.mapPage(lab.page(), 0, 64, DMA_TO_DEVICE);
      device.mappingError(header);
      lab.at('map payload', OBJECT);
      lab.failNextIova();
      const payload = device.mapPage(lab.page(), 0, PAGE, DMA_TO_DEVICE);
      lab.at('drop request');
      if (device.mappingError(payload)) machine.dmaDebug.objectGone(device, OBJECT);
      lab.unbind();
    },
  },
  'free-before-unmap': {
    title: 'the pages of a list are freed before the list is unmapped',
    harm: 'Whoever gets the pages next is written into by the device.',
    kernel: [],
    ours: ['FREED_WHILE_MAPPED at free'],
    run(lab) {
      const { device, machine } = lab;
      const pfns = machine.ram.alloc(16);
      const table = ScatterTable.fromPages(machine, pfns, { coalesce: false });
      lab.at('map', OBJECT);
      device.mapSg(table, DMA_BIDIRECTIONAL);
      lab.at('free');
      machine.ram.free(pfns);
      lab.at('unmap', OBJECT);
      device.unmapSg(table, DMA_BIDIRECTIONAL);
    },
  },
  'free-page-before-unmap': {
    title: 'a receive buffer is freed when the packet was dropped, its mapping is not ended',
    harm: 'The next packet is written into a page that has another owner.',
    kernel: ['LEAK_ON_UNBIND at unbind'],
    ours: ['FREED_WHILE_MAPPED at drop packet'],
    run(lab) {
      const { machine } = lab;
      const pfn = lab.page();
      lab.map(pfn, 128, 1536, DMA_FROM_DEVICE);
      lab.at('drop packet');
      machine.ram.free([pfn]);
      lab.unbind();
    },
  },
  'table-freed-while-mapped': {
    title: 'a table is freed with its pages while it is mapped',
    harm: 'The addresses are gone with the table: nothing can end the mapping any more.',
    kernel: ['LEAK_ON_UNBIND at unbind'],
    ours: ['FREED_WHILE_MAPPED at free table', 'OBJECT_GONE at free table'],
    run(lab) {
      const { device, machine } = lab;
      const table = ScatterTable.allocate(machine, 16);
      lab.at('map', OBJECT);
      device.mapSg(table, DMA_BIDIRECTIONAL, DMA_ATTR.SKIP_CPU_SYNC);
      lab.at('free table');
      table.release();
      lab.unbind();
    },
  },
  'unmap-under-the-gpu': {
    title: "a buffer is unmapped while a GPU's page table still points at it",
    harm: 'The GPU faults, or reaches whatever is mapped at that address next.',
    kernel: [],
    ours: ['STALE_PTE at unmap'],
    run(lab) {
      const { device, machine } = lab;
      const table = lab.scattered(4);
      lab.at('map', OBJECT);
      device.mapSg(table, DMA_BIDIRECTIONAL);
      lab.at('bind', OBJECT);
      machine.dmaDebug.binding(device, table.dmaAddress(0), 1);
      lab.at('unmap', OBJECT);
      device.unmapSg(table, DMA_BIDIRECTIONAL);
    },
  },
  'leak-until-the-checker-dies': {
    title: "a driver never unmaps, until the kernel's checker of 2015 is out of entries",
    harm: 'dma-debug switches itself off for good: the leak hides itself, and every later mistake of everybody.',
    machine: { kernel: kernelWith(({ dmaDebug }) => !dmaDebug.growing), dmaDebug: { allErrors: true, entries: 64 } },
    kernel: ['OOM_DISABLED at map'],
    ours: ['LEAK_ON_UNBIND at unbind'],
    run(lab) {
      const { device } = lab;
      lab.at('map');
      for (let i = 0; i < 100; ++i) device.mappingError(device.mapPage(lab.page(), 0, PAGE, DMA_TO_DEVICE));
      lab.unbind();
    },
  },
  'leak-on-unbind': {
    title: 'the receive ring is not unmapped when the driver goes',
    harm: 'Address space is lost at every reload of the module.',
    kernel: ['LEAK_ON_UNBIND at unbind'],
    ours: [],
    run(lab) {
      const { device } = lab;
      lab.at('open');
      for (let i = 0; i < 8; ++i) device.mappingError(device.mapPage(lab.page(), 0, 2048, DMA_FROM_DEVICE));
      lab.unbind();
    },
  },
};
