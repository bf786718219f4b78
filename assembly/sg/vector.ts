// Vectors of a scatter-gather table: pfns, runs, segments. Short ones come from three slab caches, so that an object of
// a few pages does not cost a block of 4 KiB; longer ones are blocks. The owner knows the length and gives it back.

import { blockAlloc, blockFree, blockOrder } from '../memory/block';
import { Context } from '../memory/context';
import { fieldOf } from '../memory/record';
import { slabAlloc, slabCacheCreate, slabFree } from '../memory/slab';
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

/** Room for `bytes` bytes, contents undefined; the subsystem's state exists. Returns 0 without memory. */
export function vectorAlloc(ctx: Context, bytes: usize): usize {
  if (bytes > CLASS2) return blockAlloc(ctx, blockOrder(bytes));
  const slot = cacheSlot(ctx, bytes);
  let cache: usize = load<u32>(slot);
  if (cache == 0) {
    cache = slabCacheCreate(ctx, bytes <= CLASS0 ? CLASS0 : bytes <= CLASS1 ? CLASS1 : CLASS2);
    if (cache == 0) return 0;
    store<u32>(slot, <u32>cache);
  }
  return slabAlloc(cache);
}

/** Gives a vector back; `bytes` as it was asked for. */
export function vectorFree(ctx: Context, at: usize, bytes: usize): void {
  if (bytes > CLASS2) blockFree(ctx, at);
  else slabFree(load<u32>(cacheSlot(ctx, bytes)), at);
}
