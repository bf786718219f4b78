import type { DmaDevice } from '../../../src/dma/device.js';
import type { ScatterTable } from '../../../src/dma/sg-table.js';
import { DMA_ATTR } from '../../../src/dma/transfer.js';
import { Source, WRONG } from './source.js';
import { CallbackError, THROWN, type World } from './world.js';

/** Arguments and objects of calls: mostly right, now and then nonsense. */

/** One call of the public surface: picks its objects and arguments, and keeps what it returns. */
export type Call = (world: World, source: Source) => void;

/** A number of a kind, now and then nonsense. */
export function some(source: Source, values: readonly unknown[]): never {
  return source.note(source.once(24) ? source.pick(WRONG) : source.pick(values)) as never;
}

export const LENGTHS = [4096, 64, 1, 8192, 65536, 2048, 5000, 0, 4095, 2 ** 20, 2 ** 31];
export const OFFSETS = [0, 0, 1, 0x800, 0xfff, 0x1000, 0x11];
export const SIZES = [1, 2, 7, 16, 100, 1024, 0, 2 ** 20];
export const DIRS = [0, 1, 2, 0, 1, 2, 3];
export const ATTRS = [0, 0, 0, 0, DMA_ATTR.SKIP_CPU_SYNC, DMA_ATTR.FORCE_CONTIGUOUS, DMA_ATTR.NO_WARN, 1];

export const length = (s: Source): never => some(s, LENGTHS);
export const dir = (s: Source): never => some(s, DIRS);
export const attrs = (s: Source): never => some(s, ATTRS);
export const pfn = (w: World, s: Source): never =>
  some(
    s,
    w.pfns.length > 0 && !s.once(8)
      ? w.pfns
      : w.hasDrivers
        ? [0, 5, 0x1000, 0xd0000, 2 ** 32 - 1]
        : [0, 5, 0x100, 0xfff, 0x1000, 0xd0000, 2 ** 20, 2 ** 32 - 1],
  );
export const physical = (w: World, s: Source): never =>
  s.once(6)
    ? some(s, [0, 0xfe000000, 2 ** 40, 2 ** 52 - 4096, 2 ** 52])
    : ((Number(pfn(w, s as never)) * 4096 + s.pick(OFFSETS)) as never);
export const address = (w: World, s: Source): never => {
  const base = some(s, w.addresses);
  return s.once(5) && typeof base === 'number' ? (((base as number) + s.pick([1, 64, 4096, -4096])) as never) : base;
};
/** A few options; now and then an unknown key, or no object at all. */
export function opts(source: Source, table: Record<string, readonly unknown[]>): never {
  if (source.once(24)) return source.note(source.pick(WRONG)) as never;
  if (source.once(4)) return undefined as never;
  const made: Record<string, unknown> = {};
  for (const [key, values] of Object.entries(table)) if (source.once(3)) made[key] = some(source, values);
  if (source.once(24)) made.nope = 1;
  return source.note(made) as never;
}
export const bytes = (s: Source): never =>
  s.once(24) ? (s.pick(WRONG) as never) : (new Uint8Array(s.pick([0, 1, 64, 4096, 70000])) as never);
export const call = <T>(value: T, use: (value: T) => unknown): void => void use(value);
/** An object that every method is called on is one, whatever it went through. */
export const real = <T>(pool: readonly T[], s: Source): T | undefined =>
  pool.length === 0 ? undefined : s.note(pool[s.below(pool.length)]);

export function on<T>(pool: (w: World) => readonly T[], use: (object: T, w: World, s: Source) => unknown): Call {
  return (w, s) => {
    const object = w.focused(pool(w), s) ?? real(pool(w), s);
    if (object !== undefined) use(object, w, s);
  };
}
export const device = (use: (d: DmaDevice, w: World, s: Source) => unknown): Call => on((w) => w.devices, use);
export const table = (use: (t: ScatterTable, w: World, s: Source) => unknown): Call => on((w) => w.tables, use);

/** What a callback may answer that is no answer. */
const ANSWERS: readonly unknown[] = [Number.NaN, 1, -1e9, -12, 'x', {}, 5n, undefined, undefined, undefined];

/** Calls that callbacks make in one step, at most. */
const MOST_CALLS = 60;

/**
 * A callback of the caller's. Each time that it runs it does nothing, throws, answers wrongly, or makes calls of its own: half of
 * them on what it is told about.
 */
export function callback(w: World, s: Source, again: (w: World, s: Source) => void): (...about: unknown[]) => unknown {
  const own = new Source([], 1 + s.below(0xffff));
  return (...about) => {
    const what = own.below(8);
    if (what < 4 || w.ended) return undefined;
    w.reentered = true;
    if (what === 4) {
      if (own.once(4)) throw THROWN;
      throw new CallbackError('thrown by a callback');
    }
    if (what === 5) return own.once(8) ? Promise.reject(new CallbackError('nobody waits for it')) : own.pick(ANSWERS);
    if (w.depth > 2) return undefined;
    const outer = w.focus;
    w.focus = about.filter((one) => typeof one === 'object' && one !== null);
    ++w.depth;
    try {
      for (let n = own.below(3); n >= 0 && w.callsBack < MOST_CALLS; --n) {
        ++w.callsBack;
        again(w, own);
      }
    } finally {
      --w.depth;
      w.focus = outer;
    }
    return undefined;
  };
}
