// The walk over the DMA API's own structures: devices against domains, flush queues.

import { Context } from '../memory/context';
import { FlushQueue, flushQueueCheck } from '../iommu/flush-queue';
import { DmaCookie } from './cookie';
import { DmaDevice, OPS_IOMMU } from './device';
import { DmaState } from './state';

/** Returns 0, or the device's number or the cookie's place that is wrong. */
export function dmaCheck(ctx: Context): u32 {
  const state = changetype<DmaState>(ctx.dma);
  if (changetype<usize>(state) == 0) return 0;
  let attached: u32 = 0;
  for (let at = state.devices; at != 0; at = changetype<DmaDevice>(at).next) {
    const dev = changetype<DmaDevice>(at);
    if ((dev.ops == OPS_IOMMU) != (dev.cookie != 0)) return dev.id;
    if (dev.cookie == 0) continue;
    if (dev.domain != changetype<DmaCookie>(dev.cookie).iommu) return dev.id;
    ++attached;
  }
  for (let at = state.cookies; at != 0; at = changetype<DmaCookie>(at).next) {
    const cookie = changetype<DmaCookie>(at);
    if (cookie.queue != 0 && flushQueueCheck(changetype<FlushQueue>(cookie.queue)) != 0) return <u32>at;
    attached -= cookie.users;
  }
  return attached;
}
