// What the DMA API and dma-debug do with a domain's tables, whatever their format (struct iommu_domain_ops, and drivers/iommu/iommu.c
// around it): alignment, events, and the flush after a map.

import { EINVAL } from '../../memory/errno';
import { EVENT_IOMMU_MAP, EVENT_IOMMU_UNMAP, emit } from '../../events/events';
import { Context } from '../../memory/context';
import { PAGE_MASK, PAGE_SHIFT, PAGE_SIZE } from '../../ram/ram';
import { REASON_IOMMU_MISALIGNED, setReason } from '../../memory/reason';
import { IommuDomain } from '../domain';
import { sayUnaligned } from '../fault-log';
import { formats } from '../formats/list';

/**
 * Maps [iova, iova + size) to [phys, phys + size) (iommu_map).
 * A failed map is undone by an unmap of what was mapped, with an event for it, as in iommu_map.
 * @param prot PROT_READ | PROT_WRITE; other bits are ignored
 * @returns 0, or a negative errno with the reason in cpu.reason
 */
// @ts-ignore: decorator
@inline
export function iommuMap(domain: IommuDomain, iova: u64, phys: u64, size: u64, prot: u32): i32 {
  const rc = iommuMapUnsynced(domain, iova, phys, size, prot);
  if (domain.flushesMaps && rc == 0) iommuSyncMap(domain, iova, size);
  return rc;
}

/** iommuMap for a part of a mapping: the caller calls iommuSyncMap for all of it (iommu_map_nosync). */
// @ts-ignore: decorator
@inline
export function iommuMapUnsynced(domain: IommuDomain, iova: u64, phys: u64, size: u64, prot: u32): i32 {
  if (((iova | phys | size) & PAGE_MASK) != 0) return misaligned(domain.ctx, false, iova, phys, size);
  const rc = formats().map(domain, iova, phys, size, prot);
  const ctx = domain.ctx;
  if (ctx.events != 0 && rc == 0) {
    emit(ctx, EVENT_IOMMU_MAP, 0, iova, phys, size, prot, domain.id);
  }
  return rc;
}

/**
 * iommuMap of one page, where that is a store into the table of the CPU's last call.
 * @returns false with nothing done where it is not: call iommuMap
 */
// @ts-ignore: decorator
@inline
export function iommuMapPage(domain: IommuDomain, iova: u64, phys: u64, prot: u32): bool {
  if (!formats().mapPage(domain, iova, phys, prot)) return false;
  const ctx = domain.ctx;
  if (ctx.events != 0) emit(ctx, EVENT_IOMMU_MAP, 0, iova, phys, PAGE_SIZE, prot, domain.id);
  if (domain.flushesMaps) iommuSyncMap(domain, iova, PAGE_SIZE);
  return true;
}

/**
 * Maps count single frames at consecutive IOVA pages, as iommuMap for each run of adjacent frames does (iommu_map_sg).
 * @param pfns vector of u32 pfns
 * @returns as iommuMap; a range that crosses the domain's width is refused whole
 */
// @ts-ignore: decorator
@inline
export function iommuMapPfns(domain: IommuDomain, iova: u64, pfns: usize, count: u32, prot: u32): i32 {
  if ((iova & PAGE_MASK) != 0) {
    return misaligned(domain.ctx, false, iova, <u64>load<u32>(pfns) << PAGE_SHIFT, <u64>count << PAGE_SHIFT);
  }
  const rc = formats().mapPfns(domain, iova, pfns, count, prot);
  const ctx = domain.ctx;
  if (ctx.events != 0 && rc == 0) emitRuns(ctx, domain, iova, pfns, count, prot);
  if (domain.flushesMaps && rc == 0) iommuSyncMap(domain, iova, <u64>count << PAGE_SHIFT);
  return rc;
}

/** After a map, for a unit that caches what is not present (iotlb_sync_map). Nothing for others, or for a size of 0. */
export function iommuSyncMap(domain: IommuDomain, iova: u64, size: u64): void {
  if (domain.flushesMaps && size != 0) formats().flushMapped(domain, iova, size);
}

/**
 * Unmaps [iova, iova + size) (iommu_unmap_fast). Pages that are not mapped are no error. The format calls iotlbUnmapped; the caller
 * invalidates the IOTLB.
 * @returns bytes unmapped as the kernel counts them, which may be more than size; 0 with the reason in cpu.reason for addresses or
 *   sizes that are not multiples of 4 KiB
 */
// @ts-ignore: decorator
@inline
export function iommuUnmap(domain: IommuDomain, iova: u64, size: u64): u64 {
  if (((iova | size) & PAGE_MASK) != 0) {
    misaligned(domain.ctx, true, iova, 0, size);
    return 0;
  }
  const done = formats().unmap(domain, iova, size);
  const ctx = domain.ctx;
  if (ctx.events != 0) emit(ctx, EVENT_IOMMU_UNMAP, 0, iova, done, size, 0, domain.id);
  return done;
}

/**
 * iommuUnmap of one page, where that is a store into the table of the CPU's last call.
 * @returns false with nothing done where it is not: call iommuUnmap
 */
// @ts-ignore: decorator
@inline
export function iommuUnmapPage(domain: IommuDomain, iova: u64): bool {
  if (!formats().unmapPage(domain, iova)) return false;
  const ctx = domain.ctx;
  if (ctx.events != 0) emit(ctx, EVENT_IOMMU_UNMAP, 0, iova, PAGE_SIZE, PAGE_SIZE, 0, domain.id);
  return true;
}

/** Physical address of an IOVA, or 0 if it is not mapped (iommu_iova_to_phys). */
// @ts-ignore: decorator
@inline
export function iommuIovaToPhys(domain: IommuDomain, iova: u64): u64 {
  return formats().iovaToPhys(domain, iova);
}

/** Whether iommuIovaToPhys is not 0; called by each unmap of a page. */
// @ts-ignore: decorator
@inline
export function iommuTranslates(domain: IommuDomain, iova: u64): bool {
  return formats().translates(domain, iova);
}

// 4 KiB is the smallest page of every format.
function misaligned(ctx: Context, unmap: bool, iova: u64, phys: u64, size: u64): i32 {
  sayUnaligned(ctx, unmap, iova, phys, size);
  setReason(ctx, REASON_IOMMU_MISALIGNED);
  return EINVAL;
}

function emitRuns(ctx: Context, domain: IommuDomain, iova: u64, pfns: usize, count: u32, prot: u32): void {
  let start: u32 = 0;
  for (let i: u32 = 1; i <= count; ++i) {
    const first = load<u32>(pfns + (<usize>start << 2));
    if (i < count && load<u32>(pfns + (<usize>i << 2)) == first + (i - start)) continue;
    const size = <u64>(i - start) << PAGE_SHIFT;
    emit(ctx, EVENT_IOMMU_MAP, 0, iova + (<u64>start << PAGE_SHIFT), <u64>first << PAGE_SHIFT, size, prot, domain.id);
    start = i;
  }
}
