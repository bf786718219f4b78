// Accesses that a VT-d domain does not allow.

import { DmaDevice } from '../../device/device';
import { IommuDomain, addressLimit } from '../domain';
import { Iommu } from '../unit';
import { faultsSilent } from './context';
import { FAULT_BEYOND_WIDTH, FAULT_READ, FAULT_WRITE, vtdFault } from './fault-record';

/** formatBlocked. */
export function vtdBlocked(unit: Iommu, device: DmaDevice, domain: IommuDomain, address: u64, write: bool): void {
  if (faultsSilent(unit, device)) return;
  const reason = address >= addressLimit(domain) ? FAULT_BEYOND_WIDTH : write ? FAULT_WRITE : FAULT_READ;
  vtdFault(unit, device, address, write, reason, domain.id);
}
