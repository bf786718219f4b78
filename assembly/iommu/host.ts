// The unit for the host: addresses cross as f64, statistics as a block of numbers. They are below 2^63, and the signed
// conversions are one instruction where the unsigned ones are several.

import { Context } from '../memory/context';
import { DmaDevice } from '../dma/device';
import { TRANSLATE_FAULT, translate } from './access';
import { IommuDomain, domainInvalidations, pageInvalidations } from './domain';
import { formatWalk, iommuIovaToPhys, iommuMap, iommuMapPfns, iommuUnmap } from './formats';
import { iotlbFlushPages } from './iotlb';
import { tablePages, tablesPooled } from './tables';
import { Iommu } from './unit';

/** iommuMap. */
export function domainMap(domain: IommuDomain, iova: f64, phys: f64, size: f64, prot: u32): i32 {
  return iommuMap(domain, <i64>iova, <i64>phys, <i64>size, prot);
}

/** iommuMapPfns. */
export function domainMapPfns(domain: IommuDomain, iova: f64, pfns: usize, count: u32, prot: u32): i32 {
  return iommuMapPfns(domain, <i64>iova, pfns, count, prot);
}

/** iommuUnmap. */
export function domainUnmap(domain: IommuDomain, iova: f64, size: f64): f64 {
  return <f64><i64>iommuUnmap(domain, <i64>iova, <i64>size);
}

/** iommuIovaToPhys. */
export function domainIovaToPhys(domain: IommuDomain, iova: f64): f64 {
  return <f64><i64>iommuIovaToPhys(domain, <i64>iova);
}

/** Whether an IOVA leads anywhere: an IOVA may well lead to physical address 0. */
export function domainMapped(domain: IommuDomain, iova: f64): bool {
  return formatWalk(domain, <i64>iova) != 0;
}

/** iotlbFlushPages; nothing for a size of 0. */
export function domainFlushPages(domain: IommuDomain, iova: f64, size: f64): void {
  if (size > 0) iotlbFlushPages(domain, <i64>iova, <i64>size);
}

/** translate; -1 for a fault. */
export function deviceTranslate(device: DmaDevice, address: f64, write: bool): f64 {
  const phys = translate(device, <i64>address, write);
  return phys == TRANSLATE_FAULT ? -1 : <f64>phys;
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

/** Numbers that iommuStats writes. */
export const IOMMU_STATS: u32 = 20;

/**
 * Writes the unit's counters as IOMMU_STATS doubles: sets, ways, entries cached, hits, misses, hits on stale entries,
 * evictions; invalidations by page, by domain, global, entries that they dropped; faults, stale accesses, sum and
 * maximum of their ages (ns), entries found already set, log records lost; domains, table pages, pooled table pages.
 * All zero in a machine without a unit.
 */
export function iommuStats(ctx: Context, buffer: usize): void {
  if (ctx.iommu == 0) {
    memory.fill(buffer, 0, IOMMU_STATS << 3);
    return;
  }
  const unit = changetype<Iommu>(ctx.iommu);
  store<f64>(buffer, unit.iotlbSets);
  store<f64>(buffer, unit.iotlbWays, 8);
  store<f64>(buffer, unit.iotlbEntries, 16);
  store<f64>(buffer, <f64>unit.hits, 24);
  store<f64>(buffer, <f64>unit.misses, 32);
  store<f64>(buffer, <f64>unit.staleHits, 40);
  store<f64>(buffer, <f64>unit.evictions, 48);
  store<f64>(buffer, <f64>(<i64>allPageInvalidations(unit)), 56);
  store<f64>(buffer, <f64>(<i64>allDomainInvalidations(unit)), 64);
  store<f64>(buffer, <f64>unit.globalInvalidations, 72);
  store<f64>(buffer, <f64>unit.invalidated, 80);
  store<f64>(buffer, unit.faults, 88);
  store<f64>(buffer, unit.staleAccesses, 96);
  store<f64>(buffer, <f64>unit.staleAgeTotal, 104);
  store<f64>(buffer, <f64>unit.staleAgeMax, 112);
  store<f64>(buffer, unit.alreadySet, 120);
  store<f64>(buffer, unit.logLost, 128);
  store<f64>(buffer, unit.domainCount, 136);
  store<f64>(buffer, tablePages(ctx), 144);
  store<f64>(buffer, tablesPooled(ctx), 152);
}
