// Records of one size, carved from blocks and kept on a free list that runs through the free records themselves.
// A cache never returns its blocks: what a workload needed once it will need again, and the high-water mark is bounded
// by the records that were ever live at one time.

import { blockAlloc, BLOCK_SIZE } from './block';
import { Context, FAULT_SLAB } from './context';
import { shouldFail } from './fault';
import { contendedCount, lock, unlock } from './lock';

// @ts-ignore: decorator
@unmanaged
export class SlabCache {
  guard: u64;
  ctx: usize;
  /** First free record; the next one's offset is its first word. */
  free: usize;
  /** The part of the newest block that no record was carved from yet. */
  fresh: usize;
  freshEnd: usize;
  objectSize: u32;
  /** Order of the blocks that records are carved from: at least 16 records a block. */
  order: u32;
  live: u32;
  total: u32;
  next: usize;
  pad: u32;
}

const RECORDS_A_BLOCK: usize = 16;
// Caches themselves are few; they share blocks of their own, at the head of the context's list.
const CACHE_SIZE: usize = 64;

/**
 * Makes a cache for records of objectSize bytes (rounded up to a multiple of 8, at least 8).
 * @returns the cache, or 0 without memory
 */
export function slabCacheCreate(ctx: Context, objectSize: usize): usize {
  // The first 64 bytes of a block of caches link and count them.
  let page = ctx.caches;
  if (page == 0 || load<u32>(page) == <u32>(BLOCK_SIZE / CACHE_SIZE - 1)) {
    const fresh = blockAlloc(ctx, 0);
    if (fresh == 0) return 0;
    memory.fill(fresh, 0, BLOCK_SIZE);
    store<u32>(fresh, <u32>page, 4);
    ctx.caches = fresh;
    page = fresh;
  }
  const used = load<u32>(page) + 1;
  store<u32>(page, used);
  const cache = changetype<SlabCache>(page + <usize>used * CACHE_SIZE);
  cache.ctx = changetype<usize>(ctx);
  cache.objectSize = <u32>((max<usize>(objectSize, 8) + 7) & ~7);
  let order: u32 = 0;
  while ((BLOCK_SIZE << order) < <usize>cache.objectSize * RECORDS_A_BLOCK) ++order;
  cache.order = order;
  return changetype<usize>(cache);
}

/** The cache whose offset is kept at `link`, made when it is first asked for. Returns 0 without memory. */
export function slabCacheAt(ctx: Context, link: usize, size: usize): usize {
  let cache: usize = load<u32>(link);
  if (cache == 0) {
    cache = slabCacheCreate(ctx, size);
    store<u32>(link, <u32>cache);
  }
  return cache;
}

/** Takes a record; its contents are whatever was there. Returns 0 without memory. */
export function slabAlloc(cacheAt: usize): usize {
  const cache = changetype<SlabCache>(cacheAt);
  if (shouldFail(changetype<Context>(cache.ctx), FAULT_SLAB)) return 0;
  lock(cacheAt);
  let record = cache.free;
  if (record != 0) cache.free = load<u32>(record);
  else record = carve(cache);
  if (record != 0) ++cache.live;
  unlock(cacheAt);
  return record;
}

export function slabAllocZeroed(cacheAt: usize): usize {
  const record = slabAlloc(cacheAt);
  if (record != 0) memory.fill(record, 0, changetype<SlabCache>(cacheAt).objectSize);
  return record;
}

function carve(cache: SlabCache): usize {
  const size: usize = cache.objectSize;
  if (cache.freshEnd - cache.fresh < size) {
    const block = blockAlloc(changetype<Context>(cache.ctx), cache.order);
    if (block == 0) return 0;
    cache.fresh = block;
    cache.freshEnd = block + (BLOCK_SIZE << cache.order);
  }
  const record = cache.fresh;
  cache.fresh = record + size;
  ++cache.total;
  return record;
}

/** Gives a record back. It must come from this cache and be live. */
export function slabFree(cacheAt: usize, record: usize): void {
  const cache = changetype<SlabCache>(cacheAt);
  lock(cacheAt);
  assert(cache.live != 0);
  store<u32>(record, <u32>cache.free);
  cache.free = record;
  --cache.live;
  unlock(cacheAt);
}

/** Walks a cache's free list against its counters. Returns 0, or the record that is wrong (the cache for a count). */
export function slabCheck(cacheAt: usize): usize {
  const cache = changetype<SlabCache>(cacheAt);
  let free: u32 = 0;
  let record = cache.free;
  while (record != 0) {
    if (++free > cache.total) return record;
    record = load<u32>(record);
  }
  return free + cache.live == cache.total ? 0 : cacheAt;
}

/** Records live in all caches of a context: what a machine must come back to after teardown. */
export function slabLive(ctx: Context): u32 {
  let live: u32 = 0;
  let page = ctx.caches;
  while (page != 0) {
    const used = load<u32>(page);
    for (let i: u32 = 1; i <= used; ++i) live += changetype<SlabCache>(page + <usize>i * CACHE_SIZE).live;
    page = load<u32>(page, 4);
  }
  return live;
}

/** Contended acquisitions of all caches' locks together. */
export function slabsContended(ctx: Context): u32 {
  let sum: u32 = 0;
  let page = ctx.caches;
  while (page != 0) {
    const used = load<u32>(page);
    for (let i: u32 = 1; i <= used; ++i) sum += contendedCount(page + <usize>i * CACHE_SIZE);
    page = load<u32>(page, 4);
  }
  return sum;
}

/** slabCheck for every cache of a context. */
export function slabsCheck(ctx: Context): usize {
  let page = ctx.caches;
  while (page != 0) {
    const used = load<u32>(page);
    for (let i: u32 = 1; i <= used; ++i) {
      const wrong = slabCheck(page + <usize>i * CACHE_SIZE);
      if (wrong != 0) return wrong;
    }
    page = load<u32>(page, 4);
  }
  return 0;
}
