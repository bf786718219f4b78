// Flushes of the driver (amd_iommu_domain_flush_pages).

import { iotlbFlushDomain, iotlbFlushPages } from '../iotlb';
import { AMD_CALL_FLUSH, noteCall } from './calls';
import { AmdDomain } from './amd-domain';

/** From here on the hardware flushes all: cutting is left out (amd_iommu_domain_flush_pages). */
const FLUSH_ALL: u64 = 1 << 52;

/**
 * Flushes [iova, iova + size). A unit that caches what is not present, as a hypervisor's does, is only flushed in aligned powers
 * of two.
 */
export function flushPages(domain: AmdDomain, iova: u64, size: u64): void {
  if (!domain.flushesMaps || size >= FLUSH_ALL) {
    flushOnce(domain, iova, size);
    return;
  }
  while (size != 0) {
    let shift: u64 = 63 - clz(size);
    if (iova != 0) shift = min(shift, ctz(iova));
    flushOnce(domain, iova, (<u64>1) << shift);
    iova += (<u64>1) << shift;
    size -= (<u64>1) << shift;
  }
}

/** Flushes what an unmap has gathered. If it is nothing, 2 bytes at the last address are flushed, as in the kernel. */
export function flushGathered(domain: AmdDomain): void {
  flushPages(domain, domain.gatherStart, domain.gatherEnd - domain.gatherStart + 1);
}

function flushOnce(domain: AmdDomain, iova: u64, size: u64): void {
  if (domain.calls != 0) noteCall(domain, AMD_CALL_FLUSH, iova, size, 1, size);
  // A range that wraps flushes everything.
  if (iova + size < iova) iotlbFlushDomain(domain);
  else iotlbFlushPages(domain, iova, size);
}
