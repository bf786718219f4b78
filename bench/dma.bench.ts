import { DMA_BIDIRECTIONAL, DmaDevice, DmaDomain, Machine, ScatterTable } from 'gemdma';
import type { Suite, Task } from './frame.js';
import { NaiveDma } from './naive/dma.js';
import { orderOf, scattered } from './support.js';

const PAGES = 1024;
const LISTS = 16;
const SINGLES = 256;
const LIMIT = 'bare PTE loop, page';

const suite: Suite = {
  name: 'dma',
  title: 'the DMA API behind a strict IOMMU: lists of 1,024 scattered pages, single pages from JavaScript',
  variants: ['limits', 'lists off', 'lists on', 'singles off', 'singles on', 'naive off', 'naive on'],
  tasks(variant: string): Task[] {
    const [what, dmaDebug] = variant.split(' ') as [string, 'off' | 'on'];
    if (what === 'limits') return limits();
    return { lists, singles, naive }[what]!(dmaDebug);
  },
};

function device(dmaDebug: 'on' | 'off'): { machine: Machine; dev: DmaDevice } {
  const machine = new Machine({ ram: '512MiB', dmaDebug: dmaDebug === 'on' });
  const domain = new DmaDomain(machine);
  return { machine, dev: new DmaDevice(machine, { domain, maxSegment: 2 ** 31 }) };
}

function limits(): Task[] {
  const machine = new Machine({ ram: '64MiB' });
  const { blockAlloc } = machine.core.exports;
  const { limitCall, limitStorePtes } = machine.core.tools;
  const { vector } = scattered(machine, PAGES);
  const table = blockAlloc(machine.context, orderOf(PAGES * 8));
  return [
    { name: LIMIT, operations: PAGES * LISTS, run: () => limitStorePtes(table, vector, PAGES, LISTS) },
    {
      name: 'call from JS',
      operations: 4096,
      run() {
        for (let i = 0; i < 4096; ++i) limitCall(i);
      },
    },
  ];
}

function lists(dmaDebug: 'on' | 'off'): Task[] {
  const { machine, dev } = device(dmaDebug);
  const tables = Array.from({ length: LISTS }, (_, i) =>
    ScatterTable.fromPages(machine, scattered(machine, PAGES, i + 1).pfns),
  );
  const map = (): void => {
    for (const table of tables) dev.mapSg(table, DMA_BIDIRECTIONAL);
  };
  const unmap = (): void => {
    for (const table of tables) dev.unmapSg(table, DMA_BIDIRECTIONAL);
  };
  map();
  const operations = PAGES * LISTS;
  // With dma-debug a fifth more than what is to be reached without.
  const more = dmaDebug === 'on' ? 1.2 : 1;
  return [
    {
      name: `mapSg, dma-debug ${dmaDebug}, page`,
      operations,
      before: unmap,
      run: map,
      limit: LIMIT,
      peer: `naive map, dma-debug ${dmaDebug}, page`,
      reach: { of: LIMIT, ratio: 1 * more },
    },
    {
      name: `unmapSg, dma-debug ${dmaDebug}, page`,
      operations,
      before() {
        unmap();
        map();
      },
      run: unmap,
      limit: LIMIT,
      peer: `naive unmap, dma-debug ${dmaDebug}, page`,
      reach: { of: LIMIT, ratio: 0.7 * more },
    },
  ];
}

function singles(dmaDebug: 'on' | 'off'): Task[] {
  const { machine, dev } = device(dmaDebug);
  const pfns = machine.ram.alloc(SINGLES);
  return [
    {
      name: `map + unmap one page from JS, dma-debug ${dmaDebug}`,
      operations: SINGLES,
      limit: 'call from JS',
      peer: `naive map + unmap one page, dma-debug ${dmaDebug}`,
      reach: dmaDebug === 'off' ? { ns: 60 } : { of: 'map + unmap one page from JS, dma-debug off', ratio: 1.5 },
      run() {
        for (let i = 0; i < SINGLES; ++i) {
          const address = dev.mapPage(pfns[i], 0, 4096, DMA_BIDIRECTIONAL);
          dev.unmapPage(address, 4096, DMA_BIDIRECTIONAL);
        }
      },
    },
  ];
}

function naive(dmaDebug: 'on' | 'off'): Task[] {
  const machine = new Machine({ ram: '512MiB' });
  const dma = new NaiveDma(dmaDebug === 'on');
  const lists = Array.from({ length: LISTS }, (_, i) => scattered(machine, PAGES, i + 1).pfns);
  const at = new Array<number>(LISTS).fill(0);
  const map = (): void => {
    for (let i = 0; i < LISTS; ++i) at[i] = dma.mapSg(lists[i]);
  };
  const unmap = (): void => {
    for (let i = 0; i < LISTS; ++i) {
      if (at[i] !== 0) dma.unmap(at[i], PAGES);
      at[i] = 0;
    }
  };
  const operations = PAGES * LISTS;
  return [
    { name: `naive map, dma-debug ${dmaDebug}, page`, operations, before: unmap, run: map },
    {
      name: `naive unmap, dma-debug ${dmaDebug}, page`,
      operations,
      before() {
        unmap();
        map();
      },
      run: unmap,
    },
    {
      name: `naive map + unmap one page, dma-debug ${dmaDebug}`,
      operations: SINGLES,
      run() {
        for (let i = 0; i < SINGLES; ++i) dma.unmap(dma.mapPage(lists[0][i]), 1);
      },
    },
  ];
}

export default suite;
