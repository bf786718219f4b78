import { describe, expect, test } from 'vitest';
import {
  DOMAIN_UNMAP_EXACT,
  DOMAIN_WRITE_IMPLIES_READ,
  EFAULT,
  ENOMEM,
  FAULT_PAGE_TABLE,
  PAGE_SIZE as PAGE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/core/generated/constants.js';
import type { ContextHandle, IommuDomainHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { readTables } from '../../src/core/iommu.js';
import { debug } from '../core/debug.js';
import { DomainModel } from './model.js';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;
const BITMAPS = [0, 0x1000, 0x201000, 0x40201000];

/** A seeded generator (mulberry32) of whole numbers below a bound. */
function random(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}

/** The core's domain and the model beside it; every call goes to both. */
class Pair {
  readonly core = new Core(debug);
  readonly ctx: ContextHandle;
  readonly domain: IommuDomainHandle;
  readonly model: DomainModel;

  constructor(levels: number, leafLevel: number, ram = 64 * MiB) {
    this.ctx = made(this.core.exports.machineCreate(256 * MiB, 2, ram / PAGE, 0, 1));
    this.domain = made(
      this.core.exports.domainCreate(this.ctx, levels, 0, BITMAPS[leafLevel], DOMAIN_WRITE_IMPLIES_READ),
    );
    expect(this.domain).toBeGreaterThan(0);
    this.model = new DomainModel(levels, leafLevel, ram);
  }

  map(iova: number, phys: number, size: number, prot: number): void {
    const rc = this.core.exports.domainMap(this.domain, iova, phys, size, prot);
    expect(rc).toBe(this.model.map(iova, phys, size, prot));
  }

  /** Frames anywhere through the vector; the model sees one map for each run of adjacent frames. */
  mapPfns(iova: number, pfns: number[], prot: number): void {
    const at = this.core.staging(this.ctx);
    this.core.writeWords(at, pfns);
    expect(this.core.exports.domainMapPfns(this.domain, iova, at, pfns.length, prot)).toBe(0);
    for (let start = 0, i = 1; i <= pfns.length; ++i) {
      if (i < pfns.length && pfns[i] === pfns[i - 1] + 1) continue;
      this.model.map(iova + start * PAGE, pfns[start] * PAGE, (i - start) * PAGE, prot);
      start = i;
    }
  }

  unmap(iova: number, size: number): void {
    expect(this.core.exports.domainUnmap(this.domain, iova, size)).toBe(this.model.unmap(iova, size));
  }

  check(): void {
    const { physRead } = this.core.exports;
    const { domainTablePages } = this.core.tools;
    const { domainAlreadySet, machineCheck } = this.core.tools;
    expect(machineCheck(this.ctx) >>> 0).toBe(0);
    expect(domainTablePages(this.domain)).toBe(this.model.tablePages);
    expect(domainAlreadySet(this.domain)).toBe(this.model.alreadySet);
    const entries = readTables(this.core, this.ctx, this.domain);
    expect(
      entries.map(({ raw, ...entry }) => ({ ...entry, raw: Number(entry.run === 0 ? raw % BigInt(PAGE) : raw) })),
    ).toEqual(this.model.dump());
    const at = this.core.staging(this.ctx);
    for (const [address, raw] of this.model.words) {
      expect(physRead(this.ctx, address, at, 8)).toBe(0);
      expect(this.core.readWord(at) + this.core.readWord(at + 4) * 2 ** 32, `word at ${address}`).toBe(raw);
    }
  }
}

describe.each([
  [3, 3],
  [4, 3],
  [4, 2],
  [4, 1],
  [5, 3],
])('%i levels, leaves up to level %i', (levels, leafLevel) => {
  test.each([1, 2, 3, 4])('random maps and unmaps match the model, seed %i', (seed) => {
    const pick = random(seed * 100 + levels * 10 + leafLevel);
    const pair = new Pair(levels, leafLevel);
    const top = 2 ** (12 + 9 * levels);
    // Where tables meet: the start, a 2 MiB and a 1 GiB border, a border of the level above, the end of the width.
    const places = [0, 6 * MiB, GiB - 2 * MiB, 2 ** 39 - 4 * MiB, top - 4 * MiB].filter((at) => at < top);
    const live: [iova: number, size: number][] = [];
    for (let step = 0; step < 150; ++step) {
      const place = places[pick(places.length)];
      const sizes = [1, 1 + pick(8), 512, 512 * (1 + pick(3)), 1 + pick(1500), 511 + pick(3)];
      const size = sizes[pick(sizes.length)] * PAGE;
      const aligned = pick(2) === 0;
      const iova = place + (aligned ? pick(3) * 2 * MiB : pick(1024) * PAGE);
      const prot = [1, 2, 3, 7, 0][pick(20) === 0 ? 4 : pick(4)];
      const kind = pick(10);
      if (iova + size > top && kind >= 5) continue;
      if (kind < 5 && iova + size <= top) {
        const frame = pick(2) === 0 ? pick(8) * 2 * MiB : pick(4096) * PAGE;
        pair.map(iova, (pick(4) === 0 ? 2 ** 36 : 0) + frame + (aligned ? 0 : iova % (2 * MiB)), size, prot);
        live.push([iova, size]);
      } else if (kind < 7 && live.length > 0) {
        const [[at, bytes]] = live.splice(pick(live.length), 1);
        pair.unmap(at, bytes);
      } else if (kind < 8) pair.unmap(iova, size);
      else if (kind < 9) {
        const pfns: number[] = [];
        while (pfns.length < size / PAGE) {
          const run = pick(3) === 0 ? 512 * (1 + pick(2)) : 1 + pick(20);
          const first = run >= 512 ? pick(64) * 512 : pick(2 ** 20);
          for (let i = 0; i < run && pfns.length < size / PAGE; ++i) pfns.push(first + i);
        }
        pair.mapPfns(iova, pfns, 3);
        live.push([iova, size]);
      } else {
        for (let i = 0; i < 20; ++i) {
          const at = iova + pick(2 ** 22);
          const phys = pair.core.exports.domainIovaToPhys(pair.domain, at);
          expect(phys, `seed ${seed}, step ${step}`).toBe(pair.model.iovaToPhys(at));
        }
      }
      if (step % 5 === 0 || step === 149) pair.check();
    }
  });
});

test('1 GiB leaves, whole and in part, and tables that hang off mapped memory', () => {
  const pair = new Pair(4, 3);
  pair.map(GiB, 0, GiB, 3);
  pair.map(2 * GiB, 0, GiB, 3);
  pair.check();
  pair.map(GiB + 5 * MiB, 0x300000, 3 * PAGE, 1);
  expect(pair.model.tablePages, 'a level-1 table that only the mapped bytes point to').toBe(3);
  pair.check();
  pair.unmap(GiB + 5 * MiB, PAGE);
  pair.check();
  pair.map(2 * GiB + 8 * MiB, 4 * MiB, 2 * MiB, 3);
  pair.map(2 * GiB + 8 * MiB, 8 * MiB, 2 * MiB, 3);
  expect(pair.model.alreadySet).toBe(1);
  expect(pair.core.exports.domainIovaToPhys(pair.domain, 2 * GiB), 'the leaf around it went').toBe(0);
  pair.check();
  pair.unmap(GiB, GiB);
  pair.check();
  expect(pair.core.exports.domainDestroy(pair.domain)).toBe(1);
  expect(pair.core.tools.machineCheck(pair.ctx)).toBe(0);
});

test('a run of frames over a live 1 GiB leaf is one run for the conflict', () => {
  const pair = new Pair(4, 3);
  pair.map(0, 0, GiB, 3);
  const pfns = Array.from({ length: 1024 }, (_, i) => i);
  pair.mapPfns(0, pfns, 3);
  expect(pair.model.alreadySet).toBe(0);
  pair.check();
  pair.mapPfns(0, pfns, 3);
  expect(pair.core.tools.domainAlreadySet(pair.domain)).toBe(2);
  expect(pair.core.tools.domainTablePages(pair.domain)).toBe(2);
  expect(pair.core.exports.domainMapped(pair.domain, 2 * MiB), 'the leaf around both went').toBe(0);
  pair.check();
});

test('a 1 GiB leaf over a table leaks the tables behind a 2 MiB leaf, as the kernel does', () => {
  const pair = new Pair(4, 3);
  const { domainIovaToPhys, domainDestroy } = pair.core.exports;
  const { domainTablePages, machineCheck } = pair.core.tools;
  pair.map(GiB, 0, 2 * MiB + PAGE, 3);
  expect(domainTablePages(pair.domain)).toBe(4);
  pair.map(GiB, GiB, GiB, 3);
  expect(domainTablePages(pair.domain), 'root, level 3, and the table that nothing points to').toBe(3);
  expect(domainIovaToPhys(pair.domain, GiB + 2 * MiB)).toBe(GiB + 2 * MiB);
  pair.check();
  // A table before the leaf is freed, and one behind a hole; of those behind the leaf all are lost.
  pair.map(2 * GiB, 0, PAGE, 3);
  pair.map(2 * GiB + 2 * MiB, 0, 2 * MiB, 3);
  pair.map(2 * GiB + 8 * MiB, 0, PAGE, 3);
  pair.map(2 * GiB + 20 * MiB, 0, PAGE, 3);
  expect(domainTablePages(pair.domain)).toBe(7);
  pair.map(2 * GiB, 0, GiB, 3);
  expect(domainTablePages(pair.domain)).toBe(5);
  pair.check();
  expect(domainDestroy(pair.domain)).toBe(1);
  expect(machineCheck(pair.ctx)).toBe(0);
});

test('tables behind a hole of the replaced table are freed', () => {
  const pair = new Pair(4, 3);
  pair.map(GiB + 2 * MiB, 0, 2 * MiB, 3);
  pair.map(GiB + 4 * MiB, 0, PAGE, 3);
  expect(pair.model.tablePages).toBe(4);
  pair.map(GiB, GiB, GiB, 3);
  expect(pair.model.tablePages, 'the loop ends at the first entry that is not present').toBe(2);
  pair.check();
});

describe('failing', () => {
  /** Everything a failed call could have left behind. */
  const state = ({ core, ctx, domain }: Pair): unknown => [
    readTables(core, ctx, domain),
    core.tools.domainTablePages(domain),
    core.tools.machineRecords(ctx),
    core.tools.machineCheck(ctx),
  ];

  test.each([
    [
      'a run over several tables',
      (pair: Pair) => pair.core.exports.domainMap(pair.domain, GiB - 3 * MiB, PAGE, 6 * MiB, PROT_READ | PROT_WRITE),
    ],
    [
      'large leaves over live tables',
      (pair: Pair) => pair.core.exports.domainMap(pair.domain, 0, 2 * MiB, GiB + 5 * PAGE, PROT_READ | PROT_WRITE),
    ],
    [
      'scattered frames',
      (pair: Pair) => {
        const at = pair.core.staging(pair.ctx);
        pair.core.writeWords(
          at,
          Array.from({ length: 1500 }, (_, i) => (i * 7919) % 16384),
        );
        return pair.core.exports.domainMapPfns(pair.domain, GiB - 3 * MiB, at, 1500, PROT_READ | PROT_WRITE);
      },
    ],
  ])('%s: whichever table cannot be had, nothing has changed', (_what, map) => {
    for (let nth = 1; ; ++nth) {
      const pair = new Pair(4, 3);
      pair.map(MiB, MiB, 3 * MiB, 3);
      const before = state(pair);
      pair.core.exports.faultArm(pair.ctx, FAULT_PAGE_TABLE, nth);
      const rc = map(pair);
      if (rc === 0) {
        expect(nth, 'at least two tables were needed').toBeGreaterThan(2);
        break;
      }
      expect(rc).toBe(ENOMEM);
      expect(pair.core.exports.lastReason(pair.ctx)).toBe(0x203);
      expect(state(pair), `table ${nth}`).toEqual(before);
    }
  });

  test('a domain that cannot be made leaves nothing', () => {
    const core = new Core(debug);
    const ctx = made(core.exports.machineCreate(16 * MiB, 1, 1024, 0, 1));
    core.exports.domainDestroy(made(core.exports.domainCreate(ctx, 4, 48, 0x1000, 0)));
    const before = core.tools.machineRecords(ctx);
    for (const kind of [1, FAULT_PAGE_TABLE]) {
      core.exports.faultArm(ctx, kind, 1);
      expect(core.exports.domainCreate(ctx, 4, 48, 0x1000, 0)).toBe(0);
      expect(core.tools.machineRecords(ctx)).toBe(before);
      expect(core.tools.machineCheck(ctx)).toBe(0);
    }
    for (const [levels, width, bitmap] of [
      [2, 30, 0x1000],
      [6, 48, 0x1000],
      [3, 40, 0x1000],
      [4, 48, 0x3000],
      [4, 48, 0],
    ]) {
      expect(core.exports.domainCreate(ctx, levels, width, bitmap, 0)).toBe(0);
    }
  });

  test('what the width does not reach: the pieces before it are mapped and unmapped again', () => {
    const pair = new Pair(3, 3);
    const { domainMap, lastReason } = pair.core.exports;
    const { domainTablePages } = pair.core.tools;
    expect(domainMap(pair.domain, 2 ** 39, 0, PAGE, PROT_READ | PROT_WRITE)).toBe(EFAULT);
    expect(lastReason(pair.ctx)).toBe(0x202);
    expect(domainTablePages(pair.domain)).toBe(1);
    expect(domainMap(pair.domain, 2 ** 39 - PAGE, 2 * MiB - PAGE, 4 * MiB + PAGE, PROT_READ | PROT_WRITE)).toBe(EFAULT);
    expect(domainTablePages(pair.domain), 'tables of the first piece stay').toBe(3);
    expect(pair.core.exports.domainIovaToPhys(pair.domain, 2 ** 39 - PAGE)).toBe(0);
    expect(pair.core.tools.machineCheck(pair.ctx)).toBe(0);
  });
});

test('the 2015 form clears just the range given and does not make write-only readable', () => {
  const core = new Core(debug);
  const ctx = made(core.exports.machineCreate(64 * MiB, 1, 1024, 0, 1));
  const domain = made(core.exports.domainCreate(ctx, 4, 48, 0x40201000, DOMAIN_UNMAP_EXACT));
  const { domainMap, domainUnmap, domainIovaToPhys } = core.exports;
  const { domainTablePages } = core.tools;
  expect(domainMap(domain, 2 * MiB - PAGE, MiB, PAGE * 2, PROT_WRITE)).toBe(0);
  expect(readTables(core, ctx, domain).filter(({ run }) => run > 0)).toEqual([
    { level: 1, iova: 2 * MiB - PAGE, raw: BigInt(MiB + 2), run: 1 },
    { level: 1, iova: 2 * MiB, raw: BigInt(MiB + PAGE + 2), run: 1 },
  ]);
  expect(domainUnmap(domain, 8 * MiB, PAGE), 'an empty level is no larger than asked').toBe(PAGE);
  expect(domainUnmap(domain, 2 * MiB - PAGE, PAGE)).toBe(PAGE);
  expect(domainIovaToPhys(domain, 2 * MiB)).toBe(MiB + PAGE);
  expect(domainTablePages(domain)).toBe(5);
  expect(domainUnmap(domain, 0, 4 * MiB), 'one call over both tables').toBe(4 * MiB);
  expect(domainTablePages(domain)).toBe(3);
  expect(core.tools.machineCheck(ctx)).toBe(0);
});
