// How a device is made and freed.

import { blockFree } from '../memory/block';
import { Context } from '../memory/context';
import { addressOf, fieldOf, unlinkRecord } from '../memory/record';
import { slabAllocZeroed, slabCacheAt, slabFree } from '../memory/slab';
import { deviceSize } from './counts';
import { DEVICE_TRY_32BIT, DmaDevice } from './device';
import { DeviceState, devicesOf } from './state';

/** Defaults: 32 bits of address (dma_mask), 64 KiB (dma_get_max_seg_size), 4 GiB (dma_get_seg_boundary). */
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
  const state = devicesOf(ctx);
  const cache = slabCacheAt<DmaDevice>(ctx, fieldOf(state, offsetof<DeviceState>('deviceCache')), deviceSize(ctx));
  const dev: DmaDevice | null = cache == null ? null : slabAllocZeroed(cache);
  if (dev == null) return null;
  dev.ctx = ctx;
  dev.id = id;
  dev.sourceId = sourceId;
  dev.flags = DEVICE_TRY_32BIT;
  dev.mask = DEFAULT_MASK;
  dev.coherentMask = DEFAULT_MASK;
  dev.segmentBoundary = DEFAULT_BOUNDARY;
  dev.swiotlb = ctx.swiotlb;
  dev.maxSegment = DEFAULT_MAX_SEGMENT;
  dev.next = state.devices;
  state.devices = dev;
  return dev;
}

/** Frees the record of a device. */
export function deviceFree(dev: DmaDevice): void {
  if (dev.ranges != 0) blockFree(dev.ctx, dev.ranges);
  const state = devicesOf(dev.ctx);
  unlinkRecord(fieldOf(state, offsetof<DeviceState>('devices')), addressOf(dev), offsetof<DmaDevice>('next'));
  slabFree(state.deviceCache!, dev);
}
