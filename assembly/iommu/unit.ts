// iommu/ is the VT-d unit of the machine: what stands between a device's DMA address and memory.
//
//   unit.ts        the unit itself: root table, domain ids, table pages and their pool, IOTLB, fault log
//   domain.ts      one address space: its root, where the last call was in the tables, table pages
//   map.ts         filling tables         fill.ts    rows of leaves with SIMD
//   unmap.ts       clearing tables        stray.ts   mistakes that write elsewhere
//   context.ts     root and context entries: which domain serves which device
//   iotlb.ts       cached translations, their invalidation and their staleness
//   access.ts      a device reads or writes memory: context, IOTLB, tables, fault
//   fault-log.ts   what went wrong, in the hardware's own format
//   dump.ts        tables as lists of entries      check.ts   walks everything
//
// Tables have the hardware's bits (pte.ts) and live in linear memory. Speed comes from two rules: a domain remembers the
// leaf table of the last call on each CPU, so that neighbours need no walk; and entries are written and cleared many at
// a time with SIMD. Nothing about the IOTLB costs anything while no device has accessed memory.

import { blockAlloc, blockAllocZeroed, blockFree } from '../memory/block';
import { Context, FAULT_PAGE_TABLE, cpuOf } from '../memory/context';
import { CPU_SIZE, Cpu } from '../memory/cpu';
import { shouldFail } from '../memory/fault';
import { IommuDomain } from './domain';
import { TABLE_SIZE } from './pte';

/** Domain ids that the unit has (Capability Register, ND = 6): 16 bits. Linux keeps 0 (no domain) and 1 (passthrough) for itself. */
export const DOMAIN_IDS: u32 = 65536;
/** Free table pages that wait on a CPU for their next use, at most; more go back to the block allocator. */
const POOL_MAX: u32 = 256;

// @ts-ignore: decorator
@unmanaged
export class Iommu {
  guard: u64;
  ctx: Context;
  /** Root table (context.ts), 0 until the first device is attached; context tables hang off it. */
  rootTable: usize;
  contextTables: u32;
  /** Live domains, linked through IommuDomain.next. */
  domains: IommuDomain | null;
  domainCount: u32;
  domainCache: usize;
  strayCache: usize;
  /** Bit n set: domain id n is taken. */
  domainIds: usize;
  nextDomainId: u32;
  /** iotlb.ts: the entries, made at the first access; sets and ways as asked for. */
  iotlb: usize;
  iotlbSets: u32;
  iotlbWays: u32;
  iotlbClock: u32;
  /** Entries cached at each page size, so that a lookup probes only sizes that are there. */
  iotlbLevel1: u32;
  iotlbLevel2: u32;
  iotlbLevel3: u32;
  hits: u64;
  misses: u64;
  staleHits: u64;
  evictions: u64;
  /** Both of domains that are gone; the others count their own, by CPU (domain.ts). */
  pageInvalidations: u64;
  domainInvalidations: u64;
  globalInvalidations: u64;
  /** Entries that invalidations dropped. */
  invalidated: u64;
  /** Sum and maximum of the ages of stale accesses, nanoseconds of the virtual clock. */
  staleAgeTotal: u64;
  staleAgeMax: u64;
  /** fault-log.ts */
  log: usize;
  logCapacity: u32;
  logCount: u32;
  logLost: u32;
  faults: u32;
  staleAccesses: u32;
  alreadySet: u32;
}

/** The machine's unit, made on first use with 64 sets of 4 ways; null without memory. */
// @ts-ignore: decorator
@inline
export function iommuOf(ctx: Context): Iommu | null {
  return ctx.iommu != 0 ? changetype<Iommu>(ctx.iommu) : iommuCreate(ctx, 64, 4, 1024);
}

/**
 * Makes the machine's VT-d unit. A machine has one; a second call returns the first one's.
 * @param sets IOTLB sets, a power of two up to 4,096
 * @param ways entries a set, 1 to 64
 * @param logRecords records that the fault log holds, 1 to 65,536
 * @returns the unit, or null for sizes that cannot be or without memory
 */
export function iommuCreate(ctx: Context, sets: u32, ways: u32, logRecords: u32): Iommu | null {
  if (ctx.iommu != 0) return changetype<Iommu>(ctx.iommu);
  if (sets == 0 || sets > 4096 || (sets & (sets - 1)) != 0 || ways == 0 || ways > 64) return null;
  if (logRecords == 0 || logRecords > 65536) return null;
  // The unit takes the first half of a page-sized block, the bitmap of domain ids two blocks of its own.
  const at = blockAllocZeroed(ctx, 0);
  if (at == 0) return null;
  const unit = changetype<Iommu>(at);
  unit.domainIds = blockAllocZeroed(ctx, 1);
  if (unit.domainIds == 0) {
    blockFree(ctx, at);
    return null;
  }
  store<u8>(unit.domainIds, 3);
  unit.nextDomainId = 2;
  unit.ctx = ctx;
  unit.iotlbSets = sets;
  unit.iotlbWays = ways;
  unit.logCapacity = logRecords;
  ctx.iommu = at;
  return unit;
}

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

/** Table pages in use: all domains', the root table and context tables. */
export function tablePages(ctx: Context): u32 {
  let pages: u32 = 0;
  for (let i: usize = 0; i < <usize>ctx.cpuCount; ++i) pages += changetype<Cpu>(ctx.cpus + i * CPU_SIZE).tablePages;
  return pages;
}

/** Table pages that wait for their next use, on all CPUs. */
export function tablesPooled(ctx: Context): u32 {
  let pages: u32 = 0;
  for (let i: usize = 0; i < <usize>ctx.cpuCount; ++i) pages += changetype<Cpu>(ctx.cpus + i * CPU_SIZE).pooledUnits;
  return pages;
}

/** The next free domain id after the last one given, or 0 when all are taken. */
export function domainIdAlloc(unit: Iommu): u32 {
  for (let i: u32 = 0; i < DOMAIN_IDS; ++i) {
    const id = (unit.nextDomainId + i) & (DOMAIN_IDS - 1);
    const byte = unit.domainIds + (id >> 3);
    if ((load<u8>(byte) & (1 << (id & 7))) != 0) continue;
    store<u8>(byte, load<u8>(byte) | (<u8>1 << <u8>(id & 7)));
    unit.nextDomainId = id + 1;
    return id;
  }
  return 0;
}

export function domainIdFree(unit: Iommu, id: u32): void {
  const byte = unit.domainIds + (id >> 3);
  store<u8>(byte, load<u8>(byte) & ~(<u8>1 << <u8>(id & 7)));
}
