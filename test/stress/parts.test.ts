import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GemDmaError } from '../../src/core/errors.js';
import { complete, type Sliced } from '../../src/core/slices.js';
import { parseShard, shardSeeds } from '../../src/stress/campaign.js';
import { Entities } from '../../src/stress/engine/entities.js';
import { StressFailure } from '../../src/stress/engine/failure.js';
import type { OperationKind } from '../../src/stress/engine/operation.js';
import { Random, Weighted } from '../../src/stress/engine/random.js';
import { operationTable, Runner, type StressWorld } from '../../src/stress/engine/runner.js';
import { ddmin, simplify } from '../../src/stress/shrink/shrink.js';
import { Contents } from '../../src/stress/world/contents.js';

const unlimited = { tries: Number.POSITIVE_INFINITY, expired: () => false };

describe('random', () => {
  test('a seed is a sequence, the same for ever', () => {
    // From an implementation in another language.
    const random = new Random(1);
    expect([random.u32(), random.u32(), random.u32(), random.u32()]).toEqual([
      393288148, 2174103013, 3814759091, 2092745082,
    ]);
    expect(new Random(2).u32()).not.toBe(393288148);
  });

  test('below and between stay in range and reach their ends', () => {
    const random = new Random(5);
    const seen = new Set(Array.from({ length: 2000 }, () => random.between(3, 12)));
    expect([...seen].sort((a, b) => a - b)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(Array.from({ length: 100 }, () => random.below(1)).every((n) => n === 0)).toBe(true);
  });

  test('weights are what is drawn, and 0 is never drawn', () => {
    const random = new Random(9);
    const weighted = new Weighted(['a', 'b', 'c', 'd'], [1, 0, 3, 6]);
    const count: Record<string, number> = { a: 0, b: 0, c: 0, d: 0 };
    for (let i = 0; i < 100_000; ++i) ++count[weighted.draw(random)];
    expect(count.b).toBe(0);
    for (const [name, share] of Object.entries({ a: 0.1, c: 0.3, d: 0.6 })) {
      expect(Math.abs(count[name] / 100_000 - share)).toBeLessThan(0.01);
    }
    expect(() => new Weighted(['a'], [0])).toThrow(RangeError);
    expect(() => new Weighted(['a', 'b'], [1, -1])).toThrow(RangeError);
  });
});

test('entities: a random one, deletion in any order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20)), fc.integer(), (ids, seed) => {
      const random = new Random(seed);
      const entities = new Entities<number>();
      const model = new Map<number, number>();
      for (const id of ids) {
        if (model.has(id)) {
          model.delete(id);
          expect(entities.delete(id)).toBe(true);
          expect(entities.delete(id)).toBe(false);
        } else {
          model.set(id, id * 2);
          entities.add(id, id * 2);
        }
        expect(entities.size).toBe(model.size);
        const some = entities.pick(random);
        expect(some === undefined ? 0 : model.get(some)).toBe(some === undefined ? model.size : entities.get(some));
        expect(new Map(entities.entries())).toEqual(model);
      }
    }),
  );
});

describe('contents', () => {
  test('what was never written is zeros, or after forget() unknown', () => {
    const contents = new Contents();
    contents.write(250, Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]));
    expect(contents.differs(248, Uint8Array.from([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0]))).toBe(-1);
    expect(contents.differs(248, Uint8Array.from([0, 0, 1, 2, 3, 4, 5, 6, 9]))).toBe(8);
    expect(contents.differs(9000, Uint8Array.from([0, 1]))).toBe(1);
    contents.forget();
    expect(contents.differs(248, Uint8Array.from([9, 9, 9]))).toBe(-1);
    contents.write(254, Uint8Array.from([1, 2, 3]));
    expect(contents.differs(252, Uint8Array.from([9, 9, 1, 2, 3, 9]))).toBe(-1);
    expect(contents.differs(252, Uint8Array.from([9, 9, 1, 2, 4, 9]))).toBe(4);
    contents.clear();
    expect(contents.differs(254, Uint8Array.from([1]))).toBe(0);
  });
});

/** A predicate as shrinking asks it. */
function sliced<T>(fails: (part: T[]) => boolean): (part: T[]) => Sliced<boolean> {
  return function* (part) {
    yield;
    return fails(part);
  };
}

describe('shrinking', () => {
  test('finds the items that matter, in order, and only those', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(300), { minLength: 1, maxLength: 6 }), (needed) => {
        const items = Array.from({ length: 301 }, (_, i) => i);
        const fails = (part: number[]): boolean => needed.every((n) => part.includes(n));
        const { items: left, minimal } = complete(ddmin(items, sliced(fails), unlimited));
        expect(left).toEqual([...needed].sort((a, b) => a - b));
        expect(minimal).toBe(true);
      }),
    );
  });

  test('ends with nothing that can be left out, whatever the predicate', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { minLength: 1, maxLength: 60 }), fc.nat(20), (items, least) => {
        const total = (part: number[]): number => part.reduce((sum, n) => sum + n, 0);
        fc.pre(total(items) >= least);
        const { items: left } = complete(
          ddmin(
            items,
            sliced((part) => total(part) >= least),
            unlimited,
          ),
        );
        expect(total(left)).toBeGreaterThanOrEqual(Math.min(least, total(left)));
        for (let i = 0; i < left.length && left.length > 1; ++i) {
          expect(total(left.filter((_, j) => j !== i))).toBeLessThan(least);
        }
      }),
    );
  });

  test('a budget ends the search with the best so far', () => {
    const items = Array.from({ length: 64 }, (_, i) => i);
    const {
      items: left,
      tries,
      minimal,
    } = complete(
      ddmin(
        items,
        sliced((part) => part.includes(0) && part.includes(40)),
        { tries: 3, expired: () => false },
      ),
    );
    expect([left.includes(0), left.includes(40), tries, minimal]).toEqual([true, true, 3, false]);
  });

  test('simplify makes items smaller while it fails', () => {
    const halves = (n: number): number[] => (n > 1 ? [1, Math.floor(n / 2), n - 1] : []);
    const { items } = complete(
      simplify(
        [50, 7, 90],
        halves,
        sliced((part) => part[0] >= 20 && part[2] >= 3),
        unlimited,
      ),
    );
    expect(items).toEqual([20, 1, 3]);
  });
});

describe('runner', () => {
  class Counter implements StressWorld {
    value = 0;
    constructor(readonly most = 13) {}
    watch(): void {
      if (this.value >= this.most) throw new StressFailure('finding', 'thirteen', 'the value is 13');
    }
    check(): void {
      if (this.value < 0) throw new StressFailure('accounting', 'negative', 'below zero');
    }
    teardown(): void {
      if (this.value !== 0) throw new StressFailure('teardown', 'left', `${this.value} left`);
    }
  }
  const kinds: OperationKind<Counter>[] = [
    {
      name: 'add',
      generate: (_, random) => ({ op: 'add', n: random.between(1, 3) }),
      apply: (world, { n }) => {
        world.value += n as number;
        return true;
      },
      print: () => [],
    },
    {
      name: 'take',
      generate: (world) => (world.value > 0 ? { op: 'take' } : null),
      apply: (world) => {
        if (world.value === 0) return false;
        --world.value;
        return true;
      },
      print: () => [],
    },
    {
      name: 'refuse',
      generate: () => ({ op: 'refuse' }),
      apply: () => {
        throw new GemDmaError('ENOSPC', 'refuse', 'no');
      },
      print: () => [],
    },
    {
      name: 'break',
      generate: () => ({ op: 'break' }),
      apply: () => {
        throw new TypeError('broken');
      },
      print: () => [],
    },
  ];

  test('what is done, refused and checked is counted, and follows from the seed', () => {
    const tallies = [7, 7, 8].map((seed) => {
      const runner = new Runner(new Counter(Number.POSITIVE_INFINITY), kinds, 10);
      runner.run(new Random(seed), operationTable(kinds, { add: 1, take: 2, refuse: 1 }), 200);
      return runner.tally;
    });
    expect(tallies[1]).toEqual(tallies[0]);
    expect(tallies[2]).not.toEqual(tallies[0]);
    expect(tallies[0]).toMatchObject({ operations: 200, checks: 20 });
    const { done, refused } = tallies[0];
    expect(done.add + done.take + refused.ENOSPC).toBe(200);
  });

  test('the first failure stops the run, and the recorded operations repeat it', () => {
    const runner = new Runner(new Counter(), kinds, 10);
    const seen: { op: string }[] = [];
    const table = operationTable(kinds, { add: 3, take: 2 });
    expect(runner.run(new Random(3), table, 10_000, (operation) => seen.push(operation))).toBe(false);
    expect(runner.failure).toMatchObject({ kind: 'finding', id: 'thirteen' });
    const again = new Runner(new Counter(), kinds, 10);
    expect(seen.map((operation) => again.apply(operation))).toEqual(seen.map((_, i) => i < seen.length - 1));
    expect(again.failure?.same(runner.failure)).toBe(true);
    expect(again.tally).toEqual(runner.tally);
  });

  test('an error that the kernel never returns is a failure; what is left at the end too', () => {
    const broken = new Runner(new Counter(), kinds, 10);
    expect(broken.apply({ op: 'break' })).toBe(false);
    expect(broken.failure).toMatchObject({ kind: 'error', id: 'TypeError', message: 'broken' });
    const left = new Runner(new Counter(), kinds, 10);
    left.apply({ op: 'add', n: 2 });
    expect(left.finish()).toBe(false);
    expect(left.failure).toMatchObject({ kind: 'teardown', message: '2 left' });
  });

  test('weights name operations that exist', () => {
    expect(() => operationTable(kinds, { ad: 1 })).toThrow(/no operation 'ad'/);
    expect(() => operationTable(kinds, {})).toThrow(RangeError);
  });
});

describe('shards', () => {
  test('every seed is in exactly one shard', () => {
    const shards = [1, 2, 3].map((index) => shardSeeds(100, 10, { index, of: 3 }));
    expect(shards).toEqual([
      [100, 103, 106, 109],
      [101, 104, 107],
      [102, 105, 108],
    ]);
    expect(shardSeeds(0xffffffff, 2)).toEqual([0xffffffff, 0]);
  });

  test.each(['0/3', '4/3', '3', 'a/b', '1/0', '-1/2'])('%s is no shard', (text) => {
    expect(() => parseShard(text)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
  });
});
