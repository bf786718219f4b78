// The IOTLB: cached translations in sets and ways, tagged with the domain id. The least recently used entry of a set is
// replaced. Only device accesses fill it, so a machine whose devices touch no memory never pays for it: a domain counts
// its entries, and with none there is nothing to do.
//
// Unmapping does not touch the hardware's cache; that is what makes the lazy mode's window. An entry whose translation
// was taken out of the tables is marked with the time and with who unmapped it, and goes on serving accesses until an
// invalidation drops it; each such access is recorded as stale (access.ts).
//
// An invalidation of pages drops the entries of the smallest naturally aligned power of two of pages that holds the
// range, as the hardware's address mask does; above AMASK_MAX the whole domain goes (calculate_psi_aligned_address).

import { blockAllocZeroed, blockOrder } from '../memory/block';
import { Context, cpuOf } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { IommuDomain, positionOf, unitOf } from './domain';
import { levelShift } from './pte';
import { Iommu } from './unit';

/** Largest address mask of a page-selective invalidation (Capability Register, MAMV): 2^18 pages. */
const AMASK_MAX: u32 = 18;

// @ts-ignore: decorator
@unmanaged
export class IotlbEntry {
  /** First pfn of the page, shifted by its level. */
  page: u64;
  /** The leaf as it was in the tables; 0 for an empty way. */
  leaf: u64;
  /** Time of unmapping, where `stale` is set. */
  since: u64;
  domain: IommuDomain;
  level: u32;
  /** Value of the unit's clock at the last use. */
  used: u32;
  stale: u32;
  /** Who unmapped it: the attribution registers at that moment. */
  object: u32;
  vma: u32;
  hook: u32;
}

export const IOTLB_ENTRY: usize = 56;

// @ts-ignore: decorator
@inline
function setOf(unit: Iommu, domain: IommuDomain, page: u64, level: u32): usize {
  const hash = (<u32>page ^ <u32>(page >> 12)) + domain.id * 7 + level - 1;
  return unit.iotlb + <usize>((hash & (unit.iotlbSets - 1)) * unit.iotlbWays) * IOTLB_ENTRY;
}

// @ts-ignore: decorator
@inline
function endOf(unit: Iommu): usize {
  return unit.iotlb + <usize>(unit.iotlbSets * unit.iotlbWays) * IOTLB_ENTRY;
}

/** The cached translation of a pfn. Counts the hit or miss. */
export function iotlbFind(unit: Iommu, domain: IommuDomain, pfn: u64): IotlbEntry | null {
  let entry: IotlbEntry | null = null;
  if (domain.cached != 0) {
    if (unit.iotlbLevel1 != 0) entry = probe(unit, domain, pfn, 1);
    if (entry == null && unit.iotlbLevel2 != 0) entry = probe(unit, domain, pfn >> 9, 2);
    if (entry == null && unit.iotlbLevel3 != 0) entry = probe(unit, domain, pfn >> 18, 3);
  }
  if (entry == null) ++unit.misses;
  else {
    ++unit.hits;
    entry.used = ++unit.iotlbClock;
  }
  return entry;
}

function probe(unit: Iommu, domain: IommuDomain, page: u64, level: u32): IotlbEntry | null {
  let at = setOf(unit, domain, page, level);
  for (let way: u32 = 0; way < unit.iotlbWays; ++way, at += IOTLB_ENTRY) {
    const entry = changetype<IotlbEntry>(at);
    if (entry.leaf != 0 && entry.page == page && entry.domain == domain && entry.level == level) return entry;
  }
  return null;
}

/** Caches a leaf for the page around a pfn, in place of the least recently used entry. Without memory nothing is cached. */
export function iotlbInsert(unit: Iommu, domain: IommuDomain, pfn: u64, leaf: u64, level: u32): void {
  if (unit.iotlb == 0) {
    const bytes = <usize>(unit.iotlbSets * unit.iotlbWays) * IOTLB_ENTRY;
    unit.iotlb = blockAllocZeroed(unit.ctx, blockOrder(bytes));
    if (unit.iotlb == 0) return;
  }
  const page = pfn >> levelShift(level);
  let at = setOf(unit, domain, page, level);
  let victim = changetype<IotlbEntry>(at);
  for (let way: u32 = 0; way < unit.iotlbWays && victim.leaf != 0; ++way, at += IOTLB_ENTRY) {
    const entry = changetype<IotlbEntry>(at);
    if (entry.leaf == 0 || unit.iotlbClock - entry.used > unit.iotlbClock - victim.used) victim = entry;
  }
  if (victim.leaf != 0) {
    ++unit.evictions;
    drop(unit, victim);
  }
  victim.page = page;
  victim.leaf = leaf;
  victim.domain = domain;
  victim.level = level;
  victim.used = ++unit.iotlbClock;
  victim.stale = 0;
  const start = page << levelShift(level);
  const end = ((page + 1) << levelShift(level)) - 1;
  domain.cachedFirst = domain.cached == 0 ? start : min(domain.cachedFirst, start);
  domain.cachedLast = domain.cached == 0 ? end : max(domain.cachedLast, end);
  count(unit, domain, level, 1);
}

function count(unit: Iommu, domain: IommuDomain, level: u32, by: i32): void {
  domain.cached += by;
  if (level == 1) unit.iotlbLevel1 += by;
  else if (level == 2) unit.iotlbLevel2 += by;
  else unit.iotlbLevel3 += by;
}

function drop(unit: Iommu, entry: IotlbEntry): void {
  const domain = entry.domain;
  if (entry.stale != 0) --domain.stale;
  entry.leaf = 0;
  count(unit, domain, entry.level, -1);
}

/** Drops one entry, as a hit that does not allow the access does before the walk is made again. */
export function iotlbDrop(unit: Iommu, entry: IotlbEntry): void {
  drop(unit, entry);
}

/** The tables no longer hold pfns [first, last]: what is cached of them is stale from now on. */
// @ts-ignore: decorator
@inline
export function iotlbUnmapped(domain: IommuDomain, first: u64, last: u64): void {
  if (domain.cached != domain.stale && first <= domain.cachedLast && last >= domain.cachedFirst) {
    forRange(domain, first, last, false);
  }
}

// @ts-ignore: decorator
@inline
function invalidate(domain: IommuDomain, first: u64, last: u64): void {
  if (domain.cached != 0 && first <= domain.cachedLast && last >= domain.cachedFirst) forRange(domain, first, last, true);
}

/** Drops, or marks stale, what is cached of pfns [first, last] of a domain. */
function forRange(domain: IommuDomain, first: u64, last: u64, dropped: bool): void {
  const unit = unitOf(domain);
  lock(unit);
  // Looking up each page pays while there are few; above that every entry is looked at.
  const few = last - first < <u64>((unit.iotlbSets * unit.iotlbWays) >> 4);
  if (few) {
    if (unit.iotlbLevel1 != 0) forPages(unit, domain, first, last, 1, dropped);
    if (unit.iotlbLevel2 != 0) forPages(unit, domain, first >> 9, last >> 9, 2, dropped);
    if (unit.iotlbLevel3 != 0) forPages(unit, domain, first >> 18, last >> 18, 3, dropped);
  } else {
    for (let at = unit.iotlb, end = endOf(unit); at < end; at += IOTLB_ENTRY) {
      const entry = changetype<IotlbEntry>(at);
      if (entry.leaf == 0 || entry.domain != domain) continue;
      const shift = levelShift(entry.level);
      if (entry.page << shift <= last && ((entry.page + 1) << shift) > first) affect(unit, domain, entry, dropped);
    }
  }
  unlock(unit);
}

function forPages(unit: Iommu, domain: IommuDomain, first: u64, last: u64, level: u32, dropped: bool): void {
  for (let page = first; page <= last; ++page) {
    const entry = probe(unit, domain, page, level);
    if (entry != null) affect(unit, domain, entry, dropped);
  }
}

function affect(unit: Iommu, domain: IommuDomain, entry: IotlbEntry, dropped: bool): void {
  if (dropped) {
    drop(unit, entry);
    ++unit.invalidated;
  } else if (entry.stale == 0) markStale(domain, entry);
}

function markStale(domain: IommuDomain, entry: IotlbEntry): void {
  const ctx = domain.ctx;
  const cpu = cpuOf(ctx);
  entry.stale = 1;
  entry.since = ctx.now;
  entry.object = cpu.object;
  entry.vma = cpu.vma;
  entry.hook = cpu.hook;
  ++domain.stale;
}

/** Page-selective invalidation of pfns [first, last] of a domain, domain-selective where the mask would be too large. */
export function iotlbFlushRange(domain: IommuDomain, first: u64, last: u64): void {
  const order: u32 = first == last ? 0 : <u32>(64 - clz<u64>(first ^ last));
  if (order > AMASK_MAX) {
    iotlbFlushDomain(domain);
    return;
  }
  ++positionOf(domain).pageInvalidations;
  invalidate(domain, first >> order << order, (((first >> order) + 1) << order) - 1);
}

/** Page-selective invalidation of [iova, iova + size), both multiples of 4 KiB, size not 0. */
// @ts-ignore: decorator
@inline
export function iotlbFlushPages(domain: IommuDomain, iova: u64, size: u64): void {
  iotlbFlushRange(domain, iova >> 12, (iova + size - 1) >> 12);
}

/** Domain-selective invalidation. */
export function iotlbFlushDomain(domain: IommuDomain): void {
  ++positionOf(domain).domainInvalidations;
  invalidate(domain, 0, 0xffffffffffffffff);
}

/** Global invalidation: every domain's entries. */
export function iotlbFlushGlobal(ctx: Context): void {
  if (ctx.iommu == 0) return;
  const unit = changetype<Iommu>(ctx.iommu);
  lock(ctx.iommu);
  ++unit.globalInvalidations;
  if (unit.iotlb != 0) {
    for (let at = unit.iotlb, end = endOf(unit); at < end; at += IOTLB_ENTRY) {
      const entry = changetype<IotlbEntry>(at);
      if (entry.leaf == 0) continue;
      drop(unit, entry);
      ++unit.invalidated;
    }
  }
  unlock(ctx.iommu);
}

/** Entries cached, over all domains. */
export function iotlbEntries(unit: Iommu): u32 {
  return unit.iotlbLevel1 + unit.iotlbLevel2 + unit.iotlbLevel3;
}
