// Chains of entries by device and page of address, and the lookups.
//
// The kernel hashes by address bits 13 and up into 16,384 lists (1,024 in 2015) and searches a list from its oldest
// entry. What it finds depends on order only among entries of one device at one address, and, for a containing lookup,
// on which entries share a bucket. So the chains here are of one page of a device's address space each, oldest first, in
// a table that grows with the number of entries. Lookups that depend on the kernel's buckets walk these by address.
//
// A slot points to the first entry of its chain, which points to the last. Most lookups are one load and one comparison of all
// fields. An entry has two cache lines; the common unmap does not touch the second one.

import { PAGE_SHIFT, PAGE_MASK } from '../../ram/ram';
import { DmaDevice } from '../../device/device';
import { blockAllocZeroed, blockFree, blockOrder } from '../../memory/block';
import { addressOf } from '../../memory/record';
import {
  COUNTED_BIT, ENTRY_COUNTED, ENTRY_LOST, ENTRY_OBJECT, Entry, LINE_BIT, TYPE_SG, UNMAP_UNCHECKED, isOwn, typeIn, unlike,
} from './entry';
import { DEBUG_SYNC_BY_SEGMENT, OBJECT_SLOTS, DebugState } from './state';

/** The kernel's hash takes the address from this bit on: two pages share a bucket. */
export const HASH_SHIFT: u64 = 13;

// Neighbouring pages have neighbouring slots; the shifts spread objects that are aligned to 2 MiB.
// @ts-ignore: decorator
@inline
export function slotOf(state: DebugState, device: DmaDevice, page: u64): usize {
  const low = <u32>page;
  const hash = low ^ (low >> 8) ^ (low >> 16) ^ (<u32>addressOf(device) << 3);
  return state.buckets + (<usize>(hash & state.bucketMask) << 2);
}

/** The first entry of the chain at a slot, null for an empty one. */
// @ts-ignore: decorator
@inline
export function chainAt(slot: usize): Entry | null {
  return changetype<Entry | null>(load<u32>(slot));
}

/** The same, but the null record for an empty slot: for tests of fields that are 0 in no entry. */
// @ts-ignore: decorator
@inline
export function headAt(slot: usize): Entry {
  return changetype<Entry>(load<u32>(slot));
}

/** Puts a filled-in entry at the end of its chain and into every count. */
// @ts-ignore: decorator
@inline
export function entryInsert(
  state: DebugState, entry: Entry, device: DmaDevice, address: u64, size: u64, flags: u32,
): void {
  entry.flags = flags;
  append(slotOf(state, device, address >> PAGE_SHIFT), entry);
  if (size > state.longest) state.longest = size;
  ++state.live;
  if (entry.object != 0) countObject(state, entry);
}

// @ts-ignore: decorator
@inline
function append(slot: usize, entry: Entry): void {
  const first = chainAt(slot);
  store<u64>(addressOf(entry), <u64>addressOf(entry) << 32); // no next, and its own tail
  if (first == null) store<u32>(slot, <u32>addressOf(entry));
  else {
    first.tail.next = entry;
    first.tail = entry;
  }
}

/** Takes an entry out of its chain, from behind the one before it; null for the chain's first. */
// @ts-ignore: decorator
@inline
export function unchain(slot: usize, before: Entry | null, entry: Entry): void {
  const next = entry.next;
  if (before == null) {
    store<u32>(slot, <u32>addressOf(next));
    if (next != null) next.tail = entry.tail;
    return;
  }
  before.next = next;
  if (next == null) chainAt(slot)!.tail = before;
}

/** Puts a link at the end of its chain. */
export function chainInsert(state: DebugState, entry: Entry): void {
  append(slotOf(state, entry.device, entry.address >> PAGE_SHIFT), entry);
}

/** The entry before one in its chain, null for the first. */
export function entryBefore(slot: usize, entry: Entry): Entry | null {
  let before: Entry | null = null;
  for (let other = chainAt(slot); other != entry; other = other!.next) before = other;
  return before;
}

/** Takes a link out of its chain. */
export function chainRemove(state: DebugState, entry: Entry): void {
  const slot = slotOf(state, entry.device, entry.address >> PAGE_SHIFT);
  unchain(slot, entryBefore(slot, entry), entry);
}

/** Whole pages of the device's address space that an entry holds. */
// @ts-ignore: decorator
@inline
export function pagesOf(entry: Entry): u64 {
  return ((entry.address & PAGE_MASK) + entry.size + PAGE_MASK) >> PAGE_SHIFT;
}

/** Counts an entry with its object. What is mapped from a table is found through the table when its object goes. */
export function countObject(state: DebugState, entry: Entry): void {
  if (typeIn(entry.kind) == TYPE_SG) return;
  entry.flags |= ENTRY_OBJECT;
  const slot = state.objects + (<usize>(entry.object & (OBJECT_SLOTS - 1)) << 2);
  store<u32>(slot, load<u32>(slot) + 1);
}

/** Uncounts an entry that is about to be removed: for its object, and as lost. */
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

/** The address of this entry is lost: it can no longer be unmapped and counts as leaked. */
export function entryLose(state: DebugState, entry: Entry): void {
  if ((entry.flags & ENTRY_LOST) != 0) return;
  entry.flags |= ENTRY_LOST;
  ++state.lost;
  state.lostPages += <u32>pagesOf(entry);
}

// Doubles the table. The order of each chain is kept: entries are moved from the oldest on.
export function rehash(state: DebugState): void {
  const ctx = state.ctx;
  const old = state.buckets;
  const count: usize = <usize>state.bucketMask + 1;
  if (count >= 1 << 24) return;
  const fresh = blockAllocZeroed(ctx, blockOrder(count << 3));
  // Without memory the table stays as it is, with longer chains.
  if (fresh == 0) return;
  state.buckets = fresh;
  state.bucketMask = <u32>(count * 2 - 1);
  for (let slot = old; slot < old + (count << 2); slot += 4) {
    for (let entry = chainAt(slot); entry != null; ) {
      const next = entry.next;
      append(slotOf(state, entry.device, entry.address >> PAGE_SHIFT), entry);
      entry = next;
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
 * The first entry of a slot if it agrees in all but that dma_mapping_error was not called for it. That is the case for all
 * mappings of a driver that never calls it.
 */
// @ts-ignore: decorator
@inline
export function findUnchecked(slot: usize, device: DmaDevice, address: u64, size: u64, kind: u32, ents: u32): Entry | null {
  const entry = headAt(slot);
  return unlike(entry, device, address, size, kind, ents) == <u64>UNMAP_UNCHECKED << 32 ? entry : null;
}

/**
 * The entry of a device at an address (bucket_find_exact): the oldest one that agrees in size, type, direction and sg count;
 * otherwise the only one, or none if there are several.
 * @returns the entry or null; DebugState.before is the one before it in its chain, for unchain
 */
export function findBest(
  state: DebugState, slot: usize, device: DmaDevice, address: u64, size: u64, kind: u32, ents: u32,
): Entry | null {
  let found: Entry | null = null;
  let foundBefore: Entry | null = null;
  let matches = 0;
  let before: Entry | null = null;
  for (let entry = chainAt(slot); entry != null; entry = entry!.next) {
    if (entry.address == address && entry.device == device && !isOwn(entry)) {
      if (entry.size == size && entry.kind == kind && entry.sgCallEnts == ents) {
        state.before = before;
        return entry;
      }
      ++matches;
      found = entry;
      foundBefore = before;
    }
    before = entry;
  }
  state.before = foundBefore;
  return matches == 1 ? found : null;
}

/**
 * The entry of a device that covers [address, address + size) (bucket_find_contain): searches bucket after bucket downwards, in
 * each by the rule of findBest.
 */
export function findContaining(
  state: DebugState, dev: DmaDevice, address: u64, size: u64, kind: u32, ents: u32,
): Entry | null {
  const device = dev;
  const chunk = address >> HASH_SHIFT;
  const wrap = <u64>state.kernelBuckets;
  let steps = min<u64>(wrap, chunk + 1);
  if ((state.flags & DEBUG_SYNC_BY_SEGMENT) != 0) steps = min<u64>((<u64>dev.maxSegment >> HASH_SHIFT) + 1, chunk + 1);
  // Further back than the longest entry so far no entry can cover the address.
  const reach = min<u64>((state.longest >> HASH_SHIFT) + 1, chunk);
  const lowest = chunk - reach;
  for (let step: u64 = 0; step < steps && step <= reach; ++step) {
    let found: Entry | null = null;
    let matches = 0;
    // A bucket of the kernel holds all chunks that are equal modulo the number of buckets.
    let c = chunk - step;
    do {
      for (let page = c << 1; page <= (c << 1) + 1; ++page) {
        for (let entry = chainAt(slotOf(state, device, page)); entry != null; entry = entry!.next) {
          if (entry.device != device || entry.address >> PAGE_SHIFT != page || isOwn(entry)) continue;
          if (entry.address > address || entry.address + entry.size < address + size) continue;
          if (entry.size == size && entry.kind == kind && entry.sgCallEnts == ents) return entry;
          ++matches;
          found = entry;
        }
      }
      if (c < wrap || c - wrap < lowest) break;
      c -= wrap;
    } while (true);
    if (matches == 1) return found;
  }
  return null;
}

/** The oldest entry of a device at an address, or null; with `waiting` the oldest unchecked one. */
export function findAt(state: DebugState, device: DmaDevice, address: u64, waiting: bool): Entry | null {
  let entry = chainAt(slotOf(state, device, address >> PAGE_SHIFT));
  for (; entry != null; entry = entry!.next) {
    if (entry.address != address || entry.device != device || isOwn(entry)) continue;
    if (!waiting || (entry.unmapFlags & UNMAP_UNCHECKED) != 0) break;
  }
  return entry;
}

function firstFrom(state: DebugState, slot: usize): Entry | null {
  const end = state.buckets + ((<usize>state.bucketMask + 1) << 2);
  for (; slot < end; slot += 4) {
    const first = chainAt(slot);
    if (first != null) return first;
  }
  return null;
}

/** First live entry in the order of the chains, or null. */
export function firstEntry(state: DebugState): Entry | null {
  return firstFrom(state, state.buckets);
}

/** The entry after another, null after the last. No entry may be added or removed between the two calls. */
export function nextEntry(state: DebugState, entry: Entry): Entry | null {
  if (entry.next != null) return entry.next;
  return firstFrom(state, slotOf(state, entry.device, entry.address >> PAGE_SHIFT) + 4);
}

