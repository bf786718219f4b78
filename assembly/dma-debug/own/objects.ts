// Objects of a driver that are freed while they are mapped.

import { DmaDevice } from '../../device/device';
import { lock, unlock } from '../../memory/lock';
import { entryLose, firstEntry, nextEntry } from '../entries/chains';
import { Entry, TYPE_SG, typeIn } from '../entries/entry';
import { Payload, payload, reportOwn } from '../entries/log';
import { DEBUG_OWN, OBJECT_SLOTS, DebugState, debugOf } from '../entries/state';

export const CHECK_OBJECT_GONE: u32 = 67;

/** The object's id, and its live mappings. */
// @ts-ignore: decorator
@unmanaged
export class ObjectMappings extends Payload {
  owner: u32;
  mappings: u32;
}

export function objectGone(state: DebugState, dev: DmaDevice, entry: Entry, object: u32, live: u32): void {
  const told = payload<ObjectMappings>(state);
  told.owner = object;
  told.mappings = live;
  reportOwn(state, CHECK_OBJECT_GONE, dev, entry, entry.address, entry.size, told);
}

/**
 * An object of a device was freed: its live mappings are lost. Those that were made from a table are left to tableGone. Object
 * ids are per device.
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
    if (entry.object != object || entry.device != dev || typeIn(entry.kind) == TYPE_SG) continue;
    entryLose(state, entry);
    example = entry;
    ++live;
  }
  if (live != 0 && (state.flags & DEBUG_OWN) != 0) {
    const entry = example!;
    objectGone(state, dev, entry, object, live);
  }
  unlock(debugOf(ctx));
  return live;
}
