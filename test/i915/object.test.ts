import { describe, expect, test } from 'vitest';
import { gpuOn, KiB, MiB, pattern } from './gpu.js';

describe('creating objects', () => {
  test('sizes are rounded up to whole pages; nothing is EINVAL, before anything is made', () => {
    const { gpu } = gpuOn();
    expect(gpu.createObject(1).size).toBe(4096);
    expect(gpu.createObject('10000').size).toBe(12288);
    expect(() => gpu.createObject(0)).toThrow(/EINVAL/);
    expect(() => gpu.createObject(2 ** 64)).toThrow(/EINVAL/);
    expect(() => gpu.createObject(1.5)).toThrow(RangeError);
    expect(() => gpu.createObject('much')).toThrow(/ERR|size/);
    expect(gpu.objectCount).toBe(2);
  });

  test('an object starts without pages, in the CPU domain, cached where the GPU shares the cache', () => {
    const object = gpuOn().gpu.createObject('8KiB');
    expect([object.pages, object.pagesPinCount, object.madvised, object.readDomains, object.cacheLevel]).toEqual([
      0,
      0,
      'willneed',
      1,
      1,
    ]);
    expect(gpuOn({ platform: 'chv' }).gpu.createObject(1).cacheLevel).toBe(0);
  });
});

test('an object that no machine could hold is refused its pages, not a few of them', () => {
  const { gpu } = gpuOn();
  const object = gpu.createObject(2 ** 44 + 4096);
  expect(() => object.getPages()).toThrow(/ENOMEM/);
  expect(() => object.bind(gpu.ggtt)).toThrow(/E2BIG/);
});

describe('pages', () => {
  test('getting nests, and the object is on the unbound list exactly while it has pages', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('1MiB');
    expect(gpu.unboundList.empty).toBe(true);
    object.getPages();
    const { pages } = object;
    object.getPages();
    expect(object.pages).toBe(pages);
    expect(gpu.unboundList.toArray()).toEqual([object]);
    object.putPages();
    expect([object.pages, gpu.unboundList.empty]).toEqual([0, true]);
    object.putPages();
  });

  test('pins keep them: putPages is EBUSY and changes nothing', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('1MiB');
    object.pinPages();
    object.pinPages();
    expect(() => object.putPages()).toThrow(/EBUSY/);
    expect(object.pages).not.toBe(0);
    object.unpinPages();
    object.unpinPages();
    expect(() => object.unpinPages()).toThrow(/EINVAL/);
    object.putPages();
  });

  test('getPage finds the frame of every page, forwards and backwards', () => {
    const { gpu, machine } = gpuOn();
    const object = gpu.createObject('64KiB');
    object.pwrite(0, pattern(64 * KiB));
    for (const n of [0, 5, 15, 3, 0]) {
      expect(machine.ram.read(object.getPage(n) * 4096, 16)).toEqual(pattern(16, n * 4096));
    }
    expect(() => object.getPage(16)).toThrow(RangeError);
  });

  test('a wanted object has the same contents after its pages were put', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('64KiB');
    object.pwrite(1000, pattern(5000));
    object.putPages();
    expect(object.pread(1000, 5000)).toEqual(pattern(5000));
    expect(object.pread(0, 1000).every((byte) => byte === 0)).toBe(true);
  });
});

describe('madvise', () => {
  test('without pages the contents go at once, and the object is lost for good', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('64KiB');
    expect(object.madvise('dontneed')).toBe(false);
    expect([object.madvised, object.madvise('willneed'), object.madvised]).toEqual(['purged', false, 'purged']);
    expect(() => object.getPages()).toThrow(/EFAULT/);
    expect(() => object.pread(0, 1)).toThrow(/EFAULT/);
  });

  test('with pages they stay until the pages are put: getting them again is 0 meanwhile', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('64KiB');
    object.pwrite(0, pattern(10));
    expect([object.madvise('dontneed'), object.madvised]).toEqual([true, 'dontneed']);
    object.getPages();
    expect(object.madvise('willneed')).toBe(true);
    expect(object.pread(0, 10)).toEqual(pattern(10));
    object.madvise('dontneed');
    object.putPages();
    expect(object.madvised).toBe('purged');
  });

  test('is EINVAL while pinned in an address space', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('64KiB');
    const vma = object.bind(gpu.ggtt, { pin: true });
    expect(() => object.madvise('dontneed')).toThrow(/EINVAL/);
    expect(object.madvised).toBe('willneed');
    vma.unpin();
    expect(object.madvise('dontneed')).toBe(true);
  });
});

describe('pread and pwrite', () => {
  test('of nothing do nothing, beyond the end are EINVAL', () => {
    const object = gpuOn().gpu.createObject('8KiB');
    object.pwrite(1e9, new Uint8Array(0));
    expect(object.pread(1e9, 0).length).toBe(0);
    expect(object.pages).toBe(0);
    expect(() => object.pwrite(8191, pattern(2))).toThrow(/EINVAL/);
    expect(() => object.pread(0, 8193)).toThrow(/EINVAL/);
    object.pwrite(8191, pattern(1, 7));
    expect(object.pread(8191, 1)[0]).toBe(7);
  });

  test('cross any number of pages and of staging buffers', () => {
    const object = gpuOn().gpu.createObject('1MiB');
    const bytes = pattern(300 * KiB);
    object.pwrite(12345, bytes);
    expect(Buffer.compare(object.pread(12345, bytes.length), bytes)).toBe(0);
  });
});

describe('freeing', () => {
  test('unbinds everywhere, gives pages and mappings back, and leaves nothing', () => {
    const { gpu, machine } = gpuOn();
    const context = gpu.createContext();
    gpu.createObject('1MiB').release();
    const warm = gpu.createObject('4MiB');
    warm.bind(gpu.ggtt);
    warm.bind(context.vm);
    warm.release();
    const before = machine.core.tools.machineRecords(machine.context);
    for (let i = 0; i < 3; ++i) {
      using object = gpu.createObject('4MiB');
      object.pwrite(4 * MiB - 4, pattern(4));
      object.bind(gpu.ggtt);
      object.bind(context.vm);
      object.reference();
      object.release();
      expect(object.vmas.length).toBe(2);
    }
    expect(machine.core.tools.machineRecords(machine.context)).toBe(before);
    expect([gpu.liveObjects, gpu.boundList.empty, gpu.unboundList.empty]).toEqual([0, true, true]);
    machine.check();
  });

  test('an object that is gone refuses everything', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('4KiB');
    object.release();
    expect(() => object.getPages()).toThrow(/ENODEV: the object 1 was destroyed/);
    expect(() => object.release()).toThrow(/ENODEV/);
    object[Symbol.dispose]();
  });
});
