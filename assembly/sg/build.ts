// Building tables. A table from pages copies a vector of pfns, or frames are allocated into its vector. Whether it is one run is
// known then; its entries are counted when they are first needed.
//
// The host builds in two steps, without a staging buffer: sgReserve returns a table whose vector is not filled in, the host
// writes the vector, and sgFinish scans it.

import { EINVAL } from '../memory/errno';
import { Context } from '../memory/context';
import { isRun } from '../ram/flip';
import { loanTicket } from '../ram/loan';
import { blockOfPagesAlloc, pagesAlloc } from '../ram/pages';
import { PAGE_SHIFT, PAGE_SIZE } from '../ram/ram';
import { SG_NO_COALESCE, SG_ONE_RUN, SG_OWNS_PAGES, SG_RUN_SIZE, SG_UNCOUNTED, SgRun, SgTable, sgDestroy, tableAlloc } from './sg-table';
import { vectorAlloc } from './vector';

/** Where nothing limits an entry: the largest multiple of 4 KiB in 32 bits. */
export const SG_MAX_ENTRY: u32 = 0xfffff000;
/** Most pages of a table: the limit of a vector in 32-bit linear memory. */
export const SG_MAX_PAGES: u32 = 1 << 28;

/**
 * A table in pages form whose pfns the caller writes to sgPfnVector before sgFinish.
 * @param n pages, 1 to SG_MAX_PAGES
 * @returns the table, or null without memory
 */
export function sgReserve(ctx: Context, n: u32): SgTable | null {
  if (n == 0 || n > SG_MAX_PAGES) return null;
  const sgt = tableAlloc(ctx);
  if (sgt == null) return null;
  const pfns = vectorAlloc(ctx, <usize>n << 2);
  if (pfns == 0) {
    sgDestroy(sgt);
    return null;
  }
  sgt.pfns = pfns;
  sgt.pageCount = n;
  return sgt;
}

/**
 * Makes a reserved table's entries as sg_alloc_table_from_pages_segment does (lib/scatterlist.c).
 * @param offset of the first byte in the first page
 * @param bytes length of the table: it ends in its last page
 * @param maxEntry longest entry in bytes; rounded down to 4 KiB, less than that is -EINVAL
 * @param flags SG_NO_COALESCE or 0
 * @returns 0 or -EINVAL
 */
export function sgFinish(sgt: SgTable, offset: u32, bytes: u64, maxEntry: u32, flags: u32): i32 {
  const n = sgt.pageCount;
  if (maxEntry < PAGE_SIZE || offset >= PAGE_SIZE) return EINVAL;
  if (((bytes + offset + (PAGE_SIZE - 1)) >> PAGE_SHIFT) != <u64>n || bytes == 0) return EINVAL;
  finish(sgt, offset, bytes, maxEntry & ~(PAGE_SIZE - 1), flags & SG_NO_COALESCE);
  return 0;
}

function finish(sgt: SgTable, offset: u32, bytes: u64, maxEntry: u32, flags: u32): void {
  const n = sgt.pageCount;
  const run = isRun(sgt.pfns, n);
  sgt.offset = offset;
  sgt.bytes = bytes;
  sgt.maxEntry = maxEntry;
  sgt.flags = (sgt.flags & SG_OWNS_PAGES) | flags | (run ? SG_ONE_RUN : 0);
  if ((flags & SG_NO_COALESCE) != 0) sgt.origNents = n;
  else sgt.origNents = run ? (n - 1) / (maxEntry >> PAGE_SHIFT) + 1 : SG_UNCOUNTED;
}

/**
 * A table of pages that it does not own.
 * @param pfns vector of n u32 pfns, copied
 * @returns the table, or null without memory
 */
export function sgFromPages(ctx: Context, n: u32, pfns: usize, flags: u32, maxEntry: u32): SgTable | null {
  const sgt = sgReserve(ctx, n);
  if (sgt == null) return null;
  memory.copy(sgt.pfns, pfns, <usize>n << 2);
  finish(sgt, 0, <u64>n << PAGE_SHIFT, max(maxEntry & ~(PAGE_SIZE - 1), PAGE_SIZE), flags & SG_NO_COALESCE);
  return sgt;
}

/**
 * A table of new frames, which are freed with it.
 * @returns the table, or null without memory of either kind
 */
export function sgAllocPages(ctx: Context, n: u32, flags: u32, maxEntry: u32): SgTable | null {
  const sgt = sgReserve(ctx, n);
  if (sgt == null) return null;
  if (pagesAlloc(ctx, n, sgt.pfns) < 0) {
    sgDestroy(sgt);
    return null;
  }
  sgt.flags = SG_OWNS_PAGES;
  sgt.ticket = loanTicket(ctx, n);
  finish(sgt, 0, <u64>n << PAGE_SHIFT, max(maxEntry & ~(PAGE_SIZE - 1), PAGE_SIZE), flags & SG_NO_COALESCE);
  return sgt;
}

/**
 * A table of one new block of 2^order frames, which are freed with it.
 * @param zone ZONE_DMA32 or ZONE_NORMAL, as for blockOfPagesAlloc
 * @returns the table, or null without memory of either kind
 */
export function sgAllocBlock(ctx: Context, order: u32, zone: u32): SgTable | null {
  const n: u32 = 1 << order;
  const sgt = sgReserve(ctx, n);
  if (sgt == null) return null;
  const first = blockOfPagesAlloc(ctx, order, zone);
  if (first == 0) {
    sgDestroy(sgt);
    return null;
  }
  for (let i: u32 = 0; i < n; ++i) store<u32>(sgt.pfns + (<usize>i << 2), first + i);
  sgt.flags = SG_OWNS_PAGES;
  finish(sgt, 0, <u64>n << PAGE_SHIFT, SG_MAX_ENTRY, 0);
  return sgt;
}

/**
 * A table in runs form of n entries whose runs the caller writes to sgRunVector before sgFinishRuns.
 * @returns the table, or null without memory
 */
export function sgReserveRuns(ctx: Context, n: u32): SgTable | null {
  if (n == 0 || n > SG_MAX_PAGES / 4) return null;
  const sgt = tableAlloc(ctx);
  if (sgt == null) return null;
  const runs = vectorAlloc(ctx, <usize>n * SG_RUN_SIZE);
  if (runs == 0) {
    sgDestroy(sgt);
    return null;
  }
  sgt.runs = runs;
  sgt.runCount = n;
  return sgt;
}

/** Makes each run of a reserved table an entry. Returns 0, or -EINVAL for an empty one. */
export function sgFinishRuns(sgt: SgTable): i32 {
  let bytes: u64 = 0;
  const end = sgt.runs + <usize>sgt.runCount * SG_RUN_SIZE;
  for (let at = sgt.runs; at < end; at += SG_RUN_SIZE) {
    const length = changetype<SgRun>(at).length;
    if (length == 0) return EINVAL;
    bytes += length;
  }
  sgt.bytes = bytes;
  sgt.origNents = sgt.runCount;
  return 0;
}
