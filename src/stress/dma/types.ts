import type { Direction } from '../../dma/transfer.js';
import type { KindIn, OperationIn } from '../engine/operation.js';
import type { DmaPart } from './part.js';

/**
 * The values that stand in each operation on devices without a driver. `id` is the number that the operation gives to what
 * it makes; `map` and `range` name what another operation made by that number, `bo` an object of another part. `device` is
 * an index into the configuration. Sizes and offsets are bytes, `pages` and `page` pages of 4 KiB; `stamp` is the seed of
 * the bytes that are written.
 */
export interface DmaOperations {
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
  detach: Pick<Ended, 'map'> & Partial<Ended>;

  reserve: { id: number; device: number; pages: number };
  link: { id: number; range: number; page: number; dir: Direction; stamp: number };
  unlink: { map: number; range: number; page: number; dir: Direction };
  /** `linked`: the mapping at its start that goes with it. */
  unreserve: { map: number; linked?: number; dir?: Direction };

  deviceRead: { map: number; device: number; offset: number; length: number };
  deviceWrite: { map: number; device: number; offset: number; length: number; stamp: number };
  sync: { map: number; device: number; dir: Direction; sg: boolean; offset: number; length: number; stamp: number };
}

/** What an operation says that ends a mapping; length and direction are those that it was made with. */
type Ended = { map: number; device: number; length: number; dir: Direction };

/** An operation by its name. */
export type OperationOf<Name extends keyof DmaOperations> = OperationIn<DmaOperations, Name>;

/** A kind of operation by its name. */
export type Kind<Name extends keyof DmaOperations> = KindIn<DmaPart, DmaOperations, Name>;
