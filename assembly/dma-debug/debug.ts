// dma-debug/ watches every call of the DMA API and says what a driver does wrong (kernel/dma/debug.c).
//
// The DMA API tells it of each mapping through the hooks below. A mapping is an entry for each mapped element: one for a
// page, one for each segment of a list. Unmapping looks the entry up by device and address, compares what the driver
// says now with what it said then, and takes it out; a sync looks for the entry that covers its range.
//
//   state.ts      the record, the counters of the kernel's accounting, the switches that make one kernel or the other
//   entry.ts      entries, their pool, the two lookups
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
import { DMA_ATTR_SKIP_CPU_SYNC, DMA_BIDIRECTIONAL, DMA_MAPPING_ERROR, DMA_TO_DEVICE, DmaDevice } from '../dma/device';
import { isRam, Ram } from '../ram/ram';
import { entriesOf, sgEntryLength, sgEntryPhys } from '../sg/entries';
import { SgTable, sgPfn } from '../sg/sg-table';
import { COHERENT_LINE, LINE_ENOMEM, LINE_FRESH, LINE_OVERFLOW, lineInsert, pageSlot, pairInsert } from './cacheline';
import {
  CHECK_CACHELINE_ENOMEM, CHECK_CACHELINE_OVERFLOW, CHECK_CACHELINE_OVERLAP, CHECK_MAP_INVALID, CHECK_MAP_STACK,
  CHECK_MAP_TEXT, CHECK_REJECT_VMALLOC, CHECK_SEG_BOUNDARY, CHECK_SEG_LEN,
} from './checks';
import {
  ENTRY_COUNTED, ENTRY_LINE, ENTRY_PAIR, Entry, TYPE_COHERENT, TYPE_NONCOHERENT, TYPE_PAGE, TYPE_RESOURCE, TYPE_SG, TYPE_SINGLE, UNCHECKED,
  disable, entryAlloc, entryFill, entryInsert, entryStamp, kindOf, sgLink,
} from './entry';
import { report, reportOwn, reportUncounted } from './log';
import { ownDoubleMap } from './own';
import { countPages, deferPages } from './pages';
import {
  DEBUG_CHECK_SEGMENTS, DEBUG_COHERENT_QUIRK, DEBUG_KERNEL, DEBUG_ONE_PAGE_TYPE, DEBUG_OWN, DEBUG_REPORT_OVERLAP,
  DebugState,
} from './state';
import { syncSg, syncSingle } from './sync';
import { listAddress, listLength, markChecked, plainPages, unmapOne, unmapSg } from './unmap';

/** Type of an entry as this kernel has it: since 4.20 a page is a single mapping. */
// @ts-ignore: decorator
@inline
export function typeOf(state: DebugState, type: u32): u32 {
  return type == TYPE_PAGE && (state.flags & DEBUG_ONE_PAGE_TYPE) != 0 ? TYPE_SINGLE : type;
}

/**
 * A page or single mapping was made, or failed (nothing is tracked then).
 * @param type TYPE_PAGE, TYPE_SINGLE, or TYPE_NONCOHERENT for dma_alloc_pages
 */
// @ts-ignore: decorator
@inline
export function debugMapPage(
  dev: DmaDevice, phys: u64, length: u64, dir: u32, dmaAddress: u64, attrs: u32, type: u32 = TYPE_PAGE,
): void {
  const state = changetype<Context>(dev.ctx).dmaDebug;
  if (state != 0) mapOne(changetype<DebugState>(state), dev, phys, length, dir, dmaAddress, attrs, type);
}

// @ts-ignore: decorator
@inline
export function debugUnmapPage(dev: DmaDevice, dmaAddress: u64, length: u64, dir: u32, type: u32 = TYPE_PAGE): void {
  const state = changetype<Context>(dev.ctx).dmaDebug;
  if (state != 0) unmapOne(changetype<DebugState>(state), dev, type, dmaAddress, length, dir, 0);
}

/**
 * A list was mapped.
 * @param nents entries given; mappedEnts segments that came of them: one entry each
 */
// @ts-ignore: decorator
@inline
export function debugMapSg(dev: DmaDevice, sgt: SgTable, nents: u32, mappedEnts: u32, dir: u32, attrs: u32): void {
  const state = changetype<Context>(dev.ctx).dmaDebug;
  if (state != 0) mapSg(changetype<DebugState>(state), dev, sgt, nents, mappedEnts, dir, attrs);
}

/** A list is about to be unmapped: nents as the driver gives it, which must be what it gave to map. */
export function debugUnmapSg(dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32): void {
  const state = changetype<Context>(dev.ctx).dmaDebug;
  if (state != 0) unmapSg(changetype<DebugState>(state), dev, sgt, nents, dir);
}

/** Coherent memory was allocated; phys is that of its first page. */
// @ts-ignore: decorator
@inline
export function debugAllocCoherent(dev: DmaDevice, phys: u64, length: u64, dmaAddress: u64, attrs: u32): void {
  const state = changetype<Context>(dev.ctx).dmaDebug;
  if (state == 0) return;
  mapOne(changetype<DebugState>(state), dev, phys, length, DMA_BIDIRECTIONAL, dmaAddress, attrs, TYPE_COHERENT);
}

/** Coherent memory is about to be freed; phys is that of the CPU address the driver gives. */
// @ts-ignore: decorator
@inline
export function debugFreeCoherent(dev: DmaDevice, phys: u64, length: u64, dmaAddress: u64): void {
  const state = changetype<Context>(dev.ctx).dmaDebug;
  if (state == 0) return;
  unmapOne(changetype<DebugState>(state), dev, TYPE_COHERENT, dmaAddress, length, DMA_BIDIRECTIONAL, phys);
}

// @ts-ignore: decorator
@inline
export function debugMapResource(dev: DmaDevice, phys: u64, length: u64, dir: u32, dmaAddress: u64, attrs: u32): void {
  const state = changetype<Context>(dev.ctx).dmaDebug;
  if (state != 0) mapOne(changetype<DebugState>(state), dev, phys, length, dir, dmaAddress, attrs, TYPE_RESOURCE);
}

// @ts-ignore: decorator
@inline
export function debugUnmapResource(dev: DmaDevice, dmaAddress: u64, length: u64, dir: u32): void {
  const state = changetype<Context>(dev.ctx).dmaDebug;
  if (state != 0) unmapOne(changetype<DebugState>(state), dev, TYPE_RESOURCE, dmaAddress, length, dir, 0);
}

export function debugSyncSingle(dev: DmaDevice, address: u64, size: u64, dir: u32, forDevice: bool): void {
  const state = changetype<Context>(dev.ctx).dmaDebug;
  if (state != 0) syncSingle(changetype<DebugState>(state), dev, address, size, dir, forDevice);
}

export function debugSyncSg(dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32, forDevice: bool): void {
  const state = changetype<Context>(dev.ctx).dmaDebug;
  if (state != 0) syncSg(changetype<DebugState>(state), dev, sgt, nents, dir, forDevice);
}

/** The driver asked whether an address is an error: the oldest unchecked mapping there counts as checked. */
export function debugMappingError(dev: DmaDevice, address: u64): void {
  const state = changetype<Context>(dev.ctx).dmaDebug;
  if (state != 0) markChecked(changetype<DebugState>(state), dev, address);
}

/**
 * dma_map_single's own look at a CPU address, before anything is mapped (debug_dma_map_single).
 * @param phys of the buffer; @param vmalloc it is vmalloc memory, the stack of a kernel with mapped stacks included
 * @returns whether the DMA API refuses it (since 4.20), with DMA_MAPPING_ERROR for an answer
 */
export function debugMapSingle(dev: DmaDevice, phys: u64, length: u64, vmalloc: bool): bool {
  const ctx = changetype<Context>(dev.ctx);
  const state = changetype<DebugState>(ctx.dmaDebug);
  if (changetype<usize>(state) == 0) return vmalloc;
  if (vmalloc) reportUncounted(state, CHECK_REJECT_VMALLOC, dev, 0, phys, 0);
  else if (!isRam(changetype<Ram>(ctx.ram), <u32>min<u64>(phys >> 12, 0xffffffff))) {
    report(state, CHECK_MAP_INVALID, dev, 0, phys, length, 0, 0, 0, 0);
  }
  return vmalloc;
}

function mapOne(
  state: DebugState, dev: DmaDevice, phys: u64, length: u64, dir: u32, address: u64, attrs: u32, anyType: u32,
): void {
  if (address == DMA_MAPPING_ERROR || (state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  lock(changetype<usize>(state));
  const type = typeOf(state, anyType);
  const at = entryAlloc(state);
  if (at != 0) {
    const entry = changetype<Entry>(at);
    const checked = type == TYPE_COHERENT || type == TYPE_NONCOHERENT ? 0 : UNCHECKED;
    entryFill(entry, dev, address, length, phys, 0, 0, kindOf(type, dir), checked);
    if (type <= TYPE_SG || type == TYPE_PAGE) {
      if (state.places != 0) checkPlace(state, dev, at, phys, length);
      trackPages(state, dev, entry, dir, attrs);
    } else track(state, dev, entry, dir, attrs);
  }
  unlock(changetype<usize>(state));
}

function mapSg(
  state: DebugState, dev: DmaDevice, sgt: SgTable, nents: u32, mapped: u32, dir: u32, attrs: u32,
): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  lock(changetype<usize>(state));
  const own = (state.flags & DEBUG_OWN) != 0;
  const kind = kindOf(TYPE_SG, dir);
  const plain = plainPages(sgt);
  if (own && sgt.debugEntries != 0) ownDoubleMap(state, dev, sgt);
  if (state.places != 0) {
    for (let i: u32 = 0; i < nents; ++i) checkPlace(state, dev, 0, sgEntryPhys(sgt, i), sgEntryLength(sgt, i));
  }
  for (let i: u32 = 0; i < mapped; ++i) {
    const at = entryAlloc(state);
    if (at == 0) break;
    const entry = changetype<Entry>(at);
    // The kernel takes the i-th entry given for the i-th segment, whatever was merged before it.
    const first = i == 0 && sgt.pfns != 0;
    const phys = first || plain ? (<u64>sgPfn(sgt, i) << 12) + (first ? sgt.offset : 0) : sgEntryPhys(sgt, i);
    const address = plain ? phys : listAddress(sgt, i);
    const size: u64 = plain ? 4096 : listLength(sgt, i);
    entryFill(entry, dev, address, size, phys, nents, mapped, kind, 0);
    if ((state.flags & DEBUG_CHECK_SEGMENTS) != 0) checkSegment(state, dev, sgt, i, entry);
    sgLink(entry, sgt);
    if (mapped == entriesOf(sgt)) {
      trackPages(state, dev, entry, dir, attrs);
      continue;
    }
    if (own) deferPages(state, entry);
    track(state, dev, entry, dir, attrs);
  }
  unlock(changetype<usize>(state));
}

/** Tracks an entry that is one piece of RAM. Where that is one frame, its two counts are raised together. */
// @ts-ignore: decorator
@inline
function trackPages(state: DebugState, dev: DmaDevice, entry: Entry, dir: u32, attrs: u32): void {
  const phys = entry.phys;
  if ((state.flags & DEBUG_OWN) != 0) {
    const line = dir != DMA_TO_DEVICE;
    const inFrame = (phys & 4095) + entry.size <= 4096 && (!line || (phys & 0xfc0) == 0);
    const pair = inFrame ? pageSlot(state, phys >> 12) : 0;
    if (pair != 0 && pairInsert(pair, line)) {
      entry.flags = line ? ENTRY_COUNTED | ENTRY_PAIR | ENTRY_LINE : ENTRY_COUNTED | ENTRY_PAIR;
      entryStamp(state, entry);
      entryInsert(state, entry);
      return;
    }
    countPages(state, entry);
  }
  track(state, dev, entry, dir, attrs);
}

// add_dma_entry: the entry becomes visible, then its first cacheline active.
function track(state: DebugState, dev: DmaDevice, entry: Entry, dir: u32, attrs: u32): void {
  entryStamp(state, entry);
  entryInsert(state, entry);
  if (dir == DMA_TO_DEVICE) return;
  entry.flags |= ENTRY_LINE;
  const active = lineInsert(state, lineOf(state, entry));
  if (active != LINE_FRESH) overlap(state, dev, entry, active, attrs);
}

/** Key of an entry's first cacheline. */
// @ts-ignore: decorator
@inline
export function lineOf(state: DebugState, entry: Entry): u64 {
  const line = entry.phys >> 6;
  const quirk = (entry.kind & 0xff) == TYPE_COHERENT && (state.flags & DEBUG_COHERENT_QUIRK) != 0;
  return quirk ? line | COHERENT_LINE : line;
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
    reportUncounted(state, CHECK_CACHELINE_OVERFLOW, dev, changetype<usize>(entry), line, 7);
  }
  if ((state.flags & DEBUG_REPORT_OVERLAP) == 0 || (attrs & DMA_ATTR_SKIP_CPU_SYNC) != 0) return;
  report(state, CHECK_CACHELINE_OVERLAP, dev, changetype<usize>(entry), entry.address, entry.size, line, 0, 0, 0);
}

// check_for_stack and check_for_illegal_area. The kernel compares the direct map's addresses with the image's, so on
// x86-64 it never sees text; ours compares where the bytes are.
function checkPlace(state: DebugState, dev: DmaDevice, entry: usize, phys: u64, length: u64): void {
  if (phys >= state.stackStart && phys < state.stackEnd) {
    report(state, CHECK_MAP_STACK, dev, entry, phys, length, 0, 0, 0, 0);
  }
  if ((state.flags & DEBUG_OWN) != 0 && phys < state.textEnd && phys + length > state.textStart) {
    reportOwn(state, CHECK_MAP_TEXT, dev, entry, phys, length, 0, 0);
  }
}

// check_sg_segment: the length is that of the i-th entry given, the range that of the i-th segment.
// @ts-ignore: decorator
@inline
function checkSegment(state: DebugState, dev: DmaDevice, sgt: SgTable, i: u32, entry: Entry): void {
  // No entry of a table from pages is longer than the table or its longest entry.
  if (sgt.pfns == 0 || min<u64>(<u64>sgt.maxEntry, sgt.bytes) > <u64>dev.maxSegment) {
    const length = sgEntryLength(sgt, i);
    if (length > dev.maxSegment) report(state, CHECK_SEG_LEN, dev, 0, 0, length, dev.maxSegment, 0, 0, 0);
  }
  const end = entry.address + entry.size - 1;
  if (((entry.address ^ end) & ~dev.segmentBoundary) != 0) {
    report(state, CHECK_SEG_BOUNDARY, dev, 0, entry.address, entry.size, end, dev.segmentBoundary, 0, 0);
  }
}

/** Physical ranges that checkPlace watches: the current kernel stack, and text with rodata. Length 0 is none. */
export function debugPlaces(ctx: Context, stack: f64, stackLength: f64, text: f64, textLength: f64): void {
  const state = changetype<DebugState>(ctx.dmaDebug);
  state.stackStart = <u64>stack;
  state.stackEnd = stackLength > 0 ? <u64>stack + <u64>stackLength : 0;
  state.textStart = <u64>text;
  state.textEnd = textLength > 0 ? <u64>text + <u64>textLength : 0;
  state.places = stackLength > 0 || textLength > 0 ? 1 : 0;
}
