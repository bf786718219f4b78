// A list that is unmapped with the wrong count: the most frequent wrong one has a name of its own.

import { DmaDevice } from '../../device/device';
import { Entry } from '../entries/entry';
import { Payload, payload, reportOwn } from '../entries/log';
import { DebugState } from '../entries/state';

export const CHECK_UNMAP_MAPPED_COUNT: u32 = 69;

/** Entries that were given to map, and the segments that it returned, which were given to unmap. */
// @ts-ignore: decorator
@unmanaged
export class MappedCount extends Payload {
  mapCount: u32;
  mappedCount: u32;
}

/** A list's mapping ends with `ents`, which is not the count that it was mapped with. */
export function ownUnmapCount(state: DebugState, dev: DmaDevice, entry: Entry, size: u64, ents: u32): void {
  if (ents != entry.sgMappedEnts) return;
  const told = payload<MappedCount>(state);
  told.mapCount = entry.sgCallEnts;
  told.mappedCount = ents;
  reportOwn(state, CHECK_UNMAP_MAPPED_COUNT, dev, entry, entry.address, size, told);
}
