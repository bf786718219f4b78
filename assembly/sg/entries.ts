// The entries of a table as Linux has them, in order. In runs form they are the runs. In pages form they follow from the
// pfns by the rule of sg_alloc_table_from_pages_segment (lib/scatterlist.c): an entry continues while the next page
// follows the last one in memory and the entry is shorter than maxEntry. Each CPU keeps its position in a walk (cursor.ts).

import { PAGE_SHIFT } from '../ram/ram';
import { cursorOf } from './cursor';
import { SG_NO_COALESCE, SG_ONE_RUN, SG_UNCOUNTED, SEGMENTS_NONE, SgTable, runAt } from './sg-table';

const CONSECUTIVE = i32x4(0, 1, 2, 3);

// @ts-ignore: decorator
@inline
function pfnAt(sgt: SgTable, page: u32): u32 {
  return load<u32>(sgt.pfns + (<usize>page << 2));
}

/** Number of pages in a vector of pfns that do not follow the page before in memory. */
function countBreaks(pfns: usize, n: u32): u32 {
  let at = pfns;
  const end = pfns + (<usize>n << 2) - 4; // address of the last pfn: it has no successor
  let breaks: u32 = 0;
  if (n > 4) {
    let equal = i32x4.splat(0);
    const one = i32x4.splat(1);
    const last = end - 12;
    for (; at < last; at += 16) {
      const next = v128.load(at, 4);
      equal = i32x4.add(equal, i32x4.eq(i32x4.sub(next, v128.load(at)), one));
    }
    const pairs = <u32>((at - pfns) >> 2);
    const neighbours = -(i32x4.extract_lane(equal, 0) + i32x4.extract_lane(equal, 1)
      + i32x4.extract_lane(equal, 2) + i32x4.extract_lane(equal, 3));
    breaks = pairs - <u32>neighbours;
  }
  for (; at < end; at += 4) breaks += <u32>(load<u32>(at, 4) != load<u32>(at) + 1);
  return breaks;
}

/** Length of the run at the start of a vector, at most `most` pages. */
function runLength(pfns: usize, most: u32): u32 {
  const first = load<u32>(pfns);
  let n: u32 = 0;
  let want = i32x4.add(i32x4.splat(first), CONSECUTIVE);
  const four = i32x4.splat(4);
  for (; n + 4 <= most; n += 4) {
    if (!i32x4.all_true(i32x4.eq(v128.load(pfns + (<usize>n << 2)), want))) break;
    want = i32x4.add(want, four);
  }
  while (n < most && load<u32>(pfns + (<usize>n << 2)) == first + n) ++n;
  return n;
}

// Counts entries where runs may be longer than an entry and are cut.
function countEntries(pfns: usize, n: u32, most: u32): u32 {
  let entries: u32 = 0;
  for (let page: u32 = 0; page < n; ) {
    const run = runLength(pfns + (<usize>page << 2), n - page);
    entries += (run - 1) / most + 1;
    page += run;
  }
  return entries;
}

/** Entries of a table (sgt->orig_nents). */
// @ts-ignore: decorator
@inline
export function entriesOf(sgt: SgTable): u32 {
  return sgt.origNents != SG_UNCOUNTED ? sgt.origNents : count(sgt);
}

function count(sgt: SgTable): u32 {
  const n = sgt.pageCount;
  const most = sgt.maxEntry >> PAGE_SHIFT;
  sgt.origNents = most < n ? countEntries(sgt.pfns, n, most) : countBreaks(sgt.pfns, n) + 1;
  return sgt.origNents;
}

/** Whether each page is an entry: entries and pages then have the same numbers. */
// @ts-ignore: decorator
@inline
export function singlePages(sgt: SgTable): bool {
  return entriesOf(sgt) == sgt.pageCount;
}

/** Pages of the entry that begins at a page (pages form). */
export function entryPages(sgt: SgTable, page: u32): u32 {
  if ((sgt.flags & SG_NO_COALESCE) != 0) return 1;
  const most = min(sgt.pageCount - page, sgt.maxEntry >> PAGE_SHIFT);
  if ((sgt.flags & SG_ONE_RUN) != 0) return most;
  const at = sgt.pfns + (<usize>page << 2);
  const first = load<u32>(at);
  let n: u32 = 1;
  while (n < most && load<u32>(at + (<usize>n << 2)) == first + n) ++n;
  return n;
}

/** First page of entry i, which exists (pages form). */
export function pageOfEntry(sgt: SgTable, i: u32): u32 {
  if (singlePages(sgt)) return i;
  const cursor = cursorOf(sgt);
  let entry = cursor.entry;
  let page = cursor.page;
  if (entry > i) {
    entry = 0;
    page = 0;
  }
  for (; entry < i; ++entry) page += entryPages(sgt, page);
  cursor.entry = entry;
  cursor.page = page;
  return page;
}

/** Physical address of the i-th entry, i < origNents (sg_phys). */
// @ts-ignore: decorator
@inline
export function sgEntryPhys(sgt: SgTable, i: u32): u64 {
  if (sgt.pfns != 0) return physInPages(sgt, i);
  const run = runAt(sgt, i);
  return (<u64>run.pfn << PAGE_SHIFT) + run.offset;
}

function physInPages(sgt: SgTable, i: u32): u64 {
  return (<u64>pfnAt(sgt, pageOfEntry(sgt, i)) << PAGE_SHIFT) + (i == 0 ? sgt.offset : 0);
}

/** Bytes of the i-th entry, i < origNents (sg->length). */
// @ts-ignore: decorator
@inline
export function sgEntryLength(sgt: SgTable, i: u32): u32 {
  return sgt.pfns != 0 ? lengthInPages(sgt, i) : runAt(sgt, i).length;
}

function lengthInPages(sgt: SgTable, i: u32): u32 {
  const page = pageOfEntry(sgt, i);
  return <u32>entryBytes(sgt, page, entryPages(sgt, page));
}

/** Bytes of an entry that is n pages from a page on (pages form). */
// @ts-ignore: decorator
@inline
export function entryBytes(sgt: SgTable, page: u32, n: u32): u64 {
  let length = <u64>n << PAGE_SHIFT;
  // Without the bytes before the offset in the first page, and those after the table's end in the last.
  if (page == 0) length -= sgt.offset;
  if (page + n == sgt.pageCount) length -= (<u64>sgt.pageCount << PAGE_SHIFT) - sgt.offset - sgt.bytes;
  return length;
}

/** Offset of the i-th entry's first byte as the table was built; in runs form it may exceed a page. */
export function sgEntryOffset(sgt: SgTable, i: u32): u32 {
  if (sgt.pfns == 0) return runAt(sgt, i).offset;
  return i == 0 ? sgt.offset : 0;
}

/** For the host: entriesOf. */
export function sgOrigNents(sgt: SgTable): u32 {
  return entriesOf(sgt);
}

/** For the host: segments after mapping, entries before (sgt->nents). */
export function sgNents(sgt: SgTable): u32 {
  return sgt.shape == SEGMENTS_NONE ? entriesOf(sgt) : sgt.nents;
}

/** For the host: bytes of entry i; 0 past the last entry. */
export function sgEntrySize(sgt: SgTable, i: u32): u32 {
  return i < entriesOf(sgt) ? sgEntryLength(sgt, i) : 0;
}
