// dma-debug/ watches every call of the DMA API and says what a driver does wrong (kernel/dma/debug.c).
//
// The DMA API tells it of each mapping through the hooks below. A mapping is an entry for each mapped element: one for a
// page, one for each segment of a list. Unmapping looks the entry up by device and address, compares what the driver
// says now with what it said then, and takes it out; a sync looks for the entry that covers its range.
//
//   state.ts      the record, the counters of the kernel's accounting, the switches that make one kernel or the other
//   entry.ts      the record; chains.ts the pool of entries, and the two lookups
//   cacheline.ts  active cachelines: a second writer of one is an error
//   unmap.ts      what is compared when a mapping ends;  sync.ts  when it is synced
//   links.ts      the two-step calls, which no kernel's checker knows
//   own.ts        what the kernel's checker cannot see: a list mapped twice, addresses overwritten, pages freed, ...
//   pages.ts      which frames are mapped;  freed.ts  giving frames and tables back past the checker
//   log.ts        verdicts, drained by the host
//   query.ts      counters, live entries and the walk over everything
//
// Two checkers run over the same entries. The kernel's counts, prints and dies as that kernel would. Ours reports the
// same checks and its own, at the call, and never stops. Off, each hook is one load and a branch that predicts.

import { Context } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { DmaDevice } from '../device/device';
import { DMA_ATTR_SKIP_CPU_SYNC, DMA_BIDIRECTIONAL, DMA_TO_DEVICE } from '../device/mapping';
import { isRam, ramOf } from '../ram/ram';
import { entryBytes, entryPages, sgEntryLength, sgEntryPhys } from '../sg/entries';
import { SgTable, sgPfn } from '../sg/sg-table';
import { LINE_ENOMEM, LINE_FRESH, LINE_OVERFLOW, lineInsert, lineOf, pageSlot, pairFree } from './cacheline';
import {
  CHECK_CACHELINE_ENOMEM, CHECK_CACHELINE_OVERFLOW, CHECK_CACHELINE_OVERLAP, CHECK_MAP_INVALID, CHECK_MAP_STACK,
  CHECK_MAP_TEXT, CHECK_REJECT_VMALLOC, CHECK_SEG_BOUNDARY, CHECK_SEG_LEN,
} from './checks';
import { disable, entryAlloc, entryInsert, sgLink, slotOf } from './chains';
import {
  CHECK_MORE, ENTRY_COUNTED, ENTRY_LINE, ENTRY_LISTED, Entry, LINE_BIT, TYPE_COHERENT, TYPE_NONCOHERENT, TYPE_PAGE,
  TYPE_SG, UNCHECKED, entryFill, kindOf,
} from './entry';
import { report, reportOwn, reportUncounted } from './log';
import { ownDoubleMap } from './own';
import { countPages, deferPages } from './pages';
import {
  DEBUG_CHECK_SEGMENTS, DEBUG_KERNEL, DEBUG_OWN, DEBUG_REPORT_OVERLAP, DebugState, debugOf, setQuick,
} from './state';
import { syncSg, syncSingle } from './sync';
import { askError, entriesAreSegments, listAddress, listLength, markChecked, unmapOne, unmapSg } from './unmap';

/** Type of an entry as this kernel has it: since 4.20 a page is a single mapping. */
// @ts-ignore: decorator
@inline
export function typeOf(state: DebugState, type: u32): u32 {
  return type == TYPE_PAGE ? state.pageType : type;
}

/**
 * A page or single mapping was made; of one that failed nobody is told.
 * @param type TYPE_PAGE, TYPE_SINGLE, or TYPE_NONCOHERENT for dma_alloc_pages
 */
// @ts-ignore: decorator
@inline
export function debugMapPage(
  dev: DmaDevice, phys: u64, length: u64, dir: u32, dmaAddress: u64, attrs: u32, type: u32 = TYPE_PAGE,
): void {
  const state = debugOf(dev.ctx);
  if (state == null) return;
  const how = kindOf(typeOf(state, type), dir) | (attrs << 16);
  if (type <= TYPE_SG || type == TYPE_PAGE) mapOne(state, dev, phys, length, how, dmaAddress);
  else mapOther(state, dev, phys, length, how, dmaAddress);
}

// @ts-ignore: decorator
@inline
export function debugUnmapPage(dev: DmaDevice, dmaAddress: u64, length: u64, dir: u32, type: u32 = TYPE_PAGE): void {
  const state = debugOf(dev.ctx);
  if (state == null) return;
  unmapOne(state, dev, kindOf(typeOf(state, type), dir), dmaAddress, length, 0);
}

/**
 * A list was mapped.
 * @param nents entries given; mappedEnts segments that came of them: one entry each
 */
// @ts-ignore: decorator
@inline
export function debugMapSg(dev: DmaDevice, sgt: SgTable, nents: u32, mappedEnts: u32, dir: u32, attrs: u32): void {
  const state = debugOf(dev.ctx);
  if (state != null) mapSg(state, dev, sgt, nents, mappedEnts, dir, attrs);
}

/** A list is about to be unmapped: nents as the driver gives it, which must be what it gave to map. */
export function debugUnmapSg(dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32): void {
  const state = debugOf(dev.ctx);
  if (state != null) unmapSg(state, dev, sgt, nents, dir);
}

/** Coherent memory was allocated; phys is that of its first page. */
export function debugAllocCoherent(dev: DmaDevice, phys: u64, length: u64, dmaAddress: u64, attrs: u32): void {
  debugMapPage(dev, phys, length, DMA_BIDIRECTIONAL, dmaAddress, attrs, TYPE_COHERENT);
}

/** Coherent memory is about to be freed; phys is that of the CPU address the driver gives. */
export function debugFreeCoherent(dev: DmaDevice, phys: u64, length: u64, dmaAddress: u64): void {
  const state = debugOf(dev.ctx);
  if (state == null) return;
  const kind = kindOf(TYPE_COHERENT, DMA_BIDIRECTIONAL);
  unmapOne(state, dev, kind, dmaAddress, length, phys);
}

export function debugSyncSingle(dev: DmaDevice, address: u64, size: u64, dir: u32, forDevice: bool): void {
  const state = debugOf(dev.ctx);
  if (state != null) syncSingle(state, dev, address, size, dir, forDevice);
}

export function debugSyncSg(dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32, forDevice: bool): void {
  const state = debugOf(dev.ctx);
  if (state != null) syncSg(state, dev, sgt, nents, dir, forDevice);
}

/** The driver asked whether an address is an error: the oldest unchecked mapping there counts as checked. */
// @ts-ignore: decorator
@inline
export function debugMappingError(dev: DmaDevice, address: u64): void {
  const state = debugOf(dev.ctx);
  if (state != null) markChecked(state, dev, address);
}

/**
 * dma_map_single's own look at a CPU address, before anything is mapped (debug_dma_map_single).
 * @param phys of the buffer; @param vmalloc it is vmalloc memory, the stack of a kernel with mapped stacks included
 * @returns whether the DMA API refuses it (since 4.20), with DMA_MAPPING_ERROR for an answer
 */
export function debugMapSingle(dev: DmaDevice, phys: u64, length: u64, vmalloc: bool): bool {
  const ctx = dev.ctx;
  const state = debugOf(ctx);
  if (state == null) return vmalloc;
  if (vmalloc) reportUncounted(state, CHECK_REJECT_VMALLOC, dev, null, phys, 0);
  else if (!isRam(ramOf(ctx), <u32>min<u64>(phys >> 12, 0xffffffff))) {
    report(state, CHECK_MAP_INVALID, dev, null, phys, length, 0, 0, 0, 0);
  }
  return vmalloc;
}

/**
 * A mapping of one piece of RAM. In one frame that nobody else maps, which is nearly always so, it is made here, without a
 * call: what no call interrupts stays in registers.
 * @param how kindOf, and attributes from bit 16 on
 */
function mapOne(state: DebugState, dev: DmaDevice, phys: u64, length: u64, how: u32, address: u64): void {
  lock(state);
  // debug_dma_map_page asks dma_mapping_error about its own address first, and so checks a mapping that is there already.
  if (load<u32>(slotOf(state, dev, address >> 12)) != 0) {
    askError(state, dev, address);
  }
  const lines = linesOf(how);
  const pair = pairOf(state, phys, lines);
  const counts = <u32>load<u16>(pair);
  const inFrame = <u32>((phys & 4095) + length <= 4096);
  const quick = state.quick & inFrame & <u32>(state.live < state.peak) & <u32>(pair != 0) & pairFree(counts, lines, 0x100);
  if (quick != 0) {
    const entry = state.free!;
    state.free = entry.next;
    store<u16>(pair, <u16>(counts + 0x100 + lines));
    entryFill(state, entry, dev, address, length, phys, how & 0xffff, 0, 0, UNCHECKED, pair);
    entryInsert(state, entry, dev, address, length, ENTRY_COUNTED | (lines << LINE_BIT));
  } else mapSlow(state, dev, phys, length, how, address);
  unlock(state);
}

function mapSlow(state: DebugState, dev: DmaDevice, phys: u64, length: u64, how: u32, address: u64): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  const entry = entryAlloc(state);
  if (entry == null) return;
  entryFill(state, entry, dev, address, length, phys, how & 0xffff, 0, 0, UNCHECKED, 0);
  if (state.places != 0) checkPlace(state, dev, entry, phys, length);
  enter(state, dev, entry, phys, length, how, 0, true);
}

/** A mapping of memory whose frames are nobody's to free, or that is no RAM. */
function mapOther(state: DebugState, dev: DmaDevice, phys: u64, length: u64, how: u32, address: u64): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  lock(state);
  const entry = entryAlloc(state);
  if (entry != null) {
    const type = how & 0xff;
    const checked = type == TYPE_COHERENT ? CHECK_MORE : type == TYPE_NONCOHERENT ? 0 : UNCHECKED;
    entryFill(state, entry, dev, address, length, phys, how & 0xffff, 0, 0, checked, 0);
    track(state, dev, entry, how, 0);
  }
  unlock(state);
}

function mapSg(
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
      phys = (<u64>sgPfn(sgt, page) << 12) + (page == 0 ? sgt.offset : 0);
      address = phys;
      size = entryBytes(sgt, page, n);
      page += n;
    } else {
      // The kernel takes the i-th entry given for the i-th segment, whatever was merged before it.
      phys = i == 0 && sgt.pfns != 0 ? (<u64>sgPfn(sgt, 0) << 12) + sgt.offset : sgEntryPhys(sgt, i);
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

/** Cachelines that a mapping makes active: none for the device to read. */
// @ts-ignore: decorator
@inline
function linesOf(how: u32): u32 {
  return <u32>((how & 0xff00) != DMA_TO_DEVICE << 8);
}

/** Where the two counts of a mapping's first frame are, if its cacheline is the frame's first or it makes none active; else 0. */
// @ts-ignore: decorator
@inline
function pairOf(state: DebugState, phys: u64, lines: u32): usize {
  return (phys & <u64>((0 - lines) & 0xfc0)) == 0 ? pageSlot(state, phys >> 12) : 0;
}

/**
 * Tracks an entry of RAM: its frames, where it lies in one at once, and its first cacheline; both counts of a frame are
 * raised together where that is possible.
 * @param whole it is one piece of RAM from phys on, not merged of several
 */
// @ts-ignore: decorator
@inline
function enter(
  state: DebugState, dev: DmaDevice, entry: Entry, phys: u64, size: u64, how: u32, flags: u32, whole: bool,
): void {
  const own = (state.flags & DEBUG_OWN) != 0;
  const counted: u32 = own && whole && (phys & 4095) + size <= 4096 ? 0x100 : 0;
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

// add_dma_entry: the entry becomes visible, then its first cacheline active.
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
    reportUncounted(state, CHECK_CACHELINE_OVERFLOW, dev, entry, line, 7);
  }
  if ((state.flags & DEBUG_REPORT_OVERLAP) == 0 || (attrs & DMA_ATTR_SKIP_CPU_SYNC) != 0) return;
  report(state, CHECK_CACHELINE_OVERLAP, dev, entry, entry.address, entry.size, line, 0, 0, 0);
}

// check_for_stack and check_for_illegal_area. The kernel compares the direct map's addresses with the image's, so on
// x86-64 it never sees text; ours compares where the bytes are.
function checkPlace(state: DebugState, dev: DmaDevice, entry: Entry | null, phys: u64, length: u64): void {
  if (phys >= state.stackStart && phys < state.stackEnd) {
    report(state, CHECK_MAP_STACK, dev, entry, phys, length, 0, 0, 0, 0);
  }
  if ((state.flags & DEBUG_OWN) != 0 && phys < state.textEnd && phys + length > state.textStart) {
    reportOwn(state, CHECK_MAP_TEXT, dev, entry, phys, length, 0, 0);
  }
}

// check_sg_segment: the length is that of the i-th entry given (0: to be looked up), the range that of the i-th segment.
// @ts-ignore: decorator
@inline
function checkSegment(state: DebugState, dev: DmaDevice, sgt: SgTable, i: u32, given: u64, address: u64, size: u64): void {
  // No entry of a table from pages is longer than the table or its longest entry.
  if (sgt.pfns == 0 || min<u64>(<u64>sgt.maxEntry, sgt.bytes) > <u64>dev.maxSegment) {
    const length = given != 0 ? given : <u64>sgEntryLength(sgt, i);
    if (length > <u64>dev.maxSegment) report(state, CHECK_SEG_LEN, dev, null, 0, length, dev.maxSegment, 0, 0, 0);
  }
  const end = address + size - 1;
  if (((address ^ end) & ~dev.segmentBoundary) != 0) {
    report(state, CHECK_SEG_BOUNDARY, dev, null, address, size, end, dev.segmentBoundary, 0, 0);
  }
}

/** Physical ranges that checkPlace watches: the current kernel stack, and text with rodata. Length 0 is none. */
export function debugPlaces(ctx: Context, stack: u64, stackLength: u64, text: u64, textLength: u64): void {
  const state = debugOf(ctx)!;
  state.stackStart = stack;
  state.stackEnd = stackLength > 0 ? stack + stackLength : 0;
  state.textStart = text;
  state.textEnd = textLength > 0 ? text + textLength : 0;
  state.places = stackLength > 0 || textLength > 0 ? 1 : 0;
  setQuick(state);
}
