// What the DMA API keeps for the machine as a whole.

import { DeferredList } from '../iommu/deferred-list';
import { Context } from '../memory/context';
import { slabAllocZeroed, slabCacheCreate } from '../memory/slab';
import { DmaCookie } from './cookie';
import { DmaDevice } from './device';

// @ts-ignore: decorator
@unmanaged
export class DmaState {
  devices: DmaDevice | null;
  deviceCache: usize;
  cookies: DmaCookie | null;
  cookieCache: usize;
  /** Unmaps that wait for a flush of the whole machine, the way of 2015: see iommu/deferred-list.ts. */
  deferred: DeferredList | null;
}

/** The subsystem's state, made with the machine. Returns 0 without memory. */
export function dmaState(ctx: Context): usize {
  if (ctx.dma != 0) return ctx.dma;
  const cache = slabCacheCreate(ctx, offsetof<DmaState>());
  ctx.dma = cache == 0 ? 0 : slabAllocZeroed(cache);
  return ctx.dma;
}
