// The atomic pools (kernel/dma/pool.c): memory without a cache in between, made before it is needed, for coherent buffers of devices that are
// not coherent where the caller must not sleep. One pool per zone; each is areas that are searched the newest first. A pool that
// falls below its first size is doubled by work.

import { DmaDevice } from '../device/device';
import { KMSG_ATOMIC_EXHAUSTED, kmsg } from '../kmsg/kmsg';
import { blockAllocZeroed } from '../memory/block';
import { TIMER_ATOMIC_GROW, timerAdd } from '../memory/clock';
import { Context } from '../memory/context';
import { addressOf, recordAt } from '../memory/record';
import { Area, areaGive, areaMake, areaTake } from '../ram/area';
import { physZero } from '../ram/contents';
import { MAX_ORDER, PAGE_SHIFT, ramOf } from '../ram/ram';
import { GFP_DMA, GFP_NORMAL, orderOf, zoneBlock } from '../ram/zones';
import { coherentOk } from './limits';

/** Least pages of a pool, 128 KiB, and of how many pages of RAM it has one more: 128 KiB per GiB. */
const LEAST: u32 = 32;
const SHARE: u32 = 8192;
/** Pools, by GFP_NORMAL, GFP_DMA32, GFP_DMA. */
const POOLS: u32 = 3;

// @ts-ignore: decorator
@unmanaged
class AtomicPool {
  areas: Area | null;
  pages: u32;
  free: u32;
  pad: u32;
}

/** The head of the pools. */
// @ts-ignore: decorator
@unmanaged
export class AtomicPools {
  ctx: Context;
  /** Pages that a pool has at first (atomic_pool_size). */
  least: u32;
  growing: u32;
  pad: u32;
}

// @ts-ignore: decorator
@inline
function poolAt(pools: AtomicPools, zone: u32): AtomicPool {
  return recordAt<AtomicPool>(addressOf(pools) + offsetof<AtomicPools>(), zone);
}

/** Makes the pools, where a device needs them for the first time (dma_atomic_pool_init). Returns false without memory. */
export function atomicPoolsMake(ctx: Context): bool {
  if (ctx.atomicPools != 0) return true;
  const at = blockAllocZeroed(ctx, 0);
  if (at == 0) return false;
  const pools = changetype<AtomicPools>(at);
  pools.ctx = ctx;
  pools.least = max(LEAST, min(ramOf(ctx).frames / SHARE, 1 << MAX_ORDER));
  ctx.atomicPools = at;
  for (let zone = GFP_NORMAL; zone < POOLS; ++zone) expand(pools, zone, pools.least);
  return true;
}

/** Adds an area of so many pages, or of the largest block that there is (atomic_pool_expand). */
function expand(pools: AtomicPools, zone: u32, pages: u32): void {
  const ctx = pools.ctx;
  for (let order = <i32>min(orderOf(pages), MAX_ORDER); order >= 0; --order) {
    const first = zoneBlock(ctx, order, zone);
    if (first == 0) continue;
    const area = areaMake(ctx, first, 1 << order);
    if (area == null) return;
    const pool = poolAt(pools, zone);
    area.next = pool.areas;
    pool.areas = area;
    pool.pages += area.pages;
    pool.free += area.pages;
    return;
  }
}

/** The work (atomic_pool_work_fn). */
export function atomicPoolsGrow(pools: AtomicPools): void {
  pools.growing = 0;
  for (let zone = GFP_NORMAL; zone < POOLS; ++zone) {
    const pool = poolAt(pools, zone);
    if (pool.free < pools.least) expand(pools, zone, pool.pages);
  }
}

/**
 * Takes pages from the pool of a zone, then from those of the lower ones (dma_alloc_from_pool).
 * @param anywhere the device need not reach them by itself
 * @returns the first pfn, 0 where the pools are exhausted
 */
export function atomicTake(dev: DmaDevice, n: u32, zone: u32, anywhere: bool, warn: bool): u32 {
  const ctx = dev.ctx;
  if (!atomicPoolsMake(ctx)) return 0;
  const pools = changetype<AtomicPools>(ctx.atomicPools);
  for (; zone <= GFP_DMA; ++zone) {
    const pool = poolAt(pools, zone);
    const pfn = takeFrom(pool, n);
    if (pfn == 0) continue;
    if (!anywhere && !coherentOk(dev, <u64>pfn << PAGE_SHIFT, <u64>n << PAGE_SHIFT)) {
      giveTo(pool, pfn, n);
      continue;
    }
    if (pool.free < pools.least && pools.growing == 0) {
      if (timerAdd(ctx, TIMER_ATOMIC_GROW, addressOf(pools), ctx.now)) pools.growing = 1;
    }
    physZero(ctx, <u64>pfn << PAGE_SHIFT, n << PAGE_SHIFT);
    return pfn;
  }
  if (warn) kmsg(ctx, KMSG_ATOMIC_EXHAUSTED, dev.id, 0, 0, 0, 0, 0, 0);
  return 0;
}

function takeFrom(pool: AtomicPool, n: u32): u32 {
  let area = pool.areas;
  while (area != null) {
    const pfn = areaTake(area, n, 1 << orderOf(n));
    if (pfn != 0) {
      pool.free -= n;
      return pfn;
    }
    area = area.next;
  }
  return 0;
}

function giveTo(pool: AtomicPool, pfn: u32, n: u32): bool {
  let area = pool.areas;
  while (area != null) {
    if (areaGive(area, pfn, n)) {
      pool.free += n;
      return true;
    }
    area = area.next;
  }
  return false;
}

/** Gives pages of atomicTake back (dma_free_from_pool). Returns false for other memory. */
export function atomicGive(ctx: Context, pfn: u32, n: u32): bool {
  if (ctx.atomicPools == 0) return false;
  const pools = changetype<AtomicPools>(ctx.atomicPools);
  for (let zone = GFP_NORMAL; zone < POOLS; ++zone) {
    if (giveTo(poolAt(pools, zone), pfn, n)) return true;
  }
  return false;
}

/** Pages of a zone's pool, and of these such as are free; 0 before there are pools. */
export function atomicPages(ctx: Context, zone: u32): u32 {
  return ctx.atomicPools == 0 ? 0 : poolAt(changetype<AtomicPools>(ctx.atomicPools), zone).pages;
}

export function atomicFree(ctx: Context, zone: u32): u32 {
  return ctx.atomicPools == 0 ? 0 : poolAt(changetype<AtomicPools>(ctx.atomicPools), zone).free;
}
