/**
 * The state that a machine keeps outside of linear memory: drivers, devices and whatever refers to them are objects of
 * the host. They are found by following properties from a few roots, copied one level deep each, and on going back
 * every object gets its own properties again. Objects keep their identity: a reference that was held before is good
 * afterwards, in a closure that waits on the clock, too.
 *
 * For this to see everything, what changes is in fields of TypeScript's `private`. A #field is invisible from here: it is
 * readonly and holds a number, a function or an object that is reached otherwise (test/life/restore.test.ts).
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
    for (let i = 0; i < copy.length; ++i) {
      if (copy[i] === undefined && !(i in copy)) delete array[i];
      else array[i] = copy[i];
    }
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

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

// Any view: a Buffer's own slice would share its bytes.
const VIEW: Kind<ArrayBufferView, Uint8Array> = {
  copy: (view) => bytesOf(view).slice(),
  put(view, copy) {
    bytesOf(view).set(copy);
  },
  references: () => [],
};

const BUFFER: Kind<ArrayBuffer, Uint8Array> = {
  copy: (buffer) => new Uint8Array(buffer).slice(),
  put: (buffer, copy) => new Uint8Array(buffer).set(copy),
  references: () => [],
};

const DATE: Kind<Date, number> = {
  copy: (date) => date.getTime(),
  put(date, copy) {
    date.setTime(copy);
  },
  references: () => [],
};

const RECORD: Kind<Record<PropertyKey, unknown>, Record<PropertyKey, unknown>> = {
  copy: (record) => ({ ...record }),
  put(record, copy) {
    for (const name of Reflect.ownKeys(record)) {
      if (!Object.hasOwn(copy, name) && Object.prototype.propertyIsEnumerable.call(record, name)) delete record[name];
    }
    // What has not changed is not written: it may be read-only, or an accessor.
    for (const name of Reflect.ownKeys(copy)) {
      if (!Object.is(record[name], copy[name]) || !Object.hasOwn(record, name)) record[name] = copy[name];
    }
  },
  references: (copy) => Object.values(copy),
};

// Functions are no objects here, frozen ones never change.
function kindOf(object: object): Kind<never, unknown> {
  if (Array.isArray(object)) return ARRAY;
  if (object instanceof Map) return MAP;
  if (object instanceof Set) return SET;
  if (ArrayBuffer.isView(object)) return VIEW;
  if (object instanceof ArrayBuffer) return BUFFER;
  return object instanceof Date ? DATE : RECORD;
}

export class HostState {
  private readonly objects: object[] = [];
  private readonly copies: unknown[] = [];

  /**
   * Copies everything that can be reached.
   * @param roots where to begin
   * @param outside objects that are not looked at, nor what only they refer to
   * @param refuse throws for an object that must not be reached
   */
  constructor(roots: Iterable<object>, outside: Iterable<object>, refuse: (object: object) => void) {
    const seen = new Set<object>(outside);
    const waiting: unknown[] = [...roots];
    while (waiting.length > 0) {
      const object = waiting.pop();
      if (typeof object !== 'object' || object === null || seen.has(object)) continue;
      seen.add(object);
      refuse(object);
      const kind = kindOf(object);
      const copy = kind.copy(object as never);
      for (const reference of kind.references(copy as never)) waiting.push(reference);
      // A frozen Map, Set or view changes all the same.
      if ((kind === RECORD || kind === ARRAY) && Object.isFrozen(object)) continue;
      this.objects.push(object);
      this.copies.push(copy);
    }
  }

  /** Objects that it holds a copy of. */
  get size(): number {
    return this.objects.length;
  }

  /**
   * Puts every copy back into its object.
   * @returns what could not be put back, such as a property that was made read-only since; all else is back
   */
  restore(): unknown[] {
    const errors: unknown[] = [];
    for (const [i, object] of this.objects.entries()) {
      try {
        kindOf(object).put(object as never, this.copies[i] as never);
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }
}
