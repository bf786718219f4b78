import { describe, expect, test } from 'vitest';
import { swizzled, swizzleOf, tiledOffset } from '../../src/i915/fence.js';
import { ERRNO, GemDmaError, Machine, PAGE_SIZE as PAGE } from '../../src/index.js';
import { Client, type I915Options } from './client.js';

const MiB = 2 ** 20;
const [EINVAL, ENOENT, EFAULT, EBUSY] = (['EINVAL', 'ENOENT', 'EFAULT', 'EBUSY'] as const).map((name) => -ERRNO[name]);

function mapped(client: Client, handle: number, type: 'gtt' | 'cpu' = 'gtt') {
  if (type === 'cpu') {
    const { size } = client.file.object(handle)!;
    return client.file.mapping(Number(client.call('I915_GEM_MMAP', 'gem_mmap', { handle, size }).addr_ptr))!;
  }
  const { rc, offset } = client.call('I915_GEM_MMAP_GTT', 'gem_mmap_gtt', { handle });
  expect(rc).toBe(0);
  const mapping = client.file.mmap(Number(offset));
  if (typeof mapping === 'number') throw new Error(`mmap: ${mapping}`);
  return mapping;
}

const tile = (client: Client, handle: number, tiling_mode: number, stride: number) =>
  client.call('I915_GEM_SET_TILING', 'gem_set_tiling', { handle, tiling_mode, stride });

describe('mappings of the pages', () => {
  test('what the CPU writes is what pread and the GPU read, without the driver holding pages', () => {
    const client = new Client();
    const handle = client.create(2 * PAGE);
    const mapping = mapped(client, handle, 'cpu');
    mapping.write(PAGE - 1, Uint8Array.of(1, 2));
    expect(client.file.object(handle)!.pages).toBe(0);
    expect([...client.pread(handle, PAGE - 1, 2)]).toEqual([1, 2]);
    client.pwrite(handle, 0, Uint8Array.of(9));
    expect([...mapping.read(0, 1)]).toEqual([9]);
    expect(() => mapping.read(2 * PAGE, 1)).toThrow(RangeError);
    mapping.unmap();
    expect(() => mapping.read(0, 1)).toThrow(GemDmaError);
  });

  test('errors of MMAP, and the SIGBUS behind the end of the object', () => {
    const client = new Client();
    const handle = client.create(PAGE);
    const rc = (fields: object): number =>
      client.call('I915_GEM_MMAP', 'gem_mmap', { handle, size: PAGE, ...fields }).rc;
    expect([rc({ flags: 2 }), rc({ handle: 9 }), rc({ size: 0 }), rc({ offset: 5 })]).toEqual([
      EINVAL,
      ENOENT,
      EINVAL,
      EINVAL,
    ]);
    const long = client.call('I915_GEM_MMAP', 'gem_mmap', { handle, size: 2 * PAGE });
    const mapping = client.file.mapping(Number(long.addr_ptr))!;
    expect(() => mapping.read(PAGE, 1)).toThrow(expect.objectContaining({ code: 'EFAULT', reason: 'SIGBUS' }));
    const modern = new Client({}, { profile: 'modern' });
    const other = modern.create(PAGE);
    expect(modern.call('I915_GEM_MMAP', 'gem_mmap', { handle: other, size: 2 * PAGE }).rc).toBe(EINVAL);
    expect(client.file.munmap(mapping.address)).toBe(true);
    expect(client.file.munmap(mapping.address)).toBe(false);
    expect(client.file.mmap(12345)).toBe(EINVAL);
  });
});

describe('through the aperture', () => {
  test('the first access faults and binds it where the CPU reaches it; unbinding and purging revoke', () => {
    const client = new Client();
    const handle = client.create(4 * PAGE);
    const object = client.file.object(handle)!;
    const mapping = mapped(client, handle);
    expect([mapping.faults, object.vmas.length]).toEqual([0, 0]);
    mapping.write(5000, Uint8Array.of(1, 2, 3));
    const { start } = object.vma(client.gpu.ggtt)!;
    expect([mapping.faults, start + object.size <= client.gpu.config.mappable]).toEqual([1, true]);
    expect([...client.gpu.read(client.gpu.ggtt, start + 5000, 3)]).toEqual([1, 2, 3]);
    mapping.read(0, 1);
    expect(mapping.faults).toBe(1);
    object.vma(client.gpu.ggtt)!.unbind();
    expect([...mapping.read(5000, 3)]).toEqual([1, 2, 3]);
    expect(mapping.faults).toBe(2);
    object.vma(client.gpu.ggtt)!.unbind();
    client.call('I915_GEM_MADVISE', 'gem_madvise', { handle, madv: 1 });
    client.gpu.shrinkAll();
    expect(() => mapping.read(0, 1)).toThrow(expect.objectContaining({ reason: 'SIGBUS' }));
    expect(client.call('I915_GEM_MMAP_GTT', 'gem_mmap_gtt', { handle }).rc).toBe(EFAULT);
  });

  test('an object larger than the aperture is shown a MiB at a time', () => {
    const client = new Client({ mappable: '64MiB' }, {}, new Machine({ ram: '256MiB' }));
    const handle = client.create(64 * MiB);
    const mapping = mapped(client, handle);
    mapping.write(3 * MiB - 2, Uint8Array.of(1, 2, 3, 4));
    const shown = client.file.object(handle)!.vmas.map(({ view, size }) => [view, size]);
    expect([mapping.faults, shown]).toEqual([
      2,
      [512, 768].map((offset) => [{ type: 'partial', offset, size: 256 }, MiB]),
    ]);
    expect([...mapping.read(3 * MiB - 2, 4)]).toEqual([1, 2, 3, 4]);
    expect(mapping.faults).toBe(2);
    expect([...client.pread(handle, 3 * MiB - 2, 4)]).toEqual([1, 2, 3, 4]);
  });

  test('snooped objects of a part without a shared cache cannot be reached', () => {
    const client = new Client({ gen: 7, platform: 'vlv' });
    const handle = client.create(PAGE);
    client.call('I915_GEM_SET_CACHING', 'gem_caching', { handle, caching: 1 });
    expect(() => mapped(client, handle).read(0, 1)).toThrow(expect.objectContaining({ reason: 'SIGBUS' }));
  });

  test.each([
    ['X on gen 7, swizzled', { gen: 7 }, 1],
    ['Y on gen 6, swizzled', { gen: 6 }, 2],
    ['X on gen 9', { gen: 9 }, 1],
    ['Y on gen 8', { gen: 8 }, 2],
  ] as [string, I915Options, number][])('a tiled object is linear there: %s', (_, options, mode) => {
    const client = new Client(options);
    const handle = client.create(16 * PAGE);
    expect(tile(client, handle, mode, 1024)).toMatchObject({ rc: 0, tiling_mode: mode, stride: 1024 });
    const mapping = mapped(client, handle);
    const bytes = Uint8Array.from({ length: 16 * PAGE }, (_, i) => (i * 7 + (i >> 8)) % 251);
    mapping.write(0, bytes);
    expect(mapping.read(0, bytes.length)).toEqual(bytes);
    expect(mapping.read(12_345, 100)).toEqual(bytes.subarray(12_345, 12_445));
    const { gen, platform } = client.gpu.config;
    const swizzle = swizzleOf(gen, platform, mode);
    expect(client.call('I915_GEM_GET_TILING', 'gem_get_tiling', { handle }).swizzle_mode).toBe(swizzle);
    const pages = client.pread(handle, 0, 8 * PAGE);
    for (const at of [0, 100, 1024, 5000, 8191]) {
      expect(pages[swizzled(swizzle, tiledOffset(gen, mode, 1024, at))]).toBe(bytes[at]);
    }
    // Another tiling: the same bytes are seen otherwise, after another fault.
    tile(client, handle, 0, 0);
    expect(mapping.read(0, 8 * PAGE)).toEqual(pages);
    expect(mapping.faults).toBe(2);
  });

  test('fence registers are stolen from the object that was used least recently', () => {
    const client = new Client({ gen: 7, platform: 'vlv' });
    const all = Array.from({ length: 17 }, () => {
      const handle = client.create(8 * PAGE);
      tile(client, handle, 1, 512);
      return mapped(client, handle);
    });
    for (const mapping of all.slice(0, 16)) mapping.write(0, Uint8Array.of(1));
    all[0].read(0, 1);
    expect([client.gpu.fences.steals, all[0].faults]).toEqual([0, 1]);
    all[16].write(0, Uint8Array.of(1));
    expect(client.gpu.fences.steals).toBe(1);
    const faults = all.map((mapping) => {
      mapping.read(0, 1);
      return mapping.faults;
    });
    // Each that had lost its register took that of the next one.
    expect(faults.filter((n) => n > 1).length).toBeGreaterThan(0);
    expect(client.gpu.fences.steals).toBeGreaterThan(1);
  });
});

test('GET_TILING and the rules of SET_TILING', () => {
  const client = new Client({ gen: 7 });
  const handle = client.create(16 * PAGE);
  const rc = (mode: number, stride: number): number => tile(client, handle, mode, stride).rc;
  expect([rc(1, 0), rc(1, 256), rc(1, 513), rc(3, 512), rc(2, 64)]).toEqual([EINVAL, EINVAL, EINVAL, EINVAL, EINVAL]);
  expect([rc(1, 2 ** 18), rc(1, 2 ** 18 + 512), rc(2, 128)]).toEqual([0, EINVAL, 0]);
  expect(tile(client, 9, 0, 0).rc).toBe(ENOENT);
  expect(tile(client, handle, 0, 77)).toMatchObject({ rc: 0, stride: 0, swizzle_mode: 0 });
  client.file.object(handle)!.bind(client.gpu.ggtt, { pin: true });
  expect(tile(client, handle, 1, 512)).toMatchObject({ rc: EBUSY, tiling_mode: 0, stride: 0 });
});
