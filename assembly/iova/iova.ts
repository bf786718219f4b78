// iova/ allocates ranges of I/O virtual addresses (drivers/iommu/iova.c). A domain is one address space. Its ranges are in an
// ordered index that has the largest gap of each branch: what Linux finds by walking range by range takes one walk from the root.
//
//   node.ts     nodes of the index: layout, summaries, vector routines
//   tree.ts     the index: locate, search, insert, remove; balance.ts splits and merges nodes; path.ts a path
//   linux.ts    where Linux puts a range, and what it remembers, by the domain's rules
//   rcache.ts   Linux's magazines and depots in front of the tree
//   fast.ts     our own allocator: spans (span.ts) of equal slots, without a search in the common case
//   query.ts    free pages, gaps, histogram; why a request failed
//   check.ts    checks of all structures
//   replay.ts   many operations in one call
//
// pfns are in units of the domain's granule. Limits are inclusive, as callers of the kernel's functions give them.
// Functions return a pfn, or 0 with the reason in the CPU's record; a failure changes nothing but what it changes in
// Linux (max32_alloc_size, flushed magazines).

import { unlinkRecord } from '../memory/record';
import { Context, FAULT_IOVA } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { lock, unlock } from '../memory/lock';
import { slabAllocZeroed, slabFree } from '../memory/slab';
import { REASON_IOVA_BUSY, REASON_IOVA_LIMIT, REASON_IOVA_NO_MEMORY, setReason } from '../memory/reason';
import { treeCreate, treeDestroy } from './balance';
import {
  IovaDomain, IovaState, RULES, RULE_ABOVE_START, RULE_CACHES, RULE_ROUND, RULE_ROUND_FAST, RULE_SPANS, RULE_TWO_NODES,
  iovaState, iovaStateOf, pathOf, stateOf,
} from './iova-domain';
import { FAST_ORDERS, fastAlloc, fastCreate, fastDestroy, slotAlloc, slotFind, slotFree } from './fast';
import { allocOneNode, allocTwoNodes, forget, NO_MEMORY, NO_PLACE, roundupPow2 } from './linux';
import { ANCHOR, hiOf, loOf } from './node';
import { reasonFor } from './query';
import { RCACHE_CLASSES, orderOf, rcacheCreate, rcacheDestroy, rcacheFlush, rcacheGet, rcacheInsert } from './rcache';
import { placeCounted } from './search-cost';
import { Span, spanAt, spanInline } from './span';
import { pathIndex } from './path';
import { extendAt, insertAt, locate, removeAt, roomAt } from './tree';

/** pfns and sizes from here on are refused: below, they are exact as numbers of the host. */
export const IOVA_PFN_END: u64 = 1 << 53;

/**
 * Makes a domain (init_iova_domain, and iova_domain_init_rcaches with RULE_CACHES).
 * @param rules RULE_*
 * @param startPfn lowest pfn to be handed out, at least 1 (with RULE_ABOVE_START one above it)
 * @param pfn32bit the 32-bit line as the kernel has it: 1 << (32 - granuleShift) in 6.12, one less in 4.2
 * @param cpus CPUs that are online: what a depot is trimmed to
 * @returns the domain, null without memory or for parameters that cannot be
 */
export function iovaDomainCreate(
  ctx: Context, rules: u32, granuleShift: u32, startPfn: u64, pfn32bit: u64, cpus: u32,
): IovaDomain | null {
  if ((rules & ~RULES) != 0) return null;
  if (startPfn == 0 || startPfn >= IOVA_PFN_END || pfn32bit >= IOVA_PFN_END || cpus == 0) return null;
  if (iovaState(ctx) == null) return null;
  const state = iovaStateOf(ctx)!;
  const domain = slabAllocZeroed(state.domainCache);
  if (domain == null) return null;
  domain.ctx = ctx;
  domain.rules = rules;
  domain.granuleShift = granuleShift;
  domain.start = startPfn;
  domain.line = pfn32bit;
  domain.cpus = cpus;
  domain.max32 = pfn32bit;
  domain.cachedLo = ANCHOR;
  domain.cachedHi = ANCHOR;
  domain.cached32Lo = ANCHOR;
  domain.cached32Hi = ANCHOR;
  if (!treeCreate(domain, (rules & RULE_ABOVE_START) != 0 ? startPfn + 1 : startPfn)) {
    slabFree<IovaDomain>(state.domainCache, domain);
    return null;
  }
  const ready = (rules & RULE_SPANS) != 0 ? fastCreate(domain, ctx.cpuCount)
    : (rules & RULE_CACHES) == 0 || rcacheCreate(domain, ctx.cpuCount);
  if (!ready) {
    treeDestroy(domain);
    slabFree<IovaDomain>(state.domainCache, domain);
    return null;
  }
  domain.next = state.domains;
  state.domains = domain;
  return domain;
}

/** Frees a domain with all its ranges (put_iova_domain). */
export function iovaDomainDestroy(domain: IovaDomain): void {
  const state = stateOf(domain);
  unlinkRecord(changetype<usize>(state) + offsetof<IovaState>('domains'), changetype<usize>(domain), offsetof<IovaDomain>('next'));
  if (domain.magazines != 0) rcacheDestroy(domain);
  if ((domain.rules & RULE_SPANS) != 0) fastDestroy(domain);
  treeDestroy(domain);
  slabFree<IovaDomain>(state.domainCache, domain);
}

function noMemory(domain: IovaDomain): u64 {
  setReason(domain.ctx, REASON_IOVA_NO_MEMORY);
  return 0;
}

// Places a range by the domain's rules; the caller holds the lock. NO_PLACE and NO_MEMORY are failures.
// @ts-ignore: decorator
@inline
function place(domain: IovaDomain, size: u64, limit: u64, aligned: bool): u64 {
  if (aligned && (domain.rules & RULE_ROUND) != 0) size = roundupPow2(size);
  if (domain.ctx.searchCost != 0) return placeCounted(domain, size, limit, aligned);
  return (domain.rules & RULE_TWO_NODES) != 0
    ? allocTwoNodes(domain, size, limit, aligned)
    : allocOneNode(domain, size, limit, aligned);
}

// The result of a failed placement: 0, and the reason in the CPU's record.
function refuse(domain: IovaDomain, result: u64, size: u64, limit: u64, aligned: bool): u64 {
  if (result == NO_MEMORY) return noMemory(domain);
  setReason(domain.ctx, reasonFor(domain, size, limit, aligned));
  return 0;
}

/**
 * Allocates a range (alloc_iova).
 * @param size pages, at least 1; RULE_ROUND rounds aligned sizes up to a power of two
 * @param limitPfn highest pfn that the range may hold
 * @param aligned to the smallest power of two that is at least the size
 * @returns its first pfn, or 0 with the reason in the CPU's record
 */
export function iovaAlloc(domain: IovaDomain, size: u64, limitPfn: u64, aligned: bool): u64 {
  assert(size != 0);
  if (shouldFail(domain.ctx, FAULT_IOVA)) return noMemory(domain);
  limitPfn = min<u64>(limitPfn, IOVA_PFN_END - 1);
  if ((domain.rules & RULE_SPANS) != 0) return allocFast(domain, size, limitPfn, aligned);
  lock(domain);
  let pfn = place(domain, size, limitPfn, aligned);
  if (pfn == NO_PLACE || pfn == NO_MEMORY) pfn = refuse(domain, pfn, size, limitPfn, aligned);
  unlock(domain);
  return pfn;
}

// @ts-ignore: decorator
@inline
function allocFast(domain: IovaDomain, size: u64, limit: u64, aligned: bool): u64 {
  const order = orderOf(size);
  if (order < FAST_ORDERS) {
    const pfn = slotAlloc(domain, order, limit + 1);
    if (pfn != 0) return pfn;
  }
  return allocFastSlow(domain, size, limit, aligned, order);
}

function allocFastSlow(domain: IovaDomain, size: u64, limit: u64, aligned: bool, order: u32): u64 {
  const pfn = fastAlloc(domain, size, limit, aligned, order);
  if (pfn != NO_PLACE && pfn != NO_MEMORY) return pfn;
  lock(domain);
  refuse(domain, pfn, size, limit, aligned);
  unlock(domain);
  return 0;
}

/** Whether a range of the tree holds a pfn; its bounds into foundLo, foundHi. The domain is locked. */
// @ts-ignore: decorator
@inline
function findInTree(domain: IovaDomain, pfn: u64): bool {
  const leaf = locate(domain, pfn);
  const i = pathIndex(pathOf(domain), 0);
  const lo = loOf(leaf, i);
  const found = lo <= pfn && lo != ANCHOR;
  if (found) {
    domain.foundLo = lo;
    domain.foundHi = hiOf(leaf, i);
  }
  return found;
}

/** Frees the range that holds a pfn (free_iova); its bounds are in foundLo, foundHi. Returns false if there is none. */
export function iovaFree(domain: IovaDomain, pfn: u64): bool {
  const span: Span | null = domain.spans == 0 ? null : spanInline(domain, pfn);
  if (span != null) return slotFree(domain, span, pfn);
  lock(domain);
  const found = findInTree(domain, pfn);
  if (found) {
    forget(domain);
    removeAt(domain);
  }
  unlock(domain);
  return found;
}

/**
 * Allocates an aligned range by way of the caches (alloc_iova_fast). Sizes below 32 are rounded up to a power of two.
 * @param flush whether to give all that is cached back to the tree and try again before failing
 * @returns its first pfn, or 0 with the reason in the CPU's record
 */
// @ts-ignore: decorator
@inline
export function iovaAllocFast(domain: IovaDomain, size: u64, limitPfn: u64, flush: bool): u64 {
  if (domain.magazines == 0) return iovaAlloc(domain, roundSmall(domain, size), limitPfn, true);
  const order = orderOf(size);
  if (order < RCACHE_CLASSES) {
    if (shouldFail(domain.ctx, FAULT_IOVA)) return noMemory(domain);
    size = <u64>1 << order;
    const pfn = rcacheGet(domain, order, limitPfn + 1 - size);
    if (pfn != 0) return pfn;
    return allocMissed(domain, size, limitPfn, flush, false);
  }
  return allocMissed(domain, size, limitPfn, flush, true);
}

// @ts-ignore: decorator
@inline
function roundSmall(domain: IovaDomain, size: u64): u64 {
  return (domain.rules & RULE_ROUND_FAST) != 0 && size < 32 ? roundupPow2(size) : size;
}

function allocMissed(domain: IovaDomain, size: u64, limitPfn: u64, flush: bool, mayFail: bool): u64 {
  if (mayFail && shouldFail(domain.ctx, FAULT_IOVA)) return noMemory(domain);
  limitPfn = min<u64>(limitPfn, IOVA_PFN_END - 1);
  if (ASC_FEATURE_THREADS) {
    if (size < GROUP) {
      const pfn = allocGroup(domain, size, limitPfn);
      if (pfn != NO_PLACE) return pfn;
    }
  }
  lock(domain);
  let pfn = place(domain, size, limitPfn, true);
  if (pfn == NO_PLACE && flush) {
    rcacheFlush(domain);
    pfn = place(domain, size, limitPfn, true);
  }
  if (pfn == NO_PLACE || pfn == NO_MEMORY) pfn = refuse(domain, pfn, size, limitPfn, true);
  unlock(domain);
  return pfn;
}

/** Pages whose table entries share a cache line. */
const GROUP: u64 = 8;

/**
 * Takes small ranges for all pages of a cache line of table entries, one to return and the others for the caches of this
 * CPU: two CPUs that fill and clear neighbouring entries pass their line to and fro, at half the speed of one. In the
 * threads build only; there Linux would place the next CPU's range beside this one.
 * @returns a range, or NO_PLACE where a whole line cannot be had
 */
function allocGroup(domain: IovaDomain, size: u64, limitPfn: u64): u64 {
  const at = changetype<usize>(domain);
  lock(at);
  const first = place(domain, GROUP, limitPfn, true);
  let lowest = first + GROUP;
  if (first != NO_PLACE && first != NO_MEMORY) {
    takeBack(domain, first);
    for (let want = lowest - size; want >= first; want -= size) {
      const pfn = place(domain, size, want + size - 1, true);
      if (pfn != want) {
        if (pfn != NO_PLACE && pfn != NO_MEMORY) takeBack(domain, pfn);
        break;
      }
      lowest = want;
    }
  }
  unlock(at);
  if (first == NO_PLACE || first == NO_MEMORY || lowest == first + GROUP) return NO_PLACE;
  const order = orderOf(size);
  for (let pfn = lowest + size; pfn < first + GROUP; pfn += size) {
    if (!rcacheInsert(domain, order, pfn)) iovaFree(domain, pfn);
  }
  return lowest;
}

// Takes a range out again that was placed a moment ago; the caller holds the lock.
function takeBack(domain: IovaDomain, pfn: u64): void {
  locate(domain, pfn);
  forget(domain);
  removeAt(domain);
}

/** Gives a range back by way of the caches (free_iova_fast). `size` is as it was asked for. */
// @ts-ignore: decorator
@inline
export function iovaFreeFast(domain: IovaDomain, pfn: u64, size: u64): void {
  if (domain.magazines != 0) {
    const order = orderOf(size);
    if (order < RCACHE_CLASSES && rcacheInsert(domain, order, pfn)) return;
  }
  iovaFree(domain, pfn);
}

/** The range that holds a pfn, into foundLo, foundHi (find_iova). Returns false if there is none. */
export function iovaFind(domain: IovaDomain, pfn: u64): bool {
  const span = spanAt(domain, pfn);
  if (span != null) return slotFind(domain, span, pfn);
  lock(domain);
  const found = findInTree(domain, pfn);
  unlock(domain);
  return found;
}

/**
 * Marks [lo, hi] as taken (reserve_iova). Ranges that overlap it grow downwards to cover it, each up to its own start;
 * a range of its own is made only for what remains above the last of them. foundLo, foundHi become the range that
 * holds `hi`.
 * The fast allocator refuses ranges that its spans lie in (REASON_IOVA_BUSY): reserve before the first allocation there.
 * @returns false for a range that cannot be, or without memory; nothing has changed then
 */
export function iovaReserve(domain: IovaDomain, lo: u64, hi: u64): bool {
  if (lo > hi || hi >= IOVA_PFN_END) return false;
  // A kernel whose tree has an anchor (since 4.15) refuses a pfn beyond the 64-bit address space, with a warning.
  if ((domain.rules & RULE_TWO_NODES) != 0 && hi > 0xffffffffffffffff >> <u64>domain.granuleShift) {
    setReason(domain.ctx, REASON_IOVA_LIMIT);
    return false;
  }
  if (domain.spans != 0 && touchesSpan(domain, lo, hi)) {
    setReason(domain.ctx, REASON_IOVA_BUSY);
    return false;
  }
  if (!shouldFail(domain.ctx, FAULT_IOVA)) {
    lock(domain);
    // Room for the range that may have to be made, before any other grows.
    const room = loOf(locate(domain, hi), pathIndex(pathOf(domain), 0)) <= hi || roomAt(domain, pathOf(domain));
    if (room) reserve(domain, lo, hi);
    unlock(domain);
    if (room) return true;
  }
  noMemory(domain);
  return false;
}

function touchesSpan(domain: IovaDomain, lo: u64, hi: u64): bool {
  lock(domain);
  let touches = false;
  do {
    const leaf = locate(domain, lo);
    const i = pathIndex(pathOf(domain), 0);
    if (loOf(leaf, i) > hi) break;
    touches = spanAt(domain, loOf(leaf, i)) != null;
    lo = hiOf(leaf, i) + 1;
  } while (!touches);
  unlock(domain);
  return touches;
}

function reserve(domain: IovaDomain, lo: u64, hi: u64): void {
  let leaf = locate(domain, lo);
  let i = pathIndex(pathOf(domain), 0);
  while (loOf(leaf, i) <= hi) {
    const last = hiOf(leaf, i);
    if (lo < loOf(leaf, i)) {
      extendAt(domain, lo);
      if (last == domain.cachedHi) domain.cachedLo = lo;
      if (last == domain.cached32Hi) domain.cached32Lo = lo;
    }
    if (hi <= last) {
      domain.foundLo = loOf(leaf, i);
      domain.foundHi = last;
      return;
    }
    lo = last + 1;
    leaf = locate(domain, lo);
    i = pathIndex(pathOf(domain), 0);
  }
  domain.foundLo = lo;
  domain.foundHi = hi;
  insertAt(domain, pathOf(domain), lo, hi);
}
