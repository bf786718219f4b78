import { invalidValue } from '../core/errors.js';

/**
 * The state that a machine keeps outside of linear memory: drivers, devices and whatever refers to them are objects of
 * the host. They are found by following properties from a few roots, copied one level deep each, and on going back
 * every object gets its own properties again. Objects keep their identity: a reference that was held before is good
 * afterwards, in a closure that waits on the clock, too.
 *
 * For this to see everything, what changes is in fields of TypeScript's `private`. A #field is invisible from here: it is
 * readonly and holds a number, a function or an object that is reached otherwise (test/life/restore.test.ts).
 *
 * What the caller holds may be anything. Own properties of objects and functions are put back, and prototypes, with what
 * Maps, Sets, Dates, buffers and views hold. State that the language hides is refused: that of WeakMaps, promises, iterators and
 * other classes of the engine. Whether a class of the caller's has #fields cannot be seen: such an
 * object has a pair of methods (StateHooks).
 */

/** State of an object besides its properties, which also changes in a frozen object. */
interface Contents<T extends object, Copy> {
  copy(object: T): Copy;
  put(object: T, copy: Copy): void;
  /** What the copy refers to. */
  references(copy: Copy): Iterable<unknown>;
}

// The methods of the built-in classes, since a caller's class may override them.
const { clear, set, entries } = Map.prototype;
const { clear: clearSet, add, values } = Set.prototype;
const { getTime, setTime } = Date.prototype;

const MAP: Contents<Map<unknown, unknown>, [unknown, unknown][]> = {
  copy: (map) => [...entries.call(map)] as [unknown, unknown][],
  put(map, copy) {
    clear.call(map);
    for (const [key, value] of copy) set.call(map, key, value);
  },
  references: (copy) => copy.flat(),
};

const SET: Contents<Set<unknown>, unknown[]> = {
  copy: (set) => [...values.call(set)],
  put(set, copy) {
    clearSet.call(set);
    for (const value of copy) add.call(set, value);
  },
  references: (copy) => copy,
};

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

// Any view: a Buffer's own slice would share its bytes.
const VIEW: Contents<ArrayBufferView, Uint8Array> = {
  copy: (view) => new Uint8Array(bytesOf(view)),
  put(view, copy) {
    bytesOf(view).set(copy);
  },
  references: () => [],
};

const BUFFER: Contents<ArrayBuffer, Uint8Array> = {
  copy: (buffer) => new Uint8Array(new Uint8Array(buffer)),
  put: (buffer, copy) => new Uint8Array(buffer).set(copy),
  references: () => [],
};

const DATE: Contents<Date, number> = {
  copy: (date) => getTime.call(date),
  put(date, copy) {
    setTime.call(date, copy);
  },
  references: () => [],
};

// Functions are no objects here.
function contentsOf(object: object): Contents<never, unknown> | undefined {
  if (object instanceof Map) return MAP;
  if (object instanceof Set) return SET;
  if (ArrayBuffer.isView(object)) return VIEW;
  if (object instanceof ArrayBuffer) return BUFFER;
  return object instanceof Date ? DATE : undefined;
}

/** @throws ERR_INVALID_ARG_VALUE for memory that other threads write, or whose length changes */
function checkBuffer(object: object): void {
  const buffer = ArrayBuffer.isView(object) ? object.buffer : object;
  const shared = typeof SharedArrayBuffer === 'function' && buffer instanceof SharedArrayBuffer;
  const resizable = buffer instanceof ArrayBuffer && (buffer as { resizable?: boolean }).resizable === true;
  if (!shared && !resizable) return;
  throw invalidValue('held', 'without a SharedArrayBuffer or resizable ArrayBuffer, which cannot be put back', buffer);
}

/** Prototypes of objects whose state cannot be read, besides those of the engine's classes. */
const [GENERATOR, ASYNC_GENERATOR] = [function* () {}, async function* () {}].map(
  (of) => Object.getPrototypeOf(of.prototype) as object,
);
const HIDDEN = new Set<unknown>([
  ...[GENERATOR, ASYNC_GENERATOR, Object.getPrototypeOf([][Symbol.iterator]())],
  ...[new Map(), new Set(), ''].map((of) => Object.getPrototypeOf(of[Symbol.iterator]())),
  Object.getPrototypeOf(/a/[Symbol.matchAll]('')),
]);
const helper = [].values() as { take?: (n: number) => object };
if (helper.take !== undefined) HIDDEN.add(Object.getPrototypeOf(helper.take(1)));

/** Classes of the engine whose objects have no other state than properties and what CONTENTS copies. */
const SEEN = new Set<unknown>([
  ...[Object, Function, Array, Map, Set, Date, RegExp, ArrayBuffer, DataView, Object.getPrototypeOf(Uint8Array)],
  ...[Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError],
  ...[Number, String, Boolean, Symbol, BigInt],
  ...[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array],
  ...[Float32Array, Float64Array, BigInt64Array, BigUint64Array],
]);
// Classes of iterators of one's own extend it, where it is.
const { Iterator: iterators } = globalThis as { Iterator?: unknown };
if (iterators !== undefined) SEEN.add(iterators);

/** Whether a class is the engine's. */
function isNative(type: unknown): boolean {
  return typeof type === 'function' && /\[native code\]\s*\}$/.test(Function.prototype.toString.call(type));
}

function isUnreadable(value: unknown): value is object {
  return typeof value === 'object' && value !== null && isHidden(Object.getPrototypeOf(value) as object | null);
}

/** Whether objects of a prototype have state that cannot be read. */
function isHidden(prototype: object | null): boolean {
  for (let at = prototype; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const type: unknown = Reflect.getOwnPropertyDescriptor(at, 'constructor')?.value;
    if (SEEN.has(type)) return false;
    if (HIDDEN.has(at) || isNative(type)) return true;
  }
  return false;
}

function copyContents(contents: Contents<never, unknown>, object: object): unknown {
  try {
    return contents.copy(object as never);
  } catch {
    // A buffer that was transferred, or an object that has only the prototype.
    throw invalidValue('held', 'without an object whose contents cannot be read', object);
  }
}

type Descriptor = PropertyDescriptor;

/** Own properties of an object, symbols and those that are not enumerable included. */
interface Properties {
  /** Own properties of longer views are not searched for. */
  most: number;
  keys: readonly PropertyKey[];
  values: unknown[];
  /** Of those that are not plain: read-only, not enumerable, accessors. */
  special: Map<PropertyKey, Descriptor> | undefined;
}

/** A property that is a pair of functions: its value is what they say. */
interface Accessor {
  object: object;
  key: PropertyKey;
  value: unknown;
}

/** Elements of a view, which are bytes of its contents. */
const ELEMENT = /^\d+$/;
/** The library's longer views have no own properties: listing the keys of all their elements takes long. */
const MOST_BYTES = 2 ** 16;
/** What each function has. */
const OF_FUNCTIONS = new Set<PropertyKey>(['length', 'name', 'prototype', 'arguments', 'caller']);

function keysOf(object: object, most = Number.POSITIVE_INFINITY): PropertyKey[] {
  if (typeof object === 'function') return Reflect.ownKeys(object).filter((key) => !OF_FUNCTIONS.has(key));
  if (!ArrayBuffer.isView(object)) return Reflect.ownKeys(object);
  if (object.byteLength > most) return [];
  return Reflect.ownKeys(object).filter((key) => typeof key === 'symbol' || !ELEMENT.test(key as string));
}

function propertiesOf(object: object, most: number): Properties {
  const keys = keysOf(object, most);
  const values = new Array<unknown>(keys.length);
  let special: Map<PropertyKey, Descriptor> | undefined;
  keys.forEach((key, i) => {
    const property = Reflect.getOwnPropertyDescriptor(object, key)!;
    values[i] = property.value;
    if (property.writable && property.enumerable && property.configurable) return;
    special ??= new Map();
    special.set(key, property);
  });
  return { most, keys, values, special };
}

function putProperties(object: object, { most, keys, values, special }: Properties, errors: unknown[]): void {
  const known = new Set(keys);
  const failed = (key: PropertyKey): void => {
    errors.push(invalidValue(`held.${String(key)}`, 'as changeable as when the snapshot was taken', object));
  };
  for (const key of keysOf(object, most)) {
    if (!known.has(key) && !Reflect.deleteProperty(object, key)) failed(key);
  }
  keys.forEach((key, i) => {
    const now = Reflect.getOwnPropertyDescriptor(object, key);
    const then = special?.get(key) ?? { value: values[i], writable: true, enumerable: true, configurable: true };
    if (now !== undefined && sameAttributes(now, then) && Object.is(now.value, then.value)) return;
    if (Reflect.defineProperty(object, key, then)) return;
    // Made read-only since, but with the value that it had.
    if (now === undefined || !Object.is(now.value, then.value) || now.get !== then.get || now.set !== then.set) {
      failed(key);
    }
  });
}

function sameAttributes(a: Descriptor, b: Descriptor): boolean {
  return (
    a.writable === b.writable &&
    a.enumerable === b.enumerable &&
    a.configurable === b.configurable &&
    a.get === b.get &&
    a.set === b.set
  );
}

interface Saved {
  object: object;
  prototype: object | null;
  contents: { kind: Contents<never, unknown>; copy: unknown } | undefined;
  /** undefined for a frozen object. */
  properties: Properties | undefined;
}

export class HostState {
  private readonly saved: Saved[] = [];
  private readonly accessors: Accessor[] = [];

  /**
   * Copies everything that can be reached.
   * @param roots where to begin: the library's own
   * @param held what the caller holds besides
   * @param owners objects that keep their own state: what they have themselves may be of a kind that cannot be read
   * @param outside objects that are not looked at, nor what only they refer to
   * @param refuse throws for an object that must not be reached
   * @throws ERR_INVALID_ARG_VALUE for what could not be put back
   */
  constructor(
    roots: Iterable<object>,
    held: Iterable<object>,
    owners: ReadonlySet<object>,
    outside: Iterable<object>,
    refuse: (object: object) => void,
  ) {
    const seen = new Set<object>(outside);
    const waiting: unknown[] = [];
    const visible = new Set<object | null>();
    const follow = (value: unknown): void => {
      if (seen.has(value as object)) return;
      if (typeof value === 'object' && value !== null) waiting.push(value);
      // A function's own state is what it was given besides what each function has.
      else if (typeof value === 'function' && keysOf(value).length > 0) waiting.push(value);
    };
    const copy = (object: object, most: number): void => {
      seen.add(object);
      refuse(object);
      checkBuffer(object);
      const prototype = Object.getPrototypeOf(object) as object | null;
      if (typeof object !== 'function' && !visible.has(prototype)) {
        if (isHidden(prototype)) {
          const must = 'without an object whose state cannot be read, such as a WeakMap or a promise';
          throw invalidValue('held', must, object);
        }
        visible.add(prototype);
      }
      const kind = contentsOf(object);
      const contents = kind && { kind, copy: copyContents(kind, object) };
      if (contents) for (const value of contents.kind.references(contents.copy as never)) follow(value);
      const properties = propertiesOf(object, most);
      if (owners.has(object)) for (const value of properties.values) if (isUnreadable(value)) seen.add(value);
      properties.values.forEach(follow);
      for (const [key, { get, set }] of properties.special ?? []) {
        // Without a setter there is nothing that could be put back.
        if (get === undefined || set === undefined) continue;
        const value: unknown = get.call(object);
        this.accessors.push({ object, key, value });
        follow(value);
      }
      const frozen = kind !== VIEW && Object.isFrozen(object);
      if (!contents && frozen) return;
      this.saved.push({ object, prototype, contents, properties: frozen ? undefined : properties });
    };
    for (const [objects, most] of [
      [roots, MOST_BYTES],
      [held, Number.POSITIVE_INFINITY],
    ] as const) {
      waiting.push(...objects);
      while (waiting.length > 0) {
        const object = waiting.pop() as object;
        if (!seen.has(object)) copy(object, most);
      }
    }
  }

  /** Objects that it holds a copy of. */
  get size(): number {
    return this.saved.length;
  }

  /**
   * Puts every copy back into its object.
   * @returns what could not be put back, such as a property that was made read-only since; all else is back
   */
  restore(): unknown[] {
    const errors: unknown[] = [];
    for (const { object, prototype, contents, properties } of this.saved) {
      if (Object.getPrototypeOf(object) !== prototype && !Reflect.setPrototypeOf(object, prototype)) {
        errors.push(invalidValue('held', 'of a prototype that can be put back', object));
      }
      try {
        if (contents) contents.kind.put(object as never, contents.copy as never);
      } catch {
        errors.push(invalidValue('held', 'as changeable as when the snapshot was taken', object));
      }
      if (properties) putProperties(object, properties, errors);
    }
    return errors;
  }

  /** Calls the setters of properties whose value differs: a caller's code, which runs after the machine is restored. */
  restoreAccessors(): unknown[] {
    const errors: unknown[] = [];
    for (const { object, key, value } of this.accessors) {
      try {
        const { get, set } = Reflect.getOwnPropertyDescriptor(object, key)!;
        if (!Object.is(get!.call(object), value)) set!.call(object, value);
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }
}
