// Our own allocator (RULE_SPANS). Requests of up to 32 pages take a slot of a span, which has 64 slots of one size, by a few bit
// operations. Spans and larger requests are placed in the index, from the top down. A CPU takes slots of its own spans only, so that
// two CPUs do not allocate neighbouring pages, whose page-table entries would share a cache line.
//
//   lists   for each CPU, zone and order: spans with free slots, the first in use
//           zone 0 lies below the 32-bit line, zone 1 anywhere up to the limit that was asked for when it was made
//
// A slot that another CPU frees is marked in its span under the domain's lock; the owner collects these when it has no free slot.
// An empty span is freed unless it is the last of its list.

import { blockAllocZeroed, blockFree, blockOrder } from '../memory/block';
import { currentCpu } from '../memory/cpu';
import { lock, unlock } from '../memory/lock';
import { slabAlloc, slabFree } from '../memory/slab';
import { fingerOf, IovaDomain, stateOf } from './iova-domain';
import { alignMask, codesFor, NO_MEMORY, NO_PLACE } from './linux';
import { CAP } from './node';
import { ALL_FREE, SLOTS, Span, SpanList, spanAt, spanEnter, spansDestroy } from './span';
import { insertAt, locate, removeAt, search, searchAll } from './tree';

/** Orders that have spans: 1 to 32 pages. */
export const FAST_ORDERS: u32 = 6;
export const ZONES: u32 = 2;

/** Gives a domain its lists. Returns false without memory. */
export function fastCreate(domain: IovaDomain, cpus: u32): bool {
  const bytes = <usize>cpus * (ZONES * FAST_ORDERS + 1) * 4;
  domain.lists = blockAllocZeroed(domain.ctx, blockOrder(bytes));
  domain.cacheCpus = cpus;
  return domain.lists != 0;
}

export function fastDestroy(domain: IovaDomain): void {
  spansDestroy(domain);
  blockFree(domain.ctx, domain.lists);
}

/** Head of a list of spans with free slots. */
// @ts-ignore: decorator
@inline
export function listOf(domain: IovaDomain, cpu: u32, zone: u32, order: u32): SpanList {
  return changetype<SpanList>(domain.lists + (<usize>((cpu * ZONES + zone) * FAST_ORDERS + order) << 2));
}

// Head of a CPU's list of spans in which others freed slots.
// @ts-ignore: decorator
@inline
function returnedOf(domain: IovaDomain, cpu: u32): SpanList {
  return changetype<SpanList>(domain.lists + (<usize>(domain.cacheCpus * ZONES * FAST_ORDERS + cpu) << 2));
}

function push(list: SpanList, span: Span): void {
  const next = list.first;
  span.next = next;
  span.previous = null;
  if (next != null) next.previous = span;
  list.first = span;
}

function unlink(list: SpanList, span: Span): void {
  if (span.previous != null) span.previous!.next = span.next;
  else list.first = span.next;
  if (span.next != null) span.next!.previous = span.previous;
}

/** A slot for 1 << order pages below `end`, or 0 when the index must be asked. */
// @ts-ignore: decorator
@inline
export function slotAlloc(domain: IovaDomain, order: u32, end: u64): u64 {
  const list = listOf(domain, currentCpu(), end > domain.line ? 1 : 0, order);
  const span = list.first;
  if (span == null) return 0;
  return span.end <= end ? takeSlot(list, span) : 0;
}

// @ts-ignore: decorator
@inline
function takeSlot(list: SpanList, span: Span): u64 {
  const free = span.free;
  const rest = free & (free - 1);
  span.free = rest;
  if (rest == 0) unlink(list, span);
  return span.base + (ctz<u64>(free) << span.order);
}

/** Where slotAlloc had nothing: slots that others gave back, a new span, or a range of the index. Takes the lock. */
export function fastAlloc(domain: IovaDomain, size: u64, limit: u64, aligned: bool, order: u32): u64 {
  lock(domain);
  let pfn: u64 = NO_PLACE;
  if (order < FAST_ORDERS) {
    collect(domain);
    pfn = slotAlloc(domain, order, limit + 1);
    if (pfn == NO_PLACE) pfn = slotFromNewSpan(domain, order, limit + 1);
  }
  if (pfn == NO_PLACE) pfn = placeRange(domain, size, limit, aligned);
  unlock(domain);
  return pfn;
}

function placeRange(domain: IovaDomain, size: u64, limit: u64, aligned: bool): u64 {
  const mask = alignMask(size, aligned);
  const codes = codesFor(aligned);
  let pfn = searchAll(domain, limit + 1, size, mask, codes);
  if (pfn < domain.start && releaseEmpty(domain)) pfn = searchAll(domain, limit + 1, size, mask, codes);
  if (pfn < domain.start) return NO_PLACE;
  return insertAt(domain, fingerOf(domain), pfn, pfn + size - 1) ? pfn : NO_MEMORY;
}

function slotFromNewSpan(domain: IovaDomain, order: u32, end: u64): u64 {
  const zone: u32 = end > domain.line ? 1 : 0;
  const pages = <u64>SLOTS << order;
  const base = search(domain, end, pages, 0 - pages, CAP);
  if (base < domain.start) return NO_PLACE;
  const cache = stateOf(domain).spanCache;
  const span = slabAlloc(cache);
  if (span == null) return NO_PLACE;
  span.base = base;
  span.end = base + pages;
  span.free = ALL_FREE;
  span.remote = 0;
  span.returned = null;
  span.cpu = currentCpu();
  span.order = order;
  span.zone = zone;
  if (!spanEnter(domain, span, true)) {
    slabFree<Span>(cache, span);
    return NO_PLACE;
  }
  if (!insertAt(domain, fingerOf(domain), base, base + pages - 1)) {
    spanEnter(domain, span, false);
    slabFree<Span>(cache, span);
    return NO_PLACE;
  }
  const list = listOf(domain, span.cpu, zone, order);
  push(list, span);
  return takeSlot(list, span);
}

/**
 * Frees the slot that holds a pfn of a span; its bounds are in foundLo, foundHi.
 * @returns false if it is free already
 */
// @ts-ignore: decorator
@inline
export function slotFree(domain: IovaDomain, span: Span, pfn: u64): bool {
  const slot = (pfn - span.base) >> span.order;
  const bit = <u64>1 << slot;
  domain.foundLo = span.base + (slot << span.order);
  domain.foundHi = domain.foundLo + (<u64>1 << span.order) - 1;
  if (span.cpu != currentCpu()) return slotReturn(domain, span, bit);
  const free = span.free;
  if (((free | span.remote) & bit) != 0) return false;
  span.free = free | bit;
  if (free == 0) push(listOf(domain, span.cpu, span.zone, span.order), span);
  else if ((free | bit) == ALL_FREE) emptied(domain, span);
  return true;
}

function slotReturn(domain: IovaDomain, span: Span, bit: u64): bool {
  lock(domain);
  const fresh = ((span.free | span.remote) & bit) == 0;
  if (fresh) {
    if (span.remote == 0) {
      const list = returnedOf(domain, span.cpu);
      span.returned = list.first;
      list.first = span;
    }
    span.remote |= bit;
  }
  unlock(domain);
  return fresh;
}

// Takes over what other CPUs have freed of this CPU's spans. The caller holds the lock.
function collect(domain: IovaDomain): void {
  const list = returnedOf(domain, currentCpu());
  let at = list.first;
  list.first = null;
  while (at != null) {
    const span = at;
    if (span.free == 0) push(listOf(domain, span.cpu, span.zone, span.order), span);
    span.free |= span.remote;
    span.remote = 0;
    at = span.returned;
  }
}

function emptied(domain: IovaDomain, span: Span): void {
  if (span.next == null && span.previous == null) return;
  lock(domain);
  release(domain, span);
  unlock(domain);
}

// Gives an empty span's range back to the index. The caller holds the lock.
function release(domain: IovaDomain, span: Span): void {
  unlink(listOf(domain, span.cpu, span.zone, span.order), span);
  spanEnter(domain, span, false);
  locate(domain, span.base);
  removeAt(domain);
  slabFree(stateOf(domain).spanCache, span);
}

// Gives back this CPU's empty spans, which are kept for the next request. Returns whether there was one.
function releaseEmpty(domain: IovaDomain): bool {
  let any = false;
  const cpu = currentCpu();
  for (let zone: u32 = 0; zone < ZONES; ++zone) {
    for (let order: u32 = 0; order < FAST_ORDERS; ++order) {
      for (let at = listOf(domain, cpu, zone, order).first; at != null; ) {
        const span = at;
        at = span.next;
        if (span.free != ALL_FREE || span.remote != 0) continue;
        release(domain, span);
        any = true;
      }
    }
  }
  return any;
}

/** Whether a pfn lies in a slot that is in use; its bounds into foundLo, foundHi. */
export function slotFind(domain: IovaDomain, span: Span, pfn: u64): bool {
  const slot = (pfn - span.base) >> span.order;
  if ((((span.free | span.remote) >> slot) & 1) != 0) return false;
  domain.foundLo = span.base + (slot << span.order);
  domain.foundHi = domain.foundLo + (<u64>1 << span.order) - 1;
  return true;
}

/** Whether lists and spans agree: owner, order, zone and links of each, and that each is found by its pfn. */
export function fastCheck(domain: IovaDomain): bool {
  if (domain.lists == 0) return true;
  for (let cpu: u32 = 0; cpu < domain.cacheCpus; ++cpu) {
    for (let zone: u32 = 0; zone < ZONES; ++zone) {
      for (let order: u32 = 0; order < FAST_ORDERS; ++order) {
        let previous: Span | null = null;
        for (let at = listOf(domain, cpu, zone, order).first; at != null; ) {
          const span = at;
          if (span.previous != previous || span.free == 0 || (span.free & span.remote) != 0) return false;
          if (span.cpu != cpu || span.zone != zone || span.order != order) return false;
          if (spanAt(domain, span.base) != at || spanAt(domain, span.end - 1) != at) return false;
          previous = at;
          at = span.next;
        }
      }
    }
  }
  return true;
}
