// PTEs of a GPU that point at a mapping when it ends.

import { DmaDevice } from '../../device/device';
import { lock, unlock } from '../../memory/lock';
import { findAt } from '../entries/chains';
import { Entry, UNMAP_BOUND, isOwn } from '../entries/entry';
import { Payload, payload, reportOwn } from '../entries/log';
import { DebugState, debugOf } from '../entries/state';

export const CHECK_STALE_PTE: u32 = 68;

/** GPU bindings that still point at the mapping. */
// @ts-ignore: decorator
@unmanaged
export class StalePte extends Payload {
  bindings: u32;
}

/**
 * PTEs of a GPU point at a mapping from now on (a vma is bound), or no longer do (it is unbound).
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
  const before: i32 = (entry.unmapFlags & UNMAP_BOUND) != 0 ? <i32>entry.bindings : 0;
  entry.bindings = <u32>max<i32>(0, before + by);
  entry.unmapFlags = entry.bindings != 0 ? entry.unmapFlags | UNMAP_BOUND : entry.unmapFlags & ~UNMAP_BOUND;
}

/**
 * A mapping ends that PTEs of a GPU point at. They are stale, unless the device has another mapping at the same address, as is
 * possible where addresses are physical: the PTEs then count for that one.
 */
export function ownStalePte(state: DebugState, dev: DmaDevice, entry: Entry): void {
  const address = entry.address;
  const bindings = entry.bindings;
  for (let other = findAt(state, entry.device, address, false); other != null; other = other!.next) {
    if (other === entry || other.address != address || other.device != entry.device || isOwn(other)) continue;
    bind(other, <i32>bindings);
    return;
  }
  const told = payload<StalePte>(state);
  told.bindings = bindings;
  reportOwn(state, CHECK_STALE_PTE, dev, entry, address, entry.size, told);
}
