// A list of odd entries behind a translating domain, in one pass: what network and block drivers map, of entries with offsets and
// lengths of their own. The pass makes the vector of pages and the segments at once, with addresses that count from the begin of
// the list: where these come to lie is known afterwards, from their number. Where that would make a difference, for a list that is
// longer than the segment boundary or that an allocation has put across one, iommu-sg.ts maps it.

import { ENOMEM } from '../memory/errno';
import { blockAlloc, blockFree, blockOrder } from '../memory/block';
import { DmaDevice } from '../device/device';
import { iommuMapPfns } from '../iommu/api/ops';
import { IommuDomain } from '../iommu/domain';
import { REASON_DMA_NO_SEGMENTS, setReason } from '../memory/reason';
import { PAGE_MASK, PAGE_SHIFT } from '../ram/ram';
import { segmentsAlloc, segmentsFree, setOneSegment, setSegmentVector } from '../sg/segments';
import { SG_MAX_PAGES } from '../sg/build';
import { SG_RUN_SIZE, SG_SEGMENT_SIZE, SgRun, SgSegment, SgTable } from '../sg/sg-table';
import { cookieOf, rangeAlloc, rangeFree } from './iommu';
import { mapList } from './iommu-sg';

const MAX_LENGTH: u64 = 0xffffffff;

/** Result of mapRuns for a list that it does not map: nothing has changed. */
export const RUNS_NOT_MAPPED: i32 = i32.MIN_VALUE;

/**
 * Writes the pages and segments of a list without padding (__finalise_sg). An entry joins the open segment when it begins at a
 * page and the room left up to `most` holds it.
 * @param vector room for the pfns of all entries
 * @param list room for as many segments as entries
 * @returns pages in the low, segments in the high 32 bits; 0 for an entry that is longer than 32 bits when it is rounded
 */
function passRuns(sgt: SgTable, most: u32, vector: usize, list: usize): u64 {
  const end = sgt.runs + <usize>sgt.runCount * SG_RUN_SIZE;
  let at = vector;
  let segment = list - SG_SEGMENT_SIZE;
  let total: u64 = 0;
  let current: u32 = 0;
  for (let run = sgt.runs; run < end; run += SG_RUN_SIZE) {
    const entry = changetype<SgRun>(run);
    const length = entry.length;
    const within = entry.offset & <u32>PAGE_MASK;
    const bytes = <u64>within + length;
    const span = (bytes + PAGE_MASK) & ~PAGE_MASK;
    if (span > MAX_LENGTH) return 0;
    if (current != 0 && within == 0 && most - current >= length) current += length;
    else {
      segment += SG_SEGMENT_SIZE;
      changetype<SgSegment>(segment).address = total + within;
      current = length;
    }
    changetype<SgSegment>(segment).length = current;
    // An entry that ends inside a page ends its segment.
    if (bytes < span) current = 0;
    total += span;
    let pfn = entry.pfn + (entry.offset >> PAGE_SHIFT);
    for (const stop = at + <usize>(span >> PAGE_SHIFT << 2); at < stop; at += 4) store<u32>(at, pfn++);
  }
  const count = <u32>((segment - list) / SG_SEGMENT_SIZE) + 1;
  return (total >> PAGE_SHIFT) | (<u64>count << 32);
}

/**
 * Maps a list in runs form.
 * @returns its segments, or -ENOMEM with the reason in cpu.reason and nothing changed; RUNS_NOT_MAPPED
 */
export function mapRuns(dev: DmaDevice, domain: IommuDomain, sgt: SgTable, prot: u32): i32 {
  const ctx = dev.ctx;
  const entries = sgt.runCount;
  // An entry touches two pages more than its bytes fill, at most.
  const room = (sgt.bytes >> PAGE_SHIFT) + (<u64>entries << 1);
  if (room > <u64>SG_MAX_PAGES || room << PAGE_SHIFT > dev.segmentBoundary) return RUNS_NOT_MAPPED;
  const vector = blockAlloc(ctx, blockOrder(<usize>room << 2));
  const list: usize = vector == 0 ? 0 : segmentsAlloc(ctx, entries);
  if (list == 0) {
    if (vector != 0) blockFree(ctx, vector);
    setReason(ctx, REASON_DMA_NO_SEGMENTS);
    return ENOMEM;
  }
  const found = passRuns(sgt, dev.maxSegment, vector, list);
  const rc = found == 0 ? RUNS_NOT_MAPPED : place(dev, domain, sgt, prot, vector, list, <u32>found, <u32>(found >> 32));
  blockFree(ctx, vector);
  if (rc < 0) segmentsFree(ctx, list, entries);
  return rc;
}

function place(
  dev: DmaDevice, domain: IommuDomain, sgt: SgTable, prot: u32, vector: usize, list: usize, pages: u32, count: u32,
): i32 {
  const cookie = cookieOf(domain);
  const pfn = rangeAlloc(dev, cookie, pages, dev.mask);
  if (pfn == 0) return ENOMEM;
  const iova = pfn << PAGE_SHIFT;
  const boundary = dev.segmentBoundary;
  const whole = (iova & boundary) + ((<u64>pages << PAGE_SHIFT) - 1) <= boundary;
  const rc = whole ? iommuMapPfns(domain, iova, vector, pages, prot) : mapList(dev, domain, sgt, iova, prot, false, pages);
  if (rc < 0) {
    rangeFree(cookie, pfn, pages);
    return rc;
  }
  if (whole && count > 1) {
    setSegmentVector(sgt, list, count, sgt.runCount, iova);
    return <i32>count;
  }
  if (whole) setOneSegment(sgt, iova + changetype<SgSegment>(list).address, sgt.bytes);
  segmentsFree(dev.ctx, list, sgt.runCount);
  return whole ? 1 : rc;
}
