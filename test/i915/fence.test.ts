import { describe, expect, test } from 'vitest';
import {
  fenceAlignment,
  fenceOk,
  fenceSize,
  numFences,
  SWIZZLE_9,
  SWIZZLE_9_10,
  swizzled,
  swizzleOf,
  tiledOffset,
  tileHeight,
  tileWidth,
  tilingOk,
} from '../../src/i915/fence.js';

const MiB = 2 ** 20;
const [NONE, X, Y] = [0, 1, 2];

describe('strides and sizes by generation', () => {
  test.each([
    // generation, tiling, stride, size, whether
    [2, X, 128, MiB, true],
    [2, X, 384, MiB, false],
    [2, X, 8192, 128 * MiB, true],
    [2, X, 8192, 129 * MiB, false],
    [2, X, 16384, MiB, false],
    [3, X, 512, 256 * MiB, true],
    [3, X, 512, 257 * MiB, false],
    [3, X, 1536, MiB, false],
    [3, Y, 128, MiB, true],
    [4, X, 1536, 512 * MiB, true],
    [4, X, 131072, MiB, true],
    [4, X, 131584, MiB, false],
    [5, Y, 128, MiB, true],
    [6, X, 131584, MiB, false],
    [7, X, 131584, MiB, true],
    [7, X, 262144, MiB, true],
    [7, X, 262656, MiB, false],
    [8, Y, 262144, MiB, true],
    [9, X, 100, MiB, false],
    [9, 3, 512, MiB, false],
    [9, NONE, 77, MiB, true],
  ])('gen %i, tiling %i, stride %i, %i bytes: %s', (gen, tiling, stride, size, ok) => {
    expect(tilingOk(gen, tiling, stride, size)).toBe(ok);
  });

  test('what a fence covers: powers of two before generation 4', () => {
    expect([2, 3, 4, 7].map((gen) => fenceSize(gen, X, 600 * 1024))).toEqual([MiB, MiB, 600 * 1024, 600 * 1024]);
    expect([2, 3, 4].map((gen) => fenceSize(gen, X, 4096))).toEqual([MiB / 2, MiB, 4096]);
    expect([2, 3, 4].map((gen) => fenceAlignment(gen, X, 3 * MiB))).toEqual([4 * MiB, 4 * MiB, 4096]);
    expect(fenceAlignment(3, NONE, 3 * MiB)).toBe(4096);
    expect([fenceOk(3, X, MiB, MiB, MiB), fenceOk(3, X, 4096, MiB, MiB), fenceOk(3, X, 0, 4096, 4096)]).toEqual([
      ...[true, false, false],
    ]);
  });

  test('registers and swizzling by part', () => {
    expect([numFences(2, 'snb'), numFences(4, 'snb'), numFences(6, 'snb'), numFences(7, 'ivb')]).toEqual([
      8, 16, 16, 32,
    ]);
    expect([numFences(7, 'vlv'), numFences(8, 'chv'), numFences(9, 'skl')]).toEqual([16, 16, 32]);
    expect([swizzleOf(6, 'snb', X), swizzleOf(6, 'snb', Y), swizzleOf(8, 'bdw', X)]).toEqual([
      SWIZZLE_9_10,
      SWIZZLE_9,
      0,
    ]);
  });
});

describe('tiles', () => {
  test.each([2, 3, 4, 7, 9].flatMap((gen) => [X, Y].map((tiling) => [gen, tiling] as const)))(
    'gen %i, tiling %i: every byte of the surface has one place, and pages are whole',
    (gen, tiling) => {
      const stride = 2 * 512;
      const size = stride * tileHeight(gen, tiling) * 2;
      const places = new Set<number>();
      for (let at = 0; at < size; ++at) places.add(tiledOffset(gen, tiling, stride, at));
      expect(places.size).toBe(size);
      expect(Math.max(...places)).toBe(size - 1);
      expect(tileWidth(gen, tiling) * tileHeight(gen, tiling)).toBe(gen === 2 ? 2048 : 4096);
    },
  );

  test('X goes along rows of 512 bytes, Y down columns of 16', () => {
    expect(tiledOffset(7, X, 1024, 512)).toBe(4096);
    expect(tiledOffset(7, X, 1024, 1024)).toBe(512);
    expect(tiledOffset(7, Y, 1024, 16)).toBe(512);
    expect(tiledOffset(7, Y, 1024, 1024)).toBe(16);
    expect(tiledOffset(7, Y, 1024, 128)).toBe(4096);
  });

  test('bit 6 by bits 9 and 10, and back', () => {
    expect([swizzled(SWIZZLE_9, 512), swizzled(SWIZZLE_9, 1024), swizzled(SWIZZLE_9_10, 1024)]).toEqual([
      576, 1024, 1088,
    ]);
    for (let at = 0; at < 4096; at += 61) expect(swizzled(SWIZZLE_9_10, swizzled(SWIZZLE_9_10, at))).toBe(at);
  });
});
