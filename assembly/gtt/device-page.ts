// A page of RAM that the device reads by itself: page tables and scratch pages. It is a frame like any other, mapped
// through the device's DMA API like any other, so that the IOMMU translates the GPU's walk and dma-debug counts the
// mapping; and the CPU writes it through the frame's own bytes.

import { ENOMEM } from '../errno';
import { FAULT_GTT } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { DmaDevice } from '../device/device';
import { DMA_BIDIRECTIONAL, DMA_MAPPING_ERROR } from '../device/mapping';
import { dmaMapPage, dmaUnmapPage } from '../dma/map';
import { debugMappingError } from '../dma-debug/debug';
import { debugBlockFree } from '../dma-debug/freed';
import { blockOfPagesAlloc, blockOfPagesFree } from '../ram/pages';
import { contentsMake } from '../ram/contents';
import { PAGE_SIZE, ZONE_DMA32, ZONE_NORMAL, ramOf } from '../ram/ram';

// @ts-ignore: decorator
@unmanaged
export class DevicePage {
  /** DMA address. */
  address: u64;
  /** Offset of the frame's bytes: stays while the frame is in use. */
  bytes: usize;
  pfn: u32;
}

/**
 * Takes a frame and maps it for the device in both directions; its bytes are zeros.
 * @param low whether it must lie below 4 GiB (GFP_DMA32, the scratch page)
 * @returns 0, or -ENOMEM with nothing left behind
 */
export function devicePageMake(device: DmaDevice, page: DevicePage, low: bool): i32 {
  const ctx = device.ctx;
  if (shouldFail(ctx, FAULT_GTT)) return ENOMEM;
  const pfn = blockOfPagesAlloc(ctx, 0, low ? ZONE_DMA32 : ZONE_NORMAL);
  if (pfn == 0) return ENOMEM;
  const bytes = contentsMake(ctx, ramOf(ctx), pfn);
  const address = bytes == 0 ? DMA_MAPPING_ERROR : dmaMapPage(device, pfn, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
  if (address == DMA_MAPPING_ERROR) {
    blockOfPagesFree(ctx, pfn, 0);
    return ENOMEM;
  }
  debugMappingError(device, address);
  page.bytes = bytes;
  page.pfn = pfn;
  page.address = address;
  return 0;
}

/** Unmaps a page and frees its frame. */
export function devicePageDrop(device: DmaDevice, page: DevicePage): void {
  dmaUnmapPage(device, page.address, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
  debugBlockFree(device.ctx, page.pfn, 0);
  page.bytes = 0;
}
