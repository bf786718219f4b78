// The device table: the domain of a requester id (AMD I/O Virtualization Technology Specification, section 2.2.2).
// Entries of 32 bytes; the first 16 are for translation:
//
//   low    bit 0 V, bit 1 TV, bits 11..9 mode (levels of the tables, 0: addresses pass), bits 51..12 root, 61 IR, 62 IW
//   high   bits 15..0 domain id
//
// The hardware's table is one block of 2 MiB. Here pages of 128 entries are allocated when one of these is first used, and the first
// page points to them. As in Linux, the entry of a device that is not attached is valid and blocks all accesses.

import { DmaDevice } from '../../device/device';
import { EBUSY, ENOMEM } from '../../memory/errno';
import { REASON_IOMMU_NO_TABLE_MEMORY, setReason } from '../../memory/reason';
import { IommuDomain, domainOf } from '../domain';
import { TABLE_WINDOW, tableAllocZeroed, tableFree, TABLE_SIZE } from '../tables';
import { Iommu, passThrough } from '../unit';
import { amdFault } from './fault';
import { PTE_ADDRESS, PTE_READ, PTE_WRITE } from './pte';

const DTE_VALID: u64 = 3; // V and TV
const DTE_MODE_SHIFT: u64 = 9;
const ENTRY_SIZE: usize = 32;
const ENTRIES_SHIFT: u32 = 7; // 128 a page

// @ts-ignore: decorator
@unmanaged
class DeviceEntry {
  low: u64;
  high: u64;
}

/** The entry of a requester id, null while its page is not allocated. */
function deviceEntry(unit: Iommu, sourceId: u32): DeviceEntry | null {
  if (unit.deviceTable == 0) return null;
  const page = <usize>load<u32>(unit.deviceTable + (<usize>(sourceId >> ENTRIES_SHIFT) << 2));
  return page == 0 ? null : changetype<DeviceEntry>(page + <usize>(sourceId & 127) * ENTRY_SIZE);
}

function deviceEntryMake(unit: Iommu, sourceId: u32): DeviceEntry | null {
  const first = unit.deviceTable == 0;
  if (first) {
    unit.deviceTable = tableAllocZeroed(unit);
    if (unit.deviceTable == 0) return null;
    ++unit.devicePages;
  }
  if (deviceEntry(unit, sourceId) == null) {
    const page = tableAllocZeroed(unit);
    if (page == 0) {
      if (first) {
        tableFree(unit, unit.deviceTable);
        unit.deviceTable = 0;
        --unit.devicePages;
      }
      return null;
    }
    ++unit.devicePages;
    store<u32>(unit.deviceTable + (<usize>(sourceId >> ENTRIES_SHIFT) << 2), <u32>page);
  }
  return deviceEntry(unit, sourceId);
}

function translating(domain: IommuDomain): u64 {
  return TABLE_WINDOW | <u64>domain.root | (<u64>domain.levels << DTE_MODE_SHIFT) | PTE_READ | PTE_WRITE | DTE_VALID;
}

/** AmdFormat.attach: writes the device table entry (set_dte_entry). */
export function amdAttach(unit: Iommu, device: DmaDevice, domain: IommuDomain | null): i32 {
  const entry = deviceEntryMake(unit, device.sourceId);
  if (entry == null) {
    setReason(device.ctx, REASON_IOMMU_NO_TABLE_MEMORY);
    return ENOMEM;
  }
  if (entry.low != 0) return EBUSY;
  entry.low = domain == null ? PTE_READ | PTE_WRITE | DTE_VALID : translating(domain);
  entry.high = domain == null ? 0 : domain.id;
  return 0;
}

/** AmdFormat.detach. */
export function amdDetach(unit: Iommu, device: DmaDevice): bool {
  const entry = deviceEntry(unit, device.sourceId);
  if (entry == null || entry.low == 0) return false;
  entry.low = 0;
  entry.high = 0;
  return true;
}

/** Writes root and levels of a domain that has grown into the entries of its devices (update_device_table). */
export function deviceTableSync(unit: Iommu, domain: IommuDomain): void {
  for (let i: usize = 0; i < 512; ++i) {
    const page = <usize>load<u32>(unit.deviceTable + (i << 2));
    if (page == 0) continue;
    for (let at = page, end = page + TABLE_SIZE; at < end; at += ENTRY_SIZE) {
      const entry = changetype<DeviceEntry>(at);
      if (entry.low != 0 && entry.high == domain.id) entry.low = translating(domain);
    }
  }
}

/** AmdFormat.lookup. */
export function amdLookup(unit: Iommu, device: DmaDevice, address: u64, write: bool): IommuDomain | null {
  const entry = deviceEntry(unit, device.sourceId);
  if (entry == null || entry.low == 0) {
    amdFault(unit, device, address, write, 0, false);
    return null;
  }
  if ((entry.low & PTE_ADDRESS) == 0) return passThrough();
  const id = <u32>entry.high;
  let domain = domainOf(device);
  if (domain == null || domain.id != id) domain = domainWithId(unit, id);
  // An entry that names no domain, or another root than the domain's, leads nowhere.
  if (domain == null || entry.low != translating(domain)) {
    amdFault(unit, device, address, write, id, false);
    return null;
  }
  return domain;
}

function domainWithId(unit: Iommu, id: u32): IommuDomain | null {
  for (let domain = unit.domains; domain != null; domain = domain!.next) if (domain.id == id) return domain;
  return null;
}

/** AmdFormat.attached. */
export function amdAttached(unit: Iommu): u32 {
  if (unit.deviceTable == 0) return 0;
  let count: u32 = 0;
  for (let i: usize = 0; i < 512; ++i) {
    const page = <usize>load<u32>(unit.deviceTable + (i << 2));
    if (page == 0) continue;
    for (let at = page, end = page + TABLE_SIZE; at < end; at += ENTRY_SIZE) if (load<u64>(at) != 0) ++count;
  }
  return count;
}
