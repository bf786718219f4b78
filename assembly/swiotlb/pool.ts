// The records of a bounce pool, its areas and its mappings; sizes of slots.

import { Context } from '../memory/context';
import { Guarded } from '../memory/lock';
import { recordAt } from '../memory/record';

export const SLOT_SHIFT: u32 = 11;
export const SLOT_SIZE: u32 = 1 << SLOT_SHIFT; // IO_TLB_SIZE
export const SET_SLOTS: u32 = 128; // IO_TLB_SEGSIZE
/** Longest mapping that any pool serves, less what min_align_mask takes: 128 slots of 2 KiB. */
export const SWIOTLB_MAX_MAPPING: u32 = SET_SLOTS << SLOT_SHIFT;

/** Page-align requests longer than a page only, not those of exactly one (2015). */
export const POOL_ALIGN_ABOVE_PAGE: u32 = 1;
/** Copy in only when the device may read; otherwise always, so that a partial write leaves the rest as it was. */
export const POOL_COPY_IN_READABLE: u32 = 2;
/** Unmapping frees as many slots as the size given takes, not as many as were mapped (2015). */
export const POOL_FREE_BY_SIZE: u32 = 8;
/** Ignore min_align_mask. */
export const POOL_NO_MIN_ALIGN: u32 = 4;

// @ts-ignore: decorator
@unmanaged
export class Swiotlb {
  ctx: Context;
  flags: u32;
  /** Physical addresses: the first byte, and the first past the end. */
  start: u64;
  end: u64;
  slots: u32;
  areas: u32; // power of two
  areaSlots: u32;
  /** SwiotlbArea records, one per cache line. */
  areaTable: usize;
  /** Two u64 per set: bit k is set when slot k is free. */
  free: usize;
  /** A byte per slot: its distance from the first slot of its mapping, or BACK_FREE. */
  back: usize;
  /** SwiotlbMapping records, one per slot; valid at first slots only. */
  mappings: usize;
  /** Slots in use over all areas, and the most so far (io_tlb_used, io_tlb_used_hiwater). */
  used: u32;
  highWater: u32;
  live: u32;
  maps: u32;
  /** Requests refused, by cause. */
  full: u32;
  tooLarge: u32;
  unreachable: u32;
  /** Of `full`: enough slots were free, but nowhere in a row. */
  fragmented: u32;
  bytesIn: u64;
  bytesOut: u64;
}

// @ts-ignore: decorator
@unmanaged
export class SwiotlbArea extends Guarded {
  index: u32; // within the area: where the last allocation ended
  used: u32;
}
export const AREA_SIZE: usize = 64;

// @ts-ignore: decorator
@unmanaged
export class SwiotlbMapping {
  phys: u64; // of the buffer
  length: u32; // of the buffer
  offset: u32; // of its first byte in the first slot
  slots: u32;
  device: u32;
  direction: u32;
  pad: u32;
}
export const MAPPING_SIZE: usize = 32;

/** The machine's pool, null without one. */
// @ts-ignore: decorator
@inline
export function poolOf(ctx: Context): Swiotlb | null {
  return changetype<Swiotlb | null>(ctx.swiotlb);
}

// @ts-ignore: decorator
@inline
export function areaOf(pool: Swiotlb, area: u32): SwiotlbArea {
  return changetype<SwiotlbArea>(pool.areaTable + <usize>area * AREA_SIZE);
}

// @ts-ignore: decorator
@inline
export function mappingOf(pool: Swiotlb, slot: u32): SwiotlbMapping {
  return recordAt<SwiotlbMapping>(pool.mappings, slot);
}

// @ts-ignore: decorator
@inline
export function slotAddress(pool: Swiotlb, slot: u32): u64 {
  return pool.start + (<u64>slot << SLOT_SHIFT);
}
