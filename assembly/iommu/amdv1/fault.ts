// Faults in the hardware's own words: an IO_PAGE_FAULT entry of the event log (AMD I/O Virtualization Technology
// Specification, section 2.5.3).
//
//   low    15..0 requester id    47..32 domain id    59..48 flags: PR 0x10, RW 0x20, PE 0x40    63..60 code 2
//   high   address
//
// PR: the page is present. RW: a write. PE: it is there and does not allow that.

import { DmaDevice } from '../../device/device';
import { logFault, sayFault } from '../fault-log';
import { Iommu } from '../unit';

export const IO_PAGE_FAULT: u32 = 2;
export const FAULT_FLAG_PRESENT: u32 = 0x10;
export const FAULT_FLAG_WRITE: u32 = 0x20;
export const FAULT_FLAG_PERMISSION: u32 = 0x40;

/** Records a device's access that the unit blocked. */
export function amdFault(unit: Iommu, device: DmaDevice, address: u64, write: bool, domainId: u32, present: bool): void {
  let flags: u32 = write ? FAULT_FLAG_WRITE : 0;
  if (present) flags |= FAULT_FLAG_PRESENT | FAULT_FLAG_PERMISSION;
  const low = device.sourceId | (<u64>domainId << 32) | (<u64>flags << 48) | (<u64>IO_PAGE_FAULT << 60);
  logFault(unit, device, address, write, flags, domainId, low, address);
  sayFault(device, address, write, flags, domainId);
}
