// Unmapping in AMD's tables (iommu_v1_unmap_pages). A page is always unmapped whole; an empty entry of 4 KiB counts as
// unmapped; the IOMMU core continues after the bytes that the driver returns, not after the page.

import { PAGE_SHIFT } from '../../ram/ram';
import { IommuDomain } from '../domain';
import { iotlbUnmapped } from '../iotlb';
import { pageCount, pageShift } from '../pgsize';
import { AMD_CALL_UNMAP, noteCall } from './calls';
import { flushGathered } from './flush';
import { AmdDomain, amdOf, tableLose } from './amd-domain';
import { isPointer, nextLevel, slotsShift, tableOf } from './pte';
import { slotFind } from './walk';

/** iommuUnmap. domain.gatherStart and gatherEnd tell what has to be flushed. */
export function amdUnmap(at: IommuDomain, iova: u64, size: u64): u64 {
  const domain = amdOf(at);
  domain.gatherStart = 0xffffffffffffffff;
  domain.gatherEnd = 0;
  let unmapped: u64 = 0;
  while (unmapped < size) {
    const from = iova + unmapped;
    const shift = pageShift(domain.sizes, from, size - unmapped);
    const count = pageCount(domain.sizes, from, from, size - unmapped, shift);
    const done = unmapPages(domain, from, count << shift);
    if (domain.calls != 0) noteCall(domain, AMD_CALL_UNMAP, from, (<u64>1) << shift, count, done);
    if (done == 0) break;
    const last = from + done - 1;
    // A unit that caches what is not present is not asked for more than was unmapped (amd_iommu_iotlb_gather_add_page). Ranges are
    // disjoint only after one that ended beyond 2^64.
    if (domain.flushesMaps && domain.gatherEnd != 0 && (last + 1 < domain.gatherStart || from > domain.gatherEnd + 1)) {
      flushGathered(domain);
      domain.gatherStart = 0xffffffffffffffff;
      domain.gatherEnd = 0;
    }
    domain.gatherStart = min(domain.gatherStart, from);
    domain.gatherEnd = max(domain.gatherEnd, last);
    unmapped += done;
  }
  return unmapped;
}

/** One call of the driver: every page that begins or lies in [iova, iova + size), up to where the tables end. */
function unmapPages(domain: AmdDomain, iova: u64, size: u64): u64 {
  let done: u64 = 0;
  while (done < size) {
    const slot = slotFind(domain, iova);
    if (slot == 0) break;
    const shift = domain.foundShift;
    const end = slot + (<usize>8 << slotsShift(shift));
    for (let at = slot; at < end; at += 8) {
      const entry = load<u64>(at);
      if (isPointer(entry)) tableLose(domain, tableOf(entry), nextLevel(entry));
      store<u64>(at, 0);
    }
    const first = iova >> shift << (shift - PAGE_SHIFT);
    iotlbUnmapped(domain, first, first + ((<u64>1) << (shift - PAGE_SHIFT)) - 1);
    done += (<u64>1) << shift;
    iova = (iova >> shift << shift) + ((<u64>1) << shift);
  }
  return done;
}
