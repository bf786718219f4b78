// AMD's I/O page tables of version 1, as a format (format.ts).

import { DmaDevice } from '../../device/device';
import { PAGE_SHIFT } from '../../ram/ram';
import { IommuDomain } from '../domain';
import { leavesDump, tablesDump } from '../dump';
import { Iommu } from '../unit';
import { amdDomainFree, amdDomainInit, amdOf, amdWidth } from './amd-domain';
import { amdCheck } from './check';
import { amdAttach, amdAttached, amdDetach, amdLookup } from './device-table';
import { flushPages } from './flush';
import { amdMap, amdMapPfns } from './map';
import { MAX_MODE, NEXT_LEVEL_SIZED, TABLE_ENTRIES, isPointer, nextLevel, slotShift, tableOf } from './pte';
import { amdUnmap } from './unmap';
import { amdBlocked, amdIovaToPhys, amdWalk } from './walk';

export const FORMAT_AMDV1: u32 = 1;

// @ts-ignore: decorator
@unmanaged
export class AmdFormat {
  // @ts-ignore: decorator
  @inline
  is(format: u32): bool {
    return format == FORMAT_AMDV1;
  }

  width(format: u32, levels: u32, width: u32, pageSizes: u64): u32 {
    return amdWidth(width, pageSizes);
  }

  init(domain: IommuDomain, pageSizes: u64): bool {
    return amdDomainInit(domain, pageSizes);
  }

  free(domain: IommuDomain): void {
    amdDomainFree(domain);
  }

  // @ts-ignore: decorator
  @inline
  map(domain: IommuDomain, iova: u64, phys: u64, size: u64, prot: u32): i32 {
    return amdMap(domain, iova, phys, size, prot);
  }

  // @ts-ignore: decorator
  @inline
  mapPage(domain: IommuDomain, iova: u64, phys: u64, prot: u32): bool {
    return false;
  }

  // @ts-ignore: decorator
  @inline
  unmapPage(domain: IommuDomain, iova: u64): bool {
    return false;
  }

  // @ts-ignore: decorator
  @inline
  mapPfns(domain: IommuDomain, iova: u64, pfns: usize, count: u32, prot: u32): i32 {
    return amdMapPfns(domain, iova, pfns, count, prot);
  }

  // @ts-ignore: decorator
  @inline
  unmap(domain: IommuDomain, iova: u64, size: u64): u64 {
    return amdUnmap(domain, iova, size);
  }

  // @ts-ignore: decorator
  @inline
  iovaToPhys(domain: IommuDomain, iova: u64): u64 {
    return amdIovaToPhys(domain, iova);
  }

  // @ts-ignore: decorator
  @inline
  translates(domain: IommuDomain, iova: u64): bool {
    return amdIovaToPhys(domain, iova) != 0;
  }

  /** domain_flush_np_cache. */
  flushMapped(domain: IommuDomain, iova: u64, size: u64): void {
    flushPages(amdOf(domain), iova, size);
  }

  attach(unit: Iommu, device: DmaDevice, domain: IommuDomain | null): i32 {
    return amdAttach(unit, device, domain);
  }

  detach(unit: Iommu, device: DmaDevice): bool {
    return amdDetach(unit, device);
  }

  lookup(unit: Iommu, device: DmaDevice, address: u64, write: bool): IommuDomain | null {
    return amdLookup(unit, device, address, write);
  }

  walk(domain: IommuDomain, address: u64): u64 {
    return amdWalk(domain, address);
  }

  blocked(unit: Iommu, device: DmaDevice, domain: IommuDomain, address: u64, write: bool): void {
    amdBlocked(unit, device, domain, address, write);
  }

  check(domain: IommuDomain): u32 {
    return amdCheck(domain);
  }

  attached(unit: Iommu): u32 {
    return amdAttached(unit);
  }

  entries(level: u32): u32 {
    // A root of six levels spans more than 64 bits: its upper entries are beyond all addresses.
    return level == MAX_MODE ? 128 : TABLE_ENTRIES;
  }

  slotShift(level: u32): u32 {
    return slotShift(level) - PAGE_SHIFT;
  }

  entry(table: usize, i: u32): u64 {
    return load<u64>(table + (<usize>i << 3));
  }

  child(raw: u64, level: u32): usize {
    return isPointer(raw) ? tableOf(raw) : 0;
  }

  follows(raw: u64, leaf: u64, run: u32, level: u32): bool {
    // A page that fills several entries is a run of equal ones.
    return raw == (nextLevel(leaf) == NEXT_LEVEL_SIZED ? leaf : leaf + (<u64>run << slotShift(level)));
  }

  tablesDump(domain: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
    return tablesDump<AmdFormat>(domain, first, last, buffer, size, skip);
  }

  leavesDump(domain: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
    return leavesDump<AmdFormat>(domain, first, last, buffer, size, skip);
  }
}
