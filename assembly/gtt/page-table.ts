// Tables of a PPGTT: a page of RAM that the device reads, and beside it, for a directory, which table each entry leads to.
//
//   level 1        page table           entries lead to pages
//   level 2        page directory       entries lead to page tables
//   level 3        PDP table            (gen8; with 4 GiB of address space it is four registers, not a page)
//   level 4        PML4                 (48 bits only)
//
// The CPU side follows handles, as the kernel follows its structs; the device's walk (translate.ts) reads the pages.

import { PAGE_SIZE } from '../ram/ram';
import { ENOMEM } from '../memory/errno';
import { Context } from '../memory/context';
import { fieldOf } from '../memory/record';
import { slabAllocBytes, slabAllocZeroed, slabCacheAt, slabFree, slabFreeBytes } from '../memory/slab';
import { DmaDevice } from '../device/device';
import { DevicePage, devicePageDrop, devicePageMake } from './device-page';
import { Gtt, gttOf } from './state';
import { isWide, pdeEncode } from './pte';

export const TABLE_BYTES: usize = PAGE_SIZE;

/** The record begins with its page. A directory without a page (in registers, in the GGTT) has only `bytes` set. */
// @ts-ignore: decorator
@unmanaged
export class PageTable extends DevicePage {
  /** Directories: a u32 handle for each entry, 0 for none. */
  children: usize;
  level: u32;
  /** The directory above and the entry that leads here. */
  above: PageTable | null;
  index: u32;
  /** While a range is being allocated: the table made before this one, for undoing. */
  made: PageTable | null;
}

/** Address bits below the index of a level. */
// @ts-ignore: decorator
@inline
export function levelShift(platform: u32, level: u32): u32 {
  return isWide(platform) ? 3 + 9 * level : 2 + 10 * level;
}

/** Entries of a table of a level: gen6 has 1,024 in a page table and 512 in the directory, gen8 512 everywhere. */
// @ts-ignore: decorator
@inline
export function levelEntries(platform: u32, level: u32): u32 {
  return isWide(platform) || level == 2 ? 512 : 1024;
}

/**
 * Makes a table, mapped for the device, with its entries undefined.
 * @returns the table, or null without memory
 */
export function tableMake(device: DmaDevice, level: u32): PageTable | null {
  const ctx = device.ctx;
  const table = recordMake(ctx, level);
  if (table == null) return null;
  if (devicePageMake(device, table, false) == ENOMEM) {
    recordDrop(ctx, table);
    return null;
  }
  return table;
}

/** The record of a table without its page, null without memory. */
export function recordMake(ctx: Context, level: u32): PageTable | null {
  const tables = slabCacheAt<PageTable>(ctx, fieldOf(gttOf(ctx), offsetof<Gtt>('tableCache')), offsetof<PageTable>());
  const children = slabCacheAt<usize>(ctx, fieldOf(gttOf(ctx), offsetof<Gtt>('childrenCache')), 2048);
  const table: PageTable | null = tables == null || children == null ? null : slabAllocZeroed(tables);
  if (table == null) return null;
  table.level = level;
  if (level > 1) {
    table.children = slabAllocBytes(children!);
    if (table.children == 0) {
      slabFree<PageTable>(tables!, table);
      return null;
    }
    memory.fill(table.children, 0, 2048);
  }
  return table;
}

export function recordDrop(ctx: Context, table: PageTable): void {
  const state = gttOf(ctx);
  if (table.children != 0) slabFreeBytes(state.childrenCache!, table.children);
  slabFree(state.tableCache!, table);
}

/** Unmaps and frees a table's page, and its record. */
export function tableDrop(device: DmaDevice, table: PageTable): void {
  devicePageDrop(device, table);
  recordDrop(device.ctx, table);
}

/** The table that an entry of a directory leads to, null for none. */
// @ts-ignore: decorator
@inline
export function childAt(directory: PageTable, index: u32): PageTable | null {
  return changetype<PageTable | null>(load<u32>(directory.children + (<usize>index << 2)));
}

/** Writes a directory's entry. A directory that is registers holds bare addresses. */
export function directoryPut(directory: PageTable, platform: u32, index: u32, address: u64, registers: bool): void {
  if (!isWide(platform)) store<u32>(directory.bytes + (<usize>index << 2), <u32>pdeEncode(platform, address));
  else store<u64>(directory.bytes + (<usize>index << 3), registers ? address : pdeEncode(platform, address));
}
