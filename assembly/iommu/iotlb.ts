// The IOTLB: cached translations in sets and ways, tagged with the domain id. The least recently used entry of a set is
// replaced. Only device accesses fill it. A domain counts its entries: without any, unmaps and invalidations do nothing.
//
// Unmapping does not invalidate entries. An entry whose translation was removed from the tables is marked as stale, with the
// time and the caller of the unmap, and still serves accesses until an invalidation drops it. Each such access is recorded
// (access.ts).
//
// An invalidation of pages drops the entries of the smallest naturally aligned power of two of pages that holds the
// range, as the hardware's address mask does; above AMASK_MAX the whole domain goes (calculate_psi_aligned_address).

import { PAGE_SHIFT } from '../ram/ram';
import { blockAllocZeroed, blockOrder } from '../memory/block';
import { Context, cpuOf } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { IommuDomain, domainCpuOf, leafShift } from './domain';
import { Iommu, MAX_SETS_SHIFT, unitIn, unitOf } from './unit';

/** Largest address mask of a page-selective invalidation (Capability Register, MAMV): 2^18 pages. */
const AMASK_MAX: u32 = 18;

// @ts-ignore: decorator
@unmanaged
export class IotlbEntry {
  /** Number of the page: its first address, shifted by `shift`. */
  page: u64;
  /** The translation as the walk returned it (leafPack, domain.ts); 0 for an empty way. */
  leaf: u64;
  /** Time of unmapping, where `stale` is set. */
  since: u64;
  domain: IommuDomain;
  /** Size of the page as a power of two. */
  shift: u32;
  /** Value of the unit's clock at the last use. */
  used: u32;
  stale: u32;
  /** The caller that unmapped it, from the CPU's registers. */
  object: u32;
  vma: u32;
  hook: u32;
}

export const IOTLB_ENTRY: usize = 56;

/** Bits of an address that a level of the tables translates. */
const LEVEL_STRIDE: u32 = 9;

/** Where the unit counts cached entries by size of page: a u32 per power of two, in the second half of its block. */
const SIZE_COUNTS: usize = 2048;

/** Entries that the IOTLB has room for. */
export function iotlbCapacity(unit: Iommu): u32 {
  return unit.iotlbSets * unit.iotlbWays;
}

// @ts-ignore: decorator
@inline
export function iotlbAt(unit: Iommu, i: u32): IotlbEntry {
  return changetype<IotlbEntry>(unit.iotlb + <usize>i * IOTLB_ENTRY);
}

// @ts-ignore: decorator
@inline
function setOf(unit: Iommu, domain: IommuDomain, page: u64, shift: u32): u32 {
  const hash = (<u32>page ^ <u32>(page >> MAX_SETS_SHIFT)) + domain.id * 7 + (shift - PAGE_SHIFT) / LEVEL_STRIDE;
  return (hash & (unit.iotlbSets - 1)) * unit.iotlbWays;
}

/** The cached translation of an address. Counts the hit or miss. */
export function iotlbFind(unit: Iommu, domain: IommuDomain, address: u64): IotlbEntry | null {
  let entry: IotlbEntry | null = null;
  if (domain.cached != 0) {
    for (let sizes = unit.iotlbSizes; sizes != 0 && entry == null; sizes &= sizes - 1) {
      const shift = <u32>ctz<u64>(sizes);
      entry = probe(unit, domain, address >> shift, shift);
    }
  }
  if (entry == null) ++unit.misses;
  else {
    ++unit.hits;
    entry.used = ++unit.iotlbClock;
  }
  return entry;
}

function probe(unit: Iommu, domain: IommuDomain, page: u64, shift: u32): IotlbEntry | null {
  const first = setOf(unit, domain, page, shift);
  for (let way: u32 = 0; way < unit.iotlbWays; ++way) {
    const entry = iotlbAt(unit, first + way);
    if (entry.leaf != 0 && entry.page == page && entry.domain == domain && entry.shift == shift) return entry;
  }
  return null;
}

/** Caches a translation, in place of the least recently used entry of its set. Without memory nothing is cached. */
export function iotlbInsert(unit: Iommu, domain: IommuDomain, address: u64, leaf: u64): void {
  if (unit.iotlb == 0) {
    unit.iotlb = blockAllocZeroed(unit.ctx, blockOrder(<usize>iotlbCapacity(unit) * IOTLB_ENTRY));
    if (unit.iotlb == 0) return;
  }
  const shift = leafShift(leaf);
  const page = address >> shift;
  const first = setOf(unit, domain, page, shift);
  let victim = iotlbAt(unit, first);
  for (let way: u32 = 0; way < unit.iotlbWays && victim.leaf != 0; ++way) {
    const entry = iotlbAt(unit, first + way);
    if (entry.leaf == 0 || unit.iotlbClock - entry.used > unit.iotlbClock - victim.used) victim = entry;
  }
  // In place of an entry of the same domain and size the counts stay as they are.
  const same = victim.leaf != 0 && victim.domain == domain && victim.shift == shift;
  if (victim.leaf != 0) ++unit.evictions;
  if (same) domain.stale -= victim.stale;
  else if (victim.leaf != 0) drop(unit, victim);
  victim.page = page;
  victim.leaf = leaf;
  victim.domain = domain;
  victim.shift = shift;
  victim.used = ++unit.iotlbClock;
  victim.stale = 0;
  const start = page << (shift - PAGE_SHIFT);
  const end = start + ((<u64>1 << (shift - PAGE_SHIFT)) - 1);
  domain.cachedFirst = domain.cached == 0 ? start : min(domain.cachedFirst, start);
  domain.cachedLast = domain.cached == 0 ? end : max(domain.cachedLast, end);
  if (!same) count(unit, domain, shift, 1);
}

function count(unit: Iommu, domain: IommuDomain, shift: u32, by: i32): void {
  domain.cached += by;
  unit.iotlbEntries += by;
  const at = changetype<usize>(unit) + SIZE_COUNTS + (<usize>shift << 2);
  const left = load<u32>(at) + by;
  store<u32>(at, left);
  const bit = <u64>1 << shift;
  unit.iotlbSizes = left != 0 ? unit.iotlbSizes | bit : unit.iotlbSizes & ~bit;
}

function drop(unit: Iommu, entry: IotlbEntry): void {
  const domain = entry.domain;
  if (entry.stale != 0) --domain.stale;
  entry.leaf = 0;
  count(unit, domain, entry.shift, -1);
}

/** Drops one entry, as a hit that does not allow the access does before the walk is made again. */
export function iotlbDrop(unit: Iommu, entry: IotlbEntry): void {
  drop(unit, entry);
}

/** Pfns [first, last] were removed from the tables: their cached entries are stale from now on. */
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
  // Few pages are looked up one by one; for more of them all entries are tested.
  const few = last - first < <u64>(iotlbCapacity(unit) >> 4);
  if (few) {
    for (let sizes = unit.iotlbSizes; sizes != 0; sizes &= sizes - 1) {
      const shift = <u32>ctz<u64>(sizes) - PAGE_SHIFT;
      for (let page = first >> shift; page <= last >> shift; ++page) {
        const entry = probe(unit, domain, page, shift + PAGE_SHIFT);
        if (entry != null) affect(unit, domain, entry, dropped);
      }
    }
  } else {
    for (let i: u32 = 0; i < iotlbCapacity(unit); ++i) {
      const entry = iotlbAt(unit, i);
      if (entry.leaf == 0 || entry.domain != domain) continue;
      const start = entry.page << (entry.shift - PAGE_SHIFT);
      if (start <= last && start + ((<u64>1 << (entry.shift - PAGE_SHIFT)) - 1) >= first) affect(unit, domain, entry, dropped);
    }
  }
  unlock(unit);
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
  ++domainCpuOf(domain).pageInvalidations;
  invalidate(domain, first >> order << order, (((first >> order) + 1) << order) - 1);
}

/** Page-selective invalidation of [iova, iova + size), both multiples of 4 KiB, size not 0. */
// @ts-ignore: decorator
@inline
export function iotlbFlushPages(domain: IommuDomain, iova: u64, size: u64): void {
  iotlbFlushRange(domain, iova >> PAGE_SHIFT, (iova + size - 1) >> PAGE_SHIFT);
}

/** Domain-selective invalidation. */
export function iotlbFlushDomain(domain: IommuDomain): void {
  ++domainCpuOf(domain).domainInvalidations;
  invalidate(domain, 0, 0xffffffffffffffff);
}

/** Global invalidation: every domain's entries. */
export function iotlbFlushGlobal(ctx: Context): void {
  if (ctx.iommu == 0) return;
  const unit = unitIn(ctx)!;
  lock(ctx.iommu);
  ++unit.globalInvalidations;
  for (let i: u32 = 0; unit.iotlb != 0 && i < iotlbCapacity(unit); ++i) {
    const entry = iotlbAt(unit, i);
    if (entry.leaf == 0) continue;
    drop(unit, entry);
    ++unit.invalidated;
  }
  unlock(ctx.iommu);
}
