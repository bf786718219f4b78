// Reservations and links whose driver is unbound or whose device is destroyed, and the check of these records.

import { PAGE_SHIFT } from '../../ram/ram';
import { DmaDevice } from '../../device/device';
import { addressOf, fieldOf } from '../../memory/record';
import { entryLose, firstEntry, nextEntry, pagesOf } from '../entries/chains';
import { Entry, TYPE_LINK, isOwn, typeIn } from '../entries/entry';
import { Payload, payload, reportOwn } from '../entries/log';
import { DebugState } from '../entries/state';
import { dropLink, leave } from './links';
import { BUCKETS, Link, Reservation, first, reservationAt } from './records';
import { ownFree } from '../entries/pool';

/** Entry: one of the reservations. */
export const CHECK_RANGE_LEFT: u32 = 73;

/** Reservations, links in them, and bytes of all reservations. */
// @ts-ignore: decorator
@unmanaged
export class RangesLeft extends Payload {
  reservations: u32;
  links: u32;
  bytes: u64;
}

// @ts-ignore: decorator
@inline
function nextIn(range: Reservation): Reservation | null {
  return changetype<Reservation | null>(range.next);
}

/**
 * The driver of a device was unbound: its links are lost, and one report is made of its reservations.
 * @returns how many links
 */
export function linksLeft(state: DebugState, dev: DmaDevice): u32 {
  let links: u32 = 0;
  if (state.ownLive != 0) {
    for (let entry = firstEntry(state); entry != null; entry = nextEntry(state, entry!)) {
      if (entry.device != dev || !isOwn(entry)) continue;
      entryLose(state, entry);
      ++links;
    }
  }
  if (state.ranges != 0) rangesLeft(state, dev);
  return links;
}

function rangesLeft(state: DebugState, dev: DmaDevice): void {
  let count: u32 = 0;
  let linked: u32 = 0;
  let bytes: u64 = 0;
  let example: Reservation | null = null;
  for (let bucket: usize = 0; bucket < BUCKETS; ++bucket) {
    for (let at = reservationAt(state.ranges + (bucket << 2)); at != null; at = nextIn(at!)) {
      const range = at;
      if (range.device != dev) continue;
      ++count;
      bytes += pagesOf(range) << PAGE_SHIFT;
      if (example == null || range.address > example.address) example = at;
      for (let link = range.firstLink; link != null; link = link!.nextLink) ++linked;
    }
  }
  if (count == 0) return;
  const range = example!;
  const told = payload<RangesLeft>(state);
  told.reservations = count;
  told.links = linked;
  told.bytes = bytes;
  reportOwn(state, CHECK_RANGE_LEFT, dev, range, range.address, range.size, told);
}

/** Frees a device's reservations; then linkForget may free their links. */
export function rangesForget(state: DebugState, dev: DmaDevice): void {
  if (state.ranges == 0) return;
  for (let bucket: usize = 0; bucket < BUCKETS; ++bucket) {
    let place = state.ranges + (bucket << 2);
    do {
      const range = reservationAt(place);
      if (range == null) break;
      if (range.device != dev) place = fieldOf(range, offsetof<Entry>('next'));
      else {
        store<u32>(place, <u32>addressOf(range.next));
        ownFree(state, range);
      }
    } while (true);
  }
}

/** Frees a link whose reservation is freed. */
export function linkForget(state: DebugState, entry: Entry): void {
  const link = changetype<Link>(entry);
  leave(state, link);
  dropLink(state, link);
}

/** Whether each reservation's links are in the order of their addresses and properly linked. */
export function rangesCheck(state: DebugState): bool {
  if (state.ranges == 0) return true;
  for (let bucket: usize = 0; bucket < BUCKETS; ++bucket) {
    for (let range = reservationAt(state.ranges + (bucket << 2)); range != null; range = nextIn(range!)) {
      let previous: Link | null = null;
      for (let entry = range.firstLink; entry != null; entry = entry!.nextLink) {
        if (entry.previousLink != previous || entry.device != range.device || typeIn(entry.kind) != TYPE_LINK) return false;
        if (previous != null && first(entry) < first(previous)) return false;
        previous = entry;
      }
      if (range.lastLink != previous) return false;
    }
  }
  return true;
}
