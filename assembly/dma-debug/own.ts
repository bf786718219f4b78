// What the kernel's checker cannot see. It knows addresses, not lists, pages or objects: a list that is mapped twice
// looks to it like two good mappings, and the first is found leaked when the driver is unbound, if ever. These checks
// know what an address belongs to, and speak at the call that does the damage.

import { Context } from '../memory/context';
import { DmaDevice } from '../dma/device';
import { sgSegmentAddress, sgSegmentLength } from '../sg/segments';
import { SgTable } from '../sg/sg-table';
import { CHECK_ADDRESS_OVERWRITTEN, CHECK_DOUBLE_MAP, CHECK_OBJECT_GONE } from './checks';
import { Entry, entryLose, sgUnlink } from './entry';
import { reportOwn } from './log';
import { DEBUG_OWN, DebugState } from './state';

/**
 * A list with live mappings was mapped again. The list has room for one set of addresses: where the new ones differ,
 * nobody can ever unmap the old ones.
 */
export function ownDoubleMap(state: DebugState, dev: DmaDevice, sgt: SgTable): void {
  const first = changetype<Entry>(sgt.debugEntries);
  const address = sgSegmentAddress(sgt, 0);
  let size: u64 = 0;
  for (let i: u32 = 0; i < sgt.nents; ++i) size += sgSegmentLength(sgt, i);
  // Newest first: the last of the newest call's entries is its first segment.
  let newest = changetype<usize>(first);
  const ents = first.sgMappedEnts;
  for (let i: u32 = 1; i < ents && changetype<Entry>(newest).sgNext != 0; ++i) newest = changetype<Entry>(newest).sgNext;
  reportOwn(state, CHECK_DOUBLE_MAP, dev, newest, address, size, 0, 0);
  if (changetype<Entry>(newest).address == address && changetype<Entry>(newest).device == changetype<usize>(dev)) return;
  reportOwn(state, CHECK_ADDRESS_OVERWRITTEN, dev, newest, address, size, 0, 0);
  for (let at = sgt.debugEntries; at != 0; at = changetype<Entry>(at).sgNext) entryLose(state, changetype<Entry>(at));
}

/** A table goes away: what is still mapped from it can be unmapped by nobody. */
// @ts-ignore: decorator
@inline
export function debugSgDestroy(sgt: SgTable): void {
  if (sgt.debugEntries != 0) tableGone(sgt);
}

function tableGone(sgt: SgTable): void {
  const state = changetype<DebugState>(changetype<Context>(sgt.ctx).dmaDebug);
  const newest = changetype<Entry>(sgt.debugEntries);
  let live: u32 = 0;
  for (let at = sgt.debugEntries; at != 0; ++live) {
    const entry = changetype<Entry>(at);
    entryLose(state, entry);
    entry.sgt = 0;
    at = entry.sgNext;
  }
  sgt.debugEntries = 0;
  if ((state.flags & DEBUG_OWN) == 0) return;
  const dev = changetype<DmaDevice>(newest.device);
  reportOwn(state, CHECK_OBJECT_GONE, dev, changetype<usize>(newest), newest.address, newest.size, newest.object, live);
}
