// What is compared when a mapping is synced (check_sync). The entry is the one that covers the range, so that a range
// beyond its entry is not "too long" but unknown: SYNC_RANGE exists and, as in the kernel, cannot be reached that way.

import { lock, unlock } from '../memory/lock';
import { DmaDevice } from '../device/device';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../device/mapping';
import { entriesOf } from '../sg/entries';
import { SgTable } from '../sg/sg-table';
import {
  CHECK_SYNC_DIR, CHECK_SYNC_RANGE, CHECK_SYNC_RO_FOR_CPU, CHECK_SYNC_SGCOUNT, CHECK_SYNC_UNKNOWN,
  CHECK_SYNC_WO_FOR_DEV,
} from './checks';
import { PAGE_SHIFT, findBest, findContaining, slotOf } from './chains';
import { Entry, TYPE_SG, TYPE_SINGLE, kindOf } from './entry';
import { report } from './log';
import { DEBUG_KERNEL, DEBUG_OWN, DEBUG_SYNC_SGCOUNT, DebugState } from './state';
import { listAddress, listLength } from './unmap';

export function syncSingle(
  state: DebugState, dev: DmaDevice, address: u64, size: u64, dir: u32, forDevice: bool,
): void {
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  lock(state);
  checkSync(state, dev, kindOf(TYPE_SINGLE, dir), address, size, 0, forDevice);
  unlock(state);
}

/** debug_dma_sync_sg_for_cpu, _for_device: an unknown first segment ends it, nothing is said. */
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
    if (state.missed == 0) report(state, CHECK_SYNC_UNKNOWN, dev, null, address, size, 0, 0, 0, 0);
    return;
  }
  const mapped = entry.kind >> 8;
  const dir = kind >> 8;
  if (size > entry.size) report(state, CHECK_SYNC_RANGE, dev, entry, entry.address, entry.size, size, 0, 0, 0);
  if (mapped == DMA_BIDIRECTIONAL) return;
  if (dir != mapped) say(state, CHECK_SYNC_DIR, dev, entry, address, dir);
  if (!forDevice && mapped != DMA_FROM_DEVICE && dir != DMA_TO_DEVICE) {
    say(state, CHECK_SYNC_RO_FOR_CPU, dev, entry, address, dir);
  }
  if (forDevice && mapped != DMA_TO_DEVICE && dir != DMA_FROM_DEVICE) {
    say(state, CHECK_SYNC_WO_FOR_DEV, dev, entry, address, dir);
  }
  if (ents != 0 && (kind & 0xff) == TYPE_SG && ents != entry.sgCallEnts && (state.flags & DEBUG_SYNC_SGCOUNT) != 0) {
    report(state, CHECK_SYNC_SGCOUNT, dev, entry, entry.address, entry.size, 0, 0, entry.sgCallEnts, ents);
  }
}

function say(state: DebugState, check: u32, dev: DmaDevice, entry: Entry, address: u64, dir: u32): void {
  report(state, check, dev, entry, address, entry.size, 0, 0, entry.kind >> 8, dir);
}
