import type { FaultKind } from '../../../core/faults.js';
import type { Direction } from '../../../dma/transfer.js';
import type { OperationKind } from '../engine/operation.js';
import type { World } from './world.js';

/**
 * The values that stand in each operation. `id` is the number that the operation gives to what it makes; `bo`, `ctx`, `map`
 * and `range` name what another operation made by that number. `gpu` and `device` are indexes into the configuration. Context
 * 0 is the global GTT of the object's own GPU. Sizes and offsets are bytes, `pages` and `page` pages of 4 KiB, `ms`
 * milliseconds of virtual time; `stamp` is the seed of the bytes that are written.
 */
export interface Operations {
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

  /** `user`: the process writes its own memory. */
  pwrite: { bo: number; user: boolean; offset: number; length: number; stamp: number };
  pread: { bo: number; user: boolean; offset: number; length: number };
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

  map: { id: number; device: number; offset: number; length: number; dir: Direction; stamp: number };
  unmap: Ended;
  /** `window`: the page of the list that the device and the CPU use. */
  mapSg: { id: number; device: number; pages: number; dir: Direction; window: number; stamp: number };
  unmapSg: Ended;
  mapResource: { id: number; device: number; physical: number; length: number; dir: Direction };
  unmapResource: Ended;
  coherent: { id: number; device: number; length: number };
  coherentFree: Ended;
  attach: { id: number; bo: number; device: number };
  detach: Ended;

  reserve: { id: number; device: number; pages: number };
  link: { id: number; range: number; page: number; dir: Direction; stamp: number };
  unlink: { map: number; range: number; page: number; dir: Direction };
  /** `linked`: the mapping at its start that goes with it. */
  unreserve: { map: number; linked?: number; dir?: Direction };

  deviceRead: { map: number; device: number; offset: number; length: number };
  deviceWrite: { map: number; device: number; offset: number; length: number; stamp: number };
  sync: { map: number; device: number; dir: Direction; sg: boolean; offset: number; length: number; stamp: number };
  advance: { ms: number };
  /** The `nth` allocation of a kind from here on fails. */
  fault: { kind: FaultKind; nth: number };
}

/** What an operation says that ends a mapping; length and direction are those that it was made with. */
type Ended = { map: number; device: number; length: number; dir: Direction };

/** `[0, width, height]` for rotated, `[1, offset, size]` for partial. */
export type ViewArgument = readonly [type: number, a: number, b: number];

export type OperationName = keyof Operations;

/** An operation by its name. */
export type OperationOf<Name extends OperationName> = {
  [Each in Name]: { readonly op: Each } & Readonly<Operations[Each]>;
}[Name];

/** A kind of operation by its name. */
export type Kind<Name extends OperationName> = OperationKind<World, OperationOf<Name>> & { readonly name: Name };

/** Any kind. */
export type AnyKind = OperationKind<World>;

/** Simpler forms of an operation on a range of bytes. */
export function* smallerRange<Op extends { readonly offset: number; readonly length: number }>(
  operation: Op,
): Iterable<Op> {
  if (operation.length > 1) yield { ...operation, length: 1 };
  if (operation.offset > 0) yield { ...operation, offset: 0 };
}
