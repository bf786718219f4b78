// Frees of frames and tables with their checks. RAM and scatter-gather tables lie below dma-debug; drivers and the host free
// through here, so that a page or table that a device can still reach is reported first.

import { Context } from '../memory/context';
import { blockOfPagesFree, pagesFree } from '../ram/pages';
import { MAX_ORDER } from '../ram/ram';
import { SG_OWNS_PAGES, SgTable, sgDestroy } from '../sg/sg-table';
import { debugPagesFreed } from './own/pages';
import { tableGone } from './own/tables';

/** pagesFree (ram/pages.ts). */
export function debugPagesFree(ctx: Context, n: u32, src: usize): u32 {
  debugPagesFreed(ctx, n, src, 0);
  return pagesFree(ctx, n, src);
}

/** blockOfPagesFree (ram/pages.ts). */
export function debugBlockFree(ctx: Context, pfn: u32, order: u32): bool {
  if (order <= MAX_ORDER) debugPagesFreed(ctx, 1 << order, 0, pfn);
  return blockOfPagesFree(ctx, pfn, order);
}

/** sgDestroy (sg/sg-table.ts). */
export function debugSgDestroy(sgt: SgTable): void {
  if (sgt.debugEntries != 0) tableGone(sgt);
  if ((sgt.flags & SG_OWNS_PAGES) != 0 && sgt.pfns != 0) {
    debugPagesFreed(sgt.ctx, sgt.pageCount, sgt.pfns, 0);
  }
  sgDestroy(sgt);
}
