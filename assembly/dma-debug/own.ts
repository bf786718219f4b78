// What the kernel's checker cannot see. It knows addresses, not lists, pages or objects: a list that is mapped twice
// looks to it like two good mappings, and the first is found leaked when the driver is unbound, if ever. These checks
// know what an address belongs to, and speak at the call that does the damage.

import { Context } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { DmaDevice } from '../dma/device';
import { sgSegmentAddress, sgSegmentLength } from '../sg/segments';
import { SG_OWNS_PAGES, SgTable } from '../sg/sg-table';
import { CHECK_ADDRESS_OVERWRITTEN, CHECK_DOUBLE_MAP, CHECK_OBJECT_GONE, CHECK_STALE_PTE } from './checks';
import { entryLose, findAt, firstEntry, nextEntry } from './chains';
import { CHECK_BOUND, ENTRY_LISTED, ENTRY_PAGES, ENTRY_SCATTERED, Entry, TYPE_LINK, TYPE_SG } from './entry';
import { reportOwn } from './log';
import { forgetPages, freedWhileMapped } from './pages';
import { DEBUG_OWN, DebugState, OBJECT_SLOTS } from './state';

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

/** A table with live mappings goes away: nobody can unmap them any more. */
export function tableGone(sgt: SgTable): void {
  const state = changetype<DebugState>(changetype<Context>(sgt.ctx).dmaDebug);
  const newest = changetype<Entry>(sgt.debugEntries);
  let live: u32 = 0;
  for (let at = sgt.debugEntries; at != 0; ++live) {
    const entry = changetype<Entry>(at);
    leaveTable(state, sgt, entry);
    entryLose(state, entry);
    entry.flags &= ~ENTRY_LISTED;
    at = entry.sgNext;
  }
  sgt.debugEntries = 0;
  if ((state.flags & DEBUG_OWN) == 0) return;
  const dev = changetype<DmaDevice>(newest.device);
  reportOwn(state, CHECK_OBJECT_GONE, dev, changetype<usize>(newest), newest.address, newest.size, newest.object, live);
}

// Its frames go with a table that owns them, and what was counted through a table can be found there no more.
function leaveTable(state: DebugState, sgt: SgTable, entry: Entry): void {
  if ((entry.flags & ENTRY_PAGES) == 0) return;
  if ((sgt.flags & SG_OWNS_PAGES) != 0) freedWhileMapped(state, entry, entry.phys);
  else if ((entry.flags & ENTRY_SCATTERED) != 0) forgetPages(state, entry);
}

/**
 * PTEs of a GPU now point at a mapping, or no longer do: what a vma does when it is bound and unbound.
 * @param address of the mapping's start; one that is not live is not counted
 * @param by 1 or -1
 */
export function debugBinding(dev: DmaDevice, address: f64, by: i32): void {
  const state = changetype<DebugState>(changetype<Context>(dev.ctx).dmaDebug);
  if (changetype<usize>(state) == 0) return;
  lock(state);
  const at = findAt(state, changetype<usize>(dev), <u64>address, false);
  if (at != 0) bind(changetype<Entry>(at), by);
  unlock(state);
}

function bind(entry: Entry, by: i32): void {
  const before: i32 = (entry.checked & CHECK_BOUND) != 0 ? <i32>entry.bindings : 0;
  entry.bindings = <u32>max<i32>(0, before + by);
  entry.checked = entry.bindings != 0 ? entry.checked | CHECK_BOUND : entry.checked & ~CHECK_BOUND;
}

/**
 * A mapping ends to which PTEs of a GPU point. They are stale unless the device has another at the same address, as it may
 * where addresses are physical: to that one they point just as well.
 */
export function ownStalePte(state: DebugState, dev: DmaDevice, entry: Entry): void {
  const address = entry.address;
  const bindings = entry.bindings;
  for (let at = findAt(state, entry.device, address, false); at != 0; at = changetype<Entry>(at).next) {
    const other = changetype<Entry>(at);
    if (other === entry || other.address != address || other.device != entry.device || (other.kind & 0xff) >= TYPE_LINK) continue;
    bind(other, <i32>bindings);
    return;
  }
  reportOwn(state, CHECK_STALE_PTE, dev, changetype<usize>(entry), address, entry.size, bindings, 0);
}

/**
 * An object of a device is gone. What is still mapped for that device on its behalf, and not from a table that reports for
 * itself, is lost. Each device numbers its objects by itself.
 * @returns mappings found
 */
export function debugObjectGone(dev: DmaDevice, object: u32): u32 {
  const ctx = changetype<Context>(dev.ctx);
  const state = changetype<DebugState>(ctx.dmaDebug);
  if (changetype<usize>(state) == 0 || object == 0) return 0;
  if (load<u32>(state.objects + (<usize>(object & (OBJECT_SLOTS - 1)) << 2)) == 0) return 0;
  lock(ctx.dmaDebug);
  let live: u32 = 0;
  let example: usize = 0;
  for (let at = firstEntry(state); at != 0; at = nextEntry(state, at)) {
    const entry = changetype<Entry>(at);
    if (entry.object != object || entry.device != changetype<usize>(dev) || (entry.kind & 0xff) == TYPE_SG) continue;
    entryLose(state, entry);
    example = at;
    ++live;
  }
  if (live != 0 && (state.flags & DEBUG_OWN) != 0) {
    const entry = changetype<Entry>(example);
    reportOwn(state, CHECK_OBJECT_GONE, dev, example, entry.address, entry.size, object, live);
  }
  unlock(ctx.dmaDebug);
  return live;
}
