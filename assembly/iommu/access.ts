// A device reads and writes memory. Each page of an access is translated as the hardware does it: requester id -> root
// and context entry -> IOTLB -> second-stage tables -> frame. What may not be is recorded as a fault with the reason of
// the VT-d specification and ends the access; what an unmapped but still cached translation lets through is recorded as
// a stale access.

import { EFAULT } from '../errno';
import { Context } from '../memory/context';
import { REASON_IOMMU_FAULT, REASON_NO_RAM, setReason } from '../reason';
import { lock, unlock } from '../memory/lock';
import { physRead, physWrite } from '../ram/contents';
import { DEVICE_BEHIND_IOMMU, DmaDevice } from '../dma/device';
import {
  CONTEXT_FAULT_DISABLE, CONTEXT_TYPE, CONTEXT_TYPE_MULTI_LEVEL, CONTEXT_TYPE_PASSTHROUGH, ENTRY_PRESENT, contextDomain,
  contextEntry,
} from './context';
import { addressLimit } from './domain';
import {
  FAULT_BEYOND_WIDTH, FAULT_CONTEXT_INVALID, FAULT_CONTEXT_NOT_PRESENT, FAULT_READ, FAULT_ROOT_NOT_PRESENT, FAULT_WRITE,
  logFault, logStale,
} from './fault-log';
import { iotlbDrop, iotlbFind, iotlbInsert } from './iotlb';
import { PTE_ADDRESS, PTE_LARGE, PTE_READ, PTE_WRITE, levelShift, slotAt, tableOf } from './pte';
import { Iommu } from './unit';

/** What translate returns for an access that was blocked. */
export const TRANSLATE_FAULT: u64 = 0xffffffffffffffff;

/**
 * Translates one access of a device.
 * @param address DMA address of the first byte
 * @returns the physical address, or TRANSLATE_FAULT with the fault recorded. Of a device that no IOMMU
 *   serves the address is physical.
 */
export function translate(device: DmaDevice, address: u64, write: bool): u64 {
  const ctx = device.ctx;
  if (ctx.iommu == 0 || (device.flags & DEVICE_BEHIND_IOMMU) == 0) return address;
  const unit = changetype<Iommu>(ctx.iommu);
  const context = contextEntry(unit, device.sourceId);
  if (context == null) return blocked(unit, device, address, write, FAULT_ROOT_NOT_PRESENT, 0);
  const entry = context.low;
  const id = <u32>(context.high >> 8) & 0xffff;
  if ((entry & ENTRY_PRESENT) == 0) return blocked(unit, device, address, write, FAULT_CONTEXT_NOT_PRESENT, 0);
  const kind = entry & CONTEXT_TYPE;
  if (kind == CONTEXT_TYPE_PASSTHROUGH) return address;
  // The device's own domain is nearly always the one that its context entry names; the entry decides.
  let domain = device.domain;
  if (domain == null || domain.id != id) domain = contextDomain(unit, entry, id);
  if (domain == null || kind != CONTEXT_TYPE_MULTI_LEVEL) {
    return blocked(unit, device, address, write, FAULT_CONTEXT_INVALID, id);
  }
  const silent = (entry & CONTEXT_FAULT_DISABLE) != 0;
  if (address >= addressLimit(domain)) {
    return silent ? TRANSLATE_FAULT : blocked(unit, device, address, write, FAULT_BEYOND_WIDTH, id);
  }
  const need = write ? PTE_WRITE : PTE_READ;
  const pfn = address >> 12;
  lock(ctx.iommu);
  const cached = iotlbFind(unit, domain, pfn);
  if (cached != null) {
    if ((cached.leaf & need) != 0) {
      const phys = physical(cached.leaf, cached.level, address);
      if (cached.stale != 0) logStale(unit, device.id, device.sourceId, address, write, cached);
      unlock(ctx.iommu);
      return phys;
    }
    iotlbDrop(unit, cached);
  }
  unlock(ctx.iommu);
  let table = domain.root;
  let level = domain.levels;
  let leaf: u64 = 0;
  do {
    leaf = load<u64>(slotAt(table, pfn, level));
    if ((leaf & need) == 0 || level == 1 || (leaf & PTE_LARGE) != 0) break;
    table = tableOf(leaf);
    --level;
  } while (level != 0);
  if ((leaf & need) == 0) {
    return silent ? TRANSLATE_FAULT : blocked(unit, device, address, write, write ? FAULT_WRITE : FAULT_READ, id);
  }
  lock(ctx.iommu);
  iotlbInsert(unit, domain, pfn, leaf, level);
  unlock(ctx.iommu);
  return physical(leaf, level, address);
}

// @ts-ignore: decorator
@inline
function physical(leaf: u64, level: u32, address: u64): u64 {
  return (leaf & PTE_ADDRESS) | (address & ((<u64>4096 << levelShift(level)) - 1));
}

function blocked(unit: Iommu, device: DmaDevice, address: u64, write: bool, reason: u32, id: u32): u64 {
  logFault(unit, device.id, device.sourceId, address, write, reason, id);
  return TRANSLATE_FAULT;
}

/**
 * A device reads n bytes at a DMA address into linear memory; -1 is DMA_MAPPING_ERROR.
 * @returns 0; -EFAULT at the first page that was blocked or where there is no RAM: what lies before was read
 */
export function deviceRead(device: DmaDevice, address: f64, buffer: usize, n: u32): i32 {
  return access(device, <u64>(<i64>address), buffer, n, false);
}

/**
 * A device writes n bytes of linear memory to a DMA address.
 * @returns 0; -EFAULT as deviceRead; -ENOMEM when a frame's bytes cannot be had
 */
export function deviceWrite(device: DmaDevice, address: f64, buffer: usize, n: u32): i32 {
  return access(device, <u64>(<i64>address), buffer, n, true);
}

function access(device: DmaDevice, address: u64, buffer: usize, n: u32, write: bool): i32 {
  const ctx = device.ctx;
  while (n != 0) {
    const part = min(n, 4096 - (<u32>address & 4095));
    const phys = translate(device, address, write);
    if (phys == TRANSLATE_FAULT) {
      setReason(ctx, REASON_IOMMU_FAULT);
      return EFAULT;
    }
    const rc = write ? physWrite(ctx, <f64>phys, buffer, part) : physRead(ctx, <f64>phys, buffer, part);
    if (rc < 0) {
      setReason(ctx, REASON_NO_RAM);
      return rc;
    }
    address += part;
    buffer += part;
    n -= part;
  }
  return 0;
}
