import { describe, expect, test } from 'vitest';
import { GemDmaError } from '../../src/core/errors.js';
import { FAULTS } from '../../src/core/faults.js';
import type { ContextHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import type { AllocatorName } from '../../src/iova/allocators.js';
import { IovaDomain, type IovaDomainOptions } from '../../src/iova/iova-domain.js';
import { debug } from '../core/debug.js';

const ALLOCATORS_TRIED: readonly AllocatorName[] = ['tree-4.2', 'tree-6.12', 'rcache', 'fast'];
const FAULT = { block: FAULTS.block, slab: FAULTS.slab, iova: FAULTS.iova } as const;

function host(cpus = 1): { core: Core; context: ContextHandle } {
  const core = new Core(debug);
  return { core, context: made(core.exports.machineCreate(2 ** 28, cpus, 1024, 0, 1)) };
}

function failure(action: () => unknown): GemDmaError {
  try {
    action();
  } catch (error) {
    if (GemDmaError.is(error)) return error;
    throw error;
  }
  throw new Error('did not fail');
}

/** Everything that can be asked about a domain. */
function snapshot(domain: IovaDomain): unknown {
  return { ranges: [...domain.ranges()], stats: domain.stats(), wide: domain.stats(2 ** 40), gaps: domain.histogram() };
}

describe('a domain by itself', () => {
  test('places ranges as one in a machine does', () => {
    using mine = IovaDomain.standalone({ allocator: 'rcache' });
    using other = new IovaDomain(host(), { allocator: 'rcache' });
    for (const domain of [mine, other]) {
      const pfns = [3, 1, 64, 1].map((size) => domain.alloc(size));
      domain.free(pfns[2]);
      domain.reserve(5, 9);
    }
    expect(snapshot(mine)).toEqual(snapshot(other));
    expect(mine.stats().ranges).toBe(4);
  });

  test('has a memory that ends', () => {
    using domain = IovaDomain.standalone({}, '4MiB');
    const error = failure(() => {
      for (;;) domain.alloc(1, { limit: 2 ** 40 });
    });
    expect([error.code, error.reason]).toEqual(['ENOMEM', 'IOVA_NO_MEMORY']);
    expect(() => IovaDomain.standalone({}, 1)).toThrow(RangeError);
    expect(() => IovaDomain.standalone({ models: 'fast' } as IovaDomainOptions)).toThrow(TypeError);
  });
});

describe('a failure says why', () => {
  test.each(ALLOCATORS_TRIED)('%s', (allocator) => {
    using domain = new IovaDomain(host(), { allocator });
    // A small space, all of it in ranges of 64 pages; 4.2 never hands out its start.
    domain.reserve(1, 63);
    const limit = 64 * 40 - 1;
    const pfns: number[] = [];
    for (let i = 1; i < 40; ++i) pfns.push(domain.alloc(64, { limit }));
    const full = failure(() => domain.alloc(64, { limit }));
    expect([full.code, full.errno, full.syscall, full.reason]).toEqual(['ENOSPC', -28, 'alloc_iova', 'IOVA_FULL']);
    expect(full.details).toMatchObject({ size: 64, limit, freePages: 0, largestGap: 0, ranges: 40 });
    expect(full.message).toContain('0x9ff');

    for (const pfn of pfns.filter((_, i) => i % 2 === 0)) domain.free(pfn);
    const split = failure(() => domain.alloc(65, { limit, aligned: false }));
    expect(split.reason).toBe('IOVA_FRAGMENTED');
    expect(split.details).toMatchObject({ freePages: 64 * 20, largestGap: 64 });

    expect(failure(() => domain.alloc(64 * 41, { limit })).reason).toBe('IOVA_LIMIT');
    expect(failure(() => domain.alloc(4, { limit: 4 })).reason, 'no aligned place, even when empty').toBe('IOVA_LIMIT');
    expect(domain.check()).toBe(0);
  });

  test('a gap that the kernel passes by is told from none at all', () => {
    using old = new IovaDomain(host(), { allocator: 'tree-4.2' });
    // Alignment leaves [c0000, ffffe] above the one node that 4.2 remembers, and it never looks there again.
    const places = [1, 0x40000, 0x40000, 0x20000, 0x10000].map((size) => old.alloc(size));
    expect(places).toEqual([0xfffff, 0x80000, 0x40000, 0x20000, 0x10000]);
    const hidden = failure(() => old.alloc(0x20000));
    expect(hidden.reason).toBe('IOVA_SKIPPED');
    expect(hidden.details).toMatchObject({ largestGap: 0x3ffff });

    using modern = new IovaDomain(host(), { allocator: 'tree-6.12' });
    const limit = 0xff;
    modern.reserve(1, 0x7f);
    expect(failure(() => modern.alloc(0x100, { limit })).reason).toBe('IOVA_LIMIT');
    // max32_alloc_size: what failed once, fails at once, whatever its limit is.
    expect(failure(() => modern.alloc(0x100)).reason).toBe('IOVA_SKIPPED');
    expect(modern.stats().largestGap).toBeGreaterThan(0x100);
  });

  test('asking changes nothing', () => {
    using domain = new IovaDomain(host());
    for (let i = 0; i < 100; ++i) domain.alloc(1 + (i % 5));
    const before = snapshot(domain);
    expect(snapshot(domain)).toEqual(before);
  });
});

describe('an allocation that cannot get memory leaves no trace', () => {
  // Each operation with every allocation in it made to fail in turn, at many fills, so that nodes must split.
  test.each(ALLOCATORS_TRIED)('%s', (allocator) => {
    const { core, context } = host();
    const { faultArm } = core.exports;
    const { faultCount } = core.tools;
    using domain = new IovaDomain({ core, context }, { allocator });
    let failed = 0;
    for (let step = 0; step < 800; ++step) {
      const act = step % 3 === 2 ? () => domain.reserve(step * 50, step * 50 + 3) : () => domain.alloc(33 + (step % 7));
      for (const kind of Object.values(FAULT)) {
        for (let nth = 1; nth < 10; ++nth) {
          const before = step % 50 === 0 ? snapshot(domain) : null;
          const count = faultCount(context, kind);
          faultArm(context, kind, nth);
          let error: GemDmaError | null = null;
          try {
            act();
          } catch (thrown) {
            error = thrown as GemDmaError;
          }
          faultArm(context, kind, 0);
          if (faultCount(context, kind) === count) break;
          ++failed;
          // The fast allocator does without a span when there is no memory for one.
          if (error === null) continue;
          expect(error.code).toBe('ENOMEM');
          expect(error.reason).toBe('IOVA_NO_MEMORY');
          if (before) expect(snapshot(domain)).toEqual(before);
        }
      }
    }
    expect(failed).toBeGreaterThan(800);
    expect(domain.check()).toBe(0);
    expect(core.tools.machineCheck(context)).toBe(0);
  });

  test.each(ALLOCATORS_TRIED)('%s: making a domain', (allocator) => {
    const { core, context } = host();
    const { faultArm } = core.exports;
    const { faultCount, machineRecords } = core.tools;
    // The first domain of a context makes the room's own records, too.
    const fresh = machineRecords(context);
    faultArm(context, FAULT.slab, 1);
    expect(
      GemDmaError.is(
        failure(() => new IovaDomain({ core, context }, { allocator })),
        'ENOMEM',
      ),
    ).toBe(true);
    expect(machineRecords(context)).toBe(fresh);
    new IovaDomain({ core, context }, { allocator }).destroy();
    const records = machineRecords(context);
    let failed = 0;
    for (const kind of Object.values(FAULT)) {
      for (let nth = 1; nth < 40; ++nth) {
        const count = faultCount(context, kind);
        faultArm(context, kind, nth);
        try {
          new IovaDomain({ core, context }, { allocator }).destroy();
        } catch (error) {
          expect(GemDmaError.is(error, 'ENOMEM')).toBe(true);
        }
        faultArm(context, kind, 0);
        if (faultCount(context, kind) === count) break;
        ++failed;
        expect(machineRecords(context)).toBe(records);
      }
    }
    expect(failed).toBeGreaterThan(0);
    expect(core.tools.machineCheck(context)).toBe(0);
  });
});

test('a destroyed domain gives back every record, whatever it held', () => {
  for (const allocator of ALLOCATORS_TRIED) {
    const { core, context } = host(2);
    const { cpuSet } = core.exports;
    const { blocksUsed, machineRecords } = core.tools;
    const use = (): void => {
      using domain = new IovaDomain({ core, context }, { allocator, cpus: 2 });
      const live: [number, number][] = [];
      for (let i = 0; i < 2000; ++i) live.push([domain.allocFast(1 + (i % 40), { limit: 2 ** 36 }), 1 + (i % 40)]);
      for (const [i, [pfn, size]] of live.entries()) {
        cpuSet(i % 2);
        if (i % 3 !== 0) domain.freeFast(pfn, size);
      }
    };
    use();
    const [records, blocks] = [machineRecords(context), blocksUsed(context)];
    use();
    expect([machineRecords(context), blocksUsed(context)], allocator).toEqual([records, blocks]);
    expect(core.tools.machineCheck(context)).toBe(0);
  }
});

test('depots are trimmed by the virtual clock, one magazine a class every 100 ms', () => {
  const { core, context } = host();
  using domain = new IovaDomain({ core, context }, { allocator: 'rcache' });
  const pfns = Array.from({ length: 127 * 8 }, () => domain.allocFast(4));
  for (const pfn of pfns) domain.freeFast(pfn, 4);
  const { clockAdvance } = core.exports;
  const { iovaDepot } = core.tools;
  const depot = () => iovaDepot(domain.handle, 2);
  const full = depot();
  expect(full).toBe(6);
  for (let expected = full - 1; expected >= 1; --expected) {
    clockAdvance(context, 99.9e6);
    expect(depot()).toBe(expected + 1);
    clockAdvance(context, 0.1e6);
    expect(depot()).toBe(expected);
  }
  clockAdvance(context, 1e9);
  expect(depot(), 'one for the CPU that is online stays').toBe(1);
  expect(domain.stats().cachedPages).toBe(127 * 3 * 4);
  expect(domain.check()).toBe(0);
});

describe('arguments that cannot be are refused before anything changes', () => {
  const bad: [string, IovaDomainOptions][] = [
    ['allocator', { allocator: 'linux-2.6' as AllocatorName }],
    ['granule', { granule: 5000 }],
    ['granule', { granule: 2048 }],
    ['startPfn', { startPfn: 0 }],
    ['cpus', { cpus: 65 }],
  ];
  test.each(bad)('%s', (name, options) => {
    expect(() => new IovaDomain(host(), options)).toThrow(name);
  });

  test('sizes, limits and pfns', () => {
    using domain = new IovaDomain(host());
    expect(() => domain.alloc(0)).toThrow('size');
    expect(() => domain.alloc(1.5)).toThrow('size');
    expect(() => domain.alloc(1, { limit: 2 ** 53 })).toThrow('limit');
    expect(() => domain.free(-1)).toThrow('pfn');
    expect(() => domain.reserve(5, 4)).toThrow('lo');
    expect([...domain.ranges()]).toEqual([]);
    domain.destroy();
    domain.destroy();
    expect(() => domain.alloc(1)).toThrow('destroyed');
  });

  test('a pfn that no address of 64 bits has is reserved by tree-4.2 alone, which does not look', () => {
    const last = 2 ** 52 - 1;
    for (const allocator of ['fast', 'rcache', 'tree-6.12'] as const) {
      using domain = new IovaDomain(host(), { allocator });
      expect(domain.reserve(last, last)).toEqual({ lo: last, hi: last });
      const error = failure(() => domain.reserve(last, last + 1));
      expect([error.code, error.reason], allocator).toEqual(['EINVAL', 'IOVA_LIMIT']);
      expect([...domain.ranges()]).toEqual([{ lo: last, hi: last }]);
    }
    using old = new IovaDomain(host(), { allocator: 'tree-4.2' });
    expect(old.reserve(last + 1, 2 ** 53 - 1)).toEqual({ lo: last + 1, hi: 2 ** 53 - 1 });
  });

  test('the fast allocator refuses a reservation through what it has shared out', () => {
    using domain = new IovaDomain(host(), { allocator: 'fast' });
    const pfn = domain.alloc(1);
    const error = failure(() => domain.reserve(pfn + 1, pfn + 5));
    expect([error.code, error.reason]).toEqual(['EBUSY', 'IOVA_BUSY']);
    expect(domain.reserve(1, 16)).toEqual({ lo: 1, hi: 16 });
  });
});

test('ranges, find and free speak of the same ranges', () => {
  for (const allocator of ALLOCATORS_TRIED) {
    using domain = new IovaDomain(host(), { allocator });
    const pfn = domain.alloc(8);
    expect(domain.find(pfn + 3)).toEqual({ lo: pfn, hi: pfn + 7 });
    expect(domain.free(pfn + 3)).toEqual({ lo: pfn, hi: pfn + 7 });
    expect(domain.find(pfn)).toBeUndefined();
    expect(domain.free(pfn)).toBeUndefined();
  }
});

// A range below the domain's start takes nothing from the gap above it: what it gives back is less than it seems.
test('freeing a reservation below the start leaves the gaps above it to be found', () => {
  for (const allocator of ['tree-6.12', 'rcache'] as const) {
    using domain = new IovaDomain(host(), { allocator, startPfn: 8 });
    for (const pfn of [8, 17, 26, 35]) domain.reserve(pfn, pfn);
    for (let pfn = 44; pfn <= 63; ++pfn) domain.reserve(pfn, pfn);
    domain.reserve(0, 0);
    domain.free(0);
    expect(domain.alloc(8, { limit: 63, aligned: false })).toBe(36);
    expect(domain.alloc(8, { limit: 63, aligned: false })).toBe(27);
  }
});

describe('ranges below the first pfn', () => {
  test.each([1, 2, 3, 4])('reserved and freed at random, the index stays right, seed %i', (seed) => {
    let state = seed;
    const pick = (n: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
    const start = 8 + pick(40);
    using domain = new IovaDomain(host(), { allocator: 'tree-6.12', startPfn: start });
    for (let step = 0; step < 1500; ++step) {
      const pfn = pick(240);
      if (pick(2) === 0) domain.free(pfn);
      else if (domain.find(pfn) === undefined) domain.reserve(pfn, pfn);
      if (step % 10 !== 0) continue;
      expect(domain.check(), `step ${step}`).toBe(0);
      const size = 1 + pick(9);
      const taken = new Set<number>();
      for (const { lo, hi } of domain.ranges()) for (let at = lo; at <= hi; ++at) taken.add(at);
      let best: number | undefined;
      for (let at = 256 - size; at >= start && best === undefined; --at) {
        let free = true;
        for (let i = 0; i < size && free; ++i) free = !taken.has(at + i);
        if (free) best = at;
      }
      // Searched from the top: the node that Linux remembers is at the limit.
      domain.free(domain.alloc(1, { limit: 2 ** 21 }));
      let found: number | undefined;
      try {
        found = domain.alloc(size, { limit: 255, aligned: false });
      } catch (error) {
        if (!GemDmaError.is(error)) throw error;
      }
      if (found !== undefined) domain.free(found);
      else expect(best, `step ${step}, size ${size}`).toBeUndefined();
    }
  });
});

test('a pfn that is none of a 64-bit address cannot be reserved, since 4.15', () => {
  for (const [granule, end] of [
    [16384, 2 ** 50],
    [65536, 2 ** 48],
  ]) {
    using modern = new IovaDomain(host(), { allocator: 'tree-6.12', granule });
    expect(() => modern.reserve(end - 1, end)).toThrow(GemDmaError);
    expect([...modern.ranges()]).toEqual([]);
    expect(modern.reserve(end - 2, end - 1)).toEqual({ lo: end - 2, hi: end - 1 });
    using old = new IovaDomain(host(), { allocator: 'tree-4.2', granule });
    expect(old.reserve(end - 1, end)).toEqual({ lo: end - 1, hi: end });
  }
});
