// The walk over the DMA API's own structures: devices against domains, flush queues.

import { Context } from '../memory/context';
import { flushQueueCheck } from '../iommu/flush-queue';
import { OPS_IOMMU } from './device';
import { DmaState } from './state';

/** Returns 0, or the device's number or the cookie's place that is wrong. */
export function dmaCheck(ctx: Context): u32 {
  const state = changetype<DmaState>(ctx.dma);
  if (changetype<usize>(state) == 0) return 0;
  let attached: u32 = 0;
  for (let at = state.devices; at != null; at = at!.next) {
    const dev = at;
    if ((dev.ops == OPS_IOMMU) != (dev.cookie != null)) return dev.id;
    if (dev.cookie == null) continue;
    if (dev.domain != dev.cookie!.iommu) return dev.id;
    ++attached;
  }
  for (let at = state.cookies; at != null; at = at!.next) {
    const cookie = at;
    if (cookie.queue != null && flushQueueCheck(cookie.queue!) != 0) return <u32>changetype<usize>(at);
    attached -= cookie.users;
  }
  return attached;
}
