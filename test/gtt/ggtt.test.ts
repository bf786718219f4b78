import { describe, expect, test } from 'vitest';
import { COLOR_NONE, EINVAL, ENOMEM, ERANGE, MM_2015 } from '../../src/core/generated/constants.js';
import type { GgttHandle } from '../../src/core/generated/exports.js';
import { failed, made } from '../../src/core/handle.js';
import { DmaDevice } from '../../src/dma/device.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL } from '../../src/dma/transfer.js';
import { CACHE, GiB, type Host, host, MiB, mapped, type Path, PLATFORM } from './host.js';

const PATHS: Path[] = ['direct', 'iommu', 'iommu-2015'];

function ggtt({ core, device }: Host, platform: number, total = 2 * GiB): GgttHandle {
  return made(core.exports.ggttCreate(device.handle, platform, total, Math.min(total, 256 * MiB), MM_2015, COLOR_NONE));
}

function entries({ core }: Host, at: GgttHandle, first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => core.tools.ggttEntry(at, first + i));
}

/** The entries that a table's pages must have, from their own DMA addresses. */
function expected({ core }: Host, table: ScatterTable, platform: number, level: number, pages?: number[]): number[] {
  const list = pages ?? Array.from({ length: table.pageCount }, (_, i) => i);
  return list.map((page) => core.tools.gpuPteEncode(platform, table.dmaAddress(page), level, 0));
}

describe.each(PATHS)('global GTT, device %s', (path) => {
  describe.each([PLATFORM.SNB, PLATFORM.IVB, PLATFORM.BYT, PLATFORM.HSW, PLATFORM.HSW_EDRAM, PLATFORM.GEN8])(
    'platform %i',
    (platform) => {
      test('entry k of what is bound is page k; all others stay on the scratch page', () => {
        const machine = host(path);
        const { ggttInsert, ggttClear } = machine.core.exports;
        const { vmScratchEntry, vmScratch, gpuPteAddress, machineCheck } = machine.core.tools;
        const gtt = ggtt(machine, platform);
        const scratch = vmScratchEntry(gtt);
        expect(gpuPteAddress(platform, scratch)).toBe(vmScratch(gtt));
        // Odd numbers of pages at odd places: every head and tail of a row that SIMD fills.
        for (const [pages, first] of [
          [1, 7],
          [2, 11],
          [3, 16],
          [5, 33],
          [67, 101],
          [1024, 4099],
        ]) {
          const table = mapped(machine, pages);
          expect(ggttInsert(gtt, first * 4096, table.handle, CACHE.LLC, 0)).toBe(pages);
          expect(entries(machine, gtt, first, pages)).toEqual(expected(machine, table, platform, CACHE.LLC));
          expect(entries(machine, gtt, first - 1, 1)).toEqual([scratch]);
          expect(entries(machine, gtt, first + pages, 1)).toEqual([scratch]);
          expect(ggttClear(gtt, first * 4096, pages)).toBe(0);
          expect(new Set(entries(machine, gtt, first, pages))).toEqual(new Set([scratch]));
        }
        expect(machineCheck(machine.context)).toBe(0);
      });

      test('views show the pages they list, in their order', () => {
        const machine = host(path);
        const { ggttInsertPages } = machine.core.exports;
        const gtt = ggtt(machine, platform);
        const table = mapped(machine, 12);
        // A rotated view of 4 x 3 tiles: column by column, the bottom row first. A partial view: pages 5 to 8.
        const rotated = [0, 1, 2, 3].flatMap((column) => [2, 1, 0].map((row) => row * 4 + column));
        for (const [first, pages] of [
          [64, rotated],
          [128, [5, 6, 7, 8]],
        ] as const) {
          const at = machine.core.staging(machine.context);
          machine.core.writeWords(at, pages);
          const { length } = pages;
          expect(ggttInsertPages(gtt, first * 4096, table.handle, at, length, CACHE.NONE, 0)).toBe(length);
          const wanted = expected(machine, table, platform, CACHE.NONE, [...pages]);
          expect(entries(machine, gtt, first, length)).toEqual(wanted);
        }
        const at = machine.core.staging(machine.context);
        machine.core.writeWords(at, [0, 12]);
        expect(ggttInsertPages(gtt, 0, table.handle, at, 2, CACHE.NONE, 0), 'page 12 of 12').toBe(EINVAL);
        expect(ggttInsertPages(gtt, 0, table.handle, at, 0xffffffff, CACHE.NONE, 0)).toBeLessThan(0);
      });
    },
  );
});

describe('sources of entries', () => {
  test('a range of addresses, also across 4 GiB, where the upper bits of 32-bit entries change', () => {
    const machine = host('direct');
    const { ggttInsertRange } = machine.core.exports;
    const { gpuPteEncode } = machine.core.tools;
    for (const platform of [PLATFORM.SNB, PLATFORM.HSW, PLATFORM.GEN8]) {
      const gtt = ggtt(machine, platform);
      const base = 3 * 2 ** 32 - 5 * 4096;
      expect(ggttInsertRange(gtt, 4096, base, 11, CACHE.LLC, 0)).toBe(11);
      const wanted = Array.from({ length: 11 }, (_, i) => gpuPteEncode(platform, base + i * 4096, CACHE.LLC, 0));
      expect(entries(machine, gtt, 1, 11)).toEqual(wanted);
      expect(ggttInsertRange(gtt, 0, 4097, 1, CACHE.LLC, 0)).toBe(EINVAL);
    }
  });

  test('bounced pages: entries hold the addresses of the slots', () => {
    const machine = host('direct');
    expect(machine.core.exports.swiotlbCreate(machine.context, 2048, 1, 0, 0)).toBe(0);
    const device = new DmaDevice(machine, { id: 2, maskBits: 39, forceBounce: true });
    const gtt = made(machine.core.exports.ggttCreate(device.handle, PLATFORM.GEN8, GiB, 0, MM_2015, COLOR_NONE));
    const table = ScatterTable.allocate(machine, 9, { coalesce: false });
    expect(device.mapSg(table, DMA_BIDIRECTIONAL), device.reason).toBe(9);
    expect(machine.core.exports.ggttInsert(gtt, 8192, table.handle, CACHE.LLC, 0)).toBe(9);
    const got = entries(machine, gtt, 2, 9);
    expect(got).toEqual(expected(machine, table, PLATFORM.GEN8, CACHE.LLC));
    expect(got).toEqual(table.segments().map(({ address }) => address + 0x83));
    expect(table.pfns().some((pfn, page) => pfn * 4096 === table.dmaAddress(page))).toBe(false);
  });

  test.each(PATHS)('a list of odd entries: each takes whole pages, the way %s maps it', (path) => {
    const machine = host(path);
    const gtt = ggtt(machine, PLATFORM.IVB);
    const pfns = [...mapped(machine, 16).pfns()];
    const table = ScatterTable.fromEntries(machine, [
      { pfn: pfns[0], offset: 512, length: 512 },
      { pfn: pfns[3], offset: 0, length: 4096 },
      { pfn: pfns[5], offset: 4000, length: 200 },
    ]);
    const nents = machine.device.mapSg(table, DMA_BIDIRECTIONAL);
    expect(nents).toBeGreaterThan(0);
    const pages = table.segments().flatMap(({ address, length }) => {
      const first = Math.floor(address / 4096);
      return Array.from({ length: Math.ceil((address + length) / 4096) - first }, (_, i) => (first + i) * 4096);
    });
    expect(machine.core.exports.ggttInsert(gtt, 0, table.handle, CACHE.LLC, 0)).toBe(pages.length);
    const wanted = pages.map((page) => machine.core.tools.gpuPteEncode(PLATFORM.IVB, page, CACHE.LLC, 0));
    expect(entries(machine, gtt, 0, pages.length)).toEqual(wanted);
  });
});

describe('limits', () => {
  test('the guard page is never written, and what lies outside or is not mapped is refused', () => {
    const machine = host('iommu');
    const { ggttInsert, ggttInsertRange, ggttClear, vmTotal } = machine.core.exports;
    const { ggttEntry } = machine.core.tools;
    const { ggttMappable } = machine.core.tools;
    const gtt = ggtt(machine, PLATFORM.IVB, 64 * MiB);
    const last = (64 * MiB) / 4096 - 1;
    const scratch = ggttEntry(gtt, last);
    const table = mapped(machine, 4);
    expect(ggttInsert(gtt, (last - 3) * 4096, table.handle, CACHE.LLC, 0)).toBe(ERANGE);
    expect(ggttInsert(gtt, (last - 4) * 4096, table.handle, CACHE.LLC, 0)).toBe(4);
    expect(ggttEntry(gtt, last)).toBe(scratch);
    expect(ggttInsert(gtt, 2048, table.handle, CACHE.LLC, 0)).toBe(EINVAL);
    expect(ggttInsert(gtt, -4096, table.handle, CACHE.LLC, 0)).toBe(ERANGE);
    expect(ggttInsert(gtt, Number.NaN, table.handle, CACHE.LLC, 0)).toBe(ERANGE);
    expect(ggttInsert(gtt, 2 ** 60, table.handle, CACHE.LLC, 0)).toBe(ERANGE);
    expect(ggttInsertRange(gtt, 0, 0, 0xffffffff, CACHE.LLC, 0)).toBeLessThan(0);
    expect(ggttClear(gtt, 64 * MiB, 1)).toBe(ERANGE);
    expect(ggttEntry(gtt, last + 1)).toBe(ERANGE);
    const unmapped = ScatterTable.allocate(machine, 4);
    expect(ggttInsert(gtt, 0, unmapped.handle, CACHE.LLC, 0)).toBe(EINVAL);
    expect([ggttMappable(gtt), vmTotal(gtt)]).toEqual([64 * MiB, 64 * MiB]);
  });

  test('sizes that cannot be', () => {
    const machine = host('direct');
    const { ggttCreate } = machine.core.exports;
    const { machineRecords } = machine.core.tools;
    const records = machineRecords(machine.context);
    const { handle } = machine.device;
    const refused = [
      [9, GiB, 0],
      [0, 4096, 0],
      [0, 8 * GiB, 0],
      [0, GiB + 5, 0],
      [0, GiB, 2 * GiB],
      [0, GiB, -1],
    ].map(([platform, total, mappable]) => ggttCreate(handle, platform, total, mappable, MM_2015, COLOR_NONE));
    expect(refused).toEqual(refused.map(() => -22));
    expect(machineRecords(machine.context)).toBe(records);
  });

  test.each(PATHS)('every allocation can fail, and nothing stays behind (%s)', (path) => {
    const machine = host(path);
    const { faultArm, ggttCreate, ggttDestroy } = machine.core.exports;
    const { faultPending, machineCheck, machineRecords } = machine.core.tools;
    const { handle } = machine.device;
    ggttDestroy(made(ggttCreate(handle, PLATFORM.GEN8, GiB, 0, MM_2015, COLOR_NONE)));
    const before = { records: machineRecords(machine.context), ...machine.device.counts };
    let failures = 0;
    for (let kind = 0; kind <= 8; ++kind) {
      for (let nth = 1; ; ++nth) {
        faultArm(machine.context, kind, nth);
        const gtt = ggttCreate(handle, PLATFORM.GEN8, GiB, 0, MM_2015, COLOR_NONE);
        const struck = faultPending(machine.context, kind) === 0;
        faultArm(machine.context, kind, 0);
        if (!failed(gtt)) {
          ggttDestroy(gtt);
          if (!struck) break;
          continue;
        }
        expect(gtt, `kind ${kind}, allocation ${nth}`).toBe(ENOMEM);
        const { maps, unmaps } = machine.device.counts;
        expect(maps - unmaps).toBe(before.maps - before.unmaps);
        expect(machineRecords(machine.context), `kind ${kind}, allocation ${nth}`).toBe(before.records);
        expect(machineCheck(machine.context)).toBe(0);
        ++failures;
      }
    }
    expect(failures).toBeGreaterThan(5);
  });
});
