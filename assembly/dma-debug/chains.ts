// Entries: one a mapped element, kept in chains by device and address.
//
// The kernel hashes by address bits 13 and up into 16,384 lists (1,024 in 2015) and searches a list from its oldest
// entry. What it finds depends on order only among entries of one device at one address, and, for a containing lookup,
// on which entries share a bucket. So the chains here are of one page of a device's address space each, oldest first, in
// a table that grows with the number of entries; the kernel's own buckets are gone through by address where they matter.
//
// A slot holds the first entry of its chain, which knows the last: looking up nearly any mapping is one load and one
// comparison of all that must agree. An entry takes two cache lines; ending a mapping touches the second only where there is
// more to undo than the entry itself.

import { BLOCK_SIZE, blockAlloc, blockAllocZeroed, blockFree, blockOrder } from '../memory/block';
import { Context, FAULT_DMA_DEBUG, FAULT_SLAB } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { DmaDevice } from '../dma/device';
import { SgTable } from '../sg/sg-table';
import { CHECK_OOM_DISABLED, CHECK_POOL_GROWN } from './checks';
import {
  COUNTED_BIT, ENTRY_COUNTED, ENTRY_LOST, ENTRY_OBJECT, ENTRY_SIZE, Entry, LINE_BIT, TYPE_LINK, TYPE_SG, UNCHECKED,
  unlike,
} from './entry';
import { reportPool } from './log';
import {
  DEBUG_GROWS, DEBUG_KERNEL, DEBUG_OWN, DEBUG_POOL_FIXED, DEBUG_SYNC_BY_SEGMENT, DYNAMIC_ENTRIES, DebugState,
  OBJECT_SLOTS,
} from './state';

/** Entries are carved from blocks of 32 KiB. */
const ENTRY_BLOCK_ORDER: u32 = 3;
/** The kernel's hash takes the address from this bit on: two pages share a bucket. */
export const HASH_SHIFT: u64 = 13;
/** Ours has a chain for each page: two in one would only be in each other's way. */
export const PAGE_SHIFT: u64 = 12;

// Neighbouring pages lie in neighbouring slots; the folds keep objects that are all aligned to 2 MiB from meeting.
// @ts-ignore: decorator
@inline
export function slotOf(state: DebugState, device: usize, page: u64): usize {
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
  --state.live;
}

/** Puts a filled-in entry at the end of its chain and into every count. */
// @ts-ignore: decorator
@inline
export function entryInsert(
  state: DebugState, entry: Entry, device: usize, address: u64, size: u64, flags: u32,
): void {
  entry.flags = flags;
  append(slotOf(state, device, address >> PAGE_SHIFT), changetype<usize>(entry));
  if (size > state.longest) state.longest = size;
  ++state.live;
  if (entry.object != 0) countObject(state, entry);
}

// @ts-ignore: decorator
@inline
function append(slot: usize, at: usize): void {
  const first: usize = load<u32>(slot);
  store<u64>(at, <u64>at << 32); // no next, and its own tail
  if (first == 0) store<u32>(slot, <u32>at);
  else {
    changetype<Entry>(changetype<Entry>(first).tail).next = at;
    changetype<Entry>(first).tail = at;
  }
}

/** Takes an entry out of its chain, from behind the one before it; 0 for the chain's first. */
// @ts-ignore: decorator
@inline
export function unchain(slot: usize, before: usize, entry: Entry): void {
  const next = entry.next;
  if (before == 0) {
    store<u32>(slot, <u32>next);
    if (next != 0) changetype<Entry>(next).tail = entry.tail;
    return;
  }
  changetype<Entry>(before).next = next;
  if (next == 0) changetype<Entry>(load<u32>(slot)).tail = before;
}

/** Puts a link at the end of its chain. */
export function chainInsert(state: DebugState, entry: Entry): void {
  append(slotOf(state, entry.device, entry.address >> PAGE_SHIFT), changetype<usize>(entry));
}

/** The entry before one in its chain, 0 for the first. */
export function entryBefore(slot: usize, at: usize): usize {
  let before: usize = 0;
  for (let other: usize = load<u32>(slot); other != at; other = changetype<Entry>(other).next) before = other;
  return before;
}

/** Takes a link out of its chain. */
export function chainRemove(state: DebugState, entry: Entry): void {
  const slot = slotOf(state, entry.device, entry.address >> PAGE_SHIFT);
  unchain(slot, entryBefore(slot, changetype<usize>(entry)), entry);
}

/** Whole pages of the device's address space that an entry holds. */
// @ts-ignore: decorator
@inline
export function pagesOf(entry: Entry): u64 {
  return ((entry.address & 4095) + entry.size + 4095) >> 12;
}

/** Counts an entry with its object. What is mapped from a table is found through the table when its object goes. */
export function countObject(state: DebugState, entry: Entry): void {
  if ((entry.kind & 0xff) == TYPE_SG) return;
  entry.flags |= ENTRY_OBJECT;
  const slot = state.objects + (<usize>(entry.object & (OBJECT_SLOTS - 1)) << 2);
  store<u32>(slot, load<u32>(slot) + 1);
}

/** An entry goes that counts with its object or as lost. */
export function entryUncount(state: DebugState, entry: Entry): void {
  if ((entry.flags & ENTRY_OBJECT) != 0) {
    const slot = state.objects + (<usize>(entry.object & (OBJECT_SLOTS - 1)) << 2);
    store<u32>(slot, load<u32>(slot) - 1);
  }
  if ((entry.flags & ENTRY_LOST) != 0) {
    --state.lost;
    state.lostPages -= <u32>pagesOf(entry);
  }
  entry.flags &= ~(ENTRY_OBJECT | ENTRY_LOST);
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
    for (let at: usize = load<u32>(slot); at != 0; ) {
      const entry = changetype<Entry>(at);
      const next = entry.next;
      append(slotOf(state, entry.device, entry.address >> PAGE_SHIFT), at);
      at = next;
    }
  }
  blockFree(ctx, old);
}

/** What an entry with a pair has added to the count of its frame's first cacheline, and to that of our mappings. */
// @ts-ignore: decorator
@inline
export function linesIn(flags: u32): u32 {
  return (flags >> LINE_BIT) & 1;
}

// @ts-ignore: decorator
@inline
export function countedIn(flags: u32): u32 {
  return (flags & ENTRY_COUNTED) << (8 - COUNTED_BIT);
}

/**
 * The first entry of a slot if nothing is wrong with it but that nobody asked dma_mapping_error about it, as a driver leaves all
 * of its mappings that never does.
 */
// @ts-ignore: decorator
@inline
export function findUnchecked(slot: usize, device: usize, address: u64, size: u64, kind: u32, ents: u32): usize {
  const at: usize = load<u32>(slot);
  return unlike(at, device, address, size, kind, ents) == <u64>UNCHECKED << 32 ? at : 0;
}

/**
 * The entry of a device at an address, as the kernel picks it (bucket_find_exact): the oldest one that agrees in size,
 * type, direction and sg count; otherwise the only one there is, and none when several disagree.
 * @returns the entry or 0; DebugState.before is the one before it in its chain, for unchain
 */
export function findBest(
  state: DebugState, slot: usize, device: usize, address: u64, size: u64, kind: u32, ents: u32,
): usize {
  let found: usize = 0;
  let foundBefore: usize = 0;
  let matches = 0;
  let before: usize = 0;
  for (let at: usize = load<u32>(slot); at != 0; at = changetype<Entry>(at).next) {
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
    before = at;
  }
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
        for (let at: usize = load<u32>(slotOf(state, device, page)); at != 0; at = changetype<Entry>(at).next) {
          const entry = changetype<Entry>(at);
          if (entry.device != device || entry.address >> PAGE_SHIFT != page || (entry.kind & 0xff) >= TYPE_LINK) continue;
          if (entry.address > address || entry.address + entry.size < address + size) continue;
          if (entry.size == size && entry.kind == kind && entry.sgCallEnts == ents) return at;
          ++matches;
          found = at;
        }
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
  let at: usize = load<u32>(slotOf(state, device, address >> PAGE_SHIFT));
  for (; at != 0; at = changetype<Entry>(at).next) {
    const entry = changetype<Entry>(at);
    if (entry.address != address || entry.device != device || (entry.kind & 0xff) >= TYPE_LINK) continue;
    if (!waiting || (entry.checked & UNCHECKED) != 0) break;
  }
  return at;
}

function firstFrom(state: DebugState, slot: usize): usize {
  const end = state.buckets + ((<usize>state.bucketMask + 1) << 2);
  for (; slot < end; slot += 4) {
    const first: usize = load<u32>(slot);
    if (first != 0) return first;
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
  if (entry.next != 0) return entry.next;
  return firstFrom(state, slotOf(state, entry.device, entry.address >> PAGE_SHIFT) + 4);
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
  const next = entry.sgNext;
  const previous = entry.sgPrevious;
  if (previous != 0) changetype<Entry>(previous).sgNext = next;
  else changetype<SgTable>(entry.sgt).debugEntries = next;
  if (next != 0) changetype<Entry>(next).sgPrevious = previous;
}
