import { describe, expect, test } from 'vitest';
import { Machine } from '../../src/machine-drivers/machine.js';

/** What a caller may hold: every kind of object comes back as it was, or the snapshot is refused. */

const made = (): Machine => new Machine({ ram: '16MiB' });
const refused = expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });

/** State that the language lets nobody read. */
const UNREADABLE: Record<string, () => object> = {
  WeakMap: () => new WeakMap(),
  WeakSet: () => new WeakSet(),
  WeakRef: () => new WeakRef({}),
  FinalizationRegistry: () => new FinalizationRegistry(() => {}),
  Promise: () => Promise.resolve(),
  'a class that extends one': () => new (class extends WeakMap {})(),
  'a generator': () =>
    (function* () {
      yield 1;
    })(),
  'an asynchronous generator': () => (async function* () {})(),
  'an iterator of an array': () => [1].values(),
  'an iterator of a Map': () => new Map().keys(),
  'an iterator of a Set': () => new Set().values(),
  'an iterator of a string': () => 'a'[Symbol.iterator](),
  'an iterator of matches': () => 'a'.matchAll(/a/g),
  'an Intl object': () => new Intl.NumberFormat(),
  'a memory of WebAssembly': () => new WebAssembly.Memory({ initial: 1 }),
  SharedArrayBuffer: () => new SharedArrayBuffer(4),
  'a view of one': () => new Uint8Array(new SharedArrayBuffer(4)),
  'a resizable ArrayBuffer': () =>
    new (ArrayBuffer as never as new (n: number, o: object) => object)(4, { maxByteLength: 8 }),
};

describe.each(Object.keys(UNREADABLE))('%s', (kind) => {
  test('is refused, wherever it is, and the machine goes on', () => {
    const machine = made();
    const one = UNREADABLE[kind]();
    const holds = [one, { one }, [one], new Map([[1, one]]), new Set([one]), Object.assign(() => 1, { one })];
    for (const held of [...holds.slice(0, 5), { inner: holds[5] }]) {
      expect(() => machine.snapshot(held)).toThrow(refused);
    }
    machine.restore(machine.snapshot({ two: 2 }));
    machine.check();
  });
});

test('an object that keeps its own state may have any of its own', () => {
  const machine = made();
  let count = 1;
  const held = { cache: new WeakMap(), snapshot: () => count, restore: (then: number) => void (count = then) };
  const snapshot = machine.snapshot(held);
  count = 5;
  machine.restore(snapshot);
  expect(count).toBe(1);
  const deeper = { ...held, part: { cache: new WeakMap() } };
  expect(() => machine.snapshot(deeper)).toThrow(refused);
});

interface Case {
  make: () => Record<string, never>;
  change: (held: Record<string, never>) => void;
  read: (held: Record<string, never>) => unknown;
}

const of = <T extends object>(make: () => T, change: (held: T) => void, read: (held: T) => unknown): Case =>
  ({ make, change, read }) as never;

const named = <T extends object>(one: T): T & { n: number } => Object.assign(one, { n: 1 });
const renamed = ({ it }: { it: { n: number } }): void => void (it.n = 2);
const name = ({ it }: { it: { n: number } }): number => it.n;
const symbol = Symbol('state');

const READABLE: Record<string, Case> = {
  'properties of a typed array': of(() => ({ it: named(new Uint8Array(4)) }), renamed, name),
  'properties of a long typed array': of(() => ({ it: named(new Float64Array(30_000)) }), renamed, name),
  'a symbol on a DataView': of(
    () => ({ it: new DataView(new ArrayBuffer(4)) as DataView & { [symbol]?: number } }),
    ({ it }) => void (it[symbol] = 1),
    ({ it }) => it[symbol],
  ),
  'properties of a Map': of(() => ({ it: named(new (class extends Map {})()) }), renamed, name),
  'properties of an Error': of(() => ({ it: named(new Error('x')) }), renamed, name),
  'a message of an Error': of(
    () => ({ it: new Error('x') }),
    ({ it }) => void (it.message = 'y'),
    ({ it }) => it.message,
  ),
  'properties of a boxed number': of(() => ({ it: named(new Number(5)) }), renamed, name),
  'properties of a function': of(() => ({ it: named(() => 1) }), renamed, name),
  'properties of an asynchronous function': of(() => ({ it: named(async () => 1) }), renamed, name),
  'a static field of a class': of(
    () => ({
      it: class {
        static n = 1;
        m = 1;
      },
    }),
    renamed,
    name,
  ),
  'where a RegExp goes on': of(
    () => ({ it: /a/g }),
    ({ it }) => void it.exec('aaa'),
    ({ it }) => it.lastIndex,
  ),
  'holes and properties of an array': of(
    () => {
      const it: unknown[] & { foo?: number } = [1];
      it[2] = 3;
      return { it };
    },
    ({ it }) => {
      it[1] = 2;
      it.length = 9;
      it.foo = 1;
    },
    ({ it }) => [Object.keys(it), it.length],
  ),
  'a prototype': of(
    () => ({ it: {} }),
    ({ it }) => Object.setPrototypeOf(it, Array.prototype),
    ({ it }) => Object.getPrototypeOf(it) === Object.prototype,
  ),
  'an object without a prototype': of(() => ({ it: named(Object.create(null) as object) }), renamed, name),
  'a pair of accessors': of(
    () => {
      let v = 1;
      return {
        get it() {
          return v;
        },
        set it(n) {
          v = n;
        },
      };
    },
    (held) => void (held.it = 2),
    ({ it }) => it,
  ),
  'a cycle': of(
    () => {
      const held = { n: 1 } as { n: number; it?: object };
      held.it = held;
      return held;
    },
    (held) => {
      held.n = 2;
      held.it = undefined;
    },
    (held) => [held.n, held.it === held],
  ),
  'a Proxy': of(() => ({ it: new Proxy({ n: 1 }, {}) }), renamed, name),
};

test.each(Object.keys(READABLE))('%s comes back', (kind) => {
  const { make, change, read } = READABLE[kind];
  const machine = made();
  const held = make();
  const before = JSON.stringify(read(held));
  const snapshot = machine.snapshot(held);
  for (let round = 0; round < 2; ++round) {
    change(held);
    expect(JSON.stringify(read(held))).not.toBe(before);
    machine.restore(snapshot);
    expect(JSON.stringify(read(held))).toBe(before);
  }
});

test('what was made unchangeable since is said, and all else is back', () => {
  const machine = made();
  const held = { a: { n: 1 }, b: { n: 1 }, c: { n: 1 } };
  const snapshot = machine.snapshot(held);
  held.a.n = 2;
  Object.freeze(held.a);
  Object.preventExtensions(Object.setPrototypeOf(held.b, Array.prototype));
  held.c.n = 2;
  expect(() => machine.restore(snapshot)).toThrow(refused);
  expect(held.c.n).toBe(1);
  machine.check();
});
