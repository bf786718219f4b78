// A device without a mask (dev->dma_mask is NULL, or coherent_dma_mask 0): the calls that ask for memory warn and fail.

import { DmaDevice } from '../device/device';
import { DMA_MAPPING_ERROR } from '../device/mapping';
import { KMSG_NO_MASK, ONCE_NO_MASK, kmsg, kmsgOnce } from '../kmsg/kmsg';
import { REASON_DMA_NO_MASK, setReason } from '../memory/reason';

// The calls: places of the kernel, which each warn once.
export const NO_MASK_PAGE: u32 = 0;
export const NO_MASK_SG: u32 = 1;
export const NO_MASK_RESOURCE: u32 = 2;
export const NO_MASK_ALLOC: u32 = 3;
export const NO_MASK_ALLOC_PAGES: u32 = 4;

/** Warns, sets the reason, and returns what the call returns. */
export function refuseNoMask(dev: DmaDevice, call: u32): u64 {
  const ctx = dev.ctx;
  if (kmsgOnce(ctx, ONCE_NO_MASK << call)) kmsg(ctx, KMSG_NO_MASK, dev.id, 0, 0, 0, 0, call, 0);
  setReason(ctx, REASON_DMA_NO_MASK);
  return DMA_MAPPING_ERROR;
}
