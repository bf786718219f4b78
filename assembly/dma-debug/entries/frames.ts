// Which frames of RAM are mapped: what it takes to say that a page is freed while a device can still reach it.
//
// The second byte of a frame's pair (cacheline.ts) counts live mappings that cover it. Where a mapping lies in one
// frame it is counted at once. A list that an IOMMU merged covers a thousand scattered frames, and touching all of them at
// every map would cost more than mapping does. Such an entry goes on a list instead, and so does any of several frames; only
// when somebody frees pages are the pages of the entries that are still on it counted, once for each entry: of one piece
// from where that lies, of a merged list from the table where the entry is all of it, else from the IOMMU's own page tables.
//
// A count of 255 stays where it is until a search finds nothing behind it (own/pages.ts).

import { OPS_IOMMU } from '../../device/device';
import { IommuDomain, domainOf } from '../../iommu/domain';
import { iommuIovaToPhys } from '../../iommu/formats';
import { pageSlot } from './cacheline';
import {
  ENTRY_COUNTED, ENTRY_LISTED, ENTRY_PAGES, ENTRY_RUN, ENTRY_SCATTERED, ENTRY_UNINDEXED, ENTRY_WALKED, Entry,
} from './entry';
import { DebugState } from './state';

const FULL: u8 = 255;

// @ts-ignore: decorator
@inline
function count(state: DebugState, pfn: u64): void {
  const slot = pageSlot(state, pfn);
  if (slot == 0) return;
  const n = load<u8>(slot, 1);
  if (n != FULL) store<u8>(slot, n + 1, 1);
}

// @ts-ignore: decorator
@inline
function uncount(state: DebugState, pfn: u64): void {
  const slot = pageSlot(state, pfn);
  if (slot == 0) return;
  const n = load<u8>(slot, 1);
  if (n != FULL && n != 0) store<u8>(slot, n - 1, 1);
}

/** Counts the frames of an entry that lie in one piece from entry.phys on. Returns its flag for it. */
export function countPages(state: DebugState, entry: Entry): u32 {
  if (entry.size == 0) return 0;
  const last = (entry.phys + entry.size - 1) >> 12;
  for (let pfn = entry.phys >> 12; pfn <= last; ++pfn) count(state, pfn);
  return ENTRY_RUN;
}

/** Puts an entry whose frames are scattered on the list of those to be counted when pages are freed. Returns its flag for it. */
// @ts-ignore: decorator
@inline
export function deferPages(state: DebugState, entry: Entry): u32 {
  const next = state.unindexed;
  entry.lazyNext = next;
  entry.lazyPrevious = null;
  if (next != null) next.lazyPrevious = entry;
  state.unindexed = entry;
  return ENTRY_UNINDEXED;
}

/** Takes an entry's frames out of the counts, or the entry off the list. */
export function forgetPages(state: DebugState, entry: Entry): void {
  if ((entry.flags & ENTRY_UNINDEXED) != 0) undefer(state, entry);
  else if ((entry.flags & (ENTRY_COUNTED | ENTRY_RUN)) != 0) {
    const last = (entry.phys + entry.size - 1) >> 12;
    for (let pfn = entry.phys >> 12; pfn <= last; ++pfn) uncount(state, pfn);
  } else scattered(state, entry, false);
  entry.flags &= ~ENTRY_PAGES;
}

/** Takes an entry off the list of deferPages. */
// @ts-ignore: decorator
@inline
export function undefer(state: DebugState, entry: Entry): void {
  const next = entry.lazyNext;
  const previous = entry.lazyPrevious;
  if (previous != null) previous.lazyNext = next;
  else state.unindexed = next;
  if (next != null) next.lazyPrevious = previous;
}

/** Counts or uncounts the frames of an entry that lie anywhere. */
function scattered(state: DebugState, entry: Entry, up: bool): void {
  if ((entry.flags & ENTRY_SCATTERED) != 0) {
    const sgt = entry.sgt!;
    const end = sgt.pfns + (<usize>sgt.pageCount << 2);
    for (let at = sgt.pfns; at < end; at += 4) {
      if (up) count(state, load<u32>(at));
      else uncount(state, load<u32>(at));
    }
    return;
  }
  const domain = domainFor(entry);
  if (domain == null) return;
  const end = entry.address + entry.size;
  for (let at = entry.address & ~0xfff; at < end; at += 4096) {
    const phys = iommuIovaToPhys(domain, at);
    if (phys == 0) continue;
    if (up) count(state, phys >> 12);
    else uncount(state, phys >> 12);
  }
}

// @ts-ignore: decorator
@inline
function domainFor(entry: Entry): IommuDomain | null {
  const dev = entry.device;
  return dev.ops == OPS_IOMMU ? domainOf(dev) : null;
}

// The entries whose frames nobody has counted yet are few each time: those made since pages were last freed.
export function indexFrames(state: DebugState): void {
  while (state.unindexed != null) {
    const entry = state.unindexed!;
    undefer(state, entry);
    entry.flags &= ~ENTRY_UNINDEXED;
    // As many segments as entries: nothing was merged.
    if (entry.sgMappedEnts == entry.sgCallEnts) {
      entry.flags |= countPages(state, entry);
      continue;
    }
    const listed = (entry.flags & ENTRY_LISTED) != 0;
    const whole = listed && entry.sgMappedEnts == 1 && entry.sgt!.pfns != 0;
    entry.flags |= whole ? ENTRY_SCATTERED : ENTRY_WALKED;
    scattered(state, entry, true);
  }
}

export function covers(entry: Entry, pfn: u32): bool {
  if ((entry.flags & (ENTRY_COUNTED | ENTRY_RUN)) != 0) {
    return entry.phys >> 12 <= <u64>pfn && <u64>pfn <= (entry.phys + entry.size - 1) >> 12;
  }
  if ((entry.flags & ENTRY_SCATTERED) != 0) {
    const sgt = entry.sgt!;
    const end = sgt.pfns + (<usize>sgt.pageCount << 2);
    for (let at = sgt.pfns; at < end; at += 4) {
      if (load<u32>(at) == pfn) return true;
    }
    return false;
  }
  const domain = domainFor(entry);
  if (domain == null) return false;
  const end = entry.address + entry.size;
  for (let at = entry.address & ~0xfff; at < end; at += 4096) {
    if (iommuIovaToPhys(domain, at) >> 12 == <u64>pfn) return true;
  }
  return false;
}
