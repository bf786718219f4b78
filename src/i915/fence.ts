import { PAGE_SIZE } from '../core/generated/constants.js';
import type { Platform } from './config.js';

/**
 * Tiling and fence registers by generation: which strides and sizes a fence register takes, what place in the GTT it needs, how
 * many there are. Sources: the i965 Programmer's Reference Manual, volume 1 part 1 ("Surface tiling", FENCE registers),
 * the Ivy Bridge PRM, volume 1 part 2 ("Memory tiling", FENCE), and the driver's i915_tiling_ok and i915_gem_get_gtt_size.
 *
 *   generation  tile X, Y    stride                              a fence covers                    registers
 *   2           128 x 16     power of two, at most 8 KiB         512 KiB x 2^n, at most 128 MiB    8
 *   3           512 x 8 (1)  power of two, at most 8 KiB         1 MiB x 2^n, at most 256 MiB      8 or 16 (2)
 *   4 to 6      512 x 8      multiple of the tile, at most 128K  whole rows of tiles               16
 *   7 to 9      512 x 8      multiple of the tile, at most 256K  whole rows of tiles               32 (3)
 *
 * A Y tile is 128 bytes x 32 rows wherever its width is not that of X. (1) the i915G has no 128-byte Y tiles; (2) 16 from the
 * i945 on; (3) 16 on Valley View and Cherry View.
 */

export const TILING_NONE = 0;
export const TILING_X = 1;
export const TILING_Y = 2;

/** Which bits of an address bit 6 is exclusive-ored with (I915_BIT_6_SWIZZLE_*). */
export const SWIZZLE_NONE = 0;
export const SWIZZLE_9 = 1;
export const SWIZZLE_9_10 = 2;

const KiB = 1024;
const MiB = 1024 * KiB;

/** Bytes of a row of a tile. */
export function tileWidth(gen: number, tiling: number): number {
  return gen === 2 || tiling === TILING_Y ? 128 : 512;
}

/** Rows of a tile: a tile is one page, or half of one on generation 2. */
export function tileHeight(gen: number, tiling: number): number {
  return gen === 2 ? 16 : tiling === TILING_Y ? 32 : 8;
}

/** i915_tiling_ok: whether an object of a size can be tiled so. */
export function tilingOk(gen: number, tiling: number, stride: number, size: number): boolean {
  if (tiling === TILING_NONE) return true;
  if (tiling > TILING_Y) return false;
  const width = tileWidth(gen, tiling);
  if (stride < width || stride % width !== 0) return false;
  if (gen >= 7) return stride <= 0x800 * 128 + 127;
  if (gen >= 4) return stride <= 0x400 * 128 + 127;
  return stride <= 8 * KiB && (stride & (stride - 1)) === 0 && size <= (gen === 3 ? 256 : 128) * MiB;
}

/** i915_gem_get_gtt_size: bytes of the GTT that a fence over an object takes. */
export function fenceSize(gen: number, tiling: number, size: number): number {
  if (gen >= 4 || tiling === TILING_NONE) return size;
  let bytes = gen === 3 ? MiB : MiB / 2;
  while (bytes < size) bytes *= 2;
  return bytes;
}

/** i915_gem_get_gtt_alignment: what its address must be a multiple of. */
export function fenceAlignment(gen: number, tiling: number, size: number): number {
  return gen >= 4 || tiling === TILING_NONE ? PAGE_SIZE : fenceSize(gen, tiling, size);
}

/** i915_gem_object_fence_ok: whether a place in the GTT suits a fence over an object. */
export function fenceOk(gen: number, tiling: number, start: number, bytes: number, size: number): boolean {
  return bytes >= fenceSize(gen, tiling, size) && start % fenceAlignment(gen, tiling, size) === 0;
}

/** Fence registers of a part (i915_gem_load). */
export function numFences(gen: number, platform: Platform): number {
  if (gen >= 7 && platform !== 'vlv' && platform !== 'chv') return 32;
  return gen >= 4 ? 16 : 8;
}

/** i915_gem_detect_bit_6_swizzle, for two channels of the same size. */
export function swizzleOf(gen: number, platform: Platform, tiling: number): number {
  if (tiling === TILING_NONE || gen >= 8 || gen === 2 || platform === 'vlv') return SWIZZLE_NONE;
  return tiling === TILING_X ? SWIZZLE_9_10 : SWIZZLE_9;
}

/** Where byte `at` of the linear view of a tiled surface lies in memory, before the swizzle. */
export function tiledOffset(gen: number, tiling: number, stride: number, at: number): number {
  const width = tileWidth(gen, tiling);
  const height = tileHeight(gen, tiling);
  const row = Math.floor(at / stride);
  const x = at % stride;
  const tile = Math.floor(row / height) * (stride / width) + Math.floor(x / width);
  const inRow = x % width;
  const inTile =
    tiling === TILING_Y && gen !== 2
      ? Math.floor(inRow / 16) * 16 * height + (row % height) * 16 + (inRow % 16) // columns of 16 bytes
      : (row % height) * width + inRow;
  return tile * width * height + inTile;
}

/** An address with bit 6 as the memory controller of the part has it. */
export function swizzled(mode: number, address: number): number {
  let bit = 0;
  if (mode === SWIZZLE_9 || mode === SWIZZLE_9_10) bit ^= Math.floor(address / 512) & 1;
  if (mode === SWIZZLE_9_10) bit ^= Math.floor(address / 1024) & 1;
  return bit === 0 ? address : address + ((address & 64) !== 0 ? -64 : 64);
}
