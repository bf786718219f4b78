// The DMA side of a table: nents segments of (address, length), as sg_dma_address and sg_dma_len give them.

import { PAGE_SHIFT, PAGE_MASK } from '../ram/ram';
import { BLOCK_SIZE, blockAlloc, blockOrder } from '../memory/block';
import { Context } from '../memory/context';
import { currentCpu } from '../memory/cpu';
import { SgCursor, cursorOf, nextSerial } from './cursor';
import {
  entriesOf, entryPages, pageOfEntry, sgEntryLength, sgEntryOffset, sgEntryPhys, singlePages,
} from './entries';
import {
  SEGMENTS_ENTRIES, SEGMENTS_LIST, SEGMENTS_NONE, SEGMENTS_ONE, SEGMENTS_PHYSICAL, SG_SEGMENT_SIZE, SgTable, runAt,
  segmentAt,
} from './sg-table';
import { sgOf } from './state';
import { vectorAlloc, vectorFree } from './vector';

/** The address where there is none (DMA_MAPPING_ERROR). */
const NO_ADDRESS: u64 = 0xffffffffffffffff;

/** Bytes of the whole pages that entry i touches, which is the address space that it takes behind an IOMMU. */
export function sgEntrySpan(sgt: SgTable, i: u32): u64 {
  return (<u64>(sgEntryOffset(sgt, i) & <u32>PAGE_MASK) + sgEntryLength(sgt, i) + PAGE_MASK) & ~PAGE_MASK;
}

// Bytes of address space before entry i where each entry takes whole pages. The runs form adds them up from the CPU's position
// on.
function packedBefore(sgt: SgTable, i: u32): u64 {
  if (sgt.pfns != 0) return <u64>pageOfEntry(sgt, i) << PAGE_SHIFT;
  const cursor = cursorOf(sgt);
  if (cursor.segment > i) {
    cursor.segment = 0;
    cursor.bytes = 0;
  }
  while (cursor.segment < i) {
    const run = runAt(sgt, cursor.segment);
    cursor.bytes += (<u64>(run.offset & <u32>PAGE_MASK) + run.length + PAGE_MASK) & ~PAGE_MASK;
    ++cursor.segment;
  }
  return cursor.bytes;
}

/** DMA address of segment i, i < nents (sg_dma_address); all ones in a table that was never mapped. */
export function sgSegmentAddress(sgt: SgTable, i: u32): u64 {
  switch (sgt.shape) {
    case SEGMENTS_ONE: return sgt.inlineAddress;
    case SEGMENTS_LIST: return segmentAt(sgt, i).address + sgt.listShift;
    case SEGMENTS_ENTRIES: return sgt.inlineAddress + packedBefore(sgt, i) + (sgEntryOffset(sgt, i) & <u32>PAGE_MASK);
    case SEGMENTS_PHYSICAL: return sgEntryPhys(sgt, i);
    default: return NO_ADDRESS;
  }
}

/** Bytes of segment i, i < nents (sg_dma_len); 0 in a table that was never mapped. */
export function sgSegmentLength(sgt: SgTable, i: u32): u64 {
  switch (sgt.shape) {
    case SEGMENTS_ONE: return sgt.inlineLength;
    case SEGMENTS_LIST: return segmentAt(sgt, i).length;
    case SEGMENTS_ENTRIES:
    case SEGMENTS_PHYSICAL: return sgEntryLength(sgt, i);
    default: return 0;
  }
}

// Moves the CPU's position in a list to the segment that has a byte of the table.
function segmentOfByte(sgt: SgTable, byte: u64): SgCursor {
  const cursor = cursorOf(sgt);
  let i = cursor.segment;
  let before = cursor.bytes;
  if (before > byte) {
    i = 0;
    before = 0;
  }
  while (i + 1 < sgt.nents && before + segmentAt(sgt, i).length <= byte) {
    before += segmentAt(sgt, i).length;
    ++i;
  }
  cursor.segment = i;
  cursor.bytes = before;
  return cursor;
}

/** DMA address of page n of a mapped table that begins at a page and is built from pages. */
export function sgDmaAddress(sgt: SgTable, page: u32): u64 {
  const byte = <u64>page << PAGE_SHIFT;
  switch (sgt.shape) {
    case SEGMENTS_ONE:
    case SEGMENTS_ENTRIES: return sgt.inlineAddress + byte;
    case SEGMENTS_LIST: {
      const cursor = segmentOfByte(sgt, byte);
      return segmentAt(sgt, cursor.segment).address + sgt.listShift + (byte - cursor.bytes);
    }
    case SEGMENTS_PHYSICAL: return <u64>load<u32>(sgt.pfns + (<usize>page << 2)) << PAGE_SHIFT;
    default: return NO_ADDRESS;
  }
}

/** Pages from page n on whose DMA addresses are contiguous, at least 1. */
export function sgDmaRun(sgt: SgTable, page: u32): u32 {
  const left = sgt.pageCount - page;
  switch (sgt.shape) {
    case SEGMENTS_ONE:
    case SEGMENTS_ENTRIES: return left;
    case SEGMENTS_LIST: {
      const byte = <u64>page << PAGE_SHIFT;
      const cursor = segmentOfByte(sgt, byte);
      const end = cursor.bytes + segmentAt(sgt, cursor.segment).length;
      return max<u32>(1, min<u32>(left, <u32>((end - byte) >> PAGE_SHIFT)));
    }
    case SEGMENTS_PHYSICAL: return singlePages(sgt) ? 1 : min(left, entryPages(sgt, page));
    default: return 1;
  }
}

/** Segments that the scratch page of a CPU has room for. */
export const SCRATCH_SEGMENTS: u32 = 256;

/** This CPU's scratch page for segments; 0 without memory. */
export function segmentScratch(ctx: Context): usize {
  const state = sgOf(ctx);
  if (state.scratch == 0) state.scratch = blockAlloc(ctx, blockOrder(<usize>ctx.cpuCount * BLOCK_SIZE));
  return state.scratch == 0 ? 0 : state.scratch + <usize>currentCpu() * BLOCK_SIZE;
}

/** A vector for n segments. Returns 0 without memory. */
export function segmentsAlloc(ctx: Context, n: u32): usize {
  return vectorAlloc(ctx, <usize>n * SG_SEGMENT_SIZE);
}

export function segmentsFree(ctx: Context, at: usize, n: u32): void {
  vectorFree(ctx, at, <usize>n * SG_SEGMENT_SIZE);
}

/** Makes one segment the table's DMA side. */
// @ts-ignore: decorator
@inline
export function setOneSegment(sgt: SgTable, address: u64, length: u64): void {
  if (sgt.segments != 0) dropSegments(sgt);
  sgt.shape = SEGMENTS_ONE;
  sgt.inlineAddress = address;
  sgt.inlineLength = length;
  sgt.nents = 1;
}

/** Makes a vector of n segments, from segmentsAlloc(n), the table's DMA side. */
export function setSegmentList(sgt: SgTable, at: usize, n: u32): void {
  setSegmentVector(sgt, at, n, n, 0);
}

/** The same for a vector from segmentsAlloc(capacity) whose addresses count from `shift` on. */
export function setSegmentVector(sgt: SgTable, at: usize, n: u32, capacity: u32, shift: u64): void {
  dropSegments(sgt);
  sgt.shape = SEGMENTS_LIST;
  sgt.segments = at;
  sgt.segmentCapacity = capacity;
  sgt.nents = n;
  sgt.listShift = shift;
}

/** Makes the entries themselves the DMA side: SEGMENTS_ENTRIES from an address on, or SEGMENTS_PHYSICAL. */
export function setEntrySegments(sgt: SgTable, shape: u32, address: u64, length: u64): void {
  dropSegments(sgt);
  sgt.shape = shape;
  sgt.inlineAddress = address;
  sgt.inlineLength = length;
  sgt.nents = entriesOf(sgt);
}

function dropSegments(sgt: SgTable): void {
  if (sgt.segments != 0) segmentsFree(sgt.ctx, sgt.segments, sgt.segmentCapacity);
  sgt.segments = 0;
  sgt.segmentCapacity = 0;
  sgt.listMost = 0;
  sgt.listShift = 0;
  sgt.serial = nextSerial(sgt.ctx);
}

/** Address of segment i; all ones past the last and in a table that was never mapped. */
export function sgDmaSegmentAddress(sgt: SgTable, i: u32): u64 {
  return i < sgt.nents && sgt.shape != SEGMENTS_NONE ? sgSegmentAddress(sgt, i) : 0xffffffffffffffff;
}

/** Bytes of segment i; 0 past the last and in a table that was never mapped. */
export function sgDmaSegmentLength(sgt: SgTable, i: u32): u64 {
  return i < sgt.nents && sgt.shape != SEGMENTS_NONE ? sgSegmentLength(sgt, i) : 0;
}

/** DMA address of page n; all ones where there is none. */
export function sgDmaPage(sgt: SgTable, page: u32): u64 {
  return page < sgt.pageCount && sgt.shape != SEGMENTS_NONE ? sgDmaAddress(sgt, page) : 0xffffffffffffffff;
}
