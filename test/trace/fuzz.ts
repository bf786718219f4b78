import { TraceError } from '../../src/trace/batches/completeness.js';
import { inMemory } from '../../src/trace/batches/source.js';
import { readTrace } from '../../src/trace/read.js';
import { codecs } from './support.js';

/** Mutations of an input: what a damaged file, a cut pipe or a careless editor makes of it. */

export function generator(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

const INTERESTING = [0, 10, 13, 32, 0x2c, 0x3a, 0x3d, 0x5b, 0x5d, 0x7b, 0x7d, 0x7f, 0x80, 0xff];

export function mutate(input: Uint8Array, random: (n: number) => number): Uint8Array {
  // A copy: the slice of a Buffer is none.
  let bytes: Uint8Array = new Uint8Array(input);
  for (let changes = 1 + random(6); changes > 0; --changes) {
    const at = random(bytes.length);
    switch (random(6)) {
      case 0:
        bytes[at] = random(256);
        break;
      case 1:
        bytes[at] = INTERESTING[random(INTERESTING.length)];
        break;
      case 2:
        bytes[at] ^= 1 << random(8);
        break;
      case 3:
        bytes = bytes.slice(0, at + 1);
        break;
      case 4: {
        // A piece goes.
        const length = random(40);
        bytes.copyWithin(at, at + length);
        bytes = bytes.slice(0, Math.max(1, bytes.length - length));
        break;
      }
      default: {
        // A piece is there twice, elsewhere.
        const from = random(bytes.length);
        bytes.copyWithin(at, from, from + random(60));
      }
    }
  }
  return bytes;
}

/** Reads a mutated input to its end. Whatever it is: rows, or a TraceError; anything else is thrown. */
export async function digest(bytes: Uint8Array): Promise<number> {
  let rows = 0;
  try {
    for await (const batch of readTrace(inMemory(bytes), { codecs })) rows += batch.length;
  } catch (error) {
    if (!(error instanceof TraceError)) throw error;
    return -1;
  }
  return rows;
}
