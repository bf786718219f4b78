// The check that walks every structure of a machine, each in its own subsystem's check, and the count of its records.

import { dmaCheck } from './dma/check';
import { debugCheck } from './dma-debug/query';
import { gttCheck } from './gtt/gtt';
import { iommuCheck } from './iommu/api/check';
import { iovaCheck } from './iova/check';
import { blocksCheck } from './memory/block';
import { Context } from './memory/context';
import { slabLive, slabsCheck } from './memory/slab';
import { buddyCheck } from './ram/buddy';
import { contentsCheck } from './ram/contents';
import { stacksCheck } from './ram/pages';
import { ramOf } from './ram/ram';
import { slotsCheck } from './swiotlb/slots';
import { restrictedOf, swiotlbOf } from './swiotlb/pools';

/** Records live in all slab caches and 4 KiB units in use: what must be as before when everything was given back. */
export function machineRecords(ctx: Context): u32 {
  return slabLive(ctx);
}

/**
 * Walks every structure of the machine.
 * @returns 0, or a code: the subsystem in bits 31..28 (1 blocks, 2 slabs, 3 buddy, 4 contents,
 *     5 iova, 7 iommu, 8 dma, 9 swiotlb, 10 GPU tables, 11 dma-debug), where in the rest
 */
export function machineCheck(ctx: Context): u32 {
  let wrong = <u32>blocksCheck(ctx);
  if (wrong != 0) return 0x10000000 | (wrong >> 4);
  wrong = <u32>slabsCheck(ctx);
  if (wrong != 0) return 0x20000000 | (wrong >> 4);
  const ram = ramOf(ctx);
  wrong = buddyCheck(ram);
  if (wrong == 0) wrong = stacksCheck(ctx, ram);
  if (wrong != 0) return 0x30000000 | wrong;
  wrong = contentsCheck(ram);
  if (wrong != 0) return 0x40000000 | wrong;
  if (ctx.iommu != 0) {
    wrong = iommuCheck(ctx);
    if (wrong != 0) return 0x70000000 | wrong;
  }
  wrong = iovaCheck(ctx);
  if (wrong != 0) return 0x50000000 | wrong;
  if (ctx.swiotlb != 0) wrong = slotsCheck(swiotlbOf(ctx)!);
  for (let pool = restrictedOf(ctx); pool != null && wrong == 0; pool = pool!.nextMem) wrong = slotsCheck(pool);
  if (wrong != 0) return 0x90000000 | wrong;
  wrong = dmaCheck(ctx);
  if (wrong != 0) return 0x80000000 | (wrong & 0x0fffffff);
  wrong = gttCheck(ctx);
  if (wrong != 0) return 0xa0000000 | wrong;
  wrong = debugCheck(ctx);
  return wrong != 0 ? 0xb0000000 | wrong : 0;
}
