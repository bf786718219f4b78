import { expect, test } from 'vitest';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { ALLOCATORS, type AllocatorRules, ruleFlags } from '../../src/iova/allocators.js';
import { debug } from '../core/debug.js';
import { Linux612 } from './model.js';

const LINE = 0x100000;

/** mulberry32 */
function random(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) % n;
  };
}

// Kernels without a row: the tree has had its anchor since 4.15, max32_alloc_size since 4.20, the second pass since 5.11.
const ROWS: Record<string, AllocatorRules> = {
  'tree-4.19': { ...ALLOCATORS['tree-6.12'], secondPass: false, max32: false },
  'tree-5.4': { ...ALLOCATORS['tree-6.12'], secondPass: false },
};

test.each(Object.entries(ROWS))(
  '%s is a row of properties, and places ranges where a plain model of it does',
  (_, row) => {
    for (const seed of [1, 2, 3]) {
      const core = new Core(debug);
      const context = made(core.exports.machineCreate(2 ** 28, 1, 1024, 0, 1));
      const { iovaAllocate, iovaCreate, iovaRelease } = core.exports;
      const domain = iovaCreate(context, ruleFlags(row), 12, 1, LINE, 1);
      if (domain === 0) throw new Error('no domain');
      const model = new Linux612(1, LINE, row);
      // What the rules are for: requests that 6.12 answers otherwise.
      const modern = new Linux612(1, LINE);
      const r = random(seed);
      const live: number[] = [];
      let different = 0;
      for (let step = 0; step < 3000; ++step) {
        const at = `seed ${seed}, step ${step}`;
        if (r(100) < (live.length < 300 ? 60 : 45)) {
          const [pages, limit] = [1 + r(1 << r(8)), [0x3ff, 0x7ff, 0xfffff][r(3)]];
          const pfn = model.alloc(pages, limit, true);
          expect(iovaAllocate(domain, pages, limit, true), at).toBe(pfn);
          if (pfn !== 0) live.push(pfn);
          if (modern.alloc(pages, limit, true) !== pfn) ++different;
        } else if (live.length > 0) {
          const [pfn] = live.splice(r(live.length), 1);
          model.free(pfn);
          modern.free(pfn);
          expect(iovaRelease(domain, pfn), at).toBe(1);
        }
      }
      expect(core.tools.iovaDomainCheck(domain)).toBe(0);
      expect(different).toBeGreaterThan(0);
    }
  },
);

test('the core refuses rules that it does not know', () => {
  const core = new Core(debug);
  const context = made(core.exports.machineCreate(2 ** 28, 1, 1024, 0, 1));
  expect(core.exports.iovaCreate(context, 256, 12, 1, LINE, 1)).toBe(0);
});
