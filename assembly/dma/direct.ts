// dma ops without translation (kernel/dma/direct.c): a device's addresses are physical. Memory beyond its mask is bounced, or
// refused in a machine without a bounce pool. Segment boundaries and longest segments are ignored, and entries are not merged.

import { EIO } from '../memory/errno';
import { KMSG_DMA_OVERFLOW, ONCE_DMA_OVERFLOW, kmsg, kmsgOnce } from '../kmsg/kmsg';
import { PAGE_SHIFT } from '../ram/ram';
import { REASON_DMA_BEYOND_MASK, setReason } from '../memory/reason';
import { entriesOf, sgEntryLength, sgEntryPhys } from '../sg/entries';
import { setEntrySegments } from '../sg/segments';
import { SEGMENTS_PHYSICAL, SG_ONE_RUN, SG_RUN_SIZE, SgRun, SgTable } from '../sg/sg-table';
import { isSwiotlb } from '../swiotlb/pool';
import { swiotlbMap, swiotlbUnmap } from '../swiotlb/swiotlb';
import {
  DEVICE_CHECKED_DIRECT, DEVICE_FORCE_BOUNCE, DEVICE_NO_MASK, DEVICE_RANGES, DmaDevice,
} from '../device/device';
import { DMA_MAPPING_ERROR } from '../device/mapping';
import { NO_ADDRESS, dmaToPhys, physToDma } from '../device/ranges';
import { mapEach } from './each';
import { NO_MASK_PAGE, NO_MASK_SG, refuseNoMask } from './no-mask';

/** The last address that a u32 pfn can have. */
const LAST_ADDRESS: u64 = 0xfffffffffff;

/**
 * Maps one buffer (dma_direct_map_page).
 * @returns its address for the device, or DMA_MAPPING_ERROR with the reason in cpu.reason
 */
export function mapDirect(dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32): u64 {
  return mapDirectInline(dev, phys, length, dir, attrs);
}

/** The same for the hot path. */
// @ts-ignore: decorator
@inline
export function mapDirectInline(dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32): u64 {
  if ((dev.flags & DEVICE_CHECKED_DIRECT) != 0) return mapChecked(dev, phys, length, dir, attrs);
  if (phys + length - 1 <= dev.mask) return phys;
  return bounceOrRefuse(dev, phys, length, dir, attrs, phys);
}

/** The same for a device without a mask, with ranges, or whose every mapping bounces. */
function mapChecked(dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32): u64 {
  if ((dev.flags & DEVICE_NO_MASK) != 0) return refuseNoMask(dev, NO_MASK_PAGE);
  const address = physToDma(dev, phys);
  const forced = (dev.flags & DEVICE_FORCE_BOUNCE) != 0 && dev.swiotlb != 0;
  if (!forced && address != NO_ADDRESS && address + length - 1 <= dev.mask) return address;
  return bounceOrRefuse(dev, phys, length, dir, attrs, address);
}

function bounceOrRefuse(dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32, address: u64): u64 {
  if (dev.swiotlb == 0) {
    refuseMask(dev, address, length);
    return DMA_MAPPING_ERROR;
  }
  const slot = swiotlbMap(dev, phys, length, dir, attrs);
  return slot == DMA_MAPPING_ERROR ? slot : physToDma(dev, slot);
}

/** Warns that memory is beyond the device's mask and there is no pool, once per boot (dma_direct_map_page). */
function refuseMask(dev: DmaDevice, address: u64, length: u32): void {
  const ctx = dev.ctx;
  if (kmsgOnce(ctx, ONCE_DMA_OVERFLOW)) kmsg(ctx, KMSG_DMA_OVERFLOW, dev.id, address, length, dev.mask, 0, 0, 0);
  setReason(ctx, REASON_DMA_BEYOND_MASK);
}

/** Ends a mapping (dma_direct_unmap_page): only a bounced one has anything to undo. */
// @ts-ignore: decorator
@inline
export function unmapDirect(dev: DmaDevice, address: u64, length: u32, dir: u32, attrs: u32): void {
  const phys = (dev.flags & DEVICE_RANGES) == 0 ? address : dmaToPhys(dev, address);
  if (isSwiotlb(dev, phys)) swiotlbUnmap(dev, phys, length, dir, attrs);
}

/** Last address of the highest page of a table. */
function lastAddress(sgt: SgTable): u64 {
  let last: u32 = 0;
  if (sgt.pfns != 0) {
    if ((sgt.flags & SG_ONE_RUN) != 0) last = load<u32>(sgt.pfns) + sgt.pageCount - 1;
    else last = highest(sgt.pfns, sgt.pageCount);
    return ((<u64>last + 1) << PAGE_SHIFT) - 1;
  }
  let end: u64 = 0;
  const stop = sgt.runs + <usize>sgt.runCount * SG_RUN_SIZE;
  for (let at = sgt.runs; at < stop; at += SG_RUN_SIZE) {
    const run = changetype<SgRun>(at);
    end = max(end, (<u64>run.pfn << PAGE_SHIFT) + run.offset + run.length - 1);
  }
  return end;
}

/** The highest of n u32 numbers. */
function highest(pfns: usize, n: u32): u32 {
  let top: u32 = 0;
  let at = pfns;
  const end = pfns + (<usize>n << 2);
  if (n >= 4) {
    let tops = i32x4.splat(0);
    for (const stop = end - 12; at < stop; at += 16) tops = i32x4.max_u(tops, v128.load(at));
    top = max(
      max(<u32>i32x4.extract_lane(tops, 0), <u32>i32x4.extract_lane(tops, 1)),
      max(<u32>i32x4.extract_lane(tops, 2), <u32>i32x4.extract_lane(tops, 3)),
    );
  }
  for (; at < end; at += 4) top = max(top, load<u32>(at));
  return top;
}

/**
 * Maps a list (dma_direct_map_sg): each entry is a segment. If one cannot be mapped, those before it are unmapped.
 * @returns the number of entries, or -EIO with the reason in cpu.reason
 */
export function mapSgDirect(dev: DmaDevice, sgt: SgTable, dir: u32, attrs: u32): i32 {
  const ctx = dev.ctx;
  if ((dev.flags & DEVICE_NO_MASK) != 0) {
    refuseNoMask(dev, NO_MASK_SG);
    return EIO;
  }
  if ((dev.flags & DEVICE_RANGES) != 0) return mapEach(dev, sgt, dir, attrs);
  const bounceAll = (dev.flags & DEVICE_FORCE_BOUNCE) != 0 && dev.swiotlb != 0;
  if (!bounceAll && (dev.mask >= LAST_ADDRESS || lastAddress(sgt) <= dev.mask)) {
    setEntrySegments(sgt, SEGMENTS_PHYSICAL, 0, 0);
    return <i32>sgt.nents;
  }
  const count = entriesOf(sgt);
  if (dev.swiotlb == 0) {
    let i: u32 = 0;
    while (i < count - 1 && sgEntryPhys(sgt, i) + sgEntryLength(sgt, i) - 1 <= dev.mask) ++i;
    refuseMask(dev, sgEntryPhys(sgt, i), sgEntryLength(sgt, i));
    return EIO;
  }
  return mapEach(dev, sgt, dir, attrs);
}
