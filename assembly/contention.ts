// Contended acquisitions of locks, by kind. Each lock counts them on its slow path; all are 0 in the single-threaded build.

import { Iommu, unitIn } from './iommu/unit';
import { IovaState, iovaStateOf } from './iova/iova-domain';
import { Context } from './memory/context';
import { contendedCount, guardAt } from './memory/lock';
import { slabsContended } from './memory/slab';
import { ramOf } from './ram/ram';

/** Kinds of locks. */
export const LOCKS_BLOCKS: u32 = 0;
export const LOCKS_SLABS: u32 = 1;
export const LOCKS_RAM: u32 = 2;
export const LOCKS_IOVA: u32 = 3;
export const LOCKS_IOMMU: u32 = 4;
export const LOCKS_DMA_DEBUG: u32 = 5;

/** Contended acquisitions of the locks of one kind since the context was made. */
export function lockContention(ctx: Context, kind: u32): u32 {
  if (kind == LOCKS_BLOCKS) return contendedCount(guardAt(ctx, offsetof<Context>('blockLock')));
  if (kind == LOCKS_SLABS) return slabsContended(ctx);
  if (kind == LOCKS_RAM) return contendedCount(ramOf(ctx));
  if (kind == LOCKS_IOVA) return ctx.iova == 0 ? 0 : iovaContended(iovaStateOf(ctx)!);
  if (kind == LOCKS_IOMMU) return ctx.iommu == 0 ? 0 : iommuContended(unitIn(ctx)!);
  if (kind == LOCKS_DMA_DEBUG) return ctx.dmaDebug == 0 ? 0 : contendedCount(ctx.dmaDebug);
  return 0;
}

function iovaContended(state: IovaState): u32 {
  let sum: u32 = 0;
  for (let domain = state.domains; domain != null; domain = domain!.next) sum += contendedCount(domain);
  return sum;
}

function iommuContended(unit: Iommu): u32 {
  let sum = contendedCount(unit);
  for (let domain = unit.domains; domain != null; domain = domain!.next) sum += contendedCount(domain);
  return sum;
}
