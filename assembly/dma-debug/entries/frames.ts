// Counts of the mappings that cover a frame of RAM, for the check of freed pages (own/pages.ts).
//
// The second byte of a frame's pair (cacheline.ts) is that count. A mapping in one frame is counted when it is made. A mapping
// of several frames is put on a list, since to count a thousand scattered frames would cost more than to map them. When pages
// are freed, the frames of all entries on the list are counted: of one run from its physical address, of a whole table from
// the table, of other merged lists from the IOMMU's page tables.
//
// A count of 255 is not changed until a search finds that no mapping covers the frame.

import { PAGE_MASK, PAGE_SHIFT, PAGE_SIZE } from '../../ram/ram';
import { DmaDevice, OPS_IOMMU } from '../../device/device';
import { IommuDomain, domainOf } from '../../iommu/domain';
import { iommuIovaToPhys } from '../../iommu/api/ops';
import { pageSlot } from './cacheline';
import {
  ENTRY_COUNTED, ENTRY_LISTED, ENTRY_PAGES, ENTRY_RUN, ENTRY_SCATTERED, ENTRY_TABLES_TELL, ENTRY_UNINDEXED, ENTRY_WALKED,
  Entry,
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

/** Counts the frames of an entry that is one run from entry.phys on. Returns the flag for it. */
export function countPages(state: DebugState, entry: Entry): u32 {
  if (entry.size == 0) return 0;
  const last = (entry.phys + entry.size - 1) >> PAGE_SHIFT;
  for (let pfn = entry.phys >> PAGE_SHIFT; pfn <= last; ++pfn) count(state, pfn);
  return ENTRY_RUN;
}

/** Puts an entry on the list of those to be counted when pages are freed. Returns the flag for it. */
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

/** Uncounts an entry's frames, or takes it off the list. */
export function forgetPages(state: DebugState, entry: Entry): void {
  if ((entry.flags & ENTRY_UNINDEXED) != 0) undefer(state, entry);
  else if ((entry.flags & (ENTRY_COUNTED | ENTRY_RUN)) != 0) {
    const last = (entry.phys + entry.size - 1) >> PAGE_SHIFT;
    for (let pfn = entry.phys >> PAGE_SHIFT; pfn <= last; ++pfn) uncount(state, pfn);
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

/** Counts or uncounts the frames of an entry that is not one run. */
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
  for (let at = entry.address & ~PAGE_MASK; at < end; at += PAGE_SIZE) {
    const phys = iommuIovaToPhys(domain, at);
    if (phys == 0) continue;
    if (up) count(state, phys >> PAGE_SHIFT);
    else uncount(state, phys >> PAGE_SHIFT);
  }
}

// @ts-ignore: decorator
@inline
function domainFor(entry: Entry): IommuDomain | null {
  const dev = entry.device;
  return dev.ops == OPS_IOMMU ? domainOf(dev) : null;
}

// Counts the frames of all entries on the list, which are those made since pages were last freed.
export function indexFrames(state: DebugState): void {
  while (state.unindexed != null) {
    const entry = state.unindexed!;
    undefer(state, entry);
    entry.flags &= ~ENTRY_UNINDEXED;
    // As many segments as entries: none was merged.
    if (entry.sgMappedEnts == entry.sgCallEnts && (entry.flags & ENTRY_TABLES_TELL) == 0) {
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
    return entry.phys >> PAGE_SHIFT <= <u64>pfn && <u64>pfn <= (entry.phys + entry.size - 1) >> PAGE_SHIFT;
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
  for (let at = entry.address & ~PAGE_MASK; at < end; at += PAGE_SIZE) {
    if (iommuIovaToPhys(domain, at) >> PAGE_SHIFT == <u64>pfn) return true;
  }
  return false;
}

/** Whether an IOMMU stands behind a device's address, and leads somewhere. */
export function translates(dev: DmaDevice, address: u64): bool {
  const domain: IommuDomain | null = dev.ops == OPS_IOMMU ? domainOf(dev) : null;
  return domain != null && iommuIovaToPhys(domain, address) != 0;
}
