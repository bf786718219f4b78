// Looking an IOVA up in the tables of an AMD domain: as the kernel does, and as the hardware.

import { DmaDevice } from '../../device/device';
import { IommuDomain, PROT_READ, PROT_WRITE, leafPack } from '../domain';
import { Iommu } from '../unit';
import { AmdDomain, amdOf } from './amd-domain';
import { amdFault } from './fault';
import {
  NEXT_LEVEL_SIZED, PTE_ADDRESS, PTE_READ, PTE_WRITE, firstSlot, isPresent, leafShift, nextLevel, slotAt, tableOf, topOf,
} from './pte';

/**
 * The slot of the page at an address, the first one of its set (fetch_pte); domain.foundShift is its size. 0 where the
 * walk ends above level 1. At level 1 it ends at an entry that may be empty.
 */
export function slotFind(domain: AmdDomain, iova: u64): usize {
  if (iova > topOf(domain.levels)) return 0;
  let table = domain.root;
  let level = domain.levels;
  while (true) {
    const slot = slotAt(table, iova, level);
    const entry = load<u64>(slot);
    if (level > 1 && !isPresent(entry)) return 0;
    const next = nextLevel(entry);
    if (level == 1 || next == 0 || next == NEXT_LEVEL_SIZED) {
      const shift = leafShift(entry, level);
      domain.foundShift = shift;
      return firstSlot(slot, shift);
    }
    table = tableOf(entry);
    --level;
  }
}

/** iommuIovaToPhys (iommu_v1_iova_to_phys): what the first entry of the page's set leads to, whatever that is now. */
export function amdIovaToPhys(at: IommuDomain, iova: u64): u64 {
  const domain = amdOf(at);
  const slot = slotFind(domain, iova);
  const entry: u64 = slot == 0 ? 0 : load<u64>(slot);
  if (!isPresent(entry)) return 0;
  const offset = ((<u64>1) << domain.foundShift) - 1;
  return ((entry & PTE_ADDRESS) & ~offset) | (iova & offset);
}

/** AmdFormat.walk: the hardware takes the very entry of the address, not the first of its set. */
export function amdWalk(at: IommuDomain, address: u64): u64 {
  const domain = amdOf(at);
  if (address > topOf(domain.levels)) return 0;
  let table = domain.root;
  let level = domain.levels;
  while (true) {
    const entry = load<u64>(slotAt(table, address, level));
    if (!isPresent(entry)) return 0;
    const next = nextLevel(entry);
    if (next == 0 || next == NEXT_LEVEL_SIZED) {
      const shift = leafShift(entry, level);
      const prot = ((entry & PTE_READ) != 0 ? PROT_READ : 0) | ((entry & PTE_WRITE) != 0 ? PROT_WRITE : 0);
      return leafPack((entry & PTE_ADDRESS) >> shift << shift, shift, prot);
    }
    table = tableOf(entry);
    --level;
  }
}

/** AmdFormat.blocked. */
export function amdBlocked(unit: Iommu, device: DmaDevice, domain: IommuDomain, address: u64, write: bool): void {
  amdFault(unit, device, address, write, domain.id, amdWalk(domain, address) != 0);
}
