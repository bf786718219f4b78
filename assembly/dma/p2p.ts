// Lists of a peer's pages that are mapped by their bus addresses (PCI_P2PDMA_MAP_BUS_ADDR), which are the physical ones here: nothing
// is translated, bounced or mapped. Which lists these are is known to the host (src/dma/p2p.ts).

import { debugMapSg, debugUnmapSg } from '../dma-debug/debug';
import { countMapped, countUnmapped } from '../device/counts';
import { DEVICE_UNTRUSTED, DmaDevice, OPS_IOMMU } from '../device/device';
import { noteFailure } from '../device/failure';
import { DMA_ATTR_SKIP_CPU_SYNC, DMA_MAPPING_ERROR } from '../device/mapping';
import { EVENT_DMA_MAP_SG, EVENT_DMA_UNMAP_SG, emit } from '../events/events';
import { iommuMap, iommuUnmap } from '../iommu/api/ops';
import { cpuOf } from '../memory/context';
import { EIO, ENOMEM } from '../memory/errno';
import { REASON_DMA_NO_SEGMENTS, setReason } from '../memory/reason';
import { addressOf, recordAt } from '../memory/record';
import { PAGE_MASK, PAGE_SHIFT } from '../ram/ram';
import { entriesOf, sgEntryLength, sgEntryPhys } from '../sg/entries';
import { segmentsAlloc, segmentsFree, setEntrySegments, setSegmentList, sgEntrySpan, sgSegmentAddress } from '../sg/segments';
import { SEGMENTS_LIST, SEGMENTS_PHYSICAL, SG_MAPPED, SgSegment, SgTable } from '../sg/sg-table';
import { mapDirect, unmapDirect } from './direct';
import { cookieOf, dmaDomainOf, protOf, rangeAlloc, rangeFree, unmapRange } from './iommu';
import { paddingOf } from './iommu-segments';
import { given, sgPages } from './map';
import { mapUntrusted, unmapUntrusted } from './untrusted';

/** Maps a list. Contract of dmaMapSg. */
export function dmaMapSgBus(dev: DmaDevice, sgt: SgTable, dir: u32, attrs: u32): i32 {
  setEntrySegments(sgt, SEGMENTS_PHYSICAL, 0, 0);
  return mapped(dev, sgt, entriesOf(sgt), dir, attrs);
}

// A list has its segments: it counts as mapped.
function mapped(dev: DmaDevice, sgt: SgTable, segments: u32, dir: u32, attrs: u32): i32 {
  sgt.flags |= SG_MAPPED;
  countMapped(dev, sgPages(sgt));
  const ctx = dev.ctx;
  if (ctx.dmaDebug != 0) debugMapSg(dev, sgt, entriesOf(sgt), segments, dir, attrs);
  if (ctx.events != 0) {
    emit(ctx, EVENT_DMA_MAP_SG, dev.id, sgSegmentAddress(sgt, 0), addressOf(sgt), sgt.bytes, dir, segments);
  }
  return <i32>segments;
}

/** Ends its mapping. Contract of dmaUnmapSg. */
export function dmaUnmapSgBus(dev: DmaDevice, sgt: SgTable, count: u32, dir: u32): void {
  if (dev.ctx.dmaDebug != 0) debugUnmapSg(dev, sgt, given(sgt, count), dir);
  unmapped(dev, sgt, count, dir);
}

function unmapped(dev: DmaDevice, sgt: SgTable, count: u32, dir: u32): void {
  const ctx = dev.ctx;
  sgt.flags &= ~SG_MAPPED;
  countUnmapped(dev, sgPages(sgt));
  if (ctx.events != 0) {
    emit(ctx, EVENT_DMA_UNMAP_SG, dev.id, sgSegmentAddress(sgt, 0), addressOf(sgt), sgt.bytes, dir, given(sgt, count));
  }
}

/**
 * Windows of physical addresses, [first, end) as two u64 each, whose pages are mapped by their bus addresses; the other pages of a list
 * as always.
 */
function inWindow(windows: usize, count: u32, phys: u64): bool {
  for (let i: u32 = 0; i < count; ++i) {
    const at = windows + (<usize>i << 4);
    if (phys >= load<u64>(at) && phys < load<u64>(at, 8)) return true;
  }
  return false;
}

/** Maps a list that has pages of both kinds (iommu_dma_map_sg, dma_direct_map_sg). Contract of dmaMapSg. */
export function dmaMapSgMixed(dev: DmaDevice, sgt: SgTable, windows: usize, count: u32, dir: u32, attrs: u32): i32 {
  const ctx = dev.ctx;
  const entries = entriesOf(sgt);
  const list = segmentsAlloc(ctx, entries);
  let rc = EIO;
  if (list == 0) setReason(ctx, REASON_DMA_NO_SEGMENTS);
  else {
    rc = dev.ops == OPS_IOMMU && (dev.flags & DEVICE_UNTRUSTED) == 0
      ? mixedIommu(dev, sgt, list, windows, count, protOf(dir))
      : mixedEach(dev, sgt, list, windows, count, dir, attrs);
    if (rc < 0) segmentsFree(ctx, list, entries);
  }
  if (rc < 0) {
    noteFailure(dev);
    return rc;
  }
  setSegmentList(sgt, list, entries);
  // What neighbours were merged into is fewer; the places behind them are of length 0.
  sgt.nents = <u32>rc;
  return mapped(dev, sgt, <u32>rc, dir, attrs);
}

// One range for the pages that are translated, padded and merged as ever; an entry with a bus address ends the open segment.
function mixedIommu(dev: DmaDevice, sgt: SgTable, list: usize, windows: usize, count: u32, prot: u32): i32 {
  const domain = dmaDomainOf(dev);
  const cookie = cookieOf(domain);
  const boundary = dev.segmentBoundary;
  const entries = entriesOf(sgt);
  let total: u64 = 0;
  for (let i: u32 = 0; i < entries; ++i) {
    if (inWindow(windows, count, sgEntryPhys(sgt, i))) continue;
    const span = sgEntrySpan(sgt, i);
    total += paddingOf(boundary, total, span) + span;
  }
  const pfn = rangeAlloc(dev, cookie, total >> PAGE_SHIFT, dev.mask);
  if (pfn == 0) return ENOMEM;
  const iova = pfn << PAGE_SHIFT;
  let at: u64 = 0;
  let segments: u32 = 0;
  let open: u32 = 0;
  let behind: u64 = 0;
  let last: SgSegment | null = null;
  for (let i: u32 = 0; i < entries; ++i) {
    const phys = sgEntryPhys(sgt, i);
    const length = sgEntryLength(sgt, i);
    if (inWindow(windows, count, phys)) {
      last = recordAt<SgSegment>(list, segments++);
      last.address = phys;
      last.length = length;
      open = 0;
      continue;
    }
    const offset = phys & PAGE_MASK;
    const span = sgEntrySpan(sgt, i);
    const padding = paddingOf(boundary, at, span);
    // Padding is mapped to what follows the entry before.
    let rc = padding == 0 ? 0 : iommuMap(domain, iova + at, behind, padding, prot);
    if (rc == 0) {
      at += padding;
      rc = iommuMap(domain, iova + at, phys - offset, span, prot);
    }
    behind = phys - offset + span;
    if (rc < 0) {
      const reason = cpuOf(dev.ctx).reason;
      if (at != 0) iommuUnmap(domain, iova, at);
      rangeFree(cookie, pfn, total >> PAGE_SHIFT);
      setReason(dev.ctx, reason);
      return rc;
    }
    const address = iova + at;
    if (open != 0 && padding == 0 && offset == 0 && (address & boundary) != 0 && dev.maxSegment - open >= length) {
      open += length;
      last!.length = open;
    } else {
      last = recordAt<SgSegment>(list, segments++);
      last.address = address + offset;
      last.length = length;
      open = length;
    }
    at += span;
    if (offset + length < span) open = 0;
  }
  for (let i = segments; i < entries; ++i) recordAt<SgSegment>(list, i).length = 0;
  return <i32>segments;
}

function mixedEach(dev: DmaDevice, sgt: SgTable, list: usize, windows: usize, count: u32, dir: u32, attrs: u32): i32 {
  const entries = entriesOf(sgt);
  for (let i: u32 = 0; i < entries; ++i) {
    const phys = sgEntryPhys(sgt, i);
    const length = sgEntryLength(sgt, i);
    const address = inWindow(windows, count, phys) ? phys
      : dev.ops == OPS_IOMMU ? mapUntrusted(dev, phys, length, dir, attrs) : mapDirect(dev, phys, length, dir, attrs);
    if (address == DMA_MAPPING_ERROR) {
      const reason = cpuOf(dev.ctx).reason;
      unmapMixed(dev, list, i, windows, count, dir, attrs | DMA_ATTR_SKIP_CPU_SYNC);
      setReason(dev.ctx, reason);
      return EIO;
    }
    const segment = recordAt<SgSegment>(list, i);
    segment.address = address;
    segment.length = length;
  }
  return <i32>entries;
}

function unmapMixed(dev: DmaDevice, list: usize, n: u32, windows: usize, count: u32, dir: u32, attrs: u32): void {
  for (let i: u32 = 0; i < n; ++i) {
    const segment = recordAt<SgSegment>(list, i);
    if (inWindow(windows, count, segment.address)) continue;
    if (dev.ops == OPS_IOMMU) unmapUntrusted(dev, segment.address, <u32>segment.length, dir, attrs);
    else unmapDirect(dev, segment.address, <u32>segment.length, dir, attrs);
  }
}

/** Ends its mapping. Contract of dmaUnmapSg. */
export function dmaUnmapSgMixed(
  dev: DmaDevice, sgt: SgTable, windows: usize, windowCount: u32, count: u32, dir: u32, attrs: u32,
): void {
  if (dev.ctx.dmaDebug != 0) debugUnmapSg(dev, sgt, given(sgt, count), dir);
  const n = min(count, sgt.nents);
  if (sgt.shape == SEGMENTS_LIST) {
    if (dev.ops != OPS_IOMMU || (dev.flags & DEVICE_UNTRUSTED) != 0) {
      unmapMixed(dev, sgt.segments, n, windows, windowCount, dir, attrs);
    } else {
      let first = DMA_MAPPING_ERROR;
      let end: u64 = 0;
      for (let i: u32 = 0; i < n; ++i) {
        const segment = recordAt<SgSegment>(sgt.segments, i);
        if (inWindow(windows, windowCount, segment.address)) continue;
        if (first == DMA_MAPPING_ERROR) first = segment.address;
        end = segment.address + segment.length;
      }
      if (end != 0) unmapRange(dmaDomainOf(dev), first, end - first);
    }
  }
  unmapped(dev, sgt, count, dir);
}
