import { checkArray } from '../../core/arguments.js';
import { checkInteger, invalidType, outOfRange } from '../../core/errors.js';
import { notMade } from '../../core/life.js';

/**
 * The only random source of a stress run: xoshiro128** (Blackman and Vigna), 32-bit integers throughout, so that a
 * seed means the same run on every machine and every version of Node.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param seed any 32-bit number; neighbouring seeds give unrelated sequences */
  constructor(seed: number) {
    checkInteger('seed', seed, -(2 ** 31), 2 ** 32 - 1);
    // splitmix32 spreads the seed: the generator's state may not be all zeros.
    let state = seed | 0;
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state ^ (state >>> 16);
      z = Math.imul(z, 0x21f0aaad);
      z ^= z >>> 15;
      z = Math.imul(z, 0x735a2d97);
      return z ^ (z >>> 15);
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #a in one;
  }

  /** 0 to 2^32 - 1. */
  u32(): number {
    if (!Random.is(this)) throw notMade('Random.u32');
    const b5 = Math.imul(this.#b, 5);
    const result = Math.imul((b5 << 7) | (b5 >>> 25), 9);
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  /** A whole number from 0 to n - 1; n up to 2^32. The bias of the multiplication is below n / 2^32. */
  below(n: number): number {
    if (!Random.is(this)) throw notMade('Random.below');
    if (typeof n !== 'number' || Number.isNaN(n)) throw invalidType('n', 'of type number', n);
    return Math.floor((this.u32() / 4294967296) * n);
  }

  /** A whole number from lo to hi, both included. */
  between(lo: number, hi: number): number {
    if (!Random.is(this)) throw notMade('Random.between');
    if (typeof lo !== 'number' || Number.isNaN(lo)) throw invalidType('lo', 'of type number', lo);
    if (typeof hi !== 'number' || Number.isNaN(hi)) throw invalidType('hi', 'of type number', hi);
    return lo + this.below(hi - lo + 1);
  }

  /** True once in n times. */
  oneIn(n: number): boolean {
    if (!Random.is(this)) throw notMade('Random.oneIn');
    return this.below(n) === 0;
  }

  /** True with a probability from 0 to 1. */
  chance(probability: number): boolean {
    if (!Random.is(this)) throw notMade('Random.chance');
    if (typeof probability !== 'number' || Number.isNaN(probability))
      throw invalidType('probability', 'of type number', probability);
    return this.u32() < probability * 4294967296;
  }

  /** One of a list, each as likely as the other. */
  pick<T>(from: readonly T[]): T {
    if (!Random.is(this)) throw notMade('Random.pick');
    if (!Array.isArray(from) && !ArrayBuffer.isView(from)) throw invalidType('from', 'an array', from);
    return from[this.below(from.length)];
  }
}

/** Draws from a fixed set of weighted values in constant time: Vose's alias method. */
export class Weighted<T> {
  readonly #values: readonly T[];
  readonly #threshold: Float64Array;
  readonly #alias: Uint32Array;

  /** @param weights non-negative, at least one positive */
  constructor(values: readonly T[], weights: readonly number[]) {
    checkArray('values', values);
    checkArray('weights', weights);
    const n = values.length;
    const sum = weights.reduce((total, weight) => total + weight, 0);
    if (!(sum > 0) || weights.length !== n || weights.some((weight) => !(weight >= 0))) {
      throw outOfRange('weights', 'non-negative, and one of them positive', weights.join(', '));
    }
    this.#values = values;
    this.#threshold = new Float64Array(n).fill(1);
    this.#alias = new Uint32Array(n);
    const scaled = weights.map((weight) => (weight * n) / sum);
    const small = scaled.flatMap((weight, i) => (weight < 1 ? [i] : []));
    const large = scaled.flatMap((weight, i) => (weight < 1 ? [] : [i]));
    while (small.length > 0 && large.length > 0) {
      const lesser = small.pop()!;
      const greater = large.at(-1)!;
      this.#threshold[lesser] = scaled[lesser];
      this.#alias[lesser] = greater;
      scaled[greater] -= 1 - scaled[lesser];
      if (scaled[greater] < 1) small.push(large.pop()!);
    }
    // Rounding may leave something in `small`: a full share to the last digit, or one that must never be drawn.
    const heaviest = weights.indexOf(Math.max(...weights));
    for (const i of small) {
      if (weights[i] > 0) continue;
      this.#threshold[i] = 0;
      this.#alias[i] = heaviest;
    }
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #values in one;
  }

  /** One of the values, each as likely as its weight says. */
  draw(random: Random): T {
    if (!Weighted.is(this)) throw notMade('Weighted.draw');
    if (!Random.is(random)) throw invalidType('random', 'a Random', random);
    const i = random.below(this.#values.length);
    const stay = this.#threshold[i];
    return this.#values[stay === 1 || random.u32() < stay * 4294967296 ? i : this.#alias[i]];
  }
}
