// Faults in the hardware's own words: reasons of legacy-mode translation (VT-d specification, appendix A) and the fault
// recording register (11.4.14).
//
//   low    63..12 page address of the fault
//   high   15..0 requester id    39..32 reason    62 1 for a read    63 F: there is a fault

import { DmaDevice } from '../../device/device';
import { logFault } from '../fault-log';
import { Iommu } from '../unit';

export const VTD_ROOT_NOT_PRESENT: u32 = 0x01;
export const VTD_CONTEXT_NOT_PRESENT: u32 = 0x02;
export const VTD_CONTEXT_INVALID: u32 = 0x03;
export const VTD_BEYOND_WIDTH: u32 = 0x04;
export const VTD_WRITE: u32 = 0x05;
export const VTD_READ: u32 = 0x06;
export const VTD_TABLE_POINTER: u32 = 0x07;

const RECORD_READ: u64 = 1 << 62;
const RECORD_FAULT: u64 = 1 << 63;

/** Records a device's access that the unit blocked. */
export function vtdFault(unit: Iommu, device: DmaDevice, address: u64, write: bool, reason: u32, domainId: u32): void {
  const high = RECORD_FAULT | (write ? 0 : RECORD_READ) | (<u64>reason << 32) | device.sourceId;
  logFault(unit, device, address, write, reason, domainId, address & ~4095, high);
}
