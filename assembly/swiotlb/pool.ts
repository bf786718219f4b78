// The records of a bounce pool, its areas and its mappings; sizes of slots.

import { DmaDevice } from '../device/device';
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
/** More pools are added where none serves a request (CONFIG_SWIOTLB_DYNAMIC). */
export const POOL_GROWS: u32 = 16;
/** Memory set aside for devices that may use no other. */
export const POOL_RESTRICTED: u32 = 32;

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
  /** Order of the block that the frames were taken as, for a pool that was added. */
  order: u32;
  /** Id of the device for whose one mapping the pool is there; 0 for a pool that stays. */
  transient: u32;
  /** The allocator: the record of its first pool; the pool that is searched after this one. */
  mem: Swiotlb;
  next: Swiotlb | null;

  // Of an allocator, over all its pools.

  /** The pool that is searched first. */
  pools: Swiotlb;
  /** No pool has an address below low, or from high on. */
  low: u64;
  high: u64;
  /** Slots of the pools that stay, and of the others. */
  total: u32;
  transientSlots: u32;
  /** A pool is on its way. */
  growing: u32;
  /** The next restricted pool of the machine. */
  nextMem: Swiotlb | null;
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
  /** Bytes of the slots from the first byte on: what may be copied. More than length where slots fill their pages. */
  limit: u32;
}
export const MAPPING_SIZE: usize = 32;

/** A device's allocator (dev->dma_io_tlb_mem), null without one. */
// @ts-ignore: decorator
@inline
export function memOf(dev: DmaDevice): Swiotlb | null {
  return changetype<Swiotlb | null>(dev.swiotlb);
}

/** Whether a physical address lies in a bounce pool of a device (is_swiotlb_buffer). */
// @ts-ignore: decorator
@inline
export function isSwiotlb(dev: DmaDevice, phys: u64): bool {
  const mem = memOf(dev);
  if (mem == null || phys < mem.low || phys >= mem.high) return false;
  return (phys >= mem.start && phys < mem.end) || poolAt(dev, phys) != null;
}

/** The pool of a device that an address lies in (swiotlb_find_pool); of transient pools those of other devices are not looked at. */
export function poolAt(dev: DmaDevice, phys: u64): Swiotlb | null {
  const mem = memOf(dev);
  if (mem == null || phys < mem.low || phys >= mem.high) return null;
  for (let pool: Swiotlb | null = mem.pools; pool != null; pool = pool.next) {
    if (phys >= pool.start && phys < pool.end && (pool.transient == 0 || pool.transient == dev.id)) return pool;
  }
  return null;
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
