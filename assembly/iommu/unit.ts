// iommu/ translates a device's DMA addresses. Here is what all IOMMUs have; the tables, device table and faults of a format are
// in a folder of its own.
//
//   format.ts      what a format is;  formats/  the list of them
//   unit.ts        the unit: its devices' table, domain ids, domains
//   domain.ts      one address space;  tables.ts  pages for tables
//   cookie.ts      what a domain has for the DMA API: IOVA allocator, flush queue
//   iotlb.ts       cached translations and their invalidation
//   fault-log.ts   faults and stale accesses      dump.ts    tables and leaves for the host
//   flush-queue.ts, deferred-list.ts      unmapped ranges that wait for an invalidation
//   api/           what others call, for a domain of any format:
//     ops.ts         map, unmap and translation;  domain-life.ts  how domains are made and freed
//     access.ts      a device reads or writes memory: device table, IOTLB, tables, fault;  check.ts  checks all structures
//   vtd/           Intel VT-d, second-stage tables      amdv1/  AMD's page tables of version 1
//
// Tables have the hardware's format and are in linear memory.

import { blockAllocZeroed, blockFree } from '../memory/block';
import { CacheOf, Context, SlabCache } from '../memory/context';
import { Guarded } from '../memory/lock';
import { DmaCookie } from './cookie';
import { DeferredList } from './deferred-list';
import { IommuDomain } from './domain';

/** Domain ids of a unit, 16 bits (VT-d with ND = 6; AMD). Linux keeps those below the first: 0 for no domain, 1 for passthrough. */
export const DOMAIN_IDS: u32 = 65536;
const FIRST_DOMAIN_ID: u32 = 2;

/** The shape of the IOTLB and the records of the fault log: of a machine that does not say, and at most. */
const DEFAULT_SETS: u32 = 64;
const DEFAULT_WAYS: u32 = 4;
const DEFAULT_LOG: u32 = 1024;
export const MAX_SETS_SHIFT: u32 = 12;
const MAX_SETS: u32 = 1 << MAX_SETS_SHIFT;
const MAX_WAYS: u32 = 64;
const MAX_LOG: u32 = 65536;

/** Option of a unit: Iommu.npCache. */
export const UNIT_NP_CACHE: u32 = 1;

// @ts-ignore: decorator
@unmanaged
export class Iommu extends Guarded {
  ctx: Context;
  /** FORMAT_*: the kind of hardware, and of its tables. */
  format: u32;
  /** It may cache what is not present, as a hypervisor's unit does (VT-d's caching mode, AMD's NpCache): a map is flushed, too. */
  npCache: bool;
  /** The table of domains by requester id, 0 until a device is attached; and its pages. */
  deviceTable: usize;
  devicePages: u32;
  /** Live domains, linked through IommuDomain.next. */
  domains: IommuDomain | null;
  domainCount: u32;
  domainCache: CacheOf<IommuDomain> | null;
  cookieCache: CacheOf<DmaCookie> | null;
  /** For the format's own records. */
  formatCache: SlabCache | null;
  /** Bit n set: domain id n is taken. */
  domainIds: usize;
  nextDomainId: u32;
  /** iotlb.ts: the entries, made at the first access; sets and ways as asked for. */
  iotlb: usize;
  iotlbSets: u32;
  iotlbWays: u32;
  iotlbClock: u32;
  /** Entries cached; bit n set: some are of pages of 2^n bytes, so that a lookup probes only sizes that are there. */
  iotlbEntries: u32;
  iotlbSizes: u64;
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
  /** Unmaps that wait for a flush of the whole machine, as in 2015 (deferred-list.ts). */
  deferred: DeferredList | null;
}

/** The machine's unit, null before it is made. */
// @ts-ignore: decorator
@inline
export function unitIn(ctx: Context): Iommu | null {
  return changetype<Iommu | null>(ctx.iommu);
}

/** The machine's unit, made on first use, of the first format; null without memory. */
// @ts-ignore: decorator
@inline
export function iommuOf(ctx: Context): Iommu | null {
  return ctx.iommu != 0 ? unitIn(ctx) : iommuMake(ctx, 0, 0);
}

/**
 * Makes the machine's IOMMU with an IOTLB and a fault log of the usual sizes. Contract of iommuCreate.
 * @param flags UNIT_*
 */
export function iommuMake(ctx: Context, format: u32, flags: u32): Iommu | null {
  const unit = iommuCreate(ctx, DEFAULT_SETS, DEFAULT_WAYS, DEFAULT_LOG, format);
  if (unit != null) unit.npCache = (flags & UNIT_NP_CACHE) != 0;
  return unit;
}

/**
 * Makes the machine's IOMMU. A machine has one; a second call returns the first one's.
 * @param sets IOTLB sets, a power of two up to MAX_SETS
 * @param ways entries per set, 1 to MAX_WAYS
 * @param logRecords records that the fault log holds, 1 to MAX_LOG
 * @param format FORMAT_*
 * @returns the unit, or null for sizes that cannot be or without memory
 */
export function iommuCreate(ctx: Context, sets: u32, ways: u32, logRecords: u32, format: u32): Iommu | null {
  if (ctx.iommu != 0) return unitIn(ctx);
  if (sets == 0 || sets > MAX_SETS || (sets & (sets - 1)) != 0 || ways == 0 || ways > MAX_WAYS) return null;
  if (logRecords == 0 || logRecords > MAX_LOG) return null;
  // The unit is the first half of a block of 4 KiB; the second half counts IOTLB entries (iotlb.ts).
  const at = blockAllocZeroed(ctx, 0);
  if (at == 0) return null;
  const unit = changetype<Iommu>(at);
  unit.domainIds = blockAllocZeroed(ctx, 1);
  if (unit.domainIds == 0) {
    blockFree(ctx, at);
    return null;
  }
  store<u8>(unit.domainIds, <u8>((<u32>1 << FIRST_DOMAIN_ID) - 1));
  unit.nextDomainId = FIRST_DOMAIN_ID;
  unit.ctx = ctx;
  unit.format = format;
  unit.iotlbSets = sets;
  unit.iotlbWays = ways;
  unit.logCapacity = logRecords;
  ctx.iommu = at;
  return unit;
}

/** FORMAT_* of the machine's IOMMU, or 0 for that which iommuOf makes. */
export function iommuFormat(ctx: Context): u32 {
  return ctx.iommu == 0 ? 0 : changetype<Iommu>(ctx.iommu).format;
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

/** The unit that a domain is of. */
// @ts-ignore: decorator
@inline
export function unitOf(domain: IommuDomain): Iommu {
  return unitIn(domain.ctx)!;
}

/** In place of a domain: accesses pass untranslated. */
// @ts-ignore: decorator
@inline
export function passThrough(): IommuDomain {
  return changetype<IommuDomain>(1);
}
