// Limits of mappings, for drivers (dma_get_merge_boundary, dma_max_mapping_size, dma_opt_mapping_size).

import { HIGH_START, PAGE_SHIFT, ramOf } from '../ram/ram';
import { swiotlbMaxMapping } from '../swiotlb/swiotlb';
import { COOKIE_MAP_ENTRIES, COOKIE_TREE_ONLY } from '../iommu/cookie';
import { DEVICE_FORCE_BOUNCE, DmaDevice, OPS_IOMMU } from '../device/device';
import { cookieOf, dmaDomainOf } from './iommu';

/** SIZE_MAX: nothing limits a mapping. */
export const UNLIMITED: u64 = 0xffffffffffffffff;
/** Largest size of the IOVA caches (iova_rcache_range): 32 pages. */
const CACHED_BYTES: u64 = 131072;

/** Entries of a list are merged at multiples of this mask + 1, whatever their physical addresses: 0xfff behind an IOMMU; else 0. */
export function dmaMergeBoundary(dev: DmaDevice): u32 {
  return dev.ops == OPS_IOMMU && (cookieOf(dmaDomainOf(dev)).flags & COOKIE_MAP_ENTRIES) == 0 ? 0xfff : 0;
}

/** Whether the machine has RAM that the device's mask does not reach (dma_addressing_limited). */
function limited(dev: DmaDevice): bool {
  const ram = ramOf(dev.ctx);
  const end = ram.highEnd > HIGH_START ? ram.highEnd : ram.lowEnd;
  const last = (<u64>end << PAGE_SHIFT) - 1;
  // The kernel compares with the last address rounded up to a mask of ones (dma_direct_get_required_mask).
  return dev.mask < 0xffffffffffffffff >> clz<u64>(last);
}

/** Longest single mapping in bytes: what a bounce pool can take for a device that may need it, else SIZE_MAX. */
export function dmaMaxMapping(dev: DmaDevice): u64 {
  if (dev.ops == OPS_IOMMU || dev.ctx.swiotlb == 0) return UNLIMITED;
  return limited(dev) || (dev.flags & DEVICE_FORCE_BOUNCE) != 0 ? <u64>swiotlbMaxMapping(dev) : UNLIMITED;
}

/** Longest mapping in bytes that is fast: what the IOVA caches serve, else as dmaMaxMapping. */
export function dmaOptMapping(dev: DmaDevice): u64 {
  return dev.ops == OPS_IOMMU && (cookieOf(dmaDomainOf(dev)).flags & COOKIE_TREE_ONLY) == 0 ? CACHED_BYTES : dmaMaxMapping(dev);
}
