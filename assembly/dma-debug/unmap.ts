// What is compared when a mapping ends (check_unmap). Every check runs, whatever the ones before it said, and the entry
// goes in any case: a driver that unmaps wrongly has still unmapped.

import { lock, unlock } from '../memory/lock';
import { DMA_MAPPING_ERROR, DmaDevice } from '../dma/device';
import { singlePages } from '../sg/entries';
import { sgSegmentAddress, sgSegmentLength } from '../sg/segments';
import { SEGMENTS_NONE, SEGMENTS_ONE, SEGMENTS_PHYSICAL, SgTable, sgPfn } from '../sg/sg-table';
import { lineRemove, pageSlot, pairRemove } from './cacheline';
import {
  CHECK_STALE_PTE, CHECK_UNMAP_CPUADDR, CHECK_UNMAP_DIR, CHECK_UNMAP_INVALID, CHECK_UNMAP_MAPPED_COUNT,
  CHECK_UNMAP_SGCOUNT, CHECK_UNMAP_SIZE, CHECK_UNMAP_TYPE, CHECK_UNMAP_UNCHECKED, CHECK_UNMAP_UNKNOWN,
} from './checks';
import { lineOf, typeOf } from './debug';
import {
  CHECKED, ENTRY_LINE, ENTRY_LOST, ENTRY_PAGES, ENTRY_PAIR, Entry, TYPE_COHERENT, TYPE_SG, UNCHECKED, entryFree,
  entryRemove, findAt, findExact, kindOf, sgUnlink,
} from './entry';
import { report, reportOwn } from './log';
import { forgetPages } from './pages';
import { DEBUG_KERNEL, DEBUG_OWN, DebugState } from './state';

export function unmapOne(
  state: DebugState, dev: DmaDevice, type: u32, address: u64, size: u64, dir: u32, phys: u64,
): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  lock(changetype<usize>(state));
  checkUnmap(state, dev, kindOf(typeOf(state, type), dir), address, size, 0, phys);
  unlock(changetype<usize>(state));
}

/**
 * DMA address and length of entry i of a list as its driver finds them there. Past the segments that a mapping made,
 * the IOMMU code leaves the error value and no length; in a list that was never mapped both are 0.
 */
// @ts-ignore: decorator
@inline
export function listAddress(sgt: SgTable, i: u32): u64 {
  if (sgt.shape == SEGMENTS_NONE) return 0;
  if (i == 0 && sgt.shape == SEGMENTS_ONE) return sgt.inlineAddress;
  return i < sgt.nents ? sgSegmentAddress(sgt, i) : DMA_MAPPING_ERROR;
}

// @ts-ignore: decorator
@inline
export function listLength(sgt: SgTable, i: u32): u64 {
  if (i == 0 && sgt.shape == SEGMENTS_ONE) return sgt.inlineLength;
  return sgt.shape == SEGMENTS_NONE || i >= sgt.nents ? 0 : sgSegmentLength(sgt, i);
}

/** Whether each page of a table is a whole entry of its own at its physical address: no need to ask for each. */
// @ts-ignore: decorator
@inline
export function plainPages(sgt: SgTable): bool {
  return sgt.shape == SEGMENTS_PHYSICAL && sgt.pfns != 0 && singlePages(sgt)
    && sgt.bytes == <u64>sgt.pageCount << 12;
}

/** debug_dma_unmap_sg: the first entry knows how many segments there are; without it all nents are looked at. */
export function unmapSg(state: DebugState, dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  lock(changetype<usize>(state));
  const kind = kindOf(TYPE_SG, dir);
  const plain = plainPages(sgt);
  let mapped: u32 = 0;
  for (let i: u32 = 0; i < nents; ++i) {
    if (mapped != 0 && i >= mapped) break;
    const inside = plain && i < sgt.pageCount;
    const address = inside ? <u64>sgPfn(sgt, i) << 12 : listAddress(sgt, i);
    const size: u64 = inside ? 4096 : listLength(sgt, i);
    const ents = checkUnmap(state, dev, kind, address, size, nents, 0);
    if (i == 0) mapped = ents;
  }
  unlock(changetype<usize>(state));
}

/** Checks and removes one mapping. Returns the segments of the call that made it, 0 for one that is not known. */
function checkUnmap(
  state: DebugState, dev: DmaDevice, kind: u32, address: u64, size: u64, ents: u32, phys: u64,
): u32 {
  const at = findExact(state, changetype<usize>(dev), address, size, kind, ents);
  if (at == 0) {
    unknown(state, dev, address, size);
    return 0;
  }
  const entry = changetype<Entry>(at);
  const mapped = entry.sgMappedEnts;
  // Each word is 0 where it fits: one test for nearly all of what can be wrong.
  const differs = (entry.kind ^ kind) | (entry.sgCallEnts ^ ents) | (entry.checked & UNCHECKED) | entry.bindings;
  const fits = differs == 0 && entry.size == size && (kind & 0xff) != TYPE_COHERENT;
  if (!fits) compare(state, dev, entry, kind, size, ents, phys);
  drop(state, entry);
  return mapped;
}

/** drop, for callers that are in no hurry. */
export function dropEntry(state: DebugState, entry: Entry): void {
  drop(state, entry);
}

/** Takes an entry that a lookup has just found out of everything that knows it. */
// @ts-ignore: decorator
@inline
function drop(state: DebugState, entry: Entry): void {
  const flags = entry.flags & ~ENTRY_LOST;
  const pair = (flags & ENTRY_PAIR) != 0 ? pageSlot(state, entry.phys >> 12) : 0;
  if (pair == 0 || !pairRemove(pair, (flags & ENTRY_LINE) != 0)) {
    if ((flags & ENTRY_LINE) != 0) lineRemove(state, lineOf(state, entry));
    if ((flags & ENTRY_PAGES) != 0) forgetPages(state, entry);
  }
  sgUnlink(entry);
  entryRemove(state, entry);
  entryFree(state, entry);
}

function unknown(state: DebugState, dev: DmaDevice, address: u64, size: u64): void {
  // A mapping that could not be tracked for want of memory may be the one that ends here.
  if (state.missed != 0) {
    --state.missed;
    return;
  }
  if (address == DMA_MAPPING_ERROR) report(state, CHECK_UNMAP_INVALID, dev, 0, address, 0, 0, 0, 0, 0);
  else report(state, CHECK_UNMAP_UNKNOWN, dev, 0, address, size, 0, 0, 0, 0);
}

function compare(state: DebugState, dev: DmaDevice, entry: Entry, kind: u32, size: u64, ents: u32, phys: u64): void {
  const at = changetype<usize>(entry);
  const address = entry.address;
  const mappedAs = entry.kind & 0xff;
  const unmappedAs = kind & 0xff;
  if (entry.size != size) report(state, CHECK_UNMAP_SIZE, dev, at, address, entry.size, size, 0, 0, 0);
  if (mappedAs != unmappedAs) {
    report(state, CHECK_UNMAP_TYPE, dev, at, address, entry.size, 0, 0, mappedAs, unmappedAs);
  } else if (mappedAs == TYPE_COHERENT && entry.phys != phys) {
    report(state, CHECK_UNMAP_CPUADDR, dev, at, address, entry.size, entry.phys, phys, 0, 0);
  }
  if (unmappedAs == TYPE_SG && ents != 0 && ents != entry.sgCallEnts) {
    report(state, CHECK_UNMAP_SGCOUNT, dev, at, address, size, 0, 0, entry.sgCallEnts, ents);
    if ((state.flags & DEBUG_OWN) != 0 && ents == entry.sgMappedEnts) {
      reportOwn(state, CHECK_UNMAP_MAPPED_COUNT, dev, at, address, size, entry.sgCallEnts, ents);
    }
  }
  if (entry.kind >> 8 != kind >> 8) {
    report(state, CHECK_UNMAP_DIR, dev, at, address, entry.size, 0, 0, entry.kind >> 8, kind >> 8);
  }
  if (entry.checked == UNCHECKED) {
    report(state, CHECK_UNMAP_UNCHECKED, dev, at, address, entry.size, 0, 0, mappedAs, 0);
  }
  if ((state.flags & DEBUG_OWN) != 0 && entry.bindings != 0) {
    reportOwn(state, CHECK_STALE_PTE, dev, at, address, entry.size, entry.bindings, 0);
  }
}

/** debug_dma_mapping_error: of several mappings at one address the oldest that was not checked yet is. */
export function markChecked(state: DebugState, dev: DmaDevice, address: u64): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  lock(changetype<usize>(state));
  const at = findAt(state, changetype<usize>(dev), address, true);
  if (at != 0) changetype<Entry>(at).checked = CHECKED;
  unlock(changetype<usize>(state));
}
