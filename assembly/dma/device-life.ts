// A device is destroyed (device_del): dma-debug removes its entries before the record is freed.

import { DEVICE_PASSTHROUGH, DmaDevice } from '../device/device';
import { deviceFree } from '../device/life';
import { debugDeviceDestroy } from '../dma-debug/device';
import { EBUSY } from '../memory/errno';

/** Frees a device that is attached to no domain. Returns 0, or -EBUSY while it is attached. */
export function deviceDestroy(dev: DmaDevice): i32 {
  if (dev.domain != null || (dev.flags & DEVICE_PASSTHROUGH) != 0) return EBUSY;
  if (dev.ctx.dmaDebug != 0) debugDeviceDestroy(dev);
  deviceFree(dev);
  return 0;
}
