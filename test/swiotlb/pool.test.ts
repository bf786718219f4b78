import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BouncePool, type SwiotlbDialect } from '../../src/core/bounce-pool.js';
import {
  DMA_ATTR_SKIP_CPU_SYNC,
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_TO_DEVICE,
  FAULT_BLOCK,
  FAULT_SWIOTLB,
  REASON_SWIOTLB_FULL,
  REASON_SWIOTLB_NOT_MAPPED,
  REASON_SWIOTLB_OVERFLOW,
  REASON_SWIOTLB_TOO_LARGE,
  REASON_SWIOTLB_UNREACHABLE,
} from '../../src/core/generated/constants.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { LIBRARY } from '../../src/core/life.js';
import { PhysicalMemory } from '../../src/core/physical-memory.js';
import { debug } from '../core/debug.js';
import { PoolModel } from './model.js';

const MiB = 1024 ** 2;

interface Options {
  size?: number;
  cpus?: number;
  dialect?: SwiotlbDialect;
  /** In bits. */
  mask?: number;
  boundary?: number;
  align?: number;
}

function setup({ size = MiB, cpus = 2, dialect = 'areas', mask = 32, boundary = 32, align = 0 }: Options = {}) {
  const core = new Core(debug);
  const ctx = made(core.exports.machineCreate(64 * MiB, 2, 4096, 0, 1));
  const shape = BouncePool.shape(size, cpus, dialect);
  const pool = BouncePool.create(core, ctx, shape, dialect);
  const device = made(core.exports.deviceCreate(ctx, 7, 0));
  core.exports.deviceSetMask(device, mask, mask);
  core.exports.deviceSetSegments(device, 65536, boundary, align);
  const ram = new PhysicalMemory(LIBRARY, core, ctx);
  const reason = (): number => core.exports.lastReason(ctx);
  const { swiotlbMapSingle, swiotlbUnmapSingle, swiotlbSyncSingle, cpuSet } = core.exports;
  const { machineCheck } = core.tools;
  return {
    ...{ core, ctx, pool, shape, device, ram, reason, cpuSet },
    map: (phys: number, length: number, dir = DMA_BIDIRECTIONAL, attrs = 0) =>
      swiotlbMapSingle(device, phys, length, dir, attrs),
    unmap: (address: number, length: number, dir = DMA_BIDIRECTIONAL, attrs = 0) =>
      Boolean(swiotlbUnmapSingle(device, address, length, dir, attrs)),
    sync: (address: number, length: number, dir: number, forDevice: boolean) =>
      Boolean(swiotlbSyncSingle(device, address, length, dir, forDevice)),
    check: () => machineCheck(ctx),
  };
}

describe('placement', () => {
  test.each([
    { name: 'areas', dialect: 'areas' as const, cpus: 2, align: 0, boundary: 32 },
    { name: 'areas with a 4 KiB min_align_mask', dialect: 'areas' as const, cpus: 2, align: 0xfff, boundary: 32 },
    {
      name: 'areas with a 64 KiB min_align_mask',
      dialect: 'areas' as const,
      cpus: 1,
      align: 0xffff,
      boundary: 32,
    },
    { name: 'a segment boundary of 16 KiB', dialect: 'areas' as const, cpus: 1, align: 0, boundary: 14 },
    { name: 'the 2015 index', dialect: 'index' as const, cpus: 2, align: 0, boundary: 32 },
  ])('random histories place as the slot-by-slot model does: $name', ({ dialect, cpus, align, boundary }) => {
    const step = fc.record({
      map: fc.boolean(),
      cpu: fc.nat(1),
      page: fc.integer({ min: 300, max: 1000 }),
      offset: fc.oneof(fc.constant(0), fc.nat(4095)),
      length: fc.oneof(
        fc.integer({ min: 1, max: 9000 }),
        fc.integer({ min: 1, max: 280_000 }),
        fc.constantFrom(2048, 4096, 4097, 262_144),
      ),
      which: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const room = setup({ dialect, cpus, align, boundary });
        const model = new PoolModel(room.pool.stats.start, room.shape, dialect, {
          align,
          boundary: 2 ** boundary - 1,
        });
        const live: { address: number; length: number }[] = [];
        for (const { map, cpu, page, offset, length, which } of steps) {
          if (map || live.length === 0) {
            room.cpuSet(cpu);
            const phys = page * 4096 + offset;
            const address = room.map(phys, length);
            expect(address).toBe(model.map(phys, length, cpu));
            if (address >= 0) live.push({ address, length });
          } else {
            const [gone] = live.splice(which % live.length, 1);
            expect(room.unmap(gone.address, gone.length)).toBe(true);
            model.unmap(gone.address);
          }
          expect(room.pool.stats.used).toBe(model.used);
        }
        expect(room.check()).toBe(0);
        expect([...room.pool.mappings()].map(({ address }) => address)).toEqual(
          live.map(({ address }) => address).sort((a, b) => a - b),
        );
      }),
      { numRuns: 40 },
    );
  });

  test('a page is page-aligned today, and was not in 2015', () => {
    const today = setup({ cpus: 1 });
    const then = setup({ dialect: 'index' });
    for (const { map, pool } of [today, then]) expect(map(0x200000, 1)).toBe(pool.stats.start);
    expect(today.map(0x200000, 4096)).toBe(today.pool.stats.start + 4096);
    expect(then.map(0x200000, 4096)).toBe(then.pool.stats.start + 2048);
    expect(then.map(0x200000, 4097)).toBe(then.pool.stats.start + 8192);
  });

  test('the pool is rounded as the kernel rounds it', () => {
    expect(BouncePool.shape(64 * MiB, 4, 'areas')).toEqual({ slots: 32768, areas: 4 });
    expect(BouncePool.shape(3 * MiB, 3, 'areas')).toEqual({ slots: 2048, areas: 4 });
    expect(BouncePool.shape(256 * 1024, 8, 'areas')).toEqual({ slots: 1024, areas: 8 });
    expect(BouncePool.shape(300 * 1024, 8, 'index')).toEqual({ slots: 256, areas: 1 });
  });
});

describe('refusals', () => {
  test('full and too large are told apart, and change nothing', () => {
    const room = setup({ cpus: 1 });
    const held: number[] = [];
    for (let at = room.map(0x200000, 262_144); at >= 0; at = room.map(0x200000, 262_144)) held.push(at);
    expect(held).toHaveLength(4);
    expect(room.reason()).toBe(REASON_SWIOTLB_FULL);
    expect(room.map(0x200000, 1)).toBe(-1);
    expect(room.reason()).toBe(REASON_SWIOTLB_FULL);
    expect(room.map(0x200000, 262_145)).toBe(-1);
    expect(room.reason()).toBe(REASON_SWIOTLB_TOO_LARGE);
    expect(room.pool.stats).toMatchObject({ used: 512, live: 4, refused: { full: 2, tooLarge: 1, unreachable: 0 } });
    for (const at of held) expect(room.unmap(at, 262_144)).toBe(true);
    expect(room.pool.stats).toMatchObject({ used: 0, live: 0, highWater: 512 });
    expect(room.check()).toBe(0);
  });

  test('a full own area sends the CPU to the next one', () => {
    const room = setup({ cpus: 2 });
    const half = room.pool.stats.start + MiB / 2;
    room.cpuSet(1);
    expect(room.map(0x200000, 262_144)).toBe(half);
    room.map(0x200000, 262_144);
    expect(room.map(0x200000, 2048)).toBe(room.pool.stats.start);
    expect(room.pool.stats.areas.map(({ used }) => used)).toEqual([1, 256]);
  });

  test('slots beyond the mask are given back', () => {
    const room = setup({ mask: 20 });
    expect(room.map(0x200000, 100)).toBe(-1);
    expect(room.reason()).toBe(REASON_SWIOTLB_UNREACHABLE);
    expect(room.pool.stats).toMatchObject({ used: 0, live: 0, refused: { unreachable: 1 } });
    expect(room.check()).toBe(0);
  });

  test('an injected slot failure and a failing copy leave no trace', () => {
    const room = setup();
    room.core.exports.faultArm(room.ctx, FAULT_SWIOTLB, 1);
    expect(room.map(0x200000, 100)).toBe(-1);
    expect(room.reason()).toBe(REASON_SWIOTLB_FULL);
    room.ram.write(0x200000, Uint8Array.of(1));
    room.core.exports.faultArm(room.ctx, FAULT_BLOCK, 1);
    expect(room.map(0x200000, 100)).toBe(-1);
    expect(room.pool.stats).toMatchObject({ used: 0, live: 0 });
    expect(room.check()).toBe(0);
    expect(room.map(0x200000, 100)).toBeGreaterThan(0);
  });

  test('what is not mapped cannot be unmapped or synced', () => {
    const room = setup();
    const at = room.map(0x200000, 5000);
    for (const wrong of [at + 8192, 0x200000]) {
      expect(room.unmap(wrong, 10)).toBe(false);
      expect(room.reason()).toBe(REASON_SWIOTLB_NOT_MAPPED);
    }
    expect(room.sync(at + 3 * 2048, 4, DMA_BIDIRECTIONAL, true)).toBe(false);
    expect(room.unmap(at, 5000)).toBe(true);
    expect(room.unmap(at, 5000)).toBe(false);
    expect(room.check()).toBe(0);
  });

  test('a pool that cannot be made leaves RAM as it was', () => {
    const core = new Core(debug);
    const ctx = made(core.exports.machineCreate(64 * MiB, 1, 4096, 0, 1));
    const before = core.tools.machineCheck(ctx);
    expect(() => BouncePool.create(core, ctx, { slots: 32768, areas: 1 }, 'areas')).toThrow(/ENOMEM/);
    expect(() => BouncePool.create(core, ctx, { slots: 100, areas: 1 }, 'areas')).toThrow(/EINVAL/);
    BouncePool.create(core, ctx, { slots: 128, areas: 1 }, 'areas', 0x400);
    expect(() => BouncePool.create(core, ctx, { slots: 128, areas: 1 }, 'areas')).toThrow(/EEXIST/);
    expect(core.tools.machineCheck(ctx)).toBe(before);
    // The frames of the pool are nobody else's.
    expect(
      [...new PhysicalMemory(LIBRARY, core, ctx).alloc(3000)].filter((pfn) => pfn >= 0x400 && pfn < 0x440),
    ).toEqual([]);
  });
});

describe('bytes', () => {
  const text = (from: string) => new TextEncoder().encode(from);
  const show = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

  test.each([
    { dialect: 'areas' as const, dir: DMA_TO_DEVICE, seen: 'buffer', back: 'buffer' },
    { dialect: 'areas' as const, dir: DMA_FROM_DEVICE, seen: 'buffer', back: 'DEVICE' },
    { dialect: 'areas' as const, dir: DMA_BIDIRECTIONAL, seen: 'buffer', back: 'DEVICE' },
    { dialect: 'index' as const, dir: DMA_TO_DEVICE, seen: 'buffer', back: 'buffer' },
    { dialect: 'index' as const, dir: DMA_FROM_DEVICE, seen: '\0\0\0\0\0\0', back: 'DEVICE' },
    { dialect: 'index' as const, dir: DMA_BIDIRECTIONAL, seen: 'buffer', back: 'DEVICE' },
  ])('$dialect, direction $dir: the device sees "$seen", the CPU gets "$back"', ({ dialect, dir, seen, back }) => {
    const room = setup({ dialect });
    room.ram.write(0x200ffd, text('buffer'));
    const at = room.map(0x200ffd, 6, dir);
    expect(show(room.ram.read(at, 6))).toBe(seen);
    room.ram.write(at, text('DEVICE'));
    expect(show(room.ram.read(0x200ffd, 6))).toBe('buffer');
    expect(room.unmap(at, 6, dir)).toBe(true);
    expect(show(room.ram.read(0x200ffd, 6))).toBe(back);
    expect(room.check()).toBe(0);
  });

  test('DMA_ATTR_SKIP_CPU_SYNC skips the copy back, not the copy in', () => {
    const room = setup();
    room.ram.write(0x200000, text('buffer'));
    const at = room.map(0x200000, 6, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
    expect(show(room.ram.read(at, 6))).toBe('buffer');
    room.ram.write(at, text('DEVICE'));
    room.unmap(at, 6, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
    expect(show(room.ram.read(0x200000, 6))).toBe('buffer');
  });

  test('sync moves just the bytes asked for, in the direction that applies', () => {
    const room = setup({ align: 0xfff });
    const length = 6000;
    room.ram.write(0x200123, new Uint8Array(length).fill(1));
    const at = room.map(0x200123, length, DMA_BIDIRECTIONAL);
    expect(at % 4096).toBe(0x123);
    room.ram.write(at, new Uint8Array(length).fill(2));
    expect(room.sync(at + 5000, 10, DMA_BIDIRECTIONAL, false)).toBe(true);
    const cpu = room.ram.read(0x200123, length);
    expect(cpu.every((byte, i) => byte === (i >= 5000 && i < 5010 ? 2 : 1))).toBe(true);
    room.ram.write(0x200123, new Uint8Array(length).fill(3));
    expect(room.sync(at, 1, DMA_BIDIRECTIONAL, true)).toBe(true);
    expect([...room.ram.read(at, 2)]).toEqual([3, 2]);
    expect(room.sync(at, length, DMA_FROM_DEVICE, true), 'nothing to do towards a device that only writes').toBe(true);
    expect([...room.ram.read(at, 2)]).toEqual([3, 2]);
    expect(room.sync(at + 5999, 2, DMA_BIDIRECTIONAL, true), 'one byte too many').toBe(false);
    expect(room.reason()).toBe(REASON_SWIOTLB_OVERFLOW);
    expect(room.unmap(at, length)).toBe(true);
    expect(room.check()).toBe(0);
  });
});
