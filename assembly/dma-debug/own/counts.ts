// A list that is unmapped with the count that dma_map_sg returned, not the one that it was given: the most frequent wrong count.

import { DmaDevice } from '../../device/device';
import { Entry } from '../entries/entry';
import { Payload, payload, reportOwn } from '../entries/log';
import { DebugState } from '../entries/state';

export const CHECK_UNMAP_MAPPED_COUNT: u32 = 69;

/** Entries given to map, and segments that map returned and that were given to unmap. */
// @ts-ignore: decorator
@unmanaged
export class MappedCount extends Payload {
  mapCount: u32;
  mappedCount: u32;
}

/** A list's mapping ends with a count, `ents`, other than the one that it was mapped with. */
export function ownUnmapCount(state: DebugState, dev: DmaDevice, entry: Entry, size: u64, ents: u32): void {
  if (ents != entry.sgMappedEnts) return;
  const told = payload<MappedCount>(state);
  told.mapCount = entry.sgCallEnts;
  told.mappedCount = ents;
  reportOwn(state, CHECK_UNMAP_MAPPED_COUNT, dev, entry, entry.address, size, told);
}
