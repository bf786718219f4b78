// Lists. A map copies C's struct scatterlist into the runs of a core table, maps the table, and writes the segments back. The table
// is found by the list's address until another list is mapped at that address, so that a second map or unmap of the same list is
// detected.

import { addressOf, fieldOf } from '../memory/record';
import { slabAllocZeroed, slabCacheAt } from '../memory/slab';
import { DmaDevice } from '../device/device';
import { dmaMapSg, dmaUnmapSg } from '../dma/map';
import { dmaSyncSg } from '../dma/sync';
import { ENOMEM } from '../memory/errno';
import { PAGE_SHIFT } from '../ram/ram';
import { debugSgDestroy } from '../dma-debug/freed';
import { sgFinishRuns, sgReserveRuns } from '../sg/build';
import { sgDmaSegmentAddress, sgDmaSegmentLength } from '../sg/segments';
import { SG_MAPPED, SG_RUN_SIZE, SgRun, SgTable } from '../sg/sg-table';
import { findings, settle } from './dma';
import { Mapping, mappingAdd, mappingEnd, mappingGive, mappingTake } from './owner';
import { DriverState, HASH_SLOTS, ctxOf, driverState, watching } from './state';

// @ts-ignore: decorator
@unmanaged
export class SglRecord {
  next: usize;
  /** C's address of the list. */
  sgl: usize;
  table: usize;
  /** First Mapping of the list. */
  mappings: usize;
}

function slotOf(sgl: usize): usize {
  return driverState().bySgl + ((((sgl >> 3) ^ (sgl >> 13)) & <usize>(HASH_SLOTS - 1)) << 2);
}

function find(sgl: usize): usize {
  let at: usize = load<u32>(slotOf(sgl));
  while (at != 0 && changetype<SglRecord>(at).sgl != sgl) at = changetype<SglRecord>(at).next;
  return at;
}

/**
 * Prepares mapping a list of n entries: C fills the runs (pfn, offset, length, 0), then calls gd_sg_map. A list that is
 * mapped already keeps its table.
 * @returns address of the runs, 0 without memory
 */
export function gd_sg_begin(sgl: usize, n: u32): usize {
  const ctx = ctxOf();
  const state = driverState();
  let at = find(sgl);
  if (at == 0) {
    const cache = slabCacheAt<SglRecord>(ctx, fieldOf(state, offsetof<DriverState>('sglCache')), offsetof<SglRecord>());
    at = cache == null ? 0 : addressOf(slabAllocZeroed(cache));
    if (at == 0) return 0;
    const slot = slotOf(sgl);
    changetype<SglRecord>(at).sgl = sgl;
    changetype<SglRecord>(at).next = load<u32>(slot);
    store<u32>(slot, <u32>at);
  }
  const record = changetype<SglRecord>(at);
  let table = record.table;
  if (table != 0) {
    const old = changetype<SgTable>(table);
    if (old.runCount == n && ((old.flags & SG_MAPPED) != 0)) return old.runs;
    debugSgDestroy(old);
    dropMappings(record);
  }
  table = changetype<usize>(sgReserveRuns(ctx, n));
  record.table = table;
  return table == 0 ? 0 : changetype<SgTable>(table).runs;
}

function dropMappings(record: SglRecord): void {
  for (let at = record.mappings; at != 0; ) {
    const next = changetype<Mapping>(at).listNext;
    mappingEnd(at);
    at = next;
  }
  record.mappings = 0;
}

/** dma_map_sg_attrs. @returns segments or a negative errno */
export function gd_sg_map(dev: DmaDevice, sgl: usize, dir: u32, attrs: u32): i32 {
  const at = find(sgl);
  if (at == 0 || changetype<SglRecord>(at).table == 0) return ENOMEM;
  const record = changetype<SglRecord>(at);
  const table = changetype<SgTable>(record.table);
  const before = findings();
  if ((table.flags & SG_MAPPED) == 0) sgFinishRuns(table);
  const rc = dmaMapSg(dev, table, dir, attrs);
  if (rc > 0 && watching()) {
    dropMappings(record);
    for (let run = table.runs + <usize>table.runCount * SG_RUN_SIZE; run > table.runs; ) {
      run -= SG_RUN_SIZE;
      const piece = changetype<SgRun>(run);
      const phys = (<u64>piece.pfn << PAGE_SHIFT) + piece.offset;
      const mapping = mappingAdd(dev, phys, piece.length, dir, attrs, sgDma(table), true);
      if (mapping == 0) continue;
      changetype<Mapping>(mapping).listNext = record.mappings;
      record.mappings = mapping;
    }
  }
  settle(before);
  return rc;
}

// @ts-ignore: decorator
@inline
function sgDma(table: SgTable): u64 {
  return sgDmaSegmentAddress(table, 0);
}

/** Segment i of a mapped list: sg_dma_address, sg_dma_len. */
export function gd_sg_address(sgl: usize, i: u32): u64 {
  return <u64>(<i64>sgDmaSegmentAddress(changetype<SgTable>(changetype<SglRecord>(find(sgl)).table), i));
}

export function gd_sg_length(sgl: usize, i: u32): u32 {
  return <u32>sgDmaSegmentLength(changetype<SgTable>(changetype<SglRecord>(find(sgl)).table), i);
}

/** dma_unmap_sg_attrs. @returns whether the list was ever mapped */
export function gd_sg_unmap(dev: DmaDevice, sgl: usize, n: u32, dir: u32, attrs: u32): bool {
  const at = find(sgl);
  if (at == 0 || changetype<SglRecord>(at).table == 0) return false;
  const record = changetype<SglRecord>(at);
  const before = findings();
  dropMappings(record);
  dmaUnmapSg(dev, changetype<SgTable>(record.table), n, dir, attrs);
  settle(before);
  return true;
}

/** dma_sync_sg_for_cpu and dma_sync_sg_for_device. @returns whether the list was ever mapped */
export function gd_sg_sync(dev: DmaDevice, sgl: usize, n: u32, dir: u32, forDevice: bool): bool {
  const at = find(sgl);
  if (at == 0 || changetype<SglRecord>(at).table == 0) return false;
  const record = changetype<SglRecord>(at);
  const before = findings();
  for (let each = record.mappings; each != 0; each = changetype<Mapping>(each).listNext) {
    const mapping = changetype<Mapping>(each);
    if (forDevice) mappingGive(mapping, 0, mapping.length);
    else mappingTake(mapping, 0, mapping.length);
  }
  dmaSyncSg(dev, changetype<SgTable>(record.table), n, dir, forDevice);
  settle(before);
  return true;
}

/** A list's memory goes away: what is still mapped from it can never be unmapped. */
export function gd_sg_gone(sgl: usize): void {
  let link = slotOf(sgl);
  for (let at: usize = load<u32>(link); at != 0; at = load<u32>(link)) {
    const record = changetype<SglRecord>(at);
    if (record.sgl != sgl) {
      link = at + offsetof<SglRecord>('next');
      continue;
    }
    const before = findings();
    dropMappings(record);
    if (record.table != 0) debugSgDestroy(changetype<SgTable>(record.table));
    record.table = 0;
    settle(before);
    return;
  }
}
