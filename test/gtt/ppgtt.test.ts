import { describe, expect, test } from 'vitest';
import {
  COLOR_NONE,
  EINVAL,
  ENOMEM,
  ENOSPC,
  ERANGE,
  MM_2015,
  PPGTT_GEN6,
  PPGTT_GEN8,
  PPGTT_OWN_SCRATCH,
  PPGTT_PREALLOCATE,
} from '../../src/core/generated/constants.js';
import type { Failure, GgttHandle, PpgttHandle } from '../../src/core/generated/exports.js';
import { failed, made } from '../../src/core/handle.js';
import { DMA_BIDIRECTIONAL } from '../../src/dma/transfer.js';
import { CACHE, GiB, type Host, host, MiB, mapped, type Path, PLATFORM, random } from './host.js';

const PATHS: Path[] = ['direct', 'iommu', 'iommu-2015'];

/** Shapes: levels, the span of a page table, and the scratch tables that stand for what is missing. */
const SHAPES = [
  { name: 'gen6', platform: PLATFORM.SNB, levels: 2, total: 2 * GiB, span: 4 * MiB, scratch: 1 },
  { name: 'Haswell', platform: PLATFORM.HSW, levels: 2, total: 2 * GiB, span: 4 * MiB, scratch: 1 },
  { name: 'gen8, 4 GiB', platform: PLATFORM.GEN8, levels: 3, total: 4 * GiB, span: 2 * MiB, scratch: 2 },
  { name: 'gen8, 48 bits', platform: PLATFORM.GEN8, levels: 4, total: 2 ** 48, span: 2 * MiB, scratch: 3 },
] as const;

function spaces(machine: Host, shape: (typeof SHAPES)[number], flags = 0): { ggtt: GgttHandle; ppgtt: PpgttHandle } {
  const { ggttCreate, ppgttCreate } = machine.core.exports;
  const ggtt = made(ggttCreate(machine.device.handle, shape.platform, GiB, 256 * MiB, MM_2015, COLOR_NONE));
  return { ggtt, ppgtt: made(ppgttCreate(ggtt, shape.levels, 0, flags, MM_2015)) };
}

function mappedOnce(machine: Host): void {
  const table = mapped(machine, 1);
  machine.device.unmapSg(table, DMA_BIDIRECTIONAL);
  table.release();
}

/** What must be as before once everything was given back. */
function state({ core, context, device }: Host): unknown {
  const { maps, unmaps } = device.counts;
  return { mapped: maps - unmaps, records: core.tools.machineRecords(context) };
}

describe.each(PATHS)('device %s', (path) => {
  describe.each(SHAPES)('$name', (shape) => {
    test('bound pages are found, everything else leads to the scratch page, tables stay until the end', () => {
      const machine = host(path);
      const { core, context, device } = machine;
      const { ppgttAllocRange, ppgttInsert, ppgttClear, ppgttDestroy, gpuTranslate, vmTotal } = core.exports;
      const { ppgttEntry, ppgttPages, ppgttTables } = core.tools;
      const { gpuPteEncode, vmScratch, vmScratchEntry, machineCheck } = core.tools;
      mappedOnce(machine); // state that lasts is made with the first table
      const before = state(machine);
      const { ggtt, ppgtt } = spaces(machine, shape);
      expect(vmTotal(ppgtt)).toBe(shape.total);
      const root = shape.levels === 4 ? 1 : 0;
      expect([ppgttTables(ppgtt), ppgttPages(ppgtt)]).toEqual([root, root + shape.scratch]);
      expect(gpuTranslate(ppgtt, shape.total - 8, true), 'nothing bound: the scratch page').toBe(
        vmScratch(ppgtt) + 4088,
      );
      // Across the border of two page tables, at an odd page.
      const table = mapped(machine, 613);
      const start = shape.span * 5 - 300 * 4096;
      expect(core.exports.ppgttInsert(ppgtt, start, table.handle, CACHE.LLC, 0), 'no page tables yet').toBe(EINVAL);
      expect(ppgttAllocRange(ppgtt, start, table.bytes)).toBe(2 + Math.max(0, shape.levels - 2));
      expect(ppgttAllocRange(ppgtt, start, table.bytes), 'they are there').toBe(0);
      expect(gpuTranslate(ppgtt, start, false)).toBe(vmScratch(ppgtt));
      expect(ppgttInsert(ppgtt, start, table.handle, CACHE.LLC, 0)).toBe(613);
      expect(machineCheck(context)).toBe(0);
      for (let page = 0; page < 613; page += page < 290 || page > 310 ? 17 : 1) {
        const address = start + page * 4096;
        const dma = table.dmaAddress(page);
        expect(ppgttEntry(ppgtt, address)).toBe(gpuPteEncode(shape.platform, dma, CACHE.LLC, 0));
        expect(gpuTranslate(ppgtt, address + 5, true), `page ${page}: ${device.reason}`).toBe(dma + 5);
      }
      expect(ppgttEntry(ppgtt, start - 4096)).toBe(vmScratchEntry(ppgtt));
      expect(ppgttEntry(ppgtt, start + 613 * 4096)).toBe(vmScratchEntry(ppgtt));
      const tables = ppgttTables(ppgtt);
      expect(ppgttClear(ppgtt, start + 4096, 611)).toBe(0);
      expect(gpuTranslate(ppgtt, start + 4096, false)).toBe(vmScratch(ppgtt));
      expect(gpuTranslate(ppgtt, start + 612 * 4096, false)).toBe(table.dmaAddress(612));
      expect(ppgttClear(ppgtt, 0, Math.min(shape.total / 4096, 2 ** 32 - 1)), 'also where there are no tables').toBe(0);
      expect(gpuTranslate(ppgtt, start, false)).toBe(vmScratch(ppgtt));
      expect(ppgttTables(ppgtt), 'clearing frees no table').toBe(tables);
      expect(device.counts.maps - device.counts.unmaps).toBe(ppgttPages(ppgtt) + 2);
      expect(ppgttDestroy(ppgtt)).toBe(0);
      core.exports.ggttDestroy(ggtt);
      device.unmapSg(table, DMA_BIDIRECTIONAL);
      table.release();
      expect(state(machine)).toEqual(before);
      expect(machineCheck(context)).toBe(0);
    });

    test('every allocation can fail: nothing made, nothing lost', () => {
      const machine = host(path, 4096);
      const { core, context } = machine;
      const { faultArm, ppgttAllocRange, ppgttCreate, ppgttDestroy } = core.exports;
      const { ppgttTables } = core.tools;
      const { faultPending, machineCheck } = core.tools;
      const { ggtt, ppgtt } = spaces(machine, shape);
      ppgttAllocRange(ppgtt, 0, 3 * shape.span);
      let failures = 0;
      /** Makes each allocation of a call fail in turn, until it gets through untouched. */
      const each = <T extends number>(call: () => T, undo: (result: Exclude<T, Failure>) => void): void => {
        for (const kind of [0, 1, 2, 3, 4, 8]) {
          for (let nth = 1; ; ++nth) {
            const before = state(machine);
            faultArm(context, kind, nth);
            const result = call();
            const struck = faultPending(context, kind) === 0;
            faultArm(context, kind, 0);
            if (!failed(result)) undo(result as Exclude<T, Failure>);
            else expect(result, `kind ${kind}, allocation ${nth}`).toBe(ENOMEM);
            expect(state(machine), `kind ${kind}, allocation ${nth}`).toEqual(before);
            expect(machineCheck(context)).toBe(0);
            if (!struck) break;
            if (result < 0) ++failures;
          }
        }
      };
      each(() => ppgttCreate(ggtt, shape.levels, 0, PPGTT_OWN_SCRATCH, MM_2015), ppgttDestroy);
      const created = failures;
      expect(created).toBeGreaterThan(3);
      // Ranges that lie elsewhere each time, for tables once made stay.
      let next = 8 * shape.span;
      const tables = ppgttTables(ppgtt);
      const grown: number[] = [];
      for (const kind of [1, 2, 8]) {
        for (let nth = 1; nth <= 2; ++nth) {
          const before = state(machine);
          faultArm(context, kind, nth);
          expect(ppgttAllocRange(ppgtt, next - shape.span / 2, 3 * shape.span)).toBe(ENOMEM);
          expect(state(machine)).toEqual(before);
          expect(machineCheck(context)).toBe(0);
        }
        grown.push(ppgttAllocRange(ppgtt, next - shape.span / 2, 3 * shape.span));
        next += 8 * shape.span;
      }
      expect(grown.every((count) => count >= 4)).toBe(true);
      expect(ppgttTables(ppgtt)).toBe(tables + grown.reduce((sum, count) => sum + count, 0));
    });
  });
});

describe('any history of ranges', () => {
  test.each(SHAPES.flatMap((shape) => [1, 2].map((seed) => ({ ...shape, seed }))))('$name, seed $seed', (shape) => {
    const machine = host('iommu');
    const { core, context } = machine;
    const { ppgttAllocRange, ppgttInsertRange, ppgttClear } = core.exports;
    const { ppgttEntry } = core.tools;
    const { gpuPteEncode, vmScratchEntry, machineCheck } = core.tools;
    const { ppgtt } = spaces(machine, shape);
    const pick = random(shape.seed);
    const model = new Map<number, number>();
    // A few regions far apart, so that tables of all levels come into being.
    const regions = [0, 3, 511, 517].map((i) => Math.min(i * shape.span, shape.total - 4 * shape.span));
    if (shape.levels === 4) regions.push(2 ** 39 - shape.span, 2 ** 47, 2 ** 48 - 4 * shape.span);
    for (let step = 0; step < 150; ++step) {
      const first = regions[pick(regions.length)] / 4096 + pick(1500);
      const count = 1 + pick(700);
      const where = `seed ${shape.seed}, step ${step}`;
      if (pick(3) > 0) {
        const address = (1 + pick(2 ** 20)) * 4096;
        expect(ppgttAllocRange(ppgtt, first * 4096, count * 4096), where).toBeGreaterThanOrEqual(0);
        expect(ppgttInsertRange(ppgtt, first * 4096, address, count, CACHE.LLC, 0), where).toBe(count);
        for (let i = 0; i < count; ++i) model.set(first + i, address + i * 4096);
      } else {
        expect(ppgttClear(ppgtt, first * 4096, count), where).toBe(0);
        for (let i = 0; i < count; ++i) model.delete(first + i);
      }
      for (const page of [first - 1, first, first + (count >> 1), first + count - 1, first + count]) {
        if (page < 0 || page * 4096 >= shape.total) continue;
        const dma = model.get(page);
        const wanted = dma === undefined ? vmScratchEntry(ppgtt) : gpuPteEncode(shape.platform, dma, CACHE.LLC, 0);
        expect(ppgttEntry(ppgtt, page * 4096), `${where}, page ${page}`).toBe(wanted);
      }
    }
    expect(machineCheck(context)).toBe(0);
    let pages = 0;
    for (const [page, dma] of model) {
      if (++pages % 7 === 0) {
        expect(ppgttEntry(ppgtt, page * 4096)).toBe(gpuPteEncode(shape.platform, dma, CACHE.LLC, 0));
      }
    }
  });
});

describe('shapes', () => {
  test('gen8 of Linux 4.1 makes and maps 2,052 pages for each context, that of 4.2 none ahead', () => {
    const machine = host('iommu');
    const { ppgttAllocRange, ppgttDestroy } = machine.core.exports;
    const { ppgttPages, ppgttTables } = machine.core.tools;
    const { machineCheck } = machine.core.tools;
    const { ppgtt } = spaces(machine, SHAPES[2], PPGTT_PREALLOCATE);
    // The global GTT's scratch page is the one mapping more.
    expect([ppgttPages(ppgtt), machine.device.counts.maps]).toEqual([2052, 2053]);
    expect(ppgttAllocRange(ppgtt, 0, 4 * GiB)).toBe(0);
    expect(machineCheck(machine.context)).toBe(0);
    ppgttDestroy(ppgtt);
    expect(machine.device.counts.unmaps).toBe(2052);
    const dynamic = spaces(machine, SHAPES[2]).ppgtt;
    expect([ppgttTables(dynamic), ppgttPages(dynamic)]).toEqual([0, 2]);
    // An aliasing address space takes all of its range at once.
    expect(ppgttAllocRange(dynamic, 0, 4 * GiB)).toBe(2052);
  });

  test('gen6 keeps its directory in the global GTT, 64 KiB aligned, as high as there is room, and gives it back', () => {
    const machine = host('direct');
    const { core, context } = machine;
    const { ggttCreate, ppgttCreate, ppgttDestroy, vmMm, mmNodeStart } = core.exports;
    const { ggttEntry } = core.tools;
    const { ppgttRegister, vmScratchEntry, mmNodes } = core.tools;
    const ggtt = made(ggttCreate(machine.device.handle, PLATFORM.IVB, 16 * MiB, 16 * MiB, MM_2015, COLOR_NONE));
    const first = made(ppgttCreate(ggtt, PPGTT_GEN6, 0, 0, MM_2015));
    const start = mmNodeStart(made(core.tools.mmNext(vmMm(ggtt), 0)));
    expect(start).toBe(14 * MiB - 65536);
    expect(ppgttRegister(first, 0)).toBe((start / 4096) * 4);
    const directory = ggttEntry(ggtt, start / 4096);
    expect(directory & 1).toBe(1);
    const more = Array.from({ length: 6 }, () => made(ppgttCreate(ggtt, PPGTT_GEN6, 0, 0, MM_2015)));
    expect(more.every((at) => at > 0)).toBe(true);
    const before = state(machine);
    expect(ppgttCreate(ggtt, PPGTT_GEN6, 0, 0, MM_2015), 'the global GTT is full').toBe(ENOSPC);
    expect(state(machine)).toEqual(before);
    for (const at of [first, ...more]) expect(ppgttDestroy(at)).toBe(0);
    expect(mmNodes(vmMm(ggtt))).toBe(0);
    expect(ggttEntry(ggtt, start / 4096)).toBe(vmScratchEntry(ggtt));
    expect(core.tools.machineCheck(context)).toBe(0);
  });

  test('what a platform does not have is refused', () => {
    const machine = host('direct');
    const { ppgttCreate, ggttCreate, ppgttAllocRange, ppgttInsertRange, ppgttClear, gpuTranslate } =
      machine.core.exports;
    const { ppgttEntry } = machine.core.tools;
    const [old, recent] = [PLATFORM.HSW, PLATFORM.GEN8].map((platform) =>
      made(ggttCreate(machine.device.handle, platform, GiB, 0, MM_2015, COLOR_NONE)),
    );
    const shapes: [GgttHandle, number, number, number][] = [
      [old, 3, 0, 0],
      [old, 4, 0, 0],
      [recent, 2, 0, 0],
      [recent, 5, 0, 0],
      [recent, 3, 8 * GiB, 0],
      [recent, 3, 4095, 0],
      [recent, 4, 0, PPGTT_PREALLOCATE],
      [old, 2, 0, PPGTT_PREALLOCATE],
    ];
    const refused = shapes.map(([ggtt, levels, total, flags]) => ppgttCreate(ggtt, levels, total, flags, MM_2015));
    expect(refused).toEqual(refused.map(() => -22));
    const ppgtt = made(ppgttCreate(recent, PPGTT_GEN8, 2 * GiB, 0, MM_2015));
    expect(ppgttAllocRange(ppgtt, 2 * GiB - 4096, 8192)).toBe(ERANGE);
    expect(ppgttAllocRange(ppgtt, -4096, 8192)).toBe(ERANGE);
    expect(ppgttAllocRange(ppgtt, 2 * GiB - 4096, 4096)).toBe(2);
    expect(ppgttInsertRange(ppgtt, 2 * GiB - 4096, 0, 2, CACHE.LLC, 0)).toBe(ERANGE);
    expect(ppgttInsertRange(ppgtt, 2 * GiB - 4096, 0, 1, CACHE.LLC, 0)).toBe(1);
    expect(ppgttInsertRange(ppgtt, 2 * GiB - 4095, 0, 1, CACHE.LLC, 0)).toBe(EINVAL);
    expect(ppgttClear(ppgtt, 2 * GiB, 1)).toBe(ERANGE);
    expect(ppgttEntry(ppgtt, 2 * GiB)).toBe(ERANGE);
    expect(gpuTranslate(ppgtt, 2 * GiB, false)).toBe(-1);
    expect(machine.device.reason).toBe('GPU_BEYOND_RANGE');
  });
});
