// The DMA API for the host (memory/host.ts): an address that is DMA_MAPPING_ERROR is -1.

import { DmaDevice } from '../device/device';
import { fromHost, maskFromHost, toHost } from '../memory/host';
import { PAGE_SHIFT } from '../ram/ram';
import { SgTable } from '../sg/sg-table';
import * as coherent from './coherent';
import * as link from './iova-link';
import * as limits from './limits';
import * as map from './map';
import * as p2p from './p2p';
import * as sync from './sync';

/** dmaMapPage. */
export function dmaMapPage(dev: DmaDevice, pfn: u32, offset: u32, length: u32, dir: u32, attrs: u32): f64 {
  return toHost(map.mapPage(dev, (<u64>pfn << PAGE_SHIFT) + offset, length, dir, attrs));
}

/** deviceErrorAddress. */
export function deviceErrorAddress(dev: DmaDevice): f64 {
  return toHost(map.deviceErrorAddress(dev));
}

/** dmaUnmapPage. */
export function dmaUnmapPage(dev: DmaDevice, address: f64, length: u32, dir: u32, attrs: u32): void {
  map.endPage(dev, fromHost(address), length, dir, attrs);
}

/** dmaMapSingle. */
export function dmaMapSingle(dev: DmaDevice, phys: f64, length: u32, dir: u32, attrs: u32, vmalloc: bool): f64 {
  return toHost(map.dmaMapSingle(dev, fromHost(phys), length, dir, attrs, vmalloc));
}

/** dmaMapResource. */
export function dmaMapResource(dev: DmaDevice, phys: f64, length: u32, dir: u32, attrs: u32): f64 {
  return toHost(map.dmaMapResource(dev, fromHost(phys), length, dir, attrs));
}

/** dmaUnmapResource. */
export function dmaUnmapResource(dev: DmaDevice, address: f64, length: u32, dir: u32, attrs: u32): void {
  map.dmaUnmapResource(dev, fromHost(address), length, dir, attrs);
}

/** dmaSyncSingle. */
export function dmaSyncSingle(dev: DmaDevice, address: f64, length: u32, dir: u32, forDevice: bool): void {
  sync.dmaSyncSingle(dev, fromHost(address), length, dir, forDevice);
}

/** dmaNeedSync. */
export function dmaNeedSync(dev: DmaDevice, address: f64): bool {
  return sync.dmaNeedSync(dev, fromHost(address));
}

/** dmaMappingError. */
export function dmaMappingError(dev: DmaDevice, address: f64): bool {
  return sync.dmaMappingError(dev, fromHost(address));
}

/** dmaFreeCoherent. */
export function dmaFreeCoherent(dev: DmaDevice, buffer: SgTable, length: u32, address: f64, attrs: u32): void {
  coherent.dmaFreeCoherent(dev, buffer, length, fromHost(address), attrs);
}

/** dmaUnmapCoherent. */
export function dmaUnmapCoherent(dev: DmaDevice, buffer: SgTable, length: u32, address: f64, attrs: u32): void {
  coherent.dmaUnmapCoherent(dev, buffer, length, fromHost(address), attrs);
}

/** dmaIovaTryAlloc. */
export function dmaIovaTryAlloc(dev: DmaDevice, phys: f64, size: f64): f64 {
  return toHost(link.dmaIovaTryAlloc(dev, fromHost(phys), fromHost(size)));
}

/** dmaIovaLink. */
export function dmaIovaLink(dev: DmaDevice, base: f64, offset: f64, phys: f64, size: f64, dir: u32, attrs: u32): i32 {
  return link.dmaIovaLink(dev, fromHost(base), fromHost(offset), fromHost(phys), fromHost(size), dir, attrs);
}

/** dmaIovaSync. */
export function dmaIovaSync(dev: DmaDevice, base: f64, offset: f64, size: f64): i32 {
  return link.dmaIovaSync(dev, fromHost(base), fromHost(offset), fromHost(size));
}

/** dmaIovaUnlink. */
export function dmaIovaUnlink(dev: DmaDevice, base: f64, offset: f64, size: f64, dir: u32, attrs: u32): void {
  link.dmaIovaUnlink(dev, fromHost(base), fromHost(offset), fromHost(size), dir, attrs);
}

/** dmaIovaDestroy. */
export function dmaIovaDestroy(dev: DmaDevice, base: f64, linked: f64, size: f64, dir: u32, attrs: u32): void {
  link.dmaIovaDestroy(dev, fromHost(base), fromHost(linked), fromHost(size), dir, attrs);
}

/** dmaMaxMapping; 2^64 for SIZE_MAX. */
export function dmaMaxMapping(dev: DmaDevice): f64 {
  return sizeToHost(limits.dmaMaxMapping(dev));
}

/** dmaOptMapping; 2^64 for SIZE_MAX. */
export function dmaOptMapping(dev: DmaDevice): f64 {
  return sizeToHost(limits.dmaOptMapping(dev));
}

function sizeToHost(size: u64): f64 {
  return size == limits.UNLIMITED ? 18446744073709551616.0 : toHost(size);
}

/** dmaMaskSupported; the argument is the first address that is not reached. */
export function dmaMaskSupported(dev: DmaDevice, reach: f64): bool {
  return limits.dmaMaskSupported(dev, maskFromHost(reach));
}

/** Windows of p2p.ts that the host has written as doubles. */
function windowsFromHost(windows: usize, count: u32): void {
  for (let at = windows, end = windows + (<usize>count << 4); at < end; at += 8) store<u64>(at, fromHost(load<f64>(at)));
}

/** dmaMapSgMixed. */
export function dmaMapSgMixed(dev: DmaDevice, sgt: SgTable, windows: usize, count: u32, dir: u32, attrs: u32): i32 {
  windowsFromHost(windows, count);
  return p2p.dmaMapSgMixed(dev, sgt, windows, count, dir, attrs);
}

/** dmaUnmapSgMixed. */
export function dmaUnmapSgMixed(
  dev: DmaDevice, sgt: SgTable, windows: usize, windowCount: u32, count: u32, dir: u32, attrs: u32,
): void {
  windowsFromHost(windows, windowCount);
  p2p.dmaUnmapSgMixed(dev, sgt, windows, windowCount, count, dir, attrs);
}
