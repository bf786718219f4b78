// Limits of mappings, for drivers (dma_get_merge_boundary, dma_max_mapping_size, dma_opt_mapping_size).

import { DMA_ZONE_MASK, HIGH_START, PAGE_SHIFT, ramOf, PAGE_MASK } from '../ram/ram';
import { swiotlbMaxMapping } from '../swiotlb/swiotlb';
import { COOKIE_MAP_ENTRIES, COOKIE_TREE_ONLY } from '../iommu/cookie';
import {
  DEVICE_FORCE_BOUNCE, DEVICE_RANGES, DEVICE_UNTRUSTED, DmaDevice, OPS_IOMMU, bitMask,
} from '../device/device';
import { NO_ADDRESS, physToDma, rangesCover } from '../device/ranges';
import { Context } from '../memory/context';
import { cookieOf, dmaDomainOf } from './iommu';

/** SIZE_MAX: nothing limits a mapping. */
export const UNLIMITED: u64 = 0xffffffffffffffff;
/** Largest size of the IOVA caches (iova_rcache_range): 32 pages. */
const CACHED_BYTES: u64 = 131072;

/** Entries of a list are merged at multiples of this mask + 1, whatever their physical addresses: 0xfff behind an IOMMU; else 0. */
export function dmaMergeBoundary(dev: DmaDevice): u32 {
  return dev.ops == OPS_IOMMU && (cookieOf(dmaDomainOf(dev)).flags & COOKIE_MAP_ENTRIES) == 0 ? <u32>PAGE_MASK : 0;
}

/** The last page of RAM ((max_pfn - 1) << PAGE_SHIFT). */
function lastPage(ctx: Context): u64 {
  const ram = ramOf(ctx);
  return <u64>((ram.highEnd > HIGH_START ? ram.highEnd : ram.lowEnd) - 1) << PAGE_SHIFT;
}

/** Bits of address that reach all RAM (dma_direct_get_required_mask). */
export function dmaRequiredBits(dev: DmaDevice): u32 {
  return 64 - <u32>clz<u64>(physToDma(dev, lastPage(dev.ctx)));
}

/**
 * Whether a mask can be set for a device without translation (dma_direct_supported): 32 bits always, fewer if they reach
 * ZONE_DMA or what RAM there is.
 */
export function dmaMaskSupported(dev: DmaDevice, mask: u64): bool {
  return mask >= bitMask(32) || mask >= physToDma(dev, min(lastPage(dev.ctx), DMA_ZONE_MASK));
}

/** Whether there is memory that the device does not reach (dma_addressing_limited); behind an IOMMU 32 bits reach all. */
export function dmaAddressingLimited(dev: DmaDevice): bool {
  if (dev.ops == OPS_IOMMU) return dev.mask < bitMask(32);
  if (dev.mask < bitMask(dmaRequiredBits(dev))) return true;
  if ((dev.flags & DEVICE_RANGES) == 0) return false;
  const ram = ramOf(dev.ctx);
  return !rangesCover(dev, 0, <u64>ram.lowEnd << PAGE_SHIFT)
    || (ram.highEnd > HIGH_START && !rangesCover(dev, <u64>HIGH_START << PAGE_SHIFT, <u64>ram.highEnd << PAGE_SHIFT));
}

/** Longest single mapping in bytes: what a bounce pool can take for a device that may need it, else SIZE_MAX. */
export function dmaMaxMapping(dev: DmaDevice): u64 {
  if (dev.ops == OPS_IOMMU) return (dev.flags & DEVICE_UNTRUSTED) != 0 ? <u64>swiotlbMaxMapping(dev) : UNLIMITED;
  if (dev.swiotlb == 0) return UNLIMITED;
  return dmaAddressingLimited(dev) || (dev.flags & DEVICE_FORCE_BOUNCE) != 0 ? <u64>swiotlbMaxMapping(dev) : UNLIMITED;
}

/** Longest mapping in bytes that is fast: what the IOVA caches serve, else as dmaMaxMapping. */
export function dmaOptMapping(dev: DmaDevice): u64 {
  return dev.ops == OPS_IOMMU && (cookieOf(dmaDomainOf(dev)).flags & COOKIE_TREE_ONLY) == 0 ? min(CACHED_BYTES, dmaMaxMapping(dev)) : dmaMaxMapping(dev);
}

/** Whether a device without translation reaches a piece of memory with its coherent mask (dma_coherent_ok). */
export function coherentOk(dev: DmaDevice, phys: u64, size: u64): bool {
  const address = physToDma(dev, phys);
  return address != NO_ADDRESS && address + size - 1 <= dev.coherentMask;
}
