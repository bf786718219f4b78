import { notMade } from './life.js';

/**
 * What a method is called on. A prototype, Object.create of an object, a Proxy, an object of another class and nothing at all
 * have none of the private fields that a method needs, and the engine would say so with an error of its own, perhaps after a
 * part of the work. Each class refuses them at the call, in one way: `guard` puts the check before every method, getter and
 * setter.
 *
 * Members of hot paths look only when the engine has refused `this` (`refusal`).
 */

/** A class, and which objects the library made of it. */
interface Guarded {
  readonly name: string;
  readonly prototype: object;
}

const ASYNC = '[object AsyncFunction]';

/**
 * From now on the members of a class refuse a `this` that is no object of the class.
 * @param isMade whether an object is one: `#field in object`
 * @param own members that look themselves, or that only the library calls, in a hot path
 */
export function guard(type: Guarded, isMade: (object: object) => boolean, own: readonly PropertyKey[] = []): void {
  for (const key of Reflect.ownKeys(type.prototype)) {
    if (key === 'constructor' || own.includes(key)) continue;
    const property = Reflect.getOwnPropertyDescriptor(type.prototype, key)!;
    const call = `${type.name}.${typeof key === 'symbol' ? key.description : key}`;
    for (const part of ['value', 'get', 'set'] as const) {
      const member: unknown = property[part];
      if (typeof member === 'function') property[part] = guarded(member as Member, isMade, call);
    }
    Reflect.defineProperty(type.prototype, key, property);
  }
}

/**
 * For members of hot paths, which catch what the engine throws at their first look at a private field: that costs nothing when
 * nothing is thrown.
 * @returns what to throw: `error`, or the refusal when it came of `this`
 */
export function refusal(isMade: (object: unknown) => boolean, on: unknown, error: unknown, call: string): unknown {
  return isMade(on) ? error : notMade(call);
}

type Member = (this: unknown, ...args: unknown[]) => unknown;

function guarded(member: Member, isMade: (object: object) => boolean, call: string): Member {
  const later = Object.prototype.toString.call(member) === ASYNC;
  const checked: Member = function (this: unknown, ...args: unknown[]): unknown {
    if (typeof this === 'object' && this !== null && isMade(this)) return Reflect.apply(member, this, args);
    const error = notMade(call);
    if (later) return Promise.reject(error);
    throw error;
  };
  for (const name of ['name', 'length'] as const) {
    Object.defineProperty(checked, name, { value: member[name], configurable: true });
  }
  return checked;
}
