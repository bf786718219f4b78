// Scatter-gather tables that are mapped twice, or freed while they are mapped. The kernel's checker has addresses and no
// tables: it accepts both mappings of one table, and reports the first as leaked when the driver is unbound, if at all. These
// checks report at the call that is wrong.

import { DmaDevice } from '../../device/device';
import { sgSegmentAddress, sgSegmentLength } from '../../sg/segments';
import { SG_OWNS_PAGES, SgTable } from '../../sg/sg-table';
import { entryLose } from '../entries/chains';
import { ENTRY_LISTED, ENTRY_PAGES, ENTRY_SCATTERED, Entry } from '../entries/entry';
import { forgetPages } from '../entries/frames';
import { reportOwn } from '../entries/log';
import { DEBUG_OWN, DebugState, debugOf } from '../entries/state';
import { liveEntries } from '../entries/table';
import { objectGone } from './objects';
import { freedWhileMapped } from './pages';

/** Of the new mapping. Entry: a live mapping of the same table. */
export const CHECK_DOUBLE_MAP: u32 = 64;
/** The same; entry: the mapping whose address is lost. */
export const CHECK_ADDRESS_OVERWRITTEN: u32 = 65;

/**
 * A table with live mappings was mapped again. A table holds one set of addresses: if the new ones differ, the old mapping
 * can no longer be unmapped.
 */
export function ownDoubleMap(state: DebugState, dev: DmaDevice, sgt: SgTable): void {
  const first = liveEntries(sgt)!;
  const address = sgSegmentAddress(sgt, 0);
  let size: u64 = 0;
  for (let i: u32 = 0; i < sgt.nents; ++i) size += sgSegmentLength(sgt, i);
  // Newest first: the last of the newest call's entries is its first segment.
  let newest = first;
  const ents = first.sgMappedEnts;
  for (let i: u32 = 1; i < ents && newest.sgNext != null; ++i) newest = newest.sgNext!;
  reportOwn(state, CHECK_DOUBLE_MAP, dev, newest, address, size, null);
  if (newest.address == address && newest.device == dev) return;
  reportOwn(state, CHECK_ADDRESS_OVERWRITTEN, dev, newest, address, size, null);
  for (let entry = liveEntries(sgt); entry != null; entry = entry!.sgNext) entryLose(state, entry);
}

/** A table is freed that has live mappings, which can then no longer be unmapped. */
export function tableGone(sgt: SgTable): void {
  const state = debugOf(sgt.ctx)!;
  const newest = liveEntries(sgt)!;
  let live: u32 = 0;
  for (let at = liveEntries(sgt); at != null; ++live) {
    const entry = at;
    leaveTable(state, sgt, entry);
    entryLose(state, entry);
    entry.flags &= ~ENTRY_LISTED;
    at = entry.sgNext;
  }
  sgt.debugEntries = 0;
  if ((state.flags & DEBUG_OWN) == 0) return;
  const dev = newest.device;
  objectGone(state, dev, newest, newest.object, live);
}

// A table that owns frames frees them. Frames that were counted through the table are uncounted while it exists.
function leaveTable(state: DebugState, sgt: SgTable, entry: Entry): void {
  if ((entry.flags & ENTRY_PAGES) == 0) return;
  if ((sgt.flags & SG_OWNS_PAGES) != 0) freedWhileMapped(state, entry, entry.phys);
  else if ((entry.flags & ENTRY_SCATTERED) != 0) forgetPages(state, entry);
}
