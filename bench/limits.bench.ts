import { Machine } from 'gemdma';
import type { Suite, Task } from './frame.js';
import { FirstFitIova, FreeListIova } from './naive/iova.js';
import { NaivePageTable } from './naive/page-table.js';
import { scattered } from './support.js';

const PAGES = 1024;
const CALLS = 4096;

const suite: Suite = {
  name: 'limits',
  title: 'what the machine can do at all, and the naive peers alone',
  tasks(): Task[] {
    const machine = new Machine({ ram: '64MiB' });
    const { blockAlloc } = machine.core.exports;
    const { limitCall, limitFill, limitStorePtes } = machine.core.tools;
    const table = blockAlloc(machine.context, 1);
    const { vector, pfns } = scattered(machine, PAGES);
    const naive = new NaivePageTable();
    const fit = new FirstFitIova(1);
    const lists = new FreeListIova(0xfffff);
    for (let i = 0; i < 1000; ++i) fit.alloc(1 + (i % 8), 0xfffff, true);
    let sum = 0;
    return [
      { name: 'call from JS', operations: CALLS, run: () => void (sum = calls(limitCall, sum)) },
      { name: 'bare PTE loop, page', operations: PAGES * 16, run: () => limitStorePtes(table, vector, PAGES, 16) },
      { name: 'memory.fill of PTEs, page', operations: PAGES * 64, run: () => limitFill(table, PAGES, 64) },
      {
        name: 'naive page table map + unmap, page',
        operations: PAGES,
        run() {
          naive.map(4096, pfns, PAGES);
          naive.unmap(4096, PAGES);
        },
      },
      {
        name: 'naive first-fit alloc + free, 1,000 live',
        operations: 256,
        run() {
          for (let i = 0; i < 256; ++i) fit.free(fit.alloc(1, 0xfffff, true));
        },
      },
      {
        name: 'naive free-list alloc + free',
        operations: 1024,
        run() {
          for (let i = 0; i < 1024; ++i) lists.free(lists.alloc(1), 1);
        },
      },
    ];
  },
};

function calls(call: (value: number) => number, value: number): number {
  for (let i = 0; i < CALLS; ++i) value = call(value);
  return value;
}

export default suite;
