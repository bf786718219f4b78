// Table pages: pages of linear memory that hold a unit's tables. Each CPU keeps some that wait for their next use.
//
// Devices see linear memory at TABLE_WINDOW. The window starts at a multiple of 4 GiB: following a pointer in a table is
// taking the low 32 bits of its address.

import { blockAlloc, blockFree } from '../memory/block';
import { Context, FAULT_PAGE_TABLE, cpuAt, cpuOf } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { Iommu } from './unit';

/** Where devices see linear memory: 64 TiB, above any RAM that a machine can have. */
export const TABLE_WINDOW: u64 = 1 << 46;
export const TABLE_SIZE: usize = 4096;
/** Free table pages that wait on a CPU for their next use, at most; more go back to the block allocator. */
const POOL_MAX: u32 = 256;

/** A table page with anything in it; 0 without memory or by an injected fault. */
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

/** Gives a table page back, whatever is in it: who takes it next clears what it does not fill. */
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

/** Table pages that wait for their next use, on all CPUs. */
export function tablesPooled(ctx: Context): u32 {
  let pages: u32 = 0;
  for (let i: u32 = 0; i < ctx.cpuCount; ++i) pages += cpuAt(ctx, i).pooledUnits;
  return pages;
}
