import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ContextHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { ScatterTable, type SgEntry } from '../../src/dma/sg-table.js';
import { verify } from '../../src/recordings/verify.js';
import { debug } from '../core/debug.js';

function host(pages = 4096): { core: Core; context: ContextHandle } {
  const core = new Core(debug);
  return { core, context: made(core.exports.machineCreate(2 ** 28, 2, pages, 0, 1)) };
}

/** The rule of sg_alloc_table_from_pages_segment, one page at a time. */
function expected(pfns: number[], offset: number, size: number, maxSegment: number, coalesce: boolean): SgEntry[] {
  const most = Math.floor(maxSegment / 4096);
  const entries: SgEntry[] = [];
  let left = size;
  for (let i = 0; i < pfns.length; ) {
    let n = 1;
    while (coalesce && n < most && i + n < pfns.length && pfns[i + n] === pfns[i] + n) ++n;
    const start = i === 0 ? offset : 0;
    const length = Math.min(left, n * 4096 - start);
    entries.push({ pfn: pfns[i], offset: start, length });
    left -= length;
    i += n;
  }
  return entries;
}

test('the recording of sg_alloc_table_from_pages_segment is reproduced', () => {
  const result = verify('test/golden/sg_table/from_pages-1.jsonl.gz');
  expect(result.divergence).toBeNull();
  expect(result.matched).toBe(result.steps);
  expect(result.steps).toBeGreaterThan(400);
});

describe('tables from pages', () => {
  test('entries follow the rule for any runs, offsets, sizes and limits', () => {
    const lists = fc.array(fc.tuple(fc.integer({ min: 1, max: 2 ** 31 }), fc.integer({ min: 1, max: 40 })), {
      minLength: 1,
      maxLength: 12,
    });
    const at = host();
    const property = fc.property(
      lists,
      fc.nat(4095),
      fc.nat(4095),
      fc.integer({ min: 4096, max: 2 ** 20 }),
      fc.boolean(),
      (runs, offset, short, maxSegment, coalesce) => {
        const pfns = runs.flatMap(([first, n]) => Array.from({ length: n }, (_, i) => first + i));
        // The table ends in its last page, whatever is cut off.
        const lastPage = pfns.length === 1 ? 4096 - offset : 4096;
        const size = pfns.length * 4096 - offset - Math.min(short, lastPage - 1);
        using table = ScatterTable.fromPages(at, pfns, { offset, size, maxSegment, coalesce });
        const entries = expected(pfns, offset, size, maxSegment, coalesce);
        expect(table.origNents).toBe(entries.length);
        expect(table.entries()).toEqual(entries);
        expect(table.bytes).toBe(size);
        // Backwards too: the walk starts over.
        const last = at.core.exports.sgEntryAddress(table.handle, entries.length - 1);
        expect(last).toBe(entries.at(-1)!.pfn * 4096 + entries.at(-1)!.offset);
        expect(at.core.exports.sgEntryAddress(table.handle, 0)).toBe(entries[0].pfn * 4096 + entries[0].offset);
      },
    );
    fc.assert(property, { seed: 20150629, numRuns: 300 });
    expect(at.core.tools.machineCheck(at.context)).toBe(0);
  });

  test('frames of its own come from RAM and go back to it', () => {
    const at = host(2048);
    const first = ScatterTable.allocate(at, 1700);
    expect(first.pageCount).toBe(1700);
    expect(new Set(first.pfns()).size).toBe(1700);
    expect(() => ScatterTable.allocate(at, 100)).toThrow(/ENOMEM/);
    first.release();
    const again = ScatterTable.allocate(at, 1700, { coalesce: false });
    expect(again.origNents).toBe(1700);
    again.release();
    expect(at.core.tools.machineCheck(at.context)).toBe(0);
  });

  test('a limit below a page, a size that ends elsewhere and an empty list are refused', () => {
    const at = host();
    const before = at.core.tools.machineRecords(at.context);
    expect(() => ScatterTable.fromPages(at, [5], { maxSegment: 4095 })).toThrow(/EINVAL/);
    expect(() => ScatterTable.fromPages(at, [5, 6], { size: 4096 })).toThrow(/EINVAL/);
    expect(() => ScatterTable.fromPages(at, [])).toThrow(RangeError);
    expect(() => ScatterTable.fromEntries(at, [{ pfn: 1, offset: 0, length: 0 }])).toThrow(RangeError);
    expect(at.core.tools.machineRecords(at.context)).toBe(before);
  });

  test.each([1, 2, 3, 4])('allocation %i of a build failing leaves nothing behind', (nth) => {
    for (const kind of [0, 1, 2, 5]) {
      const at = host();
      ScatterTable.allocate(at, 3).release();
      const before = at.core.tools.machineRecords(at.context);
      at.core.exports.faultArm(at.context, kind, nth);
      let failed = false;
      try {
        ScatterTable.allocate(at, 3000).release();
      } catch (error) {
        failed = true;
        expect(error).toMatchObject({ code: 'ENOMEM' });
      }
      expect(failed).toBe(at.core.tools.faultCount(at.context, kind) === 1);
      expect(at.core.tools.machineRecords(at.context)).toBe(before);
      expect(at.core.tools.machineCheck(at.context)).toBe(0);
    }
  });
});

test('a table of entries keeps them as given', () => {
  const at = host();
  const entries = [
    { pfn: 0x104b9f, offset: 636, length: 3460 },
    { pfn: 0x104b05, offset: 2824, length: 596 },
    { pfn: 0x105546, offset: 5000, length: 24544 },
  ];
  using table = ScatterTable.fromEntries(at, entries);
  expect(table.entries()).toEqual(entries);
  expect(table.segments()).toEqual([]);
  expect(table.bytes).toBe(3460 + 596 + 24544);
});
