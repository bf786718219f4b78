// Lists of a peer's pages that are mapped by their bus addresses (PCI_P2PDMA_MAP_BUS_ADDR), which are the physical ones here: nothing
// is translated, bounced or mapped. Which lists these are is known to the host (src/dma/p2p.ts).

import { debugMapSg, debugUnmapSg } from '../dma-debug/debug';
import { countMapped, countUnmapped } from '../device/counts';
import { DmaDevice } from '../device/device';
import { noteFailure } from '../device/failure';
import { EVENT_DMA_MAP_SG, EVENT_DMA_UNMAP_SG, emit } from '../events/events';
import { addressOf } from '../memory/record';
import { REASON_DMA_P2P, setReason } from '../memory/reason';
import { entriesOf } from '../sg/entries';
import { setEntrySegments, sgSegmentAddress } from '../sg/segments';
import { SEGMENTS_PHYSICAL, SG_MAPPED, SgTable } from '../sg/sg-table';
import { given, sgPages } from './map';

/** Maps a list. Contract of dmaMapSg. */
export function dmaMapSgBus(dev: DmaDevice, sgt: SgTable, dir: u32, attrs: u32): i32 {
  setEntrySegments(sgt, SEGMENTS_PHYSICAL, 0, 0);
  sgt.flags |= SG_MAPPED;
  countMapped(dev, sgPages(sgt));
  const ctx = dev.ctx;
  const count = entriesOf(sgt);
  if (ctx.dmaDebug != 0) debugMapSg(dev, sgt, count, count, dir, attrs);
  if (ctx.events != 0) emit(ctx, EVENT_DMA_MAP_SG, dev.id, sgSegmentAddress(sgt, 0), addressOf(sgt), sgt.bytes, dir, count);
  return <i32>count;
}

/** Ends its mapping. Contract of dmaUnmapSg. */
export function dmaUnmapSgBus(dev: DmaDevice, sgt: SgTable, count: u32, dir: u32): void {
  const ctx = dev.ctx;
  if (ctx.dmaDebug != 0) debugUnmapSg(dev, sgt, given(sgt, count), dir);
  sgt.flags &= ~SG_MAPPED;
  countUnmapped(dev, sgPages(sgt));
  if (ctx.events != 0) {
    emit(ctx, EVENT_DMA_UNMAP_SG, dev.id, sgSegmentAddress(sgt, 0), addressOf(sgt), sgt.bytes, dir, given(sgt, count));
  }
}

/** A list was refused: no way leads to the pages. */
export function dmaRefuseP2p(dev: DmaDevice): void {
  setReason(dev.ctx, REASON_DMA_P2P);
  noteFailure(dev);
}
