// Coherent memory: the frames that the core's dma ops took get one address, and are known by it.

import { Context } from '../memory/context';
import { BLOCK_SHIFT, blockAllocZeroed, blockFree, blockOrder, blockSplit } from '../memory/block';
import { DmaDevice } from '../device/device';
import { dmaAllocCoherent, dmaFreeCoherent } from '../dma/coherent';
import { contentsPlace } from '../ram/contents';
import { HIGH_START, PAGE_MASK, PAGE_SHIFT } from '../ram/ram';
import { sgDmaSegmentAddress } from '../sg/segments';
import { SgTable, sgPfn } from '../sg/sg-table';
import { findings, settle } from './dma';
import { gd_virt_pfn } from './frames';
import { SHADOW_FREED, SHADOW_OPEN, shadowPages } from './shadow';
import { UNIT_VMALLOC, driverState, ramOf } from './state';

/**
 * dma_alloc_attrs.
 * @param out where the device's address goes, a u64
 * @returns C's address, 0 without memory
 */
export function gd_coherent_alloc(dev: DmaDevice, length: u32, attrs: u32, out: usize): usize {
  const ctx = changetype<Context>(dev.ctx);
  const before = findings();
  const handle = changetype<usize>(dmaAllocCoherent(dev, length, attrs));
  if (handle == 0) return 0;
  const table = changetype<SgTable>(handle);
  const n = table.pageCount;
  const order = blockOrder(<usize>n << PAGE_SHIFT);
  const at = blockAllocZeroed(ctx, order);
  const dma = sgDmaSegmentAddress(table, 0);
  if (at == 0) {
    dmaFreeCoherent(dev, table, length, dma, 0);
    return 0;
  }
  blockSplit(ctx, at);
  const state = driverState();
  let placed = true;
  for (let i: u32 = 0; i < n; ++i) {
    const unit = at + (<usize>i << BLOCK_SHIFT);
    placed = placed && contentsPlace(ctx, ramOf(), sgPfn(table, i), unit);
    if (!placed) blockFree(ctx, unit);
    // Without an IOMMU the block is part of the direct map; with one it is remapped memory.
    else store<u32>(state.unitFrames + (unit >> BLOCK_SHIFT << 2), sgPfn(table, i) | UNIT_VMALLOC);
  }
  for (let i = n; i < <u32>(1 << order); ++i) blockFree(ctx, at + (<usize>i << BLOCK_SHIFT));
  if (!placed) {
    dmaFreeCoherent(dev, table, length, dma, 0);
    return 0;
  }
  shadowPages(at, n, SHADOW_OPEN);
  store<u32>(state.pages + <usize>tableSlot(at), <u32>handle);
  store<u64>(out, dma);
  settle(before);
  return at;
}

/** Offset in C's struct page array where the table of a coherent buffer is kept: `private` of its first page. */
function tableSlot(at: usize): usize {
  return <usize>frameNumber(at) * 32 + 20;
}

function frameNumber(at: usize): u32 {
  const pfn = gd_virt_pfn(at) & ~UNIT_VMALLOC;
  const ram = ramOf();
  return pfn >= HIGH_START ? pfn - ram.hole : pfn;
}

/** dma_free_attrs. @returns false when nothing was allocated at that address */
export function gd_coherent_free(dev: DmaDevice, length: u32, at: usize, dma: u64): bool {
  if ((gd_virt_pfn(at) & UNIT_VMALLOC) == 0) return false;
  const slot = driverState().pages + tableSlot(at);
  const handle: usize = load<u32>(slot);
  if (handle == 0) return false;
  const before = findings();
  store<u32>(slot, 0);
  shadowPages(at & ~<usize>PAGE_MASK, changetype<SgTable>(handle).pageCount, SHADOW_FREED);
  dmaFreeCoherent(dev, changetype<SgTable>(handle), length, dma, 0);
  settle(before);
  return true;
}
