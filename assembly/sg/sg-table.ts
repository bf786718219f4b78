// sg/ holds scatter-gather tables: which pages an object consists of, and where a device sees them once it is mapped.
//
// The kernel's table is an array of 32-byte entries, each with its CPU side and, after mapping, a DMA side that belongs
// to another entry than the CPU side does. Here the two sides live apart:
//
//   pages     what tables built from pages are: a vector of u32 pfns, one a page, with the offset of the first byte and
//             the length in bytes. Filling a page table from it is one pass with SIMD.
//   runs      what any other list is: (pfn, offset, length) for each entry, for lists with byte offsets and mixed lengths
//   segments  the DMA side, written by mapping: (address, length) for each of nents. One segment, which is what an IOMMU
//             makes of most objects, lives in the record itself.
//
// Linux's own view, orig_nents entries in order, follows from pages or runs by the rule of the table's builder.

// @ts-ignore: decorator
@unmanaged
export class SgTable {
  ctx: usize;
  flags: u32;
  /** Pages form: vector of u32 pfns; 0 in runs form. Size of its block is known to the block allocator. */
  pfns: usize;
  pageCount: u32;
  /** Runs form: vector of SgRun; 0 in pages form. */
  runs: usize;
  runCount: u32;
  /** Bytes before the first in the first page (pages form). */
  offset: u32;
  /** Longest entry of the table in bytes, a multiple of 4 KiB (pages form; 0xfffff000 where nothing limits it). */
  maxEntry: u32;
  /** Entries as Linux would count them after building (sgt->orig_nents). */
  origNents: u32;
  /** Segments after mapping (sgt->nents); equals origNents before. */
  nents: u32;
  /** Vector of SgSegment: the inline one below, or a block. 0 while not mapped. */
  segments: usize;
  segmentCapacity: u32;
  bytes: u64;
  inlineAddress: u64;
  inlineLength: u64;
}

/** Entries are never merged with their neighbours (swiotlb: one entry a page). */
export const SG_NO_COALESCE: u32 = 1;
/** The table is mapped for a device; set by map, cleared by unmap. */
export const SG_MAPPED: u32 = 2;
/** All pages are neighbours: the whole table is one run. */
export const SG_ONE_RUN: u32 = 4;

// @ts-ignore: decorator
@unmanaged
export class SgRun {
  pfn: u32;
  offset: u32;
  length: u32;
  pad: u32;
}
export const SG_RUN_SIZE: usize = 16;

// @ts-ignore: decorator
@unmanaged
export class SgSegment {
  address: u64;
  length: u64;
}
export const SG_SEGMENT_SIZE: usize = 16;
