// Scatter-gather tables for the host (memory/host.ts): -1 where there is no such address.

import { Context } from '../memory/context';
import { fromHost, placeFromHost, toHost } from '../memory/host';
import * as build from './build';
import * as bytes from './copy';
import * as derive from './derive';
import { entriesOf, sgEntryPhys } from './entries';
import * as segments from './segments';
import { SgTable } from './sg-table';

/** sgFinish. */
export function sgFinish(sgt: SgTable, offset: u32, length: f64, maxEntry: u32, flags: u32): i32 {
  return build.sgFinish(sgt, offset, fromHost(length), maxEntry, flags);
}

/** sgRead. */
export function sgRead(sgt: SgTable, offset: f64, dest: usize, n: u32): i32 {
  return bytes.sgRead(sgt, placeFromHost(offset), dest, n);
}

/** sgWrite. */
export function sgWrite(sgt: SgTable, offset: f64, src: usize, n: u32): i32 {
  return bytes.sgWrite(sgt, placeFromHost(offset), src, n);
}

/** sgContiguous. */
export function sgContiguous(ctx: Context, pfn: u32, n: u32, address: f64): SgTable | null {
  return derive.sgContiguous(ctx, pfn, n, fromHost(address));
}

/** Bytes of all entries. */
export function sgBytes(sgt: SgTable): f64 {
  return toHost(sgt.bytes);
}

/** sgEntryPhys; -1 past the last entry. */
export function sgEntryAddress(sgt: SgTable, i: u32): f64 {
  return i < entriesOf(sgt) ? toHost(sgEntryPhys(sgt, i)) : -1;
}

/** sgDmaSegmentAddress. */
export function sgDmaSegmentAddress(sgt: SgTable, i: u32): f64 {
  return toHost(segments.sgDmaSegmentAddress(sgt, i));
}

/** sgDmaSegmentLength. */
export function sgDmaSegmentLength(sgt: SgTable, i: u32): f64 {
  return toHost(segments.sgDmaSegmentLength(sgt, i));
}

/** sgDmaPage. */
export function sgDmaPage(sgt: SgTable, page: u32): f64 {
  return toHost(segments.sgDmaPage(sgt, page));
}
