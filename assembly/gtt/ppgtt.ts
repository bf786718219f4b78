// A context's own address space (per-process GTT), in the three shapes that i915 had:
//
//   gen6, gen7     2 GiB    the directory is 512 entries in the global GTT's table, each leads to a page table of 1,024
//   gen8, 32 bits  4 GiB    four registers lead to page directories of 512, these to page tables of 512
//   gen8, 48 bits  256 TiB  one register leads to a PML4, then PDP tables, directories, page tables, 512 entries each
//
// Tables are made when a range is allocated and are freed with the address space: unbinding only points entries to the scratch page.
// Ranges that were never allocated lead to scratch tables, whose entries lead to the scratch page, so that the GPU can read
// anywhere. Linux 4.1 made all tables of gen8 at once (PPGTT_PREALLOCATE): 2,048 page tables and four
// directories, 2,052 mappings for each context.

import { PAGE_MASK, PAGE_SHIFT, PAGE_SIZE } from '../ram/ram';
import { EBUSY, EINVAL, ENOMEM, ERANGE, Made } from '../memory/errno';
import { FAULT_GTT } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { addressOf, fieldOf, unlinkRecord } from '../memory/record';
import { slabAllocZeroed, slabCacheAt, slabFree } from '../memory/slab';
import { SgTable } from '../sg/sg-table';
import { devicePageDrop, devicePageMake } from './device-page';
import { MM_HIGH, MM_SEARCH_BELOW, MM_TOP, mmCreate, mmDestroy, mmInsert, mmRemove } from './drm-mm';
import { MM_MODERN, Mm, MmNode } from './drm-mm-node';
import { entriesFill, entriesPut } from './fill';
import { Ggtt, ggttSlot } from './ggtt';
import { Gtt, gttOf } from './state';
import {
  PageTable, childAt, directoryPut, levelEntries, levelShift, recordDrop, recordMake, tableDrop, tableMake,
} from './page-table';
import { CACHE_LLC, entryShift, isWide, pdeEncode, pteEncode, pteFlags } from './pte';
import { GpuVm, VM_PPGTT, checkRange, scratchPage, sourceRange, sourceTable } from './vm';

/** Shapes. */
export const PPGTT_GEN6: u32 = 2; // levels of tables
export const PPGTT_GEN8: u32 = 3;
export const PPGTT_GEN8_48BIT: u32 = 4;

/** All page tables are made at once, as Linux 4.1 did on gen8 (PPGTT_GEN8 only). */
export const PPGTT_PREALLOCATE: u32 = 1;
/** A scratch page of its own instead of the global one (Linux 4.3 and later). */
export const PPGTT_OWN_SCRATCH: u32 = 2;

/** Space of a gen6 directory in the global GTT, and its alignment (GEN6_PD_SIZE, GEN6_PD_ALIGN). */
const GEN6_PD_SIZE: u64 = 512 * PAGE_SIZE;
const GEN6_PD_ALIGN: u64 = 65536;

// @ts-ignore: decorator
@unmanaged
export class Ppgtt extends GpuVm {
  ggtt: Ggtt;
  flags: u32;
  levels: u32;
  /** The uppermost directory. */
  root: PageTable | null;
  /** Tables in use: the root where it is a page, those below; scratch tables not counted. */
  tables: u32;
  /** gen6: the node that keeps the directory's place in the global GTT. */
  node: MmNode | null;
  /** The scratch tables of level 1, 2 and 3; null where no table can be missing. */
  scratch1: PageTable | null;
  scratch2: PageTable | null;
  scratch3: PageTable | null;
  /** gen8, 32 bits: the four PDP registers. gen8, 48 bits: the first one, with the PML4's address. */
  registers0: u64;
  registers1: u64;
  registers2: u64;
  registers3: u64;
}

export const REGISTERS: usize = offsetof<Ppgtt>('registers0');

// @ts-ignore: decorator
@inline
function scratchSlot(ppgtt: Ppgtt, level: u32): usize {
  return changetype<usize>(ppgtt) + offsetof<Ppgtt>('scratch1') + (<usize>(level - 1) << 2);
}

/** The scratch table of a level, or null. */
export function scratchTable(ppgtt: Ppgtt, level: u32): PageTable | null {
  return changetype<PageTable | null>(load<u32>(scratchSlot(ppgtt, level)));
}

// @ts-ignore: decorator
@inline
function rootIsRegisters(ppgtt: Ppgtt): bool {
  return ppgtt.levels == PPGTT_GEN8;
}

/**
 * Makes an address space on the global GTT's device and platform, with its own range manager over all of it.
 * @param levels PPGTT_GEN6, PPGTT_GEN8 or PPGTT_GEN8_48BIT
 * @param total bytes of address space, 0 for all that the tables can hold (a 32-bit kernel has less)
 * @param flags PPGTT_PREALLOCATE, PPGTT_OWN_SCRATCH
 * @param flavour of the range manager, see mmCreate
 * @returns its handle; -ENOSPC when the global GTT has no room for a gen6 directory (evict and try again), -EINVAL for a
 *   shape that the platform does not have, -ENOMEM. Nothing is left behind on failure.
 */
export function ppgttCreate(ggtt: Ggtt, levels: u32, total: u64, flags: u32, flavour: u32): Made<Ppgtt> {
  const ctx = ggtt.ctx;
  const wide = isWide(ggtt.platform);
  if (levels < PPGTT_GEN6 || levels > PPGTT_GEN8_48BIT || wide != (levels != PPGTT_GEN6)) return EINVAL;
  if ((flags & PPGTT_PREALLOCATE) != 0 && levels != PPGTT_GEN8) return EINVAL;
  const whole: u64 = levels == PPGTT_GEN6 ? 1 << 31 : levels == PPGTT_GEN8 ? <u64>1 << 32 : <u64>1 << 48;
  if (total > whole || (total & PAGE_MASK) != 0) return EINVAL;
  const state = gttOf(ctx);
  if (shouldFail(ctx, FAULT_GTT)) return ENOMEM;
  const cache = slabCacheAt<Ppgtt>(ctx, fieldOf(gttOf(ctx), offsetof<Gtt>('ppgttCache')), offsetof<Ppgtt>());
  const ppgtt: Ppgtt | null = cache == null ? null : slabAllocZeroed(cache);
  if (ppgtt == null) return ENOMEM;
  ppgtt.ctx = ctx;
  ppgtt.kind = VM_PPGTT;
  ppgtt.platform = ggtt.platform;
  ppgtt.device = ggtt.device;
  ppgtt.ggtt = ggtt;
  ppgtt.levels = levels;
  ppgtt.flags = flags;
  ppgtt.total = total == 0 ? whole : total;
  const rc = build(ppgtt, ggtt, flavour);
  if (rc < 0) {
    release(ppgtt);
    return rc;
  }
  ppgtt.next = state.ppgtts;
  state.ppgtts = ppgtt;
  return <i32>addressOf(ppgtt);
}

function build(ppgtt: Ppgtt, ggtt: Ggtt, flavour: u32): i32 {
  const ctx = ppgtt.ctx;
  const mm = mmCreate(ctx, 0, ppgtt.total, flavour, 0);
  if (mm < 0) return mm;
  ppgtt.mm = changetype<Mm>(mm);
  if ((ppgtt.flags & PPGTT_OWN_SCRATCH) != 0) {
    if (devicePageMake(ppgtt.device, scratchPage(ppgtt), true) < 0) return ENOMEM;
  } else {
    ppgtt.scratchAddress = ggtt.scratchAddress;
  }
  const platform = ppgtt.platform;
  ppgtt.scratchEntry = pteEncode(platform, ppgtt.scratchAddress, pteFlags(platform, CACHE_LLC, 0));
  const top = ppgtt.levels;
  if ((ppgtt.flags & PPGTT_PREALLOCATE) == 0) {
    for (let level: u32 = 1; level < top; ++level) {
      const scratch = tableMake(ppgtt.device, level);
      if (scratch == null) return ENOMEM;
      tableInit(ppgtt, scratch, level);
      store<u32>(scratchSlot(ppgtt, level), <u32>addressOf(scratch));
    }
  }
  if (top == PPGTT_GEN8_48BIT) {
    ppgtt.root = tableMake(ppgtt.device, top);
    if (ppgtt.root == null) return ENOMEM;
    ++ppgtt.tables;
    tableInit(ppgtt, ppgtt.root!, top);
    ppgtt.registers0 = ppgtt.root!.address;
    return 0;
  }
  const root = recordMake(ctx, top);
  if (root == null) return ENOMEM;
  ppgtt.root = root;
  if (top == PPGTT_GEN8) {
    root.bytes = fieldOf(ppgtt, REGISTERS);
    if ((ppgtt.flags & PPGTT_PREALLOCATE) != 0) return allocRange(ppgtt, 0, ppgtt.total);
    for (let i: u32 = 0; i < 4; ++i) {
      directoryPut(root, platform, i, ppgtt.scratch2!.address, true);
    }
    return 0;
  }
  const mode = ggtt.mm!.flavour == MM_MODERN ? MM_HIGH : MM_SEARCH_BELOW | MM_TOP;
  const node = mmInsert(ggtt.mm!, GEN6_PD_SIZE, GEN6_PD_ALIGN, 0, 0, ggtt.total, mode);
  if (node < 0) return node;
  ppgtt.node = changetype<MmNode>(node);
  root.bytes = ggttSlot(ggtt, changetype<MmNode>(node).start);
  tableInit(ppgtt, root, 2);
  return 0;
}

/** Fills a table of a level with unused entries. */
function tableInit(ppgtt: Ppgtt, table: PageTable, level: u32): void {
  const platform = ppgtt.platform;
  if (level == 1) {
    entriesFill(table.bytes, platform, ppgtt.scratchEntry, levelEntries(platform, 1));
    return;
  }
  // With everything preallocated nothing is missing, and entries are written as the tables come.
  const below = scratchTable(ppgtt, level - 1);
  if (below == null) return;
  const entry = pdeEncode(platform, below.address);
  entriesFill(table.bytes, platform, entry, levelEntries(platform, level));
}

/** Frees all records of an address space, even if it is incomplete. */
function release(ppgtt: Ppgtt): void {
  const ctx = ppgtt.ctx;
  const state = gttOf(ctx);
  if (ppgtt.root != null) {
    dropBelow(ppgtt, ppgtt.root!);
    if (ppgtt.levels == PPGTT_GEN8_48BIT) tableDrop(ppgtt.device, ppgtt.root!);
    else recordDrop(ctx, ppgtt.root!);
  }
  for (let level: u32 = 1; level < ppgtt.levels; ++level) {
    const scratch = scratchTable(ppgtt, level);
    if (scratch != null) tableDrop(ppgtt.device, scratch);
  }
  if (ppgtt.node != null) {
    const ggtt = ppgtt.ggtt;
    const start = ppgtt.node!.start;
    entriesFill(ggttSlot(ggtt, start), ggtt.platform, ggtt.scratchEntry, <u32>(GEN6_PD_SIZE >> PAGE_SHIFT));
    mmRemove(ppgtt.node!);
  }
  if (ppgtt.scratchBytes != 0) devicePageDrop(ppgtt.device, scratchPage(ppgtt));
  if (ppgtt.mm != null) mmDestroy(ppgtt.mm!);
  slabFree(state.ppgttCache!, ppgtt);
}

function dropBelow(ppgtt: Ppgtt, directory: PageTable): void {
  for (let i: u32 = 0; i < 512; ++i) {
    const table = childAt(directory, i);
    if (table == null) continue;
    if (directory.level > 2) dropBelow(ppgtt, table);
    tableDrop(ppgtt.device, table);
    --ppgtt.tables;
  }
}

/**
 * Unmaps and frees all tables, and the remaining nodes of the range manager.
 * @returns 0, or -EBUSY while the global GTT is being scanned for eviction (gen6, whose directory lies there)
 */
export function ppgttDestroy(ppgtt: Ppgtt): i32 {
  const state = gttOf(ppgtt.ctx);
  const scanned = ppgtt.ggtt.mm!.scanActive != 0;
  if (ppgtt.node != null && scanned) return EBUSY;
  unlinkRecord(fieldOf(state, offsetof<Gtt>('ppgtts')), addressOf(ppgtt), offsetof<GpuVm>('next'));
  release(ppgtt);
  return 0;
}

// ---- tables for a range

/** Page table that covers an address, null where there is none. */
function leafOf(ppgtt: Ppgtt, address: u64): PageTable | null {
  let at = ppgtt.root;
  for (let level = ppgtt.levels; level > 1; --level) {
    const index = <u32>(address >> levelShift(ppgtt.platform, level)) & 511;
    at = childAt(at!, index);
    if (at == null) return null;
  }
  return at;
}

/**
 * Makes the tables that a range lacks (alloc_va_range). Ranges may overlap what is there.
 * @param length bytes
 * @returns tables made; -ERANGE for a range that leaves the address space, -ENOMEM with none of them made
 */
export function ppgttAllocRange(ppgtt: Ppgtt, start: u64, length: u64): i32 {
  if (start > ppgtt.total || length > ppgtt.total - start) return ERANGE;
  const before = ppgtt.tables;
  const rc = allocRange(ppgtt, start, length);
  return rc < 0 ? rc : <i32>(ppgtt.tables - before);
}

function allocRange(ppgtt: Ppgtt, start: u64, length: u64): i32 {
  const platform = ppgtt.platform;
  const span = <u64>1 << levelShift(platform, 2);
  const end = start + length;
  let made: PageTable | null = null;
  for (let address = start & ~(span - 1); address < end; address += span) {
    let at = ppgtt.root;
    for (let level = ppgtt.levels; level > 1; --level) {
      const directory = at!;
      const index = <u32>(address >> levelShift(platform, level)) & 511;
      at = childAt(directory, index);
      if (at != null) continue;
      at = tableMake(ppgtt.device, level - 1);
      if (at == null) {
        undo(ppgtt, made);
        return ENOMEM;
      }
      const table = at;
      tableInit(ppgtt, table, level - 1);
      table.above = directory;
      table.index = index;
      table.made = made;
      made = at;
      store<u32>(directory.children + (<usize>index << 2), <u32>addressOf(at));
      directoryPut(directory, platform, index, table.address, level == ppgtt.levels && rootIsRegisters(ppgtt));
      ++ppgtt.tables;
    }
  }
  return 0;
}

/** Frees tables that a failed call has made, the newest first, so that each is empty when it is freed. */
function undo(ppgtt: Ppgtt, made: PageTable | null): void {
  while (made != null) {
    const table = made;
    const directory = table.above!;
    store<u32>(directory.children + (<usize>table.index << 2), 0);
    const scratch = scratchTable(ppgtt, table.level);
    const registers = directory.level == ppgtt.levels && rootIsRegisters(ppgtt);
    if (scratch != null) directoryPut(directory, ppgtt.platform, table.index, scratch.address, registers);
    const next = table.made;
    tableDrop(ppgtt.device, made);
    --ppgtt.tables;
    made = next;
  }
}

// ---- entries

/** Whether all page tables of a range exist. */
function covered(ppgtt: Ppgtt, start: u64, count: u64): bool {
  const span = <u64>1 << levelShift(ppgtt.platform, 2);
  const end = start + (count << PAGE_SHIFT);
  for (let address = start & ~(span - 1); address < end; address += span) {
    if (leafOf(ppgtt, address) == null) return false;
  }
  return true;
}

function put(ppgtt: Ppgtt, start: u64, count: i32): i32 {
  if (count < 0) return count;
  const rc = checkRange(start, count, ppgtt.total);
  if (rc < 0) return rc;
  let address = start;
  if (!covered(ppgtt, address, count)) return EINVAL;
  const platform = ppgtt.platform;
  const entries = levelEntries(platform, 1);
  let done: u32 = 0;
  while (done < <u32>count) {
    const index = <u32>(address >> PAGE_SHIFT) & (entries - 1);
    const part = min(<u32>count - done, entries - index);
    const leaf = leafOf(ppgtt, address)!;
    entriesPut(leaf.bytes + (<usize>index << entryShift(platform)), ppgtt, done, part);
    address += <u64>part << PAGE_SHIFT;
    done += part;
  }
  return count;
}

/**
 * Writes the entries of a mapped table from `start` on (ppgtt insert_entries).
 * @returns entries written; -EINVAL for a table that is not mapped, a start inside a page or a range without page tables,
 *   -ERANGE past the end: then nothing is written
 */
export function ppgttInsert(ppgtt: Ppgtt, start: u64, sgt: SgTable, level: u32, flags: u32): i32 {
  return put(ppgtt, start, sourceTable(ppgtt, sgt, 0, 0, level, flags));
}

/** The same for `count` pages at ascending DMA addresses from `address` on. */
export function ppgttInsertRange(ppgtt: Ppgtt, start: u64, address: u64, count: u32, level: u32, flags: u32): i32 {
  const rc = sourceRange(ppgtt, address, level, flags);
  return put(ppgtt, start, rc < 0 ? rc : <i32>count);
}

/**
 * Points `count` entries to the scratch page (clear_range); without a page table they do already.
 * @returns 0, -EINVAL or -ERANGE
 */
export function ppgttClear(ppgtt: Ppgtt, start: u64, count: u32): i32 {
  const rc = checkRange(start, count, ppgtt.total);
  if (rc < 0) return rc;
  const platform = ppgtt.platform;
  const entries = levelEntries(platform, 1);
  let address = start;
  let left = count;
  while (left != 0) {
    const index = <u32>(address >> PAGE_SHIFT) & (entries - 1);
    const part = min(left, entries - index);
    const leaf = leafOf(ppgtt, address);
    if (leaf != null) {
      const at = leaf.bytes + (<usize>index << entryShift(platform));
      entriesFill(at, platform, ppgtt.scratchEntry, part);
    }
    address += <u64>part << PAGE_SHIFT;
    left -= part;
  }
  return 0;
}

/** The raw entry for an address as the CPU sees it, the scratch entry where there is no page table. */
export function ppgttEntry(ppgtt: Ppgtt, address: u64): u64 {
  const leaf = leafOf(ppgtt, address);
  if (leaf == null) return ppgtt.scratchEntry;
  const index = <u32>(address >> PAGE_SHIFT) & (levelEntries(ppgtt.platform, 1) - 1);
  const at = leaf.bytes + (<usize>index << entryShift(ppgtt.platform));
  return isWide(ppgtt.platform) ? load<u64>(at) : <u64>load<u32>(at);
}

/** Table pages in use, scratch tables not counted. */
export function ppgttTables(ppgtt: Ppgtt): u32 {
  return ppgtt.tables;
}

/** Pages of an address space that are mapped for the device: tables, scratch tables, a scratch page of its own. */
export function ppgttPages(ppgtt: Ppgtt): u32 {
  let count = ppgtt.tables + (ppgtt.scratchBytes != 0 ? 1 : 0);
  for (let level: u32 = 1; level < ppgtt.levels; ++level) count += scratchTable(ppgtt, level) != null ? 1 : 0;
  return count;
}

/** gen8: a PDP register; gen6: the directory's byte offset in the global GTT's table (PP_DIR_BASE), whatever `index` is. */
export function ppgttRegister(ppgtt: Ppgtt, index: u32): u64 {
  if (ppgtt.levels == PPGTT_GEN6) {
    return ppgtt.root!.bytes - ppgtt.ggtt.table;
  }
  return load<u64>(fieldOf(ppgtt, REGISTERS) + (<usize>(index & 3) << 3));
}
