// What the DMA API keeps for the machine as a whole.

import { Context } from '../memory/context';
import { slabAllocZeroed, slabCacheCreate } from '../memory/slab';

// @ts-ignore: decorator
@unmanaged
export class DmaState {
  devices: usize;
  deviceCache: usize;
  cookies: usize;
  cookieCache: usize;
  /** Unmaps that wait for a flush of the whole machine, the way of 2015: see iommu/deferred-list.ts. */
  deferred: usize;
}

/** The subsystem's state, made with the machine. Returns 0 without memory. */
export function dmaState(ctx: Context): usize {
  if (ctx.dma != 0) return ctx.dma;
  const cache = slabCacheCreate(ctx, offsetof<DmaState>());
  ctx.dma = cache == 0 ? 0 : slabAllocZeroed(cache);
  return ctx.dma;
}
