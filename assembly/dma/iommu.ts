// dma ops behind a translating domain (iommu_dma_map_page and others of drivers/iommu/dma-iommu.c; with the cookie's flags of
// 2015, intel_map_page of intel-iommu.c): a mapping takes a range of IOVA and fills its table entries. Lists are in iommu-sg.ts.

import { PAGE_MASK, PAGE_SHIFT, PAGE_SIZE } from '../ram/ram';
import { iovaAlloc, iovaAllocFast, iovaFind, iovaFree, iovaFreeFast } from '../iova/iova';
import { deferredAdd } from '../iommu/deferred-list';
import {
  COOKIE_DEFERRED_LIST, COOKIE_LAZY, COOKIE_NO_MIN_ALIGN, COOKIE_RETRY_32BIT, COOKIE_TREE_ONLY, COOKIE_UNMAP_RANGE, DmaCookie,
} from '../iommu/cookie';
import { IommuDomain, PROT_READ, PROT_WRITE, domainOf } from '../iommu/domain';
import { iommuMap, iommuMapPage, iommuTranslates, iommuUnmap, iommuUnmapPage } from '../iommu/api/ops';
import { flushQueueAdd } from '../iommu/flush-queue';
import { iotlbFlushPages } from '../iommu/iotlb';
import {
  KMSG_ALIGNMENT, KMSG_DMA_BITS, KMSG_IOVA_FAILED, KMSG_UNMAPPED_SIZE, KMSG_UNMAP_NOTHING, ONCE_ALIGNMENT, ONCE_UNMATCHED,
  kmsg, kmsgOnce,
} from '../kmsg/kmsg';
import { REASON_DMA_ALIGNMENT, REASON_DMA_NOT_MAPPED, setReason } from '../memory/reason';
import { DEVICE_TRY_32BIT, DmaDevice } from '../device/device';
import { noteFailure } from '../device/failure';
import { DMA_FROM_DEVICE, DMA_MAPPING_ERROR, DMA_TO_DEVICE } from '../device/mapping';

/** Last pfn below 4 GiB. */
const LAST_32BIT: u64 = 0xfffff;

/** The domain of a device with OPS_IOMMU. */
// @ts-ignore: decorator
@inline
export function dmaDomainOf(dev: DmaDevice): IommuDomain {
  return domainOf(dev)!;
}

/** The cookie of such a domain. */
// @ts-ignore: decorator
@inline
export function cookieOf(domain: IommuDomain): DmaCookie {
  return domain.cookie!;
}

/** Table permissions for a direction (dma_info_to_prot). */
// @ts-ignore: decorator
@inline
export function protOf(dir: u32): u32 {
  return dir == DMA_TO_DEVICE ? PROT_READ : dir == DMA_FROM_DEVICE ? PROT_WRITE : PROT_READ | PROT_WRITE;
}

/**
 * Takes a range of IOVA (iommu_dma_alloc_iova, intel_alloc_iova).
 * @param pages its size; it is aligned to the next power of two
 * @param mask what the device can address
 * @returns its first pfn, or 0 with the allocator's reason
 */
export function rangeAlloc(dev: DmaDevice, cookie: DmaCookie, pages: u64, mask: u64): u64 {
  const limit = min(mask >> PAGE_SHIFT, cookie.lastPfn);
  const tree = (cookie.flags & COOKIE_TREE_ONLY) != 0;
  let low = limit > LAST_32BIT && (dev.flags & DEVICE_TRY_32BIT) != 0;
  do {
    const most = low ? LAST_32BIT : limit;
    const pfn = tree ? iovaAlloc(cookie.iova, pages, most, true) : iovaAllocFast(cookie.iova, pages, most, !low);
    if (pfn != 0) return pfn;
    if (!low) {
      kmsg(dev.ctx, KMSG_IOVA_FAILED, dev.id, 0, pages, 0, 0, 0, 0);
      return 0;
    }
    // After the first failure the device uses all its address bits.
    if ((cookie.flags & COOKIE_RETRY_32BIT) == 0) {
      dev.flags &= ~DEVICE_TRY_32BIT;
      kmsg(dev.ctx, KMSG_DMA_BITS, dev.id, 0, 0, 0, 0, 64 - <u32>clz<u64>(bitsLimit(cookie, mask)), 0);
    }
    low = false;
  } while (true);
}

/** The last address that a device with that mask gets in a domain (dma_limit of iommu_dma_alloc_iova). */
function bitsLimit(cookie: DmaCookie, mask: u64): u64 {
  return min(mask, (cookie.lastPfn << PAGE_SHIFT) | PAGE_MASK);
}

/** Frees a range without a flush: nothing was mapped in it, or the IOTLB was flushed. */
export function rangeFree(cookie: DmaCookie, pfn: u64, pages: u64): void {
  if ((cookie.flags & COOKIE_TREE_ONLY) != 0) iovaFree(cookie.iova, pfn);
  else iovaFreeFast(cookie.iova, pfn, pages);
}

/**
 * Ends a mapping: clears its entries, then frees its range, now or after a flush (__iommu_dma_unmap, intel_unmap).
 * As in the kernel the size is not checked: a wrong one clears the wrong entries and frees the range into the wrong class.
 * @param size bytes from address on; the pages that they touch are unmapped
 */
export function unmapRange(domain: IommuDomain, address: u64, size: u64): void {
  const cookie = cookieOf(domain);
  if ((cookie.flags & COOKIE_UNMAP_RANGE) != 0) {
    unmapFound(domain, cookie, address);
    return;
  }
  clearRange(domain, cookie, address, size);
}

// @ts-ignore: decorator
@inline
function clearRange(domain: IommuDomain, cookie: DmaCookie, address: u64, size: u64): void {
  const start = address & ~PAGE_MASK;
  const bytes = (size + (address & PAGE_MASK) + PAGE_MASK) & ~PAGE_MASK;
  if (bytes != PAGE_SIZE || !iommuUnmapPage(domain, start)) {
    const unmapped = iommuUnmap(domain, start, bytes);
    if (unmapped != bytes) kmsg(domain.ctx, KMSG_UNMAPPED_SIZE, 0, start, bytes, unmapped, 0, 0, 0);
  }
  if ((cookie.flags & COOKIE_LAZY) == 0) {
    iotlbFlushPages(domain, start, bytes);
    rangeFree(cookie, start >> PAGE_SHIFT, bytes >> PAGE_SHIFT);
  } else if (cookie.queue != null) flushQueueAdd(cookie.queue!, start >> PAGE_SHIFT, <u32>(bytes >> PAGE_SHIFT));
  else deferredAdd(domain.ctx, cookie.iova, start >> PAGE_SHIFT);
}

/** Ends the whole mapping that holds an address (intel_unmap of 2015). Returns false with the reason if there is none. */
function unmapFound(domain: IommuDomain, cookie: DmaCookie, address: u64): bool {
  const ctx = domain.ctx;
  if (!iovaFind(cookie.iova, address >> PAGE_SHIFT)) {
    if (kmsgOnce(ctx, ONCE_UNMATCHED)) kmsg(ctx, KMSG_UNMAP_NOTHING, 0, address, 0, 0, 0, 0, 0);
    setReason(ctx, REASON_DMA_NOT_MAPPED);
    return false;
  }
  const space = cookie.iova;
  const first = space.foundLo;
  const bytes = (space.foundHi - first + 1) << PAGE_SHIFT;
  iommuUnmap(domain, first << PAGE_SHIFT, bytes);
  if ((cookie.flags & COOKIE_LAZY) == 0) {
    iotlbFlushPages(domain, first << PAGE_SHIFT, bytes);
    rangeFree(cookie, first, bytes >> PAGE_SHIFT);
  } else if ((cookie.flags & COOKIE_DEFERRED_LIST) != 0) deferredAdd(ctx, cookie.iova, first);
  else flushQueueAdd(cookie.queue!, first, <u32>(bytes >> PAGE_SHIFT));
  return true;
}

/** What the IOMMU's pages cannot keep of an address (__iommu_dma_map); the kernel of 2015 did not check it. */
export function refusesAlignment(dev: DmaDevice): bool {
  if ((cookieOf(dmaDomainOf(dev)).flags & COOKIE_NO_MIN_ALIGN) != 0) return false;
  const ctx = dev.ctx;
  if (kmsgOnce(ctx, ONCE_ALIGNMENT)) kmsg(ctx, KMSG_ALIGNMENT, dev.id, 0, 0, 0, 0, 0, 0);
  setReason(ctx, REASON_DMA_ALIGNMENT);
  return true;
}

/**
 * Maps [phys, phys + size) into a range of its own (__iommu_dma_map).
 * @param mask what the device can address
 * @returns the device's address of the first byte, or DMA_MAPPING_ERROR with the reason in cpu.reason
 */
export function mapRange(dev: DmaDevice, phys: u64, size: u64, prot: u32, mask: u64): u64 {
  return mapRangeInline(dev, phys, size, prot, mask);
}

/** The same for the hot path. */
// @ts-ignore: decorator
@inline
export function mapRangeInline(dev: DmaDevice, phys: u64, size: u64, prot: u32, mask: u64): u64 {
  const domain = dmaDomainOf(dev);
  const cookie = cookieOf(domain);
  const offset = phys & PAGE_MASK;
  if (dev.minAlignMask > <u32>PAGE_MASK && refusesAlignment(dev)) return DMA_MAPPING_ERROR;
  const bytes = (size + offset + PAGE_MASK) & ~PAGE_MASK;
  const pfn = rangeAlloc(dev, cookie, bytes >> PAGE_SHIFT, mask);
  if (pfn == 0) return DMA_MAPPING_ERROR;
  const stored = bytes == PAGE_SIZE && iommuMapPage(domain, pfn << PAGE_SHIFT, phys - offset, prot);
  if (!stored && iommuMap(domain, pfn << PAGE_SHIFT, phys - offset, bytes, prot) < 0) {
    rangeFree(cookie, pfn, bytes >> PAGE_SHIFT);
    return DMA_MAPPING_ERROR;
  }
  return (pfn << PAGE_SHIFT) + offset;
}

/**
 * Ends a single mapping (iommu_dma_unmap_page): the kernel first looks the address up in the page tables, and does nothing
 * if it is not mapped. In 2015 it looked it up in the allocator instead.
 */
export function unmapPage(dev: DmaDevice, address: u64, size: u64): void {
  unmapPageInline(dev, address, size);
}

/** The same for the hot path. */
// @ts-ignore: decorator
@inline
export function unmapPageInline(dev: DmaDevice, address: u64, size: u64): void {
  const domain = dmaDomainOf(dev);
  const cookie = cookieOf(domain);
  if ((cookie.flags & COOKIE_UNMAP_RANGE) != 0) unmapWhole(dev, address);
  else if (iommuTranslates(domain, address)) clearRange(domain, cookie, address, size);
  else {
    kmsg(dev.ctx, KMSG_UNMAP_NOTHING, dev.id, address, size, 0, 0, 0, 0);
    setReason(dev.ctx, REASON_DMA_NOT_MAPPED);
    noteFailure(dev, 1);
  }
}

function unmapWhole(dev: DmaDevice, address: u64): void {
  const domain = dmaDomainOf(dev);
  if (!unmapFound(domain, cookieOf(domain), address)) noteFailure(dev, 1);
}
