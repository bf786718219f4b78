import type { Machine } from 'gemdma';

/** What several suites need. */

/** Frames in a shuffled order, seeded: an object whose pages lie anywhere. In linear memory, and as a copy. */
export function scattered(machine: Machine, count: number, seed = 1): { vector: number; pfns: Uint32Array } {
  const pfns = machine.ram.alloc(count);
  const next = random(seed);
  for (let i = count - 1; i > 0; --i) {
    const j = next(i + 1);
    [pfns[i], pfns[j]] = [pfns[j], pfns[i]];
  }
  const vector = machine.core.exports.blockAlloc(machine.context, orderOf(count * 4));
  if (vector === 0) throw new Error('no linear memory for the frames of a benchmark');
  machine.core.writeWords(vector, pfns);
  return { vector, pfns };
}

/** Smallest order whose block of 4 KiB << order holds that many bytes. */
export function orderOf(bytes: number): number {
  return bytes <= 4096 ? 0 : 32 - Math.clz32((bytes - 1) >>> 12);
}

/** xorshift32: whole numbers below n, the same for the same seed. */
export function random(seed: number): (n: number) => number {
  let x = seed || 1;
  return (n) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % n;
  };
}
