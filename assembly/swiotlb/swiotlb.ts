// swiotlb/ is the bounce pool: memory below 4 GiB that replaces a buffer which a device cannot reach (kernel/dma/swiotlb.c).
// Mapping allocates a run of slots and copies the buffer in, unmapping copies back what the device wrote. In between the device
// uses the slots, and a sync copies between slots and buffer.
//
//   pool    | area 0                          | area 1                          | ...     frames of emulated RAM
//   area    | set 0   | set 1   | set 2   | ...                                           one lock, one moving index
//   set     | 128 slots of 2 KiB: no mapping crosses a set, so 256 KiB is the longest |
//
// Areas reduce lock contention: a CPU searches its own area first and the others when that is full. Each area is searched
// next-fit, from the end of its last allocation (slots.ts).
//
// Address bits that a device needs preserved (min_align_mask, NVMe's 4 KiB) are split: those below 2 KiB are an offset in the
// first slot and are added to the length, those above restrict which slots may be first.
//
// Kernels differ in properties (POOL_*): that of 2015 had one area, aligned only requests longer than a page to a page, copied
// in only what the device may read, and had no min_align_mask.
//
// pool.ts has the records, pools.ts how pools are made, grow and go, slots.ts the search.

import { DEVICE_BOUNCED, DmaDevice, OPS_DIRECT } from '../device/device';
import {
  DMA_ATTR_NO_WARN, DMA_ATTR_SKIP_CPU_SYNC, DMA_FROM_DEVICE, DMA_MAPPING_ERROR, DMA_NONE, DMA_TO_DEVICE,
} from '../device/mapping';
import { noteFailure } from '../device/failure';
import { NO_ADDRESS, physToDma } from '../device/ranges';
import { BLOCK_SHIFT } from '../memory/block';
import { Context, FAULT_SWIOTLB } from '../memory/context';
import { currentCpu } from '../memory/cpu';
import { shouldFail } from '../memory/fault';
import { lock, unlock } from '../memory/lock';
import { addressOf, fieldOf } from '../memory/record';
import { noteSlots } from '../memory/search-cost';
import { physCopy, physZero } from '../ram/contents';
import {
  REASON_SWIOTLB_COPY_FAILED, REASON_SWIOTLB_FRAGMENTED, REASON_SWIOTLB_FULL, REASON_SWIOTLB_NOT_MAPPED, REASON_SWIOTLB_NO_POOL,
  REASON_SWIOTLB_OVERFLOW, REASON_SWIOTLB_TOO_LARGE, REASON_SWIOTLB_UNREACHABLE, setReason,
} from '../memory/reason';
import { EVENT_BOUNCE, emit } from '../events/events';
import {
  KMSG_SWIOTLB_CUT, KMSG_SWIOTLB_FULL, KMSG_SWIOTLB_OVERFLOW, LIMIT_SWIOTLB, ONCE_SWIOTLB_CUT, ONCE_SWIOTLB_OVERFLOW, kmsg,
  kmsgAllowed, kmsgOnce,
} from '../kmsg/kmsg';
import {
  POOL_ALIGN_ABOVE_PAGE, POOL_COPY_IN_READABLE, POOL_FREE_BY_SIZE, POOL_GROWS, POOL_NO_MIN_ALIGN, SLOT_SHIFT,
  SLOT_SIZE, SWIOTLB_MAX_MAPPING, Swiotlb, areaOf, mappingOf, memOf, poolAt, slotAddress,
} from './pool';
import { growLater, poolFree, transientDrop, transientKeep, transientMake } from './pools';
import { BACK_FREE, NO_SLOT, backOf, searchArea, slotsRelease, slotsRenumber, slotsTake } from './slots';

// Counters of the whole pool are shared by areas, so in the threads build an area's lock does not cover them.
function addTo(at: usize, n: u32): u32 {
  if (ASC_FEATURE_THREADS) return atomic.add<u32>(at, n) + n;
  const sum = load<u32>(at) + n;
  store<u32>(at, sum);
  return sum;
}

/** Longest buffer that can be mapped for a device (swiotlb_max_mapping_size). */
export function swiotlbMaxMapping(dev: DmaDevice): u32 {
  const mem = memOf(dev);
  const align: u32 = mem == null ? 0 : minAlign(mem, dev);
  const lost = (align + SLOT_SIZE - 1) & ~(SLOT_SIZE - 1);
  return lost < SWIOTLB_MAX_MAPPING ? SWIOTLB_MAX_MAPPING - lost : 0;
}

// @ts-ignore: decorator
@inline
function minAlign(pool: Swiotlb, dev: DmaDevice): u32 {
  return (pool.flags & POOL_NO_MIN_ALIGN) != 0 ? 0 : dev.minAlignMask;
}

function refuse(ctx: Context, reason: u32): u64 {
  setReason(ctx, reason);
  return DMA_MAPPING_ERROR;
}

/**
 * Maps a buffer through the pool: takes slots and copies the buffer in (swiotlb_map).
 * @param length bytes, at least 1
 * @param allocMask slots are taken in whole units of this plus 1, aligned to it
 * @returns the address of the copy of the first byte; DMA_MAPPING_ERROR with the reason in cpu.reason, nothing changed
 */
export function swiotlbMap(
  dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32, allocMask: u32 = 0,
): u64 {
  const ctx = dev.ctx;
  const mem = memOf(dev);
  if (mem == null) return refuse(ctx, REASON_SWIOTLB_NO_POOL);
  assert(length != 0);
  const align = minAlign(mem, dev);
  const offset = <u32>phys & align & (allocMask | (SLOT_SIZE - 1));
  if (length > SWIOTLB_MAX_MAPPING - offset) {
    addTo(fieldOf(mem, offsetof<Swiotlb>('tooLarge')), 1);
    sayFull(mem, dev, (<u64>length + offset + allocMask) & ~<u64>allocMask, attrs);
    return refuse(ctx, REASON_SWIOTLB_TOO_LARGE);
  }
  const size = (length + offset + allocMask) & ~allocMask;
  const injected = shouldFail(ctx, FAULT_SWIOTLB);
  const place = injected ? NO_PLACE : findSlots(mem, dev, phys, size, align, allocMask);
  if (place == NO_PLACE) {
    addTo(fieldOf(mem, offsetof<Swiotlb>('full')), 1);
    sayFull(mem, dev, size, attrs);
    // The kernel says full to either.
    const fragmented = !injected && mem.used + ((size + SLOT_SIZE - 1) >> SLOT_SHIFT) <= mem.total;
    if (fragmented) addTo(fieldOf(mem, offsetof<Swiotlb>('fragmented')), 1);
    return refuse(ctx, fragmented ? REASON_SWIOTLB_FRAGMENTED : REASON_SWIOTLB_FULL);
  }
  const pool = poolOfPlace(place);
  const slot = <u32>place;
  addTo(fieldOf(mem, offsetof<Swiotlb>('live')), 1);
  const address = slotAddress(pool, slot) + offset;
  const mapping = mappingOf(pool, slot);
  mapping.phys = phys;
  mapping.length = length;
  mapping.offset = offset;
  mapping.limit = size - offset;
  mapping.device = dev.id;
  mapping.direction = dir;
  if (dev.ops == OPS_DIRECT && beyondMask(dev, address, length)) {
    release(pool, slot);
    addTo(fieldOf(mem, offsetof<Swiotlb>('unreachable')), 1);
    if (kmsgOnce(ctx, ONCE_SWIOTLB_OVERFLOW)) kmsg(ctx, KMSG_SWIOTLB_OVERFLOW, dev.id, physToDma(dev, address), length, dev.mask, 0, 0, 0);
    return refuse(ctx, REASON_SWIOTLB_UNREACHABLE);
  }
  // The copy in ignores DMA_ATTR_SKIP_CPU_SYNC: bytes that the device does not write must come back unchanged.
  if ((mem.flags & POOL_COPY_IN_READABLE) == 0 || dir != DMA_FROM_DEVICE) {
    if (physCopy(ctx, address, phys, length) < 0) {
      release(pool, slot);
      return refuse(ctx, REASON_SWIOTLB_COPY_FAILED);
    }
    mem.bytesIn += length;
    emit(ctx, EVENT_BOUNCE, dev.id, address, phys, length, dir, 1);
  }
  addTo(fieldOf(mem, offsetof<Swiotlb>('maps')), 1);
  dev.flags |= DEVICE_BOUNCED;
  return address;
}

/**
 * Memory of a restricted pool for a device's own buffers, aligned to its order (swiotlb_alloc). Nothing is copied to it or from it.
 * @param size bytes, whole pages
 * @returns its physical address, 0 where the pool has none
 */
export function swiotlbAlloc(dev: DmaDevice, size: u32, order: u32): u64 {
  const mem = memOf(dev)!;
  if (size > SWIOTLB_MAX_MAPPING) return 0;
  const place = findSlots(mem, dev, 0, size, 0, ((1 << BLOCK_SHIFT) << order) - 1);
  if (place == NO_PLACE) return 0;
  addTo(fieldOf(mem, offsetof<Swiotlb>('live')), 1);
  const pool = poolOfPlace(place);
  const mapping = mappingOf(pool, <u32>place);
  mapping.phys = 0;
  mapping.length = size;
  mapping.offset = 0;
  mapping.limit = size;
  mapping.device = dev.id;
  mapping.direction = DMA_NONE;
  dev.flags |= DEVICE_BOUNCED;
  const address = slotAddress(pool, <u32>place);
  physZero(dev.ctx, address, size);
  return address;
}

/** Gives memory of swiotlbAlloc back (swiotlb_free). Returns false for other memory. */
export function swiotlbFree(dev: DmaDevice, phys: u64): bool {
  const pool = poolAt(dev, phys);
  const slot = mappingAt(pool, phys);
  if (slot == NO_SLOT) return false;
  release(pool!, slot);
  return true;
}

/** Whether a device without translation cannot reach slots (dma_capable). */
function beyondMask(dev: DmaDevice, address: u64, length: u32): bool {
  const first = physToDma(dev, address);
  return first == NO_ADDRESS || first + length - 1 > dev.mask;
}

/** Warns that the pool is full, whatever the reason of the failure; at most ten times in five seconds. */
function sayFull(mem: Swiotlb, dev: DmaDevice, size: u64, attrs: u32): void {
  if ((attrs & DMA_ATTR_NO_WARN) != 0 || !kmsgAllowed(mem.ctx, LIMIT_SWIOTLB)) return;
  kmsg(mem.ctx, KMSG_SWIOTLB_FULL, dev.id, 0, size, mem.total, mem.used, 0, 0);
}

/** A pool and a slot of it, in one number. */
const NO_PLACE: u64 = 0xffffffffffffffff;

// @ts-ignore: decorator
@inline
function poolOfPlace(place: u64): Swiotlb {
  return changetype<Swiotlb>(<usize>(place >> 32));
}

/**
 * The slots of a request: the CPU's own area of each pool first, then the others in turn; where no pool has them and more can be made, a
 * pool of their own.
 */
function findSlots(mem: Swiotlb, dev: DmaDevice, phys: u64, size: u32, align: u32, allocMask: u32): u64 {
  const page: u32 = 1 << BLOCK_SHIFT;
  const aboveOnly = (mem.flags & POOL_ALIGN_ABOVE_PAGE) != 0;
  const paged = align == 0 && allocMask == 0 && (aboveOnly ? size > page : size >= page);
  const slotMask: u32 = paged ? page - 1 : allocMask | (SLOT_SIZE - 1);
  const keep = align & ~slotMask;
  const slots = (size + SLOT_SIZE - 1) >> SLOT_SHIFT;
  const cpu = currentCpu();
  for (let i: u32 = 0; i < mem.areas; ++i) {
    for (let pool: Swiotlb | null = mem.pools; pool != null; pool = pool.next) {
      if (i >= pool.areas || pool.transient != 0) continue;
      const slot = searchAndTake(pool, dev, (cpu + i) & (pool.areas - 1), slots, slotMask, keep, <u32>phys);
      if (slot != NO_SLOT) return (<u64>addressOf(pool) << 32) | slot;
    }
  }
  if ((mem.flags & POOL_GROWS) == 0) return NO_PLACE;
  growLater(mem);
  const pool = transientMake(dev, slots);
  if (pool == null) return NO_PLACE;
  const slot = searchAndTake(pool, dev, 0, slots, slotMask, keep, <u32>phys);
  if (slot == NO_SLOT) {
    poolFree(pool);
    return NO_PLACE;
  }
  transientKeep(pool);
  return (<u64>addressOf(pool) << 32) | slot;
}

/** Searches an area of a pool and takes what it finds (swiotlb_search_pool_area). Returns the first slot, or NO_SLOT. */
function searchAndTake(
  pool: Swiotlb, dev: DmaDevice, index: u32, slots: u32, slotMask: u32, keep: u32, phys: u32,
): u32 {
  const area = areaOf(pool, index);
  lock(area);
  let slot = NO_SLOT;
  const from = area.index;
  if (slots <= pool.areaSlots - area.used) {
    slot = searchArea(pool, index, slots, slotMask | keep, phys & keep, max(slotMask, keep), dev.segmentBoundary);
    if (slot != NO_SLOT) {
      slotsTake(pool, slot, slots);
      mappingOf(pool, slot).slots = slots;
      const next = slot - index * pool.areaSlots + slots;
      area.index = next < pool.areaSlots ? next : 0;
      area.used += slots;
      const mem = pool.mem;
      const used = addTo(fieldOf(mem, offsetof<Swiotlb>('used')), slots);
      // Two CPUs may race here; the mark is a statistic, as the kernel's is.
      if (used > mem.highWater) mem.highWater = used;
    }
  }
  unlock(area);
  if (pool.ctx.searchCost != 0) countSlots(pool, index, from, slot, slots);
  return slot;
}

/** Slots that a search of an area has gone over: from its index to those that it took, or all. */
function countSlots(pool: Swiotlb, area: u32, from: u32, slot: u32, slots: u32): void {
  const total = pool.areaSlots;
  const at = slot - area * total;
  noteSlots(pool.ctx, slot == NO_SLOT ? total : (at >= from ? at - from : at + total - from) + slots);
}

// Frees all slots of the mapping that begins at a slot; a transient pool goes with it.
function release(pool: Swiotlb, slot: u32): void {
  releasePart(pool, slot, slot, mappingOf(pool, slot).slots);
  if (pool.transient != 0) transientDrop(pool);
}

/**
 * Frees `count` slots from `from` on, of the mapping that begins at `first`. What is left of it before and behind them stays
 * in use, as mappings of their own: a driver that unmaps at another address than it was given loses them.
 */
function releasePart(pool: Swiotlb, first: u32, from: u32, count: u32): void {
  const mapping = mappingOf(pool, first);
  const before = from - first;
  const behind = mapping.slots - before - count;
  const area = areaOf(pool, pool.areas == 1 ? 0 : first / pool.areaSlots);
  lock(area);
  slotsRelease(pool, from, count);
  if (behind != 0) {
    const tail = mappingOf(pool, from + count);
    const skipped = ((before + count) << SLOT_SHIFT) - mapping.offset;
    tail.phys = mapping.phys + skipped;
    tail.length = mapping.length > skipped ? mapping.length - skipped : 0;
    tail.limit = mapping.limit - skipped;
    tail.offset = 0;
    tail.slots = behind;
    tail.device = mapping.device;
    tail.direction = mapping.direction;
    slotsRenumber(pool, from + count, behind);
  }
  mapping.slots = before;
  if (before != 0) {
    mapping.limit = (before << SLOT_SHIFT) - mapping.offset;
    mapping.length = min(mapping.length, mapping.limit);
  }
  area.used -= count;
  unlock(area);
  const mem = pool.mem;
  addTo(fieldOf(mem, offsetof<Swiotlb>('used')), 0 - count);
  addTo(fieldOf(mem, offsetof<Swiotlb>('live')), <u32>(before != 0) + <u32>(behind != 0) - 1);
}

/** Frees `count` slots from `from` on, whosever they are, to the pool's end (2015). */
function releaseBySize(pool: Swiotlb, from: u32, count: u32): void {
  const end = min(from + count, pool.slots);
  while (from < end) {
    const back = load<u8>(backOf(pool, from));
    if (back == BACK_FREE) {
      ++from;
      continue;
    }
    const first = from - <u32>back;
    const part = min(first + mappingOf(pool, first).slots, end) - from;
    releasePart(pool, first, from, part);
    from += part;
  }
}

/** First slot of the mapping that an address lies in, or NO_SLOT. */
function mappingAt(pool: Swiotlb | null, address: u64): u32 {
  if (pool == null || address < pool.start || address >= pool.end) return NO_SLOT;
  const slot = <u32>((address - pool.start) >> SLOT_SHIFT);
  const back = load<u8>(backOf(pool, slot));
  return back == BACK_FREE ? NO_SLOT : slot - <u32>back;
}

/**
 * Ends a mapping: copies back what the device may have written, unless DMA_ATTR_SKIP_CPU_SYNC, and frees the slots
 * (swiotlb_tbl_unmap_single). Any address in a mapping will do: the slots from there on are freed, as many as were mapped, in
 * 2015 as many as the size given takes.
 * @param length bytes to copy back; more than the mapping holds is cut, with the reason
 * @returns false with the reason when no mapping holds the address, or when its bytes could not be copied back (the
 *     slots are free then all the same)
 */
export function swiotlbUnmap(dev: DmaDevice, address: u64, length: u32, dir: u32, attrs: u32): bool {
  const ctx = dev.ctx;
  const pool = poolAt(dev, address);
  const slot = mappingAt(pool, address);
  if (slot == NO_SLOT) {
    setReason(ctx, REASON_SWIOTLB_NOT_MAPPED);
    noteFailure(dev, 1);
    return false;
  }
  let copied = true;
  if (dir != DMA_TO_DEVICE && (attrs & DMA_ATTR_SKIP_CPU_SYNC) == 0) copied = bounce(pool!, dev, slot, address, length, dir, false, true);
  if (!copied) noteFailure(dev, 1);
  if (pool!.transient != 0) {
    release(pool!, slot);
    return copied;
  }
  // Slots before the first byte are padding, and go with it.
  const padding = mappingOf(pool!, slot).offset >> SLOT_SHIFT;
  let from = <u32>((address - pool!.start) >> SLOT_SHIFT);
  if (from - slot <= padding) from = slot;
  if ((pool!.flags & POOL_FREE_BY_SIZE) != 0) releaseBySize(pool!, from, (length + SLOT_SIZE - 1) >> SLOT_SHIFT);
  else releasePart(pool!, slot, from, slot + mappingOf(pool!, slot).slots - from);
  return copied;
}

/**
 * Copies between slots and buffer of a live mapping (swiotlb_sync_single_for_cpu, _for_device): to the device if it may read, to
 * the CPU if the device may write; otherwise nothing.
 * @param address anywhere in a mapping
 * @returns false with the reason when no mapping holds the address, or more was asked than it holds (which is cut)
 */
export function swiotlbSync(dev: DmaDevice, address: u64, length: u32, dir: u32, forDevice: bool): bool {
  const ctx = dev.ctx;
  const pool = poolAt(dev, address);
  const slot = mappingAt(pool, address);
  if (slot == NO_SLOT) {
    setReason(ctx, REASON_SWIOTLB_NOT_MAPPED);
    noteFailure(dev);
    return false;
  }
  if (dir == (forDevice ? DMA_FROM_DEVICE : DMA_TO_DEVICE)) return true;
  const copied = bounce(pool!, dev, slot, address, length, dir, forDevice);
  if (!copied) noteFailure(dev);
  return copied;
}

/**
 * Copies between slots and buffer, as far as the slots of the mapping go. An address before the first byte, in what
 * min_align_mask leaves free of the first slot, means memory before the buffer, as the kernel takes it. In 2015 nothing is cut.
 */
function bounce(
  pool: Swiotlb, dev: DmaDevice, slot: u32, address: u64, length: u32, dir: u32, toSlots: bool, unmaps: bool = false,
): bool {
  const ctx = dev.ctx;
  const mapping = mappingOf(pool, slot);
  // Memory that was allocated stands for no other.
  if (mapping.direction == DMA_NONE) return true;
  const begin = slotAddress(pool, slot) + mapping.offset;
  const end = begin + mapping.limit;
  let ok = true;
  const bySize = (pool.flags & POOL_FREE_BY_SIZE) != 0;
  if (bySize) length = <u32>min<u64>(length, pool.end - address);
  else if (address + length > end) {
    const left: u32 = address < end ? <u32>(end - address) : 0;
    if (kmsgOnce(ctx, ONCE_SWIOTLB_CUT)) kmsg(ctx, KMSG_SWIOTLB_CUT, dev.id, address, length, left, 0, 0, 0);
    setReason(ctx, REASON_SWIOTLB_OVERFLOW);
    ok = false;
    length = left;
    if (length == 0) return false;
  }
  // In 2015 an unmap copies to where the slot's part of the buffer begins, wherever in the slot the address is.
  const phys = mapping.phys + (address - begin) - (bySize && unmaps ? (address - pool.start) & (SLOT_SIZE - 1) : 0);
  if ((toSlots ? physCopy(ctx, address, phys, length) : physCopy(ctx, phys, address, length)) < 0) {
    setReason(ctx, REASON_SWIOTLB_COPY_FAILED);
    return false;
  }
  if (toSlots) pool.mem.bytesIn += length;
  else pool.mem.bytesOut += length;
  emit(ctx, EVENT_BOUNCE, dev.id, address, phys, length, dir, toSlots ? 1 : 0);
  return ok;
}
