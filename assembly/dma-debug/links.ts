// The two-step calls as the checker sees them. No kernel's dma-debug knows of dma_iova_link, so all of this is ours: the
// kernel's accounting, its pool and its lookups pass over these entries.
//
// Reserved address space is a record of its own, found by device and first page. What is linked into it is a list of
// entries in the order of their addresses, which also stand in the chains with all others, so that reports show them and
// freed frames find them. A driver may unlink several links at a time, or part of one: what is left of it stays linked.

import { BLOCK_SIZE, blockAllocZeroed } from '../memory/block';
import { FAULT_DMA_DEBUG } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { lock, unlock } from '../memory/lock';
import { addressOf, fieldOf } from '../memory/record';
import { slabAllocZeroed, slabCacheAt, slabFree } from '../memory/slab';
import { DmaDevice } from '../device/device';
import {
  CHECK_LINK_OUTSIDE, CHECK_LINK_OVERLAP, CHECK_LINKS_LEFT, CHECK_RANGE_LEFT, CHECK_UNMAP_DIR, CHECK_UNMAP_UNKNOWN,
} from './checks';
import { chainAt, chainInsert, chainRemove, countObject, entryLose, entryUncount, pagesOf } from './chains';
import { ENTRY_LOST, ENTRY_PAGES, ENTRY_SIZE, Entry, TYPE_LINK, TYPE_RANGE, entryFill, kindOf } from './entry';
import { reportOwn } from './log';
import { countPages, forgetPages } from './pages';
import { DEBUG_OWN, DebugState, debugOf } from './state';

// A reservation's entry: sgNext and sgPrevious are its first and its last link, lazyNext the one where the last look ended,
// bindings says that a link of it could not be tracked. A link's sgNext and sgPrevious are its neighbours.

const BUCKETS: usize = BLOCK_SIZE >> 2;

// @ts-ignore: decorator
@inline
function bucketOf(state: DebugState, device: DmaDevice, page: u64): usize {
  const hash = <u32>page ^ <u32>(page >> 10) ^ <u32>(addressOf(device) >> 4);
  return state.ranges + (<usize>(hash & <u32>(BUCKETS - 1)) << 2);
}

// @ts-ignore: decorator
@inline
function first(entry: Entry): u64 {
  return entry.address >> 12;
}

// @ts-ignore: decorator
@inline
function end(entry: Entry): u64 {
  return first(entry) + pagesOf(entry);
}

/** Where the pointer to a device's reservation is that begins at a page; it holds null when there is none. */
function placeOf(state: DebugState, device: DmaDevice, page: u64): usize {
  let place = bucketOf(state, device, page);
  do {
    const range = chainAt(place);
    if (range == null) return place;
    if (range.device == device && first(range) == page) return place;
    place = fieldOf(range, offsetof<Entry>('next'));
  } while (true);
}

function fill(state: DebugState, entry: Entry, dev: DmaDevice, address: u64, size: u64, phys: u64, kind: u32): void {
  entryFill(state, entry, dev, address, size, phys, kind, 0, 0, 0, 0);
}

function take(state: DebugState): Entry | null {
  const ctx = state.ctx;
  const cache = slabCacheAt<Entry>(ctx, fieldOf(state, offsetof<DebugState>('linkCache')), ENTRY_SIZE);
  const entry: Entry | null = cache == null || shouldFail(ctx, FAULT_DMA_DEBUG) ? null : slabAllocZeroed(cache);
  if (entry == null) ++state.linksMissed;
  return entry;
}

// @ts-ignore: decorator
@inline
function checkerOf(dev: DmaDevice): DebugState | null {
  const state = debugOf(dev.ctx);
  return state != null && (state.flags & DEBUG_OWN) != 0 ? state : null;
}

/** Address space was reserved: `size` bytes from an address on, in whole pages. */
export function debugRangeAlloc(dev: DmaDevice, address: u64, size: u64): void {
  const state = checkerOf(dev);
  if (state == null) return;
  const ctx = dev.ctx;
  lock(state);
  if (state.ranges == 0) state.ranges = blockAllocZeroed(ctx, 0);
  const range: Entry | null = state.ranges == 0 ? null : take(state);
  if (range == null) ++state.rangesMissed;
  else {
    fill(state, range, dev, address, size, 0, kindOf(TYPE_RANGE, 0));
    const bucket = bucketOf(state, dev, address >> 12);
    range.next = chainAt(bucket);
    store<u32>(bucket, <u32>addressOf(range));
  }
  unlock(state);
}

/** The last link that begins at or before a page, null without; looked for from where the last look ended. */
function before(range: Entry, page: u64): Entry | null {
  let at = range.lazyNext != null ? range.lazyNext : range.sgPrevious;
  while (at != null && first(at) > page) at = at.sgPrevious;
  do {
    const next = at == null ? range.sgNext : at.sgNext;
    if (next == null || first(next) > page) break;
    at = next;
  } while (true);
  range.lazyNext = at;
  return at;
}

function listInsert(range: Entry, link: Entry, previous: Entry | null): void {
  const next = previous == null ? range.sgNext : previous.sgNext;
  link.sgPrevious = previous;
  link.sgNext = next;
  if (previous == null) range.sgNext = link;
  else previous.sgNext = link;
  if (next == null) range.sgPrevious = link;
  else next.sgPrevious = link;
  range.lazyNext = link;
}

function listRemove(range: Entry, link: Entry): void {
  const previous = link.sgPrevious;
  const next = link.sgNext;
  if (previous == null) range.sgNext = next;
  else previous.sgNext = next;
  if (next == null) range.sgPrevious = previous;
  else next.sgPrevious = previous;
  range.lazyNext = previous != null ? previous : next;
}

/** Memory was linked at an address into the reservation that begins at base. */
export function debugLink(dev: DmaDevice, base: u64, address: u64, phys: u64, size: u64, dir: u32): void {
  const state = checkerOf(dev);
  if (state == null) return;
  lock(state);
  const place: usize = state.ranges == 0 ? 0 : placeOf(state, dev, base >> 12);
  const found: Entry | null = place == 0 ? null : chainAt(place);
  if (found != null) link(state, dev, found, address, phys, size, dir);
  else if (state.rangesMissed == 0) reportOwn(state, CHECK_LINK_OUTSIDE, dev, null, address, size, 0, 0);
  unlock(state);
}

function link(state: DebugState, dev: DmaDevice, range: Entry, address: u64, phys: u64, size: u64, dir: u32): void {
  const previous = before(range, address >> 12);
  const next = previous == null ? range.sgNext : previous.sgNext;
  const stop = (address + size + 4095) >> 12;
  let over: Entry | null = null;
  if (previous != null && end(previous) > address >> 12) over = previous;
  else if (next != null && first(next) < stop) over = next;
  if (over != null) reportOwn(state, CHECK_LINK_OVERLAP, dev, over, address, size, 0, 0);
  if (stop > end(range)) reportOwn(state, CHECK_LINK_OUTSIDE, dev, range, address, size, 0, 0);
  const entry = take(state);
  if (entry == null) {
    range.bindings = 1;
    return;
  }
  fill(state, entry, dev, address, size, phys, kindOf(TYPE_LINK, dir));
  if (entry.object != 0) countObject(state, entry);
  join(state, range, entry, previous);
}

/** A filled-in link goes into its list, its chain and the counts of frames. */
function join(state: DebugState, range: Entry, entry: Entry, previous: Entry | null): void {
  entry.flags |= countPages(state, entry);
  listInsert(range, entry, previous);
  chainInsert(state, entry);
  ++state.links;
}

/** Bytes from an address on were unlinked from the reservation that begins at base. */
export function debugUnlink(dev: DmaDevice, base: u64, address: u64, size: u64, dir: u32): void {
  const state = checkerOf(dev);
  if (state == null) return;
  lock(state);
  const place: usize = state.ranges == 0 ? 0 : placeOf(state, dev, base >> 12);
  const found: Entry | null = place == 0 ? null : chainAt(place);
  let known = found == null && state.rangesMissed != 0;
  if (found != null) {
    const range = found;
    const pages = ((address & 4095) + size + 4095) >> 12;
    known = unlink(state, dev, range, address >> 12, pages, dir) == pages || range.bindings != 0;
  }
  if (!known) reportOwn(state, CHECK_UNMAP_UNKNOWN, dev, null, address, size, 0, 0);
  unlock(state);
}

/** Takes what is linked in n pages out. Returns how many of them were. */
function unlink(state: DebugState, dev: DmaDevice, range: Entry, page: u64, n: u64, dir: u32): u64 {
  const stop = page + n;
  let at = before(range, page);
  if (at == null) at = range.sgNext;
  let linked: u64 = 0;
  let upTo = page;
  let told = false;
  while (at != null) {
    const entry = at;
    const next = entry.sgNext;
    if (first(entry) >= stop) break;
    if (end(entry) > page) {
      // Links that overlap are counted once.
      const from = max(first(entry), upTo);
      const to = min(end(entry), stop);
      if (to > from) {
        linked += to - from;
        upTo = to;
      }
      if (entry.kind >> 8 != dir && !told) {
        reportOwn(state, CHECK_UNMAP_DIR, dev, at, entry.address, entry.size, entry.kind >> 8, dir);
        told = true;
      }
      cut(state, range, entry, page, stop);
    }
    at = next;
  }
  return linked;
}

/** Takes pages [page, stop) out of a link: all of it, or but one piece or two. */
function cut(state: DebugState, range: Entry, entry: Entry, page: u64, stop: u64): void {
  const address = entry.address;
  const after = address + entry.size;
  const head = first(entry) < page;
  const tail = end(entry) > stop;
  const previous = entry.sgPrevious;
  leave(state, entry);
  listRemove(range, entry);
  if (tail) {
    // The tail is made first: its record is a new one if the head keeps this.
    const piece: Entry | null = head ? take(state) : entry;
    if (piece == null) range.bindings = 1;
    else {
      if (head) {
        memory.copy(addressOf(piece), addressOf(entry), ENTRY_SIZE);
        if (piece.object != 0) countObject(state, piece);
      }
      piece.address = stop << 12;
      piece.phys = entry.phys + (piece.address - address);
      piece.size = after - piece.address;
      join(state, range, piece, previous);
    }
  }
  if (head) {
    entry.size = (page << 12) - address;
    join(state, range, entry, previous);
  } else if (!tail) drop(state, entry);
}

/** Takes a link out of its chain and the counts; its list is the caller's. */
function leave(state: DebugState, entry: Entry): void {
  if ((entry.flags & ENTRY_PAGES) != 0) forgetPages(state, entry);
  chainRemove(state, entry);
  if ((entry.flags & ENTRY_LOST) != 0) {
    --state.lost;
    state.lostPages -= <u32>pagesOf(entry);
    entry.flags &= ~ENTRY_LOST;
  }
  --state.links;
}

function drop(state: DebugState, entry: Entry): void {
  entryUncount(state, entry);
  slabFree(state.linkCache!, entry);
}

/** Reserved space was given back, after what the driver unlinked with it. */
export function debugRangeFree(dev: DmaDevice, base: u64, size: u64): void {
  const state = checkerOf(dev);
  if (state == null) return;
  lock(state);
  const place: usize = state.ranges == 0 ? 0 : placeOf(state, dev, base >> 12);
  const found: Entry | null = place == 0 ? null : chainAt(place);
  if (found != null) {
    const range = found;
    const live = abandon(state, range);
    if (live != 0) reportOwn(state, CHECK_LINKS_LEFT, dev, found, base, size, live, 0);
    store<u32>(place, <u32>addressOf(range.next));
    slabFree(state.linkCache!, range);
  } else if (state.rangesMissed != 0) --state.rangesMissed;
  else reportOwn(state, CHECK_UNMAP_UNKNOWN, dev, null, base, size, 0, 0);
  unlock(state);
}

/** Nobody can unlink what is in a reservation any more. Returns how many links that are. */
function abandon(state: DebugState, range: Entry): u32 {
  let live: u32 = 0;
  for (let at = range.sgNext; at != null; ++live) {
    const entry = at;
    at = entry.sgNext;
    entryLose(state, entry);
    entry.sgNext = null;
    entry.sgPrevious = null;
  }
  return live;
}

/** The driver of a device is gone: its reservations are in nobody's hands, one report for all. */
export function rangesLeft(state: DebugState, dev: DmaDevice): void {
  if (state.ranges == 0) return;
  let count: u32 = 0;
  let linked: u32 = 0;
  let bytes: u64 = 0;
  let example: Entry | null = null;
  for (let bucket: usize = 0; bucket < BUCKETS; ++bucket) {
    for (let at = chainAt(state.ranges + (bucket << 2)); at != null; at = at!.next) {
      const range = at;
      if (range.device != dev) continue;
      ++count;
      bytes += pagesOf(range) << 12;
      if (example == null || range.address > example.address) example = at;
      for (let link = range.sgNext; link != null; link = link!.sgNext) ++linked;
    }
  }
  if (count == 0) return;
  const range = example!;
  reportOwn(state, CHECK_RANGE_LEFT, dev, range, range.address, bytes, count, linked);
}

/** Forgets a device's reservations, then a link of any of them may be dropped. */
export function rangesForget(state: DebugState, dev: DmaDevice): void {
  if (state.ranges == 0) return;
  for (let bucket: usize = 0; bucket < BUCKETS; ++bucket) {
    let place = state.ranges + (bucket << 2);
    do {
      const range = chainAt(place);
      if (range == null) break;
      if (range.device != dev) place = fieldOf(range, offsetof<Entry>('next'));
      else {
        store<u32>(place, <u32>addressOf(range.next));
        slabFree<Entry>(state.linkCache!, range);
      }
    } while (true);
  }
}

/** Forgets a link whose reservation is forgotten. */
export function linkForget(state: DebugState, entry: Entry): void {
  leave(state, entry);
  drop(state, entry);
}

/** Each reservation's links are in order, and in it. Returns whether they are. */
export function rangesCheck(state: DebugState): bool {
  if (state.ranges == 0) return state.links == 0;
  for (let bucket: usize = 0; bucket < BUCKETS; ++bucket) {
    for (let range = chainAt(state.ranges + (bucket << 2)); range != null; range = range!.next) {
      let previous: Entry | null = null;
      for (let entry = range.sgNext; entry != null; entry = entry!.sgNext) {
        if (entry.sgPrevious != previous || entry.device != range.device || (entry.kind & 0xff) != TYPE_LINK) return false;
        if (previous != null && first(entry) < first(previous)) return false;
        previous = entry;
      }
      if (range.sgPrevious != previous) return false;
    }
  }
  return true;
}
