import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NaiveDma } from '../../bench/naive/dma.js';
import { FirstFitIova, FreeListIova } from '../../bench/naive/iova.js';
import { NaivePageTable } from '../../bench/naive/page-table.js';

// A peer that is wrong would make every ratio beside it worthless.

const history = fc.array(fc.record({ size: fc.integer({ min: 1, max: 70 }), free: fc.boolean(), pick: fc.nat() }), {
  minLength: 1,
  maxLength: 120,
});

describe('naive IOVA allocators', () => {
  test('first fit returns the highest place that fits, by an exhaustive search', () => {
    const START = 1;
    const LIMIT = 400;
    fc.assert(
      fc.property(history, fc.boolean(), (steps, aligned) => {
        const iova = new FirstFitIova(START);
        const used = new Uint8Array(LIMIT + 1);
        const live: { at: number; size: number }[] = [];
        for (const { size, free, pick } of steps) {
          if (free && live.length > 0) {
            const [{ at, size: n }] = live.splice(pick % live.length, 1);
            expect(iova.free(at)).toBe(true);
            used.fill(0, at, at + n);
            continue;
          }
          const align = aligned ? 2 ** Math.ceil(Math.log2(size)) : 1;
          let best = 0;
          for (let at = LIMIT + 1 - size; at >= START && best === 0; --at) {
            if (at % align === 0 && !used.subarray(at, at + size).includes(1)) best = at;
          }
          expect(iova.alloc(size, LIMIT, aligned)).toBe(best);
          if (best === 0) continue;
          used.fill(1, best, best + size);
          live.push({ at: best, size });
        }
        expect(iova.free(LIMIT + 5)).toBe(false);
      }),
    );
  });

  test('free lists never hand out what is live, aligned, and reuse what was freed', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const iova = new FreeListIova(100_000);
        const used = new Uint8Array(100_001);
        const live: { at: number; size: number }[] = [];
        for (const { size, free, pick } of steps) {
          if (free && live.length > 0) {
            const [{ at, size: n }] = live.splice(pick % live.length, 1);
            iova.free(at, n);
            used.fill(0, at, at + n);
            continue;
          }
          const at = iova.alloc(size);
          expect(at % 2 ** Math.ceil(Math.log2(size))).toBe(0);
          expect(used.subarray(at, at + size).includes(1)).toBe(false);
          used.fill(1, at, at + size);
          live.push({ at, size });
        }
      }),
    );
    expect(new FreeListIova(7).alloc(16)).toBe(0);
  });
});

describe('naive page table and DMA API', () => {
  test('maps across tables, refuses a second mapping and takes back what it had done', () => {
    const table = new NaivePageTable();
    const pfns = Uint32Array.from({ length: 1000 }, (_, i) => 0xfff_f000 - 7 * i);
    expect(table.map(300, pfns, 1000)).toBe(true);
    for (const i of [0, 211, 212, 999]) expect(table.lookup(300 + i)).toBe(pfns[i]);
    expect([table.lookup(299), table.lookup(1300)]).toEqual([-1, -1]);
    expect(table.map(100, pfns, 300)).toBe(false);
    expect([table.lookup(100), table.lookup(299)]).toEqual([-1, -1]);
    table.unmap(300, 1000);
    expect([300, 511, 512, 1299].map((page) => table.lookup(page))).toEqual([-1, -1, -1, -1]);
  });

  test('dma-debug refuses an unmap that matches no mapping', () => {
    const dma = new NaiveDma(true);
    const iova = dma.mapSg(Uint32Array.of(9, 3, 5));
    expect([dma.lookup(iova), dma.lookup(iova + 2)]).toEqual([9, 5]);
    expect([dma.unmap(iova, 2), dma.unmap(iova + 1, 3), dma.unmap(iova, 3), dma.unmap(iova, 3)]).toEqual([
      false,
      false,
      true,
      false,
    ]);
    expect(dma.lookup(dma.mapPage(77))).toBe(77);
  });
});
