// Records of one size, carved from blocks and kept on a free list that runs through the free records themselves.
// A cache never returns its blocks: what a workload needed once it will need again, and the high-water mark is bounded
// by the records that were ever live at one time.

import { blockAlloc, BLOCK_SIZE } from './block';
import { CacheOf, CachePage, Context, FAULT_SLAB, SlabCache } from './context';
import { shouldFail } from './fault';
import { contendedCount, lock, unlock } from './lock';

export { CacheOf } from './context';

const RECORDS_A_BLOCK: usize = 16;
// Caches themselves are few; they share blocks of their own, at the head of the context's list.
const CACHE_SIZE: usize = 64;

/** The i-th cache of a page, from 1: the page's own record is in the place of the first. */
// @ts-ignore: decorator
@inline
function cacheIn(page: CachePage, i: u32): SlabCache {
  return changetype<SlabCache>(changetype<usize>(page) + <usize>i * CACHE_SIZE);
}

/**
 * Makes a cache for records of `size` bytes (rounded up to a multiple of 8, at least 8): offsetof<T>() or more.
 * @returns the cache, or null without memory
 */
export function slabCacheCreate<T>(ctx: Context, size: usize): CacheOf<T> | null {
  let page = ctx.caches;
  if (page == null || page.used == <u32>(BLOCK_SIZE / CACHE_SIZE - 1)) {
    const fresh = blockAlloc(ctx, 0);
    if (fresh == 0) return null;
    memory.fill(fresh, 0, BLOCK_SIZE);
    const added = changetype<CachePage>(fresh);
    added.next = page;
    ctx.caches = added;
    page = added;
  }
  const used = page.used + 1;
  page.used = used;
  const cache = cacheIn(page, used);
  cache.ctx = ctx;
  cache.objectSize = <u32>((max<usize>(size, 8) + 7) & ~7);
  let order: u32 = 0;
  while ((BLOCK_SIZE << order) < <usize>cache.objectSize * RECORDS_A_BLOCK) ++order;
  cache.order = order;
  return changetype<CacheOf<T>>(cache);
}

/** The cache that the field at `field` refers to, made when it is first asked for. Returns null without memory. */
export function slabCacheAt<T>(ctx: Context, field: usize, size: usize): CacheOf<T> | null {
  let cache = changetype<CacheOf<T> | null>(load<u32>(field));
  if (cache == null) {
    cache = slabCacheCreate<T>(ctx, size);
    store<u32>(field, <u32>changetype<usize>(cache));
  }
  return cache;
}

/** Takes a record; its contents are whatever was there. Returns null without memory. */
export function slabAlloc<T>(cache: CacheOf<T>): T | null {
  if (shouldFail(cache.ctx, FAULT_SLAB)) return null;
  lock(cache);
  let record = cache.free;
  if (record != 0) cache.free = load<u32>(record);
  else record = carve(cache);
  if (record != 0) ++cache.live;
  unlock(cache);
  return changetype<T | null>(record);
}

/** The same of a cache that holds bytes of any kind. Returns 0 without memory. */
// @ts-ignore: decorator
@inline
export function slabAllocBytes(cache: CacheOf<usize>): usize {
  return changetype<usize>(slabAlloc<SlabCache>(changetype<CacheOf<SlabCache>>(cache)));
}

/** Takes a record that is all zeros. Returns null without memory. */
export function slabAllocZeroed<T>(cache: CacheOf<T>): T | null {
  const record = slabAlloc<T>(cache);
  if (record != null) memory.fill(changetype<usize>(record), 0, cache.objectSize);
  return record;
}

function carve(cache: SlabCache): usize {
  const size: usize = cache.objectSize;
  if (cache.freshEnd - cache.fresh < size) {
    const block = blockAlloc(cache.ctx, cache.order);
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
export function slabFree<T>(cache: CacheOf<T>, record: T): void {
  lock(cache);
  assert(cache.live != 0);
  store<u32>(changetype<usize>(record), <u32>cache.free);
  cache.free = changetype<usize>(record);
  --cache.live;
  unlock(cache);
}

/** The same for bytes of slabAllocBytes. */
export function slabFreeBytes(cache: CacheOf<usize>, at: usize): void {
  assert(at != 0);
  lock(cache);
  assert(cache.live != 0);
  store<u32>(at, <u32>cache.free);
  cache.free = at;
  --cache.live;
  unlock(cache);
}

/** Walks a cache's free list against its counters. Returns 0, or the record that is wrong (the cache for a count). */
function slabCheck(cache: SlabCache): usize {
  let free: u32 = 0;
  let record = cache.free;
  while (record != 0) {
    if (++free > cache.total) return record;
    record = load<u32>(record);
  }
  return free + cache.live == cache.total ? 0 : changetype<usize>(cache);
}

/** Records live in all caches of a context: what a machine must come back to after teardown. */
export function slabLive(ctx: Context): u32 {
  let live: u32 = 0;
  let page = ctx.caches;
  while (page != null) {
    const used = page.used;
    for (let i: u32 = 1; i <= used; ++i) live += cacheIn(page, i).live;
    page = page.next;
  }
  return live;
}

/** Contended acquisitions of all caches' locks together. */
export function slabsContended(ctx: Context): u32 {
  let sum: u32 = 0;
  let page = ctx.caches;
  while (page != null) {
    const used = page.used;
    for (let i: u32 = 1; i <= used; ++i) sum += contendedCount(cacheIn(page, i));
    page = page.next;
  }
  return sum;
}

/** slabCheck for every cache of a context. */
export function slabsCheck(ctx: Context): usize {
  let page = ctx.caches;
  while (page != null) {
    const used = page.used;
    for (let i: u32 = 1; i <= used; ++i) {
      const wrong = slabCheck(cacheIn(page, i));
      if (wrong != 0) return wrong;
    }
    page = page.next;
  }
  return 0;
}
