// A domain: an address space of the unit (struct iommu_domain), for tables of any format.
//
// A format's record extends this one, up to DOMAIN_SIZE bytes. A record of 64 bytes per CPU follows, so that no two CPUs write to
// the same cache line: the CPU's counters, then fields of the format.

import { PAGE_MASK } from '../ram/ram';
import { AttachedDomain, DmaDevice } from '../device/device';
import { Context } from '../memory/context';
import { currentCpu } from '../memory/cpu';
import { fieldOf } from '../memory/record';
import { DmaCookie } from './cookie';

/** IOMMU_READ, IOMMU_WRITE of include/linux/iommu.h; CACHE, NOEXEC, MMIO and PRIV are not in entries. */
export const PROT_READ: u32 = 1;
export const PROT_WRITE: u32 = 2;

// @ts-ignore: decorator
@unmanaged
export class IommuDomain extends AttachedDomain {
  ctx: Context;
  next: IommuDomain | null;
  /** FORMAT_* of the unit. */
  format: u32;
  /** Domain id of the device table and of IOTLB entries. */
  id: u32;
  /** DOMAIN_* of the format. */
  flags: u32;
  /** Present levels of the tables. */
  levels: u32;
  /** Bits of an IOVA (gaw); at most what the levels can span. */
  width: u32;
  root: usize;
  /** Pages in use for tables, the root included. */
  tablePages: u32;
  /** Devices that the domain is attached to. */
  attached: u32;
  /** Entries of this domain in the IOTLB, and how many of them are stale. */
  cached: u32;
  stale: u32;
  /** Bounds of the pfns of cached entries; they are not narrowed when entries are dropped. */
  cachedFirst: u64;
  cachedLast: u64;
  /** Maps over a live entry, which was kept. */
  alreadySet: u32;
  /** A map invalidates what it mapped: the unit caches what is not present (Iommu.npCache). */
  flushesMaps: bool;
  /** For the DMA API (iova_cookie); null for a domain that is only used by iommu_map and iommu_unmap. */
  cookie: DmaCookie | null;
}

/** The domain that a device is attached to, or null. */
// @ts-ignore: decorator
@inline
export function domainOf(device: DmaDevice): IommuDomain | null {
  return changetype<IommuDomain | null>(device.domain);
}

/** A CPU's record of a domain; a format's record extends it. */
// @ts-ignore: decorator
@unmanaged
export class DomainCpu {
  /** Invalidations of this domain by this CPU: of pages, and of all of it. */
  pageInvalidations: u64;
  domainInvalidations: u64;
}

export const DOMAIN_SIZE: usize = 192;
export const DOMAIN_CPU_SIZE: usize = 64;

// @ts-ignore: decorator
@inline
export function domainCpuAt(domain: IommuDomain, cpu: u32): DomainCpu {
  return changetype<DomainCpu>(fieldOf(domain, DOMAIN_SIZE) + <usize>cpu * DOMAIN_CPU_SIZE);
}

/** The present CPU's record of a domain. */
// @ts-ignore: decorator
@inline
export function domainCpuOf(domain: IommuDomain): DomainCpu {
  return domainCpuAt(domain, currentCpu());
}

/** Page-selective invalidations of a domain, over all CPUs. */
export function pageInvalidations(domain: IommuDomain): u64 {
  let sum: u64 = 0;
  for (let cpu: u32 = 0; cpu < domain.ctx.cpuCount; ++cpu) sum += domainCpuAt(domain, cpu).pageInvalidations;
  return sum;
}

/** The same for domain-selective ones. */
export function domainInvalidations(domain: IommuDomain): u64 {
  let sum: u64 = 0;
  for (let cpu: u32 = 0; cpu < domain.ctx.cpuCount; ++cpu) sum += domainCpuAt(domain, cpu).domainInvalidations;
  return sum;
}

/** First IOVA beyond the width (__DOMAIN_MAX_ADDR + 1), or the last of 64 bits. */
// @ts-ignore: decorator
@inline
export function addressLimit(domain: IommuDomain): u64 {
  return domain.width < 64 ? <u64>1 << <u64>domain.width : 0xffffffffffffffff;
}

/**
 * A translation, as a format's walk returns it and the IOTLB caches it.
 *
 *    63..12            7..2                          1    0
 *   | physical address | page size as a power of two | W | R |
 *
 * The address is that of the page, whatever its size. 0: nothing is mapped.
 */
// @ts-ignore: decorator
@inline
export function leafPack(phys: u64, shift: u32, prot: u32): u64 {
  return phys | (<u64>shift << 2) | <u64>prot;
}

// @ts-ignore: decorator
@inline
export function leafShift(leaf: u64): u32 {
  return <u32>(leaf >> 2) & 63;
}

/** The physical address of an address in the page of a leaf. */
// @ts-ignore: decorator
@inline
export function leafPhys(leaf: u64, address: u64): u64 {
  return (leaf & ~PAGE_MASK) | (address & ((<u64>1 << leafShift(leaf)) - 1));
}
