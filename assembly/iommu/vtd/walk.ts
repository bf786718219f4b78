// Looking an IOVA up in the tables of a VT-d domain.

import { PAGE_SHIFT } from '../../ram/ram';
import { IommuDomain, leafPack, leafPhys } from '../domain';
import { PTE_ADDRESS, PTE_LARGE, PTE_PRESENT, levelShift, slotAt, tableOf } from './pte';
import { LEAF_SHIFT, pfnLimit, positionOf, vtdOf } from './tables';

/** VtdFormat.walk. */
export function vtdWalk(at: IommuDomain, address: u64): u64 {
  const domain = vtdOf(at);
  const pfn = address >> PAGE_SHIFT;
  if (pfn >= pfnLimit(domain)) return 0;
  let table = domain.root;
  let level = domain.levels;
  do {
    const entry = load<u64>(slotAt(table, pfn, level));
    if (entry == 0) return 0;
    // READ and WRITE are the same bits in an entry as in prot.
    if (level == 1 || (entry & PTE_LARGE) != 0) {
      return leafPack(entry & PTE_ADDRESS, PAGE_SHIFT + levelShift(level), <u32>(entry & PTE_PRESENT));
    }
    table = tableOf(entry);
    --level;
  } while (level != 0);
  return 0;
}

/** iommuIovaToPhys (intel_iommu_iova_to_phys). */
export function vtdIovaToPhys(at: IommuDomain, iova: u64): u64 {
  const leaf = vtdWalk(at, iova);
  return leaf == 0 ? 0 : leafPhys(leaf, iova);
}

/** iommuTranslates. The leaf table of the last call answers without a walk. */
// @ts-ignore: decorator
@inline
export function vtdTranslates(at: IommuDomain, iova: u64): bool {
  const domain = vtdOf(at);
  const position = positionOf(domain);
  if (position.leafKey == iova >> LEAF_SHIFT && position.leafGeneration == domain.leafGeneration) {
    return (load<u64>(slotAt(position.leaf, iova >> PAGE_SHIFT, 1)) & PTE_ADDRESS) != 0;
  }
  return vtdIovaToPhys(at, iova) != 0;
}
