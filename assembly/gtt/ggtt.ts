// The global GTT: one flat array of entries in the device's own memory, the upper half of BAR 0, shared by
// all contexts. The CPU accesses its mappable part through BAR 2.
//
//   0                          mappable end                         total - 4 KiB   total
//   |  aperture: fences, CPU   |  GPU only                          | guard page    |
//
// The last page is never allocated and leads to the scratch page, since the GPU prefetches past the end of what it reads.

import { PAGE_MASK, PAGE_SHIFT, PAGE_SIZE } from '../ram/ram';
import { EINVAL, ENOMEM, Made } from '../memory/errno';
import { blockAlloc, blockFree, blockOrder } from '../memory/block';
import { FAULT_GTT } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { addressOf, fieldOf, unlinkRecord } from '../memory/record';
import { slabAllocZeroed, slabCacheAt, slabFree } from '../memory/slab';
import { DmaDevice } from '../device/device';
import { SgTable } from '../sg/sg-table';
import { devicePageDrop, devicePageMake } from './device-page';
import { mmCreate, mmDestroy } from './drm-mm';
import { Mm } from './drm-mm-node';
import { entriesFill, entriesPut } from './fill';
import { Gtt, gttOf, gttState } from './state';
import { CACHE_LLC, PLATFORMS, entryShift, pteEncode, pteFlags } from './pte';
import { GpuVm, VM_GGTT, checkRange, scratchPage, sourceRange, sourceTable } from './vm';

/** Bytes at the end that are never allocated. */
const GUARD: u64 = PAGE_SIZE;

// @ts-ignore: decorator
@unmanaged
export class Ggtt extends GpuVm {
  /** The entries, total / 4 KiB of them. */
  table: usize;
  /** Bytes that the CPU reaches through the aperture. */
  mappable: u64;
}

export function ggttSlot(ggtt: Ggtt, address: u64): usize {
  return ggtt.table + (<usize>(address >> PAGE_SHIFT) << entryShift(ggtt.platform));
}

/**
 * Makes a device's global GTT, with all entries on a scratch page of its own.
 * @param platform PLATFORM_*, which decides what entries look like
 * @param total bytes of address space, a multiple of 4 KiB, at most 4 GiB
 * @param mappable bytes of aperture, at most `total`
 * @param flavour and `colorRule` of its range manager, see mmCreate
 * @returns its handle; -EINVAL, -ENOMEM
 */
export function ggttCreate(
  device: DmaDevice, platform: u32, total: u64, mappable: u64, flavour: u32, colorRule: u32,
): Made<Ggtt> {
  if (platform >= PLATFORMS || total < 2 * PAGE_SIZE || total > 4294967296 || (total & PAGE_MASK) != 0) return EINVAL;
  if (mappable > total) return EINVAL;
  const ctx = device.ctx;
  const state = gttState(ctx);
  if (state == null || shouldFail(ctx, FAULT_GTT)) return ENOMEM;
  const cache = slabCacheAt<Ggtt>(ctx, fieldOf(gttOf(ctx), offsetof<Gtt>('ggttCache')), offsetof<Ggtt>());
  const ggtt: Ggtt | null = cache == null ? null : slabAllocZeroed(cache);
  if (ggtt == null) return ENOMEM;
  ggtt.ctx = ctx;
  ggtt.kind = VM_GGTT;
  ggtt.platform = platform;
  ggtt.device = device;
  ggtt.total = total;
  ggtt.mappable = mappable;
  const count = <u32>(ggtt.total >> PAGE_SHIFT);
  ggtt.table = blockAlloc(ctx, blockOrder(<usize>count << entryShift(platform)));
  const mm = ggtt.table == 0 ? ENOMEM : mmCreate(ctx, 0, total - GUARD, flavour, colorRule);
  const rc = mm < 0 ? mm : devicePageMake(device, scratchPage(ggtt), true);
  if (rc < 0) {
    if (mm > 0) mmDestroy(changetype<Mm>(mm));
    if (ggtt.table != 0) blockFree(ctx, ggtt.table);
    slabFree<Ggtt>(state.ggttCache!, ggtt);
    return rc;
  }
  ggtt.mm = changetype<Mm>(mm);
  ggtt.scratchEntry = pteEncode(platform, ggtt.scratchAddress, pteFlags(platform, CACHE_LLC, 0));
  entriesFill(ggtt.table, platform, ggtt.scratchEntry, count);
  ggtt.next = state.ggtts;
  state.ggtts = ggtt;
  return <i32>addressOf(ggtt);
}

/** Frees a global GTT, its manager and its scratch page. PPGTTs that use it must be freed before. */
export function ggttDestroy(ggtt: Ggtt): void {
  const ctx = ggtt.ctx;
  const state = gttOf(ctx);
  mmDestroy(ggtt.mm!);
  devicePageDrop(ggtt.device, scratchPage(ggtt));
  blockFree(ctx, ggtt.table);
  unlinkRecord(fieldOf(state, offsetof<Gtt>('ggtts')), addressOf(ggtt), offsetof<GpuVm>('next'));
  slabFree(state.ggttCache!, ggtt);
}

function put(ggtt: Ggtt, start: u64, count: i32): i32 {
  if (count < 0) return count;
  const rc = checkRange(start, count, ggtt.total - GUARD);
  if (rc < 0) return rc;
  entriesPut(ggttSlot(ggtt, start), ggtt, 0, count);
  return count;
}

/**
 * Writes the entries of a mapped table from `start` on (ggtt insert_entries).
 * @param level CACHE_*
 * @param flags PTE_READ_ONLY or 0
 * @returns entries written; -EINVAL for a table that is not mapped or a start inside a page, -ERANGE past the end: then
 *   nothing is written
 */
export function ggttInsert(ggtt: Ggtt, start: u64, sgt: SgTable, level: u32, flags: u32): i32 {
  return put(ggtt, start, sourceTable(ggtt, sgt, 0, 0, level, flags));
}

/**
 * The same for a view of a table built from whole pages.
 * @param pages offset of `count` u32: which page of the table each entry shows
 */
export function ggttInsertPages(
  ggtt: Ggtt, start: u64, sgt: SgTable, pages: usize, count: u32, level: u32, flags: u32,
): i32 {
  return put(ggtt, start, sourceTable(ggtt, sgt, pages, count, level, flags));
}

/** The same for `count` pages at ascending DMA addresses from `address` on. */
export function ggttInsertRange(ggtt: Ggtt, start: u64, address: u64, count: u32, level: u32, flags: u32): i32 {
  const rc = sourceRange(ggtt, address, level, flags);
  return put(ggtt, start, rc < 0 ? rc : <i32>count);
}

/** Puts `count` entries back on the scratch page (ggtt clear_range). Returns 0, -EINVAL or -ERANGE. */
export function ggttClear(ggtt: Ggtt, start: u64, count: u32): i32 {
  const rc = checkRange(start, count, ggtt.total);
  if (rc < 0) return rc;
  entriesFill(ggttSlot(ggtt, start), ggtt.platform, ggtt.scratchEntry, count);
  return 0;
}

/** A raw entry by its number, which is one of the table's. */
export function ggttEntry(ggtt: Ggtt, index: u32): u64 {
  const at = ggttSlot(ggtt, <u64>index << PAGE_SHIFT);
  return entryShift(ggtt.platform) == 3 ? load<u64>(at) : <u64>load<u32>(at);
}
