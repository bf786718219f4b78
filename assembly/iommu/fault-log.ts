// The fault log, in linear memory for the host. It keeps the oldest records and counts those that it has no room for, as the
// hardware does when its fault registers overflow (PFO).

import { PAGE_SIZE } from '../ram/ram';
import { blockAlloc, blockOrder } from '../memory/block';
import { Context, cpuOf } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { DmaDevice } from '../device/device';
import { KMSG_ALREADY_SET, KMSG_FAULT, KMSG_LIVE_REPLACED, KMSG_UNALIGNED_MAP, KMSG_UNALIGNED_UNMAP, LIMIT_FAULTS, kmsg, kmsgAllowed } from '../kmsg/kmsg';
import { EVENT_FAULT, EVENT_STALE_ACCESS, emit } from '../events/events';
import { IommuDomain } from './domain';
import { IotlbEntry } from './iotlb';
import { Iommu, unitIn, unitOf } from './unit';

export const LOG_FAULT: u32 = 1;
export const LOG_STALE_READ: u32 = 2;
export const LOG_STALE_WRITE: u32 = 3;
export const LOG_ALREADY_SET: u32 = 4;

/**
 * One record. Low and high are 0 for what the hardware does not record: a stale access; of a map over a live entry, low is that.
 */
// @ts-ignore: decorator
@unmanaged
export class FaultRecord {
  /** The hardware's own record, as the format has it. */
  low: u64;
  high: u64;
  /** Virtual time in nanoseconds. */
  time: u64;
  /** The address accessed, -1 for DMA_MAPPING_ERROR; the pfn for LOG_ALREADY_SET. */
  address: i64;
  /** The age in nanoseconds for a stale access; the entry that was not written for LOG_ALREADY_SET. */
  value: u64;
  /** LOG_* */
  kind: u32;
  /** Id of the device. */
  device: u32;
  /** The caller; of a stale access the caller that had unmapped the page. Ids of the host. */
  object: u32;
  vma: u32;
  hook: u32;
  /** Id of the domain. */
  domain: u32;
  /** Requester id of the device. */
  sourceId: u16;
  /** The fault reason as the hardware numbers it, and whether the access was a write. */
  reason: u8;
  write: bool;
  pad: u32;
}

/** The next free record with time and caller filled in; null when the log is full, or without memory for it. */
function append(unit: Iommu, kind: u32, device: u32): FaultRecord | null {
  const ctx = unit.ctx;
  if (unit.log == 0) unit.log = blockAlloc(ctx, blockOrder(<usize>unit.logCapacity * offsetof<FaultRecord>()));
  if (unit.log == 0 || unit.logCount == unit.logCapacity) {
    ++unit.logLost;
    return null;
  }
  const at = unit.log + <usize>(unit.logCount++) * offsetof<FaultRecord>();
  memory.fill(at, 0, offsetof<FaultRecord>());
  const record = changetype<FaultRecord>(at);
  const cpu = cpuOf(ctx);
  record.time = ctx.now;
  record.kind = kind;
  record.device = device;
  record.object = cpu.object;
  record.vma = cpu.vma;
  record.hook = cpu.hook;
  return record;
}

/**
 * A device's access that the unit blocked. What the kernel's log has of it is sayFault's.
 * @param reason as the hardware numbers it
 * @param low, high the hardware's own record of the fault
 */
export function logFault(
  unit: Iommu, device: DmaDevice, address: u64, write: bool, reason: u32, domainId: u32, low: u64, high: u64,
): void {
  lock(unit);
  ++unit.faults;
  const record = append(unit, LOG_FAULT, device.id);
  if (record) {
    record.low = low;
    record.high = high;
    record.address = address;
    record.domain = domainId;
    record.sourceId = <u16>device.sourceId;
    record.reason = <u8>reason;
    record.write = write;
  }
  unlock(unit);
  emit(unit.ctx, EVENT_FAULT, device.id, address, 0, 0, reason, write ? 1 : 0);
}

/** The fault's line in the kernel's log, unless there were too many lately. */
export function sayFault(device: DmaDevice, address: u64, write: bool, reason: u32, domainId: u32): void {
  const ctx = device.ctx;
  if (!kmsgAllowed(ctx, LIMIT_FAULTS)) return;
  kmsg(ctx, KMSG_FAULT, device.id, address, device.sourceId, domainId, 0, reason, write ? 1 : 0);
}

/**
 * An access that a stale IOTLB entry served; the record has the caller of the unmap.
 * The unit is locked.
 */
export function logStale(unit: Iommu, device: u32, sourceId: u32, address: u64, write: bool, entry: IotlbEntry): void {
  const ctx = unit.ctx;
  const age = ctx.now - entry.since;
  ++unit.staleAccesses;
  ++unit.staleHits;
  unit.staleAgeTotal += age;
  unit.staleAgeMax = max(unit.staleAgeMax, age);
  const record = append(unit, write ? LOG_STALE_WRITE : LOG_STALE_READ, device);
  if (record) {
    record.sourceId = <u16>sourceId;
    record.address = address;
    record.value = age;
    record.object = entry.object;
    record.vma = entry.vma;
    record.hook = entry.hook;
    record.domain = entry.domain.id;
  }
  emit(ctx, EVENT_STALE_ACCESS, device, address, age, 0, entry.object, write ? 1 : 0);
}

/** `DMA PTE for vPFN 0x... already set`: the entry that was to be written is lost, the old one stays. */
export function logAlreadySet(domain: IommuDomain, pfn: u64, old: u64, value: u64): void {
  const unit = unitOf(domain);
  lock(unit);
  ++unit.alreadySet;
  const record = append(unit, LOG_ALREADY_SET, 0);
  if (record) {
    record.low = old;
    record.address = pfn;
    record.value = value;
    record.domain = domain.id;
  }
  unlock(unit);
  kmsg(unit.ctx, KMSG_ALREADY_SET, 0, pfn, 0, old, value, 0, 0);
}

/** Says that what was to be mapped, or unmapped, is no multiple of the smallest page. */
export function sayUnaligned(ctx: Context, unmap: bool, iova: u64, phys: u64, size: u64): void {
  kmsg(ctx, unmap ? KMSG_UNALIGNED_UNMAP : KMSG_UNALIGNED_MAP, 0, iova, size, phys, 0, PAGE_SIZE, 0);
}

/** Says that a mapping has taken the place of live ones, of which the kernel says nothing. */
export function sayReplaced(ctx: Context, iova: u64, size: u64, bytes: u64): void {
  kmsg(ctx, KMSG_LIVE_REPLACED, 0, iova, size, bytes, 0, 0, 0);
}

/** First record of the log; the host reads logCount of them. */
export function faultLogFirst(ctx: Context): usize {
  return ctx.iommu == 0 ? 0 : unitIn(ctx)!.log;
}

export function faultLogCount(ctx: Context): u32 {
  return ctx.iommu == 0 ? 0 : unitIn(ctx)!.logCount;
}

/** Empties the log; the totals stay. */
export function faultLogClear(ctx: Context): void {
  if (ctx.iommu == 0) return;
  unitIn(ctx)!.logCount = 0;
  unitIn(ctx)!.logLost = 0;
}
