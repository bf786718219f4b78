// The DMA API as C calls it: addresses of 64 bits, no conversion. After each call one load tells whether the
// checker found something; only then the host is called.

import { cpuOf } from '../memory/context';
import { Cpu } from '../memory/cpu';
import { DmaDevice, isMappingError } from '../device/device';
import { DMA_MAPPING_ERROR } from '../device/mapping';
import { dmaMapResource, dmaMapSingle, dmaUnmapResource, endPage, mapPage } from '../dma/map';
import { dmaMaxMapping, dmaMergeBoundary, dmaOptMapping } from '../dma/limits';
import { dmaMappingError, dmaSyncSingle } from '../dma/sync';
import { PAGE_SHIFT, PAGE_SIZE } from '../ram/ram';
import { gd_virt_pfn } from './frames';
import { hostSettle } from './host';
import { Mapping, mappingAdd, mappingEnd, mappingFind, mappingGive, mappingTake } from './owner';
import { UNIT_VMALLOC, ctxOf, driverState, findingsAt, unwatched, watching } from './state';

// @ts-ignore: decorator
@inline
export function findings(): u32 {
  return load<u32>(findingsAt());
}

// @ts-ignore: decorator
@inline
export function settle(before: u32): void {
  if (findings() != before) hostSettle();
}

/** Address of the register that C writes a call's site to. */
export function gd_site_register(): usize {
  return changetype<usize>(cpuOf(ctxOf())) + offsetof<Cpu>('site');
}

/** Nanoseconds of virtual time. */
export function gd_now(): u64 {
  return ctxOf().now;
}

/** dma_set_mask and dma_set_coherent_mask; a mask of 0 stays as it is. */
export function gd_dma_masks(dev: DmaDevice, mask: u64, coherent: u64): void {
  if (mask != 0) dev.mask = mask;
  if (coherent != 0) dev.coherentMask = coherent;
}

/** struct device_dma_parameters: what a segment may be. A boundary of 0 is none. */
export function gd_dma_segments(dev: DmaDevice, longest: u32, boundary: u64, alignMask: u32): void {
  if (longest != 0) dev.maxSegment = longest;
  if (boundary != 0) dev.segmentBoundary = boundary;
  dev.minAlignMask = alignMask;
}

/** Whether dma-debug is on: dma_mapping_error only matters to it. */
export function gd_dma_debug(): bool {
  return changetype<usize>(ctxOf()) != 0 && changetype<usize>(ctxOf().dmaDebug) != 0;
}

/**
 * dma_map_page_attrs.
 * @param mask what the driver has set by now, 0 to leave it
 * @returns the device's address or DMA_MAPPING_ERROR
 */
export function gd_dma_map(dev: DmaDevice, mask: u64, phys: u64, length: u32, dir: u32, attrs: u32): u64 {
  if (mask != 0) dev.mask = mask;
  if (unwatched()) return errorOrAddress(dev, mapPage(dev, phys, length, dir, attrs));
  const before = findings();
  const dma = errorOrAddress(dev, mapPage(dev, phys, length, dir, attrs));
  if (dma != DMA_MAPPING_ERROR && watching()) mappingAdd(dev, phys, length, dir, attrs, dma, false);
  settle(before);
  return dma;
}

/** The headers that C is compiled with have one error address, whichever the emulated kernel returns. */
// @ts-ignore: decorator
@inline
function errorOrAddress(dev: DmaDevice, dma: u64): u64 {
  return isMappingError(dev, dma) ? DMA_MAPPING_ERROR : dma;
}

/** dma_map_single_attrs, which takes memory of the direct map only. @returns the device's address or DMA_MAPPING_ERROR */
export function gd_dma_map_single(dev: DmaDevice, mask: u64, address: usize, length: u32, dir: u32, attrs: u32): u64 {
  const pfn = gd_virt_pfn(address);
  if (pfn != 0 && (pfn & UNIT_VMALLOC) == 0) {
    return gd_dma_map(dev, mask, (<u64>pfn << PAGE_SHIFT) | <u64>(address & (PAGE_SIZE - 1)), length, dir, attrs);
  }
  const before = findings();
  driverState().refused = address;
  dmaMapSingle(dev, address, length, dir, attrs, true);
  settle(before);
  driverState().refused = 0;
  return DMA_MAPPING_ERROR;
}

/** dma_unmap_page_attrs. */
export function gd_dma_unmap(dev: DmaDevice, dma: u64, length: u32, dir: u32, attrs: u32): void {
  if (unwatched()) {
    endPage(dev, dma, length, dir, attrs);
    return;
  }
  const before = findings();
  if (watching()) {
    const at = mappingFind(dev, dma);
    if (at != 0 && changetype<Mapping>(at).dma == dma) mappingEnd(at);
  }
  endPage(dev, dma, length, dir, attrs);
  settle(before);
}

export function gd_dma_map_resource(dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32): u64 {
  const before = findings();
  const dma = dmaMapResource(dev, phys, length, dir, attrs);
  settle(before);
  return dma;
}

export function gd_dma_unmap_resource(dev: DmaDevice, dma: u64, length: u32, dir: u32, attrs: u32): void {
  const before = findings();
  dmaUnmapResource(dev, dma, length, dir, attrs);
  settle(before);
}

/** dma_mapping_error. */
export function gd_dma_error(dev: DmaDevice, dma: u64): bool {
  return dmaMappingError(dev, dma);
}

/** dma_sync_single_for_cpu and dma_sync_single_for_device. */
export function gd_dma_sync(dev: DmaDevice, dma: u64, length: u32, dir: u32, forDevice: bool): void {
  const before = findings();
  if (watching()) {
    const at = mappingFind(dev, dma);
    if (at != 0) {
      const mapping = changetype<Mapping>(at);
      const offset = <u32>(dma - mapping.dma);
      if (forDevice) mappingGive(mapping, offset, length);
      else mappingTake(mapping, offset, length);
    }
  }
  dmaSyncSingle(dev, dma, length, dir, forDevice);
  settle(before);
}

export function gd_dma_max_mapping(dev: DmaDevice): u64 {
  return dmaMaxMapping(dev);
}

export function gd_dma_opt_mapping(dev: DmaDevice): u64 {
  return dmaOptMapping(dev);
}

export function gd_dma_merge_boundary(dev: DmaDevice): u32 {
  return dmaMergeBoundary(dev);
}
