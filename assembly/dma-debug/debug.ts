// dma-debug/ checks each call of the DMA API and reports what a driver does wrong (kernel/dma/debug.c).
//
// The DMA API calls the hooks below. A mapping is an entry per mapped element: one for a page, one per segment of a list.
// Unmapping looks the entry up by device and address, compares its arguments with those of the mapping, and removes the entry.
// A sync looks up the entry that covers its range.
//
//   entries/   what both checkers use: records, pool, chains and lookups, cachelines, frames, the log of verdicts
//   kernel/    the kernel's checks as debug.c has them: map, unmap, sync, unbind
//   own/       checks that the kernel's checker cannot make: a table mapped twice, addresses overwritten, pages freed, ...
//   links/     the two-step calls, which no kernel's checker checks, with records of their own
//   debug.ts   the hooks;  host.ts  the same for the host, and for calls that were made elsewhere
//   device.ts  drivers are unbound, devices destroyed;  freed.ts  frames and tables are freed
//   query.ts   counters, live entries and the check of all structures
//
// A check is a number (CHECK_*), a payload (a class of what it reports beside address and size) and a rule. The three are in
// the file of the call at which the check is made. Its words are in src/dma-debug/checks.ts.
//
// Two checkers use the same entries. The kernel's counts, prints and is disabled as in that kernel. Ours makes the same checks
// and its own, and is never disabled. While both are off a hook is one load and a branch that predicts.

import { DmaDevice } from '../device/device';
import { DMA_BIDIRECTIONAL } from '../device/mapping';
import { SgTable } from '../sg/sg-table';
import { TYPE_COHERENT, TYPE_PAGE, TYPE_SG, kindOf, typeOf } from './entries/entry';
import { debugOf } from './entries/state';
import { mapOne, mapOther, mapSg, mapSingle } from './kernel/map';
import { syncSg, syncSingle } from './kernel/sync';
import { markChecked, unmapOne, unmapSg } from './kernel/unmap';

/**
 * A page or single mapping was made; the hook is not called for one that failed.
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
 * @param nents entries given
 * @param mappedEnts segments that were made: an Entry per segment
 */
// @ts-ignore: decorator
@inline
export function debugMapSg(dev: DmaDevice, sgt: SgTable, nents: u32, mappedEnts: u32, dir: u32, attrs: u32): void {
  const state = debugOf(dev.ctx);
  if (state != null) mapSg(state, dev, sgt, nents, mappedEnts, dir, attrs);
}

/** A list is about to be unmapped; nents is what the driver passes, which must be what it passed to map. */
export function debugUnmapSg(dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32): void {
  const state = debugOf(dev.ctx);
  if (state != null) unmapSg(state, dev, sgt, nents, dir);
}

/** Coherent memory was allocated; phys is the address of its first page. */
export function debugAllocCoherent(dev: DmaDevice, phys: u64, length: u64, dmaAddress: u64, attrs: u32): void {
  debugMapPage(dev, phys, length, DMA_BIDIRECTIONAL, dmaAddress, attrs, TYPE_COHERENT);
}

/** Coherent memory is about to be freed; phys belongs to the CPU address that the driver passes. */
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

/** dma_mapping_error was called: the oldest unchecked mapping at the address counts as checked. */
// @ts-ignore: decorator
@inline
export function debugMappingError(dev: DmaDevice, address: u64): void {
  const state = debugOf(dev.ctx);
  if (state != null) markChecked(state, dev, address);
}

/**
 * dma_map_single was called, and nothing is mapped yet.
 * @param phys of the buffer
 * @param vmalloc it is vmalloc memory, the stack of a kernel with mapped stacks included
 * @returns whether the DMA API refuses it (since 4.20) and returns DMA_MAPPING_ERROR
 */
export function debugMapSingle(dev: DmaDevice, phys: u64, length: u64, vmalloc: bool): bool {
  const state = debugOf(dev.ctx);
  if (state != null) mapSingle(state, dev, phys, length, vmalloc);
  return vmalloc;
}
