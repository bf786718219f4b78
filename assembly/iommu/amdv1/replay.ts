// Calls for comparing a domain with a kernel: addresses of all 64 bits, the flush after an unmap, a limit of table pages. The host
// passes BigInts; none of these calls is on a hot path.

import { IommuDomain } from '../domain';
import { tablesDump } from '../dump';
import { PAGE_SHIFT } from '../../ram/ram';
import { amdOf } from './amd-domain';
import { flushGathered, flushPages } from './flush';
import { AmdFormat } from './format';
import { amdMap } from './map';
import { amdUnmap } from './unmap';
import { amdIovaToPhys } from './walk';

/** iommu_map of multiples of the page size: with the flush, where maps flush. Contract of amdMap. */
export function amdReplayMap(domain: IommuDomain, iova: u64, phys: u64, size: u64, prot: u32): i32 {
  const rc = amdMap(domain, iova, phys, size, prot);
  if (domain.flushesMaps && rc == 0 && size != 0) flushPages(amdOf(domain), iova, size);
  return rc;
}

/** iommu_unmap: with the flush. */
export function amdReplayUnmap(domain: IommuDomain, iova: u64, size: u64): u64 {
  const done = amdUnmap(domain, iova, size);
  flushGathered(amdOf(domain));
  return done;
}

/** iommu_unmap of what is not a multiple of the page size: nothing is unmapped, and flushed all the same. */
export function amdReplayRefused(domain: IommuDomain): void {
  amdUnmap(domain, 0, 0);
  flushGathered(amdOf(domain));
}

/** iommu_iova_to_phys. */
export function amdReplayIovaToPhys(domain: IommuDomain, iova: u64): u64 {
  return amdIovaToPhys(domain, iova);
}

/** The entries whose slots meet [first, last]. Contract of tablesDump. */
export function amdEntriesDump(domain: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
  return tablesDump<AmdFormat>(domain, first >> PAGE_SHIFT, last >> PAGE_SHIFT, buffer, size, skip);
}

/** Table pages that a domain may have, 0 for no limit. */
export function amdReplayLimit(domain: IommuDomain, pages: u32): void {
  amdOf(domain).tableLimit = pages;
}

/** Whether maps flush, too (amd_iommu_np_cache): elsewhere a property of the unit. */
export function amdReplayNpCache(domain: IommuDomain, on: bool): void {
  domain.flushesMaps = on;
}

/** Table pages freed by maps so far. */
export function amdFreed(domain: IommuDomain): u32 {
  return amdOf(domain).freed;
}

/** Levels grown so far. */
export function amdGrown(domain: IommuDomain): u32 {
  return amdOf(domain).grown;
}

/** Table pages that were leaked. */
export function amdLeaked(domain: IommuDomain): u32 {
  return amdOf(domain).leaked;
}
