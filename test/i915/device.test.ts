import { describe, expect, test } from 'vitest';
import { gpuOn, iovaRanges } from './gpu.js';

describe('unbinding the driver', () => {
  test('gives everything back, to the last page; what was lost is what dma-debug then counts', () => {
    for (const [policy, left] of [
      ['i915-4.2', 0],
      ['i915-4.1', 1],
    ] as const) {
      const { gpu, machine } = gpuOn({ gen: 8, ppgtt: 'full', stolen: '4MiB', policy });
      const context = gpu.createContext();
      const object = gpu.createObject('1MiB');
      object.bind(gpu.ggtt);
      object.bind(context.vm);
      expect(() => gpu.remove()).toThrow(/EBUSY: there are 1 objects and 1 contexts/);
      object.release();
      expect(() => gpu.remove()).toThrow(/EBUSY/);
      context.release();
      expect(gpu.remove()).toBe(left);
      machine.check();
    }
  });

  test('also of an aliasing PPGTT and its contexts', () => {
    const { gpu, machine } = gpuOn({ gen: 7, ppgtt: 'aliasing' });
    const before = iovaRanges(machine, gpu);
    const context = gpu.createContext();
    expect(() => gpu.remove()).toThrow(/EBUSY/);
    context.release();
    expect(() => context.release()).toThrow(/ENODEV/);
    expect(gpu.remove()).toBe(0);
    // 512 page tables, a scratch table and the scratch page.
    expect(before - iovaRanges(machine, gpu)).toBe(514);
  });
});

describe('swizzled tiles', () => {
  test('keep their pages where they are while they are wanted', () => {
    const { gpu } = gpuOn({ pinSwizzledPages: true });
    const object = gpu.createObject('64KiB');
    object.getPages();
    object.setTiling(true);
    object.setTiling(true);
    expect(object.pagesPinCount).toBe(1);
    expect(() => object.putPages()).toThrow(/EBUSY/);
    expect(gpu.shrinkAll()).toBe(0);
    object.madvise('dontneed');
    expect(object.pagesPinCount).toBe(0);
    object.madvise('willneed');
    expect(object.pagesPinCount).toBe(1);
    object.setTiling(false);
    object.putPages();
    object.setTiling(true);
    object.getPages();
    expect(object.pagesPinCount).toBe(1);
    object.release();
    expect(gpu.liveObjects).toBe(0);
  });

  test('are nothing special elsewhere', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('64KiB');
    object.getPages();
    object.setTiling(true);
    expect(object.pagesPinCount).toBe(0);
    object.bind(gpu.ggtt, { pin: true });
    expect(() => object.setTiling(false)).toThrow(/EBUSY/);
  });
});

describe('attribution', () => {
  test('a leaked mapping is reported with its object, its vma and the hook that made it', () => {
    const { gpu, machine } = gpuOn({ gen: 8, ppgtt: 'full', policy: 'i915-4.1' });
    const context = gpu.createContext();
    const object = gpu.createObject('1MiB');
    const own = object.bind(context.vm);
    object.bind(gpu.ggtt);
    const overwritten = machine.dmaDebug.findings.find(({ check }) => check === 'ADDRESS_OVERWRITTEN');
    expect(overwritten?.caller).toMatchObject({ object: `object ${object.id}`, hook: 'bind' });
    expect(overwritten?.mapping?.by).toMatchObject({
      object: `object ${object.id}`,
      vma: `vma ${own.id}`,
      hook: 'bind',
    });
  });
});
