// A page of RAM for the device: page tables and scratch pages. It is a frame that is mapped by the DMA API, so that the IOMMU
// translates the GPU's walk and dma-debug tracks the mapping. The CPU writes the frame's contents.

import { ENOMEM } from '../memory/errno';
import { FAULT_GTT } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { DmaDevice, isMappingError } from '../device/device';
import { DMA_BIDIRECTIONAL } from '../device/mapping';
import { deviceErrorAddress, dmaMapPage, dmaUnmapPage } from '../dma/map';
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
  /** Offset of the frame's contents, which does not change while the frame is in use. */
  bytes: usize;
  pfn: u32;
}

/**
 * Allocates a zeroed frame and maps it for the device in both directions.
 * @param low whether it must lie below 4 GiB (GFP_DMA32, the scratch page)
 * @returns 0, or -ENOMEM with nothing left behind
 */
export function devicePageMake(device: DmaDevice, page: DevicePage, low: bool): i32 {
  const ctx = device.ctx;
  if (shouldFail(ctx, FAULT_GTT)) return ENOMEM;
  const pfn = blockOfPagesAlloc(ctx, 0, low ? ZONE_DMA32 : ZONE_NORMAL);
  if (pfn == 0) return ENOMEM;
  const bytes = contentsMake(ctx, ramOf(ctx), pfn);
  const address = bytes == 0 ? deviceErrorAddress(device) : dmaMapPage(device, pfn, 0, PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
  if (isMappingError(device, address)) {
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
