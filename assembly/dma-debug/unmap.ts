// What is compared when a mapping ends (check_unmap). Every check runs, whatever the ones before it said, and the entry
// goes in any case: a driver that unmaps wrongly has still unmapped.

import { lock, unlock } from '../memory/lock';
import { DmaDevice } from '../device/device';
import { DMA_MAPPING_ERROR } from '../device/mapping';
import { addressOf } from '../memory/record';
import { entriesOf, entryBytes, entryPages } from '../sg/entries';
import { sgSegmentAddress, sgSegmentLength } from '../sg/segments';
import { SEGMENTS_NONE, SEGMENTS_ONE, SEGMENTS_PHYSICAL, SgTable, sgPfn } from '../sg/sg-table';
import { lineOf, lineRemove, pairSound } from './cacheline';
import {
  CHECK_UNMAP_CPUADDR, CHECK_UNMAP_DIR, CHECK_UNMAP_INVALID, CHECK_UNMAP_MAPPED_COUNT,
  CHECK_UNMAP_SGCOUNT, CHECK_UNMAP_SIZE, CHECK_UNMAP_TYPE, CHECK_UNMAP_UNCHECKED, CHECK_UNMAP_UNKNOWN,
} from './checks';
import {
  PAGE_SHIFT, headAt, countedIn, entryBefore, entryFree, entryUncount, findAt, findBest, findUnchecked, linesIn,
  liveEntries, sgLink, sgUnlink, slotOf, unchain,
} from './chains';
import {
  CHECKED, CHECK_BOUND, ENTRY_COUNTED, ENTRY_LINE, ENTRY_LISTED, ENTRY_LOST, ENTRY_OBJECT, ENTRY_PAGES,
  ENTRY_UNINDEXED, Entry, TYPE_COHERENT, TYPE_SG, UNCHECKED, kindOf, unlike,
} from './entry';
import { report, reportOwn } from './log';
import { ownStalePte } from './own';
import { forgetPages, undefer } from './pages';
import { DEBUG_KERNEL, DEBUG_OWN, DebugState } from './state';

/** A mapping of one piece is ended; phys matters for coherent memory only. */
export function unmapOne(state: DebugState, dev: DmaDevice, kind: u32, address: u64, size: u64, phys: u64): void {
  lock(state);
  checkUnmap(state, dev, kind, address, size, 0, phys, null);
  unlock(state);
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

/**
 * Whether a table's segments are its entries where they lie, and follow from its pages: a walk over these tells all.
 */
// @ts-ignore: decorator
@inline
export function entriesAreSegments(sgt: SgTable): bool {
  return sgt.shape == SEGMENTS_PHYSICAL && sgt.pfns != 0;
}

/** debug_dma_unmap_sg: the first entry knows how many segments there are; without it all nents are looked at. */
export function unmapSg(state: DebugState, dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32): void {
  lock(state);
  const kind = kindOf(TYPE_SG, dir);
  const pages = entriesAreSegments(sgt) ? sgt.pageCount : 0;
  let page: u32 = 0;
  let mapped: u32 = 0;
  // Past the end of its list the kernel would follow a pointer to nowhere: nothing is to be looked at there.
  const end = min(nents, entriesOf(sgt));
  for (let i: u32 = 0; i < end; ++i) {
    if (mapped != 0 && i >= mapped) break;
    let address: u64;
    let size: u64;
    if (page < pages) {
      const n = entryPages(sgt, page);
      address = (<u64>sgPfn(sgt, page) << 12) + (page == 0 ? sgt.offset : 0);
      size = entryBytes(sgt, page, n);
      page += n;
    } else {
      address = listAddress(sgt, i);
      size = listLength(sgt, i);
    }
    const ents = checkUnmap(state, dev, kind, address, size, nents, 0, sgt);
    if (i == 0) mapped = ents;
  }
  unlock(state);
}

/**
 * Checks and removes one mapping. What our checker tracks that has only raised the counts of its first frame and is on lists goes without a call, if
 * all that the driver says is right: what no call interrupts stays in registers.
 * @returns the segments of the call that made it, 0 for one that is not known
 */
// @ts-ignore: decorator
@inline
function checkUnmap(
  state: DebugState, dev: DmaDevice, kind: u32, address: u64, size: u64, ents: u32, phys: u64, sgt: SgTable | null,
): u32 {
  const slot = slotOf(state, dev, address >> PAGE_SHIFT);
  // An empty slot leads to the null record, which has no device and no pair.
  const entry = headAt(slot);
  const pair = entry.pair;
  const flags = entry.flags;
  const counts = <u32>load<u16>(pair);
  const right = <u32>(unlike(entry, dev, address, size, kind, ents) == 0)
    & (<u32>(sgt == null) | <u32>((flags & ENTRY_LISTED) == 0) | <u32>(entry.sgt == sgt));
  const plain = <u32>(pair != 0) & <u32>((flags & ~PLAIN) == 0) & pairSound(counts, linesIn(flags), countedIn(flags));
  if ((right & plain) == 0) {
    return unmapSlow(state, dev, slot, kind, address, size, ents, phys, sgt);
  }
  store<u16>(pair, <u16>(counts - linesIn(flags) - countedIn(flags)));
  if ((flags & ENTRY_UNINDEXED) != 0) undefer(state, entry);
  if ((flags & ENTRY_LISTED) != 0) sgUnlink(entry);
  unchain(slot, null, entry);
  entryFree(state, entry);
  return entry.sgMappedEnts;
}

/** Flags of an entry that ends without a call. */
const PLAIN: u32 = ENTRY_LINE | ENTRY_COUNTED | ENTRY_UNINDEXED | ENTRY_LISTED;

function unmapSlow(
  state: DebugState, dev: DmaDevice, slot: usize, kind: u32, address: u64, size: u64, ents: u32, phys: u64, sgt: SgTable | null,
): u32 {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return 0;
  const entry = judge(state, dev, slot, kind, address, size, ents, phys);
  if (entry == null) return 0;
  if (sgt != null) changeTables(entry, sgt);
  drop(state, entry, slot, state.before);
  return entry.sgMappedEnts;
}

/**
 * Of several mappings that are alike in all that the kernel compares, it drops the oldest, whoever ends his. As two tables
 * may have such entries, where addresses are physical, the one that stays goes over to the other table.
 */
function changeTables(entry: Entry, sgt: SgTable): void {
  if ((entry.flags & ENTRY_LISTED) == 0 || entry.sgt == sgt) return;
  for (let twin = liveEntries(sgt); twin != null; twin = twin!.sgNext) {
    if (twin.address != entry.address || twin.device != entry.device) continue;
    const other = entry.sgt!;
    sgUnlink(twin);
    sgUnlink(entry);
    sgLink(twin, other);
    sgLink(entry, sgt);
    return;
  }
}

/** Says what is wrong with an unmapping. Returns the entry that goes nevertheless, null without one; DebugState.before as findBest. */
function judge(
  state: DebugState, dev: DmaDevice, slot: usize, kind: u32, address: u64, size: u64, ents: u32, phys: u64,
): Entry | null {
  const first = findUnchecked(slot, dev, address, size, kind, ents);
  if (first != null) {
    state.before = null;
    report(state, CHECK_UNMAP_UNCHECKED, dev, first, address, size, 0, 0, kind & 0xff, 0);
    return first;
  }
  const entry = findBest(state, slot, dev, address, size, kind, ents);
  if (entry == null) unknown(state, dev, address, size);
  else compare(state, dev, entry, kind, size, ents, phys);
  return entry;
}

/** Takes an entry out of everything that knows it. */
export function dropEntry(state: DebugState, entry: Entry): void {
  const slot = slotOf(state, entry.device, entry.address >> PAGE_SHIFT);
  drop(state, entry, slot, entryBefore(slot, entry));
}

function drop(state: DebugState, entry: Entry, slot: usize, before: Entry | null): void {
  const flags = entry.flags;
  const counts = <u32>load<u16>(entry.pair);
  const sound = <u32>(entry.pair != 0) & pairSound(counts, linesIn(flags), countedIn(flags));
  if (sound != 0) {
    store<u16>(entry.pair, <u16>(counts - linesIn(flags) - countedIn(flags)));
    entry.flags = flags & ~(ENTRY_LINE | ENTRY_COUNTED);
  }
  dropCounts(state, entry);
  if ((flags & ENTRY_LISTED) != 0) sgUnlink(entry);
  if ((flags & (ENTRY_LOST | ENTRY_OBJECT)) != 0) entryUncount(state, entry);
  unchain(slot, before, entry);
  entryFree(state, entry);
}

function dropCounts(state: DebugState, entry: Entry): void {
  if ((entry.flags & ENTRY_LINE) != 0) lineRemove(state, lineOf(state, entry));
  if ((entry.flags & ENTRY_PAGES) != 0) forgetPages(state, entry);
}

function unknown(state: DebugState, dev: DmaDevice, address: u64, size: u64): void {
  // Only dma_mapping_error tells which report it is; of several mappings that all disagree it leaves one checked.
  askError(state, dev, address);
  // A mapping that could not be tracked for want of memory may be the one that ends here.
  if (state.missed != 0) {
    --state.missed;
    return;
  }
  if (address == DMA_MAPPING_ERROR) report(state, CHECK_UNMAP_INVALID, dev, null, address, 0, 0, 0, 0, 0);
  else report(state, CHECK_UNMAP_UNKNOWN, dev, null, address, size, 0, 0, 0, 0);
}

// Only UNMAP_SIZE tells the size that was mapped; the other reports give the one that the caller passed.
function compare(state: DebugState, dev: DmaDevice, entry: Entry, kind: u32, size: u64, ents: u32, phys: u64): void {
  const address = entry.address;
  const mappedAs = entry.kind & 0xff;
  const unmappedAs = kind & 0xff;
  if (entry.size != size) report(state, CHECK_UNMAP_SIZE, dev, entry, address, entry.size, size, 0, 0, 0);
  if (mappedAs != unmappedAs) {
    report(state, CHECK_UNMAP_TYPE, dev, entry, address, size, 0, 0, mappedAs, unmappedAs);
  } else if (mappedAs == TYPE_COHERENT && entry.phys != phys) {
    report(state, CHECK_UNMAP_CPUADDR, dev, entry, address, size, entry.phys, phys, 0, 0);
  }
  if (unmappedAs == TYPE_SG && ents != 0 && ents != entry.sgCallEnts) {
    report(state, CHECK_UNMAP_SGCOUNT, dev, entry, address, size, 0, 0, entry.sgCallEnts, ents);
    if ((state.flags & DEBUG_OWN) != 0 && ents == entry.sgMappedEnts) {
      reportOwn(state, CHECK_UNMAP_MAPPED_COUNT, dev, entry, address, size, entry.sgCallEnts, ents);
    }
  }
  if (entry.kind >> 8 != kind >> 8) {
    report(state, CHECK_UNMAP_DIR, dev, entry, address, size, 0, 0, entry.kind >> 8, kind >> 8);
  }
  if ((entry.checked & UNCHECKED) != 0) {
    report(state, CHECK_UNMAP_UNCHECKED, dev, entry, address, size, 0, 0, mappedAs, 0);
  }
  if ((state.flags & DEBUG_OWN) != 0 && (entry.checked & CHECK_BOUND) != 0) ownStalePte(state, dev, entry);
}

/** debug_dma_mapping_error: of several mappings at one address the oldest that was not checked yet is. */
export function markChecked(state: DebugState, device: DmaDevice, address: u64): void {
  lock(state);
  const first = headAt(slotOf(state, device, address >> PAGE_SHIFT));
  let entry: Entry | null = first;
  const found = <u32>(first.address == address) & <u32>(first.device == device) & first.checked & UNCHECKED;
  if (found == 0) entry = findAt(state, device, address, true);
  if (entry != null) setChecked(entry);
  unlock(state);
}

// As a pair of words, which is how unmapping will load them.
// @ts-ignore: decorator
@inline
function setChecked(entry: Entry): void {
  const at = addressOf(entry);
  const words = load<u64>(at, offsetof<Entry>('sgCallEnts'));
  store<u64>(at, words ^ (<u64>(UNCHECKED | CHECKED) << 32), offsetof<Entry>('sgCallEnts'));
}

/** As markChecked, under the lock: what the kernel does to itself where it asks whether an address is an error. */
export function askError(state: DebugState, device: DmaDevice, address: u64): void {
  const entry = findAt(state, device, address, true);
  if (entry != null) setChecked(entry);
}
