// Checks when a mapping is made (debug_dma_map_single, debug_dma_map_page, debug_dma_map_sg, add_dma_entry).

import { DmaDevice } from '../../device/device';
import { DMA_ATTR_SKIP_CPU_SYNC, DMA_TO_DEVICE } from '../../device/mapping';
import { lock, unlock } from '../../memory/lock';
import { PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, isRam, ramOf } from '../../ram/ram';
import { entryBytes, entryPages, sgEntryLength, sgEntryPhys } from '../../sg/entries';
import { SgTable, sgPfn } from '../../sg/sg-table';
import {
  LINE_ENOMEM, LINE_FRESH, LINE_MAX, LINE_OVERFLOW, lineInsert, lineOf, pageSlot, pairFree,
} from '../entries/cacheline';
import { entryInsert, slotOf } from '../entries/chains';
import {
  ENTRY_COUNTED, ENTRY_LINE, ENTRY_LISTED, Entry, LINE_BIT, TYPE_COHERENT, TYPE_NONCOHERENT, TYPE_SG, UNMAP_COHERENT,
  UNMAP_UNCHECKED, entryFill, kindOf, typeIn,
} from '../entries/entry';
import { countPages, deferPages } from '../entries/frames';
import { Payload, payload, report, reportOwn, reportUncounted } from '../entries/log';
import { disable, entryAlloc } from '../entries/pool';
import { DEBUG_CHECK_SEGMENTS, DEBUG_KERNEL, DEBUG_OWN, DEBUG_REPORT_OVERLAP, DebugState } from '../entries/state';
import { entriesAreSegments, listAddress, listLength, sgLink } from '../entries/table';
import { ownDoubleMap } from '../own/tables';
import { askError } from './unmap';

/** These four tell of memory before it is mapped (MappedMemory). */
export const CHECK_MAP_STACK: u32 = 15;
export const CHECK_MAP_TEXT: u32 = 16;
export const CHECK_MAP_INVALID: u32 = 17;
export const CHECK_MAP_VMALLOC: u32 = 18;
export const CHECK_SEG_LEN: u32 = 19;
export const CHECK_SEG_BOUNDARY: u32 = 20;
export const CHECK_CACHELINE_OVERLAP: u32 = 21;
export const CHECK_CACHELINE_OVERFLOW: u32 = 22;
export const CHECK_CACHELINE_ENOMEM: u32 = 26;
/** The DMA API refuses the mapping. */
export const CHECK_REJECT_VMALLOC: u32 = 28;

/** Physical memory that is mapped. */
// @ts-ignore: decorator
@unmanaged
export class MappedMemory extends Payload {
  phys: u64;
  length: u64;
}

/** Length of the list's entry, and the device's longest segment. */
// @ts-ignore: decorator
@unmanaged
export class SegmentLength extends Payload {
  length: u64;
  most: u64;
}

/** Last address of the segment, and the device's boundary mask. */
// @ts-ignore: decorator
@unmanaged
export class SegmentBoundary extends Payload {
  last: u64;
  boundary: u64;
}

/** Number of the cacheline (physical address / 64); for CHECK_CACHELINE_OVERFLOW the most overlaps that are counted. */
// @ts-ignore: decorator
@unmanaged
export class Cacheline extends Payload {
  cacheline: u64;
  limit: u32;
}

/**
 * A mapping of one piece of RAM. The fast path makes no call, so that all values stay in registers: for a mapping in one frame
 * that no other mapping covers, which is the usual case.
 * @param how kindOf, and attributes from bit 16 on
 */
export function mapOne(state: DebugState, dev: DmaDevice, phys: u64, length: u64, how: u32, address: u64): void {
  lock(state);
  // debug_dma_map_page calls dma_mapping_error for its own address first, which marks a mapping at that address as checked.
  if (load<u32>(slotOf(state, dev, address >> PAGE_SHIFT)) != 0) {
    askError(state, dev, address);
  }
  const lines = linesOf(how);
  const pair = pairOf(state, phys, lines);
  const counts = <u32>load<u16>(pair);
  const inFrame = <u32>((phys & PAGE_MASK) + length <= PAGE_SIZE);
  const quick = state.quick & inFrame & <u32>(state.live < state.peak) & <u32>(pair != 0) & pairFree(counts, lines, 0x100);
  if (quick != 0) {
    const entry = state.free!;
    state.free = entry.next;
    store<u16>(pair, <u16>(counts + 0x100 + lines));
    entryFill(state, entry, dev, address, length, phys, how & 0xffff, 0, 0, UNMAP_UNCHECKED, pair);
    entryInsert(state, entry, dev, address, length, ENTRY_COUNTED | (lines << LINE_BIT));
  } else mapSlow(state, dev, phys, length, how, address);
  unlock(state);
}

function mapSlow(state: DebugState, dev: DmaDevice, phys: u64, length: u64, how: u32, address: u64): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  const entry = entryAlloc(state);
  if (entry == null) return;
  entryFill(state, entry, dev, address, length, phys, how & 0xffff, 0, 0, UNMAP_UNCHECKED, 0);
  if (state.places != 0) checkPlace(state, dev, entry, phys, length);
  enter(state, dev, entry, phys, length, how, 0, true);
}

/** A mapping of memory whose frames cannot be freed meanwhile, or that is not RAM. */
export function mapOther(state: DebugState, dev: DmaDevice, phys: u64, length: u64, how: u32, address: u64): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  lock(state);
  const entry = entryAlloc(state);
  if (entry != null) {
    const type = typeIn(how);
    const unmapFlags = type == TYPE_COHERENT ? UNMAP_COHERENT : type == TYPE_NONCOHERENT ? 0 : UNMAP_UNCHECKED;
    entryFill(state, entry, dev, address, length, phys, how & 0xffff, 0, 0, unmapFlags, 0);
    track(state, dev, entry, how, 0);
  }
  unlock(state);
}

export function mapSg(
  state: DebugState, dev: DmaDevice, sgt: SgTable, nents: u32, mapped: u32, dir: u32, attrs: u32,
): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  lock(state);
  const how = kindOf(TYPE_SG, dir) | (attrs << 16);
  const walk = entriesAreSegments(sgt);
  let page: u32 = 0;
  if ((state.flags & DEBUG_OWN) != 0 && sgt.debugEntries != 0) ownDoubleMap(state, dev, sgt);
  if (state.places != 0) {
    for (let i: u32 = 0; i < nents; ++i) checkPlace(state, dev, null, sgEntryPhys(sgt, i), sgEntryLength(sgt, i));
  }
  for (let i: u32 = 0; i < mapped; ++i) {
    const entry = entryAlloc(state);
    if (entry == null) break;
    let phys: u64;
    let address: u64;
    let size: u64;
    if (walk) {
      const n = entryPages(sgt, page);
      phys = (<u64>sgPfn(sgt, page) << PAGE_SHIFT) + (page == 0 ? sgt.offset : 0);
      address = phys;
      size = entryBytes(sgt, page, n);
      page += n;
    } else {
      // The kernel pairs the i-th entry with the i-th segment, even if entries before were merged.
      phys = i == 0 && sgt.pfns != 0 ? (<u64>sgPfn(sgt, 0) << PAGE_SHIFT) + sgt.offset : sgEntryPhys(sgt, i);
      address = listAddress(sgt, i);
      size = listLength(sgt, i);
    }
    entryFill(state, entry, dev, address, size, phys, how & 0xffff, nents, mapped, 0, 0);
    if ((state.flags & DEBUG_CHECK_SEGMENTS) != 0) checkSegment(state, dev, sgt, i, walk ? size : 0, address, size);
    sgLink(entry, sgt);
    enter(state, dev, entry, phys, size, how, ENTRY_LISTED, mapped == nents);
  }
  unlock(state);
}

/** Cachelines that a mapping makes active: 0 if the device only reads. */
// @ts-ignore: decorator
@inline
function linesOf(how: u32): u32 {
  return <u32>((how & 0xff00) != DMA_TO_DEVICE << 8);
}

/** The pair of counts of a mapping's first frame, if its cacheline is the frame's first or it makes none active; else 0. */
// @ts-ignore: decorator
@inline
function pairOf(state: DebugState, phys: u64, lines: u32): usize {
  return (phys & <u64>((0 - lines) & 0xfc0)) == 0 ? pageSlot(state, phys >> PAGE_SHIFT) : 0;
}

/**
 * Tracks an entry of RAM: counts its first cacheline and, if it lies in one frame, that frame; both counts in one store where
 * possible.
 * @param whole it is one piece of RAM from phys on, not merged of several
 */
// @ts-ignore: decorator
@inline
function enter(
  state: DebugState, dev: DmaDevice, entry: Entry, phys: u64, size: u64, how: u32, flags: u32, whole: bool,
): void {
  const own = (state.flags & DEBUG_OWN) != 0;
  const counted: u32 = own && whole && (phys & PAGE_MASK) + size <= PAGE_SIZE ? 0x100 : 0;
  const lines = linesOf(how);
  const pair = own ? pairOf(state, phys, lines) : 0;
  const counts = <u32>load<u16>(pair);
  const together = <u32>(pair != 0) & pairFree(counts, lines, counted);
  if (counted == 0) {
    if (own) flags |= deferPages(state, entry);
  } else flags |= together != 0 ? ENTRY_COUNTED : countPages(state, entry);
  if (together != 0) {
    store<u16>(pair, <u16>(counts + counted + lines));
    entry.pair = pair;
    entryInsert(state, entry, entry.device, entry.address, size, flags | (lines << LINE_BIT));
  } else track(state, dev, entry, how, flags);
}

// add_dma_entry: puts the entry in its chain, then makes its first cacheline active.
function track(state: DebugState, dev: DmaDevice, entry: Entry, how: u32, flags: u32): void {
  const lines = linesOf(how);
  entryInsert(state, entry, entry.device, entry.address, entry.size, flags | (lines << LINE_BIT));
  if (lines == 0) return;
  const active = lineInsert(state, lineOf(state, entry));
  if (active != LINE_FRESH) overlap(state, dev, entry, active, how >> 16);
}

function overlap(state: DebugState, dev: DmaDevice, entry: Entry, active: u32, attrs: u32): void {
  const line = entry.phys >> 6;
  if (active == LINE_ENOMEM) {
    entry.flags &= ~ENTRY_LINE;
    if ((state.flags & DEBUG_KERNEL) != 0) disable(state, CHECK_CACHELINE_ENOMEM);
    return;
  }
  if (active == LINE_OVERFLOW && state.overflowed == 0) {
    state.overflowed = 1;
    const told = payload<Cacheline>(state);
    told.cacheline = line;
    told.limit = LINE_MAX - 1;
    reportUncounted(state, CHECK_CACHELINE_OVERFLOW, dev, entry, told);
  }
  if ((state.flags & DEBUG_REPORT_OVERLAP) == 0 || (attrs & DMA_ATTR_SKIP_CPU_SYNC) != 0) return;
  const told = payload<Cacheline>(state);
  told.cacheline = line;
  report(state, CHECK_CACHELINE_OVERLAP, dev, entry, entry.address, entry.size, told);
}

function memoryTold(state: DebugState, phys: u64, length: u64): MappedMemory {
  const told = payload<MappedMemory>(state);
  told.phys = phys;
  told.length = length;
  return told;
}

// check_for_stack and check_for_illegal_area. The kernel compares addresses of the direct map with those of the kernel image,
// and so never finds text on x86-64; ours compares physical addresses.
function checkPlace(state: DebugState, dev: DmaDevice, entry: Entry | null, phys: u64, length: u64): void {
  if (phys >= state.stackStart && phys < state.stackEnd) {
    const told = memoryTold(state, phys, length);
    if (entry == null) report(state, CHECK_MAP_STACK, dev, null, 0, 0, told);
    else report(state, CHECK_MAP_STACK, dev, entry, entry.address, entry.size, told);
  }
  if ((state.flags & DEBUG_OWN) != 0 && phys < state.textEnd && phys + length > state.textStart) {
    const told = memoryTold(state, phys, length);
    if (entry == null) reportOwn(state, CHECK_MAP_TEXT, dev, null, 0, 0, told);
    else reportOwn(state, CHECK_MAP_TEXT, dev, entry, entry.address, entry.size, told);
  }
}

// check_sg_segment: compares the length of the i-th entry (`given`, 0: not looked up yet) and the range of the i-th segment.
// @ts-ignore: decorator
@inline
function checkSegment(state: DebugState, dev: DmaDevice, sgt: SgTable, i: u32, given: u64, address: u64, size: u64): void {
  // No entry of a table from pages is longer than the table or its longest entry.
  if (sgt.pfns == 0 || min<u64>(<u64>sgt.maxEntry, sgt.bytes) > <u64>dev.maxSegment) {
    const length = given != 0 ? given : <u64>sgEntryLength(sgt, i);
    if (length > <u64>dev.maxSegment) {
      const told = payload<SegmentLength>(state);
      told.length = length;
      told.most = dev.maxSegment;
      report(state, CHECK_SEG_LEN, dev, null, address, size, told);
    }
  }
  const end = address + size - 1;
  if (((address ^ end) & ~dev.segmentBoundary) != 0) {
    const told = payload<SegmentBoundary>(state);
    told.last = end;
    told.boundary = dev.segmentBoundary;
    report(state, CHECK_SEG_BOUNDARY, dev, null, address, size, told);
  }
}

/** debug_dma_map_single: checks a CPU address before it is mapped. */
export function mapSingle(state: DebugState, dev: DmaDevice, phys: u64, length: u64, vmalloc: bool): void {
  if (vmalloc) reportUncounted(state, CHECK_REJECT_VMALLOC, dev, null, null);
  else if (!isRam(ramOf(state.ctx), <u32>min<u64>(phys >> PAGE_SHIFT, 0xffffffff))) {
    report(state, CHECK_MAP_INVALID, dev, null, 0, 0, memoryTold(state, phys, length));
  }
}
