// device/ has the record of a device (struct device, struct device_dma_parameters): its dma ops, masks and segment limits. It
// lies below the IOMMU, the bounce pool, dma-debug and the DMA API, which all use the record.
//
//   device.ts    the record            life.ts   how it is made and freed       state.ts  the machine's list of devices
//   mapping.ts   directions, attributes and the error value of a mapping
//   counts.ts    mappings and pages per device      ranges.ts  addresses of a bus that differ from the CPU's
//   failure.ts   why the last call failed

import { Context } from '../memory/context';
import { Guarded } from '../memory/lock';

/** The domain that translates for a device. IommuDomain of iommu/ extends this class. */
// @ts-ignore: decorator
@unmanaged
export class AttachedDomain extends Guarded {}

// @ts-ignore: decorator
@unmanaged
export class DmaDevice {
  ctx: Context;
  /** The host's number for this device, from 1: events, findings and faults have it. */
  id: u32;
  /** OPS_DIRECT or OPS_IOMMU; with OPS_DIRECT the bounce pool serves what the mask cannot reach. */
  ops: u32;
  /** PCI requester id: bus << 8 | devfn. */
  sourceId: u32;
  /** Translates this device's accesses; null without an IOMMU and with DEVICE_PASSTHROUGH. Devices may share one. */
  domain: AttachedDomain | null;
  flags: u32;
  mask: u64;
  coherentMask: u64;
  segmentBoundary: u64;
  maxSegment: u32;
  minAlignMask: u32;
  /** The allocator of its bounce pools (dev->dma_io_tlb_mem, swiotlb/pool.ts), 0 without one. */
  swiotlb: usize;
  /** BusRange records of a device whose addresses differ from the CPU's (dev->dma_range_map): a block; how many. */
  ranges: usize;
  rangeCount: u32;
  /** Why the device's last call failed, and how many calls had been counted by then, plus 1 (failure.ts). */
  reason: u32;
  failedAt: u32;
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
/** The driver's name passes dma-debug's driver filter; set by the host, which has the names. */
export const DEVICE_FILTER_MATCH: u32 = 8;
/** The device's accesses go through the IOMMU, even while it is detached: set by the first attachment. */
export const DEVICE_BEHIND_IOMMU: u32 = 16;
/** What a failed mapping returns is 0 (DMA_ERROR_CODE of x86 before 4.13). */
export const DEVICE_ERROR_ZERO: u32 = 32;
/** It came over a cable: what does not fill its pages is bounced behind an IOMMU (pci_dev.untrusted). */
export const DEVICE_UNTRUSTED: u32 = 64;
/** It has no mask at all (dev->dma_mask is NULL): nothing can be mapped. */
export const DEVICE_NO_MASK: u32 = 128;
/** It has ranges (ranges.ts): its addresses are not those of the CPU. */
export const DEVICE_RANGES: u32 = 256;
/** A mapping of it was bounced: syncs may have work (dma_skip_sync is false). */
export const DEVICE_BOUNCED: u32 = 512;

/** Its coherent memory comes from its restricted pool (is_swiotlb_for_alloc). */
export const DEVICE_POOL_ALLOC: u32 = 1024;
/** Its accesses do not snoop the CPU's caches (dev_is_dma_coherent is false). */
export const DEVICE_NONCOHERENT: u32 = 2048;
/** Coherent memory without translation as in 2015: one zone is tried, then the bounce pool (x86_swiotlb_alloc_coherent). */
export const DEVICE_ONE_ZONE: u32 = 1 << 12;

/** Behind a domain these are mapped by functions of their own, and without translation those. */
export const DEVICE_CHECKED_IOMMU: u32 = DEVICE_UNTRUSTED | DEVICE_NO_MASK;
export const DEVICE_CHECKED_DIRECT: u32 = DEVICE_FORCE_BOUNCE | DEVICE_NO_MASK | DEVICE_RANGES;

/** DMA_BIT_MASK(bits), 0 to 64. */
// @ts-ignore: decorator
@inline
export function bitMask(bits: u32): u64 {
  return bits == 0 ? 0 : 0xffffffffffffffff >> (64 - bits);
}

/** dma_set_mask and dma_set_coherent_mask: widths in bits, 1 to 64; 0 for a device without a mask. */
export function deviceSetMask(dev: DmaDevice, bits: u32, coherentBits: u32): void {
  deviceSetReach(dev, bitMask(bits), bitMask(coherentBits));
}

/** The same for any masks, and for what the buses let through: the last addresses; 0 for a device without a mask. */
export function deviceSetReach(dev: DmaDevice, mask: u64, coherentMask: u64): void {
  dev.mask = mask;
  dev.coherentMask = coherentMask;
  deviceSetFlags(dev, mask == 0 ? DEVICE_NO_MASK : 0, DEVICE_NO_MASK);
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

/** Whether an address is what a failed mapping returns for a device (dma_mapping_error). */
// @ts-ignore: decorator
@inline
export function isMappingError(dev: DmaDevice, address: u64): bool {
  return address == u64.MAX_VALUE || (address == 0 && (dev.flags & DEVICE_ERROR_ZERO) != 0);
}
