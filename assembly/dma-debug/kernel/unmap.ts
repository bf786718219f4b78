// Checks when a mapping ends (check_unmap). Each check runs, whatever the others found, and the entry is removed in any case:
// a wrong unmap has still unmapped.

import { PAGE_SHIFT } from '../../ram/ram';
import { DmaDevice, isMappingError } from '../../device/device';
import { lock, unlock } from '../../memory/lock';
import { addressOf } from '../../memory/record';
import { entriesOf, entryBytes, entryPages } from '../../sg/entries';
import { SgTable, sgPfn } from '../../sg/sg-table';
import { pairSound } from '../entries/cacheline';
import {
  countedIn, findAt, findBest, findUnchecked, headAt, linesIn, slotOf, unchain,
} from '../entries/chains';
import { drop } from '../entries/drop';
import {
  ENTRY_COUNTED, ENTRY_LINE, ENTRY_LISTED, ENTRY_UNINDEXED, Entry, TYPE_COHERENT, TYPE_SG, UNMAP_BOUND, UNMAP_CHECKED,
  UNMAP_UNCHECKED, directionIn, kindOf, typeIn, unlike,
} from '../entries/entry';
import { undefer } from '../entries/frames';
import { Payload, payload, report } from '../entries/log';
import { entryFree } from '../entries/pool';
import { DEBUG_KERNEL, DEBUG_OWN, DebugState } from '../entries/state';
import { changeTables, entriesAreSegments, listAddress, listLength, sgUnlink } from '../entries/table';
import { ownStalePte } from '../own/bindings';
import { ownUnmapCount } from '../own/counts';
import { endRemainder, leftMapped } from '../own/remainder';

export const CHECK_UNMAP_INVALID: u32 = 1;
export const CHECK_UNMAP_UNKNOWN: u32 = 2;
export const CHECK_UNMAP_SIZE: u32 = 3;
export const CHECK_UNMAP_TYPE: u32 = 4;
export const CHECK_UNMAP_CPUADDR: u32 = 5;
export const CHECK_UNMAP_SGCOUNT: u32 = 6;
export const CHECK_UNMAP_DIR: u32 = 7;
export const CHECK_UNMAP_UNCHECKED: u32 = 8;

/** Payload of CHECK_UNMAP_TYPE and CHECK_UNMAP_UNCHECKED: TYPE_*. */
// @ts-ignore: decorator
@unmanaged
export class UnmapType extends Payload {
  mappedAs: u32;
  unmappedAs: u32;
}

/** Physical addresses of what was allocated and of what is freed. */
// @ts-ignore: decorator
@unmanaged
export class UnmapCpuAddress extends Payload {
  allocated: u64;
  freed: u64;
}

/** Entries of a list as they were given to map and to unmap. */
// @ts-ignore: decorator
@unmanaged
export class UnmapCount extends Payload {
  mapCount: u32;
  unmapCount: u32;
}

/** DMA_* */
// @ts-ignore: decorator
@unmanaged
export class UnmapDirection extends Payload {
  mapped: u32;
  unmapped: u32;
}

/** A mapping of any type but a list ends; phys is used for coherent memory only. */
export function unmapOne(state: DebugState, dev: DmaDevice, kind: u32, address: u64, size: u64, phys: u64): void {
  lock(state);
  checkUnmap(state, dev, kind, address, size, 0, phys, null);
  unlock(state);
}

/** debug_dma_unmap_sg: the first Entry has the number of segments; without it all nents are checked. */
export function unmapSg(state: DebugState, dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32): void {
  lock(state);
  const kind = kindOf(TYPE_SG, dir);
  const pages = entriesAreSegments(sgt) ? sgt.pageCount : 0;
  let page: u32 = 0;
  let mapped: u32 = 0;
  // Past the end of the list the kernel would follow an invalid pointer; nothing is checked there.
  const end = min(nents, entriesOf(sgt));
  for (let i: u32 = 0; i < end; ++i) {
    if (mapped != 0 && i >= mapped) break;
    let address: u64;
    let size: u64;
    if (page < pages) {
      const n = entryPages(sgt, page);
      address = (<u64>sgPfn(sgt, page) << PAGE_SHIFT) + (page == 0 ? sgt.offset : 0);
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
 * Checks and removes one mapping. The fast path makes no call, so that all values stay in registers: for an entry that has
 * only raised the counts of its first frame and is on lists, and arguments that agree with it.
 * @returns segments of the call that made the mapping, 0 for an unknown one
 */
// @ts-ignore: decorator
@inline
function checkUnmap(
  state: DebugState, dev: DmaDevice, kind: u32, address: u64, size: u64, ents: u32, phys: u64, sgt: SgTable | null,
): u32 {
  const slot = slotOf(state, dev, address >> PAGE_SHIFT);
  // An empty slot leads to the null record, whose device and pair are 0.
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

/** Flags of an entry that the fast path removes. */
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

/** Reports what is wrong with an unmap. Returns the entry to remove or null; DebugState.before as findBest sets it. */
function judge(
  state: DebugState, dev: DmaDevice, slot: usize, kind: u32, address: u64, size: u64, ents: u32, phys: u64,
): Entry | null {
  const first = findUnchecked(slot, dev, address, size, kind, ents);
  if (first != null) {
    state.before = null;
    unmapType(state, CHECK_UNMAP_UNCHECKED, dev, first, address, size, typeIn(kind), 0);
    return first;
  }
  const entry = findBest(state, slot, dev, address, size, kind, ents);
  if (entry == null) unknown(state, dev, address, size);
  else compare(state, dev, entry, kind, size, ents, phys);
  return entry;
}

function unknown(state: DebugState, dev: DmaDevice, address: u64, size: u64): void {
  // The kernel calls dma_mapping_error to choose the report, which marks one of several mappings that disagree as checked.
  askError(state, dev, address);
  // This may be a mapping that could not be tracked for lack of memory.
  if (state.missed != 0) {
    --state.missed;
    return;
  }
  if (isMappingError(dev, address)) report(state, CHECK_UNMAP_INVALID, dev, null, address, 0, null);
  else {
    report(state, CHECK_UNMAP_UNKNOWN, dev, null, address, size, null);
    if (state.ownLive != 0) endRemainder(state, dev, address);
  }
}

function unmapType(
  state: DebugState, check: u32, dev: DmaDevice, entry: Entry, address: u64, size: u64, mappedAs: u32, unmappedAs: u32,
): void {
  const told = payload<UnmapType>(state);
  told.mappedAs = mappedAs;
  told.unmappedAs = unmappedAs;
  report(state, check, dev, entry, address, size, told);
}

function compare(state: DebugState, dev: DmaDevice, entry: Entry, kind: u32, size: u64, ents: u32, phys: u64): void {
  const address = entry.address;
  const mappedAs = typeIn(entry.kind);
  const unmappedAs = typeIn(kind);
  if (entry.size != size) {
    report(state, CHECK_UNMAP_SIZE, dev, entry, address, size, null);
    if ((state.flags & DEBUG_OWN) != 0 && size < entry.size) leftMapped(state, dev, entry, size);
  }
  if (mappedAs != unmappedAs) {
    unmapType(state, CHECK_UNMAP_TYPE, dev, entry, address, size, mappedAs, unmappedAs);
  } else if (mappedAs == TYPE_COHERENT && entry.phys != phys) {
    const told = payload<UnmapCpuAddress>(state);
    told.allocated = entry.phys;
    told.freed = phys;
    report(state, CHECK_UNMAP_CPUADDR, dev, entry, address, size, told);
  }
  if (unmappedAs == TYPE_SG && ents != 0 && ents != entry.sgCallEnts) {
    const told = payload<UnmapCount>(state);
    told.mapCount = entry.sgCallEnts;
    told.unmapCount = ents;
    report(state, CHECK_UNMAP_SGCOUNT, dev, entry, address, size, told);
    if ((state.flags & DEBUG_OWN) != 0) ownUnmapCount(state, dev, entry, size, ents);
  }
  if (directionIn(entry.kind) != directionIn(kind)) {
    const told = payload<UnmapDirection>(state);
    told.mapped = directionIn(entry.kind);
    told.unmapped = directionIn(kind);
    report(state, CHECK_UNMAP_DIR, dev, entry, address, size, told);
  }
  if ((entry.unmapFlags & UNMAP_UNCHECKED) != 0) {
    unmapType(state, CHECK_UNMAP_UNCHECKED, dev, entry, address, size, mappedAs, 0);
  }
  if ((state.flags & DEBUG_OWN) != 0 && (entry.unmapFlags & UNMAP_BOUND) != 0) ownStalePte(state, dev, entry);
}

/** debug_dma_mapping_error: marks the oldest unchecked mapping at the address as checked. */
export function markChecked(state: DebugState, device: DmaDevice, address: u64): void {
  lock(state);
  const first = headAt(slotOf(state, device, address >> PAGE_SHIFT));
  let entry: Entry | null = first;
  const found = <u32>(first.address == address) & <u32>(first.device == device) & first.unmapFlags & UNMAP_UNCHECKED;
  if (found == 0) entry = findAt(state, device, address, true);
  if (entry != null) setChecked(entry);
  unlock(state);
}

// One store of two words, since unmapping loads them together.
// @ts-ignore: decorator
@inline
function setChecked(entry: Entry): void {
  const at = addressOf(entry);
  const words = load<u64>(at, offsetof<Entry>('sgCallEnts'));
  store<u64>(at, words ^ (<u64>(UNMAP_UNCHECKED | UNMAP_CHECKED) << 32), offsetof<Entry>('sgCallEnts'));
}

/** markChecked for callers that hold the lock: the kernel's own calls of dma_mapping_error have this effect. */
export function askError(state: DebugState, device: DmaDevice, address: u64): void {
  const entry = findAt(state, device, address, true);
  if (entry != null) setChecked(entry);
}
