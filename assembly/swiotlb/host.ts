// The bounce pool as the host sees it: addresses as doubles, statistics and live mappings as rows of doubles.

import { DMA_MAPPING_ERROR, DmaDevice } from '../dma/device';
import { Context } from '../memory/context';
import { backOf } from './slots';
import { areaOf, mappingOf, poolOf, slotAddress } from './pool';
import { swiotlbMap, swiotlbSync, swiotlbUnmap } from './swiotlb';

/** swiotlbMap for the host; -1 is DMA_MAPPING_ERROR. */
export function swiotlbMapSingle(dev: DmaDevice, phys: f64, length: u32, dir: u32, attrs: u32): f64 {
  const address = swiotlbMap(dev, <u64>phys, length, dir, attrs);
  return address == DMA_MAPPING_ERROR ? -1 : <f64>address;
}

export function swiotlbUnmapSingle(dev: DmaDevice, address: f64, length: u32, dir: u32, attrs: u32): bool {
  return swiotlbUnmap(dev, <u64>address, length, dir, attrs);
}

export function swiotlbSyncSingle(dev: DmaDevice, address: f64, length: u32, dir: u32, forDevice: bool): bool {
  return swiotlbSync(dev, <u64>address, length, dir, forDevice);
}

/**
 * Writes the pool's statistics as doubles: start, slots, areas, used, high-water mark, live mappings, mappings made,
 * bytes copied in, bytes copied out, refused as full, as too large, as unreachable; then index and used of each area.
 * @returns how many were written, 0 without a pool
 */
export function swiotlbStats(ctx: Context, dest: usize): u32 {
  const pool = poolOf(ctx);
  if (pool == null) return 0;
  store<f64>(dest, <f64>pool.start);
  store<f64>(dest, <f64>pool.slots, 8);
  store<f64>(dest, <f64>pool.areas, 16);
  store<f64>(dest, <f64>pool.used, 24);
  store<f64>(dest, <f64>pool.highWater, 32);
  store<f64>(dest, <f64>pool.live, 40);
  store<f64>(dest, <f64>pool.maps, 48);
  store<f64>(dest, <f64>pool.bytesIn, 56);
  store<f64>(dest, <f64>pool.bytesOut, 64);
  store<f64>(dest, <f64>pool.full, 72);
  store<f64>(dest, <f64>pool.tooLarge, 80);
  store<f64>(dest, <f64>pool.unreachable, 88);
  let at = dest + 96;
  for (let i: u32 = 0; i < pool.areas; ++i) {
    const area = areaOf(pool, i);
    store<f64>(at, <f64>area.index);
    store<f64>(at, <f64>area.used, 8);
    at += 16;
  }
  return 12 + pool.areas * 2;
}

/** Forgets the high-water mark (a write to io_tlb_used_hiwater). */
export function swiotlbResetHighWater(ctx: Context): void {
  const pool = poolOf(ctx);
  if (pool != null) pool.highWater = pool.used;
}

/**
 * Writes live mappings in the order of their slots, from slot `from` on, seven doubles each: first slot, slots, address,
 * physical address of the buffer, length, device, direction.
 * @returns mappings written, at most max
 */
export function swiotlbMappings(ctx: Context, from: u32, dest: usize, max: u32): u32 {
  const pool = poolOf(ctx);
  if (pool == null) return 0;
  let found: u32 = 0;
  let slot = from;
  while (slot < pool.slots && found < max) {
    if (load<u8>(backOf(pool, slot)) != 0) {
      ++slot;
      continue;
    }
    const mapping = mappingOf(pool, slot);
    store<f64>(dest, <f64>slot);
    store<f64>(dest, <f64>mapping.slots, 8);
    store<f64>(dest, <f64>(slotAddress(pool, slot) + mapping.offset), 16);
    store<f64>(dest, <f64>mapping.phys, 24);
    store<f64>(dest, <f64>mapping.length, 32);
    store<f64>(dest, <f64>mapping.device, 40);
    store<f64>(dest, <f64>mapping.direction, 48);
    dest += 56;
    slot += mapping.slots;
    ++found;
  }
  return found;
}
