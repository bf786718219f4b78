import { expect, test } from 'vitest';
import type { ContextHandle, SgTableHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { readPfns } from '../../src/core/sg-vectors.js';
import { debug } from '../core/debug.js';

const MiB = 1024 * 1024;
const FRAMES = 8192;

function random(seed: number): (bound: number) => number {
  let x = seed * 0x9e3779b1;
  return (bound) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % bound;
  };
}

/** Shuffled RAM of two CPUs, all of it on the first one's stack, whose order is known. */
class Stacks {
  readonly core = new Core(debug);
  readonly ctx: ContextHandle;
  /** What waits on the first CPU's stack, top last. */
  readonly stack: number[];
  readonly #at: number;

  constructor(seed = 1) {
    this.ctx = made(this.core.exports.machineCreate(64 * MiB, 2, FRAMES, 65536, seed));
    this.#at = this.core.exports.blockAlloc(this.ctx, 4);
    // Taken one by one, frames come in the reverse of the order in which they lie on the stack.
    const all: number[] = [];
    for (let pfns = this.alloc(1); pfns !== null; pfns = this.alloc(1)) all.push(pfns[0]);
    expect(this.free(all)).toBe(all.length);
    this.stack = all;
    this.check();
  }

  alloc(n: number): number[] | null {
    if (this.core.exports.pagesAlloc(this.ctx, n, this.#at) < 0) return null;
    return [...this.core.readWords(this.#at, n)];
  }

  free(pfns: number[]): number {
    this.core.writeWords(this.#at, pfns);
    return this.core.exports.pagesFree(this.ctx, pfns.length, this.#at);
  }

  /** A table with frames of its own. */
  table(n: number): { handle: SgTableHandle; pfns: number[] } {
    const handle = made(this.core.exports.sgAllocPages(this.ctx, n, 0, 0xfffff000));
    expect(handle).toBeGreaterThan(0);
    return { handle, pfns: [...readPfns(this.core, handle, n)] };
  }

  write(pfn: number): void {
    this.core.writeWord(this.#at, 0x12345678);
    expect(this.core.exports.physWrite(this.ctx, pfn * 4096 + 8, this.#at, 4)).toBe(0);
  }

  word(pfn: number): number {
    expect(this.core.exports.physRead(this.ctx, pfn * 4096 + 8, this.#at, 4)).toBe(0);
    return this.core.readWord(this.#at);
  }

  check(): void {
    expect(this.core.tools.machineCheck(this.ctx) >>> 0).toBe(0);
  }
}

test.each([1, 2, 3, 4])('frames leave and enter at the top, whoever frees what when, seed %i', (seed) => {
  const ram = new Stacks(seed);
  const pick = random(seed);
  const { stack } = ram;
  const objects: { pfns: number[]; handle?: SgTableHandle }[] = [];
  const written = new Set<number>();
  for (let step = 0; step < 1500; ++step) {
    const where = `seed ${seed}, step ${step}`;
    const kind = pick(16);
    if (kind < 8 && stack.length > 600) {
      // Often of one size, as that is what changes places.
      const n = pick(3) === 0 ? 1 + pick(300) : 64;
      const object = pick(2) === 0 ? ram.table(n) : { pfns: ram.alloc(n)! };
      expect(object.pfns, where).toEqual(stack.splice(stack.length - n));
      for (const pfn of object.pfns) if (written.delete(pfn)) expect(ram.word(pfn), `${where}: old contents`).toBe(0);
      objects.push(object);
    } else if (kind < 15 && objects.length > 0) {
      const last = objects.length - 1;
      const [{ pfns, handle }] = objects.splice(pick(4) === 0 ? pick(objects.length) : Math.max(0, last - pick(3)), 1);
      if (handle !== undefined) {
        // Now and then somebody has freed a table's frames before it.
        if (pick(8) === 0) expect(ram.free(pfns), where).toBe(pfns.length);
        ram.core.exports.sgDestroy(handle);
      } else {
        if (pick(6) === 0) pfns.sort((a, b) => a - b);
        expect(ram.free(pfns), where).toBe(pfns.length);
        if (pick(6) === 0) expect(ram.free(pfns), `${where}: twice`).toBe(0);
      }
      stack.push(...pfns);
    } else {
      const pfn = pick(3) === 0 ? stack[pick(stack.length)] : objects[pick(objects.length)]?.pfns[0];
      if (pfn === undefined) continue;
      ram.write(pfn);
      written.add(pfn);
    }
    if (step % 50 === 0) ram.check();
  }
  for (const pfn of written) expect(ram.word(pfn)).toBe(0x12345678);
  ram.check();
});

test('a part of what was handed out goes back, by itself and twice', () => {
  const ram = new Stacks();
  const pfns = ram.alloc(100)!;
  expect(ram.free(pfns.slice(0, 40))).toBe(40);
  ram.check();
  expect(ram.free(pfns)).toBe(60);
  expect(ram.free(pfns)).toBe(0);
  ram.check();
  expect(ram.alloc(100)).toEqual([...pfns.slice(0, 40), ...pfns.slice(40)]);
});

test('a table gives back the frames that it got, wherever they lie by then', () => {
  const ram = new Stacks();
  const large = ram.table(5000);
  const small = ram.table(700);
  ram.core.exports.sgDestroy(large.handle);
  ram.check();
  const again = ram.alloc(5000)!;
  expect(new Set(again)).toEqual(new Set(large.pfns));
  ram.core.exports.sgDestroy(small.handle);
  expect(ram.alloc(700)).toEqual(small.pfns);
  ram.check();
});

test('another CPU frees frames, or one of them as a block', () => {
  const ram = new Stacks();
  const { blockOfPagesFree, cpuSet } = ram.core.exports;
  const { ramInUse } = ram.core.tools;
  const pfns = ram.alloc(100)!;
  const others = ram.alloc(100)!;
  cpuSet(1);
  expect(ram.free(pfns)).toBe(100);
  expect(ram.alloc(100)).toEqual(pfns);
  ram.check();
  expect(blockOfPagesFree(ram.ctx, others[7], 0)).toBe(1);
  expect(blockOfPagesFree(ram.ctx, others[7], 0)).toBe(0);
  expect(blockOfPagesFree(ram.ctx, ram.stack[0], 0), 'it waits on a stack').toBe(0);
  cpuSet(0);
  expect(ram.free(others)).toBe(99);
  expect(ramInUse(ram.ctx)).toBe(100);
  ram.check();
});
