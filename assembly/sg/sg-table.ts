// sg/ holds scatter-gather tables: which pages an object consists of, and where a device sees them once it is mapped.
//
// The kernel's table is an array of 32-byte entries, each with its CPU side and, after mapping, a DMA side that belongs
// to another entry than the CPU side does. Here the two sides live apart:
//
//   pages     what tables built from pages are: a vector of u32 pfns, one a page, with the offset of the first byte and
//             the length in bytes. Filling a page table from it is one pass with SIMD.
//   runs      what any other list is: (pfn, offset, length) for each entry, for lists with byte offsets and mixed lengths
//   segments  the DMA side, written by mapping: (address, length) for each of nents. Most objects need no vector for it:
//             an IOMMU makes one segment of them, which lives in the record, and where segments are the entries
//             themselves (direct mapping, the IOMMU driver of 2015) they are computed when somebody looks (segments.ts).
//
// Linux's own view, orig_nents entries in order, follows from pages or runs by the rule of the table's builder
// (build.ts): entries.ts walks it. Like the kernel, unmapping leaves the DMA side as it was; mapping writes it anew, and
// mapping twice forgets where the first mapping was.

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
  /** Where the DMA side is, a SEGMENTS_ value. */
  shape: u32;
  /** SEGMENTS_LIST: vector of SgSegment, and for how many it has room. */
  segments: usize;
  segmentCapacity: u32;
  /**
   * A list that only the longest segment has cut comes out the same wherever it is mapped: that limit (0: no such list),
   * the address it was made for, and how far the mapping lies from there now.
   */
  listMost: u32;
  listStart: u64;
  listShift: u64;
  /** A number that no other table has, and another one after each change of its segments (cursor.ts). */
  serial: u64;
  /** Bytes of all entries. */
  bytes: u64;
  /** Where the table's own frames lie on loan (ram/loan.ts). */
  ticket: u64;
  /** SEGMENTS_ONE: the segment. SEGMENTS_ENTRIES: address of the first page, and pages mapped in bytes. */
  inlineAddress: u64;
  inlineLength: u64;
  /** First of the checker's live entries that were mapped from this table, 0 without (dma-debug/). */
  debugEntries: usize;
}

/** Entries are never merged with their neighbours (swiotlb: one entry a page). */
export const SG_NO_COALESCE: u32 = 1;
/** The table is mapped for a device; set by map, cleared by unmap. */
export const SG_MAPPED: u32 = 2;
/** All pages are neighbours: the whole table is one run. */
export const SG_ONE_RUN: u32 = 4;
/** The frames belong to the table: they are freed with it. */
export const SG_OWNS_PAGES: u32 = 8;

/** In place of a number of entries that nobody has asked for yet (entries.ts, entriesOf). */
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
 * Frees a table with its vectors, and its frames where it owns them (sg_free_table). A mapping that is still there is
 * not undone: nobody knows it any more, which is how a driver leaks one.
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
