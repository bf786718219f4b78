// Faults in the hardware's own words: reasons of legacy-mode translation (VT-d specification, appendix A) and the fault
// recording register (11.4.14).
//
//   low    63..12 page address of the fault
//   high   15..0 requester id    39..32 reason    62 1 for a read    63 F: there is a fault

import { DmaDevice } from '../../device/device';
import { KMSG_FAULT_STATUS, LIMIT_FAULTS, kmsg, kmsgAllowed } from '../../kmsg/kmsg';
import { PAGE_MASK } from '../../ram/ram';
import { logFault, sayFault } from '../fault-log';
import { Iommu } from '../unit';

export const VTD_ROOT_NOT_PRESENT: u32 = 0x01;
export const VTD_CONTEXT_NOT_PRESENT: u32 = 0x02;
export const VTD_CONTEXT_INVALID: u32 = 0x03;
export const VTD_BEYOND_WIDTH: u32 = 0x04;
export const VTD_WRITE: u32 = 0x05;
export const VTD_READ: u32 = 0x06;
export const VTD_TABLE_POINTER: u32 = 0x07;

/** The fault status register with one fault in the first record (DMA_FSTS_PPF). */
const FAULT_PENDING: u32 = 2;

const RECORD_READ: u64 = 1 << 62;
const RECORD_FAULT: u64 = 1 << 63;

/** Records a device's access that the unit blocked. */
export function vtdFault(unit: Iommu, device: DmaDevice, address: u64, write: bool, reason: u32, domainId: u32): void {
  const high = RECORD_FAULT | (write ? 0 : RECORD_READ) | (<u64>reason << 32) | device.sourceId;
  logFault(unit, device, address, write, reason, domainId, address & ~PAGE_MASK, high);
  // The handler (dmar_fault) asks for each line that it prints, and once more before it finds that there is no other fault.
  const ctx = unit.ctx;
  if (kmsgAllowed(ctx, LIMIT_FAULTS)) kmsg(ctx, KMSG_FAULT_STATUS, device.id, 0, 0, 0, 0, FAULT_PENDING, 0);
  sayFault(device, address, write, reason, domainId);
  kmsgAllowed(ctx, LIMIT_FAULTS);
}
