// Vectors of a scatter-gather table: pfns, runs, segments. Short ones are from three slab caches, so that an object of
// a few pages does not take a block of 4 KiB; longer ones are blocks. The caller passes the length when it frees one.

import { blockAlloc, blockFree, blockOrder } from '../memory/block';
import { CacheOf, Context } from '../memory/context';
import { addressOf, fieldOf } from '../memory/record';
import { slabAllocBytes, slabCacheCreate, slabFreeBytes } from '../memory/slab';
import { SgState, sgOf } from './state';

/** Bytes of the slab classes: 16, 64 and 256 pfns. */
const CLASS0: usize = 64;
const CLASS1: usize = 256;
const CLASS2: usize = 1024;

// @ts-ignore: decorator
@inline
function cacheSlot(ctx: Context, bytes: usize): usize {
  return fieldOf(sgOf(ctx), offsetof<SgState>('vectors0')) + (bytes <= CLASS0 ? 0 : bytes <= CLASS1 ? 4 : 8);
}

// @ts-ignore: decorator
@inline
function cacheIn(slot: usize): CacheOf<usize> | null {
  return changetype<CacheOf<usize> | null>(load<u32>(slot));
}

/** Room for `bytes` bytes, contents undefined; the subsystem's state exists. Returns 0 without memory. */
export function vectorAlloc(ctx: Context, bytes: usize): usize {
  if (bytes > CLASS2) return blockAlloc(ctx, blockOrder(bytes));
  const slot = cacheSlot(ctx, bytes);
  let cache = cacheIn(slot);
  if (cache == null) {
    cache = slabCacheCreate<usize>(ctx, bytes <= CLASS0 ? CLASS0 : bytes <= CLASS1 ? CLASS1 : CLASS2);
    if (cache == null) return 0;
    store<u32>(slot, <u32>addressOf(cache));
  }
  return slabAllocBytes(cache);
}

/** Frees a vector; `bytes` is what it was allocated with. */
export function vectorFree(ctx: Context, at: usize, bytes: usize): void {
  if (bytes > CLASS2) blockFree(ctx, at);
  else slabFreeBytes(cacheIn(cacheSlot(ctx, bytes))!, at);
}
