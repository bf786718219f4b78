// Accesses that a VT-d domain does not allow.

import { DmaDevice } from '../../device/device';
import { IommuDomain, addressLimit } from '../domain';
import { Iommu } from '../unit';
import { faultsSilent } from './context-entry';
import { VTD_BEYOND_WIDTH, VTD_READ, VTD_WRITE, vtdFault } from './fault-record';

/** VtdFormat.blocked. */
export function vtdBlocked(unit: Iommu, device: DmaDevice, domain: IommuDomain, address: u64, write: bool): void {
  if (faultsSilent(unit, device)) return;
  const reason = address >= addressLimit(domain) ? VTD_BEYOND_WIDTH : write ? VTD_WRITE : VTD_READ;
  vtdFault(unit, device, address, write, reason, domain.id);
}
