/**
 * The state that a machine keeps outside of linear memory: drivers, devices and whatever refers to them are objects of
 * the host. They are found by following properties from a few roots, copied one level deep each, and on going back
 * every object gets its own properties again. Objects keep their identity: a reference that was held before is good
 * afterwards, in a closure that waits on the clock, too.
 *
 * For this to see everything, fields of such classes are TypeScript's `private`; a #field is invisible from here, and
 * is for what never changes.
 */

/** How one object is copied, and how the copy is put back. */
interface Kind<T extends object, Copy> {
  copy(object: T): Copy;
  put(object: T, copy: Copy): void;
  /** What the copy refers to. */
  references(copy: Copy): Iterable<unknown>;
}

const ARRAY: Kind<unknown[], unknown[]> = {
  copy: (array) => array.slice(),
  put(array, copy) {
    array.length = copy.length;
    for (let i = 0; i < copy.length; ++i) array[i] = copy[i];
  },
  references: (copy) => copy,
};

const MAP: Kind<Map<unknown, unknown>, [unknown, unknown][]> = {
  copy: (map) => [...map],
  put(map, copy) {
    map.clear();
    for (const [key, value] of copy) map.set(key, value);
  },
  references: (copy) => copy.flat(),
};

const SET: Kind<Set<unknown>, unknown[]> = {
  copy: (set) => [...set],
  put(set, copy) {
    set.clear();
    for (const value of copy) set.add(value);
  },
  references: (copy) => copy,
};

type Numbers = Uint8Array | Uint32Array | Float64Array;

const NUMBERS: Kind<Numbers, Numbers> = {
  copy: (numbers) => numbers.slice(),
  put: (numbers, copy) => numbers.set(copy),
  references: () => [],
};

const RECORD: Kind<Record<string, unknown>, Record<string, unknown>> = {
  copy: (record) => ({ ...record }),
  put(record, copy) {
    for (const name of Object.keys(record)) if (!(name in copy)) delete record[name];
    Object.assign(record, copy);
  },
  references: (copy) => Object.values(copy),
};

// What has no properties of its own to speak of is left alone: functions are no objects here, frozen ones never change.
function kindOf(object: object): Kind<never, unknown> | null {
  if (Array.isArray(object)) return ARRAY;
  if (object instanceof Map) return MAP;
  if (object instanceof Set) return SET;
  if (ArrayBuffer.isView(object)) return object instanceof DataView ? null : NUMBERS;
  return RECORD;
}

export class HostState {
  readonly #objects: object[] = [];
  readonly #copies: unknown[] = [];

  /**
   * Copies everything that can be reached.
   * @param roots where to begin
   * @param outside objects that are not looked at, nor what only they refer to
   */
  constructor(roots: Iterable<object>, outside: Iterable<object>) {
    const seen = new Set<object>(outside);
    const waiting: unknown[] = [...roots];
    while (waiting.length > 0) {
      const object = waiting.pop();
      if (typeof object !== 'object' || object === null || seen.has(object)) continue;
      seen.add(object);
      const kind = kindOf(object);
      if (kind === null) continue;
      const copy = kind.copy(object as never);
      for (const reference of kind.references(copy as never)) waiting.push(reference);
      if (Object.isFrozen(object)) continue;
      this.#objects.push(object);
      this.#copies.push(copy);
    }
  }

  /** Objects that it holds a copy of. */
  get size(): number {
    return this.#objects.length;
  }

  /** Puts every copy back into its object. */
  restore(): void {
    for (const [i, object] of this.#objects.entries()) {
      kindOf(object)!.put(object as never, this.#copies[i] as never);
    }
  }
}
