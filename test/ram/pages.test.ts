import { describe, expect, test } from 'vitest';
import { HIGH_START, ZONE_DMA32, ZONE_NORMAL } from '../../src/core/generated/constants.js';
import type { ContextHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import type { RamStats } from '../../src/core/physical-memory.js';
import { BaseMachine } from '../../src/machine/machine.js';
import { debug } from '../core/debug.js';

const MiB = 1024 * 1024;
const LOW_FRAMES = 0xc0000;

function random(seed: number): (bound: number) => number {
  let x = seed * 0x9e3779b1;
  return (bound) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % bound;
  };
}

/** RAM with a record of who has which frame. */
class Frames {
  readonly core = new Core(debug);
  readonly ctx: ContextHandle;
  readonly owner = new Map<number, number>();
  readonly #at: number;

  constructor(pages: number, fragmentation: number, seed: number) {
    this.ctx = made(this.core.exports.machineCreate(256 * MiB, 3, pages, Math.round(fragmentation * 65536), seed));
    expect(this.ctx).toBeGreaterThan(0);
    this.#at = this.core.exports.blockAlloc(this.ctx, 5);
  }

  take(pfns: ArrayLike<number>, object: number): void {
    for (const pfn of Array.from(pfns)) {
      if (this.owner.has(pfn)) throw new Error(`frame ${pfn} was handed out twice`);
      this.owner.set(pfn, object);
    }
  }

  alloc(n: number, object: number): Uint32Array | null {
    if (this.core.exports.pagesAlloc(this.ctx, n, this.#at) < 0) return null;
    const pfns = this.core.readWords(this.#at, n);
    this.take(pfns, object);
    return pfns;
  }

  free(pfns: Uint32Array): number {
    this.core.writeWords(this.#at, pfns);
    for (const pfn of pfns) this.owner.delete(pfn);
    return this.core.exports.pagesFree(this.ctx, pfns.length, this.#at);
  }
}

describe.each([
  ['below 3 GiB', 16384],
  ['in both zones', LOW_FRAMES + 8192],
])('RAM %s', (_name, pages) => {
  test.each([
    [1, 0],
    [2, 0.5],
    [3, 1],
  ])('random histories of frames and blocks, on any CPU, seed %i, fragmentation %f', (seed, fragmentation) => {
    const ram = new Frames(pages, fragmentation, seed);
    const { blockOfPagesAlloc, blockOfPagesFree, cpuSet, pagesDrain } = ram.core.exports;
    const { machineCheck } = ram.core.tools;
    const pick = random(seed);
    const singles: Uint32Array[] = [];
    const blocks: [pfn: number, order: number][] = [];
    for (let step = 0; step < 400; ++step) {
      cpuSet(pick(3));
      const kind = pick(10);
      if (kind < 4) {
        const pfns = ram.alloc(1 + pick(pick(4) === 0 ? 4000 : 300), step);
        if (pfns) singles.push(pfns);
      } else if (kind < 7 && singles.length > 0) {
        const [pfns] = singles.splice(pick(singles.length), 1);
        expect(ram.free(pfns), `seed ${seed}, step ${step}`).toBe(pfns.length);
      } else if (kind < 8) {
        const order = pick(11);
        const zone = pick(2);
        const pfn = blockOfPagesAlloc(ram.ctx, order, zone);
        if (pfn === 0) continue;
        expect(pfn % (1 << order)).toBe(0);
        if (zone === 0) expect(pfn).toBeLessThan(HIGH_START);
        ram.take(
          Array.from({ length: 1 << order }, (_, i) => pfn + i),
          step,
        );
        blocks.push([pfn, order]);
      } else if (kind < 9 && blocks.length > 0) {
        const [[pfn, order]] = blocks.splice(pick(blocks.length), 1);
        for (let i = 0; i < 1 << order; ++i) ram.owner.delete(pfn + i);
        expect(blockOfPagesFree(ram.ctx, pfn, order)).toBe(1);
      } else if (pick(8) === 0) pagesDrain(ram.ctx);
      if (step % 100 === 0 && pages < LOW_FRAMES) expect(machineCheck(ram.ctx) >>> 0).toBe(0);
    }
    for (const pfns of singles) ram.free(pfns);
    for (const [pfn, order] of blocks) blockOfPagesFree(ram.ctx, pfn, order);
    expect(machineCheck(ram.ctx) >>> 0).toBe(0);
    expect(ram.core.tools.ramInUse(ram.ctx)).toBe(0);
  });
});

test('what was freed at once is handed out again without a detour, and blocks are still to be had', () => {
  const ram = new Frames(16384, 0.25, 5);
  const { blockOfPagesAlloc } = ram.core.exports;
  const { machineCheck } = ram.core.tools;
  const objects = Array.from({ length: 12 }, (_, i) => ram.alloc(1024, i)!);
  for (const pfns of objects) expect(ram.free(pfns)).toBe(1024);
  const again = Array.from({ length: 12 }, (_, i) => ram.alloc(1024, i)!);
  expect(new Set(again.flatMap((pfns) => [...pfns]))).toEqual(new Set(objects.flatMap((pfns) => [...pfns])));
  for (const pfns of again) ram.free(pfns);
  expect(
    blockOfPagesAlloc(ram.ctx, 9, ZONE_NORMAL),
    'frames on stacks merge when a block is asked for',
  ).toBeGreaterThan(0);
  expect(machineCheck(ram.ctx) >>> 0).toBe(0);
});

test('below 4 GiB means below 4 GiB, also when only that is left', () => {
  const ram = new Frames(LOW_FRAMES + 4096, 0, 1);
  const { blockOfPagesAlloc } = ram.core.exports;
  expect(blockOfPagesAlloc(ram.ctx, 3, ZONE_NORMAL)).toBeGreaterThanOrEqual(HIGH_START);
  expect(blockOfPagesAlloc(ram.ctx, 3, ZONE_DMA32)).toBeLessThan(LOW_FRAMES);
  while (blockOfPagesAlloc(ram.ctx, 10, ZONE_NORMAL) >= HIGH_START);
  expect(blockOfPagesAlloc(ram.ctx, 10, ZONE_NORMAL), 'anywhere falls back below').toBeLessThan(LOW_FRAMES);
});

test('stats add up, and fragmentation shows in the blocks that are left', () => {
  const machine = new BaseMachine({ ram: { size: '64MiB', fragmentation: 1 }, seed: 3 });
  const { ram } = machine;
  const added = ({ inUse, free, waiting, held }: RamStats): number => inUse + free + waiting + held;
  expect(ram.stats).toMatchObject({ frames: 16384, usable: 16128, inUse: 0, held: 0, written: 0 });
  expect(ram.stats.blocks).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 15]);
  const pfns = ram.alloc(8000);
  ram.write(pfns[0] * 4096, new Uint8Array(1));
  expect(ram.stats).toMatchObject({ inUse: 8000, written: 1 });
  expect(added(ram.stats)).toBe(16128);
  ram.free(pfns);
  ram.drain();
  const { blocks, held, waiting } = ram.stats;
  expect(held).toBeGreaterThan(6);
  expect(waiting).toBe(0);
  expect(blocks[10], 'a block that a frame was kept from never merges again').toBe(15 - held);
  expect(added(ram.stats)).toBe(16128);
  machine.check();
});

test('a block that was written keeps its contents in order when it is scattered later', () => {
  const machine = new BaseMachine({ ram: { size: '32MiB', fragmentation: 1 }, seed: 3 });
  const { ram } = machine;
  const blocks: number[] = [];
  for (let pfn = ram.allocBlock(10); ; pfn = ram.allocBlock(10)) {
    blocks.push(pfn);
    for (let i = 0; i < 1024; ++i) ram.write((pfn + i) * 4096, Uint8Array.of(1));
    if (ram.stats.blocks[10] === 0) break;
  }
  expect(ram.stats.written).toBe(blocks.length * 1024);
  for (const pfn of blocks) ram.freeBlock(pfn, 10);
  machine.check();
  // One frame of each block is kept by the rest of the system from now on, with whatever was in it.
  for (let i = 0; i < blocks.length; ++i) ram.alloc(1000);
  expect(ram.stats.held).toBeGreaterThan(0);
  machine.check();
});
