import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  COLOR_I915,
  COLOR_NONE,
  EBUSY,
  EINVAL,
  ENOMEM,
  ENOSPC,
  MM_2015,
  MM_MODERN,
} from '../../src/core/generated/constants.js';
import type { ContextHandle, MmHandle, MmNodeHandle } from '../../src/core/generated/exports.js';
import { failed, made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { verify } from '../../src/recordings/verify.js';
import { debug } from '../core/debug.js';
import { MiB, random } from './host.js';
import { MmModel, MODERN, OLD } from './mm-model.js';

function machine(): { core: Core; ctx: ContextHandle } {
  const core = new Core(debug);
  return { core, ctx: made(core.exports.machineCreate(256 * MiB, 1, 1024, 0, 1)) };
}

describe('recordings of drm_mm.c', () => {
  const folder = new URL('../golden/drm_mm/', import.meta.url);
  test.each(readdirSync(folder))('%s', (name) => {
    const result = verify(new URL(name, folder).pathname);
    expect(result.divergence).toBeNull();
    expect(result.matched).toBe(result.steps);
    expect(result.steps).toBeGreaterThan(1000);
  });
});

describe.each([
  { flavour: MM_2015, rule: COLOR_NONE, modes: [OLD.default, OLD.best, OLD.below] },
  {
    flavour: MM_2015,
    rule: COLOR_I915,
    modes: [OLD.default, OLD.default + OLD.top, OLD.below + OLD.top, OLD.best + OLD.top],
  },
  { flavour: MM_MODERN, rule: COLOR_NONE, modes: [MODERN.best, MODERN.low, MODERN.high, MODERN.evict] },
  { flavour: MM_MODERN, rule: COLOR_I915, modes: [MODERN.best, MODERN.low, MODERN.high, MODERN.evict] },
  { flavour: MM_MODERN, rule: COLOR_NONE, modes: [MODERN.low, MODERN.high] },
])('any history equals the rules (flavour $flavour, colour rule $rule, modes $modes)', ({ flavour, rule, modes }) => {
  test.each([1, 2, 3])('seed %i', (seed) => {
    const { core, ctx } = machine();
    const { mmCreate, mmInsert, mmRemove, mmReserve, mmNodeStart, mmDestroy } = core.exports;
    const { machineCheck, machineRecords } = core.tools;
    const before = machineRecords(ctx);
    const pick = random(seed);
    const [base, size] = [pick(3) * 4096, (64 + pick(512)) * 65536];
    const mm = made(mmCreate(ctx, base, size, flavour, rule));
    const model = new MmModel(base, size, flavour === MM_MODERN, rule === COLOR_I915);
    const live: MmNodeHandle[] = [];
    for (let step = 0; step < 900; ++step) {
      const at = `seed ${seed}, step ${step}`;
      // Swings between filling and emptying, so that holes of all ages and sizes come and go.
      if (live.length > 0 && pick(100) < (step % 300 < 150 ? 25 : 65)) {
        const [node] = live.splice(pick(live.length), 1);
        model.remove(mmNodeStart(node));
        expect(mmRemove(node), at).toBe(0);
      } else if (pick(10) === 0) {
        const [start, bytes, color] = [base + pick(size / 4096) * 4096, (1 + pick(8)) * 4096, pick(2)];
        const expected = model.reserve(start, bytes, color);
        const node = mmReserve(mm, start, bytes, color);
        expect(failed(node) ? node : mmNodeStart(node), at).toBe(expected);
        if (!failed(node)) live.push(node);
      } else {
        const bytes = (1 + pick(pick(8) === 0 ? 400 : 24)) * 4096;
        const align = [0, 0, 4096, 8192, 65536, 3 * 4096][pick(6)];
        const [a, b] = [base + pick(size / 4096) * 4096, base + pick(size / 4096) * 4096];
        const [lo, hi] = pick(3) === 0 ? [Math.min(a, b), Math.max(a, b)] : [base, base + size];
        const [color, mode] = [pick(3) === 0 ? 1 : 0, modes[pick(modes.length)]];
        const expected = model.insert(bytes, align, color, lo, hi, mode);
        const node = mmInsert(mm, bytes, align, color, lo, hi, mode);
        expect(failed(node) ? node : mmNodeStart(node), at).toBe(expected);
        if (!failed(node)) live.push(node);
      }
      if (step % 30 === 0) {
        expect(machineCheck(ctx), at).toBe(0);
        expect(holesOf(core, mm, base), at).toEqual(model.holes());
      }
    }
    expect(mmDestroy(mm)).toBe(live.length);
    expect(machineRecords(ctx)).toBe(before);
    expect(machineCheck(ctx)).toBe(0);
  });
});

function holesOf(core: Core, mm: MmHandle, base: number): [number, number][] {
  const { mmNodeStart } = core.exports;
  const { mmNext, mmNodeSize, mmNodeHole, mmHeadHole } = core.tools;
  const holes: [number, number][] = mmHeadHole(mm) > 0 ? [[base, mmHeadHole(mm)]] : [];
  for (let node = mmNext(mm, 0); node !== 0; node = mmNext(mm, node)) {
    if (mmNodeHole(node) > 0) holes.push([mmNodeStart(node) + mmNodeSize(node), mmNodeHole(node)]);
  }
  return holes;
}

describe('placement', () => {
  test('2015: the colours 1,0,1,1,0 of an empty space without a shared cache are kept a page apart', () => {
    const { core, ctx } = machine();
    const { mmCreate, mmInsert, mmNodeStart } = core.exports;
    const mm = made(mmCreate(ctx, 0, 256 * MiB - 4096, MM_2015, COLOR_I915));
    const starts = [1, 0, 1, 1, 0].map((color) =>
      mmNodeStart(made(mmInsert(mm, 12288, 0, color, 0, 256 * MiB, OLD.default))),
    );
    expect(starts).toEqual([0x1000, 0x5000, 0x9000, 0xc000, 0x10000]);
  });

  test('modern: colours keep a page away from the end of the space, not from its beginning', () => {
    const { core, ctx } = machine();
    const { mmCreate, mmInsert, mmNodeStart } = core.exports;
    for (const color of [0, 1]) {
      const mm = made(mmCreate(ctx, 0, MiB, MM_MODERN, COLOR_I915));
      expect(mmNodeStart(made(mmInsert(mm, 8192, 0, color, 0, MiB, MODERN.high)))).toBe(MiB - 4096 - 8192);
      expect(mmNodeStart(made(mmInsert(mm, 8192, 0, color, 0, MiB, MODERN.low)))).toBe(0);
      expect(mmInsert(made(mmCreate(ctx, 0, 8192, MM_MODERN, COLOR_I915)), 8192, 0, color, 0, 8192, MODERN.best)).toBe(
        ENOSPC,
      );
      const old = made(mmCreate(ctx, 0, MiB, MM_2015, COLOR_I915));
      const top = OLD.default + OLD.top;
      expect(mmNodeStart(made(mmInsert(old, 8192, 0, color, 0, MiB, top)))).toBe(MiB - 8192);
    }
  });

  test('2015: what was freed last is used first', () => {
    const { core, ctx } = machine();
    const { mmCreate, mmInsert, mmNodeStart, mmRemove } = core.exports;
    const mm = made(mmCreate(ctx, 0, MiB, MM_2015, COLOR_NONE));
    const nodes = Array.from({ length: 8 }, () => made(mmInsert(mm, 4096, 0, 0, 0, MiB, OLD.default)));
    mmRemove(nodes[1]);
    mmRemove(nodes[5]);
    mmRemove(nodes[3]);
    const again = [0, 1, 2].map(() => mmNodeStart(made(mmInsert(mm, 4096, 0, 0, 0, MiB, OLD.default))));
    expect(again).toEqual([3 * 4096, 5 * 4096, 4096]);
  });

  test('refusals: no room, an unknown mode, crossed limits, size 0, each with nothing changed', () => {
    const { core, ctx } = machine();
    const { mmCreate, mmInsert, mmReserve } = core.exports;
    const { mmNodes } = core.tools;
    const [old, modern] = [MM_2015, MM_MODERN].map((flavour) => made(mmCreate(ctx, 0, MiB, flavour, COLOR_NONE)));
    for (const mm of [old, modern]) {
      expect(mmInsert(mm, 2 * MiB, 0, 0, 0, MiB, MODERN.best)).toBe(ENOSPC);
      expect(mmInsert(mm, 4096, 2 * MiB, 0, 4096, MiB, MODERN.best)).toBe(ENOSPC);
      expect(mmInsert(mm, 4096, 0, 0, 8192, 4096, MODERN.best)).toBe(EINVAL);
      expect(mmInsert(mm, 4096, 0, 0, 0, MiB, 9)).toBe(EINVAL);
      expect(mmReserve(mm, MiB - 4096, 8192, 0)).toBe(ENOSPC);
      expect(mmNodes(mm)).toBe(0);
    }
    expect(mmInsert(old, 0, 0, 0, 0, MiB, OLD.default)).toBe(EINVAL);
    expect(mmInsert(modern, 0, 0, 0, 0, MiB, MODERN.best)).toBe(ENOSPC);
    expect(mmCreate(ctx, 0, 0, MM_2015, COLOR_NONE)).toBe(EINVAL);
    expect(mmCreate(ctx, 0, MiB, 2, COLOR_NONE)).toBe(EINVAL);
    expect(core.tools.machineCheck(ctx)).toBe(0);
  });

  test('every allocation inside an insert can fail, and nothing stays behind', () => {
    const { core, ctx } = machine();
    const { mmCreate, mmInsert, mmDestroy, faultArm } = core.exports;
    const { machineCheck, machineRecords, mmNodes } = core.tools;
    mmDestroy(made(mmCreate(ctx, 0, MiB, MM_MODERN, COLOR_NONE)));
    const empty = machineRecords(ctx);
    for (const [kind, times] of [
      [8, 1],
      [1, 2],
      [0, 1],
    ]) {
      for (let nth = 1; nth <= times; ++nth) {
        faultArm(ctx, kind, nth);
        expect(mmCreate(ctx, 0, MiB, MM_MODERN, COLOR_NONE), `kind ${kind} nth ${nth}`).toBe(ENOMEM);
        expect(machineRecords(ctx)).toBe(empty);
      }
    }
    const mm = made(mmCreate(ctx, 0, 64 * MiB, MM_MODERN, COLOR_NONE));
    let refused = 0;
    for (let i = 0; i < 600; ++i) {
      const records = machineRecords(ctx);
      for (const kind of [8, 1, 0]) {
        faultArm(ctx, kind, 1);
        const node = mmInsert(mm, 4096, 8192, 0, 0, 64 * MiB, MODERN.low);
        faultArm(ctx, kind, 0);
        if (node > 0) continue;
        expect(node).toBe(ENOMEM);
        expect(machineRecords(ctx)).toBe(records);
        ++refused;
      }
      expect(mmInsert(mm, 4096, 8192, 0, 0, 64 * MiB, MODERN.low)).toBeGreaterThan(0);
      if (i % 50 === 0) expect(machineCheck(ctx)).toBe(0);
    }
    expect(refused).toBeGreaterThan(1200);
    expect(mmNodes(mm)).toBeGreaterThan(500);
    expect(machineCheck(ctx)).toBe(0);
  });
});

describe('eviction scan', () => {
  /** Fills a manager with 64 KiB nodes, then scans for a size in a given order of nodes. */
  function scan(flavour: number, size: number, order: number[], range: [number, number] = [0, MiB]) {
    const { core, ctx } = machine();
    const { mmCreate, mmInsert, mmScanInit, mmScanAdd, mmScanRemove, mmRemove, mmNodeStart } = core.exports;
    const { machineCheck } = core.tools;
    const mm = made(mmCreate(ctx, 0, MiB, flavour, COLOR_NONE));
    const nodes = Array.from({ length: 16 }, () =>
      made(mmInsert(mm, 65536, 0, 0, 0, MiB, flavour === 0 ? 0 : MODERN.low)),
    );
    expect(mmInsert(mm, size, 0, 0, 0, MiB, MODERN.best)).toBe(ENOSPC);
    expect(mmScanInit(mm, size, 0, 0, ...range, 0)).toBe(0);
    const added: number[] = [];
    let found = false;
    for (const index of order) {
      added.push(index);
      found = mmScanAdd(nodes[index]) === 1;
      if (found) break;
    }
    expect(mmInsert(mm, 4096, 0, 0, 0, MiB, MODERN.best), 'a manager that is being scanned does nothing else').toBe(
      EBUSY,
    );
    expect(mmScanAdd(nodes[added[0]])).toBe(EINVAL);
    const victims = added.reverse().filter((index) => mmScanRemove(nodes[index]) === 1);
    expect(machineCheck(ctx)).toBe(0);
    if (!found) return { found, victims, start: -1 };
    for (const index of victims) mmRemove(nodes[index]);
    const node = made(mmInsert(mm, size, 0, 0, ...range, flavour === 0 ? 0 : MODERN.low));
    expect(machineCheck(ctx)).toBe(0);
    return { found, victims: victims.sort((a, b) => a - b), start: node > 0 ? mmNodeStart(node) : node };
  }

  test.each([MM_2015, MM_MODERN])('only neighbours of the hole go (flavour %i)', (flavour) => {
    const result = scan(flavour, 3 * 65536, [0, 9, 3, 11, 4, 10, 5]);
    expect(result).toEqual({ found: true, victims: [9, 10, 11], start: 9 * 65536 });
  });

  test('2015 evicts all of the hole, the modern manager only what the request will cover', () => {
    // A hole of 128 KiB grows by a whole node although 4 KiB more would do.
    const order = [7, 8, 6];
    expect(scan(MM_2015, 2 * 65536 + 4096, order).victims).toEqual([6, 7, 8]);
    expect(scan(MM_MODERN, 2 * 65536, order).victims).toEqual([7, 8]);
  });

  test('limits hold for the hit', () => {
    expect(scan(MM_MODERN, 2 * 65536, [0, 1, 8, 9], [MiB / 2, MiB]).victims).toEqual([8, 9]);
    expect(scan(MM_2015, 2 * 65536, [0, 1, 8, 9], [MiB / 2, MiB]).victims).toEqual([8, 9]);
  });

  test('nothing found: nothing has to go', () => {
    expect(scan(MM_MODERN, 2 * 65536, [0, 2, 4])).toEqual({ found: false, victims: [], start: -1 });
    expect(scan(MM_2015, 2 * 65536, [0, 2, 4])).toEqual({ found: false, victims: [], start: -1 });
  });
});
