import { checkInteger, invalidReturn, invalidType, invalidValue, outOfRange } from './errors.js';
import type { ContextHandle } from './generated/exports.js';
import { Core } from './instance.js';
import type { Timeline } from './life.js';
import type { LongCallOptions } from './slices.js';

/**
 * Checks of arguments, for all public calls: before any effect, a TypeError or RangeError that names the argument
 * (integers and sizes: errors.ts). What is spelt wrong is refused, never ignored.
 */

/** What a device, table or domain lives in: an instance of the core with a context in it. A Machine is one. */
export interface CoreHost {
  /** @internal */
  readonly core: Core;
  /** Handle of the core's context. @internal */
  readonly context: ContextHandle;
}

/**
 * The time line of the machine that a new object is to live in.
 * @throws ERR_INVALID_ARG_TYPE if the argument is not a machine; GemDmaError ENODEV or EIO if it accepts no more calls
 */
export function hostTimeline(host: CoreHost, call: string): Timeline {
  const core = (host as CoreHost | null | undefined)?.core;
  if (!(core instanceof Core)) throw invalidType('machine', 'a Machine', host);
  // A context that was laid out without a Machine is known from its first use on.
  if (core.context === 0) core.context = host.context;
  if (core.context !== host.context) throw invalidType('machine', 'a Machine', host);
  core.timeline.enter(call);
  return core.timeline;
}

/**
 * The options as plain values, each read once: a getter of the caller runs here and nowhere else. A call reads its arguments first,
 * then checks that its objects are alive, then has effects.
 * @throws ERR_INVALID_ARG_TYPE if the value is not an object, ERR_INVALID_ARG_VALUE if a key is not known
 */
export function checkOptions<Options>(name: string, options: Options, known: readonly string[]): Options {
  checkObject(name, options);
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw invalidValue(`${name}.${key}`, `one of the known options (${known.join(', ')})`, key);
    }
  }
  const plain: Record<string, unknown> = {};
  for (const key of known) {
    const value = (options as Record<string, unknown>)[key];
    // Only an option that is left out, or undefined, has its default.
    if (value === null) throw invalidType(`${name}.${key}`, 'given or left out', null);
    if (value !== undefined) plain[key] = value;
  }
  return plain as Options;
}

/** Objects within options of which a copy is made; deeper nesting is taken for a cycle. */
const DEPTH = 16;

/**
 * A copy of plain data, such as a machine's options within those of a run: arrays and plain objects, each property read once. Other
 * values are not copied.
 * @throws ERR_INVALID_ARG_VALUE for a cycle
 */
export function readData<T>(name: string, value: T, depth = DEPTH): T {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) throw invalidValue(name, `plain data that is nested at most ${DEPTH} times`, value);
  if (Array.isArray(value)) return value.map((part: unknown) => readData(name, part, depth - 1)) as T;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, readData(name, part, depth - 1)])) as T;
}

/** The entries of an array, its length and each of them read once, in order. */
export function readList<Entry>(
  name: string,
  list: readonly Entry[],
  [min, max]: readonly [number, number],
  read: (entry: Entry) => Entry,
): Entry[] {
  if (!Array.isArray(list)) throw invalidType(name, 'an array', list);
  const count = checkInteger(`${name}.length`, list.length, min, max);
  const plain: Entry[] = [];
  for (let i = 0; i < count; ++i) plain.push(read(list[i]));
  return plain;
}

/** The getters of the prototype: own properties of a typed array may contradict them. */
const TYPED = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(Uint32Array.prototype) as Uint32Array);
const typeOf = TYPED[Symbol.toStringTag as never] as unknown as { get(): string | undefined };
const lengthOf = TYPED.length as unknown as { get(): number };
const bufferOf = TYPED.buffer as unknown as { get(): ArrayBuffer };
const offsetOf = TYPED.byteOffset as unknown as { get(): number };

/** pfns of a list or typed array, its length and each of them read once. */
export function readPfnList(pfns: ArrayLike<number>, min: number, max: number): Uint32Array {
  if (typeof pfns !== 'object' || pfns === null) throw invalidType('pfns', 'a list of pfns', pfns);
  if (typeOf.get.call(pfns) === 'Uint32Array') {
    checkInteger('pfns.length', lengthOf.get.call(pfns), min, max);
    return new Uint32Array(pfns);
  }
  const count = checkInteger('pfns.length', pfns.length, min, max);
  const plain = new Uint32Array(count);
  for (let i = 0; i < count; ++i) {
    const pfn = pfns[i];
    if (pfn >>> 0 !== pfn) checkInteger(`pfns[${i}]`, pfn, 0, 0xffffffff);
    plain[i] = pfn;
  }
  return plain;
}

/** Throws unless it is an object with properties of its own. */
export function checkObject(name: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidType(name, 'of type object', value);
  }
}

/** Types of the fields that a record must have. */
export type Shape = Readonly<Record<string, 'number' | 'string' | 'boolean' | 'object'>>;

/**
 * Reads a record that the caller passes back, such as one that another call returned, for functions that make text or figures of it.
 * @param shape fields that it must have
 * @throws ERR_INVALID_ARG_TYPE if the value is not such a record, or `work` fails at a field with an error of the engine
 */
export function readRecord<T, Result>(name: string, value: T, shape: Shape, work: (record: T) => Result): Result {
  checkObject(name, value);
  for (const [key, type] of Object.entries(shape)) {
    const field = (value as Record<string, unknown>)[key];
    if (typeof field !== type || field === null) throw invalidType(`${name}.${key}`, `of type ${type}`, field);
  }
  try {
    return work(value);
  } catch (error) {
    const engine = error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
    if (!engine || 'code' in error) throw error;
    throw invalidType(name, 'a record of this kind, whole', value);
  }
}

/** Throws unless it is an array. */
export function checkArray(name: string, value: unknown): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw invalidType(name, 'an array', value);
}

/** All options of a call, by name: the compiler refuses a list that lacks one or has one too many. */
export type OptionNames<Options> = { readonly [Name in keyof Required<Options>]: true };

export function optionNames<Options>(names: OptionNames<Options>): readonly string[] {
  return Object.keys(names);
}

/** What the long calls of the library have in common (slices.ts). */
export const LONG_CALL = { signal: true, onProgress: true } as const;

/** Options of a long call, as checkOptions reads them: known keys, an AbortSignal, a function. */
export function checkLongCall<Options extends object>(options: Options, known: readonly string[]): Options {
  const plain = checkOptions('options', options, known);
  const { signal, onProgress } = plain as LongCallOptions;
  if (signal !== undefined && typeof (signal as { aborted?: unknown } | null)?.aborted !== 'boolean') {
    throw invalidType('signal', 'an AbortSignal', signal);
  }
  if (onProgress !== undefined) checkFunction('onProgress', onProgress);
  return plain;
}

/** Throws ERR_INVALID_ARG_VALUE unless value is one of the names allowed. */
export function oneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
  if (!allowed.includes(value as T)) throw invalidValue(name, `one of ${allowed.join(', ')}`, value);
  return value as T;
}

/** A boolean, or its default where it is left out. */
export function checkBoolean(name: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value);
  return value;
}

/** A text, or undefined where it is left out. */
export function checkString(name: string, value: unknown): string | undefined {
  if (value !== undefined && typeof value !== 'string') throw invalidType(name, 'of type string', value);
  return value;
}

/** Nothing in it can be changed any more: what a machine was made with, tables that are shared. */
export function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) frozen(part);
  }
  return value;
}

/**
 * Checks what a caller's function returned: a synchronous function must not return a promise.
 * @throws ERR_INVALID_RETURN_VALUE if it returned a promise or another thenable
 */
export function checkSynchronous(name: string, answer: unknown): void {
  if ((typeof answer !== 'object' || answer === null) && typeof answer !== 'function') return;
  try {
    const { then } = answer as { then?: unknown };
    if (typeof then !== 'function') return;
    // The promise may reject later, which without a handler ends the process.
    then.call(answer, undefined, () => {});
  } catch {
    // A `then` that throws is one.
  }
  throw invalidReturn(name, 'at once, not a promise', answer);
}

/** A span of virtual time. */
export function checkSpan(name: string, milliseconds: unknown): void {
  if (typeof milliseconds !== 'number') throw invalidType(name, 'of type number', milliseconds);
  if (!(milliseconds >= 0 && milliseconds < 2 ** 40)) {
    throw outOfRange(name, 'milliseconds from 0 to 2^40', milliseconds);
  }
}

export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw invalidType(name, 'of type function', value);
}

/** Functions that return before they have run to their end. */
const SUSPENDED = ['[object AsyncFunction]', '[object GeneratorFunction]', '[object AsyncGeneratorFunction]'];

/** Throws if the value is not a function, or is an async function or a generator. */
export function checkPlainFunction(name: string, value: unknown): void {
  checkFunction(name, value);
  if (!SUSPENDED.includes(Object.prototype.toString.call(value))) return;
  throw invalidType(name, 'a function that is neither async nor a generator', value);
}

/** The bytes as a plain Uint8Array: overridden members of a caller's class are not used. */
export function checkBytes(name: string, value: unknown): Uint8Array {
  if (typeOf.get.call(value) !== 'Uint8Array') throw invalidType(name, 'an instance of Uint8Array', value);
  return new Uint8Array(bufferOf.get.call(value), offsetOf.get.call(value), lengthOf.get.call(value));
}

/** The direction bits and attributes that a call of the DMA API may have (enum dma_data_direction, DMA_ATTR_*). */
export const DIRECTION_BITS = 3;
export const ATTRIBUTE_BITS = 0x3f6;

/** Whether the value is an integer from 0 to 2^32 - 1. The type is checked first: arithmetic throws for a BigInt or a Symbol. */
export function isU32(value: unknown): value is number {
  return typeof value === 'number' && value >>> 0 === value;
}

/** Whether they are a direction and attributes of the DMA API. */
export function isTransfer(dir: unknown, attrs: unknown): boolean {
  return (
    typeof dir === 'number' &&
    (dir & DIRECTION_BITS) === dir &&
    typeof attrs === 'number' &&
    (attrs & ATTRIBUTE_BITS) === attrs
  );
}

/** Why isTransfer was false. */
export function badTransfer(dir: unknown, attrs: unknown): never {
  if (typeof dir !== 'number') throw invalidType('dir', 'a DMA_ direction', dir);
  if ((dir & DIRECTION_BITS) !== dir) {
    throw outOfRange('dir', 'DMA_BIDIRECTIONAL, DMA_TO_DEVICE or DMA_FROM_DEVICE', dir);
  }
  if (typeof attrs !== 'number') throw invalidType('attrs', 'DMA_ATTR_ bits', attrs);
  throw outOfRange('attrs', 'a union of DMA_ATTR_ bits', attrs);
}

/** Direction and attributes at once, for calls that are not on a hot path. */
export function checkTransfer(dir: number, attrs = 0): void {
  if (!isTransfer(dir, attrs)) badTransfer(dir, attrs);
}

/** Throws unless a device's address is one: an integer from 0 to 2^64, or DMA_MAPPING_ERROR. */
export function badAddress(address: unknown): never {
  if (typeof address !== 'number') throw invalidType('address', 'of type number', address);
  throw outOfRange('address', 'an integer from 0 on, or DMA_MAPPING_ERROR', address);
}

/** Whether a number is a device's address or DMA_MAPPING_ERROR. */
export function isAddress(address: unknown): boolean {
  // Number.isSafeInteger takes an object: a double would be put on the heap for it.
  return (
    typeof address === 'number' &&
    address >= -1 &&
    address <= Number.MAX_SAFE_INTEGER &&
    Math.floor(address) === address
  );
}
