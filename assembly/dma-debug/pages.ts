// Which frames of RAM are mapped: what it takes to say that a page is freed while a device can still reach it.
//
// The second byte of a frame's pair (cacheline.ts) counts live mappings that cover it. Where a mapping is one piece of
// RAM it is counted at once. A list that an IOMMU merged covers a thousand scattered frames, and touching all of them at
// every map would cost more than mapping does. Such an entry goes on a list instead; only when somebody frees pages are
// the pages of the entries that are still on it counted, read back from the IOMMU's own tables, once for each entry.
//
// A count of 255 stays where it is.

import { pageSlot } from './cacheline';
import { ENTRY_COUNTED, ENTRY_UNINDEXED, Entry } from './entry';
import { DebugState } from './state';

const FULL: u8 = 255;

// @ts-ignore: decorator
@inline
function count(state: DebugState, pfn: u32): void {
  const slot = pageSlot(state, pfn);
  if (slot == 0) return;
  const n = load<u8>(slot, 1);
  if (n != FULL) store<u8>(slot, n + 1, 1);
}

// @ts-ignore: decorator
@inline
function uncount(state: DebugState, pfn: u32): void {
  const slot = pageSlot(state, pfn);
  if (slot == 0) return;
  const n = load<u8>(slot, 1);
  if (n != FULL && n != 0) store<u8>(slot, n - 1, 1);
}

/** Counts the frames of an entry that lie in one piece from entry.phys on. */
// @ts-ignore: decorator
@inline
export function countPages(state: DebugState, entry: Entry): void {
  if (entry.size == 0) return;
  entry.flags |= ENTRY_COUNTED;
  const last = (entry.phys + entry.size - 1) >> 12;
  for (let pfn = entry.phys >> 12; pfn <= last; ++pfn) count(state, <u32>pfn);
}

/** Puts an entry whose frames are scattered on the list of those to be counted when pages are freed. */
// @ts-ignore: decorator
@inline
export function deferPages(state: DebugState, entry: Entry): void {
  entry.flags |= ENTRY_UNINDEXED;
  const next = state.unindexed;
  entry.lazyNext = next;
  entry.lazyPrevious = 0;
  if (next != 0) changetype<Entry>(next).lazyPrevious = changetype<usize>(entry);
  state.unindexed = changetype<usize>(entry);
}

// @ts-ignore: decorator
@inline
export function forgetPages(state: DebugState, entry: Entry): void {
  if ((entry.flags & ENTRY_UNINDEXED) != 0) unlink(state, entry);
  else {
    const last = (entry.phys + entry.size - 1) >> 12;
    for (let pfn = entry.phys >> 12; pfn <= last; ++pfn) uncount(state, <u32>pfn);
  }
}

function unlink(state: DebugState, entry: Entry): void {
  const next = entry.lazyNext;
  const previous = entry.lazyPrevious;
  if (previous != 0) changetype<Entry>(previous).lazyNext = next;
  else state.unindexed = next;
  if (next != 0) changetype<Entry>(next).lazyPrevious = previous;
  entry.flags &= ~ENTRY_UNINDEXED;
}
