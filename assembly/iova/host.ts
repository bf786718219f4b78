// IOVA allocators for the host (memory/host.ts).

import { Context } from '../memory/context';
import { fromHost, toHost } from '../memory/host';
import { lock, unlock } from '../memory/lock';
import { IovaDomain, pathOf } from './iova-domain';
import { iovaAlloc, iovaAllocFast, iovaDomainCreate, iovaFind, iovaFree, iovaFreeFast, iovaReserve } from './iova';
import { ANCHOR, hiOf, loOf } from './node';
import { cachedPages, freeBelow, gapHistogram, largestGap } from './query';
import { MAGAZINE_PFNS, RCACHE_CLASSES, depotOf, rcachePages } from './rcache';
import { pathIndex } from './path';
import { locate } from './tree';

export function iovaCreate(ctx: Context, rules: u32, granuleShift: u32, startPfn: f64, pfn32bit: f64, cpus: u32): IovaDomain | null {
  return iovaDomainCreate(ctx, rules, granuleShift, fromHost(startPfn), fromHost(pfn32bit), cpus);
}

export function iovaAllocate(domain: IovaDomain, size: f64, limitPfn: f64, aligned: bool): f64 {
  return toHost(iovaAlloc(domain, fromHost(size), fromHost(limitPfn), aligned));
}

export function iovaRelease(domain: IovaDomain, pfn: f64): bool {
  return iovaFree(domain, fromHost(pfn));
}

/**
 * iovaRelease with its answer in one call, for a range that begins at pfn, as nearly all do that are freed.
 * @returns one above its last pfn; below 0, the same when the range begins below pfn (iovaFoundLo has where); 0 if none holds pfn
 */
export function iovaReleaseRange(domain: IovaDomain, pfn: f64): f64 {
  const at = fromHost(pfn);
  if (!iovaFree(domain, at)) return 0;
  const end = toHost(domain.foundHi + 1);
  return domain.foundLo == at ? end : -end;
}

export function iovaAllocateFast(domain: IovaDomain, size: f64, limitPfn: f64, flush: bool): f64 {
  return toHost(iovaAllocFast(domain, fromHost(size), fromHost(limitPfn), flush));
}

export function iovaReleaseFast(domain: IovaDomain, pfn: f64, size: f64): void {
  iovaFreeFast(domain, fromHost(pfn), fromHost(size));
}

export function iovaReserveRange(domain: IovaDomain, lo: f64, hi: f64): bool {
  return iovaReserve(domain, fromHost(lo), fromHost(hi));
}

export function iovaFindRange(domain: IovaDomain, pfn: f64): bool {
  return iovaFind(domain, fromHost(pfn));
}

/** Bounds of the range that the last find, release or reserve was about. */
export function iovaFoundLo(domain: IovaDomain): f64 {
  return toHost(domain.foundLo);
}

export function iovaFoundHi(domain: IovaDomain): f64 {
  return toHost(domain.foundHi);
}

/** Number of ranges; what waits in magazines is among them, the anchor is not. */
export function iovaRanges(domain: IovaDomain): u32 {
  return domain.ranges;
}

/** First pfn of cached_node (0) or cached32_node (1), -1 for the anchor (6.12) or for none (4.2). */
export function iovaCachedNode(domain: IovaDomain, which: u32): f64 {
  const lo = which == 0 ? domain.cachedLo : domain.cached32Lo;
  return lo == ANCHOR ? -1 : toHost(lo);
}

/** max32_alloc_size. */
export function iovaMax32(domain: IovaDomain): f64 {
  return toHost(domain.max32);
}

/** Magazines in the depot of a size class, 0 without caches. */
export function iovaDepot(domain: IovaDomain, order: u32): u32 {
  return domain.magazines != 0 && order < RCACHE_CLASSES ? depotOf(domain, order).count : 0;
}

/** Sets how many pfns a magazine holds, 1 to 127; magazines that hold something already keep the domain as it is. */
export function iovaSetMagazine(domain: IovaDomain, pfns: u32): bool {
  if (domain.magazines == 0 || pfns == 0 || pfns > MAGAZINE_PFNS || rcachePages(domain) != 0) return false;
  domain.magazinePfns = pfns;
  return true;
}

/** Sets the number of online CPUs, which is what depots are trimmed to. */
export function iovaSetCpus(domain: IovaDomain, cpus: u32): void {
  domain.cpus = cpus;
}

/** The first range that ends at or above a pfn, into foundLo and foundHi: for walking them in order. */
export function iovaNextRange(domain: IovaDomain, pfn: f64): bool {
  lock(domain);
  const leaf = locate(domain, fromHost(pfn));
  const i = pathIndex(pathOf(domain), 0);
  const lo = loOf(leaf, i);
  domain.foundLo = lo;
  domain.foundHi = hiOf(leaf, i);
  unlock(domain);
  return lo != ANCHOR;
}

/** Pages from the domain's start up to the limit (inclusive) that are in no range. */
export function iovaFreePages(domain: IovaDomain, limit: f64): f64 {
  lock(domain);
  const pages = freeBelow(domain, fromHost(limit));
  unlock(domain);
  return toHost(pages);
}

/** Pages cached in magazines or in slots of spans: used in the tree, but free to allocate. */
export function iovaCachedPages(domain: IovaDomain): f64 {
  return toHost(cachedPages(domain));
}

/** Pages of the largest gap up to the limit (inclusive). */
export function iovaLargestGap(domain: IovaDomain, limit: f64): f64 {
  lock(domain);
  const pages = largestGap(domain, fromHost(limit));
  unlock(domain);
  return toHost(pages);
}

/** Counts of gaps by order, 53 u32 at `out`, up to the limit (inclusive). */
export function iovaGapHistogram(domain: IovaDomain, limit: f64, out: usize): void {
  lock(domain);
  gapHistogram(domain, fromHost(limit), out);
  unlock(domain);
}
