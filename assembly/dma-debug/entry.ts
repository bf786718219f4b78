// Entries: one a mapped element, kept in chains by device and address.
//
// The kernel hashes by address bits 13 and up into 16,384 lists (1,024 in 2015) and searches a list from its oldest
// entry. What it finds depends on order only among entries of one device at one address, and, for a containing lookup,
// on which entries share a bucket. So the chains here are of one page of a device's address space each, oldest first, in
// a table that grows with the number of entries; the kernel's own buckets are gone through by address where they matter.
//
// A slot holds the last entry of its chain, whose `next` is the first: appending and taking the first are two loads.

import { BLOCK_SIZE, blockAlloc, blockAllocZeroed, blockFree, blockOrder } from '../memory/block';
import { Context, FAULT_DMA_DEBUG, FAULT_SLAB, cpuOf } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { DmaDevice } from '../dma/device';
import { SgTable } from '../sg/sg-table';
import { CHECK_OOM_DISABLED, CHECK_POOL_GROWN } from './checks';
import { reportPool } from './log';
import {
  DEBUG_GROWS, DEBUG_KERNEL, DEBUG_OWN, DEBUG_POOL_FIXED, DEBUG_SYNC_BY_SEGMENT, DYNAMIC_ENTRIES, DebugState,
  OBJECT_SLOTS,
} from './state';

export const TYPE_SINGLE: u32 = 0;
export const TYPE_SG: u32 = 1;
export const TYPE_COHERENT: u32 = 2;
export const TYPE_RESOURCE: u32 = 3;
export const TYPE_PAGE: u32 = 4; // 2015; later kernels know single only
export const TYPE_NONCOHERENT: u32 = 5;
/** From here on no kernel's: what was linked into reserved address space, and such space itself (links.ts). */
export const TYPE_LINK: u32 = 6;
export const TYPE_RANGE: u32 = 7;

export const UNCHECKED: u32 = 1;
export const CHECKED: u32 = 2;

/** Its address is in nobody's hands any more: overwritten in its table, or its object or owner is gone. */
export const ENTRY_LOST: u32 = 1;
/** Its frames, one piece of RAM, are counted in DebugState.frames (pages.ts). */
export const ENTRY_COUNTED: u32 = 2;
/** Its first cacheline is active (not a to-device mapping). */
export const ENTRY_LINE: u32 = 4;
/** Its frames are counted, as the table that it is all of has them. */
export const ENTRY_SCATTERED: u32 = 8;
/** It is on the list of entries whose pages are counted only when somebody frees pages (pages.ts). */
export const ENTRY_UNINDEXED: u32 = 16;
/** Its frames are counted, as the IOMMU's page tables have them. */
export const ENTRY_WALKED: u32 = 32;
/** It lies in one frame, whose two counts it has raised in one go; besides COUNTED. */
export const ENTRY_PAIR: u32 = 64;
/** In any of the ways above. */
export const ENTRY_PAGES: u32 = ENTRY_COUNTED | ENTRY_SCATTERED | ENTRY_UNINDEXED | ENTRY_WALKED;

// @ts-ignore: decorator
@unmanaged
export class Entry {
  next: usize;
  device: usize; // DmaDevice
  address: u64;
  size: u64;
  phys: u64;
  sgCallEnts: u32;
  sgMappedEnts: u32;
  /** type | direction << 8: what a best match compares in one go. */
  kind: u32;
  /** 0 does not apply, UNCHECKED, CHECKED (map_err_type). */
  checked: u32;
  /** ENTRY_* */
  flags: u32;
  /** Who mapped it, from the Cpu's registers. */
  object: u32;
  vma: u32;
  hook: u32;
  site: u32;
  sequence: u32;
  time: u64;
  /** GPU bindings whose PTEs point here. */
  bindings: u32;
  sgt: usize;
  sgNext: usize;
  sgPrevious: usize;
  lazyNext: usize;
  lazyPrevious: usize;
}

export const ENTRY_SIZE: usize = 104;
/** Entries are carved from blocks of 32 KiB. */
const ENTRY_BLOCK_ORDER: u32 = 3;
/** The kernel's hash takes the address from this bit on: two pages share a bucket. */
export const HASH_SHIFT: u64 = 13;
/** Ours has a chain for each page: two in one would only be in each other's way. */
const PAGE_SHIFT: u64 = 12;

// @ts-ignore: decorator
@inline
export function kindOf(type: u32, direction: u32): u32 {
  return type | (direction << 8);
}

/** Fills in what every entry has. The fields lie in pairs, so that two are one store. */
// @ts-ignore: decorator
@inline
export function entryFill(
  entry: Entry, dev: DmaDevice, address: u64, size: u64, phys: u64, ents: u32, mapped: u32, kind: u32, checked: u32,
): void {
  const at = changetype<usize>(entry);
  entry.device = changetype<usize>(dev);
  entry.address = address;
  entry.size = size;
  entry.phys = phys;
  store<u64>(at, <u64>ents | (<u64>mapped << 32), offsetof<Entry>('sgCallEnts'));
  store<u64>(at, <u64>kind | (<u64>checked << 32), offsetof<Entry>('kind'));
  entry.flags = 0;
  store<u64>(at, 0, offsetof<Entry>('bindings')); // and sgt
}

// Neighbouring pages lie in neighbouring slots; the folds keep objects that are all aligned to 2 MiB from meeting.
// @ts-ignore: decorator
@inline
function slotOf(state: DebugState, device: usize, page: u64): usize {
  const low = <u32>page;
  const hash = low ^ (low >> 8) ^ (low >> 16) ^ (<u32>device << 3);
  return state.buckets + (<usize>(hash & state.bucketMask) << 2);
}

/**
 * Takes an entry from the pool and stamps it with who is calling.
 *
 * Everything that can happen here, the pool's growth or death, a new block of entries, a larger table, happens when there
 * are about to be more live entries than ever: one comparison keeps it out of the way.
 * @returns the entry, or 0 when nothing is tracked (any more)
 */
// @ts-ignore: decorator
@inline
export function entryAlloc(state: DebugState): usize {
  if (state.live >= state.peak) return allocPeak(state);
  const entry = state.free;
  state.free = load<u32>(entry);
  return entry;
}

function allocPeak(state: DebugState): usize {
  if ((state.flags & DEBUG_KERNEL) != 0 && state.live == state.pool) grow(state);
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return 0;
  const ctx = changetype<Context>(state.ctx);
  let entry: usize = 0;
  if (!shouldFail(ctx, FAULT_SLAB) && !shouldFail(ctx, FAULT_DMA_DEBUG)) {
    entry = state.free != 0 ? state.free : carve(state);
  }
  if (entry == 0) {
    // The kernel would have had its entry already: without one it stops, as it does when the pool cannot grow.
    if ((state.flags & DEBUG_KERNEL) != 0) disable(state, CHECK_OOM_DISABLED);
    if ((state.flags & DEBUG_OWN) != 0) ++state.missed;
    return 0;
  }
  state.free = load<u32>(entry);
  state.peak = state.live + 1;
  if (state.live > state.bucketMask) rehash(state);
  return entry;
}

function carve(state: DebugState): usize {
  const block = blockAlloc(changetype<Context>(state.ctx), ENTRY_BLOCK_ORDER);
  if (block == 0) return 0;
  let at = block + ((BLOCK_SIZE << ENTRY_BLOCK_ORDER) / ENTRY_SIZE - 1) * ENTRY_SIZE;
  let next: usize = 0;
  for (; at >= block; at -= ENTRY_SIZE) {
    store<u32>(at, <u32>next);
    next = at;
  }
  state.free = next;
  return next;
}

// dma_entry_alloc: one more page of entries, or the end (the 2015 pool never grows).
function grow(state: DebugState): void {
  state.minFree = 0;
  const fixed = (state.flags & DEBUG_GROWS) == 0 || (state.flags & DEBUG_POOL_FIXED) != 0;
  if (fixed || shouldFail(changetype<Context>(state.ctx), FAULT_DMA_DEBUG)) {
    disable(state, CHECK_OOM_DISABLED);
    return;
  }
  state.total += DYNAMIC_ENTRIES;
  state.pool += DYNAMIC_ENTRIES;
  if (state.total % state.prealloc < DYNAMIC_ENTRIES) reportPool(state, CHECK_POOL_GROWN, state.total);
}

/** The kernel's checker switches itself off for good, its counters stand still; ours goes on with the same entries. */
export function disable(state: DebugState, check: u32): void {
  reportPool(state, check, state.total);
  state.minFree = minFree(state);
  state.numFree = numFree(state);
  state.flags &= ~DEBUG_KERNEL;
}

/** num_free_entries: what is not live of the kernel's pool. */
export function numFree(state: DebugState): u32 {
  return (state.flags & DEBUG_KERNEL) != 0 ? state.pool - state.live : state.numFree;
}

/** min_free_entries: what was left of the pool when most entries were live. */
export function minFree(state: DebugState): u32 {
  return (state.flags & DEBUG_KERNEL) != 0 ? min(state.minFree, state.pool - state.peak) : state.minFree;
}

/** Gives an entry that is in no chain back to the pool. */
// @ts-ignore: decorator
@inline
export function entryFree(state: DebugState, entry: Entry): void {
  store<u32>(changetype<usize>(entry), <u32>state.free);
  state.free = changetype<usize>(entry);
}

/** Puts a filled-in entry at the end of its chain and into every count. */
// @ts-ignore: decorator
@inline
export function entryInsert(state: DebugState, entry: Entry): void {
  append(state, entry);
  if (entry.size > state.longest) state.longest = entry.size;
  ++state.live;
}

/** Puts a link at the end of its chain. */
export function chainInsert(state: DebugState, entry: Entry): void {
  append(state, entry);
}

/** Takes an entry out of its chain without having looked it up. */
export function chainRemove(state: DebugState, entry: Entry): void {
  const at = changetype<usize>(entry);
  const slot = slotOf(state, entry.device, entry.address >> PAGE_SHIFT);
  let before: usize = load<u32>(slot);
  while (changetype<Entry>(before).next != at) before = changetype<Entry>(before).next;
  unchain(slot, before, at);
}

// @ts-ignore: decorator
@inline
function append(state: DebugState, entry: Entry): void {
  const at = changetype<usize>(entry);
  const slot = slotOf(state, entry.device, entry.address >> PAGE_SHIFT);
  const last: usize = load<u32>(slot);
  if (last == 0) entry.next = at;
  else {
    entry.next = load<u32>(last);
    store<u32>(last, <u32>at);
  }
  store<u32>(slot, <u32>at);
}

// @ts-ignore: decorator
@inline
function unchain(slot: usize, before: usize, at: usize): void {
  if (before == at) store<u32>(slot, 0);
  else {
    store<u32>(before, <u32>changetype<Entry>(at).next);
    if (<usize>load<u32>(slot) == at) store<u32>(slot, <u32>before);
  }
}

/** Whole pages of the device's address space that an entry holds. */
// @ts-ignore: decorator
@inline
export function pagesOf(entry: Entry): u64 {
  return ((entry.address & 4095) + entry.size + 4095) >> 12;
}

/** Copies the caller's attribution registers into a new entry. */
// @ts-ignore: decorator
@inline
export function entryStamp(state: DebugState, entry: Entry): void {
  const ctx = changetype<Context>(state.ctx);
  const cpu = cpuOf(ctx);
  // object, vma, hook and site lie side by side in both records.
  v128.store(changetype<usize>(entry) + offsetof<Entry>('object'), v128.load(changetype<usize>(cpu)));
  entry.time = ctx.now;
  entry.sequence = ++state.sequence;
  if (entry.object != 0) countObject(state, entry, 1);
}

/** What is mapped from a table is found through the table when its object goes; this is for all else. */
export function countObject(state: DebugState, entry: Entry, by: u32): void {
  if ((entry.kind & 0xff) == TYPE_SG) return;
  const slot = state.objects + (<usize>(entry.object & (OBJECT_SLOTS - 1)) << 2);
  store<u32>(slot, load<u32>(slot) + by);
}

/** Takes an entry out of its chain, from between the slot and the entry that a lookup left in the state. */
// @ts-ignore: decorator
@inline
export function entryRemove(state: DebugState, entry: Entry): void {
  unchain(state.slot, state.before, changetype<usize>(entry));
  if (entry.object != 0) countObject(state, entry, -1);
  if ((entry.flags & ENTRY_LOST) != 0) {
    --state.lost;
    state.lostPages -= <u32>pagesOf(entry);
  }
  --state.live;
}

/** Nobody holds this entry's address any more: from now on it counts as leaked. */
export function entryLose(state: DebugState, entry: Entry): void {
  if ((entry.flags & ENTRY_LOST) != 0) return;
  entry.flags |= ENTRY_LOST;
  ++state.lost;
  state.lostPages += <u32>pagesOf(entry);
}

// Doubling keeps the chains' order: each is walked from its oldest entry and appended to.
function rehash(state: DebugState): void {
  const ctx = changetype<Context>(state.ctx);
  const old = state.buckets;
  const count: usize = <usize>state.bucketMask + 1;
  if (count >= 1 << 24) return;
  const fresh = blockAllocZeroed(ctx, blockOrder(count << 3));
  // Without memory the chains grow longer, and nothing else changes.
  if (fresh == 0) return;
  state.buckets = fresh;
  state.bucketMask = <u32>(count * 2 - 1);
  for (let slot = old; slot < old + (count << 2); slot += 4) {
    const last: usize = load<u32>(slot);
    if (last == 0) continue;
    let at: usize = load<u32>(last);
    do {
      const entry = changetype<Entry>(at);
      const next = entry.next;
      const to = slotOf(state, entry.device, entry.address >> PAGE_SHIFT);
      const tail: usize = load<u32>(to);
      if (tail == 0) entry.next = at;
      else {
        entry.next = load<u32>(tail);
        store<u32>(tail, <u32>at);
      }
      store<u32>(to, <u32>at);
      if (at == last) break;
      at = next;
    } while (true);
  }
  blockFree(ctx, old);
}

/**
 * The entry of a device at an address, as the kernel picks it (bucket_find_exact): the oldest one that agrees in size,
 * type, direction and sg count; otherwise the only one there is, and none when several disagree.
 * @returns the entry or 0; DebugState.slot and before are set for entryRemove
 */
// @ts-ignore: decorator
@inline
export function findExact(state: DebugState, device: usize, address: u64, size: u64, kind: u32, ents: u32): usize {
  const slot = slotOf(state, device, address >> PAGE_SHIFT);
  state.slot = slot;
  const last: usize = load<u32>(slot);
  if (last == 0) return 0;
  const first = changetype<Entry>(changetype<Entry>(last).next);
  if (
    first.address == address && first.device == device && first.size == size && first.kind == kind &&
    first.sgCallEnts == ents
  ) {
    state.before = last;
    return changetype<usize>(first);
  }
  return findBest(state, last, device, address, size, kind, ents);
}

function findBest(
  state: DebugState, last: usize, device: usize, address: u64, size: u64, kind: u32, ents: u32,
): usize {
  let found: usize = 0;
  let foundBefore: usize = 0;
  let matches = 0;
  let before = last;
  let at: usize = load<u32>(last);
  do {
    const entry = changetype<Entry>(at);
    if (entry.address == address && entry.device == device && (entry.kind & 0xff) < TYPE_LINK) {
      if (entry.size == size && entry.kind == kind && entry.sgCallEnts == ents) {
        state.before = before;
        return at;
      }
      ++matches;
      found = at;
      foundBefore = before;
    }
    if (at == last) break;
    before = at;
    at = entry.next;
  } while (true);
  state.before = foundBefore;
  return matches == 1 ? found : 0;
}

/**
 * The entry of a device that covers [address, address + size), as the kernel picks it (bucket_find_contain): bucket
 * after bucket downwards, in each the best match by the rule of findExact.
 */
export function findContaining(state: DebugState, dev: DmaDevice, address: u64, size: u64, kind: u32, ents: u32): usize {
  const device = changetype<usize>(dev);
  const chunk = address >> HASH_SHIFT;
  const wrap = <u64>state.kernelBuckets;
  let steps = min<u64>(wrap, chunk + 1);
  if ((state.flags & DEBUG_SYNC_BY_SEGMENT) != 0) steps = min<u64>(<u64>(dev.maxSegment >> 13) + 1, chunk + 1);
  // No entry is longer than the longest there ever was: further back nothing can cover the address.
  const reach = min<u64>((state.longest >> HASH_SHIFT) + 1, chunk);
  const lowest = chunk - reach;
  for (let step: u64 = 0; step < steps && step <= reach; ++step) {
    let found: usize = 0;
    let matches = 0;
    // The kernel's bucket holds every chunk that is the same modulo its size.
    let c = chunk - step;
    do {
      for (let page = c << 1; page <= (c << 1) + 1; ++page) {
        const last: usize = load<u32>(slotOf(state, device, page));
        if (last == 0) continue;
        let at = last;
        do {
          at = changetype<Entry>(at).next;
          const entry = changetype<Entry>(at);
          if (entry.device != device || entry.address >> PAGE_SHIFT != page || (entry.kind & 0xff) >= TYPE_LINK) continue;
          if (entry.address > address || entry.address + entry.size < address + size) continue;
          if (entry.size == size && entry.kind == kind && entry.sgCallEnts == ents) return at;
          ++matches;
          found = at;
        } while (at != last);
      }
      if (c < wrap || c - wrap < lowest) break;
      c -= wrap;
    } while (true);
    if (matches == 1) return found;
  }
  return 0;
}

/** The oldest entry of a device at an address, or 0; with `waiting` the oldest that waits for its mapping-error check. */
export function findAt(state: DebugState, device: usize, address: u64, waiting: bool): usize {
  const last: usize = load<u32>(slotOf(state, device, address >> PAGE_SHIFT));
  let at = last;
  if (last != 0) {
    do {
      at = changetype<Entry>(at).next;
      const entry = changetype<Entry>(at);
      if (entry.address != address || entry.device != device || (entry.kind & 0xff) >= TYPE_LINK) continue;
      if (!waiting || entry.checked == UNCHECKED) return at;
    } while (at != last);
  }
  return 0;
}

function firstFrom(state: DebugState, slot: usize): usize {
  const end = state.buckets + ((<usize>state.bucketMask + 1) << 2);
  for (; slot < end; slot += 4) {
    const last: usize = load<u32>(slot);
    if (last != 0) return changetype<Entry>(last).next;
  }
  return 0;
}

/** First live entry in the order of the chains, 0 without. */
export function firstEntry(state: DebugState): usize {
  return firstFrom(state, state.buckets);
}

/** The entry after another, 0 after the last. No entry may come or go between the two calls. */
export function nextEntry(state: DebugState, at: usize): usize {
  const entry = changetype<Entry>(at);
  const slot = slotOf(state, entry.device, entry.address >> PAGE_SHIFT);
  return <usize>load<u32>(slot) == at ? firstFrom(state, slot + 4) : entry.next;
}

// A table's live entries are a list through the entries, so that a second map of it is seen with one load.

// @ts-ignore: decorator
@inline
export function sgLink(entry: Entry, sgt: SgTable): void {
  const first = sgt.debugEntries;
  entry.sgt = changetype<usize>(sgt);
  entry.sgNext = first;
  entry.sgPrevious = 0;
  if (first != 0) changetype<Entry>(first).sgPrevious = changetype<usize>(entry);
  sgt.debugEntries = changetype<usize>(entry);
}

// @ts-ignore: decorator
@inline
export function sgUnlink(entry: Entry): void {
  const sgt = entry.sgt;
  if (sgt == 0) return;
  if (entry.sgPrevious != 0) changetype<Entry>(entry.sgPrevious).sgNext = entry.sgNext;
  else changetype<SgTable>(sgt).debugEntries = entry.sgNext;
  if (entry.sgNext != 0) changetype<Entry>(entry.sgNext).sgPrevious = entry.sgPrevious;
  entry.sgt = 0;
}
