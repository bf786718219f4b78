// dma-debug for the host (memory/host.ts).
//
// Most of it feeds the checkers with calls that were made elsewhere, and with the addresses that these returned: so a log of
// a real kernel's DMA API is checked without emulating the DMA API. The host passes addresses as numbers, -1 for
// DMA_MAPPING_ERROR, and types by number: 0 single, 1 scatter-gather, 2 coherent, 3 resource, 4 page, 5 noncoherent.

import { DmaDevice } from '../device/device';
import { Context } from '../memory/context';
import { fromHost, toHost } from '../memory/host';
import { recordAt } from '../memory/record';
import { segmentsAlloc, setSegmentList } from '../sg/segments';
import { SgSegment, SgTable } from '../sg/sg-table';
import { ENOMEM } from '../memory/errno';
import {
  debugMapPage, debugMapSg, debugMapSingle, debugMappingError, debugSyncSg, debugSyncSingle, debugUnmapSg,
} from './debug';
import { kindOf, typeOf } from './entries/entry';
import * as places from './entries/state';
import { debugOf } from './entries/state';
import { unmapOne } from './kernel/unmap';
import { debugBlockFree, debugPagesFree, debugSgDestroy } from './freed';
import * as bindings from './own/bindings';
import * as query from './query';

/** debugPlaces. */
export function debugPlaces(ctx: Context, stack: f64, stackLength: f64, text: f64, textLength: f64): void {
  places.debugPlaces(ctx, fromHost(stack), fromHost(stackLength), fromHost(text), fromHost(textLength));
}

/** debugBinding. */
export function debugBinding(dev: DmaDevice, address: f64, by: i32): void {
  bindings.debugBinding(dev, fromHost(address), by);
}

/** debugDirectionAt. */
export function debugDirectionAt(dev: DmaDevice, address: f64): u32 {
  return query.debugDirectionAt(dev, fromHost(address));
}

/** debugValue. */
export function debugValue(ctx: Context, which: u32): f64 {
  return toHost(query.debugValue(ctx, which));
}

// ---- frees of the host, which dma-debug looks at first

/** debugPagesFree. */
export function pagesFree(ctx: Context, n: u32, src: usize): u32 {
  return debugPagesFree(ctx, n, src);
}

/** debugBlockFree. */
export function blockOfPagesFree(ctx: Context, pfn: u32, order: u32): bool {
  return debugBlockFree(ctx, pfn, order);
}

/** debugSgDestroy. */
export function sgDestroy(sgt: SgTable): void {
  debugSgDestroy(sgt);
}

// ---- calls that were made elsewhere

/** A mapping of any type but a list was made, or failed. */
export function debugFeedMap(
  dev: DmaDevice, phys: f64, length: f64, dir: u32, address: f64, attrs: u32, type: u32,
): void {
  if (address >= 0) debugMapPage(dev, fromHost(phys), fromHost(length), dir, fromHost(address), attrs, type);
}

/** dma_map_single was called, for memory of that kind. Returns whether the DMA API refuses it. */
export function debugFeedMapSingle(dev: DmaDevice, phys: f64, length: f64, vmalloc: bool): bool {
  return debugMapSingle(dev, fromHost(phys), fromHost(length), vmalloc);
}

/** A mapping of any type but a list was ended; phys is used for coherent memory only. */
export function debugFeedUnmap(dev: DmaDevice, type: u32, address: f64, length: f64, dir: u32, phys: f64): void {
  const state = debugOf(dev.ctx);
  if (state == null) return;
  const kind = kindOf(typeOf(state, type), dir);
  unmapOne(state, dev, kind, fromHost(address), fromHost(length), fromHost(phys));
}

/**
 * Makes n segments the DMA side of a table.
 * @param at pairs of f64: address, bytes
 * @returns 0 or -ENOMEM
 */
export function debugFeedSegments(sgt: SgTable, n: u32, at: usize): i32 {
  const list = segmentsAlloc(sgt.ctx, n);
  if (list == 0) return ENOMEM;
  for (let i: usize = 0; i < <usize>n; ++i) {
    const segment = recordAt<SgSegment>(list, <u32>i);
    segment.address = fromHost(load<f64>(at + (i << 4)));
    segment.length = fromHost(load<f64>(at + (i << 4), 8));
  }
  setSegmentList(sgt, list, n);
  return 0;
}

export function debugFeedMapSg(dev: DmaDevice, sgt: SgTable, nents: u32, mapped: u32, dir: u32, attrs: u32): void {
  debugMapSg(dev, sgt, nents, mapped, dir, attrs);
}

export function debugFeedUnmapSg(dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32): void {
  debugUnmapSg(dev, sgt, nents, dir);
}

export function debugFeedSync(dev: DmaDevice, address: f64, size: f64, dir: u32, forDevice: bool): void {
  debugSyncSingle(dev, fromHost(address), fromHost(size), dir, forDevice);
}

export function debugFeedSyncSg(dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32, forDevice: bool): void {
  debugSyncSg(dev, sgt, nents, dir, forDevice);
}

export function debugFeedMappingError(dev: DmaDevice, address: f64): void {
  debugMappingError(dev, fromHost(address));
}
