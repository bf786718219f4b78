// Root and context entries: how the unit gets from a device's requester id to its domain (VT-d specification, 9.1, 9.3).
//
//   root table     256 entries of 16 bytes, by bus:    low: bit 0 present, bits 63..12 context table
//   context table  256 entries of 16 bytes, by devfn:  low: bit 0 present, bit 1 fault processing disabled,
//                                                           bits 3..2 translation type, bits 63..12 root of the tables
//                                                      high: bits 2..0 address width (agaw), bits 23..8 domain id
//
// Both are real pages of linear memory, and accesses go through them: a device whose entry is gone faults with reason
// 2, one whose bus has no table with reason 1. A passthrough device has an entry as well, of a type that translates nothing.

import { EBUSY, EINVAL, ENOMEM } from '../errno';
import { Context } from '../memory/context';
import { REASON_NO_TABLE_MEMORY, setReason } from '../reason';
import { DEVICE_BEHIND_IOMMU, DEVICE_PASSTHROUGH, DmaDevice } from '../dma/device';
import { IommuDomain } from './domain';
import { iotlbFlushDomain } from './iotlb';
import { PTE_ADDRESS, TABLE_WINDOW, tableOf } from './pte';
import { Iommu, iommuOf, tableAllocZeroed, tableFree } from './unit';

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
  if (unit.rootTable == 0) return null;
  const root = load<u64>(unit.rootTable + (<usize>(sourceId >> 8) << 4));
  return (root & ENTRY_PRESENT) == 0 ? null : changetype<ContextEntry>(tableOf(root) + (<usize>(sourceId & 255) << 4));
}

/** contextEntry, with the root table and the context table made where they are missing; null without memory. */
function contextEntryMake(unit: Iommu, sourceId: u32): ContextEntry | null {
  if (unit.rootTable == 0) {
    const root = tableAllocZeroed(unit);
    if (root == 0) return null;
    unit.rootTable = root;
  }
  const at = contextEntry(unit, sourceId);
  if (at != null) return at;
  const table = tableAllocZeroed(unit);
  if (table == 0) return null;
  ++unit.contextTables;
  store<u64>(unit.rootTable + (<usize>(sourceId >> 8) << 4), TABLE_WINDOW | <u64>table | ENTRY_PRESENT);
  return contextEntry(unit, sourceId);
}

/**
 * Puts a device behind a domain: writes its context entry.
 * @param domain null for a device of DEVICE_PASSTHROUGH
 * @returns 0; -EINVAL for a requester id above 0xffff or no domain where one is needed; -EBUSY when another attachment
 *   of this requester id stands; -ENOMEM
 */
export function attachDevice(device: DmaDevice, domain: IommuDomain | null): i32 {
  const ctx = device.ctx;
  const passthrough = (device.flags & DEVICE_PASSTHROUGH) != 0;
  if (device.sourceId > 0xffff || passthrough == (domain != null)) return EINVAL;
  if (iommuOf(ctx) == null) return ENOMEM;
  const unit = changetype<Iommu>(ctx.iommu);
  const hadRoot = unit.rootTable;
  const entry = contextEntryMake(unit, device.sourceId);
  if (entry == null) {
    if (hadRoot == 0 && unit.rootTable != 0) {
      tableFree(unit, unit.rootTable);
      unit.rootTable = 0;
    }
    setReason(ctx, REASON_NO_TABLE_MEMORY);
    return ENOMEM;
  }
  if ((entry.low & ENTRY_PRESENT) != 0) return EBUSY;
  if (passthrough) {
    entry.high = PASSTHROUGH_ID << 8 | 2;
    entry.low = ENTRY_PRESENT | CONTEXT_TYPE_PASSTHROUGH;
  } else {
    const target = domain!;
    entry.high = (<u64>target.id << 8) | (target.levels - 2);
    entry.low = TABLE_WINDOW | <u64>target.root | ENTRY_PRESENT | CONTEXT_TYPE_MULTI_LEVEL;
    ++target.attached;
  }
  device.domain = domain;
  device.flags |= DEVICE_BEHIND_IOMMU;
  return 0;
}

/** Takes a device's context entry away and invalidates what its domain has cached. Nothing when it has none. */
export function detachDevice(device: DmaDevice): void {
  const ctx = device.ctx;
  const entry: ContextEntry | null = ctx.iommu == 0 ? null : contextEntry(changetype<Iommu>(ctx.iommu), device.sourceId);
  if (entry == null || (entry.low & ENTRY_PRESENT) == 0) return;
  entry.low = 0;
  entry.high = 0;
  if (device.domain == null) return;
  const domain = device.domain!;
  --domain.attached;
  iotlbFlushDomain(domain);
  device.domain = null;
}

/** The domain whose root a context entry names. */
export function contextDomain(unit: Iommu, entry: u64, id: u32): IommuDomain | null {
  for (let domain = unit.domains; domain != null; domain = domain!.next) {
    if (domain.id == id) return (entry & PTE_ADDRESS) == (TABLE_WINDOW | <u64>domain.root) ? domain : null;
  }
  return null;
}
