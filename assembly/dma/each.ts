// Lists that are mapped entry by entry, because an entry may be bounced: without translation (dma_direct_map_sg), and behind an
// IOMMU for an untrusted device (iommu_dma_map_sg_swiotlb).

import { DmaDevice, OPS_IOMMU } from '../device/device';
import { DMA_ATTR_SKIP_CPU_SYNC, DMA_MAPPING_ERROR } from '../device/mapping';
import { EIO } from '../memory/errno';
import { cpuOf } from '../memory/context';
import { recordAt } from '../memory/record';
import { REASON_DMA_NO_SEGMENTS, setReason } from '../memory/reason';
import { entriesOf, sgEntryLength, sgEntryPhys } from '../sg/entries';
import { segmentsAlloc, segmentsFree, setSegmentList } from '../sg/segments';
import { SEGMENTS_LIST, SG_SEGMENT_SIZE, SgSegment, SgTable } from '../sg/sg-table';
import { mapDirect, unmapDirect } from './direct';
import { mapUntrusted, unmapUntrusted } from './untrusted';

/**
 * Maps each entry of a list by itself.
 * @returns the number of entries, or -EIO with the reason in cpu.reason
 */
export function mapEach(dev: DmaDevice, sgt: SgTable, dir: u32, attrs: u32): i32 {
  const ctx = dev.ctx;
  const count = entriesOf(sgt);
  const list = segmentsAlloc(ctx, count);
  if (list == 0) {
    setReason(ctx, REASON_DMA_NO_SEGMENTS);
    return EIO;
  }
  for (let i: u32 = 0; i < count; ++i) {
    const length = sgEntryLength(sgt, i);
    const phys = sgEntryPhys(sgt, i);
    const address = dev.ops == OPS_IOMMU ? mapUntrusted(dev, phys, length, dir, attrs) : mapDirect(dev, phys, length, dir, attrs);
    if (address == DMA_MAPPING_ERROR) {
      const reason = cpuOf(ctx).reason;
      unmapSegments(dev, list, i, dir, attrs | DMA_ATTR_SKIP_CPU_SYNC);
      segmentsFree(ctx, list, count);
      setReason(ctx, reason);
      return EIO;
    }
    const segment = recordAt<SgSegment>(list, i);
    segment.address = address;
    segment.length = length;
  }
  setSegmentList(sgt, list, count);
  return <i32>count;
}

/** Ends a list's mapping, as far as its first nents segments go. What was not mapped by mapEach holds nothing. */
export function unmapEach(dev: DmaDevice, sgt: SgTable, nents: u32, dir: u32, attrs: u32): void {
  if (sgt.shape == SEGMENTS_LIST) unmapSegments(dev, sgt.segments, min(nents, sgt.nents), dir, attrs);
}

function unmapSegments(dev: DmaDevice, list: usize, n: u32, dir: u32, attrs: u32): void {
  for (let i: u32 = 0; i < n; ++i) {
    const segment = changetype<SgSegment>(list + <usize>i * SG_SEGMENT_SIZE);
    if (dev.ops == OPS_IOMMU) unmapUntrusted(dev, segment.address, <u32>segment.length, dir, attrs);
    else unmapDirect(dev, segment.address, <u32>segment.length, dir, attrs);
  }
}
