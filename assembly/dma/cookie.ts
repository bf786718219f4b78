// What the DMA API keeps with a translating domain (struct iommu_dma_cookie, drivers/iommu/dma-iommu.c): the IOVA allocator,
// the flush queue of a lazy domain, and the properties in which kernels differ. Several devices may share one.
//
// The IOMMU driver of 2015 (intel-iommu.c) did by itself what dma-iommu.c does today, and differently. Each difference is
// one flag here, so that any mixture can be had:
//
//   COOKIE_MAP_ENTRIES      map_sg maps entry by entry, packs them in whole pages and makes each a segment; no merging
//   COOKIE_UNMAP_RANGE      unmap looks up the range that holds the address and ends all of it, whatever length is given
//   COOKIE_RETRY_32BIT      a device with more than 32 bits tries below 4 GiB each time, not until it failed once
//   COOKIE_DEFERRED_LIST    a lazy domain puts its unmaps on the machine's list of 250, not in a ring for each CPU
//   COOKIE_TREE_ONLY        the allocator has no caches to go through (alloc_iova, not alloc_iova_fast)

import { EBUSY, EEXIST } from '../errno';
import { Context } from '../memory/context';
import { addressOf, fieldOf } from '../memory/record';
import { slabAllocZeroed, slabCacheAt, slabFree } from '../memory/slab';
import { IovaDomain } from '../iova/domain';
import { iovaDomainCreate, iovaDomainDestroy, iovaReserve } from '../iova/iova';
import { attachDevice, detachDevice } from '../iommu/access';
import { deferredFlush } from '../iommu/deferred-list';
import { IommuDomain } from '../iommu/domain';
import { domainCreate, domainDestroy } from '../iommu/domain-life';
import { flushQueueCreate, flushQueueDestroy, FlushQueue } from '../iommu/flush-queue';
import { DEVICE_PASSTHROUGH, DEVICE_TRY_32BIT, DmaDevice, OPS_DIRECT, OPS_IOMMU } from './device';
import { DmaState, dmaOf } from './state';

// @ts-ignore: decorator
@unmanaged
export class DmaCookie {
  ctx: Context;
  flags: u32;
  /** Both belong to the cookie. */
  iommu: IommuDomain;
  iova: IovaDomain;
  /** Of a lazy domain with rings, else null. */
  queue: FlushQueue | null;
  /** Devices attached. */
  users: u32;
  /** Last pfn of the aperture. */
  lastPfn: u64;
  next: DmaCookie | null;
  pad: u32;
}

/** Unmapped ranges wait for a flush before they are used again (IOMMU_DOMAIN_DMA_FQ). */
export const COOKIE_LAZY: u32 = 1;
export const COOKIE_MAP_ENTRIES: u32 = 2;
export const COOKIE_UNMAP_RANGE: u32 = 4;
export const COOKIE_RETRY_32BIT: u32 = 8;
export const COOKIE_DEFERRED_LIST: u32 = 16;
export const COOKIE_TREE_ONLY: u32 = 32;

/** First pfn that may be handed out: address 0 is never a device's. */
const START_PFN: u64 = 1;

/**
 * A domain that DMA API mappings go through.
 * @param levels, width, pageSizes, tableFlags as for domainCreate (iommu/domain-life.ts)
 * @param model IOVA allocator as for iovaDomainCreate (iova/iova.ts)
 * @param line the 32-bit line as that model has it (dma_32bit_pfn)
 * @param flags COOKIE_*
 * @param queueEntries ring size of the flush queue, a power of two; the deferred list's own length with it
 * @param queueNs how long an unmapped range waits at most, in nanoseconds
 * @returns the cookie, or null for parameters that cannot be and without memory
 */
export function cookieCreate(
  ctx: Context, levels: u32, width: u32, pageSizes: f64, tableFlags: u32, model: u32, line: u32, flags: u32,
  queueEntries: u32, queueNs: f64,
): DmaCookie | null {
  const state = dmaOf(ctx);
  const cache = slabCacheAt<DmaCookie>(ctx, fieldOf(dmaOf(ctx), offsetof<DmaState>('cookieCache')), offsetof<DmaCookie>());
  const cookie: DmaCookie | null = cache == null ? null : slabAllocZeroed(cache);
  if (cookie == null) return null;
  cookie.ctx = ctx;
  cookie.flags = flags;
  cookie.next = state.cookies;
  state.cookies = cookie;
  cookie.iommu = changetype<IommuDomain>(domainCreate(ctx, levels, width, pageSizes, tableFlags));
  if (cookie.iommu != null) {
    cookie.lastPfn = ((<u64>1 << <u64>cookie.iommu.width) - 1) >> 12;
    cookie.iova = changetype<IovaDomain>(iovaDomainCreate(ctx, model, 12, START_PFN, line, ctx.cpuCount));
  }
  let whole = cookie.iova != null;
  if (whole && (flags & COOKIE_LAZY) != 0 && (flags & COOKIE_DEFERRED_LIST) == 0) {
    cookie.queue = flushQueueCreate(ctx, cookie.iommu, cookie.iova, queueEntries, <u64>queueNs);
    whole = cookie.queue != null;
  }
  if (!whole) {
    cookieDestroy(cookie);
    return null;
  }
  return cookie;
}

/** Frees a domain that no device uses: what waits is flushed, tables and IOVA ranges go. Returns 0 or -EBUSY. */
export function cookieDestroy(cookie: DmaCookie): i32 {
  if (cookie.users != 0) return EBUSY;
  const ctx = cookie.ctx;
  const state = dmaOf(ctx);
  if (cookie.queue != null) flushQueueDestroy(cookie.queue!);
  if ((cookie.flags & COOKIE_DEFERRED_LIST) != 0) deferredFlush(ctx);
  if (cookie.iova != null) iovaDomainDestroy(cookie.iova);
  if (cookie.iommu != null) domainDestroy(cookie.iommu);
  let link = fieldOf(state, offsetof<DmaState>('cookies'));
  while (<usize>load<u32>(link) != addressOf(cookie)) link = <usize>load<u32>(link) + offsetof<DmaCookie>('next');
  store<u32>(link, <u32>addressOf(cookie.next));
  slabFree(state.cookieCache!, cookie);
  return 0;
}

/** Keeps [firstPfn, lastPfn] from being handed out: bridge windows, the MSI range (iova_reserve_iommu_regions). */
export function cookieReserve(cookie: DmaCookie, firstPfn: f64, lastPfn: f64): bool {
  return iovaReserve(cookie.iova, <u64>firstPfn, <u64>lastPfn) != 0;
}

/** Attaches a device: from now on its mappings go through the domain. Returns 0, -EEXIST when it has one, -ENOMEM. */
export function cookieAttach(cookie: DmaCookie, dev: DmaDevice): i32 {
  if (dev.cookie != null || dev.domain != null) return EEXIST;
  const rc = attachDevice(dev, cookie.iommu);
  if (rc < 0) return rc;
  dev.cookie = cookie;
  dev.ops = OPS_IOMMU;
  dev.flags |= DEVICE_TRY_32BIT;
  ++cookie.users;
  return 0;
}

/** Detaches a device, which is served by dma_direct again. Its live mappings stay in the domain. */
export function cookieDetach(dev: DmaDevice): void {
  if (dev.cookie == null) {
    detachDevice(dev);
    dev.flags &= ~DEVICE_PASSTHROUGH;
    return;
  }
  const cookie = dev.cookie!;
  detachDevice(dev);
  dev.cookie = null;
  dev.ops = OPS_DIRECT;
  dev.domain = null;
  --cookie.users;
}

/** Gives a device an identity domain: its accesses pass the unit as they are. Returns 0, -EEXIST or -ENOMEM. */
export function deviceAttachPassthrough(dev: DmaDevice): i32 {
  if (dev.cookie != null || dev.domain != null) return EEXIST;
  dev.flags |= DEVICE_PASSTHROUGH;
  const rc = attachDevice(dev, null);
  if (rc < 0) dev.flags &= ~DEVICE_PASSTHROUGH;
  return rc;
}

/** The domain of iommu/, for table dumps and counters. */
export function cookieIommu(cookie: DmaCookie): IommuDomain {
  return cookie.iommu;
}

/** The domain of iova/, for queries. */
export function cookieIova(cookie: DmaCookie): IovaDomain {
  return cookie.iova;
}

/** The flush queue of a lazy domain with rings, else null. */
export function cookieQueue(cookie: DmaCookie): FlushQueue | null {
  return cookie.queue;
}
