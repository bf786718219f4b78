// A device as the DMA API sees it: which dma ops serve it, what it can address, and what a scatter-gather segment of it
// may look like (struct device, struct device_dma_parameters).

import { IommuDomain } from '../iommu/domain';
import { Context } from '../memory/context';
import { currentCpu } from '../memory/cpu';
import { fieldOf } from '../memory/record';
import { DmaCookie } from './cookie';

// @ts-ignore: decorator
@unmanaged
export class DmaDevice {
  ctx: Context;
  /** The host's number for this device, from 1; in every event, finding and fault. */
  id: u32;
  /** OPS_DIRECT or OPS_IOMMU; with OPS_DIRECT the bounce pool serves what the mask cannot reach. */
  ops: u32;
  /** PCI requester id: bus << 8 | devfn. */
  sourceId: u32;
  /** What translates this device's accesses, null without an IOMMU. May be shared. */
  domain: IommuDomain | null;
  flags: u32;
  mask: u64;
  coherentMask: u64;
  segmentBoundary: u64;
  maxSegment: u32;
  minAlignMask: u32;
  /** What the DMA API keeps with the domain: null with OPS_DIRECT. */
  cookie: DmaCookie | null;
  /** Next device of the machine. */
  next: DmaDevice | null;
}

export const OPS_DIRECT: u32 = 0;
export const OPS_IOMMU: u32 = 1;

/** A 64-bit device still tries below 4 GiB first (dev->iommu->pci_32bit_workaround). */
export const DEVICE_TRY_32BIT: u32 = 1;
/** Every streaming mapping bounces (swiotlb=force). */
export const DEVICE_FORCE_BOUNCE: u32 = 2;
/** Accesses pass the IOMMU untranslated (an identity domain). */
export const DEVICE_PASSTHROUGH: u32 = 4;
/** The driver's name passes dma-debug's driver filter; kept by the host, which knows names. */
export const DEVICE_FILTER_MATCH: u32 = 8;
/** The VT-d unit stands between this device and memory, also while no domain does: set by the first attachment. */
export const DEVICE_BEHIND_IOMMU: u32 = 16;

export const DMA_BIDIRECTIONAL: u32 = 0;
export const DMA_TO_DEVICE: u32 = 1;
export const DMA_FROM_DEVICE: u32 = 2;
export const DMA_NONE: u32 = 3;

/** include/linux/dma-mapping.h: the attributes that matter to an emulated device. */
export const DMA_ATTR_WEAK_ORDERING: u32 = 1 << 1;
export const DMA_ATTR_WRITE_COMBINE: u32 = 1 << 2;
export const DMA_ATTR_NO_KERNEL_MAPPING: u32 = 1 << 4;
export const DMA_ATTR_SKIP_CPU_SYNC: u32 = 1 << 5;
export const DMA_ATTR_FORCE_CONTIGUOUS: u32 = 1 << 6;
export const DMA_ATTR_ALLOC_SINGLE_PAGES: u32 = 1 << 7;
export const DMA_ATTR_NO_WARN: u32 = 1 << 8;
export const DMA_ATTR_PRIVILEGED: u32 = 1 << 9;

/** What a failed mapping returns (include/linux/dma-mapping.h); the host sees -1. */
export const DMA_MAPPING_ERROR: u64 = 0xffffffffffffffff;

// Mappings are counted always: dma_map_* calls that succeeded and dma_unmap_* calls, and the pages over all of them. In
// the threads build each CPU counts for itself, in a row behind the record; rows are so far apart that no two lie in one
// cache line, whatever the record's alignment.
//
//   +0 u32 maps   +4 u32 unmaps   +8 u64 pages mapped   +16 u64 pages unmapped
const ROW_SIZE: usize = 128;
const ROWS: usize = (offsetof<DmaDevice>() + 127) & ~127;

function rowCount(ctx: Context): u32 {
  return ASC_FEATURE_THREADS ? ctx.cpuCount : 1;
}

/** Bytes of a device's record with the rows behind it. */
export function deviceSize(ctx: Context): usize {
  return ROWS + <usize>rowCount(ctx) * ROW_SIZE;
}

// @ts-ignore: decorator
@inline
function row(dev: DmaDevice, cpu: u32): usize {
  return fieldOf(dev, ROWS) + (ASC_FEATURE_THREADS ? <usize>cpu * ROW_SIZE : 0);
}

/** Counts pages that were linked into address space, which counts as a mapping from its reservation on. */
// @ts-ignore: decorator
@inline
export function countLinked(dev: DmaDevice, pages: u64): void {
  const at = row(dev, currentCpu());
  store<u64>(at, load<u64>(at, 8) + pages, 8);
}

/** Counts pages that were unlinked. */
// @ts-ignore: decorator
@inline
export function countUnlinked(dev: DmaDevice, pages: u64): void {
  const at = row(dev, currentCpu());
  store<u64>(at, load<u64>(at, 16) + pages, 16);
}

/** Counts a mapping that was made. */
// @ts-ignore: decorator
@inline
export function countMapped(dev: DmaDevice, pages: u64): void {
  const at = row(dev, currentCpu());
  store<u32>(at, load<u32>(at) + 1);
  store<u64>(at, load<u64>(at, 8) + pages, 8);
}

/** Counts an unmap call. */
// @ts-ignore: decorator
@inline
export function countUnmapped(dev: DmaDevice, pages: u64): void {
  const at = row(dev, currentCpu());
  store<u32>(at, load<u32>(at, 4) + 1, 4);
  store<u64>(at, load<u64>(at, 16) + pages, 16);
}

/** DMA_BIT_MASK(bits), 1 to 64. */
// @ts-ignore: decorator
@inline
export function bitMask(bits: u32): u64 {
  return 0xffffffffffffffff >> (64 - bits);
}

/** dma_set_mask and dma_set_coherent_mask: widths in bits, 1 to 64. */
export function deviceSetMask(dev: DmaDevice, bits: u32, coherentBits: u32): void {
  dev.mask = bitMask(bits);
  dev.coherentMask = bitMask(coherentBits);
}

/**
 * dma_set_max_seg_size, dma_set_seg_boundary, dma_set_min_align_mask.
 * @param boundaryBits width of the boundary mask in bits, 1 to 64: no segment crosses a multiple of 2^bits
 */
export function deviceSetSegments(dev: DmaDevice, maxSegment: u32, boundaryBits: u32, minAlignMask: u32): void {
  dev.maxSegment = maxSegment;
  dev.segmentBoundary = bitMask(boundaryBits);
  dev.minAlignMask = minAlignMask;
}

/** Sets and clears DEVICE_ flags. */
export function deviceSetFlags(dev: DmaDevice, set: u32, clear: u32): void {
  dev.flags = (dev.flags & ~clear) | set;
}

/** Map calls that succeeded, lists counted once; and reservations, whatever was linked into them. */
export function deviceMaps(dev: DmaDevice): u32 {
  let count: u32 = 0;
  for (let cpu = rowCount(dev.ctx); cpu-- > 0; ) count += load<u32>(row(dev, cpu), 0);
  return count;
}

/** Unmap calls, and reservations given back. */
export function deviceUnmaps(dev: DmaDevice): u32 {
  let count: u32 = 0;
  for (let cpu = rowCount(dev.ctx); cpu-- > 0; ) count += load<u32>(row(dev, cpu), 4);
  return count;
}

/** Pages over all map calls that succeeded. */
export function devicePagesMapped(dev: DmaDevice): f64 {
  let pages: u64 = 0;
  for (let cpu = rowCount(dev.ctx); cpu-- > 0; ) pages += load<u64>(row(dev, cpu), 8);
  return <f64>(<i64>pages);
}

/** Pages over all unmap calls. */
export function devicePagesUnmapped(dev: DmaDevice): f64 {
  let pages: u64 = 0;
  for (let cpu = rowCount(dev.ctx); cpu-- > 0; ) pages += load<u64>(row(dev, cpu), 16);
  return <f64>(<i64>pages);
}
