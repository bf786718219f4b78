// How a device comes into being and goes.

import { debugDeviceDestroy } from '../dma-debug/query';
import { EBUSY } from '../errno';
import { Context } from '../memory/context';
import { addressOf, fieldOf } from '../memory/record';
import { slabAllocZeroed, slabCacheAt, slabFree } from '../memory/slab';
import { DEVICE_TRY_32BIT, DmaDevice, deviceSize } from './device';
import { DmaState, dmaOf } from './state';

/** Where nothing was set: 32 bits of address (dma_mask), 64 KiB (dma_get_max_seg_size), 4 GiB (dma_get_seg_boundary). */
const DEFAULT_MASK: u64 = 0xffffffff;
const DEFAULT_MAX_SEGMENT: u32 = 65536;
const DEFAULT_BOUNDARY: u64 = 0xffffffff;

/**
 * A device with dma_direct ops and the defaults of a fresh PCI device.
 * @param id the host's number for it, from 1
 * @param sourceId PCI requester id
 * @returns the device, or null without memory
 */
export function deviceCreate(ctx: Context, id: u32, sourceId: u32): DmaDevice | null {
  const state = dmaOf(ctx);
  const cache = slabCacheAt<DmaDevice>(ctx, fieldOf(dmaOf(ctx), offsetof<DmaState>('deviceCache')), deviceSize(ctx));
  const dev: DmaDevice | null = cache == null ? null : slabAllocZeroed(cache);
  if (dev == null) return null;
  dev.ctx = ctx;
  dev.id = id;
  dev.sourceId = sourceId;
  dev.flags = DEVICE_TRY_32BIT;
  dev.mask = DEFAULT_MASK;
  dev.coherentMask = DEFAULT_MASK;
  dev.segmentBoundary = DEFAULT_BOUNDARY;
  dev.maxSegment = DEFAULT_MAX_SEGMENT;
  dev.next = state.devices;
  state.devices = dev;
  return dev;
}

/** Frees a device that no domain translates for. Returns 0, or -EBUSY while it is attached. */
export function deviceDestroy(dev: DmaDevice): i32 {
  if (dev.cookie != null || dev.domain != null) return EBUSY;
  const ctx = dev.ctx;
  if (ctx.dmaDebug != 0) debugDeviceDestroy(dev);
  const state = dmaOf(ctx);
  let link = fieldOf(state, offsetof<DmaState>('devices'));
  while (<usize>load<u32>(link) != addressOf(dev)) link = <usize>load<u32>(link) + offsetof<DmaDevice>('next');
  store<u32>(link, <u32>addressOf(dev.next));
  slabFree(state.deviceCache!, dev);
  return 0;
}
