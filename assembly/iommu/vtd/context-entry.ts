// Root and context entries: the domain of a requester id (VT-d specification, 9.1, 9.3).
//
//   root table     256 entries of 16 bytes, by bus:    low: bit 0 present, bits 63..12 context table
//   context table  256 entries of 16 bytes, by devfn:  low: bit 0 present, bit 1 fault processing disabled,
//                                                           bits 3..2 translation type, bits 63..12 root of the tables
//                                                      high: bits 2..0 address width (agaw), bits 23..8 domain id
//
// Both are table pages, and accesses read them: a device without an entry faults with reason 2, one whose bus has no table with
// reason 1. A passthrough device has an entry, too, whose type is not to translate.

import { DmaDevice } from '../../device/device';
import { EBUSY, ENOMEM } from '../../memory/errno';
import { REASON_IOMMU_NO_TABLE_MEMORY, setReason } from '../../memory/reason';
import { IommuDomain, domainOf } from '../domain';
import { TABLE_WINDOW, tableAllocZeroed, tableFree } from '../tables';
import { Iommu, passThrough } from '../unit';
import { VTD_CONTEXT_INVALID, VTD_CONTEXT_NOT_PRESENT, VTD_ROOT_NOT_PRESENT, vtdFault } from './fault-record';
import { PTE_ADDRESS, tableOf } from './pte';

export const ENTRY_PRESENT: u64 = 1;
export const CONTEXT_FAULT_DISABLE: u64 = 2;
export const CONTEXT_TYPE: u64 = 12;
export const CONTEXT_TYPE_MULTI_LEVEL: u64 = 0;
export const CONTEXT_TYPE_PASSTHROUGH: u64 = 8;

/** Domain id of passthrough entries: their own, so that no real domain's invalidations touch them (FLPT_DEFAULT_DID). */
const PASSTHROUGH_ID: u64 = 1;

// @ts-ignore: decorator
@unmanaged
export class ContextEntry {
  low: u64;
  high: u64;
}

/** The context entry of a requester id, null when its bus has no context table. */
export function contextEntry(unit: Iommu, sourceId: u32): ContextEntry | null {
  if (unit.deviceTable == 0) return null;
  const root = load<u64>(unit.deviceTable + (<usize>(sourceId >> 8) << 4));
  return (root & ENTRY_PRESENT) == 0 ? null : changetype<ContextEntry>(tableOf(root) + (<usize>(sourceId & 255) << 4));
}

/** contextEntry, with the root table and the context table made where they are missing; null without memory. */
function contextEntryMake(unit: Iommu, sourceId: u32): ContextEntry | null {
  if (unit.deviceTable == 0) {
    const root = tableAllocZeroed(unit);
    if (root == 0) return null;
    unit.deviceTable = root;
    ++unit.devicePages;
  }
  const at = contextEntry(unit, sourceId);
  if (at != null) return at;
  const table = tableAllocZeroed(unit);
  if (table == 0) return null;
  ++unit.devicePages;
  store<u64>(unit.deviceTable + (<usize>(sourceId >> 8) << 4), TABLE_WINDOW | <u64>table | ENTRY_PRESENT);
  return contextEntry(unit, sourceId);
}

/** VtdFormat.attach: writes the context entry. */
export function vtdAttach(unit: Iommu, device: DmaDevice, domain: IommuDomain | null): i32 {
  const hadRoot = unit.deviceTable;
  const entry = contextEntryMake(unit, device.sourceId);
  if (entry == null) {
    if (hadRoot == 0 && unit.deviceTable != 0) {
      tableFree(unit, unit.deviceTable);
      unit.deviceTable = 0;
      --unit.devicePages;
    }
    setReason(device.ctx, REASON_IOMMU_NO_TABLE_MEMORY);
    return ENOMEM;
  }
  if ((entry.low & ENTRY_PRESENT) != 0) return EBUSY;
  if (domain == null) {
    entry.high = PASSTHROUGH_ID << 8 | 2;
    entry.low = ENTRY_PRESENT | CONTEXT_TYPE_PASSTHROUGH;
  } else {
    entry.high = (<u64>domain.id << 8) | (domain.levels - 2);
    entry.low = TABLE_WINDOW | <u64>domain.root | ENTRY_PRESENT | CONTEXT_TYPE_MULTI_LEVEL;
  }
  return 0;
}

/** VtdFormat.detach. */
export function vtdDetach(unit: Iommu, device: DmaDevice): bool {
  const entry = contextEntry(unit, device.sourceId);
  if (entry == null || (entry.low & ENTRY_PRESENT) == 0) return false;
  entry.low = 0;
  entry.high = 0;
  return true;
}

/** VtdFormat.lookup. */
export function vtdLookup(unit: Iommu, device: DmaDevice, address: u64, write: bool): IommuDomain | null {
  const context = contextEntry(unit, device.sourceId);
  if (context == null) {
    vtdFault(unit, device, address, write, VTD_ROOT_NOT_PRESENT, 0);
    return null;
  }
  const entry = context.low;
  const id = <u32>(context.high >> 8) & 0xffff;
  if ((entry & ENTRY_PRESENT) == 0) {
    vtdFault(unit, device, address, write, VTD_CONTEXT_NOT_PRESENT, 0);
    return null;
  }
  const kind = entry & CONTEXT_TYPE;
  if (kind == CONTEXT_TYPE_PASSTHROUGH) return passThrough();
  // The entry decides; it nearly always has the domain that the device is attached to.
  let domain = domainOf(device);
  if (domain == null || domain.id != id) domain = contextDomain(unit, entry, id);
  if (domain == null || kind != CONTEXT_TYPE_MULTI_LEVEL) {
    vtdFault(unit, device, address, write, VTD_CONTEXT_INVALID, id);
    return null;
  }
  return domain;
}

/** Whether faults of a device are not recorded (FPD in its context entry). */
export function faultsSilent(unit: Iommu, device: DmaDevice): bool {
  const context = contextEntry(unit, device.sourceId);
  return context != null && (context.low & CONTEXT_FAULT_DISABLE) != 0;
}

/** The domain whose root a context entry names. */
export function contextDomain(unit: Iommu, entry: u64, id: u32): IommuDomain | null {
  for (let domain = unit.domains; domain != null; domain = domain!.next) {
    if (domain.id == id) return (entry & PTE_ADDRESS) == (TABLE_WINDOW | <u64>domain.root) ? domain : null;
  }
  return null;
}

/** VtdFormat.attached. */
export function vtdAttached(unit: Iommu): u32 {
  if (unit.deviceTable == 0) return 0;
  let count: u32 = 0;
  for (let bus: usize = 0; bus < 256; ++bus) {
    const root = load<u64>(unit.deviceTable + (bus << 4));
    if ((root & ENTRY_PRESENT) == 0) continue;
    for (let i: usize = 0; i < 256; ++i) {
      if ((load<u64>(tableOf(root) + (i << 4)) & ENTRY_PRESENT) != 0) ++count;
    }
  }
  return count;
}
