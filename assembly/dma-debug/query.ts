// What can be asked of the checker: counters, live entries one by one, what a device still holds when its driver goes,
// and a walk over everything.

import { Context } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { DmaDevice } from '../device/device';
import { DMA_TO_DEVICE } from '../device/mapping';
import { lineCount, lineOf } from './cacheline';
import { CHECK_CPU_TOUCH, CHECK_LEAK_ON_UNBIND, CHECK_LIMIT } from './checks';
import {
  HASH_SHIFT, chainAt, entryLose, firstEntry, liveEntries, minFree, nextEntry, numFree, pagesOf,
} from './chains';
import { ENTRY_LINE, ENTRY_LISTED, ENTRY_LOST, Entry, TYPE_LINK } from './entry';
import { linkForget, rangesCheck, rangesForget, rangesLeft } from './links';
import { report } from './log';
import { DEBUG_KERNEL, DEBUG_OWN, DebugState, debugOf } from './state';
import { dropEntry } from './unmap';

// Counters by number, for debugValue.
export const VALUE_DISABLED: u32 = 0; // 1 when the kernel's checker is off
export const VALUE_ERROR_COUNT: u32 = 1;
export const VALUE_NUM_ERRORS: u32 = 2;
export const VALUE_NUM_FREE: u32 = 3;
export const VALUE_MIN_FREE: u32 = 4;
export const VALUE_TOTAL: u32 = 5;
export const VALUE_LIVE: u32 = 6;
export const VALUE_LIVE_BYTES: u32 = 7;
export const VALUE_LIVE_PAGES: u32 = 8;
export const VALUE_LOST: u32 = 9;
export const VALUE_LOST_PAGES: u32 = 10;
export const VALUE_INSERTS: u32 = 11;
export const VALUE_MISSED: u32 = 12;

/** One of the checker's counters; 0 while it is off, -1 for a number that is none. */
export function debugValue(ctx: Context, which: u32): u64 {
  const state = debugOf(ctx);
  if (state == null) return which == VALUE_DISABLED ? 1 : 0;
  switch (which) {
    case VALUE_DISABLED: return (state.flags & DEBUG_KERNEL) == 0 ? 1 : 0;
    case VALUE_ERROR_COUNT: return state.errorCount;
    case VALUE_NUM_ERRORS: return state.numErrors;
    case VALUE_NUM_FREE: return numFree(state);
    case VALUE_MIN_FREE: return minFree(state);
    case VALUE_TOTAL: return state.total;
    case VALUE_LIVE: return state.live + state.links;
    case VALUE_LIVE_BYTES: return liveSum(state, false);
    case VALUE_LIVE_PAGES: return liveSum(state, true);
    case VALUE_LOST: return state.lost;
    case VALUE_LOST_PAGES: return state.lostPages;
    case VALUE_INSERTS: return state.sequence;
    case VALUE_MISSED: return state.missed + state.linksMissed;
    default: return -1;
  }
}

// Bytes or pages of all live entries: counted when somebody asks, not at every map.
function liveSum(state: DebugState, pages: bool): u64 {
  let sum: u64 = 0;
  for (let entry = firstEntry(state); entry != null; entry = nextEntry(state, entry!)) {
    sum += pages ? pagesOf(entry) : entry.size;
  }
  return sum;
}

/** Verdicts of a check so far, printed or not. */
export function debugCount(ctx: Context, check: u32): u32 {
  const state = debugOf(ctx);
  return state == null || check >= CHECK_LIMIT ? 0 : load<u32>(state.counts + (<usize>check << 2));
}

/** First live entry in the order of the chains, null without; the host reads its record (entry.ts). */
export function debugEntryFirst(ctx: Context): Entry | null {
  const state = debugOf(ctx);
  return state == null ? null : firstEntry(state);
}

/** The entry after another, null after the last. No mapping may be made or ended between the two calls. */
export function debugEntryNext(ctx: Context, entry: Entry): Entry | null {
  return nextEntry(debugOf(ctx)!, entry);
}

/**
 * The driver of a device was unbound (dma_debug_device_change): one report with the number of mappings it still holds
 * and one of them, the last in the order of the kernel's buckets.
 * Reserved address space that it holds is told by itself, links in it with it.
 * @returns how many mappings, links included
 */
export function debugDriverUnbound(dev: DmaDevice): u32 {
  const ctx = dev.ctx;
  const state = debugOf(ctx);
  if (state == null) return 0;
  lock(debugOf(ctx));
  let count: u32 = 0;
  let links: u32 = 0;
  let example: Entry | null = null;
  let bucket: u64 = 0;
  for (let entry = firstEntry(state); entry != null; entry = nextEntry(state, entry!)) {
    if (entry.device != dev) continue;
    entryLose(state, entry);
    if ((entry.kind & 0xff) >= TYPE_LINK) {
      ++links;
      continue;
    }
    ++count;
    const mine = (entry.address >> HASH_SHIFT) & <u64>(state.kernelBuckets - 1);
    const later = example == null || mine > bucket
      || (mine == bucket && <i32>(entry.sequence - example.sequence) > 0);
    if (later) {
      example = entry;
      bucket = mine;
    }
  }
  if (count != 0) {
    const entry = example!;
    report(state, CHECK_LEAK_ON_UNBIND, dev, entry, entry.address, entry.size, 0, 0, count, 0);
  }
  rangesLeft(state, dev);
  unlock(debugOf(ctx));
  return count + links;
}

/** Forgets every entry of a device whose record is about to go. */
export function debugDeviceDestroy(dev: DmaDevice): void {
  const ctx = dev.ctx;
  const state = debugOf(ctx);
  if (state == null) return;
  lock(debugOf(ctx));
  rangesForget(state, dev);
  const end = state.buckets + ((<usize>state.bucketMask + 1) << 2);
  for (let slot = state.buckets; slot < end; slot += 4) {
    for (let at = chainAt(slot); at != null; ) {
      const entry = at;
      at = entry.next;
      if (entry.device != dev) continue;
      if ((entry.kind & 0xff) >= TYPE_LINK) linkForget(state, entry);
      else dropEntry(state, entry);
    }
  }
  unlock(debugOf(ctx));
}

/** The CPU writes to a page of its own accord (debug_dma_assert_idle, 2015): no mapping may begin in it. */
export function debugCpuTouch(ctx: Context, pfn: u32): void {
  const state = debugOf(ctx);
  if (state == null || (state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  for (let line = <u64>pfn << 6; line < (<u64>pfn + 1) << 6; ++line) {
    if (lineCount(state, line) == 0) continue;
    for (let entry = firstEntry(state); entry != null; entry = nextEntry(state, entry!)) {
      if ((entry.flags & ENTRY_LINE) == 0 || lineOf(state, entry) != line) continue;
      report(state, CHECK_CPU_TOUCH, entry.device, entry, entry.address, entry.size, line, 0, 0, 0);
      return;
    }
    return;
  }
}

/**
 * Walks the checker: chains, counters, cachelines and the tables' lists agree.
 * @returns 0, or what is wrong: 1 a chain, 2 counters, 3 a cacheline, 4 a table's list, 5 lost entries, 6 a reservation's links
 */
export function debugCheck(ctx: Context): u32 {
  const state = debugOf(ctx);
  if (state == null) return 0;
  let live: u32 = 0;
  let links: u32 = 0;
  let lost: u32 = 0;
  let lostPages: u64 = 0;
  for (let entry = firstEntry(state); entry != null; entry = nextEntry(state, entry!)) {
    if ((entry.kind & 0xff) >= TYPE_LINK) ++links;
    else ++live;
    if (live > state.live || links > state.links) return 1;
    if ((entry.flags & ENTRY_LOST) != 0) {
      ++lost;
      lostPages += pagesOf(entry);
    }
    if ((entry.flags & ENTRY_LINE) != 0) {
      if (entry.kind >> 8 == DMA_TO_DEVICE) return 3;
      // Once a count has overflowed, removals may leave a line that looks free.
      if (state.overflowed == 0 && lineCount(state, lineOf(state, entry)) == 0) return 3;
    }
    if ((entry.flags & ENTRY_LISTED) != 0) {
      const before = entry.sgPrevious;
      const first = before == null ? liveEntries(entry.sgt!) : before.sgNext;
      if (first != entry) return 4;
    }
  }
  if (live != state.live || links != state.links) return 2;
  if (!rangesCheck(state)) return 6;
  return lost == state.lost && <u32>lostPages == state.lostPages ? 0 : 5;
}
