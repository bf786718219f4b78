// Records of the two-step calls. Both extend Entry, so that a verdict can refer to them as to any mapping.

import { PAGE_SHIFT } from '../../ram/ram';
import { DmaDevice } from '../../device/device';
import { BLOCK_SIZE } from '../../memory/block';
import { addressOf, fieldOf } from '../../memory/record';
import { pagesOf } from '../entries/chains';
import { Entry } from '../entries/entry';
import { DebugState } from '../entries/state';

/** Memory that is linked into a reservation. It is in the chains with all other entries. */
// @ts-ignore: decorator
@unmanaged
export class Link extends Entry {
  /** Neighbours in the reservation, in the order of addresses. */
  nextLink: Link | null;
  previousLink: Link | null;
}

/** Reserved address space, found by device and first page. Entry.next is the next reservation of the bucket. */
// @ts-ignore: decorator
@unmanaged
export class Reservation extends Entry {
  /** Its links in the order of their addresses. */
  firstLink: Link | null;
  lastLink: Link | null;
  /** The link that the last lookup found, null for none. */
  hint: Link | null;
  /** Some link of it could not be tracked for lack of memory. */
  incomplete: bool;
}

export const BUCKETS: usize = BLOCK_SIZE >> 2;

// @ts-ignore: decorator
@inline
export function bucketOf(state: DebugState, device: DmaDevice, page: u64): usize {
  const hash = <u32>page ^ <u32>(page >> 10) ^ <u32>(addressOf(device) >> 4);
  return state.ranges + (<usize>(hash & <u32>(BUCKETS - 1)) << 2);
}

// @ts-ignore: decorator
@inline
export function first(entry: Entry): u64 {
  return entry.address >> PAGE_SHIFT;
}

// @ts-ignore: decorator
@inline
export function end(entry: Entry): u64 {
  return first(entry) + pagesOf(entry);
}

/** Where the pointer to a device's reservation at a page is stored; the pointer is null if there is no such reservation. */
export function placeOf(state: DebugState, device: DmaDevice, page: u64): usize {
  let place = bucketOf(state, device, page);
  do {
    const range = reservationAt(place);
    if (range == null) return place;
    if (range.device == device && first(range) == page) return place;
    place = fieldOf(range, offsetof<Entry>('next'));
  } while (true);
}

/** The last link that begins at or before a page, or null; the search begins at the hint. */
export function before(range: Reservation, page: u64): Link | null {
  let at = range.hint != null ? range.hint : range.lastLink;
  while (at != null && first(at) > page) at = at.previousLink;
  do {
    const next = at == null ? range.firstLink : at.nextLink;
    if (next == null || first(next) > page) break;
    at = next;
  } while (true);
  range.hint = at;
  return at;
}

export function listInsert(range: Reservation, link: Link, previous: Link | null): void {
  const next = previous == null ? range.firstLink : previous.nextLink;
  link.previousLink = previous;
  link.nextLink = next;
  if (previous == null) range.firstLink = link;
  else previous.nextLink = link;
  if (next == null) range.lastLink = link;
  else next.previousLink = link;
  range.hint = link;
}

export function listRemove(range: Reservation, link: Link): void {
  const previous = link.previousLink;
  const next = link.nextLink;
  if (previous == null) range.firstLink = next;
  else previous.nextLink = next;
  if (next == null) range.lastLink = previous;
  else next.previousLink = previous;
  range.hint = previous != null ? previous : next;
}

/** The reservation that a stored pointer leads to, or null. */
// @ts-ignore: decorator
@inline
export function reservationAt(place: usize): Reservation | null {
  return changetype<Reservation | null>(load<u32>(place));
}
