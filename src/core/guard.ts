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
export function guard(type: Guarded, isMade: IsMade, own: readonly PropertyKey[] = []): void {
  const { prototype } = type;
  for (const key of Reflect.ownKeys(prototype)) {
    if (key === 'constructor' || own.includes(key)) continue;
    const property = Reflect.getOwnPropertyDescriptor(prototype, key)!;
    if (typeof property.value === 'function') property.value = guarded(property.value as Member, isMade, type, key);
    if (property.get !== undefined) property.get = guarded(property.get, isMade, type, key);
    if (property.set !== undefined) property.set = guarded(property.set, isMade, type, key) as (value: unknown) => void;
    Reflect.defineProperty(prototype, key, property);
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

type IsMade = (object: object) => boolean;
type Member = (this: unknown, ...args: unknown[]) => unknown;

// 350 members are guarded when the library is imported. The key names the function, since defining a name for each took a
// millisecond; what a refusal says is made when it is said.
function guarded(member: Member, isMade: IsMade, type: Guarded, key: PropertyKey): Member {
  const holder = {
    [key](this: unknown, ...args: unknown[]): unknown {
      if (typeof this === 'object' && this !== null && isMade(this)) return Reflect.apply(member, this, args);
      return refuse(member, type, key);
    },
  };
  const checked = holder[key as string];
  if (member.length > 0) Object.defineProperty(checked, 'length', { value: member.length, configurable: true });
  return checked;
}

/** Throws the refusal, or rejects with it where the member returns a promise. */
function refuse(member: Member, type: Guarded, key: PropertyKey): Promise<never> {
  const error = notMade(`${type.name}.${typeof key === 'symbol' ? key.description : String(key)}`);
  if (Object.prototype.toString.call(member) === ASYNC) return Promise.reject(error);
  throw error;
}
