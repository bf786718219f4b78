// How bounce pools are made, grow, and go.
//
// An allocator (struct io_tlb_mem) is the record of its first pool: that has what is counted over all of them, and the list in which they
// are searched, the newest first. The machine's allocator is that of every device; a restricted pool (restricted-dma-pool of a device tree)
// is an allocator of its own, through which everything of the devices goes that were given it.
//
// With CONFIG_SWIOTLB_DYNAMIC a request that no pool serves queues work that adds one, of the first one's size or what a block can
// have, and gets meanwhile a pool of exactly its slots, which goes with its mapping (a transient pool).

import { DEVICE_FORCE_BOUNCE, DEVICE_POOL_ALLOC, DmaDevice } from '../device/device';
import { devicesOf } from '../device/state';
import { EEXIST, EINVAL, ENOMEM } from '../memory/errno';
import { KMSG_NO_NEW_POOL, LIMIT_NEW_POOL, kmsg, kmsgAllowed } from '../kmsg/kmsg';
import { BLOCK_SHIFT, blockAlloc, blockAllocZeroed, blockFree, blockOrder } from '../memory/block';
import { TIMER_SWIOTLB_GROW, timerAdd } from '../memory/clock';
import { Context } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { addressOf } from '../memory/record';
import { rangeAllocLow, rangeFree, rangeReserve } from '../ram/range';
import { MAX_ORDER } from '../ram/ram';
import { ladderBlock, orderOf } from '../ram/zones';
import {
  AREA_SIZE, MAPPING_SIZE, POOL_RESTRICTED, SET_SLOTS, SLOT_SHIFT, Swiotlb, areaOf, memOf,
} from './pool';
import { BACK_FREE, slotsPresent } from './slots';

/** Bytes before the areas: the record. */
const HEAD: usize = 256;
/** Least slots of a pool that is added: 1 MiB (IO_TLB_MIN_SLABS). */
const LEAST_SLOTS: u32 = 512;
/** Most slots of a pool that is added: what the largest block holds. */
const MOST_SLOTS: u32 = 1 << (MAX_ORDER + BLOCK_SHIFT - SLOT_SHIFT);
/** Last address of pools that are added (ARCH_LOW_ADDRESS_LIMIT). */
const LOW_LIMIT: u64 = 0xffffffff;
/** A pool's frames were not taken as a block. */
const NO_ORDER: u32 = 0xff;

/**
 * The record of a pool that has no frames yet, all slots free. One block holds the record, the areas, the bitmaps and the
 * bytes; the records of mappings are the other.
 * @returns null without memory
 */
function poolMake(ctx: Context, slots: u32, areas: u32, flags: u32): Swiotlb | null {
  const areaBytes = <usize>areas * AREA_SIZE;
  const freeBytes = <usize>((slots + SET_SLOTS - 1) / SET_SLOTS) << 4;
  assert(offsetof<Swiotlb>() <= HEAD);
  const at = blockAllocZeroed(ctx, blockOrder(HEAD + areaBytes + freeBytes + slots));
  if (at == 0) return null;
  const mappings = blockAlloc(ctx, blockOrder(<usize>slots * MAPPING_SIZE));
  if (mappings == 0) {
    blockFree(ctx, at);
    return null;
  }
  const pool = changetype<Swiotlb>(at);
  pool.ctx = ctx;
  pool.flags = flags;
  pool.slots = slots;
  pool.areas = areas;
  pool.areaSlots = slots / areas;
  pool.areaTable = at + HEAD;
  pool.free = pool.areaTable + areaBytes;
  pool.back = pool.free + freeBytes;
  pool.mappings = mappings;
  pool.order = NO_ORDER;
  slotsPresent(pool);
  memory.fill(pool.back, BACK_FREE, slots);
  return pool;
}

function poolDrop(pool: Swiotlb): void {
  blockFree(pool.ctx, pool.mappings);
  blockFree(pool.ctx, addressOf(pool));
}

function poolPlace(pool: Swiotlb, first: u32): void {
  pool.start = <u64>first << BLOCK_SHIFT;
  pool.end = pool.start + (<u64>pool.slots << SLOT_SHIFT);
}

/** An allocator with one pool at a place, 0: as high below 4 GiB as there is room. Errors as swiotlbCreate. */
function memCreate(ctx: Context, slots: u32, areas: u32, flags: u32, startPfn: u32): Swiotlb | null {
  const pool = poolMake(ctx, slots, areas, flags);
  if (pool == null) return null;
  const frames = framesOf(slots);
  const first = startPfn == 0 ? rangeAllocLow(ctx, frames) : rangeReserve(ctx, startPfn, frames) ? startPfn : 0;
  if (first == 0) {
    poolDrop(pool);
    return null;
  }
  poolPlace(pool, first);
  pool.mem = pool;
  pool.pools = pool;
  pool.low = pool.start;
  pool.high = pool.end;
  pool.total = slots;
  return pool;
}

/**
 * Gives the machine a bounce pool.
 * @param slots slots of 2 KiB, a multiple of 128 an area
 * @param areas power of two
 * @param flags POOL_*: the dialect's properties
 * @param startPfn where the pool lies, 0: as high below 4 GiB as there is room
 * @returns 0; -EINVAL for a shape that cannot be, -EEXIST when there is a pool, -ENOMEM without room for it
 */
export function swiotlbCreate(ctx: Context, slots: u32, areas: u32, flags: u32, startPfn: u32): i32 {
  if (ctx.swiotlb != 0) return EEXIST;
  if (areas == 0 || (areas & (areas - 1)) != 0 || slots == 0 || slots > 1 << 22 || slots % (areas * SET_SLOTS) != 0) return EINVAL;
  const pool = memCreate(ctx, slots, areas, flags, startPfn);
  if (pool == null) return ENOMEM;
  ctx.swiotlb = addressOf(pool);
  for (let dev = devicesOf(ctx).devices; dev != null; ) {
    dev.swiotlb = ctx.swiotlb;
    dev = dev.next;
  }
  return 0;
}

/** The machine's allocator, null without one. */
export function swiotlbOf(ctx: Context): Swiotlb | null {
  return changetype<Swiotlb | null>(ctx.swiotlb);
}

/** The first of the machine's restricted pools. */
export function restrictedOf(ctx: Context): Swiotlb | null {
  return changetype<Swiotlb | null>(ctx.swiotlbRestricted);
}

/**
 * Sets memory aside as a restricted pool (rmem_swiotlb_device_init): one area, any number of slots.
 * @returns the pool, or null without room for it
 */
export function swiotlbRestricted(ctx: Context, slots: u32, startPfn: u32): Swiotlb | null {
  if (slots == 0 || slots > 1 << 22) return null;
  const pool = memCreate(ctx, slots, 1, POOL_RESTRICTED, startPfn);
  if (pool == null) return null;
  pool.nextMem = changetype<Swiotlb | null>(ctx.swiotlbRestricted);
  ctx.swiotlbRestricted = addressOf(pool);
  return pool;
}

/** A device is given a restricted pool. */
export function swiotlbAssign(dev: DmaDevice, pool: Swiotlb): void {
  dev.swiotlb = addressOf(pool);
  dev.flags |= DEVICE_FORCE_BOUNCE | DEVICE_POOL_ALLOC;
}

/**
 * A pool in a block of RAM (swiotlb_alloc_pool): with fewer slots where there is none for all, down to `least`.
 * @param limit last address that it may have
 * @returns null without memory
 */
function poolAlloc(ctx: Context, least: u32, slots: u32, areas: u32, limit: u64): Swiotlb | null {
  if (slots > MOST_SLOTS) {
    slots = MOST_SLOTS;
    areas = areasFor(areas, slots);
  }
  let pool: Swiotlb | null = null;
  while (pool == null) {
    const bytes = <u64>slots << SLOT_SHIFT;
    const order = orderOf(framesOf(slots));
    const first = ladderBlock(ctx, order, bytes, limit);
    if (first != 0) {
      pool = poolMake(ctx, slots, areas, 0);
      if (pool == null) {
        rangeFree(ctx, first, 1 << order);
        break;
      }
      pool.order = order;
      poolPlace(pool, first);
    } else {
      if (slots <= least) break;
      slots = ((slots >> 1) + SET_SLOTS - 1) & ~(SET_SLOTS - 1);
      areas = areasFor(areas, slots);
    }
  }
  return pool;
}

/** limit_nareas. */
function areasFor(areas: u32, slots: u32): u32 {
  return slots < areas * SET_SLOTS ? slots / SET_SLOTS : areas;
}

/** Frames that so many slots fill. */
// @ts-ignore: decorator
@inline
function framesOf(slots: u32): u32 {
  return (slots + (1 << (BLOCK_SHIFT - SLOT_SHIFT)) - 1) >> (BLOCK_SHIFT - SLOT_SHIFT);
}

function link(mem: Swiotlb, pool: Swiotlb): void {
  pool.mem = mem;
  lock(areaOf(mem, 0));
  pool.next = mem.pools;
  mem.pools = pool;
  mem.low = min(mem.low, pool.start);
  mem.high = max(mem.high, pool.end);
  unlock(areaOf(mem, 0));
}

/** No pool has served a request: a larger pool is on its way (schedule_work of swiotlb_find_slots). */
export function growLater(mem: Swiotlb): void {
  if (mem.growing != 0) return;
  if (timerAdd(mem.ctx, TIMER_SWIOTLB_GROW, addressOf(mem), mem.ctx.now)) mem.growing = 1;
}

/** The work: adds a pool (swiotlb_dyn_alloc). */
export function swiotlbGrow(mem: Swiotlb): void {
  const ctx = mem.ctx;
  mem.growing = 0;
  const pool = poolAlloc(ctx, LEAST_SLOTS, mem.slots, mem.areas, LOW_LIMIT);
  if (pool == null) {
    if (kmsgAllowed(ctx, LIMIT_NEW_POOL)) kmsg(ctx, KMSG_NO_NEW_POOL, 0, 0, 0, 0, 0, 0, 0);
    return;
  }
  link(mem, pool);
  mem.total += pool.slots;
}

/** A pool for one request of a device that no other has served; it is on no list yet. Null without memory. */
export function transientMake(dev: DmaDevice, slots: u32): Swiotlb | null {
  const pool = poolAlloc(dev.ctx, slots, slots, 1, dev.mask);
  if (pool == null) return null;
  pool.transient = dev.id;
  pool.mem = memOf(dev)!;
  return pool;
}

/** The request has got its slots. */
export function transientKeep(pool: Swiotlb): void {
  link(pool.mem, pool);
  pool.mem.transientSlots += pool.slots;
}

/** The frames and records of a pool that is on no list. */
export function poolFree(pool: Swiotlb): void {
  assert(pool.order != NO_ORDER);
  rangeFree(pool.ctx, <u32>(pool.start >> BLOCK_SHIFT), 1 << pool.order);
  poolDrop(pool);
}

/** A transient pool's mapping has ended (swiotlb_del_transient). */
export function transientDrop(pool: Swiotlb): void {
  const mem = pool.mem;
  lock(areaOf(mem, 0));
  let low = u64.MAX_VALUE;
  let high: u64 = 0;
  let before: Swiotlb | null = null;
  for (let one: Swiotlb | null = mem.pools; one != null; one = one.next) {
    if (one == pool) {
      if (before == null) mem.pools = pool.next!;
      else before.next = pool.next;
    } else {
      low = min(low, one.start);
      high = max(high, one.end);
      before = one;
    }
  }
  mem.low = low;
  mem.high = high;
  mem.transientSlots -= pool.slots;
  unlock(areaOf(mem, 0));
  poolFree(pool);
}
