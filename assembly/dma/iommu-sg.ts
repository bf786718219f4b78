// Lists behind a translating domain (iommu_dma_map_sg, drivers/iommu/dma-iommu.c). A list takes one range of IOVA. Each entry
// takes whole pages of it; where the next one would cross the device's segment boundary, the gap before it is padding: it
// belongs to the entry before and is mapped to the memory that follows that entry. Physical neighbours are then mapped as one,
// and neighbours in the address space are merged into segments as far as the device's limits allow.
//
// Most tables that are built from pages are one segment, need no padding and are mapped by their own vector of pfns. For other
// lists such a vector is made for the call.
//
// With the properties of 2015 (COOKIE_MAP_ENTRIES, intel_map_sg) entries are packed without padding, no large page takes
// parts of two of them, and each is a segment.

import { EINVAL, ENOMEM } from '../memory/errno';
import { cpuOf } from '../memory/context';
import { COOKIE_MAP_ENTRIES, COOKIE_UNMAP_RANGE, DmaCookie } from '../iommu/cookie';
import { IommuDomain } from '../iommu/domain';
import { iommuMap, iommuMapPfns, iommuMapUnsynced, iommuSyncMap, iommuUnmap } from '../iommu/api/ops';
import { blockAlloc, blockFree, blockOrder } from '../memory/block';
import { PAGE_MASK, PAGE_SHIFT } from '../ram/ram';
import { REASON_DMA_BAD_SIZE, REASON_DMA_NO_SEGMENTS, setReason } from '../memory/reason';
import { SG_MAX_PAGES } from '../sg/build';
import { entriesOf, sgEntryPhys, singlePages } from '../sg/entries';
import {
  SCRATCH_SEGMENTS, segmentScratch, segmentsAlloc, segmentsFree, setEntrySegments, setOneSegment, setSegmentList,
  sgEntrySpan, sgSegmentAddress, sgSegmentLength,
} from '../sg/segments';
import {
  SEGMENTS_ENTRIES, SEGMENTS_NONE, SEGMENTS_ONE, SG_NO_COALESCE, SG_ONE_RUN, SG_SEGMENT_SIZE, SgTable,
} from '../sg/sg-table';
import { DmaDevice } from '../device/device';
import { cookieOf, dmaDomainOf, rangeAlloc, rangeFree, unmapRange } from './iommu';
import { RUNS_NOT_MAPPED, mapRuns } from './iommu-runs';
import { paddingOf, segmentsOf } from './iommu-segments';

const MAX_LENGTH: u64 = 0xffffffff;
/** Pages of a 2 MiB leaf. */
const LARGE_PAGES: u32 = 512;

/** Added to the result of listSpan: an entry is longer than 32 bits when it is rounded or padded. */
const OVERLONG: u64 = 1 << 63;

/** Bytes of address space that a list takes, with padding if `padded`; OVERLONG is added for a list that Linux refuses. */
function listSpan(sgt: SgTable, boundary: u64, padded: bool): u64 {
  const entries = entriesOf(sgt);
  let total: u64 = 0;
  let previous: u64 = 0;
  let refused: u64 = 0;
  for (let i: u32 = 0; i < entries; ++i) {
    const span = sgEntrySpan(sgt, i);
    const padding = padded ? paddingOf(boundary, total, span) : 0;
    if (span > MAX_LENGTH || previous + padding > MAX_LENGTH) refused = OVERLONG;
    previous = span;
    total += padding + span;
  }
  return total | refused;
}

/**
 * Maps a list by a vector of its pages, padding included: it is mapped whole or not at all, and physical neighbours of
 * different entries are mapped together.
 * @param pages pages of the vector, as listSpan has them
 * @returns 0, or a negative errno with nothing mapped
 */
function mapPadded(domain: IommuDomain, sgt: SgTable, iova: u64, prot: u32, boundary: u64, pages: u64): i32 {
  const ctx = domain.ctx;
  const vector: usize = pages > <u64>SG_MAX_PAGES ? 0 : blockAlloc(ctx, blockOrder(<usize>pages << 2));
  if (vector == 0) {
    setReason(ctx, REASON_DMA_NO_SEGMENTS);
    return ENOMEM;
  }
  const entries = entriesOf(sgt);
  let at = vector;
  let total: u64 = 0;
  let next: u32 = 0;
  for (let i: u32 = 0; i < entries; ++i) {
    const phys = sgEntryPhys(sgt, i);
    const span = sgEntrySpan(sgt, i);
    const padding = paddingOf(boundary, total, span);
    total += padding + span;
    at = putPages(at, next, <u32>(padding >> PAGE_SHIFT));
    const first = <u32>(phys >> PAGE_SHIFT);
    at = putPages(at, first, <u32>(span >> PAGE_SHIFT));
    next = first + <u32>(span >> PAGE_SHIFT);
  }
  const rc = iommuMapPfns(domain, iova, vector, <u32>pages, prot);
  blockFree(ctx, vector);
  return rc;
}

function putPages(at: usize, first: u32, n: u32): usize {
  for (let i: u32 = 0; i < n; ++i) store<u32>(at + (<usize>i << 2), first + i);
  return at + (<usize>n << 2);
}

/** Maps a list entry by entry. After a failure an empty page table may stay, as in Linux. */
function mapEntries(domain: IommuDomain, sgt: SgTable, iova: u64, prot: u32): i32 {
  const entries = entriesOf(sgt);
  let mapped: u64 = 0;
  for (let i: u32 = 0; i < entries; ++i) {
    const phys = sgEntryPhys(sgt, i);
    const span = sgEntrySpan(sgt, i);
    const rc = iommuMapUnsynced(domain, iova + mapped, phys & ~PAGE_MASK, span, prot);
    if (rc < 0) return undo(domain, iova, mapped, rc);
    mapped += span;
  }
  iommuSyncMap(domain, iova, mapped);
  return 0;
}

function undo(domain: IommuDomain, iova: u64, mapped: u64, rc: i32): i32 {
  const cpu = cpuOf(domain.ctx);
  const reason = cpu.reason;
  if (mapped != 0) iommuUnmap(domain, iova, mapped);
  cpu.reason = reason;
  return rc;
}

/** Whether a list that takes `span` bytes crosses no boundary and no length limit: no padding, and one segment. */
// @ts-ignore: decorator
@inline
function oneSegment(sgt: SgTable, iova: u64, span: u64, boundary: u64, most: u32): bool {
  return sgt.origNents == 1 || (sgt.bytes <= <u64>most && (iova & boundary) + (span - 1) <= boundary);
}

/**
 * Maps a list for a device.
 * @param prot PROT_READ, PROT_WRITE
 * @returns its segments, or -ENOMEM or -EINVAL with the reason in cpu.reason and nothing changed
 */
export function mapSgIommu(dev: DmaDevice, sgt: SgTable, prot: u32): i32 {
  const domain = dmaDomainOf(dev);
  const cookie = cookieOf(domain);
  if ((cookie.flags & COOKIE_MAP_ENTRIES) != 0) return mapSgPacked(dev, domain, cookie, sgt, prot);
  if (sgt.pfns == 0) {
    const mapped = mapRuns(dev, domain, sgt, prot);
    if (mapped != RUNS_NOT_MAPPED) return mapped;
  }
  const boundary = dev.segmentBoundary;
  const pages = <u64>sgt.pageCount << PAGE_SHIFT;
  // Padding is only needed if the list is longer than the boundary, and an entry crosses a multiple of it.
  const plain = sgt.pfns != 0 && (sgt.origNents == 1 || pages - 1 <= boundary || singlePages(sgt));
  const span = plain ? pages : listSpan(sgt, boundary, true);
  if (span >= OVERLONG) {
    setReason(dev.ctx, REASON_DMA_BAD_SIZE);
    return EINVAL;
  }
  const pfn = rangeAlloc(dev, cookie, span >> PAGE_SHIFT, dev.mask);
  if (pfn == 0) return ENOMEM;
  const iova = pfn << PAGE_SHIFT;
  if (plain && oneSegment(sgt, iova, span, boundary, dev.maxSegment)) {
    const rc = fillPages(domain, sgt, iova, prot);
    if (rc < 0) {
      rangeFree(cookie, pfn, span >> PAGE_SHIFT);
      return rc;
    }
    setOneSegment(sgt, iova + sgt.offset, sgt.bytes);
    return 1;
  }
  // The segments of an earlier mapping are used again if no boundary cuts this mapping or cut that one.
  const whole = plain && (iova & boundary) + (span - 1) <= boundary;
  if (whole && sgt.listMost == dev.maxSegment) {
    const rc = fillPages(domain, sgt, iova, prot);
    if (rc < 0) {
      rangeFree(cookie, pfn, span >> PAGE_SHIFT);
      return rc;
    }
    sgt.listShift = iova - sgt.listStart;
    return <i32>sgt.nents;
  }
  const rc = mapList(dev, domain, sgt, iova, prot, plain, span >> PAGE_SHIFT);
  if (rc < 0) rangeFree(cookie, pfn, span >> PAGE_SHIFT);
  else if (whole && rc > 1) {
    sgt.listMost = dev.maxSegment;
    sgt.listStart = iova;
  }
  return rc;
}

// @ts-ignore: decorator
@inline
function fillPages(domain: IommuDomain, sgt: SgTable, iova: u64, prot: u32): i32 {
  if ((sgt.flags & SG_ONE_RUN) != 0) {
    const bytes = <u64>sgt.pageCount << PAGE_SHIFT;
    return iommuMap(domain, iova, <u64>load<u32>(sgt.pfns) << PAGE_SHIFT, bytes, prot);
  }
  return iommuMapPfns(domain, iova, sgt.pfns, sgt.pageCount, prot);
}

/** Maps a list of any form at an address that it has: segments first, then entries of the page table. */
export function mapList(
  dev: DmaDevice, domain: IommuDomain, sgt: SgTable, iova: u64, prot: u32, plain: bool, pages: u64,
): i32 {
  const boundary = dev.segmentBoundary;
  const most = dev.maxSegment;
  const cpu = cpuOf(dev.ctx);
  const ctx = dev.ctx;
  // Most lists are walked once: their segments fit the scratch space.
  const scratch = segmentScratch(ctx);
  const room = scratch != 0 ? SCRATCH_SEGMENTS : 0;
  const count = segmentsOf(sgt, iova, boundary, most, plain, scratch, room);
  let list: usize = 0;
  if (count > 1) {
    list = segmentsAlloc(ctx, count);
    if (list == 0) {
      cpu.reason = REASON_DMA_NO_SEGMENTS;
      return ENOMEM;
    }
  }
  const rc = plain ? fillPages(domain, sgt, iova, prot) : mapPadded(domain, sgt, iova, prot, boundary, pages);
  if (rc < 0) {
    if (list != 0) segmentsFree(ctx, list, count);
    return rc;
  }
  if (count == 1) {
    setOneSegment(sgt, iova + (sgEntryPhys(sgt, 0) & PAGE_MASK), sgt.bytes);
    return 1;
  }
  if (count <= room) memory.copy(list, scratch, <usize>count * SG_SEGMENT_SIZE);
  else segmentsOf(sgt, iova, boundary, most, plain, list, count);
  setSegmentList(sgt, list, count);
  return <i32>count;
}

/** intel_map_sg of 2015. Returns the number of entries, or -ENOMEM. */
function mapSgPacked(dev: DmaDevice, domain: IommuDomain, cookie: DmaCookie, sgt: SgTable, prot: u32): i32 {
  const span = sgt.pfns != 0 ? <u64>sgt.pageCount << PAGE_SHIFT : listSpan(sgt, 0, false) & ~OVERLONG;
  const pfn = rangeAlloc(dev, cookie, span >> PAGE_SHIFT, dev.mask);
  if (pfn == 0) return ENOMEM;
  const iova = pfn << PAGE_SHIFT;
  const pages = span >> PAGE_SHIFT;
  const rc = pages >= LARGE_PAGES && cutsRuns(sgt) ? mapEntries(domain, sgt, iova, prot)
    : sgt.pfns != 0 ? fillPages(domain, sgt, iova, prot) : mapPadded(domain, sgt, iova, prot, 0, pages);
  if (rc < 0) {
    rangeFree(cookie, pfn, span >> PAGE_SHIFT);
    return rc;
  }
  setEntrySegments(sgt, SEGMENTS_ENTRIES, iova, span);
  return <i32>sgt.nents;
}

/** Whether a run of neighbours that is long enough for a large page is cut into entries. */
function cutsRuns(sgt: SgTable): bool {
  if (sgt.pfns != 0) return (sgt.flags & SG_NO_COALESCE) != 0 || sgt.maxEntry >> PAGE_SHIFT < sgt.pageCount;
  let end: u64 = 0;
  let run: u64 = 0;
  for (let i: u32 = 0; i < sgt.runCount; ++i) {
    const phys = sgEntryPhys(sgt, i);
    const start = phys & ~PAGE_MASK;
    const span = sgEntrySpan(sgt, i);
    if (start != end) run = span;
    else {
      run += span;
      if (run >= <u64>LARGE_PAGES << PAGE_SHIFT) return true;
    }
    end = start + span;
  }
  return false;
}

/**
 * Ends a list's mapping, as far as its first nents segments go. The addresses stay in the table: a second unmap hits the
 * mapping that has the range by then, as in the kernel.
 * @returns bytes of address space that were given back, 0 for a table that was never mapped
 */
export function unmapSgIommu(dev: DmaDevice, sgt: SgTable, nents: u32): u64 {
  if (sgt.shape == SEGMENTS_NONE || nents == 0) return 0;
  const domain = dmaDomainOf(dev);
  if (sgt.shape == SEGMENTS_ONE) {
    unmapRange(domain, sgt.inlineAddress, sgt.inlineLength);
    return sgt.inlineLength;
  }
  const first = sgSegmentAddress(sgt, 0);
  if ((cookieOf(domain).flags & COOKIE_UNMAP_RANGE) != 0 && sgt.shape == SEGMENTS_ENTRIES) {
    unmapRange(domain, first, sgt.inlineLength);
    return sgt.inlineLength;
  }
  const last = min(nents, sgt.nents) - 1;
  const size = sgSegmentAddress(sgt, last) + sgSegmentLength(sgt, last) - first;
  unmapRange(domain, first, size);
  return size;
}
