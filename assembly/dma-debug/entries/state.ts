// The state of dma-debug, and the two accountings of its entries.
//
// The kernel's pool is numbers alone: total and free entries decide when it would grow or disable the checker. Entries are
// records of linear memory that are allocated as needed. Without DEBUG_OWN tracking stops where the kernel's would.

import { EINVAL, ENOMEM } from '../../memory/errno';
import { blockAlloc, blockAllocZeroed, blockFree, blockOrder } from '../../memory/block';
import { CacheOf, Context } from '../../memory/context';
import { Guarded } from '../../memory/lock';
import { addressOf } from '../../memory/record';
import { ramOf } from '../../ram/ram';
import { lineCount } from './cacheline';
import { Entry, TYPE_PAGE, TYPE_SINGLE } from './entry';
import { payload } from './log';

/** The kernel's checker is on; cleared for good when it runs out of entries. */
export const DEBUG_KERNEL: u32 = 1;
/** Our checker is on: entries are tracked even when the kernel's checker is disabled. */
export const DEBUG_OWN: u32 = 2;
/** The pool grows by a page of entries (since 5.x); without it an empty pool disables the checker (2015). */
export const DEBUG_GROWS: u32 = 4;
/** A second mapping of an active cacheline is an error (since 5.x); in 2015 only the overflow was reported. */
export const DEBUG_REPORT_OVERLAP: u32 = 8;
/** Segments are compared with the device's parameters (since 4.16). */
export const DEBUG_CHECK_SEGMENTS: u32 = 16;
/** map_page and map_single are one type (since 4.20). */
export const DEBUG_ONE_PAGE_TYPE: u32 = 32;
/** A sync looks back over the device's longest segment only (2015), else over the whole table. */
export const DEBUG_SYNC_BY_SEGMENT: u32 = 64;
/** The sg count of a sync is compared (not in 4.2). */
export const DEBUG_SYNC_SGCOUNT: u32 = 128;
/** Coherent entries take their offset with the inverted mask (4.2): they never share a cacheline with a page. */
export const DEBUG_COHERENT_QUIRK: u32 = 256;
/** The pool cannot grow: allocations of a page of entries fail. */
export const DEBUG_POOL_FIXED: u32 = 512;
/** The CPU's touching a mapped cacheline is an error of the kernel's (3.14 to 5.9), else a finding of ours. */
export const DEBUG_ASSERTS_IDLE: u32 = 1024;

export const OPTION_ALL_ERRORS: u32 = 1;
/** A driver filter is set: only devices with DEVICE_FILTER_MATCH are printed. */
export const OPTION_FILTER: u32 = 2;

/** Entries per page, by which the pool grows (DMA_DEBUG_DYNAMIC_ENTRIES: 4096 / 128). */
export const DYNAMIC_ENTRIES: u32 = 32;

const FIRST_BUCKETS: u32 = 16384;
/** Slots of the filter that tells whether an object id may have live entries. */
export const OBJECT_SLOTS: u32 = 65536;

// @ts-ignore: decorator
@unmanaged
export class DebugState extends Guarded {
  ctx: Context;
  /** DEBUG_* */
  flags: u32;
  /** OPTION_* */
  options: u32;
  /** Chains of entries by device and page of address; each slot points to the chain's first entry (chains.ts). */
  buckets: usize;
  bucketMask: u32;
  /** Buckets of the kernel's own table: the order in which it walks entries, and how far a sync looks back. */
  kernelBuckets: u32;
  live: u32;
  /** Entries that were carved and are in no chain. */
  free: Entry | null;
  /** Size of the longest entry so far: it bounds containing lookups. */
  longest: u64;
  /** Entries made so far. */
  sequence: u32;
  /** Mappings that could not be tracked for lack of memory: as many unmaps of unknown addresses are not reported. */
  missed: u32;
  /** The entry before the one that the last lookup found in its chain, 0 for the first. */
  before: Entry | null;
  /** 1 if a page's mapping needs no check but of its frame: our checker is on, and no places are watched. */
  quick: u32;
  /** Type of a page's mapping: since 4.20 a page is a single mapping. */
  pageType: u32;
  // The kernel's accounting (debugfs dma-api/).
  errorCount: u32;
  numErrors: u32;
  /** Entries that can be live before the pool is empty; the most that ever were, for min_free_entries. */
  pool: u32;
  peak: u32;
  /** min_free_entries before the pool last grew; both keep their values once the checker is disabled (pool.ts). */
  numFree: u32;
  minFree: u32;
  total: u32;
  prealloc: u32;
  /** CACHELINE_OVERFLOW was reported, which happens once per boot. */
  overflowed: u32;
  /** Two bytes per frame of RAM: mappings that begin in its first cacheline, and mappings that cover it (cacheline.ts). */
  frames: usize;
  /** The base for pfns above 4 GiB: `frames` less the bytes of the hole below. */
  highFrames: usize;
  /** Ends of RAM below and above 4 GiB, as pfns. */
  lowEnd: u32;
  highEnd: u32;
  /** Open-addressed table of all other active cachelines. */
  lines: usize;
  lineMask: u32;
  lineCount: u32;
  /** Verdict log (log.ts). */
  log: usize;
  logHead: u32;
  logTail: u32;
  logDropped: u32;
  /** Where a check's payload is filled in (log.ts). */
  payload: usize;
  /** Verdicts so far, by check. */
  counts: usize;
  /** A u32 per slot: live entries whose object id hashes to it. */
  objects: usize;
  /** Physical ranges that must not be mapped, if there are any: the current kernel stack, and text with rodata. */
  places: u32;
  stackStart: u64;
  stackEnd: u64;
  textStart: u64;
  textEnd: u64;
  /** Live entries that are lost (ENTRY_LOST), and their pages. */
  lost: u32;
  lostPages: u32;
  /** Entries of ours that are in the chains, which the kernel's accounting does not count: links and remainders (isOwn). */
  ownLive: u32;
  /** Where these and reservations are from, and those so far that could not be tracked for lack of memory (pool.ts). */
  ownCache: CacheOf<Entry> | null;
  ownMissed: u32;
  /** The buckets of reservations (links/), and live reservations that could not be tracked. */
  ranges: usize;
  rangesMissed: u32;
  /** Entries whose frames are not counted in `frames` yet (frames.ts). */
  unindexed: Entry | null;
}

/** The machine's dma-debug, null while it is off. */
// @ts-ignore: decorator
@inline
export function debugOf(ctx: Context): DebugState | null {
  return changetype<DebugState | null>(ctx.dmaDebug);
}

/** The same, but the null record while it is off: the host then reads zeros. */
// @ts-ignore: decorator
@inline
export function debugRecord(ctx: Context): DebugState {
  return changetype<DebugState>(ctx.dmaDebug);
}

export function setQuick(state: DebugState): void {
  state.quick = (state.flags & DEBUG_OWN) != 0 && state.places == 0 ? 1 : 0;
}

export const LOG_ORDER: u32 = 5;
export const LOG_RECORDS: u32 = 1024;

/**
 * Switches dma-debug on: mappings are tracked from the next call on.
 * @param flags DEBUG_*
 * @param kernelBuckets 1024 (2015) or 16384
 * @param prealloc entries of the pool (dma_debug_entries=); a pool that grows is rounded up to whole pages of them
 * @returns 0, -EINVAL, -ENOMEM
 */
export function debugCreate(ctx: Context, flags: u32, kernelBuckets: u32, prealloc: u32): i32 {
  if (ctx.dmaDebug != 0 || prealloc == 0 || kernelBuckets == 0 || (kernelBuckets & (kernelBuckets - 1)) != 0) return EINVAL;
  const at = blockAllocZeroed(ctx, 0);
  if (at == 0) return ENOMEM;
  const state = changetype<DebugState>(at);
  const ram = ramOf(ctx);
  state.ctx = ctx;
  state.counts = at + 1024;
  state.payload = at + 2048;
  state.lowEnd = ram.lowEnd;
  state.highEnd = ram.highEnd;
  state.buckets = blockAllocZeroed(ctx, blockOrder(FIRST_BUCKETS << 2));
  state.frames = blockAllocZeroed(ctx, blockOrder(<usize>ram.frames << 1));
  state.highFrames = state.frames - (<usize>ram.hole << 1);
  state.log = blockAlloc(ctx, LOG_ORDER);
  state.objects = blockAllocZeroed(ctx, blockOrder(OBJECT_SLOTS << 2));
  if (state.buckets == 0 || state.frames == 0 || state.log == 0 || state.objects == 0) {
    release(ctx, state);
    return ENOMEM;
  }
  state.bucketMask = FIRST_BUCKETS - 1;
  state.flags = flags;
  setQuick(state);
  state.pageType = (flags & DEBUG_ONE_PAGE_TYPE) != 0 ? TYPE_SINGLE : TYPE_PAGE;
  state.kernelBuckets = kernelBuckets;
  state.numErrors = 1;
  state.prealloc = prealloc;
  if ((flags & DEBUG_KERNEL) != 0) {
    const pages = (prealloc + DYNAMIC_ENTRIES - 1) / DYNAMIC_ENTRIES;
    state.total = (flags & DEBUG_GROWS) != 0 ? pages * DYNAMIC_ENTRIES : prealloc;
    state.pool = state.total;
    state.minFree = state.total;
  }
  ctx.dmaDebug = at;
  return 0;
}

function release(ctx: Context, state: DebugState): void {
  if (state.buckets != 0) blockFree(ctx, state.buckets);
  if (state.frames != 0) blockFree(ctx, state.frames);
  if (state.log != 0) blockFree(ctx, state.log);
  if (state.objects != 0) blockFree(ctx, state.objects);
  blockFree(ctx, addressOf(state));
}

/** Sets options and num_errors. */
export function debugOptions(ctx: Context, options: u32, numErrors: u32, poolFixed: bool): void {
  const state = debugOf(ctx)!;
  state.options = options;
  state.numErrors = numErrors;
  state.flags = poolFixed ? state.flags | DEBUG_POOL_FIXED : state.flags & ~DEBUG_POOL_FIXED;
}

/** Sets the counters to those of a recorded kernel. Entries of other devices count as not free. */
export function debugCountersSet(ctx: Context, errorCount: u32, numFree: u32, minFree: u32, total: u32): void {
  const state = debugOf(ctx)!;
  state.errorCount = errorCount;
  state.pool = numFree + state.live;
  state.peak = state.live;
  state.minFree = minFree;
  state.total = total;
}

/** Physical ranges that must not be mapped: the current kernel stack, and text with rodata. Length 0 is none. */
export function debugPlaces(ctx: Context, stack: u64, stackLength: u64, text: u64, textLength: u64): void {
  const state = debugOf(ctx)!;
  state.stackStart = stack;
  state.stackEnd = stackLength > 0 ? stack + stackLength : 0;
  state.textStart = text;
  state.textEnd = textLength > 0 ? text + textLength : 0;
  state.places = stackLength > 0 || textLength > 0 ? 1 : 0;
  setQuick(state);
}
