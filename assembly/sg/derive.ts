// Tables that are made without mapping: they copy the DMA addresses that a mapped table has at that moment, and do not change
// with it. i915's rotated and partial GTT views are such tables, and so are tables of memory whose device address is known (a
// coherent buffer, stolen memory).

import { Context } from '../memory/context';
import { PAGE_SHIFT, PAGE_SIZE } from '../ram/ram';
import { SG_MAX_ENTRY, sgFinish, sgReserve } from './build';
import { segmentsAlloc, setOneSegment, setSegmentList, sgDmaAddress } from './segments';
import { SEGMENTS_NONE, SG_NO_COALESCE, SgTable, segmentAt, sgDestroy, sgPfn } from './sg-table';

/** A table of n single-page entries, with room for as many segments, that derivePage fills. Returns null without memory. */
function derivedTable(sgt: SgTable, n: u32): SgTable | null {
  const ctx = sgt.ctx;
  const to = sgReserve(ctx, n);
  if (to == null) return null;
  const segments = segmentsAlloc(ctx, n);
  if (segments == 0) {
    sgDestroy(to);
    return null;
  }
  setSegmentList(to, segments, n);
  return to;
}

function derivePage(to: SgTable, i: u32, from: SgTable, page: u32): void {
  store<u32>(to.pfns + (<usize>i << 2), sgPfn(from, page));
  const segment = segmentAt(to, i);
  segment.address = sgDmaAddress(from, page);
  segment.length = PAGE_SIZE;
}

function finishDerived(sgt: SgTable, n: u32): SgTable {
  sgFinish(sgt, 0, <u64>n << PAGE_SHIFT, SG_MAX_ENTRY, SG_NO_COALESCE);
  return sgt;
}

/**
 * A view turned by 90 degrees: column by column, each from its bottom row up (rotate_pages of i915).
 * @param sgt mapped table in pages form with at least width * height pages, row after row
 * @returns a table of single pages that holds their DMA addresses, or null without memory or for a table that was never mapped
 */
export function sgRotate(sgt: SgTable, width: u32, height: u32): SgTable | null {
  const n = width * height;
  if (n == 0 || <u64>width * <u64>height > <u64>sgt.pageCount || sgt.shape == SEGMENTS_NONE) return null;
  const to = derivedTable(sgt, n);
  if (to == null) return null;
  let i: u32 = 0;
  for (let column: u32 = 0; column < width; ++column) {
    for (let row = height; row > 0; --row) derivePage(to, i++, sgt, (row - 1) * width + column);
  }
  return finishDerived(to, n);
}

/** A view of n pages from page `first` on (intel_partial_pages). Returns as sgRotate. */
export function sgPartial(sgt: SgTable, first: u32, n: u32): SgTable | null {
  if (n == 0 || <u64>first + n > <u64>sgt.pageCount || sgt.shape == SEGMENTS_NONE) return null;
  const to = derivedTable(sgt, n);
  if (to == null) return null;
  for (let i: u32 = 0; i < n; ++i) derivePage(to, i, sgt, first + i);
  return finishDerived(to, n);
}

/**
 * A table of contiguous pages whose device address is known.
 * @param pfn of the first page as the CPU sees it
 * @param address of the first byte as the device sees it
 * @returns the table, or null without memory
 */
export function sgContiguous(ctx: Context, pfn: u32, n: u32, address: u64): SgTable | null {
  const sgt = sgReserve(ctx, n);
  if (sgt == null) return null;
  for (let i: u32 = 0; i < n; ++i) store<u32>(sgt.pfns + (<usize>i << 2), pfn + i);
  const bytes = <u64>n << PAGE_SHIFT;
  sgFinish(sgt, 0, bytes, SG_MAX_ENTRY, 0);
  setOneSegment(sgt, address, bytes);
  return sgt;
}
