// What the kernel's checker cannot see. It knows addresses, not lists, pages or objects: a list that is mapped twice
// looks to it like two good mappings, and the first is found leaked when the driver is unbound, if ever. These checks
// know what an address belongs to, and speak at the call that does the damage.

import { lock, unlock } from '../memory/lock';
import { DmaDevice } from '../device/device';
import { sgSegmentAddress, sgSegmentLength } from '../sg/segments';
import { SG_OWNS_PAGES, SgTable } from '../sg/sg-table';
import { CHECK_ADDRESS_OVERWRITTEN, CHECK_DOUBLE_MAP, CHECK_OBJECT_GONE, CHECK_STALE_PTE } from './checks';
import { entryLose, findAt, firstEntry, liveEntries, nextEntry } from './chains';
import { CHECK_BOUND, ENTRY_LISTED, ENTRY_PAGES, ENTRY_SCATTERED, Entry, TYPE_LINK, TYPE_SG } from './entry';
import { reportOwn } from './log';
import { forgetPages, freedWhileMapped } from './pages';
import { DEBUG_OWN, DebugState, OBJECT_SLOTS, debugOf } from './state';

/**
 * A list with live mappings was mapped again. The list has room for one set of addresses: where the new ones differ,
 * nobody can ever unmap the old ones.
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
  reportOwn(state, CHECK_DOUBLE_MAP, dev, newest, address, size, 0, 0);
  if (newest.address == address && newest.device == dev) return;
  reportOwn(state, CHECK_ADDRESS_OVERWRITTEN, dev, newest, address, size, 0, 0);
  for (let entry = liveEntries(sgt); entry != null; entry = entry!.sgNext) entryLose(state, entry);
}

/** A table with live mappings goes away: nobody can unmap them any more. */
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
  reportOwn(state, CHECK_OBJECT_GONE, dev, newest, newest.address, newest.size, newest.object, live);
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
export function debugBinding(dev: DmaDevice, address: u64, by: i32): void {
  const state = debugOf(dev.ctx);
  if (state == null) return;
  lock(state);
  const entry = findAt(state, dev, address, false);
  if (entry != null) bind(entry, by);
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
  for (let other = findAt(state, entry.device, address, false); other != null; other = other!.next) {
    if (other === entry || other.address != address || other.device != entry.device || (other.kind & 0xff) >= TYPE_LINK) continue;
    bind(other, <i32>bindings);
    return;
  }
  reportOwn(state, CHECK_STALE_PTE, dev, entry, address, entry.size, bindings, 0);
}

/**
 * An object of a device is gone. What is still mapped for that device on its behalf, and not from a table that reports for
 * itself, is lost. Each device numbers its objects by itself.
 * @returns mappings found
 */
export function debugObjectGone(dev: DmaDevice, object: u32): u32 {
  const ctx = dev.ctx;
  const state = debugOf(ctx);
  if (state == null || object == 0) return 0;
  if (load<u32>(state.objects + (<usize>(object & (OBJECT_SLOTS - 1)) << 2)) == 0) return 0;
  lock(debugOf(ctx));
  let live: u32 = 0;
  let example: Entry | null = null;
  for (let entry = firstEntry(state); entry != null; entry = nextEntry(state, entry!)) {
    if (entry.object != object || entry.device != dev || (entry.kind & 0xff) == TYPE_SG) continue;
    entryLose(state, entry);
    example = entry;
    ++live;
  }
  if (live != 0 && (state.flags & DEBUG_OWN) != 0) {
    const entry = example!;
    reportOwn(state, CHECK_OBJECT_GONE, dev, entry, entry.address, entry.size, object, live);
  }
  unlock(debugOf(ctx));
  return live;
}
