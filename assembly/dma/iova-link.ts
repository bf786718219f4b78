// The two-step calls (dma_iova_try_alloc and others of drivers/iommu/dma-iommu.c): a driver reserves address space once, links
// memory into it piece by piece, and unlinks and frees it again. Only devices behind a domain can use them.

import { debugLink, debugRangeAlloc, debugRangeFree, debugUnlink } from '../dma-debug/links/links';
import { EINVAL, EIO } from '../memory/errno';
import { iommuMapUnsynced, iommuSyncMap, iommuUnmap } from '../iommu/api/ops';
import { flushQueueAdd } from '../iommu/flush-queue';
import { iotlbFlushPages } from '../iommu/iotlb';
import { PAGE_MASK, PAGE_SHIFT } from '../ram/ram';
import {
  REASON_DMA_BAD_DIRECTION, REASON_DMA_BAD_SIZE, REASON_DMA_NO_IOMMU, REASON_DMA_OFFSET_MISMATCH, setReason,
} from '../memory/reason';
import { EVENT_DMA_MAP_PAGE, EVENT_DMA_UNMAP_PAGE, emit } from '../events/events';
import { countLinked, countMapped, countUnlinked, countUnmapped } from '../device/counts';
import { DmaDevice, OPS_IOMMU } from '../device/device';
import { forgetFailure, noteFailure } from '../device/failure';
import { DMA_MAPPING_ERROR, DMA_NONE } from '../device/mapping';
import { cookieOf, dmaDomainOf, protOf, rangeAlloc, rangeFree } from './iommu';

/** Bytes of the whole pages that `size` bytes from an address on touch. */
// @ts-ignore: decorator
@inline
function span(address: u64, size: u64): u64 {
  return ((address & PAGE_MASK) + size + PAGE_MASK) & ~PAGE_MASK;
}

function fail(dev: DmaDevice, reason: u32, rc: i32): i32 {
  setReason(dev.ctx, reason);
  noteFailure(dev);
  return rc;
}

/**
 * Reserves address space for `size` bytes that will begin at the offset in a page that phys has (dma_iova_try_alloc).
 * @returns the address of the first byte, DMA_MAPPING_ERROR with the reason in cpu.reason
 */
export function dmaIovaTryAlloc(dev: DmaDevice, phys: u64, size: u64): u64 {
  const start = phys & PAGE_MASK;
  if (dev.ops != OPS_IOMMU) return fail(dev, REASON_DMA_NO_IOMMU, -1);
  if (size == 0) return fail(dev, REASON_DMA_BAD_SIZE, -1);
  const pfn = rangeAlloc(dev, cookieOf(dmaDomainOf(dev)), span(start, size) >> PAGE_SHIFT, dev.mask);
  if (pfn == 0) {
    noteFailure(dev);
    return DMA_MAPPING_ERROR;
  }
  const address = (pfn << PAGE_SHIFT) + start;
  countMapped(dev, 0);
  if (dev.ctx.dmaDebug != 0) debugRangeAlloc(dev, address, size);
  return address;
}

/**
 * Links memory into reserved space (dma_iova_link). Only the first piece may begin inside a page; memory and address must
 * have the same offset in their pages.
 * @param base what dmaIovaTryAlloc returned
 * @param offset of the piece from there, in bytes
 * @returns 0; -EIO where the offsets in the page disagree, -EINVAL, or the tables' errno, with the reason in cpu.reason
 */
export function dmaIovaLink(dev: DmaDevice, base: u64, offset: u64, phys: u64, size: u64, dir: u32, attrs: u32): i32 {
  forgetFailure(dev);
  if (dev.ops != OPS_IOMMU) return fail(dev, REASON_DMA_NO_IOMMU, EINVAL);
  if (dir >= DMA_NONE) return fail(dev, REASON_DMA_BAD_DIRECTION, EINVAL);
  if (size == 0) return fail(dev, REASON_DMA_BAD_SIZE, EINVAL);
  const address = base + offset;
  const pad = address & PAGE_MASK;
  if (pad != (phys & PAGE_MASK) || (pad != 0 && offset > 0)) return fail(dev, REASON_DMA_OFFSET_MISMATCH, EIO);
  const bytes = span(address, size);
  const rc = iommuMapUnsynced(dmaDomainOf(dev), address - pad, phys - pad, bytes, protOf(dir));
  if (rc < 0) {
    noteFailure(dev);
    return rc;
  }
  countLinked(dev, bytes >> PAGE_SHIFT);
  const ctx = dev.ctx;
  if (ctx.dmaDebug != 0) debugLink(dev, base, address, phys, size, dir);
  if (ctx.events != 0) emit(ctx, EVENT_DMA_MAP_PAGE, dev.id, address, phys, size, dir, attrs);
  return 0;
}

/** Makes links visible to the device (dma_iova_sync): of a unit that caches what is not present, the pages are flushed. */
export function dmaIovaSync(dev: DmaDevice, base: u64, offset: u64, size: u64): i32 {
  forgetFailure(dev);
  if (dev.ops != OPS_IOMMU) return fail(dev, REASON_DMA_NO_IOMMU, EINVAL);
  if (size == 0) return fail(dev, REASON_DMA_BAD_SIZE, EINVAL);
  const address = base + offset;
  iommuSyncMap(dmaDomainOf(dev), address & ~PAGE_MASK, span(address, size));
  return 0;
}

/** Unlinks memory at an offset and flushes the IOTLB; the address space stays reserved (dma_iova_unlink). */
export function dmaIovaUnlink(dev: DmaDevice, base: u64, offset: u64, size: u64, dir: u32, attrs: u32): void {
  forgetFailure(dev);
  if (dev.ops != OPS_IOMMU || size == 0) return;
  const address = base + offset;
  unlink(dev, base, address, size, dir, true);
  const ctx = dev.ctx;
  if (ctx.events != 0) emit(ctx, EVENT_DMA_UNMAP_PAGE, dev.id, address, 0, size, dir, attrs);
}

function unlink(dev: DmaDevice, base: u64, address: u64, size: u64, dir: u32, flush: bool): void {
  const domain = dmaDomainOf(dev);
  const start = address & ~PAGE_MASK;
  const bytes = span(address, size);
  iommuUnmap(domain, start, bytes);
  if (flush) iotlbFlushPages(domain, start, bytes);
  countUnlinked(dev, bytes >> PAGE_SHIFT);
  if (dev.ctx.dmaDebug != 0) debugUnlink(dev, base, address, size, dir);
}

/** Frees reserved space without links (dma_iova_free). */
export function dmaIovaFree(dev: DmaDevice, base: u64, size: u64): void {
  if (dev.ops != OPS_IOMMU || size == 0) return;
  given(dev, base, size);
  rangeFree(cookieOf(dmaDomainOf(dev)), base >> PAGE_SHIFT, span(base, size) >> PAGE_SHIFT);
}

function given(dev: DmaDevice, base: u64, size: u64): void {
  countUnmapped(dev, 0);
  if (dev.ctx.dmaDebug != 0) debugRangeFree(dev, base, size);
}

/** Unlinks the first `linked` bytes and frees the space, after a flush in a lazy domain (dma_iova_destroy). */
export function dmaIovaDestroy(dev: DmaDevice, base: u64, linked: u64, size: u64, dir: u32, attrs: u32): void {
  if (linked == 0) {
    dmaIovaFree(dev, base, size);
    return;
  }
  if (dev.ops != OPS_IOMMU) return;
  const cookie = cookieOf(dmaDomainOf(dev));
  const pages = span(base, size) >> PAGE_SHIFT;
  unlink(dev, base, base, linked, dir, cookie.queue == null);
  given(dev, base, size);
  if (cookie.queue != null) flushQueueAdd(cookie.queue!, base >> PAGE_SHIFT, <u32>pages);
  else rangeFree(cookie, base >> PAGE_SHIFT, pages);
  const ctx = dev.ctx;
  if (ctx.events != 0) emit(ctx, EVENT_DMA_UNMAP_PAGE, dev.id, base, 0, linked, dir, attrs);
}
