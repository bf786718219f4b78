// The contiguous memory area (kernel/dma/contiguous.c, mm/cma.c): RAM that `cma=` sets aside for blocks that the page allocator may
// not have. Whatever needs one block of more than a page tries here first.

import { blockFree } from '../memory/block';
import { Context } from '../memory/context';
import { addressOf } from '../memory/record';
import { Area, areaFree, areaGive, areaMake, areaTake } from './area';
import { physZero } from './contents';
import { HIGH_START, PAGE_SHIFT, ramOf } from './ram';
import { rangeReserve } from './range';
import { orderOf } from './zones';

/** pageblock_nr_pages: what an area is a multiple of. */
const UNIT: u32 = 512;
/** CONFIG_CMA_ALIGNMENT: blocks are aligned to their order, to this at most. */
const MOST_ALIGN: u32 = 8;

// @ts-ignore: decorator
@inline
function cmaOf(ctx: Context): Area | null {
  return changetype<Area | null>(ctx.cma);
}

/**
 * Sets the area aside: at 4 GiB where there is RAM, else as high as there is room (cma_declare_contiguous).
 * @returns false without room
 */
export function cmaReserve(ctx: Context, pages: u32): bool {
  pages = (pages + UNIT - 1) & ~(UNIT - 1);
  const area = areaMake(ctx, 0, pages);
  if (area == null) return false;
  const ram = ramOf(ctx);
  if (ram.highEnd >= HIGH_START + pages && rangeReserve(ctx, HIGH_START, pages)) area.first = HIGH_START;
  for (let end = ram.lowEnd & ~(UNIT - 1); area.first == 0 && end >= pages + UNIT; end -= UNIT) {
    if (rangeReserve(ctx, end - pages, pages)) area.first = end - pages;
  }
  if (area.first == 0) {
    blockFree(ctx, addressOf(area));
    return false;
  }
  ctx.cma = addressOf(area);
  return true;
}

/** The first block that is free, zeroed (cma_alloc). Returns its first pfn, 0 for none. */
export function cmaTake(ctx: Context, n: u32): u32 {
  const area = cmaOf(ctx);
  const first = area == null ? 0 : areaTake(area, n, 1 << min(orderOf(n), MOST_ALIGN));
  if (first != 0) physZero(ctx, <u64>first << PAGE_SHIFT, n << PAGE_SHIFT);
  return first;
}

/** Gives a block back (cma_release). Returns false for one that is not of the area. */
export function cmaRelease(ctx: Context, pfn: u32, n: u32): bool {
  const area = cmaOf(ctx);
  return area != null && areaGive(area, pfn, n);
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
  return ctx.cma == 0 ? 0 : areaFree(cmaOf(ctx)!);
}
