// A kind of IOMMU: a class with the functions below, of which no instance exists. The list of formats (formats/list.ts) is
// one type, `Either<First, Either<Second, Third>>`: a call by the number in a domain or unit is a comparison for each but the last
// format of the list, and what follows it is compiled as if there were one format alone.
//
// A format is a folder: format.ts with its class, contract.ts with what the host may know of it. Its domain extends IommuDomain (at
// most DOMAIN_SIZE bytes), its record per CPU extends DomainCpu (DOMAIN_CPU_SIZE). It allocates table pages by tables.ts, and
// counts those of a domain in domain.tablePages and those of the device table in unit.devicePages. It records what it blocks by
// fault-log.ts. A format does not import this file, nor formats/ or ops.ts.
//
// The functions, by the part of the core that calls them. Addresses and sizes are multiples of 4 KiB where nothing else is said.
//
//   is            whether a number is the format's
//
// Domains (domain-life.ts):
//   width         bits of an IOVA for a shape (levels of the tables; bits, 0 for all that the levels give; iommu_domain.pgsize_bitmap);
//                 0 if the shape is not possible
//   init          makes a new domain's tables. The record is zeroed but for ctx, format, id, flags, levels, width, flushesMaps.
//                 Returns false without a table page, with none taken
//   free          frees all of its tables. No device is attached, nothing of it is in the IOTLB
//
// Tables (ops.ts, with the contract of each). These are hot: the class has them inlined.
//   map, mapPfns, unmap, iovaToPhys, translates
//   mapPage, unmapPage    of one page, where that is a store; false with nothing done where it is not
//   flushMapped   invalidates what a unit may have cached as not present, after a map
//
// Accesses of devices (access.ts):
//   attach        writes a device's entry into the device table; contract of attachDevice
//   detach        clears it. Returns false when it has none
//   lookup        the domain of a device by the table, passThrough() (unit.ts), or null: the access is blocked, the fault recorded
//   walk          an address in the tables: a leaf as leafPack (domain.ts) makes it, 0 if not mapped. Permissions are not checked
//   blocked       records that an access was blocked: beyond the domain's width, or without a translation that allows it
//
// Checks (check.ts):
//   check         walks a domain's tables: 0, or 1 for a wrong entry, 2 number of table pages, 3 position of a CPU
//   attached      entries of the device table that are present
//
// Dumps (dump.ts). These are for one entry of a table; levels count from 1:
//   entries       entries of a table of a level
//   slotShift     pages that an entry of a level spans, as a shift
//   entry         the entry at an index of a table, 0 for an empty one
//   child         the table that an entry of a level leads to, 0 for a leaf
//   follows       whether a leaf goes on a run that began `run` entries before
//   tablesDump, leavesDump    the functions of dump.ts, compiled for the format

import { DmaDevice } from '../device/device';
import { IommuDomain } from './domain';
import { Iommu } from './unit';

/** The functions of a format. */
// @ts-ignore: decorator
@inline
export function the<Format>(): Format {
  return changetype<Format>(0);
}

/** One of two formats, by the number in the record that a call is about. */
// @ts-ignore: decorator
@unmanaged
export class Either<First, Rest> {
  width(format: u32, levels: u32, width: u32, pageSizes: u64): u32 {
    return the<First>().is(format) ? the<First>().width(format, levels, width, pageSizes) : the<Rest>().width(format, levels, width, pageSizes);
  }

  init(domain: IommuDomain, pageSizes: u64): bool {
    return the<First>().is(domain.format) ? the<First>().init(domain, pageSizes) : the<Rest>().init(domain, pageSizes);
  }

  free(domain: IommuDomain): void {
    if (the<First>().is(domain.format)) the<First>().free(domain);
    else the<Rest>().free(domain);
  }

  // @ts-ignore: decorator
  @inline
  map(domain: IommuDomain, iova: u64, phys: u64, size: u64, prot: u32): i32 {
    return the<First>().is(domain.format) ? the<First>().map(domain, iova, phys, size, prot) : the<Rest>().map(domain, iova, phys, size, prot);
  }

  // @ts-ignore: decorator
  @inline
  mapPage(domain: IommuDomain, iova: u64, phys: u64, prot: u32): bool {
    return the<First>().is(domain.format) ? the<First>().mapPage(domain, iova, phys, prot) : the<Rest>().mapPage(domain, iova, phys, prot);
  }

  // @ts-ignore: decorator
  @inline
  unmapPage(domain: IommuDomain, iova: u64): bool {
    return the<First>().is(domain.format) ? the<First>().unmapPage(domain, iova) : the<Rest>().unmapPage(domain, iova);
  }

  // @ts-ignore: decorator
  @inline
  mapPfns(domain: IommuDomain, iova: u64, pfns: usize, count: u32, prot: u32): i32 {
    return the<First>().is(domain.format) ? the<First>().mapPfns(domain, iova, pfns, count, prot) : the<Rest>().mapPfns(domain, iova, pfns, count, prot);
  }

  // @ts-ignore: decorator
  @inline
  unmap(domain: IommuDomain, iova: u64, size: u64): u64 {
    return the<First>().is(domain.format) ? the<First>().unmap(domain, iova, size) : the<Rest>().unmap(domain, iova, size);
  }

  // @ts-ignore: decorator
  @inline
  iovaToPhys(domain: IommuDomain, iova: u64): u64 {
    return the<First>().is(domain.format) ? the<First>().iovaToPhys(domain, iova) : the<Rest>().iovaToPhys(domain, iova);
  }

  // @ts-ignore: decorator
  @inline
  translates(domain: IommuDomain, iova: u64): bool {
    return the<First>().is(domain.format) ? the<First>().translates(domain, iova) : the<Rest>().translates(domain, iova);
  }

  flushMapped(domain: IommuDomain, iova: u64, size: u64): void {
    if (the<First>().is(domain.format)) the<First>().flushMapped(domain, iova, size);
    else the<Rest>().flushMapped(domain, iova, size);
  }

  attach(unit: Iommu, device: DmaDevice, domain: IommuDomain | null): i32 {
    return the<First>().is(unit.format) ? the<First>().attach(unit, device, domain) : the<Rest>().attach(unit, device, domain);
  }

  detach(unit: Iommu, device: DmaDevice): bool {
    return the<First>().is(unit.format) ? the<First>().detach(unit, device) : the<Rest>().detach(unit, device);
  }

  lookup(unit: Iommu, device: DmaDevice, address: u64, write: bool): IommuDomain | null {
    return the<First>().is(unit.format) ? the<First>().lookup(unit, device, address, write) : the<Rest>().lookup(unit, device, address, write);
  }

  walk(domain: IommuDomain, address: u64): u64 {
    return the<First>().is(domain.format) ? the<First>().walk(domain, address) : the<Rest>().walk(domain, address);
  }

  blocked(unit: Iommu, device: DmaDevice, domain: IommuDomain, address: u64, write: bool): void {
    if (the<First>().is(unit.format)) the<First>().blocked(unit, device, domain, address, write);
    else the<Rest>().blocked(unit, device, domain, address, write);
  }

  check(domain: IommuDomain): u32 {
    return the<First>().is(domain.format) ? the<First>().check(domain) : the<Rest>().check(domain);
  }

  attached(unit: Iommu): u32 {
    return the<First>().is(unit.format) ? the<First>().attached(unit) : the<Rest>().attached(unit);
  }

  tablesDump(domain: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
    return the<First>().is(domain.format) ? the<First>().tablesDump(domain, first, last, buffer, size, skip) : the<Rest>().tablesDump(domain, first, last, buffer, size, skip);
  }

  leavesDump(domain: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
    return the<First>().is(domain.format) ? the<First>().leavesDump(domain, first, last, buffer, size, skip) : the<Rest>().leavesDump(domain, first, last, buffer, size, skip);
  }
}
