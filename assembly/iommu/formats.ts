// The list of formats, and the functions that each format has. All other code of iommu/ and above uses formats by these functions
// alone. A format does not import this file.
//
// A new format is a folder with these functions, a number here, and one line in each of them. Its domain extends
// IommuDomain (at most DOMAIN_SIZE bytes), its record per CPU extends DomainCpu (DOMAIN_CPU_SIZE). It allocates table
// pages by tables.ts, and counts those of a domain in domain.tablePages and those of the device table in unit.devicePages.

import { DmaDevice } from '../device/device';
import { EINVAL } from '../errno';
import { EVENT_IOMMU_MAP, EVENT_IOMMU_UNMAP, emit } from '../events/events';
import { Context } from '../memory/context';
import { REASON_IOMMU_MISALIGNED, setReason } from '../reason';
import { IommuDomain } from './domain';
import { Iommu } from './unit';
import { amdCheck } from './amdv1/check';
import { amdAttach, amdAttached, amdDetach, amdLookup } from './amdv1/device-table';
import { amdDomainFree, amdDomainInit, amdWidth } from './amdv1/amd-domain';
import { amdLeavesDump, amdTablesDump } from './amdv1/dump';
import { amdMap, amdMapPfns } from './amdv1/map';
import { amdUnmap } from './amdv1/unmap';
import { amdBlocked, amdIovaToPhys, amdWalk } from './amdv1/walk';
import { vtdAttach, vtdAttached, vtdDetach, vtdLookup } from './vtd/context-entry';
import { vtdCheck, vtdDomainFree, vtdDomainInit, vtdWidth } from './vtd/vtd-domain';
import { vtdLeavesDump, vtdTablesDump } from './vtd/dump';
import { vtdBlocked } from './vtd/fault';
import { vtdMap, vtdMapPfns } from './vtd/map';
import { vtdUnmap } from './vtd/unmap';
import { vtdIovaToPhys, vtdTranslates, vtdWalk } from './vtd/walk';

/** Intel VT-d, second-stage tables (vtd/). */
export const FORMAT_VTD: u32 = 0;

/** AMD's I/O page tables of version 1 (amdv1/). */
export const FORMAT_AMDV1: u32 = 1;

export const FORMATS: u32 = 2;

// ---- domains ----

/**
 * The width of domains of a given shape.
 * @param levels of the tables
 * @param width bits of an IOVA, 0 for all that the levels give
 * @param pageSizes iommu_domain.pgsize_bitmap
 * @returns bits of an IOVA, 0 if the shape is not possible
 */
export function formatWidth(format: u32, levels: u32, width: u32, pageSizes: u64): u32 {
  return format == FORMAT_VTD ? vtdWidth(levels, width, pageSizes) : amdWidth(width, pageSizes);
}

/**
 * Makes a new domain's tables. The record is zeroed but for ctx, format, id, flags, levels and width.
 * @returns false without a table page, with none taken
 */
export function domainInit(domain: IommuDomain, pageSizes: u64): bool {
  return domain.format == FORMAT_VTD ? vtdDomainInit(domain, pageSizes) : amdDomainInit(domain, pageSizes);
}

/** Frees all of a domain's tables. No device is attached, nothing of it is in the IOTLB. */
export function domainFree(domain: IommuDomain): void {
  if (domain.format == FORMAT_VTD) vtdDomainFree(domain);
  else amdDomainFree(domain);
}

// ---- tables: the hot paths ----

/**
 * Maps [iova, iova + size) to [phys, phys + size) (iommu_map).
 * A failed map is undone by an unmap of what was mapped, with an event for it, as in iommu_map. Formats are called with multiples of
 * 4 KiB only.
 * @param prot PROT_READ | PROT_WRITE; other bits are ignored
 * @returns 0, or a negative errno with the reason in cpu.reason
 */
// @ts-ignore: decorator
@inline
export function iommuMap(domain: IommuDomain, iova: u64, phys: u64, size: u64, prot: u32): i32 {
  if (((iova | phys | size) & 4095) != 0) return misaligned(domain.ctx);
  const rc = domain.format == FORMAT_VTD ? vtdMap(domain, iova, phys, size, prot) : amdMap(domain, iova, phys, size, prot);
  const ctx = domain.ctx;
  if (ctx.events != 0 && rc == 0) {
    emit(ctx, EVENT_IOMMU_MAP, 0, iova, phys, size, prot, domain.id);
  }
  return rc;
}

/**
 * Maps count single frames at consecutive IOVA pages, as iommuMap for each run of adjacent frames does.
 * @param pfns vector of u32 pfns
 * @returns as iommuMap; a range that crosses the domain's width is refused whole
 */
// @ts-ignore: decorator
@inline
export function iommuMapPfns(domain: IommuDomain, iova: u64, pfns: usize, count: u32, prot: u32): i32 {
  if ((iova & 4095) != 0) return misaligned(domain.ctx);
  const rc = domain.format == FORMAT_VTD ? vtdMapPfns(domain, iova, pfns, count, prot) : amdMapPfns(domain, iova, pfns, count, prot);
  const ctx = domain.ctx;
  if (ctx.events != 0 && rc == 0) emitRuns(ctx, domain, iova, pfns, count, prot);
  return rc;
}

/**
 * Unmaps [iova, iova + size) (iommu_unmap_fast). Pages that are not mapped are no error. The format calls iotlbUnmapped; the caller
 * invalidates the IOTLB.
 * @returns bytes unmapped as the kernel counts them, which may be more than size; 0 with the reason in cpu.reason for addresses or
 *   sizes that are not multiples of 4 KiB
 */
// @ts-ignore: decorator
@inline
export function iommuUnmap(domain: IommuDomain, iova: u64, size: u64): u64 {
  if (((iova | size) & 4095) != 0) {
    misaligned(domain.ctx);
    return 0;
  }
  const done = domain.format == FORMAT_VTD ? vtdUnmap(domain, iova, size) : amdUnmap(domain, iova, size);
  const ctx = domain.ctx;
  if (ctx.events != 0) emit(ctx, EVENT_IOMMU_UNMAP, 0, iova, done, size, 0, domain.id);
  return done;
}

/** Physical address of an IOVA, or 0 if it is not mapped (iommu_iova_to_phys). */
// @ts-ignore: decorator
@inline
export function iommuIovaToPhys(domain: IommuDomain, iova: u64): u64 {
  return domain.format == FORMAT_VTD ? vtdIovaToPhys(domain, iova) : amdIovaToPhys(domain, iova);
}

/** Whether iommuIovaToPhys is not 0; called by each unmap of a page. */
// @ts-ignore: decorator
@inline
export function iommuTranslates(domain: IommuDomain, iova: u64): bool {
  return domain.format == FORMAT_VTD ? vtdTranslates(domain, iova) : amdIovaToPhys(domain, iova) != 0;
}

// ---- device accesses ----

/** Writes a device's entry into the device table. Contract of attachDevice (access.ts). */
export function formatAttach(unit: Iommu, device: DmaDevice, domain: IommuDomain | null): i32 {
  return unit.format == FORMAT_VTD ? vtdAttach(unit, device, domain) : amdAttach(unit, device, domain);
}

/** Clears a device's entry. Returns false when it has none. */
export function formatDetach(unit: Iommu, device: DmaDevice): bool {
  return unit.format == FORMAT_VTD ? vtdDetach(unit, device) : amdDetach(unit, device);
}

/**
 * Looks up a device in the device table.
 * @returns its domain, passThrough() (unit.ts), or null for an access that is blocked: the fault is recorded
 */
export function formatLookup(unit: Iommu, device: DmaDevice, address: u64, write: bool): IommuDomain | null {
  return unit.format == FORMAT_VTD ? vtdLookup(unit, device, address, write) : amdLookup(unit, device, address, write);
}

/** Looks up an address in the tables: a leaf as leafPack (domain.ts) makes it, 0 if not mapped. Permissions are not checked. */
export function formatWalk(domain: IommuDomain, address: u64): u64 {
  return domain.format == FORMAT_VTD ? vtdWalk(domain, address) : amdWalk(domain, address);
}

/** Records that an access was blocked: beyond the domain's width, or without a translation that allows it. */
export function formatBlocked(unit: Iommu, device: DmaDevice, domain: IommuDomain, address: u64, write: bool): void {
  if (unit.format == FORMAT_VTD) vtdBlocked(unit, device, domain, address, write);
  else amdBlocked(unit, device, domain, address, write);
}

// ---- dumps and checks ----

/** Every entry of a domain, depth first. Contract of tablesDump (vtd/dump.ts). */
export function tablesDump(domain: IommuDomain, buffer: usize, size: u32, skip: u32): u32 {
  return domain.format == FORMAT_VTD ? vtdTablesDump(domain, buffer, size, skip) : amdTablesDump(domain, buffer, size, skip);
}

/** The leaves of pages [first, last]. Contract of leavesDump (vtd/dump.ts). */
export function leavesDump(domain: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
  return domain.format == FORMAT_VTD ? vtdLeavesDump(domain, first, last, buffer, size, skip) : amdLeavesDump(domain, first, last, buffer, size, skip);
}

/** Walks a domain's tables. Returns 0, or what is wrong: 1 an entry, 2 the number of table pages, 3 the position of a CPU. */
export function formatCheck(domain: IommuDomain): u32 {
  return domain.format == FORMAT_VTD ? vtdCheck(domain) : amdCheck(domain);
}

/** Entries of the device table that are present. */
export function formatAttached(unit: Iommu): u32 {
  return unit.format == FORMAT_VTD ? vtdAttached(unit) : amdAttached(unit);
}

// 4 KiB is the smallest page of every format.
function misaligned(ctx: Context): i32 {
  setReason(ctx, REASON_IOMMU_MISALIGNED);
  return EINVAL;
}

function emitRuns(ctx: Context, domain: IommuDomain, iova: u64, pfns: usize, count: u32, prot: u32): void {
  let start: u32 = 0;
  for (let i: u32 = 1; i <= count; ++i) {
    const first = load<u32>(pfns + (<usize>start << 2));
    if (i < count && load<u32>(pfns + (<usize>i << 2)) == first + (i - start)) continue;
    const size = <u64>(i - start) << 12;
    emit(ctx, EVENT_IOMMU_MAP, 0, iova + (<u64>start << 12), <u64>first << 12, size, prot, domain.id);
    start = i;
  }
}
