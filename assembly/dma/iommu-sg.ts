// Lists behind a translating domain (iommu_dma_map_sg, drivers/iommu/dma-iommu.c). A list takes one range of IOVA. Each entry
// takes whole pages of it; where the next one would cross the device's segment boundary, the gap before it is padding that
// belongs to the entry before and is mapped too, to the memory that follows that entry. Physical neighbours are then mapped
// as one, and what follows in the address space is merged into segments as long as the device allows.
//
// Tables built from pages nearly always are one segment, need no padding and go into the page tables as one vector. Only
// lists for which that is not plain walk their entries one by one.
//
// With the properties of 2015 (COOKIE_MAP_ENTRIES, intel_map_sg) entries are packed without padding, mapped one by one, and
// each is a segment.

import { EINVAL, ENOMEM } from '../errno';
import { Context, cpuOf } from '../memory/context';
import { IommuDomain } from '../iommu/domain';
import { iommuMap, iommuMapPfns } from '../iommu/map';
import { iommuUnmap } from '../iommu/unmap';
import { PAGE_SHIFT } from '../ram/ram';
import { REASON_DMA_NO_SEGMENTS, REASON_DMA_SIZE } from '../reason';
import { entryPages, sgEntryLength, sgEntryPhys, singlePages } from '../sg/entries';
import {
  SCRATCH_SEGMENTS, segmentScratch, segmentsAlloc, segmentsFree, setEntrySegments, setOneSegment, setSegmentList, sgSegmentAddress, sgSegmentLength,
} from '../sg/segments';
import {
  SEGMENTS_ENTRIES, SEGMENTS_NONE, SEGMENTS_ONE, SG_NO_COALESCE, SG_ONE_RUN, SG_SEGMENT_SIZE, SgSegment, SgTable,
} from '../sg/sg-table';
import { COOKIE_MAP_ENTRIES, COOKIE_UNMAP_RANGE, DmaCookie } from './cookie';
import { DmaDevice } from './device';
import { cookieOf, rangeAlloc, rangeFree, unmapRange } from './iommu';

const PAGE_MASK: u64 = 0xfff;
const MAX_LENGTH: u64 = 0xffffffff;
/** Pages of a 2 MiB leaf. */
const LARGE_PAGES: u32 = 512;

/** Whole pages of an entry, in bytes. */
// @ts-ignore: decorator
@inline
function spanOf(phys: u64, length: u32): u64 {
  return ((phys & PAGE_MASK) + length + PAGE_MASK) & ~PAGE_MASK;
}

/** Padding before an entry that takes `span` bytes, when the entries before it and their padding took `total`. */
// @ts-ignore: decorator
@inline
function paddingOf(boundary: u64, total: u64, span: u64): u64 {
  const gap = (boundary - total + 1) & boundary;
  return gap != 0 && gap < span - 1 ? gap : 0;
}

/** Bytes of address space that a list takes, padding included where it is padded. */
function listSpan(sgt: SgTable, boundary: u64, padded: bool): u64 {
  const entries = sgt.origNents;
  let total: u64 = 0;
  for (let i: u32 = 0; i < entries; ++i) {
    const span = spanOf(sgEntryPhys(sgt, i), sgEntryLength(sgt, i));
    if (padded) total += paddingOf(boundary, total, span);
    total += span;
  }
  return total;
}

/** Whether some entry of a list is longer than 32 bits hold once it is rounded or padded: the kernel refuses such a list. */
function overlong(sgt: SgTable, boundary: u64): bool {
  const entries = sgt.origNents;
  let total: u64 = 0;
  let previous: u64 = 0;
  for (let i: u32 = 0; i < entries; ++i) {
    const span = spanOf(sgEntryPhys(sgt, i), sgEntryLength(sgt, i));
    const padding = paddingOf(boundary, total, span);
    if (span > MAX_LENGTH || previous + padding > MAX_LENGTH) return true;
    previous = span;
    total += padding + span;
  }
  return false;
}

/**
 * Maps a list entry by entry, with padding; physical neighbours go together where `merge` says so.
 * @returns 0, or a negative errno with nothing mapped
 */
function mapEntries(iommu: IommuDomain, sgt: SgTable, iova: u64, prot: u32, boundary: u64, merge: bool): i32 {
  const entries = sgt.origNents;
  let total: u64 = 0;
  let mapped: u64 = 0;
  let start: u64 = 0;
  let length: u64 = 0;
  for (let i: u32 = 0; i < entries; ++i) {
    const phys = sgEntryPhys(sgt, i);
    const span = spanOf(phys, sgEntryLength(sgt, i));
    const padding = merge ? paddingOf(boundary, total, span) : 0;
    length += padding;
    total += padding + span;
    if (merge && length != 0 && start + length == (phys & ~PAGE_MASK)) {
      length += span;
      continue;
    }
    if (length != 0) {
      const rc = iommuMap(iommu, iova + mapped, start, length, prot);
      if (rc < 0) return undo(iommu, iova, mapped, rc);
      mapped += length;
    }
    start = phys & ~PAGE_MASK;
    length = span;
  }
  const rc = iommuMap(iommu, iova + mapped, start, length, prot);
  return rc < 0 ? undo(iommu, iova, mapped, rc) : 0;
}

function undo(iommu: IommuDomain, iova: u64, mapped: u64, rc: i32): i32 {
  const cpu = cpuOf(changetype<Context>(iommu.ctx));
  const reason = cpu.reason;
  if (mapped != 0) iommuUnmap(iommu, iova, mapped);
  cpu.reason = reason;
  return rc;
}

// @ts-ignore: decorator
@inline
function putSegment(dest: usize, room: u32, i: u32, address: u64, length: u64): void {
  if (i >= room) return;
  const segment = changetype<SgSegment>(dest + <usize>i * SG_SEGMENT_SIZE);
  segment.address = address;
  segment.length = length;
}

/**
 * The segments of a list mapped from `iova` on (__finalise_sg). An entry joins the open segment when it begins at a page,
 * its address is not at a boundary, and the room left up to maxSegment holds it. That room is a 32-bit difference: behind
 * a single entry longer than maxSegment it wraps, and everything after is merged on to it.
 * @param dest where to write the first `room` of them
 * @returns how many there are
 */
function finalise(sgt: SgTable, iova: u64, boundary: u64, most: u32, dest: usize, room: u32): u32 {
  const entries = sgt.origNents;
  let total: u64 = 0;
  let start: u64 = 0;
  let current: u32 = 0;
  let count: u32 = 0;
  for (let i: u32 = 0; i < entries; ++i) {
    const phys = sgEntryPhys(sgt, i);
    const length = sgEntryLength(sgt, i);
    const offset = phys & PAGE_MASK;
    const span = spanOf(phys, length);
    const padding = paddingOf(boundary, total, span);
    if (padding != 0) {
      total += padding;
      current = 0;
    }
    const address = iova + total;
    if (current != 0 && offset == 0 && (address & boundary) != 0 && most - current >= length) current += length;
    else {
      ++count;
      current = length;
      start = address + offset;
    }
    putSegment(dest, room, count - 1, start, current);
    total += span;
    // An entry that does not fill its last page closes its segment.
    if (offset + length < span) current = 0;
  }
  return count;
}

/** finalise for a table of single whole pages: a segment at a time. */
function finalisePages(sgt: SgTable, iova: u64, boundary: u64, most: u32, dest: usize, room: u32): u32 {
  const end = iova + sgt.bytes;
  const limit = <u64>(most & ~0xfff) - 4096;
  let count: u32 = 0;
  for (let at = iova; at < end; ++count) {
    // The first page, and what follows it up to the next boundary or the longest that a segment may be.
    const more = min((boundary - (at & boundary)) & ~PAGE_MASK, limit);
    const length = min(more + 4096, end - at);
    putSegment(dest, room, count, at, length);
    at += length;
  }
  return count;
}

/** Whether a table is of whole pages, first to last. */
// @ts-ignore: decorator
@inline
function wholePages(sgt: SgTable): bool {
  return sgt.pfns != 0 && sgt.bytes == <u64>sgt.pageCount << PAGE_SHIFT;
}

/**
 * finalise for a table of whole pages without padding. Between two places where pages are neighbours all entries are
 * single pages, of which a segment takes as many at a time as it has room for.
 */
function finaliseRuns(sgt: SgTable, iova: u64, boundary: u64, most: u32, dest: usize, room: u32): u32 {
  const pages = sgt.pageCount;
  let count: u32 = 0;
  let current: u32 = 0;
  let start: u64 = 0;
  let page: u32 = 0;
  while (page < pages) {
    const stop = nextNeighbour(sgt.pfns, page, pages);
    while (page < stop) {
      const address = iova + (<u64>page << PAGE_SHIFT);
      const inside = address & boundary;
      if (current != 0 && inside != 0 && most - current >= 4096) {
        const upTo = min(<u64>((most - current) >> PAGE_SHIFT), ((boundary - inside) >> PAGE_SHIFT) + 1);
        const taken = <u32>min(upTo, <u64>(stop - page));
        current += taken << PAGE_SHIFT;
        page += taken;
      } else {
        if (count != 0) putSegment(dest, room, count - 1, start, current);
        ++count;
        start = address;
        current = 4096;
        ++page;
      }
    }
    if (page == pages) break;
    const address = iova + (<u64>page << PAGE_SHIFT);
    const n = entryPages(sgt, page);
    const length = n << PAGE_SHIFT;
    if (current != 0 && (address & boundary) != 0 && most - current >= length) current += length;
    else {
      if (count != 0) putSegment(dest, room, count - 1, start, current);
      ++count;
      start = address;
      current = length;
    }
    page += n;
  }
  putSegment(dest, room, count - 1, start, current);
  return count;
}

/** The first page from `page` on whose successor is its neighbour in memory; n when there is none. */
function nextNeighbour(pfns: usize, page: u32, n: u32): u32 {
  let at = pfns + (<usize>page << 2);
  const last = pfns + (<usize>n << 2) - 4;
  const one = i32x4.splat(1);
  for (; at + 32 <= last; at += 32) {
    const here = i32x4.eq(i32x4.sub(v128.load(at, 4), v128.load(at)), one);
    const next = i32x4.eq(i32x4.sub(v128.load(at, 20), v128.load(at, 16)), one);
    if (v128.any_true(v128.or(here, next))) break;
  }
  for (; at < last; at += 4) {
    if (load<u32>(at, 4) == load<u32>(at) + 1) return <u32>((at - pfns) >> 2);
  }
  return n;
}

/**
 * The segments of a list, by the way that suits it.
 * @param dest room for `room` of them; what is beyond is counted only
 */
function segmentsOf(sgt: SgTable, iova: u64, boundary: u64, most: u32, plain: bool, dest: usize, room: u32): u32 {
  if (!plain || !wholePages(sgt)) return finalise(sgt, iova, boundary, most, dest, room);
  if (singlePages(sgt) && most >= 4096) return finalisePages(sgt, iova, boundary, most, dest, room);
  return finaliseRuns(sgt, iova, boundary, most, dest, room);
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
  const cookie = cookieOf(dev);
  if ((cookie.flags & COOKIE_MAP_ENTRIES) != 0) return mapSgPacked(dev, cookie, sgt, prot);
  const boundary = dev.segmentBoundary;
  const pages = <u64>sgt.pageCount << PAGE_SHIFT;
  // Padding needs a list that reaches beyond the boundary, counted from its own start, with an entry across it.
  const plain = sgt.pfns != 0 && (sgt.origNents == 1 || pages - 1 <= boundary || singlePages(sgt));
  const span = plain ? pages : listSpan(sgt, boundary, true);
  if (!plain && overlong(sgt, boundary)) {
    cpuOf(changetype<Context>(dev.ctx)).reason = REASON_DMA_SIZE;
    return EINVAL;
  }
  const pfn = rangeAlloc(dev, cookie, span >> PAGE_SHIFT, dev.mask);
  if (pfn == 0) return ENOMEM;
  const iova = pfn << PAGE_SHIFT;
  const iommu = changetype<IommuDomain>(cookie.iommu);
  if (plain && oneSegment(sgt, iova, span, boundary, dev.maxSegment)) {
    const rc = fillPages(iommu, sgt, iova, prot);
    if (rc < 0) {
      rangeFree(cookie, pfn, span >> PAGE_SHIFT);
      return rc;
    }
    setOneSegment(sgt, iova + sgt.offset, sgt.bytes);
    return 1;
  }
  const rc = mapList(dev, iommu, sgt, iova, prot, plain);
  if (rc < 0) rangeFree(cookie, pfn, span >> PAGE_SHIFT);
  return rc;
}

// @ts-ignore: decorator
@inline
function fillPages(iommu: IommuDomain, sgt: SgTable, iova: u64, prot: u32): i32 {
  if ((sgt.flags & SG_ONE_RUN) != 0) {
    const bytes = <u64>sgt.pageCount << PAGE_SHIFT;
    return iommuMap(iommu, iova, <u64>load<u32>(sgt.pfns) << PAGE_SHIFT, bytes, prot);
  }
  return iommuMapPfns(iommu, iova, sgt.pfns, sgt.pageCount, prot);
}

function mapList(dev: DmaDevice, iommu: IommuDomain, sgt: SgTable, iova: u64, prot: u32, plain: bool): i32 {
  const boundary = dev.segmentBoundary;
  const most = dev.maxSegment;
  const cpu = cpuOf(changetype<Context>(dev.ctx));
  const ctx = changetype<Context>(dev.ctx);
  // Most lists are walked once: what they need is known when the scratch space holds it.
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
  const rc = plain ? fillPages(iommu, sgt, iova, prot) : mapEntries(iommu, sgt, iova, prot, boundary, true);
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
function mapSgPacked(dev: DmaDevice, cookie: DmaCookie, sgt: SgTable, prot: u32): i32 {
  const span = sgt.pfns != 0 ? <u64>sgt.pageCount << PAGE_SHIFT : listSpan(sgt, 0, false);
  const pfn = rangeAlloc(dev, cookie, span >> PAGE_SHIFT, dev.mask);
  if (pfn == 0) return ENOMEM;
  const iova = pfn << PAGE_SHIFT;
  const iommu = changetype<IommuDomain>(cookie.iommu);
  const rc = asEntries(sgt) ? mapEntries(iommu, sgt, iova, prot, 0, false) : fillPages(iommu, sgt, iova, prot);
  if (rc < 0) {
    rangeFree(cookie, pfn, span >> PAGE_SHIFT);
    return rc;
  }
  setEntrySegments(sgt, SEGMENTS_ENTRIES, iova, span);
  return <i32>sgt.nents;
}

/** Whether mapping entry by entry may differ from mapping runs of pages: entries cut a run that a large page could take. */
function asEntries(sgt: SgTable): bool {
  if (sgt.pfns == 0) return true;
  if (changetype<Context>(sgt.ctx).events != 0) return true;
  if (sgt.pageCount < LARGE_PAGES) return false;
  return (sgt.flags & SG_NO_COALESCE) != 0 || sgt.maxEntry >> PAGE_SHIFT < sgt.pageCount;
}

/**
 * Ends a list's mapping, as far as its first nents segments go. The addresses stay in the table: ending it twice does to
 * whoever has the range by then what the kernel would do.
 * @returns bytes of address space that were given back, 0 for a table that was never mapped
 */
export function unmapSgIommu(dev: DmaDevice, sgt: SgTable, nents: u32): u64 {
  if (sgt.shape == SEGMENTS_NONE || nents == 0) return 0;
  const cookie = cookieOf(dev);
  if (sgt.shape == SEGMENTS_ONE) {
    unmapRange(dev, cookie, sgt.inlineAddress, sgt.inlineLength);
    return sgt.inlineLength;
  }
  const first = sgSegmentAddress(sgt, 0);
  if ((cookie.flags & COOKIE_UNMAP_RANGE) != 0 && sgt.shape == SEGMENTS_ENTRIES) {
    unmapRange(dev, cookie, first, sgt.inlineLength);
    return sgt.inlineLength;
  }
  const last = min(nents, sgt.nents) - 1;
  const size = sgSegmentAddress(sgt, last) + sgSegmentLength(sgt, last) - first;
  unmapRange(dev, cookie, first, size);
  return size;
}
