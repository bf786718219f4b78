// Scatter-gather tables: the list of a table's live entries, which shows with one load that it is mapped, and its segments as
// the driver reads them.

import { DMA_MAPPING_ERROR } from '../../device/mapping';
import { addressOf } from '../../memory/record';
import { sgSegmentAddress, sgSegmentLength } from '../../sg/segments';
import { SEGMENTS_NONE, SEGMENTS_ONE, SEGMENTS_PHYSICAL, SgTable } from '../../sg/sg-table';
import { ENTRY_LISTED, Entry } from './entry';

/** The first of a table's live entries, or null. */
// @ts-ignore: decorator
@inline
export function liveEntries(sgt: SgTable): Entry | null {
  return changetype<Entry | null>(sgt.debugEntries);
}

// @ts-ignore: decorator
@inline
export function sgLink(entry: Entry, sgt: SgTable): void {
  const first = liveEntries(sgt);
  entry.sgt = sgt;
  entry.sgNext = first;
  entry.sgPrevious = null;
  if (first != null) first.sgPrevious = entry;
  sgt.debugEntries = addressOf(entry);
}

// @ts-ignore: decorator
@inline
export function sgUnlink(entry: Entry): void {
  const next = entry.sgNext;
  const previous = entry.sgPrevious;
  if (previous != null) previous.sgNext = next;
  else entry.sgt!.debugEntries = addressOf(next);
  if (next != null) next.sgPrevious = previous;
}

/**
 * DMA address and length of entry i of a list as its driver reads them. Past the segments of a mapping the IOMMU code writes
 * the error value and length 0; in a list that was never mapped both are 0.
 */
// @ts-ignore: decorator
@inline
export function listAddress(sgt: SgTable, i: u32): u64 {
  if (sgt.shape == SEGMENTS_NONE) return 0;
  if (i == 0 && sgt.shape == SEGMENTS_ONE) return sgt.inlineAddress;
  return i < sgt.nents ? sgSegmentAddress(sgt, i) : DMA_MAPPING_ERROR;
}

// @ts-ignore: decorator
@inline
export function listLength(sgt: SgTable, i: u32): u64 {
  if (i == 0 && sgt.shape == SEGMENTS_ONE) return sgt.inlineLength;
  return sgt.shape == SEGMENTS_NONE || i >= sgt.nents ? 0 : sgSegmentLength(sgt, i);
}

/** Whether a table's segments are its entries at their physical addresses, so that a walk over its pages gives them. */
// @ts-ignore: decorator
@inline
export function entriesAreSegments(sgt: SgTable): bool {
  return sgt.shape == SEGMENTS_PHYSICAL && sgt.pfns != 0;
}

/**
 * Of several mappings that are equal in all that the kernel compares, the oldest is removed, whichever of them the driver
 * unmaps. If that one belongs to another table, as is possible where addresses are physical, the two entries change tables.
 */
export function changeTables(entry: Entry, sgt: SgTable): void {
  if ((entry.flags & ENTRY_LISTED) == 0 || entry.sgt == sgt) return;
  for (let twin = liveEntries(sgt); twin != null; twin = twin!.sgNext) {
    if (twin.address != entry.address || twin.device != entry.device) continue;
    const other = entry.sgt!;
    sgUnlink(twin);
    sgUnlink(entry);
    sgLink(twin, other);
    sgLink(entry, sgt);
    return;
  }
}
