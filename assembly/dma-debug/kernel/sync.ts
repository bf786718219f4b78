// Checks when a mapping is synced (check_sync). The lookup finds an entry that covers the whole range. A range that reaches
// beyond its entry is therefore unknown, and SYNC_RANGE is never reported, as in the kernel.

import { PAGE_SHIFT } from '../../ram/ram';
import { DmaDevice } from '../../device/device';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../device/mapping';
import { lock, unlock } from '../../memory/lock';
import { entriesOf } from '../../sg/entries';
import { SgTable } from '../../sg/sg-table';
import { findBest, findContaining, slotOf } from '../entries/chains';
import { Entry, TYPE_SG, TYPE_SINGLE, directionIn, kindOf, typeIn } from '../entries/entry';
import { Payload, payload, report } from '../entries/log';
import { DEBUG_KERNEL, DEBUG_OWN, DEBUG_SYNC_SGCOUNT, DebugState } from '../entries/state';
import { listAddress, listLength } from '../entries/table';

export const CHECK_SYNC_UNKNOWN: u32 = 9;
export const CHECK_SYNC_RANGE: u32 = 10;
export const CHECK_SYNC_DIR: u32 = 11;
export const CHECK_SYNC_RO_FOR_CPU: u32 = 12;
export const CHECK_SYNC_WO_FOR_DEV: u32 = 13;
export const CHECK_SYNC_SGCOUNT: u32 = 14;

/** DMA_* */
// @ts-ignore: decorator
@unmanaged
export class SyncDirection extends Payload {
  mapped: u32;
  synced: u32;
}

/** Entries of a list as they were given to map and to sync. */
// @ts-ignore: decorator
@unmanaged
export class SyncCount extends Payload {
  mapCount: u32;
  syncCount: u32;
}

export function syncSingle(
  state: DebugState, dev: DmaDevice, address: u64, size: u64, dir: u32, forDevice: bool,
): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  lock(state);
  checkSync(state, dev, kindOf(TYPE_SINGLE, dir), address, size, 0, forDevice);
  unlock(state);
}

/** debug_dma_sync_sg_for_cpu, _for_device: stops without a report if the first segment is unknown. */
export function syncSg(state: DebugState, dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32, forDevice: bool): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  lock(state);
  const kind = kindOf(TYPE_SG, dir);
  let mapped: u32 = 0;
  const end = min(nents, entriesOf(sgt));
  for (let i: u32 = 0; i < end; ++i) {
    const address = listAddress(sgt, i);
    const size = listLength(sgt, i);
    if (i == 0) {
      const first = findBest(state, slotOf(state, dev, address >> PAGE_SHIFT), dev, address, size, kind, nents);
      if (first != null) mapped = first.sgMappedEnts;
    }
    if (i >= mapped) break;
    checkSync(state, dev, kind, address, size, nents, forDevice);
  }
  unlock(state);
}

function checkSync(
  state: DebugState, dev: DmaDevice, kind: u32, address: u64, size: u64, ents: u32, forDevice: bool,
): void {
  const entry = findContaining(state, dev, address, size, kind, ents);
  if (entry == null) {
    if (state.missed == 0) report(state, CHECK_SYNC_UNKNOWN, dev, null, address, size, null);
    return;
  }
  const mapped = directionIn(entry.kind);
  const dir = directionIn(kind);
  if (size > entry.size) report(state, CHECK_SYNC_RANGE, dev, entry, address, size, null);
  if (mapped == DMA_BIDIRECTIONAL) return;
  if (dir != mapped) direction(state, CHECK_SYNC_DIR, dev, entry, address, size, dir);
  if (!forDevice && mapped != DMA_FROM_DEVICE && dir != DMA_TO_DEVICE) {
    direction(state, CHECK_SYNC_RO_FOR_CPU, dev, entry, address, size, dir);
  }
  if (forDevice && mapped != DMA_TO_DEVICE && dir != DMA_FROM_DEVICE) {
    direction(state, CHECK_SYNC_WO_FOR_DEV, dev, entry, address, size, dir);
  }
  if (ents != 0 && typeIn(kind) == TYPE_SG && ents != entry.sgCallEnts && (state.flags & DEBUG_SYNC_SGCOUNT) != 0) {
    const told = payload<SyncCount>(state);
    told.mapCount = entry.sgCallEnts;
    told.syncCount = ents;
    report(state, CHECK_SYNC_SGCOUNT, dev, entry, address, size, told);
  }
}

function direction(
  state: DebugState, check: u32, dev: DmaDevice, entry: Entry, address: u64, size: u64, dir: u32,
): void {
  const told = payload<SyncDirection>(state);
  told.mapped = directionIn(entry.kind);
  told.synced = dir;
  report(state, check, dev, entry, address, size, told);
}
