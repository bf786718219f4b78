import { describe, expect, test } from 'vitest';
import { GemDmaError } from '../../src/core/errors.js';
import type { ContextHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { IovaDomain } from '../../src/iova/iova-domain.js';
import { debug } from '../core/debug.js';
import { Linux42, Linux612 } from './model.js';

const MiB = 1024 * 1024;

function host(cpus = 2): { core: Core; context: ContextHandle } {
  const core = new Core(debug);
  return { core, context: made(core.exports.machineCreate(256 * MiB, cpus, 1024, 0, 1)) };
}

function random(seed: number): (n: number) => number {
  let x = seed;
  return (n) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % n;
  };
}

/** An allocation's pfn, or the reason why there was none. */
function attempt(action: () => number): number | string {
  try {
    return action();
  } catch (error) {
    if (!GemDmaError.is(error)) throw error;
    return error.reason!;
  }
}

// Shapes of histories: sizes, limits and how many ranges are to be live, so that the space is empty, full or in pieces.
const SHAPES = [
  { name: 'singles', size: () => 1, limits: [0xfffff], live: 900 },
  { name: 'mixed sizes', size: (r: (n: number) => number) => 1 + r(1 << r(11)), limits: [0xfffff], live: 500 },
  {
    name: 'many limits',
    size: (r: (n: number) => number) => 1 + r(200),
    limits: [0xfff, 0x7fff, 0xfffff, 2 ** 36 - 1],
    live: 400,
  },
  { name: 'small space', size: (r: (n: number) => number) => 1 + r(1 << r(8)), limits: [0x3ff, 0x7ff], live: 300 },
  {
    name: '64-bit',
    size: (r: (n: number) => number) => 1 + r(1 << r(14)),
    limits: [2 ** 40 - 1, 2 ** 52 - 1],
    live: 500,
  },
];

const MODELS = [
  { name: 'tree-6.12', make: (start: number) => new Linux612(start, 0x100000) },
  { name: 'tree-4.2', make: (start: number) => new Linux42(start, 0xfffff) },
] as const;

describe.each(MODELS)('$name against the plain model', ({ name, make }) => {
  test.each(SHAPES)('$name', ({ size, limits, live }) => {
    for (const seed of [1, 42, 20150708]) {
      const r = random(seed);
      const startPfn = [1, 1, 0x80][r(3)];
      using domain = new IovaDomain(host(), { allocator: name, startPfn });
      const model = make(startPfn);
      const pfns: number[] = [];
      const at = (step: number) => `seed ${seed} step ${step}`;
      for (let step = 0; step < 3000; ++step) {
        const kind = r(100);
        if (kind < (pfns.length < live ? 60 : 40)) {
          const [pages, limit, aligned] = [size(r), limits[r(limits.length)], r(4) > 0];
          const expected = model.alloc(pages, limit, aligned);
          const got = attempt(() => domain.alloc(pages, { limit, aligned }));
          expect(typeof got === 'number' ? got : 0, at(step)).toBe(expected);
          if (expected !== 0) pfns.push(expected);
        } else if (kind < 92 && pfns.length > 0) {
          const [pfn] = pfns.splice(r(pfns.length), 1);
          expect(domain.free(pfn), at(step)).toEqual(model.free(pfn));
        } else if (kind < 94) {
          const lo = 1 + r(Math.min(limits[0], 0xfffff));
          const hi = lo + r(64);
          expect(domain.reserve(lo, hi), at(step)).toEqual(model.reserve(lo, hi));
          if (r(2) === 0) pfns.push(hi);
        } else {
          const pfn = r(Math.min(limits[0], 0xfffff));
          expect(domain.find(pfn), at(step)).toEqual(model.find(pfn));
        }
        if (step % 100 === 0) expect(domain.check(), at(step)).toBe(0);
      }
      expect(domain.check(), at(-1)).toBe(0);
      expect([...domain.ranges()]).toEqual(model.ranges);
      const first = name === 'tree-4.2' ? startPfn + 1 : startPfn;
      for (const limit of [...limits, 0x123]) {
        const gaps = model.gaps(first, limit);
        expect(domain.stats(limit), at(-1)).toEqual({
          ranges: model.ranges.length,
          freePages: model.freePages(first, limit),
          cachedPages: 0,
          largestGap: Math.max(0, ...gaps),
        });
        const counts: number[] = [];
        for (const gap of gaps) counts[Math.floor(Math.log2(gap))] = (counts[Math.floor(Math.log2(gap))] ?? 0) + 1;
        expect(domain.histogram(limit), at(-1)).toEqual(Array.from(counts, (count) => count ?? 0));
      }
      for (const pfn of pfns) expect(domain.free(pfn), at(-1)).toEqual(model.free(pfn));
      expect(domain.check(), at(-1)).toBe(0);
    }
  });
});

describe('a big index', () => {
  test('fills and drains in every order with all summaries right', () => {
    for (const order of ['up', 'down', 'shuffled'] as const) {
      const r = random(7);
      using domain = new IovaDomain(host());
      const pfns = Array.from({ length: 6000 }, () => domain.alloc(1 + r(3), { aligned: false }));
      expect(domain.check()).toBe(0);
      if (order === 'up') pfns.reverse();
      if (order === 'shuffled') for (let i = pfns.length - 1; i > 0; --i) swap(pfns, i, r(i + 1));
      for (const [i, pfn] of pfns.entries()) {
        expect(domain.free(pfn)).toBeDefined();
        if (i % 500 === 0) expect(domain.check(), `${order} ${i}`).toBe(0);
      }
      expect(domain.stats()).toEqual({ ranges: 0, freePages: 0xfffff, cachedPages: 0, largestGap: 0xfffff });
    }
  });

  test('reserved from below, upwards', () => {
    using domain = new IovaDomain(host());
    for (let lo = 16; lo < 16 + 4 * 5000; lo += 4) domain.reserve(lo, lo + 1);
    expect(domain.check()).toBe(0);
    expect(domain.histogram(16 + 4 * 5000 - 1)).toEqual([0, 5000, 0, 1]);
    expect(domain.reserve(1, 0x8000)).toEqual({ lo: 16 + 4 * 5000 - 2, hi: 0x8000 });
    expect(domain.stats(0x8000).freePages).toBe(0);
    expect(domain.check()).toBe(0);
  });
});

function swap(array: number[], i: number, j: number): void {
  [array[i], array[j]] = [array[j], array[i]];
}

describe('caches and spans hand out disjoint ranges that the index knows', () => {
  test.each(['rcache', 'fast'] as const)('%s, on two CPUs', (allocator) => {
    for (const seed of [3, 99, 31337]) {
      const r = random(seed);
      const { core, context } = host();
      using domain = new IovaDomain({ core, context }, { allocator, cpus: 2 });
      const owner = new Map<number, number>();
      const live: [number, number][] = [];
      for (let step = 0; step < 8000; ++step) {
        core.exports.cpuSet(r(2));
        // Phases of growing and shrinking, so that magazines fill up and spans empty.
        if (r(10) < (step % 4000 < 2000 ? 7 : 3)) {
          const pages = 1 + r(1 << r(8));
          const pfn = domain.allocFast(pages);
          expect(pfn + pages - 1).toBeLessThanOrEqual(0xfffff);
          expect(pfn % 2 ** Math.ceil(Math.log2(pages)), `seed ${seed} step ${step}`).toBe(0);
          for (let page = pfn; page < pfn + pages; ++page) {
            expect(owner.has(page), `seed ${seed} step ${step}: page ${page.toString(16)} given twice`).toBe(false);
            owner.set(page, step);
          }
          live.push([pfn, pages]);
        } else if (live.length > 0) {
          const [[pfn, pages]] = live.splice(r(live.length), 1);
          for (let page = pfn; page < pfn + pages; ++page) owner.delete(page);
          domain.freeFast(pfn, pages);
        }
        if (step % 500 === 0) expect(domain.check(), `seed ${seed} step ${step}`).toBe(0);
      }
      for (const [pfn, pages] of live) domain.freeFast(pfn, pages);
      const { freePages, cachedPages } = domain.stats();
      expect(freePages + cachedPages, `seed ${seed}`).toBe(0xfffff);
      expect(domain.check()).toBe(0);
      expect(core.tools.machineCheck(context)).toBe(0);
    }
  });
});
