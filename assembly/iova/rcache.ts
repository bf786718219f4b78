// Magazine caches (drivers/iommu/iova.c, "Magazine caches for IOVA ranges"): freed ranges of 1 to 32 pages stay in the
// tree and are cached for allocation. There are six classes by order. Each class has a loaded and a previous magazine per CPU, and a
// depot of full magazines, which a timer trims to the number of online CPUs.
//
//   Magazine        127 pfns: 1 KiB with the header
//   MagazineCache   one per CPU and class
//   Depot           one per class
//
// In the threads build a CPU uses its own magazines without a lock; depots and tree are under the domain's lock. Where Linux empties
// the magazines of all CPUs, that build empties those of the present CPU and the depots.

import { timerAdd, timerAfter, timerCancel, TIMER_IOVA_DEPOT } from '../memory/clock';
import { currentCpu } from '../memory/cpu';
import { lock, unlock } from '../memory/lock';
import { blockAllocZeroed, blockFree, blockOrder } from '../memory/block';
import { slabAlloc, slabFree } from '../memory/slab';
import { recordAt } from '../memory/record';
import { IovaDomain, pathOf, stateOf } from './iova-domain';
import { forget } from './linux';
import { loOf } from './node';
import { pathIndex } from './path';
import { locate, removeAt } from './tree';

/** IOVA_RANGE_CACHE_MAX_SIZE: classes of order 0 to 5, 1 to 32 pages. */
export const RCACHE_CLASSES: u32 = 6;
/** IOVA_MAG_SIZE. */
export const MAGAZINE_PFNS: u32 = 127;
/** IOVA_DEPOT_DELAY: 100 ms. */
const DEPOT_DELAY: u64 = 100_000_000;

// @ts-ignore: decorator
@unmanaged
export class Magazine {
  count: u32;
  /** The next one in the depot. */
  next: Magazine | null;
  /** The first of MAGAZINE_PFNS. */
  pfns: u64;
}

/** A CPU's magazines of one class. */
// @ts-ignore: decorator
@unmanaged
class MagazineCache {
  loaded: Magazine;
  previous: Magazine;
}

// @ts-ignore: decorator
@unmanaged
export class Depot {
  /** The magazine on top. */
  top: Magazine | null;
  count: u32;
  /** 1 while the trimming timer is queued. */
  armed: u32;
  domain: IovaDomain;
}

const PFNS: usize = offsetof<Magazine>('pfns');

// @ts-ignore: decorator
@inline
function cacheOf(domain: IovaDomain, cpu: u32, order: u32): MagazineCache {
  return recordAt<MagazineCache>(domain.magazines, cpu * RCACHE_CLASSES + order);
}

// @ts-ignore: decorator
@inline
export function depotOf(domain: IovaDomain, order: u32): Depot {
  return changetype<Depot>(domain.depots + <usize>order * offsetof<Depot>());
}

// @ts-ignore: decorator
@inline
function pfnAt(magazine: Magazine, i: u32): u64 {
  return load<u64>(changetype<usize>(magazine) + (<usize>i << 3), PFNS);
}

// @ts-ignore: decorator
@inline
function pfnSet(magazine: Magazine, i: u32, pfn: u64): void {
  store<u64>(changetype<usize>(magazine) + (<usize>i << 3), pfn, PFNS);
}

/** Order of the class that serves a size: order_base_2. */
// @ts-ignore: decorator
@inline
export function orderOf(size: u64): u32 {
  return size <= 1 ? 0 : <u32>(64 - clz<u64>(size - 1));
}

/** Gives a domain its caches (iova_domain_init_rcaches). Returns false without memory, with nothing left behind. */
export function rcacheCreate(domain: IovaDomain, cpus: u32): bool {
  const ctx = domain.ctx;
  const cells = <usize>cpus * RCACHE_CLASSES * offsetof<MagazineCache>();
  const at = blockAllocZeroed(ctx, blockOrder(cells + <usize>RCACHE_CLASSES * offsetof<Depot>()));
  if (at == 0) return false;
  domain.magazines = at;
  domain.depots = at + cells;
  domain.magazinePfns = MAGAZINE_PFNS;
  domain.cacheCpus = cpus;
  for (let order: u32 = 0; order < RCACHE_CLASSES; ++order) depotOf(domain, order).domain = domain;
  for (let cell = at; cell < domain.depots; cell += 4) {
    const magazine = slabAlloc(stateOf(domain).magazineCache);
    if (magazine == null) {
      rcacheDestroy(domain);
      return false;
    }
    magazine.count = 0;
    store<u32>(cell, <u32>changetype<usize>(magazine));
  }
  return true;
}

/** Frees the caches' own records; what they hold is the tree's to free (free_iova_rcaches). */
export function rcacheDestroy(domain: IovaDomain): void {
  const cache = stateOf(domain).magazineCache;
  for (let cell = domain.magazines; cell < domain.depots; cell += 4) {
    if (load<u32>(cell) != 0) slabFree(cache, changetype<Magazine>(load<u32>(cell)));
  }
  for (let order: u32 = 0; order < RCACHE_CLASSES; ++order) {
    const depot = depotOf(domain, order);
    if (depot.armed != 0) timerCancel(domain.ctx, TIMER_IOVA_DEPOT, changetype<usize>(depot));
    while (depot.count != 0) slabFree(cache, depotPop(depot));
  }
  blockFree(domain.ctx, domain.magazines);
  domain.magazines = 0;
  domain.depots = 0;
  domain.cacheCpus = 0;
}

function depotPop(depot: Depot): Magazine {
  const magazine = depot.top!;
  depot.top = magazine.next;
  --depot.count;
  return magazine;
}

function depotPush(domain: IovaDomain, depot: Depot, magazine: Magazine): void {
  magazine.next = depot.top;
  depot.top = magazine;
  ++depot.count;
  if (depot.armed == 0) arm(domain, depot);
}

function arm(domain: IovaDomain, depot: Depot): void {
  const ctx = domain.ctx;
  // Without memory for the timer the depot just stays as it is until the next magazine comes.
  depot.armed = timerAdd(ctx, TIMER_IOVA_DEPOT, changetype<usize>(depot), timerAfter(ctx, DEPOT_DELAY)) ? 1 : 0;
}

/**
 * iova_rcache_get: a cached range of the size's class.
 * @param highest the highest pfn that will do; as in the kernel it is computed unsigned and may have wrapped
 * @returns its pfn, or 0
 */
// @ts-ignore: decorator
@inline
export function rcacheGet(domain: IovaDomain, order: u32, highest: u64): u64 {
  const cache = cacheOf(domain, currentCpu(), order);
  const loaded = cache.loaded;
  const count = loaded.count;
  if (count != 0) {
    const pfn = pfnAt(loaded, count - 1);
    if (pfn <= highest) {
      loaded.count = count - 1;
      return pfn;
    }
    return magazinePop(loaded, count, highest);
  }
  return rcacheRefill(domain, order, cache, highest);
}

// The loaded magazine is empty: the previous one, else one from the depot.
function rcacheRefill(domain: IovaDomain, order: u32, cache: MagazineCache, highest: u64): u64 {
  const empty = cache.loaded;
  const previous = cache.previous;
  if (previous.count != 0) {
    cache.loaded = previous;
    cache.previous = empty;
    return magazinePop(previous, previous.count, highest);
  }
  const depot = depotOf(domain, order);
  if (depot.count == 0) return 0;
  lock(domain);
  const full = depot.count != 0 ? depotPop(depot) : null;
  unlock(domain);
  if (full == null) return 0;
  slabFree(stateOf(domain).magazineCache, empty);
  cache.loaded = full;
  return magazinePop(full, full.count, highest);
}

// From the newest down, the first that will do; the newest takes its place.
function magazinePop(magazine: Magazine, count: u32, highest: u64): u64 {
  for (let i = count; i-- > 0; ) {
    const pfn = pfnAt(magazine, i);
    if (pfn > highest) continue;
    pfnSet(magazine, i, pfnAt(magazine, count - 1));
    magazine.count = count - 1;
    return pfn;
  }
  return 0;
}

/** iova_rcache_insert. Returns false when there is no memory for another magazine: the range must go to the tree. */
// @ts-ignore: decorator
@inline
export function rcacheInsert(domain: IovaDomain, order: u32, pfn: u64): bool {
  const cache = cacheOf(domain, currentCpu(), order);
  const loaded = cache.loaded;
  const count = loaded.count;
  if (count == domain.magazinePfns) return rcacheSpill(domain, order, cache, pfn);
  pfnSet(loaded, count, pfn);
  loaded.count = count + 1;
  return true;
}

// The loaded magazine is full: the previous one if it has room, else an empty one, and the full one goes to the depot.
function rcacheSpill(domain: IovaDomain, order: u32, cache: MagazineCache, pfn: u64): bool {
  const full = cache.loaded;
  let into: Magazine | null = cache.previous;
  if (into.count != domain.magazinePfns) {
    cache.previous = full;
  } else {
    into = slabAlloc(stateOf(domain).magazineCache);
    if (into == null) return false;
    into.count = 0;
    lock(domain);
    depotPush(domain, depotOf(domain, order), full);
    unlock(domain);
  }
  cache.loaded = into;
  const count = into.count;
  pfnSet(into, count, pfn);
  into.count = count + 1;
  return true;
}

// ---- emptying; the caller holds the domain's lock ----

// iova_magazine_free_pfns: from the oldest up. A pfn that was put in twice is in the tree once: it is passed over.
function magazineEmpty(domain: IovaDomain, magazine: Magazine): void {
  const count = magazine.count;
  for (let i: u32 = 0; i < count; ++i) {
    const pfn = pfnAt(magazine, i);
    const leaf = locate(domain, pfn);
    if (loOf(leaf, pathIndex(pathOf(domain), 0)) > pfn) continue;
    forget(domain);
    removeAt(domain);
  }
  magazine.count = 0;
}

/** Gives everything that is cached back to the tree (free_cpu_cached_iovas for each CPU, free_global_cached_iovas). */
export function rcacheFlush(domain: IovaDomain): void {
  const first: u32 = ASC_FEATURE_THREADS ? currentCpu() : 0;
  const end: u32 = ASC_FEATURE_THREADS ? first + 1 : domain.cacheCpus;
  for (let cpu = first; cpu < end; ++cpu) {
    for (let order: u32 = 0; order < RCACHE_CLASSES; ++order) {
      magazineEmpty(domain, cacheOf(domain, cpu, order).loaded);
      magazineEmpty(domain, cacheOf(domain, cpu, order).previous);
    }
  }
  for (let order: u32 = 0; order < RCACHE_CLASSES; ++order) {
    const depot = depotOf(domain, order);
    while (depot.count != 0) dropTop(domain, depot);
  }
}

function dropTop(domain: IovaDomain, depot: Depot): void {
  const magazine = depotPop(depot);
  magazineEmpty(domain, magazine);
  slabFree(stateOf(domain).magazineCache, magazine);
}

/** iova_depot_work_func: while a depot holds more magazines than CPUs are online, one goes every 100 ms. */
export function iovaDepotWork(depot: Depot): void {
  const domain = depot.domain;
  depot.armed = 0;
  if (depot.count <= domain.cpus) return;
  lock(domain);
  dropTop(domain, depot);
  unlock(domain);
  arm(domain, depot);
}

/** What the timers would come to if the clock moved on for long enough: no depot above the number of online CPUs. */
export function rcacheTrim(domain: IovaDomain): void {
  if (domain.magazines == 0) return;
  let dropped: bool;
  do {
    dropped = false;
    for (let order: u32 = 0; order < RCACHE_CLASSES; ++order) {
      if (depotOf(domain, order).count <= domain.cpus) continue;
      dropTop(domain, depotOf(domain, order));
      dropped = true;
    }
  } while (dropped);
}

/** Pages that wait in magazines: allocated in the tree, free for users. */
export function rcachePages(domain: IovaDomain): u64 {
  let pages: u64 = 0;
  for (let order: u32 = 0; order < RCACHE_CLASSES; ++order) {
    const size: u64 = <u64>1 << order;
    for (let cpu: u32 = 0; cpu < domain.cacheCpus; ++cpu) {
      const cache = cacheOf(domain, cpu, order);
      pages += (<u64>cache.loaded.count + cache.previous.count) * size;
    }
    for (let magazine = depotOf(domain, order).top; magazine != null; magazine = magazine!.next) {
      pages += <u64>magazine.count * size;
    }
  }
  return pages;
}

/** Whether magazines and depots are as they must be: counts in bounds, depots full and of the length they say. */
export function rcacheCheck(domain: IovaDomain): bool {
  if (domain.magazines == 0) return true;
  for (let cell = domain.magazines; cell < domain.depots; cell += 4) {
    const magazine = changetype<Magazine | null>(load<u32>(cell));
    if (magazine == null || magazine.count > domain.magazinePfns) return false;
  }
  for (let order: u32 = 0; order < RCACHE_CLASSES; ++order) {
    const depot = depotOf(domain, order);
    let count: u32 = 0;
    for (let magazine = depot.top; magazine != null && count <= depot.count; magazine = magazine!.next) {
      if (magazine.count != domain.magazinePfns) return false;
      ++count;
    }
    if (count != depot.count) return false;
  }
  return true;
}
