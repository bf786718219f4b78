// Rows of entries: insert and clear of all kinds of GPU page tables use these functions.
//
// The addresses of entries have one of three sources, and a row may begin anywhere in it:
//
//   a mapped scatter-gather table   page n's DMA address. Behind an IOMMU that is one ascending run; in direct mode it is the
//                                   vector of pfns itself; with bounced or cut segments it is run after run
//   the same with a list of pages   rotated and partial views: entry i shows page pages[i] of the table
//   a range of DMA addresses        stolen memory, contiguous buffers
//
// Ascending runs and pfn vectors are filled 64 bytes a round, clearing 128.

import { PAGE_MASK, PAGE_SHIFT, PAGE_SIZE } from '../ram/ram';
import { SEGMENTS_ENTRIES, SEGMENTS_NONE, SEGMENTS_ONE, SEGMENTS_PHYSICAL, SgTable } from '../sg/sg-table';
import { sgDmaAddress, sgDmaRun, sgSegmentAddress, sgSegmentLength } from '../sg/segments';
import { highMask, isWide, pteEncode } from './pte';


/** A row's source. It is part of its user's record and valid for one call. */
// @ts-ignore: decorator
@unmanaged
export class PteSource {
  platform: u32;
  /** Bits of each entry apart from the address. */
  bits: u32;
  /** The table, null for a range. */
  sgt: SgTable | null;
  /** Page numbers of a view, u32 each; 0 for all pages in order. */
  pages: usize;
  /** First address of a range. */
  address: u64;
}

/** Entries that a whole table has: its pages, or those of its segments where it is not built from pages. */
export function sourcePages(sgt: SgTable): u32 {
  if (sgt.shape == SEGMENTS_NONE) return 0;
  if (sgt.pfns != 0 && sgt.offset == 0) return sgt.pageCount;
  let count: u64 = 0;
  for (let i: u32 = 0; i < sgt.nents; ++i) count += segmentPages(sgt, i);
  return <u32>count;
}

// @ts-ignore: decorator
@inline
function segmentPages(sgt: SgTable, i: u32): u64 {
  return ((sgSegmentAddress(sgt, i) & PAGE_MASK) + sgSegmentLength(sgt, i) + PAGE_MASK) >> PAGE_SHIFT;
}

/** Writes `count` entries at `at`, from entry `first` of the source on. */
export function entriesPut(at: usize, source: PteSource, first: u32, count: u32): void {
  const wide = isWide(source.platform);
  if (source.sgt == null) {
    ascending(at, source, wide, source.address + <u64>first * <u64>PAGE_SIZE, count);
    return;
  }
  const sgt = source.sgt!;
  const step: u32 = wide ? 3 : 2;
  if (source.pages != 0) {
    view(at, source, wide, source.pages + (<usize>first << 2), count);
  } else if (sgt.pfns == 0 || sgt.offset != 0) {
    bySegments(at, source, wide, first, count);
  } else if (sgt.shape == SEGMENTS_PHYSICAL) {
    fromPfns(at, source, wide, sgt.pfns + (<usize>first << 2), count);
  } else {
    while (count != 0) {
      const run = min(count, sgDmaRun(sgt, first));
      ascending(at, source, wide, sgDmaAddress(sgt, first), run);
      at += <usize>run << step;
      first += run;
      count -= run;
    }
  }
}

// @ts-ignore: decorator
@inline
function one(at: usize, source: PteSource, wide: bool, address: u64): void {
  const entry = pteEncode(source.platform, address, source.bits);
  if (wide) store<u64>(at, entry);
  else store<u32>(at, <u32>entry);
}

/** Listed pages. Where an address follows from the page number alone, or from the pfn, nothing is asked of the table. */
function view(at: usize, source: PteSource, wide: bool, pages: usize, count: u32): void {
  const sgt = source.sgt!;
  const step: usize = wide ? 8 : 4;
  const end = pages + (<usize>count << 2);
  if (sgt.shape == SEGMENTS_ONE || sgt.shape == SEGMENTS_ENTRIES) {
    const base = sgt.inlineAddress;
    for (; pages < end; pages += 4, at += step) one(at, source, wide, base + (<u64>load<u32>(pages) << PAGE_SHIFT));
  } else if (sgt.shape == SEGMENTS_PHYSICAL) {
    const pfns = sgt.pfns;
    for (; pages < end; pages += 4, at += step) {
      one(at, source, wide, <u64>load<u32>(pfns + (<usize>load<u32>(pages) << 2)) << PAGE_SHIFT);
    }
  } else {
    for (; pages < end; pages += 4, at += step) one(at, source, wide, sgDmaAddress(sgt, load<u32>(pages)));
  }
}

/** Segments that begin or end inside a page take the whole of it, one after the other. */
function bySegments(at: usize, source: PteSource, wide: bool, first: u32, count: u32): void {
  const sgt = source.sgt!;
  const step: u32 = wide ? 3 : 2;
  for (let i: u32 = 0; i < sgt.nents && count != 0; ++i) {
    const pages = <u32>segmentPages(sgt, i);
    if (first >= pages) {
      first -= pages;
      continue;
    }
    const run = min(count, pages - first);
    ascending(at, source, wide, (sgSegmentAddress(sgt, i) & ~PAGE_MASK) + <u64>first * <u64>PAGE_SIZE, run);
    at += <usize>run << step;
    count -= run;
    first = 0;
  }
}

/** A run of addresses a page apart. */
function ascending(at: usize, source: PteSource, wide: bool, address: u64, count: u32): void {
  if (wide) {
    ascending64(at, address | source.bits, count);
    return;
  }
  // Within 4 GiB the packed upper bits stay the same, and the entries themselves ascend by a page.
  while (count != 0) {
    const left = (0x100000000 - (address & 0xffffffff)) >> PAGE_SHIFT;
    const run = <u32>min<u64>(left, count);
    ascending32(at, <u32>pteEncode(source.platform, address, source.bits), run);
    at += <usize>run << 2;
    address += <u64>run * <u64>PAGE_SIZE;
    count -= run;
  }
}

// Eight entries a round, each pair from the first by one addition of its own, so that stores are what limits it.
// Rows are written from a multiple of 16 bytes on, so that no store crosses a cache line: that costs a quarter.

function ascending64(at: usize, entry: u64, count: u32): void {
  const end = at + (<usize>count << 3);
  if ((at & 8) != 0 && at < end) {
    store<u64>(at, entry);
    entry += <u64>PAGE_SIZE;
    at += 8;
  }
  // Four pairs, each counted on by itself: no chain of additions from store to store.
  const two = i64x2.splat(8192);
  let a = i64x2.replace_lane(i64x2.splat(<i64>entry), 1, <i64>(entry + <u64>PAGE_SIZE));
  let b = i64x2.add(a, two);
  let c = i64x2.add(b, two);
  let d = i64x2.add(c, two);
  const round = i64x2.shl(two, 2);
  for (; at + 64 <= end; at += 64) {
    v128.store(at, a);
    v128.store(at, b, 16);
    v128.store(at, c, 32);
    v128.store(at, d, 48);
    a = i64x2.add(a, round);
    b = i64x2.add(b, round);
    c = i64x2.add(c, round);
    d = i64x2.add(d, round);
  }
  entry = <u64>i64x2.extract_lane(a, 0);
  for (; at < end; at += 8) {
    store<u64>(at, entry);
    entry += <u64>PAGE_SIZE;
  }
}

function ascending32(at: usize, entry: u32, count: u32): void {
  const end = at + (<usize>count << 2);
  for (; (at & 15) != 0 && at < end; at += 4) {
    store<u32>(at, entry);
    entry += PAGE_SIZE;
  }
  const four = i32x4.splat(16384);
  let a = i32x4.add(i32x4.splat(<i32>entry), i32x4(0, PAGE_SIZE, 2 * PAGE_SIZE, 3 * PAGE_SIZE));
  let b = i32x4.add(a, four);
  const round = i32x4.shl(four, 1);
  for (; at + 32 <= end; at += 32) {
    v128.store(at, a);
    v128.store(at, b, 16);
    a = i32x4.add(a, round);
    b = i32x4.add(b, round);
  }
  entry = <u32>i32x4.extract_lane(a, 0);
  for (; at < end; at += 4) {
    store<u32>(at, entry);
    entry += PAGE_SIZE;
  }
}

/** Direct mapping: the physical pages are the DMA addresses. */
function fromPfns(at: usize, source: PteSource, wide: bool, pfns: usize, count: u32): void {
  const end = pfns + (<usize>count << 2);
  if (wide) {
    if ((at & 8) != 0 && pfns < end) {
      store<u64>(at, (<u64>load<u32>(pfns) << PAGE_SHIFT) | source.bits);
      pfns += 4;
      at += 8;
    }
    const bits = i64x2.splat(<i64>source.bits);
    for (; pfns + 32 <= end; pfns += 32, at += 64) {
      const low = v128.load(pfns);
      const high = v128.load(pfns, 16);
      v128.store(at, v128.or(i64x2.shl(i64x2.extend_low_i32x4_u(low), PAGE_SHIFT), bits));
      v128.store(at, v128.or(i64x2.shl(i64x2.extend_high_i32x4_u(low), PAGE_SHIFT), bits), 16);
      v128.store(at, v128.or(i64x2.shl(i64x2.extend_low_i32x4_u(high), PAGE_SHIFT), bits), 32);
      v128.store(at, v128.or(i64x2.shl(i64x2.extend_high_i32x4_u(high), PAGE_SHIFT), bits), 48);
    }
    for (; pfns < end; pfns += 4, at += 8) store<u64>(at, (<u64>load<u32>(pfns) << PAGE_SHIFT) | source.bits);
    return;
  }
  const mask = i32x4.splat(<i32>highMask(source.platform));
  const bits = i32x4.splat(<i32>source.bits);
  for (; (at & 15) != 0 && pfns < end; pfns += 4, at += 4) {
    store<u32>(at, <u32>pteEncode(source.platform, <u64>load<u32>(pfns) << PAGE_SHIFT, source.bits));
  }
  for (; pfns + 16 <= end; pfns += 16, at += 16) {
    const four = v128.load(pfns);
    v128.store(at, v128.or(v128.or(i32x4.shl(four, PAGE_SHIFT), v128.and(i32x4.shr_u(four, 16), mask)), bits));
  }
  for (; pfns < end; pfns += 4, at += 4) {
    store<u32>(at, <u32>pteEncode(source.platform, <u64>load<u32>(pfns) << PAGE_SHIFT, source.bits));
  }
}

/** Writes the same entry `count` times. */
export function entriesFill(at: usize, platform: u32, entry: u64, count: u32): void {
  const wide = isWide(platform);
  const end = at + (<usize>count << (wide ? 3 : 2));
  const row = wide ? i64x2.splat(<i64>entry) : i32x4.splat(<i32>entry);
  for (; (at & 15) != 0 && at < end; at += wide ? 8 : 4) {
    if (wide) store<u64>(at, entry);
    else store<u32>(at, <u32>entry);
  }
  for (; at + 128 <= end; at += 128) {
    v128.store(at, row);
    v128.store(at, row, 16);
    v128.store(at, row, 32);
    v128.store(at, row, 48);
    v128.store(at, row, 64);
    v128.store(at, row, 80);
    v128.store(at, row, 96);
    v128.store(at, row, 112);
  }
  for (; at < end; at += wide ? 8 : 4) {
    if (wide) store<u64>(at, entry);
    else store<u32>(at, <u32>entry);
  }
}
