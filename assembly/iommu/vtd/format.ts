// Intel VT-d with second-stage tables, as a format (format.ts).

import { DmaDevice } from '../../device/device';
import { PAGE_SHIFT } from '../../ram/ram';
import { IommuDomain } from '../domain';
import { leavesDump, tablesDump } from '../dump';
import { iotlbFlushPages } from '../iotlb';
import { Iommu } from '../unit';
import { vtdAttach, vtdAttached, vtdDetach, vtdLookup } from './context-entry';
import { vtdBlocked } from './fault';
import { vtdMap, vtdMapPage, vtdMapPfns } from './map';
import { PTE_LARGE, TABLE_ENTRIES, levelShift, tableOf } from './pte';
import { vtdUnmap, vtdUnmapPage } from './unmap';
import { vtdCheck, vtdDomainFree, vtdDomainInit, vtdWidth } from './vtd-domain';
import { vtdIovaToPhys, vtdTranslates, vtdWalk } from './walk';

export const FORMAT_VTD: u32 = 0;

// @ts-ignore: decorator
@unmanaged
export class VtdFormat {
  // @ts-ignore: decorator
  @inline
  is(format: u32): bool {
    return format == FORMAT_VTD;
  }

  width(format: u32, levels: u32, width: u32, pageSizes: u64): u32 {
    return vtdWidth(levels, width, pageSizes);
  }

  init(domain: IommuDomain, pageSizes: u64): bool {
    return vtdDomainInit(domain, pageSizes);
  }

  free(domain: IommuDomain): void {
    vtdDomainFree(domain);
  }

  // @ts-ignore: decorator
  @inline
  map(domain: IommuDomain, iova: u64, phys: u64, size: u64, prot: u32): i32 {
    return vtdMap(domain, iova, phys, size, prot);
  }

  // @ts-ignore: decorator
  @inline
  mapPage(domain: IommuDomain, iova: u64, phys: u64, prot: u32): bool {
    return vtdMapPage(domain, iova, phys, prot);
  }

  // @ts-ignore: decorator
  @inline
  unmapPage(domain: IommuDomain, iova: u64): bool {
    return vtdUnmapPage(domain, iova);
  }

  // @ts-ignore: decorator
  @inline
  mapPfns(domain: IommuDomain, iova: u64, pfns: usize, count: u32, prot: u32): i32 {
    return vtdMapPfns(domain, iova, pfns, count, prot);
  }

  // @ts-ignore: decorator
  @inline
  unmap(domain: IommuDomain, iova: u64, size: u64): u64 {
    return vtdUnmap(domain, iova, size);
  }

  // @ts-ignore: decorator
  @inline
  iovaToPhys(domain: IommuDomain, iova: u64): u64 {
    return vtdIovaToPhys(domain, iova);
  }

  // @ts-ignore: decorator
  @inline
  translates(domain: IommuDomain, iova: u64): bool {
    return vtdTranslates(domain, iova);
  }

  /** cache_tag_flush_range_np. */
  flushMapped(domain: IommuDomain, iova: u64, size: u64): void {
    iotlbFlushPages(domain, iova, size);
  }

  attach(unit: Iommu, device: DmaDevice, domain: IommuDomain | null): i32 {
    return vtdAttach(unit, device, domain);
  }

  detach(unit: Iommu, device: DmaDevice): bool {
    return vtdDetach(unit, device);
  }

  lookup(unit: Iommu, device: DmaDevice, address: u64, write: bool): IommuDomain | null {
    return vtdLookup(unit, device, address, write);
  }

  walk(domain: IommuDomain, address: u64): u64 {
    return vtdWalk(domain, address);
  }

  blocked(unit: Iommu, device: DmaDevice, domain: IommuDomain, address: u64, write: bool): void {
    vtdBlocked(unit, device, domain, address, write);
  }

  check(domain: IommuDomain): u32 {
    return vtdCheck(domain);
  }

  attached(unit: Iommu): u32 {
    return vtdAttached(unit);
  }

  entries(level: u32): u32 {
    return TABLE_ENTRIES;
  }

  slotShift(level: u32): u32 {
    return levelShift(level);
  }

  entry(table: usize, i: u32): u64 {
    return load<u64>(table + (<usize>i << 3));
  }

  child(raw: u64, level: u32): usize {
    return level == 1 || (raw & PTE_LARGE) != 0 ? 0 : tableOf(raw);
  }

  follows(raw: u64, leaf: u64, run: u32, level: u32): bool {
    return raw == leaf + (<u64>run << levelShift(level) << PAGE_SHIFT);
  }

  tablesDump(domain: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
    return tablesDump<VtdFormat>(domain, first, last, buffer, size, skip);
  }

  leavesDump(domain: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
    return leavesDump<VtdFormat>(domain, first, last, buffer, size, skip);
  }
}
