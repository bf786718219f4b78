import { describe, expect, test } from 'vitest';
import { EFAULT, EINVAL, ENOMEM, FAULT_BLOCK, ZONE_DMA32, ZONE_NORMAL } from '../../src/core/generated/constants.js';
import type { ContextHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { debug } from './debug.js';

const MiB = 1024 * 1024;

// The debug build traps on a broken assertion, so histories run through it.
function machine(limit = 64 * MiB, pages = 4096): { core: Core; ctx: ContextHandle } {
  const core = new Core(debug);
  return { core, ctx: made(core.exports.machineCreate(limit, 2, pages, 0, 1)) };
}

describe('linear memory', () => {
  test('blocks are aligned to their size, disjoint, and merge again when freed', () => {
    const { core, ctx } = machine();
    const { blockAlloc, blockFree } = core.exports;
    const { machineCheck } = core.tools;
    const blocks = [0, 3, 1, 0, 6, 2, 0, 10].map((order) => ({ order, at: blockAlloc(ctx, order) }));
    for (const { order, at } of blocks) {
      expect(at).toBeGreaterThan(0);
      expect(at % (4096 << order)).toBe(0);
    }
    const ranges = blocks.map(({ order, at }) => [at, at + (4096 << order)]).sort((a, b) => a[0] - b[0]);
    for (let i = 1; i < ranges.length; ++i) expect(ranges[i][0]).toBeGreaterThanOrEqual(ranges[i - 1][1]);
    expect(machineCheck(ctx)).toBe(0);
    for (const { at } of blocks) blockFree(ctx, at);
    expect(machineCheck(ctx)).toBe(0);
  });

  test('growth stops at the limit with nothing lost', () => {
    const { core, ctx } = machine(8 * MiB);
    const { blockAlloc, blockFree } = core.exports;
    const { machineCheck } = core.tools;
    const blocks: number[] = [];
    for (let at = blockAlloc(ctx, 4); at !== 0; at = blockAlloc(ctx, 4)) blocks.push(at);
    expect(core.memoryBytes).toBeLessThanOrEqual(8 * MiB);
    expect(blocks.length * 65536).toBeGreaterThan(7 * MiB);
    expect(blockAlloc(ctx, 4)).toBe(0);
    expect(machineCheck(ctx)).toBe(0);
    for (const at of blocks) blockFree(ctx, at);
    expect(machineCheck(ctx)).toBe(0);
    expect(blockAlloc(ctx, 4)).toBeGreaterThan(0);
  });

  test('an armed fault strikes once, at the allocation asked for', () => {
    const { core, ctx } = machine();
    const { blockAlloc, faultArm } = core.exports;
    const { faultCount, faultPending } = core.tools;
    faultArm(ctx, FAULT_BLOCK, 3);
    expect([blockAlloc(ctx, 0) > 0, blockAlloc(ctx, 0) > 0]).toEqual([true, true]);
    expect(faultPending(ctx, FAULT_BLOCK)).toBe(1);
    expect(blockAlloc(ctx, 0)).toBe(0);
    expect(blockAlloc(ctx, 0)).toBeGreaterThan(0);
    expect(faultCount(ctx, FAULT_BLOCK)).toBe(1);
  });

  test('sizes that cannot be are refused', () => {
    const core = new Core(debug);
    expect(core.exports.machineCreate(4096, 1, 4096, 0, 1)).toBe(ENOMEM);
    expect(core.exports.machineCreate(64 * MiB, 0, 4096, 0, 1)).toBe(ENOMEM);
    expect(new Core(debug).exports.machineCreate(64 * MiB, 1, 1, 0, 1)).toBe(EINVAL);
  });
});

describe('ram', () => {
  test('frames come back in the same ascending order through rounds of alloc and free', () => {
    const { core, ctx } = machine();
    const { pagesAlloc, pagesFree } = core.exports;
    const { machineCheck } = core.tools;
    const at = core.staging(ctx);
    expect(pagesAlloc(ctx, 1024, at)).toBe(0);
    const first = [...core.readWords(at, 1024)];
    expect(first).toEqual(Array.from({ length: 1024 }, (_, i) => first[0] + i));
    expect(pagesFree(ctx, 1024, at)).toBe(1024);
    expect(pagesFree(ctx, 1024, at), 'a second free of the same frames does nothing').toBe(0);
    expect(pagesAlloc(ctx, 1024, at)).toBe(0);
    expect([...core.readWords(at, 1024)]).toEqual(first);
    expect(machineCheck(ctx)).toBe(0);
  });

  test('fragmented RAM hands out scattered frames, the same for the same seed', () => {
    const frames = (seed: number): number[] => {
      const core = new Core(debug);
      const ctx = made(core.exports.machineCreate(64 * MiB, 1, 8192, 65536, seed));
      const at = core.staging(ctx);
      expect(core.exports.pagesAlloc(ctx, 2048, at)).toBe(0);
      expect(core.tools.machineCheck(ctx)).toBe(0);
      return [...core.readWords(at, 2048)];
    };
    const one = frames(7);
    expect(new Set(one).size).toBe(2048);
    expect(one.filter((pfn, i) => i > 0 && pfn === one[i - 1] + 1).length).toBeLessThan(20);
    expect(frames(7)).toEqual(one);
    expect(frames(8)).not.toEqual(one);
  });

  test('all of it can be taken, by blocks and by frames, and the last request fails whole', () => {
    const { core, ctx } = machine();
    const { blockOfPagesAlloc, blockOfPagesFree, pagesAlloc, pagesFree } = core.exports;
    const { machineCheck } = core.tools;
    const blocks: number[] = [];
    for (let pfn = blockOfPagesAlloc(ctx, 9, ZONE_NORMAL); pfn !== 0; pfn = blockOfPagesAlloc(ctx, 9, ZONE_NORMAL)) {
      expect(pfn % 512).toBe(0);
      blocks.push(pfn);
    }
    const at = core.staging(ctx);
    const left = 4096 - 256 - blocks.length * 512;
    expect(pagesAlloc(ctx, left + 1, at)).toBe(ENOMEM);
    expect(pagesAlloc(ctx, left, at)).toBe(0);
    expect(machineCheck(ctx)).toBe(0);
    expect(pagesFree(ctx, left, at)).toBe(left);
    for (const pfn of blocks) expect(blockOfPagesFree(ctx, pfn, 9)).toBe(1);
    expect(blockOfPagesFree(ctx, blocks[0], 9)).toBe(0);
    expect(machineCheck(ctx)).toBe(0);
  });

  test('contents: written bytes read back across frames, unwritten ones are zeros, a new owner sees zeros', () => {
    const { core, ctx } = machine();
    const { blockOfPagesAlloc, blockOfPagesFree, physRead, physWrite } = core.exports;
    const at = core.staging(ctx);
    const pfn = blockOfPagesAlloc(ctx, 1, ZONE_NORMAL);
    core.writeBytes(at, [1, 2, 3, 4]);
    expect(physWrite(ctx, pfn * 4096 + 4094, at, 4)).toBe(0);
    const read = (): number[] => {
      expect(physRead(ctx, pfn * 4096 + 4092, at + 64, 8)).toBe(0);
      return [...core.readBytes(at + 64, 8)];
    };
    expect(read()).toEqual([0, 0, 1, 2, 3, 4, 0, 0]);
    blockOfPagesFree(ctx, pfn, 1);
    expect(read(), 'freed frames keep their bytes').toEqual([0, 0, 1, 2, 3, 4, 0, 0]);
    expect(blockOfPagesAlloc(ctx, 1, ZONE_NORMAL)).toBe(pfn);
    expect(read()).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(physRead(ctx, 2 ** 40, at, 8)).toBe(EFAULT);
  });

  test('freeing says how many frames were in use: named twice, free already, no RAM, in both zones', () => {
    const { core, ctx } = machine(256 * MiB, 0xc0000 + 65536);
    const { blockOfPagesAlloc, pagesAlloc, pagesFree, physRead, physWrite } = core.exports;
    const { machineCheck } = core.tools;
    const at = core.staging(ctx);
    const put = (pfns: number[]): number => {
      core.writeWords(at, pfns);
      return pfns.length;
    };
    expect(pagesAlloc(ctx, 40, at)).toBe(0);
    const pfns = [...core.readWords(at, 40)];
    const low = blockOfPagesAlloc(ctx, 0, ZONE_DMA32);
    expect([pfns[0] >= 0x100000, low < 0xc0000]).toEqual([true, true]);
    expect(pagesFree(ctx, put([pfns[0], pfns[1], pfns[0]]), at), 'named twice').toBe(2);
    expect(pagesFree(ctx, put([pfns[1], pfns[2], pfns[3], pfns[4], pfns[5]]), at), 'one free already').toBe(4);
    expect(pagesFree(ctx, put([pfns[6], 0xd0000, 0xfffffff0, 0, pfns[7]]), at), 'no RAM, or firmware').toBe(2);
    expect(pagesFree(ctx, put([pfns[8], low, pfns[9]]), at), 'both zones').toBe(3);
    core.fillBytes(at, 16, 7);
    expect(physWrite(ctx, pfns[20] * 4096, at, 16)).toBe(0);
    expect(pagesFree(ctx, put(pfns.slice(10, 40)), at), 'a run').toBe(30);
    expect(pagesFree(ctx, put(pfns.slice(10, 40)), at), 'the run again').toBe(0);
    expect(machineCheck(ctx)).toBe(0);
    // Handed out again, frames of both zones in one call, and the one with contents reads as zeros.
    expect(pagesAlloc(ctx, 40, at)).toBe(0);
    const again = [...core.readWords(at, 40)];
    expect([...again].sort((a, b) => a - b)).toEqual(
      [low, ...pfns].sort((a, b) => a - b).filter((pfn) => again.includes(pfn)),
    );
    expect(again).toContain(pfns[20]);
    expect(physRead(ctx, pfns[20] * 4096, at, 16)).toBe(0);
    expect([...core.readBytes(at, 16)]).toEqual(new Array(16).fill(0));
    expect(machineCheck(ctx)).toBe(0);
  });
});
