// Coherent memory (dma_alloc_attrs): frames that CPU and device share until the driver frees them. Behind a domain any frames
// are mapped to one range; without translation they are one block below the device's coherent mask. The buffer is a table in
// pages form that owns its frames.

import { debugAllocCoherent, debugFreeCoherent } from '../dma-debug/debug';
import { debugSgDestroy } from '../dma-debug/freed';
import { EINVAL, ENOMEM } from '../memory/errno';
import { COOKIE_MAP_ENTRIES } from '../iommu/cookie';
import { PROT_READ, PROT_WRITE } from '../iommu/domain';
import { iommuMap, iommuMapPfns } from '../iommu/api/ops';
import { Context, cpuOf } from '../memory/context';
import { cmaRelease, cmaTake } from '../ram/cma';
import { blockOfPagesAlloc, pagesAlloc, pagesFree } from '../ram/pages';
import { rangeFree as framesFree } from '../ram/range';
import { MAX_ORDER, PAGE_MASK, PAGE_SHIFT, ZONE_NORMAL } from '../ram/ram';
import { GFP_DMA, GFP_NORMAL, orderOf, zoneBlock, zoneFor } from '../ram/zones';
import { REASON_DMA_BAD_SIZE, REASON_DMA_NO_PAGES, setReason } from '../memory/reason';
import { EVENT_DMA_ALLOC, EVENT_DMA_FREE, emit } from '../events/events';
import { SG_MAX_ENTRY, sgFinish, sgReserve } from '../sg/build';
import { setOneSegment } from '../sg/segments';
import { SG_MAPPED, SG_ONE_RUN, SG_OWNS_PAGES, SgTable, sgDestroy } from '../sg/sg-table';
import { countMapped, countUnmapped } from '../device/counts';
import { noteFailure } from '../device/failure';
import { DEVICE_NONCOHERENT, DEVICE_ONE_ZONE, DEVICE_POOL_ALLOC, DmaDevice, OPS_IOMMU } from '../device/device';
import { NO_ADDRESS, dmaToPhys, physToDma } from '../device/ranges';
import { DMA_ATTR_ALLOC_SINGLE_PAGES, DMA_ATTR_FORCE_CONTIGUOUS, DMA_ATTR_NO_WARN } from '../device/mapping';
import { SWIOTLB_MAX_MAPPING } from '../swiotlb/pool';
import { swiotlbAlloc, swiotlbFree } from '../swiotlb/swiotlb';
import { atomicGive, atomicTake } from './atomic';
import { coherentOk } from './limits';
import { NO_MASK_ALLOC, NO_MASK_ALLOC_PAGES, refuseNoMask } from './no-mask';
import { tellSearch } from './search';
import { cookieOf, dmaDomainOf, protOf, rangeAlloc, rangeFree, refusesAlignment, unmapRange } from './iommu';

/** Order of a 2 MiB leaf: the only larger order that is tried. */
const LARGE_ORDER: u32 = 9;
/** Beside a driver's attributes: dma-debug is told by the caller, or not at all. */
export const ALLOC_UNTRACKED: u32 = 1 << 16;
/** The range is one of a streaming mapping (dma_alloc_pages): the streaming mask bounds it, its direction is in the bits from 18 on. */
export const ALLOC_STREAMING: u32 = 1 << 17;
export const ALLOC_DIRECTION: u32 = 18;
/** The caller must not sleep (GFP_ATOMIC). */
export const ALLOC_ATOMIC: u32 = 1 << 20;

/**
 * Allocates a coherent buffer and maps it.
 * @param length bytes; whole pages are taken
 * @returns the buffer, a table whose first segment is the device's address of it; null with the reason in cpu.reason
 */
export function dmaAllocCoherent(dev: DmaDevice, length: u32, attrs: u32): SgTable | null {
  const buffer = alloc(dev, length, attrs);
  if (buffer == null) noteFailure(dev);
  return buffer;
}

function alloc(dev: DmaDevice, length: u32, attrs: u32): SgTable | null {
  const ctx = dev.ctx;
  const pages = <u32>((<u64>length + PAGE_MASK) >> PAGE_SHIFT);
  if (pages == 0) {
    setReason(ctx, REASON_DMA_BAD_SIZE);
    return null;
  }
  if (dev.coherentMask == 0) {
    refuseNoMask(dev, (attrs & ALLOC_STREAMING) != 0 ? NO_MASK_ALLOC_PAGES : NO_MASK_ALLOC);
    return null;
  }
  const buffer = sgReserve(ctx, pages);
  if (buffer == null) {
    setReason(ctx, REASON_DMA_NO_PAGES);
    return null;
  }
  const translated = dev.ops == OPS_IOMMU;
  const scattered = translated && (attrs & (DMA_ATTR_FORCE_CONTIGUOUS | ALLOC_ATOMIC)) == 0 && !inBlocks(dev);
  const pooled = !translated && (dev.flags & DEVICE_POOL_ALLOC) != 0;
  // Who must not sleep gets neither pages that have to be remapped nor the contiguous area's.
  const atomic = (attrs & ALLOC_ATOMIC) != 0;
  const emergency = atomic && !pooled && (dev.flags & DEVICE_NONCOHERENT) != 0;
  let owned = false;
  if (emergency ? !takeAtomic(dev, translated, pages, buffer.pfns, attrs) : pooled ? !takeSlots(dev, pages, buffer.pfns) : scattered || atomic || !takeArea(dev, translated, pages, buffer.pfns)) {
    owned = !pooled && !emergency && (scattered ? takeFrames(ctx, pages, buffer.pfns, attrs) : takeBlock(dev, translated, pages, buffer.pfns));
    // In 2015 slots of the bounce pool stand in for memory that the device does not reach.
    const standIn = !owned && !translated && !pooled && (dev.flags & DEVICE_ONE_ZONE) != 0 && dev.swiotlb != 0;
    if (!owned && !(standIn && takeSlots(dev, pages, buffer.pfns))) {
      sgDestroy(buffer);
      setReason(ctx, REASON_DMA_NO_PAGES);
      return null;
    }
  }
  buffer.flags = owned ? SG_OWNS_PAGES : 0;
  sgFinish(buffer, 0, <u64>pages << PAGE_SHIFT, SG_MAX_ENTRY, 0);
  if (dmaMapCoherent(dev, buffer, length, attrs) < 0) {
    const reason = cpuOf(ctx).reason;
    if (!owned) giveBack(dev, buffer);
    sgDestroy(buffer);
    setReason(ctx, reason);
    return null;
  }
  return buffer;
}

/**
 * Maps a table of whole pages as a coherent buffer, as dmaAllocCoherent maps the frames that it has allocated.
 * @param length bytes that the driver asked for
 * @returns 0, -ENOMEM or -EINVAL with the reason in cpu.reason
 */
export function dmaMapCoherent(dev: DmaDevice, buffer: SgTable, length: u32, attrs: u32): i32 {
  if (buffer.pfns == 0 || buffer.offset != 0) return EINVAL;
  const phys = <u64>load<u32>(buffer.pfns) << PAGE_SHIFT;
  let address = physToDma(dev, phys);
  if (dev.ops == OPS_IOMMU) {
    if ((attrs & (DMA_ATTR_FORCE_CONTIGUOUS | ALLOC_ATOMIC)) != 0 && dev.minAlignMask > <u32>PAGE_MASK && refusesAlignment(dev)) return ENOMEM;
    const streaming = (attrs & ALLOC_STREAMING) != 0;
    const mask = streaming ? dev.mask : dev.coherentMask;
    address = mapFrames(dev, buffer, mask, streaming ? protOf(attrs >> ALLOC_DIRECTION) : PROT_READ | PROT_WRITE);
    if (address == 0) return ENOMEM;
  }
  setOneSegment(buffer, address, length);
  buffer.flags |= SG_MAPPED;
  countMapped(dev, buffer.pageCount);
  const ctx = dev.ctx;
  if (ctx.dmaDebug != 0 && (attrs & ALLOC_UNTRACKED) == 0) debugAllocCoherent(dev, phys, length, address, attrs);
  if (ctx.events != 0) {
    tellSearch(dev);
    emit(ctx, EVENT_DMA_ALLOC, dev.id, address, phys, length, 0, 0);
  }
  return 0;
}

function mapFrames(dev: DmaDevice, buffer: SgTable, mask: u64, prot: u32): u64 {
  const domain = dmaDomainOf(dev);
  const cookie = cookieOf(domain);
  const pages = buffer.pageCount;
  const pfn = rangeAlloc(dev, cookie, pages, mask);
  if (pfn == 0) return 0;
  const iova = pfn << PAGE_SHIFT;
  const first = <u64>load<u32>(buffer.pfns) << PAGE_SHIFT;
  const rc = (buffer.flags & SG_ONE_RUN) != 0
    ? iommuMap(domain, iova, first, <u64>pages << PAGE_SHIFT, prot)
    : iommuMapPfns(domain, iova, buffer.pfns, pages, prot);
  if (rc == 0) return iova;
  rangeFree(cookie, pfn, pages);
  return 0;
}

/** Allocates any frames: blocks of 2 MiB while there are some, then single ones (__iommu_dma_alloc_pages). */
function takeFrames(ctx: Context, n: u32, dest: usize, attrs: u32): bool {
  let done: u32 = 0;
  if ((attrs & DMA_ATTR_ALLOC_SINGLE_PAGES) == 0) {
    while (n - done >= 1 << LARGE_ORDER) {
      const first = blockOfPagesAlloc(ctx, LARGE_ORDER, ZONE_NORMAL);
      if (first == 0) break;
      for (let i: u32 = 0; i < 1 << LARGE_ORDER; ++i) store<u32>(dest + (<usize>(done + i) << 2), first + i);
      done += 1 << LARGE_ORDER;
    }
  }
  if (done == n || pagesAlloc(ctx, n - done, dest + (<usize>done << 2)) == 0) return true;
  pagesFree(ctx, done, dest);
  return false;
}

/**
 * One block that the device's coherent mask reaches, behind a domain any; what its order has beyond n pages goes back
 * (__dma_direct_alloc_pages). Where the zone that the mask suggests gives a block beyond it, the next lower zone is tried; a zone
 * that gives none ends it.
 */
function takeBlock(dev: DmaDevice, anywhere: bool, n: u32, dest: usize): bool {
  const ctx = dev.ctx;
  const order = orderOf(n);
  if (order > MAX_ORDER) return false;
  for (let zone = anywhere ? GFP_NORMAL : zoneFor(dmaToPhys(dev, dev.coherentMask)); zone <= GFP_DMA; ++zone) {
    const first = zoneBlock(ctx, order, zone);
    if (first == 0) return false;
    const reached = anywhere || coherentOk(dev, <u64>first << PAGE_SHIFT, <u64>n << PAGE_SHIFT);
    const keep = reached ? n : 0;
    if (keep != 1 << order) framesFree(ctx, first + keep, (1 << order) - keep);
    if (reached) {
      for (let i: u32 = 0; i < n; ++i) store<u32>(dest + (<usize>i << 2), first + i);
      return true;
    }
    // In 2015 only a mask of less than 32 bits is tried again.
    if (zone == GFP_NORMAL && (dev.flags & DEVICE_ONE_ZONE) != 0) return false;
  }
  return false;
}

/** Whether coherent memory is one block behind a domain, too: in 2015 (intel_alloc_coherent). */
function inBlocks(dev: DmaDevice): bool {
  return (cookieOf(dmaDomainOf(dev)).flags & COOKIE_MAP_ENTRIES) != 0;
}

/** Memory that is not the page allocator's goes back: the contiguous area's, or a restricted pool's. */
function giveBack(dev: DmaDevice, buffer: SgTable): void {
  const first = load<u32>(buffer.pfns);
  if (!cmaRelease(dev.ctx, first, buffer.pageCount) && !atomicGive(dev.ctx, first, buffer.pageCount)) swiotlbFree(dev, <u64>first << PAGE_SHIFT);
}

/** Pages of the atomic pools (dma_direct_alloc_from_pool, iommu_dma_alloc). */
function takeAtomic(dev: DmaDevice, anywhere: bool, n: u32, dest: usize, attrs: u32): bool {
  const zone = anywhere ? GFP_NORMAL : zoneFor(dmaToPhys(dev, dev.coherentMask));
  const first = atomicTake(dev, n, zone, anywhere, anywhere || (attrs & DMA_ATTR_NO_WARN) == 0);
  for (let i: u32 = 0; i < n && first != 0; ++i) store<u32>(dest + (<usize>i << 2), first + i);
  return first != 0;
}

/** A block of the contiguous area (dma_alloc_contiguous): of more than a page, and where the device reaches it. */
function takeArea(dev: DmaDevice, anywhere: bool, n: u32, dest: usize): bool {
  const ctx = dev.ctx;
  const first = n < 2 ? 0 : cmaTake(ctx, n);
  if (first == 0) return false;
  if (!anywhere && !coherentOk(dev, <u64>first << PAGE_SHIFT, <u64>n << PAGE_SHIFT)) {
    cmaRelease(ctx, first, n);
    return false;
  }
  for (let i: u32 = 0; i < n; ++i) store<u32>(dest + (<usize>i << 2), first + i);
  return true;
}

/** Pages of the device's restricted pool (dma_direct_alloc_swiotlb): no other memory stands in for them. */
function takeSlots(dev: DmaDevice, n: u32, dest: usize): bool {
  if (n > SWIOTLB_MAX_MAPPING >> PAGE_SHIFT) return false;
  const phys = swiotlbAlloc(dev, n << PAGE_SHIFT, (dev.flags & DEVICE_POOL_ALLOC) != 0 ? orderOf(n) : 0);
  if (phys == 0) return false;
  if (!coherentOk(dev, phys, <u64>n << PAGE_SHIFT)) {
    swiotlbFree(dev, phys);
    return false;
  }
  const first = <u32>(phys >> PAGE_SHIFT);
  for (let i: u32 = 0; i < n; ++i) store<u32>(dest + (<usize>i << 2), first + i);
  return true;
}

/**
 * Ends a coherent mapping and frees the buffer with its frames (dma_free_attrs). Size and address are those that the driver
 * passes: dma-debug checks them, and they are unmapped.
 */
export function dmaFreeCoherent(dev: DmaDevice, buffer: SgTable, length: u32, address: u64, attrs: u32): void {
  dmaUnmapCoherent(dev, buffer, length, address, attrs);
  if ((buffer.flags & SG_OWNS_PAGES) == 0) giveBack(dev, buffer);
  debugSgDestroy(buffer);
}

/** The first half of dmaFreeCoherent: ends the mapping, keeps the table. */
export function dmaUnmapCoherent(dev: DmaDevice, buffer: SgTable, length: u32, address: u64, attrs: u32): void {
  const ctx = dev.ctx;
  const phys = <u64>load<u32>(buffer.pfns) << PAGE_SHIFT;
  if (ctx.dmaDebug != 0 && (attrs & ALLOC_UNTRACKED) == 0) debugFreeCoherent(dev, phys, length, address);
  if (dev.ops == OPS_IOMMU) unmapRange(dmaDomainOf(dev), address, length);
  buffer.flags &= ~SG_MAPPED;
  countUnmapped(dev, buffer.pageCount);
  if (ctx.events != 0) emit(ctx, EVENT_DMA_FREE, dev.id, address, phys, length, 0, 0);
}
