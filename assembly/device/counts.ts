// Mappings per device: dma_map_* calls that succeeded, dma_unmap_* calls, and the pages of both. They are always counted.
// In the threads build each CPU has a row of its own behind the record; rows are so far apart that no two share a cache
// line, whatever the record's alignment.
//
//   +0 u32 maps   +4 u32 unmaps   +8 u64 pages mapped   +16 u64 pages unmapped

import { Context } from '../memory/context';
import { currentCpu } from '../memory/cpu';
import { fieldOf } from '../memory/record';
import { DmaDevice } from './device';

const ROW_SIZE: usize = 128;
const ROWS: usize = (offsetof<DmaDevice>() + 127) & ~127;

function rowCount(ctx: Context): u32 {
  return ASC_FEATURE_THREADS ? ctx.cpuCount : 1;
}

/** Bytes of a device's record with the rows behind it. */
export function deviceSize(ctx: Context): usize {
  return ROWS + <usize>rowCount(ctx) * ROW_SIZE;
}

// @ts-ignore: decorator
@inline
function row(dev: DmaDevice, cpu: u32): usize {
  return fieldOf(dev, ROWS) + (ASC_FEATURE_THREADS ? <usize>cpu * ROW_SIZE : 0);
}

/** Counts pages that were linked; the reservation was counted as a mapping. */
// @ts-ignore: decorator
@inline
export function countLinked(dev: DmaDevice, pages: u64): void {
  const at = row(dev, currentCpu());
  store<u64>(at, load<u64>(at, 8) + pages, 8);
}

/** Counts pages that were unlinked. */
// @ts-ignore: decorator
@inline
export function countUnlinked(dev: DmaDevice, pages: u64): void {
  const at = row(dev, currentCpu());
  store<u64>(at, load<u64>(at, 16) + pages, 16);
}

/** Counts a mapping that was made. */
// @ts-ignore: decorator
@inline
export function countMapped(dev: DmaDevice, pages: u64): void {
  const at = row(dev, currentCpu());
  store<u32>(at, load<u32>(at) + 1);
  store<u64>(at, load<u64>(at, 8) + pages, 8);
}

/** Counts an unmap call. */
// @ts-ignore: decorator
@inline
export function countUnmapped(dev: DmaDevice, pages: u64): void {
  const at = row(dev, currentCpu());
  store<u32>(at, load<u32>(at, 4) + 1, 4);
  store<u64>(at, load<u64>(at, 16) + pages, 16);
}

/** Map calls that succeeded, a list counted once, and reservations. */
export function deviceMaps(dev: DmaDevice): u32 {
  let count: u32 = 0;
  for (let cpu = rowCount(dev.ctx); cpu-- > 0; ) count += load<u32>(row(dev, cpu), 0);
  return count;
}

/** Unmap calls, and reservations that were freed. */
export function deviceUnmaps(dev: DmaDevice): u32 {
  let count: u32 = 0;
  for (let cpu = rowCount(dev.ctx); cpu-- > 0; ) count += load<u32>(row(dev, cpu), 4);
  return count;
}

/** Pages over all map calls that succeeded. */
export function devicePagesMapped(dev: DmaDevice): u64 {
  let pages: u64 = 0;
  for (let cpu = rowCount(dev.ctx); cpu-- > 0; ) pages += load<u64>(row(dev, cpu), 8);
  return pages;
}

/** Pages over all unmap calls. */
export function devicePagesUnmapped(dev: DmaDevice): u64 {
  let pages: u64 = 0;
  for (let cpu = rowCount(dev.ctx); cpu-- > 0; ) pages += load<u64>(row(dev, cpu), 16);
  return pages;
}
