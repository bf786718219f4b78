// The bounce pool for the host (memory/host.ts): statistics and live mappings as records.

import { DmaDevice } from '../device/device';
import { fromHost, toHost } from '../memory/host';
import { backOf, longestRun } from './slots';
import { Swiotlb, areaOf, mappingOf, slotAddress } from './pool';
import { swiotlbMap, swiotlbSync, swiotlbUnmap } from './swiotlb';

/** swiotlbMap for the host; -1 is DMA_MAPPING_ERROR. */
export function swiotlbMapSingle(dev: DmaDevice, phys: f64, length: u32, dir: u32, attrs: u32): f64 {
  return toHost(swiotlbMap(dev, fromHost(phys), length, dir, attrs));
}

export function swiotlbUnmapSingle(dev: DmaDevice, address: f64, length: u32, dir: u32, attrs: u32): bool {
  return swiotlbUnmap(dev, fromHost(address), length, dir, attrs);
}

export function swiotlbSyncSingle(dev: DmaDevice, address: f64, length: u32, dir: u32, forDevice: bool): bool {
  return swiotlbSync(dev, fromHost(address), length, dir, forDevice);
}

/** The pool's counters, in slots unless the field says otherwise. */
// @ts-ignore: decorator
@unmanaged
export class SwiotlbStats {
  /** Physical address of the first slot. */
  start: f64;
  slots: f64;
  areas: f64;
  used: f64;
  /** Most slots that were in use at one time. */
  highWater: f64;
  /** Live mappings, and mappings made so far. */
  live: f64;
  maps: f64;
  bytesIn: f64;
  bytesOut: f64;
  /** Requests refused. */
  full: f64;
  fragmented: f64;
  tooLarge: f64;
  unreachable: f64;
  /** The longest run of free slots in one set. */
  longestRun: f64;
  /** Slots of transient pools, which are not among `slots`. */
  transient: f64;
}

/** One pool of an allocator. */
// @ts-ignore: decorator
@unmanaged
export class SwiotlbPoolStats {
  start: f64;
  slots: f64;
  areas: f64;
  used: f64;
  /** Id of the device for whose one mapping it is there, or 0. */
  transient: f64;
}

/** An area: where its next search begins, and its slots in use. */
// @ts-ignore: decorator
@unmanaged
export class SwiotlbAreaStats {
  index: f64;
  used: f64;
}

/** A mapping that lives in the pool. */
// @ts-ignore: decorator
@unmanaged
export class SwiotlbLive {
  /** Its first slot, and how many. */
  slot: f64;
  slots: f64;
  /** The device's address. */
  address: f64;
  /** Physical address of the buffer, and its bytes. */
  physical: f64;
  length: f64;
  /** Id of the device. */
  device: f64;
  direction: f64;
}

/** Writes a SwiotlbStats of an allocator and behind it a SwiotlbAreaStats for each area of its first pool. Returns how many. */
export function swiotlbStats(pool: Swiotlb, dest: usize): u32 {
  const stats = changetype<SwiotlbStats>(dest);
  stats.start = <f64>pool.start;
  stats.slots = <f64>pool.total;
  stats.areas = <f64>pool.areas;
  stats.used = <f64>pool.used;
  stats.highWater = <f64>pool.highWater;
  stats.live = <f64>pool.live;
  stats.maps = <f64>pool.maps;
  stats.bytesIn = <f64>pool.bytesIn;
  stats.bytesOut = <f64>pool.bytesOut;
  stats.full = <f64>pool.full;
  stats.fragmented = <f64>pool.fragmented;
  stats.longestRun = <f64>longestRun(pool);
  stats.tooLarge = <f64>pool.tooLarge;
  stats.unreachable = <f64>pool.unreachable;
  stats.transient = <f64>pool.transientSlots;
  let at = dest + offsetof<SwiotlbStats>();
  for (let i: u32 = 0; i < pool.areas; ++i) {
    const area = areaOf(pool, i);
    const row = changetype<SwiotlbAreaStats>(at);
    row.index = <f64>area.index;
    row.used = <f64>area.used;
    at += offsetof<SwiotlbAreaStats>();
  }
  return pool.areas;
}

/** Writes a SwiotlbPoolStats for each pool of an allocator, from the `from`-th on, in the order in which they are searched. Returns how many. */
export function swiotlbPools(mem: Swiotlb, from: u32, dest: usize, max: u32): u32 {
  let at: u32 = 0;
  let found: u32 = 0;
  for (let pool: Swiotlb | null = mem.pools; pool != null && found < max; pool = pool.next) {
    if (at++ < from) continue;
    const row = changetype<SwiotlbPoolStats>(dest);
    let used: u32 = 0;
    for (let i: u32 = 0; i < pool.areas; ++i) used += areaOf(pool, i).used;
    row.start = <f64>pool.start;
    row.slots = <f64>pool.slots;
    row.areas = <f64>pool.areas;
    row.used = <f64>used;
    row.transient = <f64>pool.transient;
    dest += offsetof<SwiotlbPoolStats>();
    ++found;
  }
  return found;
}

/** Sets where an area of the first pool goes on searching, in slots of the area. Returns false for what is none of its slots. */
export function swiotlbSetIndex(pool: Swiotlb, area: u32, index: u32): bool {
  if (area >= pool.areas || index >= pool.areaSlots) return false;
  areaOf(pool, area).index = index;
  return true;
}

/** Resets the high-water mark (a write to io_tlb_used_hiwater). */
export function swiotlbResetHighWater(mem: Swiotlb): void {
  mem.highWater = mem.used;
}

/**
 * Writes live mappings of the `number`-th pool in the order of their slots, from slot `from` on, a SwiotlbLive for each.
 * @returns mappings written, at most max
 */
export function swiotlbMappings(mem: Swiotlb, number: u32, from: u32, dest: usize, max: u32): u32 {
  let pool: Swiotlb | null = mem.pools;
  while (pool != null && number-- != 0) pool = pool.next;
  if (pool == null) return 0;
  let found: u32 = 0;
  let slot = from;
  while (slot < pool.slots && found < max) {
    if (load<u8>(backOf(pool, slot)) != 0) {
      ++slot;
      continue;
    }
    const mapping = mappingOf(pool, slot);
    const live = changetype<SwiotlbLive>(dest);
    live.slot = <f64>slot;
    live.slots = <f64>mapping.slots;
    live.address = <f64>(slotAddress(pool, slot) + mapping.offset);
    live.physical = <f64>mapping.phys;
    live.length = <f64>mapping.length;
    live.device = <f64>mapping.device;
    live.direction = <f64>mapping.direction;
    dest += offsetof<SwiotlbLive>();
    slot += mapping.slots;
    ++found;
  }
  return found;
}
