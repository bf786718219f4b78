// The contiguous memory area (kernel/dma/contiguous.c, mm/cma.c): RAM that `cma=` sets aside for blocks that the page allocator may
// not have. Whatever needs one block of more than a page tries here first.

import { blockAllocZeroed, blockFree, blockOrder } from '../memory/block';
import { Context } from '../memory/context';
import { Guarded, lock, unlock } from '../memory/lock';
import { addressOf } from '../memory/record';
import { physZero } from './contents';
import { HIGH_START, PAGE_SHIFT, PAGE_SIZE, ramOf } from './ram';
import { rangeReserve } from './range';
import { orderOf } from './zones';

/** pageblock_nr_pages: what an area is a multiple of. */
const UNIT: u32 = 512;
/** CONFIG_CMA_ALIGNMENT: blocks are aligned to their order, to this at most. */
const MOST_ALIGN: u32 = 8;

// @ts-ignore: decorator
@unmanaged
export class Cma extends Guarded {
  /** Its first frame, and how many; a byte for each is 1 where it is taken. */
  first: u32;
  pages: u32;
  taken: usize;
}

const HEAD: usize = 64;

// @ts-ignore: decorator
@inline
function cmaOf(ctx: Context): Cma | null {
  return changetype<Cma | null>(ctx.cma);
}

/**
 * Sets the area aside: at 4 GiB where there is RAM, else as high as there is room (cma_declare_contiguous).
 * @returns false without room
 */
export function cmaReserve(ctx: Context, pages: u32): bool {
  pages = (pages + UNIT - 1) & ~(UNIT - 1);
  const at = blockAllocZeroed(ctx, blockOrder(HEAD + pages));
  if (at == 0) return false;
  const ram = ramOf(ctx);
  let first: u32 = 0;
  if (ram.highEnd >= HIGH_START + pages && rangeReserve(ctx, HIGH_START, pages)) first = HIGH_START;
  for (let start = ram.lowEnd & ~(UNIT - 1); first == 0 && start >= pages + UNIT; start -= UNIT) {
    if (rangeReserve(ctx, start - pages, pages)) first = start - pages;
  }
  if (first == 0) {
    blockFree(ctx, at);
    return false;
  }
  const cma = changetype<Cma>(at);
  cma.first = first;
  cma.pages = pages;
  cma.taken = at + HEAD;
  ctx.cma = addressOf(cma);
  return true;
}

/** The first block that is free, zeroed (cma_alloc). Returns its first pfn, 0 for none. */
export function cmaTake(ctx: Context, n: u32): u32 {
  const cma = cmaOf(ctx);
  if (cma == null) return 0;
  const step: u32 = 1 << min(orderOf(n), MOST_ALIGN);
  lock(cma);
  let found: u32 = 0;
  for (let at: u32 = 0; n <= cma.pages && at <= cma.pages - n && found == 0; ) {
    let free: u32 = 0;
    while (free < n && load<u8>(cma.taken + <usize>(at + free)) == 0) ++free;
    if (free == n) found = cma.first + at;
    else at = (at + free + step) & ~(step - 1);
  }
  if (found != 0) memory.fill(cma.taken + <usize>(found - cma.first), 1, n);
  unlock(cma);
  for (let i: u32 = 0; i < n && found != 0; ++i) physZero(ctx, <u64>(found + i) << PAGE_SHIFT, PAGE_SIZE);
  return found;
}

/** Gives a block back (cma_release). Returns false for one that is not of the area. */
export function cmaRelease(ctx: Context, pfn: u32, n: u32): bool {
  const cma = cmaOf(ctx);
  if (cma == null || pfn < cma.first || pfn - cma.first >= cma.pages) return false;
  lock(cma);
  memory.fill(cma.taken + <usize>(pfn - cma.first), 0, n);
  unlock(cma);
  return true;
}

/** Its first frame, 0 without one. */
export function cmaFirst(ctx: Context): u32 {
  return ctx.cma == 0 ? 0 : cmaOf(ctx)!.first;
}

export function cmaPages(ctx: Context): u32 {
  return ctx.cma == 0 ? 0 : cmaOf(ctx)!.pages;
}

/** Pages that are free. */
export function cmaFree(ctx: Context): u32 {
  let free: u32 = 0;
  for (let i: u32 = 0; i < cmaPages(ctx); ++i) free += 1 - load<u8>(cmaOf(ctx)!.taken + <usize>i);
  return free;
}
