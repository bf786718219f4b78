import { describe, expect, test } from 'vitest';
import { gpuOn, iovaRanges, MiB, pattern } from '../gpu.js';

describe('stolen memory', () => {
  test('objects are contiguous, always have their pages, and are never mapped', () => {
    const { gpu, machine } = gpuOn({ stolen: '8MiB', policy: 'i915-4.1' });
    const before = iovaRanges(machine, gpu);
    const one = gpu.createStolen('1MiB');
    const two = gpu.createStolen('64KiB');
    expect([one.pagesPinCount, one.pages !== 0, gpu.unboundList.empty]).toEqual([1, true, true]);
    const vma = one.bind(gpu.ggtt);
    const address = (): number => machine.core.exports.gpuTranslate(gpu.ggtt.handle, vma.start, false);
    expect(address()).toBe(gpu.stolen!.base);
    gpu.write(gpu.ggtt, vma.start + 4094, pattern(4, 9));
    expect(machine.ram.read(gpu.stolen!.base + 4094, 4), 'one to one through the IOMMU').toEqual(pattern(4, 9));
    expect(two.bind(gpu.ggtt).size).toBe(65536);
    expect([one.maps, iovaRanges(machine, gpu)]).toEqual([0, before]);
    expect(gpu.boundList.toArray()).toEqual([one, two]);
    vma.unbind();
    expect(() => one.putPages()).toThrow(/EBUSY/);
    expect(() => one.pread(0, 1)).toThrow(/EINVAL/);
    expect(() => one.getPage(0)).toThrow(/EINVAL/);
    expect(one.madvise('dontneed')).toBe(true);
    one.release();
    two.release();
    expect(gpu.createStolen(gpu.stolen!.size).size).toBe(7 * MiB);
  });

  test('is given out from the bottom, can be had at an exact place, and ends with ENOMEM', () => {
    const { gpu } = gpuOn({ stolen: '4MiB' });
    const stolen = gpu.stolen!;
    const fixed = stolen.createAt(MiB, MiB);
    expect(() => stolen.createAt(MiB, 4096)).toThrow(/ENOMEM/);
    gpu.createStolen('1MiB');
    gpu.createStolen('1MiB');
    expect(() => gpu.createStolen(4096)).toThrow(/ENOMEM/);
    expect(() => gpu.createStolen(0)).toThrow(/EINVAL/);
    fixed.release();
    gpu.createStolen(4096);
  });

  test('gen7 behind an IOMMU has none', () => {
    const { gpu } = gpuOn({ gen: 7, stolen: '4MiB' });
    expect(gpu.stolen).toBeUndefined();
    expect(() => gpu.createStolen(4096)).toThrow(/ENODEV/);
  });
});
