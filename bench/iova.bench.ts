import { type AllocatorName, IovaDomain, Machine } from 'gemdma';
import type { Suite, Task } from './frame.js';
import { FirstFitIova, FreeListIova } from './naive/iova.js';
import { random } from './support.js';

/** One call of `run` frees and allocates that many times by turns, or allocates that many in a row. */
const BATCH = 2000;
/** A limit that leaves room for a million ranges with gaps between them. */
const LIMIT = 2 ** 24 - 1;

const suite: Suite = {
  name: 'iova',
  title: 'the IOVA allocator by live ranges: free at random, allocate, by turns; called from JavaScript',
  tasks(): Task[] {
    return [
      ...growth('tree-6.12', [1000, 10_000, 100_000, 1_000_000]),
      ...growth('tree-4.2', [1000, 100_000]),
      ...growth('rcache', [1000, 100_000]),
      ...growth('fast', [1000, 10_000, 100_000, 1_000_000]),
      ...failures(),
      naiveFirstFit(1000),
      naiveFreeList(100_000),
    ];
  },
};

/** Frees at random and allocations by turns, with that many live. The array of pfns is walked in order, so that only the
 * allocator's own memory is reached at random. */
function growth(allocator: AllocatorName, counts: readonly number[]): Task[] {
  const first = `${allocator}, ${counts[0].toLocaleString('en')} live`;
  return counts.map((live, i) => {
    const { alloc, free } = calls(allocator);
    const pfns = shuffled(Float64Array.from({ length: live }, alloc));
    let at = 0;
    const task: Task = {
      name: `${allocator}, ${live.toLocaleString('en')} live`,
      operations: BATCH * 2,
      run() {
        for (let j = 0; j < BATCH; ++j) {
          free(pfns[at]);
          pfns[at] = alloc();
          if (++at === live) at = 0;
        }
      },
    };
    if (i > 0 && live <= 100_000) task.reach = { of: first, ratio: 2.5 };
    else if (i > 0) task.reach = { of: first, ratio: 5 };
    if (allocator === 'tree-6.12' && live === 1000) task.peer = 'naive first fit, 1,000 live';
    if (allocator === 'fast' && live === 100_000) task.peer = 'naive free lists, 100,000 live';
    return task;
  });
}

function shuffled(values: Float64Array): Float64Array {
  const next = random(values.length);
  for (let i = values.length - 1; i > 0; --i) {
    const j = next(i + 1);
    [values[i], values[j]] = [values[j], values[i]];
  }
  return values;
}

function calls(allocator: AllocatorName): { alloc: () => number; free: (pfn: number) => void } {
  const { core, domain } = make(allocator);
  const { iovaAllocate, iovaRelease, iovaAllocateFast, iovaReleaseFast } = core.exports;
  const { handle } = domain;
  return allocator === 'rcache' || allocator === 'fast'
    ? {
        alloc: () => iovaAllocateFast(handle, 1, LIMIT, true),
        free: (pfn) => iovaReleaseFast(handle, pfn, 1),
      }
    : { alloc: () => iovaAllocate(handle, 1, LIMIT, true), free: (pfn) => void iovaRelease(handle, pfn) };
}

function make(allocator: AllocatorName): { core: Machine['core']; domain: IovaDomain } {
  const machine = new Machine({ ram: '64MiB' });
  return { core: machine.core, domain: new IovaDomain(machine, { allocator }) };
}

/** Allocations that succeed and such that find no gap, in a space of 100,000 single pages with a hole between each. */
function failures(): Task[] {
  return (['tree-6.12', 'tree-4.2', 'fast'] as const).flatMap((allocator) => {
    const { core, domain } = make(allocator);
    const { iovaAllocate, iovaRelease } = core.exports;
    const { handle } = domain;
    // Above 4 GiB, where 6.12 does not fall back on max32_alloc_size.
    const low = 2 ** 20 - 1;
    const high = low + 200_000;
    domain.reserve(1, low);
    // Ranges of a size that the fast allocator takes from the index, too.
    const size = 64;
    const all: number[] = [];
    for (let pfn = 0; (pfn = iovaAllocate(handle, size, low + 200_000 * size, false)) !== 0; ) all.push(pfn);
    const holes = all.filter((pfn, i) => i % 2 === 0 && iovaRelease(handle, pfn));
    const taken = new Float64Array(BATCH);
    const limit = low + (high - low) * size;
    const succeeding = `${allocator}, succeeds`;
    return [
      {
        name: succeeding,
        operations: BATCH,
        run() {
          for (let i = 0; i < BATCH; ++i) taken[i] = iovaAllocate(handle, size, limit, false);
        },
        before() {
          for (const pfn of taken) if (pfn !== 0) iovaRelease(handle, pfn);
          taken.fill(0);
          if (holes.length < BATCH) throw new Error('too few holes');
        },
      },
      {
        name: `${allocator}, fails`,
        operations: BATCH,
        run() {
          for (let i = 0; i < BATCH; ++i) {
            if (iovaAllocate(handle, size + 1, limit, false) !== 0) throw new Error('a gap too many');
          }
        },
        reach: { of: succeeding, ratio: 2 },
      },
    ];
  });
}

function naiveFirstFit(live: number): Task {
  const peer = new FirstFitIova(1);
  const pfns = Array.from({ length: live }, () => peer.alloc(1, LIMIT, true));
  const next = random(live);
  return {
    name: `naive first fit, ${live.toLocaleString('en')} live`,
    operations: BATCH * 2,
    run() {
      for (let i = 0; i < BATCH; ++i) {
        const which = next(live);
        peer.free(pfns[which]);
        pfns[which] = peer.alloc(1, LIMIT, true);
      }
    },
  };
}

function naiveFreeList(live: number): Task {
  const peer = new FreeListIova(LIMIT);
  const pfns = Array.from({ length: live }, () => peer.alloc(1));
  const next = random(live);
  return {
    name: `naive free lists, ${live.toLocaleString('en')} live`,
    operations: BATCH * 2,
    run() {
      for (let i = 0; i < BATCH; ++i) {
        const which = next(live);
        peer.free(pfns[which], 1);
        pfns[which] = peer.alloc(1);
      }
    },
  };
}

export default suite;
