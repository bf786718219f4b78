// sg/ has scatter-gather tables: the pages of an object, and the device's addresses of them once it is mapped.
//
// The kernel's table is an array of 32-byte entries, each with a CPU side and, after mapping, a DMA side, which may belong to
// another entry. Here the two sides are separate:
//
//   pages     for tables that are built from pages: a vector of u32 pfns, one per page, with the offset of the first byte and
//             the length in bytes. A page table is filled from it in one pass with SIMD.
//   runs      for all other lists: (pfn, offset, length) per entry
//   segments  the DMA side, written by mapping: (address, length) per segment. Most objects need no vector for it: an IOMMU
//             merges them into one segment, which is in the record; and where entries are segments (direct mapping, the IOMMU
//             driver of 2015) these are computed when they are read (segments.ts).
//
// Linux's entries follow from pages or runs by the rule of the function that built the table (build.ts); entries.ts walks them.
// As in the kernel, unmapping does not change the DMA side, and a second mapping overwrites the addresses of the first.

import { blockAllocZeroed, blockOrder } from '../memory/block';
import { Context, FAULT_SG } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { addressOf, recordAt } from '../memory/record';
import { slabAllocZeroed, slabCacheCreate, slabFree } from '../memory/slab';
import { loanReturn } from '../ram/loan';
import { pagesFree } from '../ram/pages';
import { CURSOR_SIZE, nextSerial } from './cursor';
import { SgState, sgOf } from './state';
import { vectorFree } from './vector';

// @ts-ignore: decorator
@unmanaged
export class SgTable {
  ctx: Context;
  flags: u32;
  /** Pages form: vector of u32 pfns; 0 in runs form. */
  pfns: usize;
  pageCount: u32;
  /** Runs form: vector of SgRun; 0 in pages form. */
  runs: usize;
  runCount: u32;
  /** Bytes before the first in the first page (pages form). */
  offset: u32;
  /** Longest entry of the table in bytes, a multiple of 4 KiB (pages form; 0xfffff000 where nothing limits it). */
  maxEntry: u32;
  /** Entries as Linux would count them after building (sgt->orig_nents), or SG_UNCOUNTED, which is more than one. */
  origNents: u32;
  /** Segments after mapping (sgt->nents). */
  nents: u32;
  /** The form of the DMA side: SEGMENTS_*. */
  shape: u32;
  /** SEGMENTS_LIST: vector of SgSegment, and its capacity. */
  segments: usize;
  segmentCapacity: u32;
  /**
   * A list of segments that only the longest segment has cut is the same at any address. These are that limit (0: no such
   * list), the address that it was made for, and the distance of the present mapping from the addresses in the list.
   */
  listMost: u32;
  listStart: u64;
  listShift: u64;
  /** A number that no other table has, and another one after each change of its segments (cursor.ts). */
  serial: u64;
  /** Bytes of all entries. */
  bytes: u64;
  /** Where the table's own frames are on loan (ram/loan.ts). */
  ticket: u64;
  /** SEGMENTS_ONE: the segment. SEGMENTS_ENTRIES: address of the first page, and pages mapped in bytes. */
  inlineAddress: u64;
  inlineLength: u64;
  /** First of dma-debug's live entries that were mapped from this table, or 0. */
  debugEntries: usize;
}

/** Entries are never merged with their neighbours (swiotlb: one entry a page). */
export const SG_NO_COALESCE: u32 = 1;
/** The table is mapped for a device; set by map, cleared by unmap. */
export const SG_MAPPED: u32 = 2;
/** Each page follows the one before in memory: the table is one run. */
export const SG_ONE_RUN: u32 = 4;
/** The frames belong to the table: they are freed with it. */
export const SG_OWNS_PAGES: u32 = 8;

/** In place of a number of entries that was not counted yet (entriesOf in entries.ts). */
export const SG_UNCOUNTED: u32 = 0xffffffff;

/** Never mapped. */
export const SEGMENTS_NONE: u32 = 0;
/** One segment, in the record. */
export const SEGMENTS_ONE: u32 = 1;
/** A vector of SgSegment. */
export const SEGMENTS_LIST: u32 = 2;
/** Each entry is a segment, packed back to back in whole pages from inlineAddress (intel_map_sg of 2015). */
export const SEGMENTS_ENTRIES: u32 = 3;
/** Each entry is a segment at its physical address. */
export const SEGMENTS_PHYSICAL: u32 = 4;

// @ts-ignore: decorator
@unmanaged
export class SgRun {
  pfn: u32;
  offset: u32;
  length: u32;
  pad: u32;
}
export const SG_RUN_SIZE: usize = 16;

// @ts-ignore: decorator
@unmanaged
export class SgSegment {
  address: u64;
  length: u64;
}
export const SG_SEGMENT_SIZE: usize = 16;

/** The subsystem's state, made with the machine. Returns null without memory. */
export function sgState(ctx: Context): SgState | null {
  if (ctx.sg != 0) return sgOf(ctx);
  const home = slabCacheCreate<SgState>(ctx, offsetof<SgState>());
  if (home == null) return null;
  const tables = slabCacheCreate<SgTable>(ctx, offsetof<SgTable>());
  if (tables == null) return null;
  const state = slabAllocZeroed<SgState>(home);
  if (state == null) return null;
  state.cursors = blockAllocZeroed(ctx, blockOrder(<usize>ctx.cpuCount * CURSOR_SIZE));
  if (state.cursors == 0) return null;
  state.tables = tables;
  ctx.sg = addressOf(state);
  return state;
}

/** An empty table, of no form yet. Returns null without memory. */
export function tableAlloc(ctx: Context): SgTable | null {
  if (shouldFail(ctx, FAULT_SG)) return null;
  const sgt = slabAllocZeroed(sgOf(ctx).tables);
  if (sgt == null) return null;
  sgt.ctx = ctx;
  sgt.serial = nextSerial(ctx);
  return sgt;
}

/**
 * Frees a table with its vectors, and its frames if it owns them (sg_free_table). A live mapping of it is not undone: the driver
 * has leaked it.
 */
export function sgDestroy(sgt: SgTable): void {
  const ctx = sgt.ctx;
  if (sgt.pfns != 0) {
    if ((sgt.flags & SG_OWNS_PAGES) != 0 && !loanReturn(ctx, sgt.ticket, sgt.pageCount)) {
      pagesFree(ctx, sgt.pageCount, sgt.pfns);
    }
    vectorFree(ctx, sgt.pfns, <usize>sgt.pageCount << 2);
  }
  if (sgt.runs != 0) vectorFree(ctx, sgt.runs, <usize>sgt.runCount * SG_RUN_SIZE);
  if (sgt.segments != 0) vectorFree(ctx, sgt.segments, <usize>sgt.segmentCapacity * SG_SEGMENT_SIZE);
  slabFree(sgOf(ctx).tables, sgt);
}

/** The i-th run (runs form). */
// @ts-ignore: decorator
@inline
export function runAt(sgt: SgTable, i: u32): SgRun {
  return recordAt<SgRun>(sgt.runs, i);
}

/** The i-th segment of a list (SEGMENTS_LIST). */
// @ts-ignore: decorator
@inline
export function segmentAt(sgt: SgTable, i: u32): SgSegment {
  return recordAt<SgSegment>(sgt.segments, i);
}

/** pfn of a page of the table, counted from its first (pages form). */
// @ts-ignore: decorator
@inline
export function sgPfn(sgt: SgTable, page: u32): u32 {
  return load<u32>(sgt.pfns + (<usize>page << 2));
}

/** Pages of a table in pages form, 0 otherwise. */
export function sgPageCount(sgt: SgTable): u32 {
  return sgt.pageCount;
}

export function sgFlags(sgt: SgTable): u32 {
  return sgt.flags;
}

/** Offset of the vector of u32 pfns, for the host to fill or read; 0 in runs form. */
export function sgPfnVector(sgt: SgTable): usize {
  return sgt.pfns;
}

/** Offset of the vector of runs, four u32 each (pfn, offset, length, unused); 0 in pages form. */
export function sgRunVector(sgt: SgTable): usize {
  return sgt.runs;
}
