// The entries of a table as Linux has them, in order. In runs form they are the runs. In pages form they follow from the
// pfns by the rule of sg_alloc_table_from_pages_segment (lib/scatterlist.c): an entry goes on while the next page is the
// neighbour of the last and the entry's pages are fewer than maxEntry. A table keeps its place between two looks, so
// that a walk costs one step an entry and a random look costs a walk from there, or from the start if it lies before.

import { PAGE_SHIFT } from '../ram/ram';
import { SG_NO_COALESCE, SG_ONE_RUN, SG_RUN_SIZE, SgRun, SgTable } from './sg-table';

// @ts-ignore: decorator
@inline
function pfnAt(sgt: SgTable, page: u32): u32 {
  return load<u32>(sgt.pfns + (<usize>page << 2));
}

/** Whether each page is an entry of its own: entries and pages are then the same numbers. */
// @ts-ignore: decorator
@inline
export function singlePages(sgt: SgTable): bool {
  return sgt.origNents == sgt.pageCount;
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

/** Moves the table's place to entry i, which exists (pages form). */
function walkTo(sgt: SgTable, i: u32): void {
  if (singlePages(sgt)) {
    sgt.walkPage = i;
    sgt.walkEntry = i;
    return;
  }
  let entry = sgt.walkEntry;
  let page = sgt.walkPage;
  if (entry > i) {
    entry = 0;
    page = 0;
  }
  for (; entry < i; ++entry) page += entryPages(sgt, page);
  sgt.walkEntry = entry;
  sgt.walkPage = page;
}

/** Physical address of the i-th entry, i < origNents (sg_phys). */
// @ts-ignore: decorator
@inline
export function sgEntryPhys(sgt: SgTable, i: u32): u64 {
  if (sgt.pfns != 0) return physInPages(sgt, i);
  const run = changetype<SgRun>(sgt.runs + <usize>i * SG_RUN_SIZE);
  return (<u64>run.pfn << PAGE_SHIFT) + run.offset;
}

function physInPages(sgt: SgTable, i: u32): u64 {
  walkTo(sgt, i);
  return (<u64>pfnAt(sgt, sgt.walkPage) << PAGE_SHIFT) + (i == 0 ? sgt.offset : 0);
}

/** Bytes of the i-th entry, i < origNents (sg->length). */
// @ts-ignore: decorator
@inline
export function sgEntryLength(sgt: SgTable, i: u32): u32 {
  return sgt.pfns != 0 ? lengthInPages(sgt, i) : changetype<SgRun>(sgt.runs + <usize>i * SG_RUN_SIZE).length;
}

function lengthInPages(sgt: SgTable, i: u32): u32 {
  walkTo(sgt, i);
  const page = sgt.walkPage;
  const end = page + entryPages(sgt, page);
  let length = <u64>(end - page) << PAGE_SHIFT;
  // The first page lacks what lies before the offset, the last what lies behind the table's end.
  if (i == 0) length -= sgt.offset;
  if (end == sgt.pageCount) length -= (<u64>sgt.pageCount << PAGE_SHIFT) - sgt.offset - sgt.bytes;
  return <u32>length;
}

/** Offset of the i-th entry's first byte, as its builder gave it: more than a page is possible in runs form. */
export function sgEntryOffset(sgt: SgTable, i: u32): u32 {
  if (sgt.pfns == 0) return changetype<SgRun>(sgt.runs + <usize>i * SG_RUN_SIZE).offset;
  return i == 0 ? sgt.offset : 0;
}

/** For the host: sgEntryPhys as a number; -1 past the last entry. */
export function sgEntryAddress(sgt: SgTable, i: u32): f64 {
  return i < sgt.origNents ? <f64>(<i64>sgEntryPhys(sgt, i)) : -1;
}

/** For the host: bytes of entry i; 0 past the last entry. */
export function sgEntrySize(sgt: SgTable, i: u32): u32 {
  return i < sgt.origNents ? sgEntryLength(sgt, i) : 0;
}
