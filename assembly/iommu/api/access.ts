// A device reads and writes memory. Each page of an access is translated as in the hardware: requester id -> device table ->
// IOTLB -> the domain's tables -> frame. An access that is not allowed is recorded as a fault in the hardware's format. An access
// through a cached translation that was unmapped is recorded as stale.

import {
  DEVICE_BEHIND_IOMMU, DEVICE_PASSTHROUGH, DEVICE_TRY_32BIT, DmaDevice, OPS_DIRECT, OPS_IOMMU,
} from '../../device/device';
import { NO_ADDRESS, dmaToPhys } from '../../device/ranges';
import { EFAULT, EINVAL, ENOMEM } from '../../memory/errno';
import { lock, unlock } from '../../memory/lock';
import { physRead, physWrite } from '../../ram/contents';
import { PAGE_MASK, PAGE_SIZE } from '../../ram/ram';
import { REASON_IOMMU_FAULT, REASON_IOMMU_NO_RAM, setReason } from '../../memory/reason';
import { IommuDomain, PROT_READ, PROT_WRITE, addressLimit, domainOf, leafPhys } from '../domain';
import { logStale } from '../fault-log';
import { formats } from '../formats/list';
import { iotlbDrop, iotlbFind, iotlbFlushDomain, iotlbInsert } from '../iotlb';
import { Iommu, iommuOf, passThrough, unitIn } from '../unit';

/**
 * Attaches a device to a domain: writes its entry of the device table. A domain with a cookie serves its DMA API calls, too
 * (iommu_setup_dma_ops).
 * @param domain null for an identity domain: accesses pass the unit as they are
 * @returns 0; -EINVAL for a requester id above 0xffff; -EBUSY when a device with this requester id is attached; -ENOMEM
 */
export function attachDevice(device: DmaDevice, domain: IommuDomain | null): i32 {
  if (device.sourceId > 0xffff) return EINVAL;
  const unit = iommuOf(device.ctx);
  if (unit == null) return ENOMEM;
  const rc = formats().attach(unit, device, domain);
  if (rc < 0) return rc;
  device.flags |= DEVICE_BEHIND_IOMMU;
  if (domain == null) {
    device.flags |= DEVICE_PASSTHROUGH;
    return 0;
  }
  ++domain.attached;
  device.domain = domain;
  if (domain.cookie != null) {
    device.ops = OPS_IOMMU;
    device.flags |= DEVICE_TRY_32BIT;
  }
  return 0;
}

/**
 * Detaches a device: its entry is cleared, the domain's IOTLB entries are invalidated, and its dma ops are direct again. Live
 * mappings stay in the domain. Does nothing for a device that is not attached.
 */
export function detachDevice(device: DmaDevice): void {
  const domain = domainOf(device);
  if (domain == null && (device.flags & DEVICE_PASSTHROUGH) == 0) return;
  formats().detach(unitIn(device.ctx)!, device);
  device.flags &= ~DEVICE_PASSTHROUGH;
  device.ops = OPS_DIRECT;
  device.domain = null;
  if (domain == null) return;
  --domain.attached;
  iotlbFlushDomain(domain);
}

/**
 * Lets another domain translate for a device, or its own again. Its DMA API keeps using its own (iommu_attach_device of a domain
 * that a driver fills by hand, while the group's default domain stays what it is).
 * @param from the domain that translates now, if it is not the device's own
 * @param to null for the device's own
 */
export function deviceRedirect(device: DmaDevice, from: IommuDomain | null, to: IommuDomain | null): i32 {
  const unit = unitIn(device.ctx)!;
  const own = domainOf(device);
  formats().detach(unit, device);
  // The entry's page is there, so this does not fail.
  const rc = formats().attach(unit, device, to == null ? own : to);
  if (from != null) --from.attached;
  if (to != null) ++to.attached;
  const left: IommuDomain | null = from == null ? own : from;
  if (left != null) iotlbFlushDomain(left);
  return rc;
}

/** What a device reaches at an address of its bus: memory through its windows, else what is not RAM. */
function onBus(device: DmaDevice, address: u64): u64 {
  const phys = dmaToPhys(device, address);
  return phys == NO_ADDRESS ? NO_ADDRESS - 1 : phys;
}

/** The result of translate for a blocked access. */
export const TRANSLATE_FAULT: u64 = 0xffffffffffffffff;

/**
 * Translates one access of a device.
 * @param address DMA address of the first byte
 * @returns the physical address, or TRANSLATE_FAULT with the fault recorded. Without an
 *   IOMMU for the device the address is physical.
 */
export function translate(device: DmaDevice, address: u64, write: bool): u64 {
  const ctx = device.ctx;
  if (ctx.iommu == 0 || (device.flags & DEVICE_BEHIND_IOMMU) == 0) return onBus(device, address);
  const unit = unitIn(ctx)!;
  const domain = formats().lookup(unit, device, address, write);
  if (domain == null) return TRANSLATE_FAULT;
  if (domain == passThrough()) return address;
  if (address >= addressLimit(domain)) return blocked(unit, device, domain, address, write);
  const need = <u64>(write ? PROT_WRITE : PROT_READ);
  lock(unit);
  const cached = iotlbFind(unit, domain, address);
  if (cached != null) {
    if ((cached.leaf & need) != 0) {
      const phys = leafPhys(cached.leaf, address);
      if (cached.stale != 0) logStale(unit, device.id, device.sourceId, address, write, cached);
      unlock(unit);
      return phys;
    }
    iotlbDrop(unit, cached);
  }
  unlock(unit);
  const leaf = formats().walk(domain, address);
  if ((leaf & need) == 0) return blocked(unit, device, domain, address, write);
  lock(unit);
  iotlbInsert(unit, domain, address, leaf);
  unlock(unit);
  return leafPhys(leaf, address);
}

function blocked(unit: Iommu, device: DmaDevice, domain: IommuDomain, address: u64, write: bool): u64 {
  formats().blocked(unit, device, domain, address, write);
  return TRANSLATE_FAULT;
}

/**
 * A device reads n bytes at a DMA address into linear memory. DMA_MAPPING_ERROR is not treated specially.
 * @returns 0; -EFAULT at the first page that was blocked or is not RAM; the pages before are read
 */
export function deviceRead(device: DmaDevice, address: u64, buffer: usize, n: u32): i32 {
  return access(device, address, buffer, n, false);
}

/**
 * A device writes n bytes of linear memory to a DMA address.
 * @returns 0; -EFAULT as deviceRead; -ENOMEM without memory for a frame's contents
 */
export function deviceWrite(device: DmaDevice, address: u64, buffer: usize, n: u32): i32 {
  return access(device, address, buffer, n, true);
}

function access(device: DmaDevice, address: u64, buffer: usize, n: u32, write: bool): i32 {
  const ctx = device.ctx;
  while (n != 0) {
    const part = min(n, PAGE_SIZE - <u32>(address & PAGE_MASK));
    const phys = translate(device, address, write);
    if (phys == TRANSLATE_FAULT) {
      setReason(ctx, REASON_IOMMU_FAULT);
      return EFAULT;
    }
    const rc = write ? physWrite(ctx, phys, buffer, part) : physRead(ctx, phys, buffer, part);
    if (rc < 0) {
      setReason(ctx, REASON_IOMMU_NO_RAM);
      return rc;
    }
    address += part;
    buffer += part;
    n -= part;
  }
  return 0;
}
