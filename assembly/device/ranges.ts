// dev->dma_range_map (include/linux/dma-direct.h): windows through which a device's bus reaches memory, at addresses of its own.
// What lies in no window does not exist for the other side.

import { blockAllocZeroed } from '../memory/block';
import { recordAt } from '../memory/record';
import { DEVICE_RANGES, DmaDevice } from './device';

/** A window (struct bus_dma_region). */
// @ts-ignore: decorator
@unmanaged
export class BusRange {
  cpu: u64;
  bus: u64;
  size: u64;
}

/** Windows that a device may have: what a block of 4 KiB holds. */
export const MAX_RANGES: u32 = 128;

/** Of an address that the other side does not have. */
export const NO_ADDRESS: u64 = 0xffffffffffffffff;

/** Adds a window. Returns false without memory, or when there are MAX_RANGES. */
export function deviceAddRange(dev: DmaDevice, cpu: u64, bus: u64, size: u64): bool {
  if (dev.ranges == 0) dev.ranges = blockAllocZeroed(dev.ctx, 0);
  if (dev.ranges == 0 || dev.rangeCount == MAX_RANGES) return false;
  const range = recordAt<BusRange>(dev.ranges, dev.rangeCount++);
  range.cpu = cpu;
  range.bus = bus;
  range.size = size;
  dev.flags |= DEVICE_RANGES;
  return true;
}

/** The window that has an address of the CPU's, or one of the bus's; null for none. */
function rangeOf(dev: DmaDevice, address: u64, bus: bool): BusRange | null {
  for (let i: u32 = 0; i < dev.rangeCount; ++i) {
    const range = recordAt<BusRange>(dev.ranges, i);
    if (address - (bus ? range.bus : range.cpu) < range.size) return range;
  }
  return null;
}

/** phys_to_dma. */
// @ts-ignore: decorator
@inline
export function physToDma(dev: DmaDevice, phys: u64): u64 {
  return (dev.flags & DEVICE_RANGES) == 0 ? phys : through(dev, phys, false);
}

/** dma_to_phys. */
// @ts-ignore: decorator
@inline
export function dmaToPhys(dev: DmaDevice, address: u64): u64 {
  return (dev.flags & DEVICE_RANGES) == 0 ? address : through(dev, address, true);
}

/** The other side's address, or NO_ADDRESS. */
function through(dev: DmaDevice, address: u64, bus: bool): u64 {
  const range = rangeOf(dev, address, bus);
  if (range == null) return NO_ADDRESS;
  return bus ? address - range.bus + range.cpu : address - range.cpu + range.bus;
}

/** Whether all of [start, end) of the CPU's addresses is in windows. */
export function rangesCover(dev: DmaDevice, start: u64, end: u64): bool {
  while (start < end) {
    const range = rangeOf(dev, start, false);
    if (range == null) return false;
    start = range.cpu + range.size;
  }
  return true;
}
