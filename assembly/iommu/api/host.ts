// The unit for the host (memory/host.ts): statistics as a record.

import { Context } from '../../memory/context';
import { fromHost, toHost } from '../../memory/host';
import { DmaDevice } from '../../device/device';
import { IovaDomain } from '../../iova/iova-domain';
import * as access from './access';
import { TRANSLATE_FAULT, translate } from './access';
import { IommuDomain, domainInvalidations, pageInvalidations } from '../domain';
import * as life from './domain-life';
import { formats } from '../formats/list';
import { FlushQueue } from '../flush-queue';
import { iotlbFlushPages } from '../iotlb';
import { iommuIovaToPhys, iommuMap, iommuMapPfns, iommuUnmap } from './ops';
import { tablePages, tablesPooled } from '../tables';
import { Iommu, unitIn } from '../unit';

/** domainCreate. */
export function domainCreate(ctx: Context, levels: u32, width: u32, pageSizes: f64, flags: u32): IommuDomain | null {
  return life.domainCreate(ctx, levels, width, fromHost(pageSizes), flags);
}

/** dmaDomainCreate. */
export function dmaDomainCreate(
  ctx: Context, levels: u32, width: u32, pageSizes: f64, tableFlags: u32, rules: u32, line: u32, flags: u32,
  queueEntries: u32, queueNs: f64,
): IommuDomain | null {
  return life.dmaDomainCreate(
    ctx, levels, width, fromHost(pageSizes), tableFlags, rules, line, flags, queueEntries, fromHost(queueNs),
  );
}

/** iommuMap. */
export function domainMap(domain: IommuDomain, iova: f64, phys: f64, size: f64, prot: u32): i32 {
  return iommuMap(domain, fromHost(iova), fromHost(phys), fromHost(size), prot);
}

/** iommuMapPfns. */
export function domainMapPfns(domain: IommuDomain, iova: f64, pfns: usize, count: u32, prot: u32): i32 {
  return iommuMapPfns(domain, fromHost(iova), pfns, count, prot);
}

/** iommuUnmap. */
export function domainUnmap(domain: IommuDomain, iova: f64, size: f64): f64 {
  return toHost(iommuUnmap(domain, fromHost(iova), fromHost(size)));
}

/** iommuIovaToPhys. */
export function domainIovaToPhys(domain: IommuDomain, iova: f64): f64 {
  return toHost(iommuIovaToPhys(domain, fromHost(iova)));
}

/** Whether an IOVA leads anywhere: an IOVA may well lead to physical address 0. */
export function domainMapped(domain: IommuDomain, iova: f64): bool {
  return formats().walk(domain, fromHost(iova)) != 0;
}

/** iotlbFlushPages; nothing for a size of 0. */
export function domainFlushPages(domain: IommuDomain, iova: f64, size: f64): void {
  if (size > 0) iotlbFlushPages(domain, fromHost(iova), fromHost(size));
}

/** translate; -1 for a fault. */
export function deviceTranslate(device: DmaDevice, address: f64, write: bool): f64 {
  const phys = translate(device, fromHost(address), write);
  return phys == TRANSLATE_FAULT ? -1 : toHost(phys);
}

/** deviceRead. */
export function deviceRead(device: DmaDevice, address: f64, buffer: usize, n: u32): i32 {
  return access.deviceRead(device, fromHost(address), buffer, n);
}

/** deviceWrite. */
export function deviceWrite(device: DmaDevice, address: f64, buffer: usize, n: u32): i32 {
  return access.deviceWrite(device, fromHost(address), buffer, n);
}

/** Every entry of a domain: tablesDump (dump.ts). */
export function tablesDump(domain: IommuDomain, buffer: usize, size: u32, skip: u32): u32 {
  return formats().tablesDump(domain, 0, u64.MAX_VALUE, buffer, size, skip);
}

/** leavesDump (dump.ts). */
export function leavesDump(domain: IommuDomain, first: f64, last: f64, buffer: usize, size: u32, skip: u32): u32 {
  return formats().leavesDump(domain, fromHost(first), fromHost(last), buffer, size, skip);
}

/** The IOVA allocator of a domain with a cookie, else null. */
export function domainIova(domain: IommuDomain): IovaDomain | null {
  return domain.cookie == null ? null : domain.cookie!.iova;
}

/** The flush queue of a lazy domain with rings, else null. */
export function domainFlushQueue(domain: IommuDomain): FlushQueue | null {
  return domain.cookie == null ? null : domain.cookie!.queue;
}

export function domainId(domain: IommuDomain): u32 {
  return domain.id;
}

export function domainLevels(domain: IommuDomain): u32 {
  return domain.levels;
}

/** Pages in use for a domain's tables, the root included. */
export function domainTablePages(domain: IommuDomain): u32 {
  return domain.tablePages;
}

/** How often a live 4 KiB entry was mapped over, and stayed. */
export function domainAlreadySet(domain: IommuDomain): u32 {
  return domain.alreadySet;
}

function allPageInvalidations(unit: Iommu): u64 {
  let sum = unit.pageInvalidations;
  for (let domain = unit.domains; domain != null; domain = domain!.next) sum += pageInvalidations(domain);
  return sum;
}

function allDomainInvalidations(unit: Iommu): u64 {
  let sum = unit.domainInvalidations;
  for (let domain = unit.domains; domain != null; domain = domain!.next) sum += domainInvalidations(domain);
  return sum;
}

/** The unit's counters. */
// @ts-ignore: decorator
@unmanaged
export class IommuStats {
  /** Of the IOTLB: its shape, entries cached, and what lookups found. */
  sets: f64;
  ways: f64;
  entries: f64;
  hits: f64;
  misses: f64;
  staleHits: f64;
  evictions: f64;
  /** Invalidations by kind, and the entries that they dropped. */
  pageInvalidations: f64;
  domainInvalidations: f64;
  globalInvalidations: f64;
  invalidated: f64;
  faults: f64;
  staleAccesses: f64;
  /** Nanoseconds. */
  staleAgeTotal: f64;
  staleAgeMax: f64;
  alreadySet: f64;
  /** Records that the fault log had no room for. */
  logLost: f64;
  domains: f64;
  tablePages: f64;
  tablesPooled: f64;
}

/** Writes an IommuStats, all zero in a machine without a unit. */
export function iommuStats(ctx: Context, buffer: usize): void {
  memory.fill(buffer, 0, offsetof<IommuStats>());
  if (ctx.iommu == 0) return;
  const unit = unitIn(ctx)!;
  const stats = changetype<IommuStats>(buffer);
  stats.sets = unit.iotlbSets;
  stats.ways = unit.iotlbWays;
  stats.entries = unit.iotlbEntries;
  stats.hits = <f64>unit.hits;
  stats.misses = <f64>unit.misses;
  stats.staleHits = <f64>unit.staleHits;
  stats.evictions = <f64>unit.evictions;
  stats.pageInvalidations = <f64>(<i64>allPageInvalidations(unit));
  stats.domainInvalidations = <f64>(<i64>allDomainInvalidations(unit));
  stats.globalInvalidations = <f64>unit.globalInvalidations;
  stats.invalidated = <f64>unit.invalidated;
  stats.faults = unit.faults;
  stats.staleAccesses = unit.staleAccesses;
  stats.staleAgeTotal = <f64>unit.staleAgeTotal;
  stats.staleAgeMax = <f64>unit.staleAgeMax;
  stats.alreadySet = unit.alreadySet;
  stats.logLost = unit.logLost;
  stats.domains = unit.domainCount;
  stats.tablePages = tablePages(ctx);
  stats.tablesPooled = tablesPooled(ctx);
}
