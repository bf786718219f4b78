// What a domain has when the DMA API maps through it (struct iommu_dma_cookie, drivers/iommu/dma-iommu.c): the IOVA
// allocator, the flush queue of a lazy domain, and the properties in which kernels differ. The domain owns it
// (IommuDomain.cookie).
//
// The IOMMU driver of 2015 (intel-iommu.c) did by itself what dma-iommu.c does today, and differently. Each difference is
// one flag here, so that any mixture can be had:
//
//   COOKIE_MAP_ENTRIES      map_sg maps entry by entry, packs them in whole pages and makes each a segment; no merging
//   COOKIE_UNMAP_RANGE      unmap looks up the range that holds the address and ends all of it, whatever length is given
//   COOKIE_RETRY_32BIT      a device with more than 32 bits tries below 4 GiB each time, not until it failed once
//   COOKIE_DEFERRED_LIST    a lazy domain puts its unmaps on the machine's list of 250, not in a ring per CPU
//   COOKIE_NO_MIN_ALIGN     min_align_mask is not compared with the IOMMU's page size (before 5.12)
//   COOKIE_TREE_ONLY        the allocator has no caches to go through (alloc_iova, not alloc_iova_fast)

import { PAGE_SHIFT } from '../ram/ram';
import { slabAllocZeroed, slabCacheAt, slabFree } from '../memory/slab';
import { IovaDomain } from '../iova/iova-domain';
import { iovaDomainCreate, iovaDomainDestroy } from '../iova/iova';
import { deferredFlush } from './deferred-list';
import { IommuDomain } from './domain';
import { flushQueueCreate, flushQueueDestroy, FlushQueue } from './flush-queue';
import { Iommu, unitOf } from './unit';

// @ts-ignore: decorator
@unmanaged
export class DmaCookie {
  /** COOKIE_* */
  flags: u32;
  iova: IovaDomain;
  /** Of a lazy domain with rings, else null. */
  queue: FlushQueue | null;
  /** Last pfn of the aperture. */
  lastPfn: u64;
}

/** Unmapped ranges wait for a flush before they are used again (IOMMU_DOMAIN_DMA_FQ). */
export const COOKIE_LAZY: u32 = 1;
export const COOKIE_MAP_ENTRIES: u32 = 2;
export const COOKIE_UNMAP_RANGE: u32 = 4;
export const COOKIE_RETRY_32BIT: u32 = 8;
export const COOKIE_DEFERRED_LIST: u32 = 16;
export const COOKIE_TREE_ONLY: u32 = 32;
export const COOKIE_NO_MIN_ALIGN: u32 = 64;

/** First pfn that may be handed out: no device has address 0. */
const START_PFN: u64 = 1;

/**
 * Gives a domain its cookie (iommu_get_dma_cookie, iommu_dma_init_domain).
 * @param rules of the IOVA allocator, as for iovaDomainCreate (iova/iova.ts)
 * @param line the 32-bit line as that allocator has it (dma_32bit_pfn)
 * @param flags COOKIE_*
 * @param queueEntries ring size of the flush queue, a power of two; the deferred list has its own length
 * @param queueNs longest time that an unmapped range waits, in nanoseconds
 * @returns false with the domain as it was: for parameters that cannot be, and without memory
 */
export function cookieCreate(
  domain: IommuDomain, rules: u32, line: u32, flags: u32, queueEntries: u32, queueNs: u64,
): bool {
  const ctx = domain.ctx;
  const cache = slabCacheAt<DmaCookie>(ctx, ctx.iommu + offsetof<Iommu>('cookieCache'), offsetof<DmaCookie>());
  const cookie: DmaCookie | null = cache == null ? null : slabAllocZeroed(cache);
  if (cookie == null) return false;
  cookie.flags = flags;
  cookie.lastPfn = ((<u64>1 << <u64>domain.width) - 1) >> PAGE_SHIFT;
  const iova = iovaDomainCreate(ctx, rules, PAGE_SHIFT, START_PFN, line, ctx.cpuCount);
  if (iova != null) {
    cookie.iova = iova;
    if ((flags & COOKIE_LAZY) == 0 || (flags & COOKIE_DEFERRED_LIST) != 0) {
      domain.cookie = cookie;
      return true;
    }
    cookie.queue = flushQueueCreate(ctx, domain, iova, queueEntries, queueNs);
    if (cookie.queue != null) {
      domain.cookie = cookie;
      return true;
    }
    iovaDomainDestroy(iova);
  }
  slabFree<DmaCookie>(cache!, cookie);
  return false;
}

/** Frees a domain's cookie: waiting ranges are flushed, all ranges go (iommu_put_dma_cookie). Nothing without a cookie. */
export function cookieFree(domain: IommuDomain): void {
  if (domain.cookie == null) return;
  const cookie = domain.cookie!;
  if (cookie.queue != null) flushQueueDestroy(cookie.queue!);
  if ((cookie.flags & COOKIE_DEFERRED_LIST) != 0) deferredFlush(domain.ctx);
  iovaDomainDestroy(cookie.iova);
  domain.cookie = null;
  slabFree(unitOf(domain).cookieCache!, cookie);
}
