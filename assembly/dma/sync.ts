// dma_sync_*: a driver passes a mapped buffer from the device to the CPU or back. On coherent x86 only bounced buffers are
// copied; dma-debug checks each call.

import { debugMappingError, debugSyncSg, debugSyncSingle } from '../dma-debug/debug';
import { iommuIovaToPhys } from '../iommu/api/ops';
import { EVENT_DMA_SYNC, emit } from '../events/events';
import { SEGMENTS_LIST, SEGMENTS_NONE, SgTable } from '../sg/sg-table';
import { sgSegmentAddress, sgSegmentLength } from '../sg/segments';
import { isSwiotlb } from '../swiotlb/pool';
import { swiotlbSync } from '../swiotlb/swiotlb';
import { DEVICE_BOUNCED, DmaDevice, OPS_IOMMU, isMappingError } from '../device/device';
import { forgetFailure } from '../device/failure';
import { DMA_MAPPING_ERROR } from '../device/mapping';
import { dmaToPhys } from '../device/ranges';
import { dmaDomainOf } from './iommu';

// Syncs the slots that a device's address leads to. Behind a domain the kernel looks the address up in the page tables.
function syncAddress(dev: DmaDevice, address: u64, length: u32, dir: u32, forDevice: bool): void {
  if (dev.swiotlb == 0) return;
  const phys = dev.ops == OPS_IOMMU
    ? iommuIovaToPhys(dmaDomainOf(dev), address)
    : dmaToPhys(dev, address);
  if (isSwiotlb(dev, phys)) swiotlbSync(dev, phys, length, dir, forDevice);
}

/**
 * dma_sync_single_for_cpu and dma_sync_single_for_device, range calls included.
 * @param address anywhere in a mapping
 * @param length bytes from there on
 */
export function dmaSyncSingle(dev: DmaDevice, address: u64, length: u32, dir: u32, forDevice: bool): void {
  forgetFailure(dev);
  syncAddress(dev, address, length, dir, forDevice);
  const ctx = dev.ctx;
  if (ctx.dmaDebug != 0) debugSyncSingle(dev, address, length, dir, forDevice);
  if (ctx.events != 0) emit(ctx, EVENT_DMA_SYNC, dev.id, address, 0, length, dir, <u32>forDevice);
}

/**
 * dma_sync_sg_for_cpu and dma_sync_sg_for_device.
 * @param nents entries as they were given to map
 */
export function dmaSyncSg(dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32, forDevice: bool): void {
  forgetFailure(dev);
  const ctx = dev.ctx;
  // Bounced segments are always in a list.
  if (dev.swiotlb != 0 && sgt.shape == SEGMENTS_LIST) {
    const count = min(nents, sgt.nents);
    for (let i: u32 = 0; i < count; ++i) {
      syncAddress(dev, sgSegmentAddress(sgt, i), <u32>sgSegmentLength(sgt, i), dir, forDevice);
    }
  }
  if (ctx.dmaDebug != 0) debugSyncSg(dev, sgt, nents, dir, forDevice);
  if (ctx.events != 0) {
    const first = sgt.shape != SEGMENTS_NONE ? sgSegmentAddress(sgt, 0) : DMA_MAPPING_ERROR;
    emit(ctx, EVENT_DMA_SYNC, dev.id, first, 0, sgt.bytes, dir, <u32>forDevice);
  }
}

/** dma_mapping_error: whether a mapping failed. dma-debug marks the mapping at the address as checked. */
export function dmaMappingError(dev: DmaDevice, address: u64): bool {
  if (dev.ctx.dmaDebug != 0) debugMappingError(dev, address);
  return isMappingError(dev, address);
}

/**
 * Whether a sync of a mapping may have bytes to move (dma_need_sync): not before the device's first bounced mapping; then without
 * translation it is known of each address, behind a domain it is not (__dma_need_sync).
 */
export function dmaNeedSync(dev: DmaDevice, address: u64): bool {
  if ((dev.flags & DEVICE_BOUNCED) == 0) return false;
  return dev.ops == OPS_IOMMU || isSwiotlb(dev, dmaToPhys(dev, address));
}
