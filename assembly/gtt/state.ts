import { blockAllocZeroed } from '../memory/block';
import { Context } from '../memory/context';

// @ts-ignore: decorator
@unmanaged
export class Gtt {
  /** Every range manager of the machine, linked through nextMm. */
  mms: usize;
  /** Every global GTT and every PPGTT, linked through next. */
  ggtts: usize;
  ppgtts: usize;
  /** Caches of records; each is made by whoever first needs such a record. */
  mmCache: usize;
  nodeCache: usize;
  ggttCache: usize;
  ppgttCache: usize;
  tableCache: usize;
  childrenCache: usize;
}

/** The machine's GPU state; null (0) without memory. */
export function gttState(ctx: Context): Gtt {
  if (ctx.gtt == 0) ctx.gtt = blockAllocZeroed(ctx, 0);
  return changetype<Gtt>(ctx.gtt);
}
