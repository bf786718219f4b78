import { describe, expect, test } from 'vitest';
import { held } from '../../../src/core/handle.js';
import { gpuOn, iovaRanges, KiB, pattern } from '../gpu.js';

describe('phys', () => {
  test('the contents move to one contiguous buffer, and back with the pages when they were written', () => {
    const { gpu, machine } = gpuOn({ policy: 'i915-4.1' });
    const object = gpu.createObject('64KiB');
    object.pwrite(0, pattern(64 * KiB));
    object.attachPhys(4096);
    expect([object.backing.kind, object.backing.mapping]).toEqual(['phys', 'contiguous']);
    const { exports } = machine.core;
    const pages = held(object.pages);
    expect([exports.sgNents(pages), exports.sgDmaSegmentLength(pages, 0)]).toEqual([1, 64 * KiB]);
    const vma = object.bind(gpu.ggtt);
    expect(gpu.read(gpu.ggtt, vma.start + 5000, 100)).toEqual(pattern(100, 5000));
    object.pwrite(5000, pattern(100, 7));
    expect(gpu.read(gpu.ggtt, vma.start + 5000, 100)).toEqual(pattern(100, 7));
    vma.unbind();
    object.putPages();
    expect(object.pread(4990, 120)).toEqual(
      Uint8Array.from([...pattern(10, 4990), ...pattern(100, 7), ...pattern(10, 5100)]),
    );
  });

  test.each(['i915-3.18', 'i915-4.1', 'i915-4.2'] as const)('%s never maps it: it is one coherent buffer', (policy) => {
    const { gpu, machine } = gpuOn({ policy, gen: 8, ppgtt: 'full' });
    const { vm } = gpu.createContext();
    gpu.createObject('64KiB').bind(vm);
    const before = iovaRanges(machine, gpu);
    const object = gpu.createObject('64KiB');
    object.attachPhys(4096);
    expect(iovaRanges(machine, gpu) - before).toBe(1);
    object.bind(gpu.ggtt);
    object.bind(vm);
    expect([object.maps, iovaRanges(machine, gpu) - before]).toEqual([0, 1]);
    object.release();
    expect(iovaRanges(machine, gpu)).toBe(before);
  });

  test('errors in the order of checks', () => {
    const { gpu, machine } = gpuOn();
    const contiguous = gpu.createObject('16KiB');
    contiguous.attachPhys(4096);
    contiguous.attachPhys(4096);
    expect(() => contiguous.attachPhys(2 ** 40)).toThrow(/EBUSY/);
    const gone = gpu.createObject('16KiB');
    gone.madvise('dontneed');
    expect(() => gone.attachPhys(4096)).toThrow(/EFAULT/);
    const pinned = gpu.createObject('16KiB');
    pinned.pinPages();
    expect(() => pinned.attachPhys(4096)).toThrow(/EBUSY/);
    expect(() => gpu.createObject('16KiB').attachPhys(32768)).toThrow(/ENOMEM/);
    expect(() => contiguous.getPage(0)).toThrow(/EINVAL/);
    machine.check();
  });

  test('without memory for the copy it stays what it was; what cannot be written back is lost, as in the kernel', () => {
    const { gpu, machine } = gpuOn({ policy: 'i915-4.2' });
    const object = gpu.createObject('64KiB');
    object.pwrite(0, pattern(64 * KiB));
    const ranges = iovaRanges(machine, gpu);
    // The first page of the buffer that gets contents of its own.
    for (let nth = 1; object.backing.kind !== 'phys'; ++nth) {
      machine.failAllocation('block', nth);
      try {
        object.attachPhys(4096);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ENOMEM' });
        expect([object.backing.kind, object.pages]).toEqual(['shmem', 0]);
        expect(iovaRanges(machine, gpu)).toBe(ranges - 1);
      }
      machine.failAllocation('block', 0);
      expect(nth).toBeLessThan(100);
    }
    expect(object.pread(5000, 100)).toEqual(pattern(100, 5000));
  });

  test('an object of another GPU with the same number has nothing to do with its buffer', () => {
    const { gpu, machine } = gpuOn({ policy: 'i915-4.2' });
    const other = machine.addI915({});
    const object = gpu.createObject('64KiB');
    object.attachPhys(4096);
    while (other.objectCount < object.id) other.createObject(4096).release();
    expect(machine.dmaDebug!.findings).toEqual([]);
    object.release();
    expect(machine.dmaDebug!.findings).toEqual([]);
  });
});
