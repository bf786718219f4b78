// The segments of a list behind a translating domain (__finalise_sg, drivers/iommu/dma-iommu.c): neighbours in the address space
// become one segment as far as the device's limits allow. Three functions make the same segments: entry by entry for any list,
// by runs of single pages for tables of whole pages, and by segments where all entries are single pages.

import { recordAt } from '../memory/record';
import { PAGE_MASK, PAGE_SHIFT, PAGE_SIZE } from '../ram/ram';
import { entriesOf, entryPages, sgEntryLength, sgEntryPhys, singlePages } from '../sg/entries';
import { SgSegment, SgTable } from '../sg/sg-table';

/** Padding before an entry that takes `span` bytes, when the entries before it and their padding took `total`. */
// @ts-ignore: decorator
@inline
export function paddingOf(boundary: u64, total: u64, span: u64): u64 {
  const gap = (boundary - total + 1) & boundary;
  return gap != 0 && gap < span - 1 ? gap : 0;
}

// @ts-ignore: decorator
@inline
function putSegment(dest: usize, room: u32, i: u32, address: u64, length: u64): void {
  if (i >= room) return;
  const segment = recordAt<SgSegment>(dest, i);
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
  const entries = entriesOf(sgt);
  let total: u64 = 0;
  let start: u64 = 0;
  let current: u32 = 0;
  let count: u32 = 0;
  for (let i: u32 = 0; i < entries; ++i) {
    const phys = sgEntryPhys(sgt, i);
    const length = sgEntryLength(sgt, i);
    const offset = phys & PAGE_MASK;
    const span = (offset + length + PAGE_MASK) & ~PAGE_MASK;
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
    // An entry that ends inside a page ends its segment.
    if (offset + length < span) current = 0;
  }
  return count;
}

/** finalise for a table of single whole pages: a segment at a time. */
function finalisePages(sgt: SgTable, iova: u64, boundary: u64, most: u32, dest: usize, room: u32): u32 {
  const end = iova + sgt.bytes;
  const limit = <u64>(most & ~<u32>PAGE_MASK) - PAGE_SIZE;
  let count: u32 = 0;
  for (let at = iova; at < end; ++count) {
    // The first page and those after it, up to the next boundary or the longest segment.
    const more = min((boundary - (at & boundary)) & ~PAGE_MASK, limit);
    const length = min(more + PAGE_SIZE, end - at);
    putSegment(dest, room, count, at, length);
    at += length;
  }
  return count;
}

/** Whether all entries of a table are whole pages. */
// @ts-ignore: decorator
@inline
function wholePages(sgt: SgTable): bool {
  return sgt.pfns != 0 && sgt.bytes == <u64>sgt.pageCount << PAGE_SHIFT;
}

/**
 * finalise for a table of whole pages without padding. Between two runs of neighbours all entries are single pages, of which as
 * many as there is room for are added to a segment in one step.
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
      if (current != 0 && inside != 0 && most - current >= PAGE_SIZE) {
        const upTo = min(<u64>((most - current) >> PAGE_SHIFT), ((boundary - inside) >> PAGE_SHIFT) + 1);
        const taken = <u32>min(upTo, <u64>(stop - page));
        current += taken << PAGE_SHIFT;
        page += taken;
      } else {
        if (count != 0) putSegment(dest, room, count - 1, start, current);
        ++count;
        start = address;
        current = PAGE_SIZE;
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

/** The first page from `page` on that the next page follows in memory; n if there is none. */
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
 * The segments of a list, by the function that suits it.
 * @param dest room for `room` of them; those beyond are only counted
 */
export function segmentsOf(sgt: SgTable, iova: u64, boundary: u64, most: u32, plain: bool, dest: usize, room: u32): u32 {
  if (!plain || !wholePages(sgt)) return finalise(sgt, iova, boundary, most, dest, room);
  if (singlePages(sgt) && most >= PAGE_SIZE) return finalisePages(sgt, iova, boundary, most, dest, room);
  return finaliseRuns(sgt, iova, boundary, most, dest, room);
}
