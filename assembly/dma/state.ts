// What the DMA API keeps for the machine as a whole.

import { DeferredList } from '../iommu/deferred-list';
import { CacheOf, Context } from '../memory/context';
import { addressOf } from '../memory/record';
import { slabAllocZeroed, slabCacheCreate } from '../memory/slab';
import { DmaCookie } from './cookie';
import { DmaDevice } from './device';

// @ts-ignore: decorator
@unmanaged
export class DmaState {
  devices: DmaDevice | null;
  deviceCache: CacheOf<DmaDevice> | null;
  cookies: DmaCookie | null;
  cookieCache: CacheOf<DmaCookie> | null;
  /** Unmaps that wait for a flush of the whole machine, the way of 2015: see iommu/deferred-list.ts. */
  deferred: DeferredList | null;
}

/** The subsystem's state, which a machine has from the start. */
// @ts-ignore: decorator
@inline
export function dmaOf(ctx: Context): DmaState {
  return changetype<DmaState>(ctx.dma);
}

/** The same, made with the machine. Returns null without memory. */
export function dmaState(ctx: Context): DmaState | null {
  if (ctx.dma != 0) return dmaOf(ctx);
  const cache = slabCacheCreate<DmaState>(ctx, offsetof<DmaState>());
  ctx.dma = cache == null ? 0 : addressOf(slabAllocZeroed(cache));
  return changetype<DmaState | null>(ctx.dma);
}
