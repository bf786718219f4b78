import { describe, expect, test } from 'vitest';
import { Process } from '../../../src/drm/process.js';
import type { UserptrBacking } from '../../../src/i915/backing/userptr.js';
import type { GemObject } from '../../../src/i915/object.js';
import { gpuOn, iovaRanges, KiB, pattern } from '../gpu.js';

function world(options: Parameters<typeof gpuOn>[0] = {}) {
  const { gpu, machine } = gpuOn(options);
  return { gpu, machine, process: new Process(machine.ram) };
}

const work = (object: GemObject): UserptrBacking => object.backing as UserptrBacking;

describe('userptr', () => {
  test('pages that are there are had at once; the GPU and the process see the same memory', () => {
    const { gpu, process } = world();
    const address = process.mmap('64KiB', { populate: true });
    process.write(address, pattern(64 * KiB));
    const object = gpu.createUserptr(process, address, '64KiB');
    const vma = object.bind(gpu.ggtt);
    expect(gpu.read(gpu.ggtt, vma.start + 4000, 200)).toEqual(pattern(200, 4000));
    gpu.write(gpu.ggtt, vma.start, pattern(10, 77));
    expect(process.read(address, 10)).toEqual(pattern(10, 77));
    expect([object.maps, work(object).work, work(object).workers]).toEqual([1, null, 0]);
    object.release();
  });

  test('missing pages: EAGAIN until the worker has faulted them in, on the virtual clock', () => {
    const { gpu, process, machine } = world();
    const address = process.mmap('64KiB');
    process.write(address, pattern(8));
    const object = gpu.createUserptr(process, address, '64KiB');
    expect(() => object.getPages()).toThrow(/EAGAIN/);
    expect(() => object.getPages()).toThrow(/EAGAIN/);
    expect([work(object).workers, object.refcount]).toEqual([1, 2]);
    machine.clock.run();
    expect([object.pages !== 0, work(object).workers, object.refcount, work(object).work]).toEqual([true, 0, 1, null]);
    expect(gpu.unboundList.toArray()).toEqual([object]);
    for (const n of [0, 7, 15]) expect(object.getPage(n)).toBe(process.pfn(address + n * 4096));
  });

  test('deferred work is done when the promise resolves', async () => {
    const { gpu, process } = world();
    const object = gpu.createUserptr(process, process.mmap('64KiB'), '64KiB');
    expect(() => object.getPages()).toThrow(/EAGAIN/);
    await gpu.settled();
    expect(object.pages).not.toBe(0);
  });

  test("another process's pages can only be had by the worker", () => {
    const { gpu, process, machine } = world();
    const address = process.mmap('16KiB', { populate: true });
    const object = gpu.createUserptr(process, address, '16KiB');
    gpu.currentProcess = new Process(machine.ram);
    expect(() => object.getPages()).toThrow(/EAGAIN/);
    machine.clock.run();
    object.getPages();
  });

  test("a worker's error is reported once; the next attempt starts a fresh one", () => {
    const { gpu, process, machine } = world();
    const address = process.mmap('16KiB');
    const object = gpu.createUserptr(process, address, '64KiB');
    const attempt = (): string => {
      try {
        object.getPages();
        return 'got';
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(attempt()).toBe('EAGAIN');
    machine.clock.run();
    expect([work(object).work, attempt(), work(object).work, attempt()]).toEqual([-14, 'EFAULT', null, 'EAGAIN']);
  });

  test('a change of the range cancels the worker; at most 15 are under way', () => {
    const { gpu, process, machine } = world();
    const address = process.mmap('16KiB');
    const object = gpu.createUserptr(process, address, '16KiB');
    for (let i = 0; i < 20; ++i) {
      expect(() => object.getPages()).toThrow(/EAGAIN/);
      expect(work(object).workers).toBe(Math.min(i + 1, 15));
      process.discard(address, 4096);
      expect(work(object).work).toBeNull();
    }
    expect(() => gpu.createUserptr(process, address + 4096, 4096)).toThrow(/EAGAIN/);
    machine.clock.run();
    expect([work(object).workers, object.pages, object.refcount]).toEqual([0, 0, 1]);
    expect(() => object.getPages()).not.toThrow();
  });

  test('a superseded worker ends its successor too', () => {
    const { gpu, process, machine } = world();
    const address = process.mmap('16KiB');
    const object = gpu.createUserptr(process, address, '16KiB');
    expect(() => object.getPages()).toThrow(/EAGAIN/);
    process.discard(address, 4096);
    expect(() => object.getPages()).toThrow(/EAGAIN/);
    machine.clock.run();
    expect(object.pages, 'neither attached pages').toBe(0);
  });

  test('changing the memory unbinds the object everywhere and takes its pages', () => {
    const { gpu, process, machine } = world({ gen: 8, ppgtt: 'full' });
    const { vm } = gpu.createContext();
    const address = process.mmap('32KiB', { populate: true });
    gpu.createObject(4096).bind(vm);
    const before = iovaRanges(machine, gpu);
    const object = gpu.createUserptr(process, address, '16KiB');
    const vmas = [object.bind(gpu.ggtt), object.bind(vm)];
    process.munmap(address + 16 * KiB, 16 * KiB);
    expect(vmas.map(({ node }) => node !== 0)).toEqual([true, true]);
    process.munmap(address + 12 * KiB, 4 * KiB);
    expect([vmas.map(({ node }) => node), object.pages, object.vmas]).toEqual([[0, 0], 0, []]);
    expect(iovaRanges(machine, gpu)).toBe(before);
    expect(gpu.warnings).toEqual([]);
    machine.check();
  });

  test('an extra pin keeps the pages through a change, with a warning', () => {
    const { gpu, process } = world();
    const address = process.mmap('16KiB', { populate: true });
    const object = gpu.createUserptr(process, address, '16KiB');
    object.pinPages();
    const pfn = object.getPage(0);
    process.munmap(address, 16 * KiB);
    expect([object.pages !== 0, object.getPage(0), gpu.warnings.length]).toEqual([true, pfn, 1]);
    object.unpinPages();
    object.release();
  });

  test('an unsynchronized one hears of no change, until it is exported', () => {
    const { gpu, process } = world();
    const address = process.mmap('16KiB', { populate: true });
    const object = gpu.createUserptr(process, address, '16KiB', { unsynchronized: true });
    object.getPages();
    process.discard(address, 4096);
    expect(object.pages).not.toBe(0);
    using _dmaBuf = object.export();
    process.discard(address, 4096);
    expect(object.pages).toBe(0);
  });

  test('arguments are refused in the kernel order', () => {
    const { gpu, process } = world();
    const address = process.mmap('16KiB');
    const make =
      (at: number, size: number, options = {}): (() => unknown) =>
      () =>
        gpu.createUserptr(process, at, size, options);
    expect(make(address + 1, 4096)).toThrow(/EINVAL/);
    expect(make(address, 5000)).toThrow(/EINVAL/);
    expect(make(address, 2 ** 31 + 4096)).toThrow(/E2BIG/);
    expect(make(2 ** 47, 4096)).toThrow(/EFAULT/);
    expect(make(address, 4096, { readOnly: true })).toThrow(/ENODEV/);
    expect(make(address, 4096, { unsynchronized: true, privileged: false })).toThrow(/EPERM/);
    expect(make(address, 0)).toThrow(/EINVAL/);
    expect(() => gpu.createUserptr(process, address, 4096).pread(0, 1)).toThrow(/EINVAL/);
  });

  test('a failed map stays ENOSPC', () => {
    const { gpu, process } = world();
    const address = process.mmap('16KiB', { populate: true });
    const { domain } = gpu.dmaDevice;
    if (domain !== undefined && domain !== 'passthrough') domain.reserve(0, 2 ** 27 - 1);
    const object = gpu.createUserptr(process, address, '16KiB');
    expect(() => object.getPages()).toThrow(/ENOSPC/);
    expect(object.pages).toBe(0);
  });
});

describe('the page-lookup cursor of a userptr', () => {
  test('after the worker it finds the right pages', () => {
    const { gpu, process, machine } = world();
    const address = process.mmap('16KiB', { populate: true });
    const object = gpu.createUserptr(process, address, '16KiB');
    object.getPages();
    expect(object.getPage(3)).toBe(process.pfn(address + 3 * 4096));
    process.discard(address, 16 * KiB);
    expect(() => object.getPages()).toThrow(/EAGAIN/);
    machine.clock.run();
    expect([0, 3].map((n) => object.getPage(n))).toEqual([0, 3].map((n) => process.pfn(address + n * 4096)));
  });

  test('without the reset it is NULL, or leads into the list that was freed', () => {
    const { gpu, process, machine } = world({ defects: { userptrCursor: true } });
    const address = process.mmap('16KiB');
    const object = gpu.createUserptr(process, address, '16KiB');
    expect(() => object.getPages()).toThrow(/EAGAIN/);
    machine.clock.run();
    expect(() => object.getPage(2)).toThrow(/NULL cursor/);

    const other = gpu.createUserptr(process, process.mmap('16KiB', { populate: true }), '16KiB');
    other.getPages();
    const old = [2, 3].map((n) => other.getPage(n));
    const at = (other.backing as UserptrBacking).address;
    process.discard(at, 16 * KiB);
    // Somebody else gets the frames that were given up.
    gpu.createObject('64KiB').getPages();
    expect(() => other.getPages()).toThrow(/EAGAIN/);
    machine.clock.run();
    expect(other.getPage(3), "a page that is not the object's any more").toBe(old[1]);
    expect(other.getPage(0), 'going back starts over').toBe(process.pfn(at));
  });
});
