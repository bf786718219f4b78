// The baseline of `gemdma driver bench`: the calls that C makes, made here, without C.

import { DmaDevice, isMappingError } from '../device/device';
import { DMA_FROM_DEVICE } from '../device/mapping';
import { dmaMapPage, dmaUnmapPage } from '../dma/map';
import { dmaMappingError } from '../dma/sync';
import { PAGE_SIZE } from '../ram/ram';

/**
 * Maps n pages, asks whether that failed, and unmaps them, `rounds` times.
 * @param pfns vector of n u32; @param addresses room for n u64
 * @returns mappings that were made
 */
export function gd_bench_core(dev: DmaDevice, pfns: usize, addresses: usize, n: u32, rounds: u32): u32 {
  let made: u32 = 0;
  for (let round: u32 = 0; round < rounds; ++round) {
    for (let i: usize = 0; i < <usize>n; ++i) {
      const address = dmaMapPage(dev, load<u32>(pfns + (i << 2)), 0, PAGE_SIZE, DMA_FROM_DEVICE, 0);
      if (!dmaMappingError(dev, address)) ++made;
      store<u64>(addresses + (i << 3), address);
    }
    for (let i: usize = 0; i < <usize>n; ++i) {
      const address = load<u64>(addresses + (i << 3));
      if (!isMappingError(dev, address)) dmaUnmapPage(dev, address, PAGE_SIZE, DMA_FROM_DEVICE, 0);
    }
  }
  return made;
}
