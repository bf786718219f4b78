// dma/ is the DMA API of a device (kernel/dma/mapping.c). The device's dma ops make a mapping; it is then counted, written to
// the event ring, and checked by dma-debug.
//
//   map.ts        the entry points below
//   direct.ts     ops without translation
//   iommu.ts      ops behind a domain, one buffer; iommu-sg.ts and iommu-segments.ts the same for lists
//   coherent.ts   memory that device and CPU share
//   iova-link.ts  the two-step calls: reserve address space, link memory into it
//   sync.ts       sync for CPU and for device;  limits.ts  limits of mappings
//   device-life.ts  a device is destroyed;  check.ts  the check of devices and domains;  host.ts  the calls for the host
//
// A call that fails changes nothing and leaves the reason in cpu.reason.

import { debugMapPage, debugMapSg, debugMapSingle, debugUnmapPage, debugUnmapSg } from '../dma-debug/debug';
import { TYPE_PAGE, TYPE_RESOURCE } from '../dma-debug/entries/entry';
import { EINVAL } from '../memory/errno';
import { KMSG_RESOURCE_OVERFLOW, ONCE_RESOURCE_OVERFLOW, kmsg, kmsgOnce } from '../kmsg/kmsg';
import { addressOf } from '../memory/record';
import { PAGE_SHIFT, PAGE_MASK } from '../ram/ram';
import {
  REASON_DMA_BAD_DIRECTION, REASON_DMA_BAD_SIZE, REASON_DMA_BEYOND_MASK, REASON_DMA_VMALLOC, setReason,
} from '../memory/reason';
import {
  EVENT_DMA_MAP_PAGE, EVENT_DMA_MAP_SG, EVENT_DMA_UNMAP_PAGE, EVENT_DMA_UNMAP_SG, emit,
} from '../events/events';
import { entriesOf } from '../sg/entries';
import { SEGMENTS_NONE, SG_MAPPED, SgTable } from '../sg/sg-table';
import { sgSegmentAddress } from '../sg/segments';
import { countMapped, countUnmapped } from '../device/counts';
import { noteFailure } from '../device/failure';
import {
  DEVICE_CHECKED_IOMMU, DEVICE_ERROR_ZERO, DEVICE_NO_MASK, DEVICE_UNTRUSTED, DmaDevice, OPS_IOMMU,
} from '../device/device';
import { DMA_MAPPING_ERROR, DMA_NONE } from '../device/mapping';
import { mapDirectInline, mapSgDirect, unmapDirect } from './direct';
import { dmaDomainOf, mapRange, mapRangeInline, protOf, unmapPageInline, unmapRange } from './iommu';
import { mapSgIommu, unmapSgIommu } from './iommu-sg';
import { NO_MASK_RESOURCE, refuseNoMask } from './no-mask';
import { mapSgChecked, mapUntrusted, unmapUntrusted } from './untrusted';
import { unmapEach } from './each';
import { tellSearch } from './search';

// @ts-ignore: decorator
@inline
function pagesOf(address: u64, length: u64): u64 {
  return ((address & PAGE_MASK) + length + PAGE_MASK) >> PAGE_SHIFT;
}

function refuse(dev: DmaDevice, reason: u32): void {
  setReason(dev.ctx, reason);
}

/** What a call returns that could not map: DMA_MAPPING_ERROR, or in 2015 an address like any other. */
export function deviceErrorAddress(dev: DmaDevice): u64 {
  return (dev.flags & DEVICE_ERROR_ZERO) != 0 ? 0 : DMA_MAPPING_ERROR;
}

/**
 * Maps part of a page, or of it and its neighbours (dma_map_page_attrs).
 * @param offset of the first byte from the start of page pfn
 * @param length bytes, at least 1
 * @returns the device's address, DMA_MAPPING_ERROR with the reason in cpu.reason when it cannot be mapped
 */
export function dmaMapPage(dev: DmaDevice, pfn: u32, offset: u32, length: u32, dir: u32, attrs: u32): u64 {
  return mapPage(dev, (<u64>pfn << PAGE_SHIFT) + offset, length, dir, attrs);
}

/** The same by physical address, for the hot path of the host's and the drivers' calls. */
// @ts-ignore: decorator
@inline
export function mapPage(dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32): u64 {
  let address = DMA_MAPPING_ERROR;
  if (dir >= DMA_NONE) refuse(dev, REASON_DMA_BAD_DIRECTION);
  else if (length == 0) refuse(dev, REASON_DMA_BAD_SIZE);
  else if (dev.ops != OPS_IOMMU) address = mapDirectInline(dev, phys, length, dir, attrs);
  else if ((dev.flags & DEVICE_CHECKED_IOMMU) != 0) address = mapUntrusted(dev, phys, length, dir, attrs);
  else address = mapRangeInline(dev, phys, length, protOf(dir), dev.mask);
  return mapped(dev, phys, length, dir, attrs, address, TYPE_PAGE);
}

/**
 * Maps a buffer by its address (dma_map_single_attrs). An address in the vmalloc area, which also has kernel stacks, is not
 * physically contiguous: the call is refused with a warning, before dma ops and dma-debug see it.
 * @param phys what virt_to_phys gives
 * @returns the device's address, DMA_MAPPING_ERROR with the reason in cpu.reason
 */
export function dmaMapSingle(dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32, vmalloc: bool): u64 {
  const ctx = dev.ctx;
  if (vmalloc || ctx.dmaDebug != 0) {
    if (debugMapSingle(dev, phys, length, vmalloc)) {
      refuse(dev, REASON_DMA_VMALLOC);
      noteFailure(dev);
      return deviceErrorAddress(dev);
    }
  }
  return dmaMapPage(dev, <u32>(phys >> PAGE_SHIFT), <u32>(phys & PAGE_MASK), length, dir, attrs);
}

// @ts-ignore: decorator
@inline
function mapped(dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32, address: u64, type: u32): u64 {
  const ctx = dev.ctx;
  if (address != DMA_MAPPING_ERROR) countMapped(dev, pagesOf(phys, length));
  else noteFailure(dev);
  if (ctx.dmaDebug != 0 && address != DMA_MAPPING_ERROR) debugMapPage(dev, phys, length, dir, address, attrs, type);
  if (ctx.events != 0) {
    tellSearch(dev);
    emit(ctx, EVENT_DMA_MAP_PAGE, dev.id, address, phys, length, dir, attrs);
  }
  return address != DMA_MAPPING_ERROR ? address : deviceErrorAddress(dev);
}

/** Ends a mapping of dmaMapPage (dma_unmap_page_attrs). */
export function dmaUnmapPage(dev: DmaDevice, address: u64, length: u32, dir: u32, attrs: u32): void {
  endPage(dev, address, length, dir, attrs);
}

/** The same for the hot path of the host's and the drivers' calls. */
// @ts-ignore: decorator
@inline
export function endPage(dev: DmaDevice, address: u64, length: u32, dir: u32, attrs: u32): void {
  if (dev.ops != OPS_IOMMU) unmapDirect(dev, address, length, dir, attrs);
  else if ((dev.flags & DEVICE_UNTRUSTED) != 0) unmapUntrusted(dev, address, length, dir, attrs);
  else unmapPageInline(dev, address, length);
  unmapped(dev, address, length, dir, attrs, TYPE_PAGE);
}

// @ts-ignore: decorator
@inline
function unmapped(dev: DmaDevice, address: u64, length: u32, dir: u32, attrs: u32, type: u32): void {
  countUnmapped(dev, pagesOf(address, length));
  const ctx = dev.ctx;
  if (ctx.dmaDebug != 0) debugUnmapPage(dev, address, length, dir, type);
  if (ctx.events != 0) emit(ctx, EVENT_DMA_UNMAP_PAGE, dev.id, address, 0, length, dir, attrs);
}

/**
 * Maps a device's registers for another device (dma_map_resource): never bounced, not RAM.
 * @returns the device's address, DMA_MAPPING_ERROR with the reason in cpu.reason
 */
export function dmaMapResource(dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32): u64 {
  let address = DMA_MAPPING_ERROR;
  if (dir >= DMA_NONE) refuse(dev, REASON_DMA_BAD_DIRECTION);
  else if (length == 0) refuse(dev, REASON_DMA_BAD_SIZE);
  else if ((dev.flags & DEVICE_NO_MASK) != 0) refuseNoMask(dev, NO_MASK_RESOURCE);
  else if (dev.ops == OPS_IOMMU) address = mapRange(dev, phys, length, protOf(dir), dev.mask);
  else if (phys + length - 1 <= dev.mask) address = phys;
  else refuseResource(dev, phys, length);
  return mapped(dev, phys, length, dir, attrs, address, TYPE_RESOURCE);
}

function refuseResource(dev: DmaDevice, phys: u64, length: u32): void {
  const ctx = dev.ctx;
  if (kmsgOnce(ctx, ONCE_RESOURCE_OVERFLOW)) kmsg(ctx, KMSG_RESOURCE_OVERFLOW, dev.id, phys, length, dev.mask, 0, 0, 0);
  refuse(dev, REASON_DMA_BEYOND_MASK);
}

/** Ends a mapping of dmaMapResource (dma_unmap_resource). */
export function dmaUnmapResource(dev: DmaDevice, address: u64, length: u32, dir: u32, attrs: u32): void {
  if (dev.ops == OPS_IOMMU) unmapRange(dmaDomainOf(dev), address, length);
  unmapped(dev, address, length, dir, attrs, TYPE_RESOURCE);
}

/**
 * Maps a table (dma_map_sgtable): its segments can be read from it afterwards. The addresses of an
 * earlier mapping are overwritten without an error, as in the kernel.
 * @returns segments, or a negative errno with the reason in cpu.reason: -ENOMEM no range or no memory, -EINVAL an entry
 *   that is too long or a direction that is none, -EIO not addressable
 */
export function dmaMapSg(dev: DmaDevice, sgt: SgTable, dir: u32, attrs: u32): i32 {
  let rc = EINVAL;
  if (dir >= DMA_NONE) refuse(dev, REASON_DMA_BAD_DIRECTION);
  else if ((dev.flags & DEVICE_CHECKED_IOMMU) != 0 && dev.ops == OPS_IOMMU) rc = mapSgChecked(dev, sgt, dir, attrs);
  else rc = dev.ops == OPS_IOMMU ? mapSgIommu(dev, sgt, protOf(dir)) : mapSgDirect(dev, sgt, dir, attrs);
  if (rc > 0) {
    sgt.flags |= SG_MAPPED;
    countMapped(dev, sgPages(sgt));
  } else noteFailure(dev);
  const ctx = dev.ctx;
  if (ctx.dmaDebug != 0 && rc > 0) debugMapSg(dev, sgt, entriesOf(sgt), <u32>rc, dir, attrs);
  if (ctx.events != 0) {
    tellSearch(dev);
    const first = rc > 0 ? sgSegmentAddress(sgt, 0) : DMA_MAPPING_ERROR;
    emit(ctx, EVENT_DMA_MAP_SG, dev.id, first, addressOf(sgt), sgt.bytes, dir, <u32>rc);
  }
  return rc;
}

/** Pages that a table's mapping is counted with: whole pages of the table, whatever its entries. */
// @ts-ignore: decorator
@inline
export function sgPages(sgt: SgTable): u64 {
  return sgt.pfns != 0 ? <u64>sgt.pageCount : (sgt.bytes + PAGE_MASK) >> PAGE_SHIFT;
}

/** In place of a number of entries: all of them. */
export const ALL_ENTRIES: u32 = 0xffffffff;

// @ts-ignore: decorator
@inline
export function given(sgt: SgTable, count: u32): u32 {
  return count == ALL_ENTRIES ? entriesOf(sgt) : count;
}

/**
 * Ends a table's mapping (dma_unmap_sg).
 * @param count entries as they were given to map, or ALL_ENTRIES; the kernel unmaps no more segments than that
 */
export function dmaUnmapSg(dev: DmaDevice, sgt: SgTable, count: u32, dir: u32, attrs: u32): void {
  const ctx = dev.ctx;
  if (ctx.dmaDebug != 0) debugUnmapSg(dev, sgt, given(sgt, count), dir);
  if (dev.ops == OPS_IOMMU && (dev.flags & DEVICE_UNTRUSTED) == 0) unmapSgIommu(dev, sgt, count);
  else unmapEach(dev, sgt, count, dir, attrs);
  sgt.flags &= ~SG_MAPPED;
  countUnmapped(dev, sgPages(sgt));
  if (ctx.events != 0) {
    const first = sgt.shape != SEGMENTS_NONE ? sgSegmentAddress(sgt, 0) : DMA_MAPPING_ERROR;
    emit(ctx, EVENT_DMA_UNMAP_SG, dev.id, first, addressOf(sgt), sgt.bytes, dir, given(sgt, count));
  }
}
