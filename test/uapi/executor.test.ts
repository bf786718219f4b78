import { describe, expect, test } from 'vitest';
import { swizzled, swizzleOf, TILING_X, tiledOffset } from '../../src/i915/fence.js';
import { PAGE_SIZE as PAGE } from '../../src/index.js';
import { Client, type I915Options } from './client.js';

const MI_BATCH_BUFFER_END = 0x0a << 23;

/** Addresses of objects come first: each gets a place, and the batch is written for these. */
function run(
  options: I915Options,
  sizes: readonly number[],
  commands: (...at: number[]) => number[],
): { client: Client; handles: number[]; hang: boolean } {
  const client = new Client(options, { execute: true });
  const handles = sizes.map((size) => client.create(size));
  const batch = client.create(PAGE);
  const all = [...handles, batch].map((handle) => ({ handle }));
  client.pwrite(batch, 0, new Uint8Array(Uint32Array.of(MI_BATCH_BUFFER_END).buffer));
  const { offsets } = client.exec(all);
  client.pwrite(batch, 0, new Uint8Array(Uint32Array.from(commands(...offsets)).buffer));
  expect(client.exec(all.map((one, i) => ({ ...one, offset: offsets[i] }))).rc).toBe(0);
  return { client, handles, hang: client.file.lastRun!.ended !== 'end' };
}

const low = (address: number): number => address >>> 0;
const high = (address: number): number => Math.floor(address / 2 ** 32);
const words = (bytes: Uint8Array): number[] => [...new Uint32Array(Uint8Array.from(bytes).buffer)];

/** An address as commands of the generation have it. */
const address = (gen: number, at: number): number[] => (gen >= 8 ? [low(at), high(at)] : [low(at)]);
const store = (gen: number, at: number, value: number): number[] =>
  gen >= 8 ? [(0x20 << 23) | 2, ...address(gen, at), value] : [(0x20 << 23) | 2, 0, low(at), value];
const box = (x1: number, y1: number, x2: number, y2: number): number[] => [(y1 << 16) | x1, (y2 << 16) | x2];

const BLT = 2 << 29;
const WRITE = 3 << 20;
const colour = (gen: number, at: number, pitch: number, area: number[], value: number, flags = WRITE): number[] => [
  BLT | (0x50 << 22) | flags | (gen >= 8 ? 5 : 4),
  (3 << 24) | (0xf0 << 16) | pitch,
  ...area,
  ...address(gen, at),
  value,
];
const copy = (gen: number, to: number, from: number, pitch: number, area: number[], flags = WRITE): number[] => [
  BLT | (0x53 << 22) | flags | (gen >= 8 ? 8 : 6),
  (3 << 24) | (0xcc << 16) | pitch,
  ...area,
  ...address(gen, to),
  ...[0, pitch],
  ...address(gen, from),
];

describe.each([
  ['gen 6, no PPGTT', { gen: 6, ppgtt: 'none' }],
  ['gen 7, aliasing', { gen: 7, ppgtt: 'aliasing' }],
  ['gen 8, full', { gen: 8, ppgtt: 'full' }],
  ['gen 9, 48 bits', { gen: 9, ppgtt: 'full-48bit' }],
] as const)('%s', (_, options) => {
  const { gen } = options;

  test('store dword: through the page tables, the IOMMU and the frames', () => {
    const { client, handles, hang } = run(options, [PAGE], (data) => [
      ...store(gen, data + 8, 0xdeadbeef),
      MI_BATCH_BUFFER_END,
    ]);
    expect([hang, words(client.pread(handles[0], 4, 12))]).toEqual([false, [0, 0xdeadbeef, 0]]);
    expect(client.file.lastRun).toEqual({ commands: 2, writes: 1, ended: 'end' });
  });

  test('a chain of batches', () => {
    const { client, handles, hang } = run(options, [PAGE, PAGE], (data, second) => [
      // The second batch is written by the first one.
      ...store(gen, second, MI_BATCH_BUFFER_END),
      ...store(gen, data, 1),
      ...[(0x31 << 23) | (gen >= 8 ? 1 : 0), ...address(gen, second)],
      ...store(gen, data, 2),
    ]);
    expect([hang, words(client.pread(handles[0], 0, 4))]).toEqual([false, [1]]);
  });

  test('colour and copy blits', () => {
    const pitch = 64;
    const { client, handles, hang } = run(options, [PAGE, PAGE], (from, to) => [
      ...colour(gen, from, pitch, box(1, 1, 4, 3), 0x11223344),
      ...copy(gen, to, from, pitch, box(0, 0, 3, 3)),
      MI_BATCH_BUFFER_END,
    ]);
    const row = (handle: number, y: number): number[] => words(client.pread(handle, y * pitch, 20));
    const c = 0x11223344;
    expect(hang).toBe(false);
    expect([0, 1, 2, 3].map((y) => row(handles[0], y))).toEqual([
      [0, 0, 0, 0, 0],
      [0, c, c, c, 0],
      [0, c, c, c, 0],
      [0, 0, 0, 0, 0],
    ]);
    expect([0, 1, 2].map((y) => row(handles[1], y))).toEqual([
      [0, 0, 0, 0, 0],
      [0, c, c, 0, 0],
      [0, c, c, 0, 0],
    ]);
  });

  test('a tiled destination: where the tile has the pixel, with bit 6 as the part swizzles it', () => {
    const pitch = 1024;
    const { client, handles } = run(options, [8 * PAGE], (to) => [
      ...colour(gen, to, pitch / 4, box(200, 3, 201, 4), 7, WRITE | (1 << 11)),
      MI_BATCH_BUFFER_END,
    ]);
    const { platform } = client.gpu.config;
    const at = swizzled(swizzleOf(gen, platform, TILING_X), tiledOffset(gen, TILING_X, pitch, 3 * pitch + 800));
    expect(words(client.pread(handles[0], at, 4))).toEqual([7]);
    expect(client.pread(handles[0], 0, 8 * PAGE).filter((byte) => byte !== 0).length).toBe(1);
  });
});

test('write masks keep the alpha of a pixel, or its colour', () => {
  const { client, handles } = run({ gen: 8 }, [PAGE], (to) => [
    ...colour(8, to, 64, box(0, 0, 3, 1), 0x11111111),
    ...colour(8, to, 64, box(0, 0, 1, 1), 0x22222222, 1 << 20),
    ...colour(8, to, 64, box(1, 0, 2, 1), 0x22222222, 1 << 21),
    MI_BATCH_BUFFER_END,
  ]);
  expect(words(client.pread(handles[0], 0, 12))).toEqual([0x11222222, 0x22111111, 0x11111111]);
});

test('other commands are passed over by their length', () => {
  const { client, handles, hang } = run({ gen: 7 }, [PAGE], (data) => [
    ...[0x61040000, 0x7a000003, 0, 0, 0, 0, 0x78260000, 0], // PIPELINE_SELECT, PIPE_CONTROL, a 3DSTATE
    ...store(7, data, 5),
    MI_BATCH_BUFFER_END,
  ]);
  expect([hang, words(client.pread(handles[0], 0, 4))]).toEqual([false, [5]]);
});

test('a batch that hangs is counted, and the next one runs', () => {
  const endless = run({ gen: 8 }, [PAGE], (_, batch) => [(0x31 << 23) | 1, ...address(8, batch)]);
  const { client } = endless;
  expect(client.file.lastRun!.ended).toBe('limit');
  expect(client.call('I915_GET_RESET_STATS', 'reset_stats')).toMatchObject({ rc: 0, batch_active: 1, reset_count: 1 });
  const unknown = run({ gen: 8 }, [PAGE], () => [0x80000000]);
  expect(unknown.client.file.lastRun!.ended).toBe('unknown');
  // Outside of any rectangle's surface: an address below 0.
  const below = run({ gen: 8 }, [PAGE], () => [...colour(8, 0, 64, [(0x8000 << 16) | 0, (0x8001 << 16) | 1], 1)]);
  expect(below.client.file.lastRun!.ended).toBe('fault');
});
