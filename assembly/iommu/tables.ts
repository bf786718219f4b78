// Table pages: pages of linear memory for a unit's tables. Each CPU keeps some free ones for reuse.
//
// Linear memory is at TABLE_WINDOW in the device's physical address space. The window starts at a multiple of 4 GiB, so that the
// low 32 bits of a pointer in a table are the offset of the next table.

import { blockAlloc, blockFree } from '../memory/block';
import { Context, FAULT_PAGE_TABLE, cpuAt, cpuOf } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { PAGE_SIZE } from '../ram/ram';
import { Iommu } from './unit';

/** Physical address of linear memory for devices: 64 TiB, above all RAM of a machine. */
export const TABLE_WINDOW: u64 = 1 << 46;
export const TABLE_SIZE: usize = PAGE_SIZE;
/** Most free table pages that a CPU keeps; others are returned to the block allocator. */
const POOL_MAX: u32 = 256;

/** A table page with undefined contents; 0 without memory or by an injected fault. */
export function tableAlloc(unit: Iommu): usize {
  const ctx = unit.ctx;
  if (shouldFail(ctx, FAULT_PAGE_TABLE)) return 0;
  const cpu = cpuOf(ctx);
  let table = cpu.freeTables;
  if (table != 0) {
    cpu.freeTables = load<u32>(table);
    --cpu.pooledUnits;
  } else {
    table = blockAlloc(ctx, 0);
    if (table == 0) return 0;
  }
  ++cpu.tablePages;
  return table;
}

export function tableAllocZeroed(unit: Iommu): usize {
  const table = tableAlloc(unit);
  if (table != 0) memory.fill(table, 0, TABLE_SIZE);
  return table;
}

/** Frees a table page. It is not cleared: tableAlloc's callers clear what they do not fill. */
export function tableFree(unit: Iommu, table: usize): void {
  const ctx = unit.ctx;
  const cpu = cpuOf(ctx);
  --cpu.tablePages;
  if (cpu.pooledUnits < POOL_MAX) {
    store<u32>(table, <u32>cpu.freeTables);
    cpu.freeTables = table;
    ++cpu.pooledUnits;
  } else blockFree(ctx, table);
}

/** Table pages in use: all domains' and the device table's. */
export function tablePages(ctx: Context): u32 {
  let pages: u32 = 0;
  for (let i: u32 = 0; i < ctx.cpuCount; ++i) pages += cpuAt(ctx, i).tablePages;
  return pages;
}

/** Free table pages that all CPUs keep. */
export function tablesPooled(ctx: Context): u32 {
  let pages: u32 = 0;
  for (let i: u32 = 0; i < ctx.cpuCount; ++i) pages += cpuAt(ctx, i).pooledUnits;
  return pages;
}
