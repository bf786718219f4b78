import type { KindIn, OperationIn } from '../stress/engine/operation.js';
import type { I915Part } from './part.js';

/**
 * The values that stand in each operation of i915. `id` is the number that the operation gives to what it makes; `bo` and
 * `ctx` name what another operation made by that number. `gpu` is an index into the configuration. Context 0 is the global
 * GTT of the object's own GPU. Sizes and offsets are bytes, `pages` pages of 4 KiB; `stamp` is the seed of the bytes that
 * are written. `view` names what the GTT shows of an object; without it, all of the object.
 */
export interface I915Operations {
  create: { id: number; gpu: number; pages: number };
  stolen: { id: number; gpu: number; pages: number };
  userptr: { id: number; gpu: number; pages: number; populate: boolean };
  import: { id: number; gpu: number; bo: number };
  close: { bo: number };
  getPages: { bo: number };
  putPages: { bo: number };
  attachPhys: { bo: number };
  invalidate: { bo: number };
  madvise: { bo: number; needed: boolean };
  /** `level`: index of the cache level. */
  caching: { bo: number; level: number };
  shrink: { gpu: number; pages: number };

  context: { id: number; gpu: number };
  contextClose: { ctx: number };
  /** `bias`: the lowest address. */
  bind: { bo: number; gpu: number; ctx: number; bias?: number };
  bindView: { bo: number; gpu: number; ctx: number; view: ViewArgument };
  unbind: { bo: number; gpu: number; ctx: number; view?: ViewArgument };
  /** `aligns`: alignment per object, for those that have one. */
  exec: { gpu: number; ctx: number; bos: readonly number[]; aligns?: readonly number[]; busy: number };
  evict: { gpu: number; ctx: number };
  /** A file of the GPU is opened; `profile`: 0 speaks to Linux 4.2, 1 to a kernel of today. */
  client: { id: number; gpu: number; profile: number };
  clientClose: { client: number };
  /** `struct` and `memory`: bytes of the request's struct, and of the client's memory. */
  ioctl: { client: number; request: number; struct: readonly number[]; memory: readonly number[] };

  /** `user`: the process writes its own memory. */
  pwrite: { bo: number; user?: boolean; offset: number; length: number; stamp: number };
  pread: { bo: number; user?: boolean; offset: number; length: number };
  gpuRead: { bo: number; gpu: number; ctx: number; view?: ViewArgument; offset: number; length: number };
  gpuWrite: {
    bo: number;
    gpu: number;
    ctx: number;
    view?: ViewArgument;
    offset: number;
    length: number;
    stamp: number;
  };
}

/** `[0, width, height]` for rotated, `[1, offset, size]` for partial. */
export type ViewArgument = readonly [type: number, a: number, b: number];

/** An operation by its name. */
export type OperationOf<Name extends keyof I915Operations> = OperationIn<I915Operations, Name>;

/** A kind of operation by its name. */
export type Kind<Name extends keyof I915Operations> = KindIn<I915Part, I915Operations, Name>;
