import { Machine } from 'gemdma';
import type { Suite, Task } from './frame.js';
import { orderOf } from './support.js';

const PAGES = 1024;

const suite: Suite = {
  name: 'ram',
  title: 'frames of emulated RAM, 1,024 at a time',
  variants: ['in order', 'scattered', 'naive'],
  tasks(variant: string): Task[] {
    return variant === 'naive' ? [naive()] : tasksOf(variant, variant === 'scattered' ? 1 : 0);
  },
};

/** A machine's allocator, with half of its RAM in use and given back, so that the stacks are as after some work. */
function tasksOf(name: string, fragmentation: number): Task[] {
  const machine = new Machine({ ram: { size: '1GiB', fragmentation } });
  const { blockAlloc, pagesAlloc, pagesFree } = machine.core.exports;
  const { context } = machine;
  machine.ram.free(machine.ram.alloc(131_072));
  const vector = blockAlloc(context, orderOf(PAGES * 4 * 64));
  const at = (i: number): number => vector + i * PAGES * 4;
  return [
    {
      name: `one object's life, ${name}, page`,
      operations: PAGES * 16,
      run() {
        for (let i = 0; i < 16; ++i) {
          pagesAlloc(context, PAGES, vector);
          pagesFree(context, PAGES, vector);
        }
      },
    },
    {
      name: `one object's life, ${name}, its first frame freed last, page`,
      operations: PAGES * 16,
      // Frames that come back in another arrangement than they left in: each one's state is written both ways.
      run() {
        for (let i = 0; i < 16; ++i) {
          pagesAlloc(context, PAGES, vector);
          pagesFree(context, PAGES - 1, vector + 4);
          pagesFree(context, 1, vector);
        }
      },
    },
    {
      name: `64 objects live, ${name}, page`,
      operations: PAGES * 64,
      peer: 'array of free pfns, page',
      // All are held before the first goes back: 64 objects of 4 MiB live at once.
      run() {
        for (let i = 0; i < 64; ++i) pagesAlloc(context, PAGES, at(i));
        for (let i = 0; i < 64; ++i) pagesFree(context, PAGES, at(i));
      },
    },
  ];
}

function naive(): Task {
  const free = Array.from({ length: 131_072 }, (_, i) => i);
  const held = Array.from({ length: 64 }, () => new Uint32Array(PAGES));
  return {
    name: 'array of free pfns, page',
    operations: PAGES * 64,
    run() {
      for (const pfns of held) for (let i = 0; i < PAGES; ++i) pfns[i] = free.pop()!;
      for (const pfns of held) for (let i = 0; i < PAGES; ++i) free.push(pfns[i]);
    },
  };
}

export default suite;
