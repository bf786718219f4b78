// The fault log: what the unit recorded, 64 bytes each, in linear memory for the host to read. It keeps the oldest
// records and counts what no longer fits, as the hardware does when its fault registers overflow (PFO).
//
//   +0  u64, +8 u64       the hardware's own record (vtd/fault-record.ts)
//   +16 f64 time (ns)     +24 f64 address, or pfn for ALREADY_SET       +32 f64 age (ns), or the entry that stays
//   +40 u32 kind          +44 u32 device       +48 u32 object           +52 u32 vma      +56 u32 hook   +60 u32 domain id
//
// Of what is no fault, a stale access, which the hardware lets through unnoticed, and a live entry that was mapped over,
// that record is all zeros but for the requester id.

import { blockAlloc, blockOrder } from '../memory/block';
import { Context, cpuOf } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { EVENT_FAULT, EVENT_STALE_ACCESS, emit } from '../events/events';
import { IommuDomain } from './domain';
import { IotlbEntry } from './iotlb';
import { Iommu, unitOf } from './unit';

export const LOG_RECORD: u32 = 64;

export const LOG_FAULT: u32 = 1;
export const LOG_STALE_READ: u32 = 2;
export const LOG_STALE_WRITE: u32 = 3;
export const LOG_ALREADY_SET: u32 = 4;

/** The next free record with time and attribution filled in, or 0 when the log is full or cannot be had. */
function append(unit: Iommu, kind: u32, device: u32): usize {
  const ctx = unit.ctx;
  if (unit.log == 0) unit.log = blockAlloc(ctx, blockOrder(<usize>unit.logCapacity * LOG_RECORD));
  if (unit.log == 0 || unit.logCount == unit.logCapacity) {
    ++unit.logLost;
    return 0;
  }
  const at = unit.log + <usize>(unit.logCount++ * LOG_RECORD);
  memory.fill(at, 0, LOG_RECORD);
  const cpu = cpuOf(ctx);
  store<f64>(at, <f64>ctx.now, 16);
  store<u32>(at, kind, 40);
  store<u32>(at, device, 44);
  store<u32>(at, cpu.object, 48);
  store<u32>(at, cpu.vma, 52);
  store<u32>(at, cpu.hook, 56);
  return at;
}

/**
 * A device's access that the unit blocked.
 * @param reason as the hardware numbers it
 * @param low, high the hardware's own record of the fault
 */
export function logFault(
  unit: Iommu, device: u32, address: u64, write: bool, reason: u32, domainId: u32, low: u64, high: u64,
): void {
  lock(unit);
  ++unit.faults;
  const at = append(unit, LOG_FAULT, device);
  if (at != 0) {
    store<u64>(at, low);
    store<u64>(at, high, 8);
    store<f64>(at, <f64>address, 24);
    store<u32>(at, domainId, 60);
  }
  unlock(unit);
  emit(unit.ctx, EVENT_FAULT, device, <f64>address, 0, 0, reason, write ? 1 : 0);
}

/**
 * An access that an IOTLB entry served after its page had been unmapped; the object is the one that was unmapped.
 * The unit is locked.
 */
export function logStale(unit: Iommu, device: u32, sourceId: u32, address: u64, write: bool, entry: IotlbEntry): void {
  const ctx = unit.ctx;
  const age = ctx.now - entry.since;
  ++unit.staleAccesses;
  ++unit.staleHits;
  unit.staleAgeTotal += age;
  unit.staleAgeMax = max(unit.staleAgeMax, age);
  const at = append(unit, write ? LOG_STALE_WRITE : LOG_STALE_READ, device);
  if (at != 0) {
    store<u64>(at, sourceId, 8);
    store<f64>(at, <f64>address, 24);
    store<f64>(at, <f64>age, 32);
    store<u32>(at, entry.object, 48);
    store<u32>(at, entry.vma, 52);
    store<u32>(at, entry.hook, 56);
    store<u32>(at, entry.domain.id, 60);
  }
  emit(ctx, EVENT_STALE_ACCESS, device, <f64>address, <f64>age, 0, entry.object, write ? 1 : 0);
}

/** `DMA PTE for vPFN 0x... already set`: the entry that was to be written is lost, the old one stays. */
export function logAlreadySet(domain: IommuDomain, pfn: u64, value: u64): void {
  const unit = unitOf(domain);
  lock(unit);
  ++unit.alreadySet;
  const at = append(unit, LOG_ALREADY_SET, 0);
  if (at != 0) {
    store<f64>(at, <f64>pfn, 24);
    store<f64>(at, <f64>value, 32);
    store<u32>(at, domain.id, 60);
  }
  unlock(unit);
}

/** First record of the log; the host reads logCount of them. */
export function faultLogFirst(ctx: Context): usize {
  return ctx.iommu == 0 ? 0 : changetype<Iommu>(ctx.iommu).log;
}

export function faultLogCount(ctx: Context): u32 {
  return ctx.iommu == 0 ? 0 : changetype<Iommu>(ctx.iommu).logCount;
}

/** Empties the log; the totals stay. */
export function faultLogClear(ctx: Context): void {
  if (ctx.iommu == 0) return;
  changetype<Iommu>(ctx.iommu).logCount = 0;
  changetype<Iommu>(ctx.iommu).logLost = 0;
}
