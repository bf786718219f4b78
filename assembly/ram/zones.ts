// The zones of the page allocator that an address limit suggests, and the order in which they are tried: DMA below 16 MiB, DMA32 below
// 4 GiB, NORMAL.

import { Context } from '../memory/context';
import { blockOfPagesAlloc } from './pages';
import { blockBelow, rangeFree } from './range';
import { DMA_ZONE_END, DMA_ZONE_MASK, PAGE_SHIFT, ZONE_DMA32, ZONE_NORMAL } from './ram';

export const GFP_NORMAL: u32 = 0;
export const GFP_DMA32: u32 = 1;
export const GFP_DMA: u32 = 2;

/** The last address of ZONE_DMA32. */
const HIGH_MASK: u64 = 0xffffffff;

/** Order of the block that holds so many pages (get_order). */
// @ts-ignore: decorator
@inline
export function orderOf(pages: u32): u32 {
  return pages <= 1 ? 0 : 32 - <u32>clz<u32>(pages - 1);
}

/** The zone that a limit suggests (dma_direct_optimal_gfp_mask, swiotlb_alloc_tlb). */
export function zoneFor(limit: u64): u32 {
  return limit <= DMA_ZONE_MASK ? GFP_DMA : limit <= HIGH_MASK ? GFP_DMA32 : GFP_NORMAL;
}

/** A block of a zone. Returns its first pfn, or 0. */
export function zoneBlock(ctx: Context, order: u32, zone: u32): u32 {
  if (zone == GFP_DMA) return blockBelow(ctx, order, DMA_ZONE_END);
  return blockOfPagesAlloc(ctx, order, zone == GFP_DMA32 ? ZONE_DMA32 : ZONE_NORMAL);
}

/**
 * A block of which so many bytes lie below a limit: where a zone gives one beyond it, the next lower zone is tried; a zone that
 * gives none ends it (swiotlb_alloc_tlb).
 * @returns its first pfn, or 0
 */
export function ladderBlock(ctx: Context, order: u32, bytes: u64, limit: u64): u32 {
  for (let zone = zoneFor(limit); zone <= GFP_DMA; ++zone) {
    const first = zoneBlock(ctx, order, zone);
    if (first == 0) return 0;
    if ((<u64>first << PAGE_SHIFT) + bytes - 1 <= limit) return first;
    rangeFree(ctx, first, 1 << order);
  }
  return 0;
}
