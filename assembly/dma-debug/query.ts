// Queries: counters, live entries one by one, and the walk that checks all structures of dma-debug.

import { DmaDevice } from '../device/device';
import { DMA_NONE, DMA_TO_DEVICE } from '../device/mapping';
import { Context } from '../memory/context';
import { lineCount, lineOf } from './entries/cacheline';
import { findContaining, firstEntry, nextEntry, pagesOf } from './entries/chains';
import { ENTRY_LINE, ENTRY_LISTED, ENTRY_LOST, Entry, directionIn, isOwn } from './entries/entry';
import { CHECKS_END } from './entries/log';
import { minFree, numFree } from './entries/pool';
import { DEBUG_KERNEL, DebugState, debugOf } from './entries/state';
import { liveEntries } from './entries/table';
import { rangesCheck } from './links/left';

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

/** The direction of the mapping of a device that an address lies in; DMA_NONE for none, or several. */
export function debugDirectionAt(dev: DmaDevice, address: u64): u32 {
  const state = debugOf(dev.ctx);
  if (state == null) return DMA_NONE;
  const entry = findContaining(state, dev, address, 1, 0, 0);
  return entry == null ? DMA_NONE : directionIn(entry.kind);
}

/** A counter by number (VALUE_*); 0 while dma-debug is off, all ones for an unknown number. */
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
    case VALUE_LIVE: return state.live + state.ownLive;
    case VALUE_LIVE_BYTES: return liveSum(state, false);
    case VALUE_LIVE_PAGES: return liveSum(state, true);
    case VALUE_LOST: return state.lost;
    case VALUE_LOST_PAGES: return state.lostPages;
    case VALUE_INSERTS: return state.sequence;
    case VALUE_MISSED: return state.missed + state.ownMissed;
    default: return -1;
  }
}

// Bytes or pages of all live entries. They are summed here, not counted at every map.
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
  return state == null || check >= CHECKS_END ? 0 : load<u32>(state.counts + (<usize>check << 2));
}

/** First live entry in the order of the chains, null if there is none; the host reads its record (entries/entry.ts). */
export function debugEntryFirst(ctx: Context): Entry | null {
  const state = debugOf(ctx);
  return state == null ? null : firstEntry(state);
}

/** The entry after another, null after the last. No mapping may be made or ended between the two calls. */
export function debugEntryNext(ctx: Context, entry: Entry): Entry | null {
  return nextEntry(debugOf(ctx)!, entry);
}

/**
 * Checks that chains, counters, cachelines, the lists of tables and reservations agree.
 * @returns 0, or what is wrong: 1 a chain, 2 counters, 3 a cacheline, 4 a table's list, 5 lost entries, 6 a reservation's links
 */
export function debugCheck(ctx: Context): u32 {
  const state = debugOf(ctx);
  if (state == null) return 0;
  let live: u32 = 0;
  let own: u32 = 0;
  let lost: u32 = 0;
  let lostPages: u64 = 0;
  for (let entry = firstEntry(state); entry != null; entry = nextEntry(state, entry!)) {
    if (isOwn(entry)) ++own;
    else ++live;
    if (live > state.live || own > state.ownLive) return 1;
    if ((entry.flags & ENTRY_LOST) != 0) {
      ++lost;
      lostPages += pagesOf(entry);
    }
    if ((entry.flags & ENTRY_LINE) != 0) {
      if (directionIn(entry.kind) == DMA_TO_DEVICE) return 3;
      // After an overflow the count of a line may be 0 while mappings begin in it.
      if (state.overflowed == 0 && lineCount(state, lineOf(state, entry)) == 0) return 3;
    }
    if ((entry.flags & ENTRY_LISTED) != 0) {
      const before = entry.sgPrevious;
      const first = before == null ? liveEntries(entry.sgt!) : before.sgNext;
      if (first != entry) return 4;
    }
  }
  if (live != state.live || own != state.ownLive) return 2;
  if (!rangesCheck(state)) return 6;
  return lost == state.lost && <u32>lostPages == state.lostPages ? 0 : 5;
}
