import { blockAllocZeroed } from '../memory/block';
import { CacheOf, Context } from '../memory/context';
import { Mm, MmNode } from './drm-mm-node';
import { Ggtt } from './ggtt';
import { PageTable } from './page-table';
import { Ppgtt } from './ppgtt';
import { GpuVm } from './vm';

// @ts-ignore: decorator
@unmanaged
export class Gtt {
  /** Every range manager of the machine, linked through nextMm. */
  mms: Mm | null;
  /** Every global GTT and every PPGTT, linked through next. */
  ggtts: GpuVm | null;
  ppgtts: GpuVm | null;
  /** Caches of records, each made with the first record. */
  mmCache: CacheOf<Mm> | null;
  nodeCache: CacheOf<MmNode> | null;
  ggttCache: CacheOf<Ggtt> | null;
  ppgttCache: CacheOf<Ppgtt> | null;
  tableCache: CacheOf<PageTable> | null;
  /** Of vectors: a directory's children. */
  childrenCache: CacheOf<usize> | null;
}

/** The machine's GPU state, of a machine that has some. */
// @ts-ignore: decorator
@inline
export function gttOf(ctx: Context): Gtt {
  return changetype<Gtt>(ctx.gtt);
}

/** The same, made at the first use; null without memory. */
export function gttState(ctx: Context): Gtt | null {
  if (ctx.gtt == 0) ctx.gtt = blockAllocZeroed(ctx, 0);
  return changetype<Gtt | null>(ctx.gtt);
}
