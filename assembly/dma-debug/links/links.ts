// Checks of the two-step calls. No kernel's dma-debug checks dma_iova_link, so all of this is ours: the kernel's accounting,
// pool and lookups ignore these entries.
//
// A reservation is found by device and first page. It has a list of links in the order of their addresses. Links are in the
// chains, too, for reports and for the check of freed frames. One unlink may end several links, or part of one: the rest of it
// stays linked.

import { PAGE_MASK, PAGE_SHIFT } from '../../ram/ram';
import { DmaDevice } from '../../device/device';
import { blockAllocZeroed } from '../../memory/block';
import { lock, unlock } from '../../memory/lock';
import { addressOf } from '../../memory/record';
import { chainInsert, chainRemove, countObject, entryLose, entryUncount, pagesOf } from '../entries/chains';
import {
  ENTRY_LOST, ENTRY_PAGES, ENTRY_SIZE, Entry, TYPE_LINK, TYPE_RANGE, directionIn, entryFill, kindOf,
} from '../entries/entry';
import { countPages, forgetPages } from '../entries/frames';
import { Payload, payload, reportOwn } from '../entries/log';
import { DEBUG_OWN, DebugState, debugOf } from '../entries/state';
import { CHECK_UNMAP_DIR, CHECK_UNMAP_UNKNOWN, UnmapDirection } from '../kernel/unmap';
import { Link, Reservation, before, bucketOf, end, first, listInsert, listRemove, placeOf, reservationAt } from './records';
import { ownAlloc, ownFree } from '../entries/pool';

/** Of the new link. Entry: the live one. */
export const CHECK_LINK_OVERLAP: u32 = 70;
/** Of the new link. Entry: the reservation that is too short, if any. */
export const CHECK_LINK_OUTSIDE: u32 = 71;
/** Of the space that is freed. Entry: the reservation. */
export const CHECK_LINKS_LEFT: u32 = 72;

/** Live links in the reservation. */
// @ts-ignore: decorator
@unmanaged
export class LinksLeft extends Payload {
  links: u32;
}

function fill(state: DebugState, entry: Entry, dev: DmaDevice, address: u64, size: u64, phys: u64, kind: u32): void {
  entryFill(state, entry, dev, address, size, phys, kind, 0, 0, 0, 0);
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
  const range: Reservation | null = state.ranges == 0 ? null : ownAlloc<Reservation>(state);
  if (range == null) ++state.rangesMissed;
  else {
    fill(state, range, dev, address, size, 0, kindOf(TYPE_RANGE, 0));
    const bucket = bucketOf(state, dev, address >> PAGE_SHIFT);
    range.next = reservationAt(bucket);
    store<u32>(bucket, <u32>addressOf(range));
  }
  unlock(state);
}

/** Memory was linked at an address into the reservation that begins at base. */
export function debugLink(dev: DmaDevice, base: u64, address: u64, phys: u64, size: u64, dir: u32): void {
  const state = checkerOf(dev);
  if (state == null) return;
  lock(state);
  const place: usize = state.ranges == 0 ? 0 : placeOf(state, dev, base >> PAGE_SHIFT);
  const found: Reservation | null = place == 0 ? null : reservationAt(place);
  if (found != null) link(state, dev, found, address, phys, size, dir);
  else if (state.rangesMissed == 0) reportOwn(state, CHECK_LINK_OUTSIDE, dev, null, address, size, null);
  unlock(state);
}

function link(state: DebugState, dev: DmaDevice, range: Reservation, address: u64, phys: u64, size: u64, dir: u32): void {
  const previous = before(range, address >> PAGE_SHIFT);
  const next = previous == null ? range.firstLink : previous.nextLink;
  const stop = (address + size + PAGE_MASK) >> PAGE_SHIFT;
  let over: Link | null = null;
  if (previous != null && end(previous) > address >> PAGE_SHIFT) over = previous;
  else if (next != null && first(next) < stop) over = next;
  if (over != null) reportOwn(state, CHECK_LINK_OVERLAP, dev, over, address, size, null);
  if (stop > end(range)) reportOwn(state, CHECK_LINK_OUTSIDE, dev, range, address, size, null);
  const entry = ownAlloc<Link>(state);
  if (entry == null) {
    range.incomplete = true;
    return;
  }
  fill(state, entry, dev, address, size, phys, kindOf(TYPE_LINK, dir));
  if (entry.object != 0) countObject(state, entry);
  join(state, range, entry, previous);
}

/** Puts a link that is filled in into its list, its chain and the counts of frames. */
function join(state: DebugState, range: Reservation, entry: Link, previous: Link | null): void {
  entry.flags |= countPages(state, entry);
  listInsert(range, entry, previous);
  chainInsert(state, entry);
  ++state.ownLive;
}

/** Bytes from an address on were unlinked from the reservation that begins at base. */
export function debugUnlink(dev: DmaDevice, base: u64, address: u64, size: u64, dir: u32): void {
  const state = checkerOf(dev);
  if (state == null) return;
  lock(state);
  const place: usize = state.ranges == 0 ? 0 : placeOf(state, dev, base >> PAGE_SHIFT);
  const found: Reservation | null = place == 0 ? null : reservationAt(place);
  let known = found == null && state.rangesMissed != 0;
  if (found != null) {
    const range = found;
    const pages = ((address & PAGE_MASK) + size + PAGE_MASK) >> PAGE_SHIFT;
    known = unlink(state, dev, range, address >> PAGE_SHIFT, pages, dir) == pages || range.incomplete;
  }
  if (!known) reportOwn(state, CHECK_UNMAP_UNKNOWN, dev, null, address, size, null);
  unlock(state);
}

/** Unlinks n pages. Returns how many of them were linked. */
function unlink(state: DebugState, dev: DmaDevice, range: Reservation, page: u64, n: u64, dir: u32): u64 {
  const stop = page + n;
  let at = before(range, page);
  if (at == null) at = range.firstLink;
  let linked: u64 = 0;
  let upTo = page;
  let said = false;
  while (at != null) {
    const entry = at;
    const next = entry.nextLink;
    if (first(entry) >= stop) break;
    if (end(entry) > page) {
      // Links that overlap are counted once.
      const from = max(first(entry), upTo);
      const to = min(end(entry), stop);
      if (to > from) {
        linked += to - from;
        upTo = to;
      }
      if (directionIn(entry.kind) != dir && !said) {
        const told = payload<UnmapDirection>(state);
        told.mapped = directionIn(entry.kind);
        told.unmapped = dir;
        reportOwn(state, CHECK_UNMAP_DIR, dev, at, entry.address, entry.size, told);
        said = true;
      }
      cut(state, range, entry, page, stop);
    }
    at = next;
  }
  return linked;
}

/** Unlinks pages [page, stop) of a link. Up to two pieces of it stay linked. */
function cut(state: DebugState, range: Reservation, entry: Link, page: u64, stop: u64): void {
  const address = entry.address;
  const after = address + entry.size;
  const head = first(entry) < page;
  const tail = end(entry) > stop;
  const previous = entry.previousLink;
  leave(state, entry);
  listRemove(range, entry);
  if (tail) {
    // The tail first: it needs a new record if the head keeps this one.
    const piece: Link | null = head ? ownAlloc<Link>(state) : entry;
    if (piece == null) range.incomplete = true;
    else {
      if (head) {
        memory.copy(addressOf(piece), addressOf(entry), ENTRY_SIZE);
        if (piece.object != 0) countObject(state, piece);
      }
      piece.address = stop << PAGE_SHIFT;
      piece.phys = entry.phys + (piece.address - address);
      piece.size = after - piece.address;
      join(state, range, piece, previous);
    }
  }
  if (head) {
    entry.size = (page << PAGE_SHIFT) - address;
    join(state, range, entry, previous);
  } else if (!tail) dropLink(state, entry);
}

/** A reservation was freed. */
export function debugRangeFree(dev: DmaDevice, base: u64, size: u64): void {
  const state = checkerOf(dev);
  if (state == null) return;
  lock(state);
  const place: usize = state.ranges == 0 ? 0 : placeOf(state, dev, base >> PAGE_SHIFT);
  const found: Reservation | null = place == 0 ? null : reservationAt(place);
  if (found != null) {
    const range = found;
    const live = abandon(state, range);
    if (live != 0) {
      const told = payload<LinksLeft>(state);
      told.links = live;
      reportOwn(state, CHECK_LINKS_LEFT, dev, found, base, size, told);
    }
    store<u32>(place, <u32>addressOf(range.next));
    ownFree(state, range);
  } else if (state.rangesMissed != 0) --state.rangesMissed;
  else reportOwn(state, CHECK_UNMAP_UNKNOWN, dev, null, base, size, null);
  unlock(state);
}

/** Takes a link out of its chain and the counts; the caller takes it out of its list. */
export function leave(state: DebugState, entry: Link): void {
  if ((entry.flags & ENTRY_PAGES) != 0) forgetPages(state, entry);
  chainRemove(state, entry);
  if ((entry.flags & ENTRY_LOST) != 0) {
    --state.lost;
    state.lostPages -= <u32>pagesOf(entry);
    entry.flags &= ~ENTRY_LOST;
  }
  --state.ownLive;
}

export function dropLink(state: DebugState, entry: Link): void {
  entryUncount(state, entry);
  ownFree(state, entry);
}

/** The links of a reservation can no longer be unlinked. Returns their number. */
function abandon(state: DebugState, range: Reservation): u32 {
  let live: u32 = 0;
  for (let at = range.firstLink; at != null; ++live) {
    const entry = at;
    at = entry.nextLink;
    entryLose(state, entry);
    entry.nextLink = null;
    entry.previousLink = null;
  }
  return live;
}
