import { describe, expect, test } from 'vitest';
import { gpuOn, KiB, MiB, pattern } from './gpu.js';

describe('binding', () => {
  test('closes the loop: the GPU reads what the CPU wrote, through its own tables and the IOMMU', () => {
    for (const options of [
      { gen: 6, ppgtt: 'none' },
      { gen: 7, ppgtt: 'full' },
      { platform: 'hsw', ppgtt: 'full' },
      { gen: 8, ppgtt: 'full' },
      { gen: 9, ppgtt: 'full-48bit' },
    ] as const) {
      const { gpu } = gpuOn(options);
      const { vm } = gpu.createContext();
      const object = gpu.createObject('1MiB');
      object.pwrite(0, pattern(MiB));
      const global = object.bind(gpu.ggtt);
      const own = object.bind(vm);
      for (const vma of [global, own]) {
        expect(gpu.read(vma.vm, vma.start + 4000, 9000)).toEqual(pattern(9000, 4000));
      }
      gpu.write(own.vm, own.start + 8190, pattern(4, 100));
      expect(object.pread(8190, 4)).toEqual(pattern(4, 100));
    }
  });

  test('after unbinding, entries lead to the scratch page, which reads as zeros', () => {
    const { gpu } = gpuOn({ gen: 8, ppgtt: 'full' });
    const { vm } = gpu.createContext();
    const scratch = [gpu.ggtt.entry(0), vm.entry(0)];
    const object = gpu.createObject('64KiB');
    object.pwrite(0, pattern(64 * KiB));
    const vmas = [object.bind(gpu.ggtt), object.bind(vm)];
    expect(vmas.map((vma) => vma.vm.entry(vma.start))).not.toEqual(scratch);
    for (const vma of vmas) {
      const { start } = vma;
      vma.unbind();
      vma.unbind();
      expect(gpu.read(vma.vm, start, 32).every((byte) => byte === 0)).toBe(true);
    }
    expect([gpu.ggtt.entry(0), vm.entry(0)]).toEqual(scratch);
  });

  test('a bound object stays where it is; it is on the bound list while bound, with a page pin for each vma', () => {
    const { gpu } = gpuOn();
    const { vm } = gpu.createContext();
    const object = gpu.createObject('64KiB');
    const vma = object.bind(gpu.ggtt);
    expect(object.bind(gpu.ggtt)).toBe(vma);
    const own = object.bind(vm);
    expect([object.pagesPinCount, gpu.boundList.toArray(), object.vmas]).toEqual([2, [object], [vma, own]]);
    vma.unbind();
    expect([object.pagesPinCount, gpu.boundList.empty]).toEqual([1, false]);
    own.unbind();
    expect([object.pagesPinCount, gpu.boundList.empty, gpu.unboundList.first]).toEqual([0, true, object]);
  });

  test('addresses do not overlap, obey alignment and bias, and never include the last page of the GGTT', () => {
    const { gpu } = gpuOn({ ggtt: '1GiB' });
    const vmas = [4, 64, 12, 256, 4, 20].map((size, i) =>
      gpu.createObject(size * KiB).bind(gpu.ggtt, { alignment: 4096 << i, offsetBias: i === 3 ? 16 * MiB : 0 }),
    );
    vmas.forEach((vma, i) => {
      expect(vma.start % (4096 << i)).toBe(0);
    });
    expect(vmas[3].start).toBeGreaterThanOrEqual(16 * MiB);
    const ranges = vmas.map((vma) => [vma.start, vma.start + vma.size]).sort((a, b) => a[0] - b[0]);
    for (let i = 1; i < ranges.length; ++i) expect(ranges[i][0]).toBeGreaterThanOrEqual(ranges[i - 1][1]);
  });

  test('what can never fit is E2BIG before anything is evicted or got', () => {
    const { gpu } = gpuOn({ mappable: '64MiB' });
    const there = gpu.createObject('4KiB');
    const vma = there.bind(gpu.ggtt);
    const large = gpu.createObject(65 * MiB);
    expect(() => large.bind(gpu.ggtt, { mappable: true })).toThrow(/E2BIG/);
    expect([vma.node !== 0, large.pages, large.vmas.length]).toEqual([true, 0, 0]);
  });

  test('15 pins are the most; unbinding a pinned vma is EBUSY', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('4KiB');
    const vma = object.bind(gpu.ggtt, { pin: true });
    for (let i = 1; i < 15; ++i) object.bind(gpu.ggtt, { pin: true });
    expect(vma.pinCount).toBe(15);
    expect(() => object.bind(gpu.ggtt, { pin: true })).toThrow(/EBUSY/);
    expect(() => vma.unbind()).toThrow(/EBUSY/);
    for (let i = 0; i < 15; ++i) vma.unpin();
    expect(() => vma.unpin()).toThrow(/EINVAL/);
    vma.unbind();
  });

  test('a misplaced vma is moved, unless it is pinned', () => {
    const { gpu } = gpuOn();
    gpu.createObject('4KiB').bind(gpu.ggtt);
    const object = gpu.createObject('64KiB');
    const vma = object.bind(gpu.ggtt);
    expect(vma.start % (64 * KiB)).not.toBe(0);
    vma.pinCount = 1;
    expect(() => object.bind(gpu.ggtt, { alignment: 64 * KiB })).toThrow(/EBUSY/);
    vma.unpin();
    const moved = object.bind(gpu.ggtt, { alignment: 64 * KiB });
    expect([moved.start % (64 * KiB), vma.node, object.pagesPinCount]).toEqual([0, 0, 1]);
  });

  test('mapAndFenceable says whether the CPU can reach the normal GGTT view', () => {
    const { gpu } = gpuOn({ mappable: '64MiB' });
    const low = gpu.createObject('1MiB');
    const vma = low.bind(gpu.ggtt);
    const high = gpu.createObject('1MiB');
    high.bind(gpu.ggtt, { offsetBias: 64 * MiB });
    expect([low.mapAndFenceable, high.mapAndFenceable]).toEqual([true, false]);
    vma.unbind();
    expect(low.mapAndFenceable).toBe(false);
    expect(high.bind(gpu.ggtt, { mappable: true }).start).toBeLessThan(64 * MiB);
    expect(high.mapAndFenceable).toBe(true);
  });

  test('GGTT-only wishes elsewhere are EINVAL, the aliasing PPGTT is nobody to bind in', () => {
    const { gpu } = gpuOn({ gen: 8, ppgtt: 'full' });
    const { vm } = gpu.createContext();
    const object = gpu.createObject('1MiB');
    expect(() => object.bind(vm, { mappable: true })).toThrow(/EINVAL/);
    expect(() => object.bind(vm, { view: { type: 'partial', offset: 0, size: 1 } })).toThrow(/EINVAL/);
    const aliasing = gpuOn({ gen: 7 }).gpu;
    expect(() => aliasing.createObject(1).bind(aliasing.aliasingPpgtt!)).toThrow(/ENODEV/);
  });
});

describe('aliasing PPGTT', () => {
  test('one vma serves global and local entries, at one address, written as asked for', () => {
    const { gpu } = gpuOn({ gen: 7, ppgtt: 'aliasing' });
    const aliasing = gpu.aliasingPpgtt!;
    const object = gpu.createObject('64KiB');
    object.pwrite(0, pattern(64 * KiB));
    const unused = gpu.ggtt.entry(0);
    const vma = object.bind(gpu.ggtt, { as: 'user' });
    expect(gpu.ggtt.entry(vma.start)).toBe(unused);
    expect(gpu.read(aliasing, vma.start, 64)).toEqual(pattern(64));
    expect(gpu.read(gpu.ggtt, vma.start, 64).every((byte) => byte === 0)).toBe(true);
    expect(object.bind(gpu.ggtt)).toBe(vma);
    expect(gpu.read(gpu.ggtt, vma.start, 64)).toEqual(pattern(64));
    expect(object.vmas).toEqual([vma]);
    expect(gpu.createContext().vm).toBe(gpu.ggtt);
  });
});

describe('views', () => {
  test('a partial view shows its pages, a rotated one each column from the bottom up', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('64KiB');
    for (let page = 0; page < 16; ++page) object.pwrite(page * 4096, Uint8Array.of(page));
    const partial = object.bind(gpu.ggtt, { view: { type: 'partial', offset: 3, size: 2 } });
    const rotated = object.bind(gpu.ggtt, { view: { type: 'rotated', width: 3, height: 2 } });
    const shown = (start: number, n: number): number[] =>
      Array.from({ length: n }, (_, i) => gpu.read(gpu.ggtt, start + i * 4096, 1)[0]);
    expect(shown(partial.start, 2)).toEqual([3, 4]);
    expect(shown(rotated.start, 6)).toEqual([3, 0, 4, 1, 5, 2]);
    expect([partial.size, rotated.size]).toEqual([8192, 6 * 4096]);
  });

  test('there is one vma a view: partial by place, rotated whatever its geometry', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('64KiB');
    const normal = object.bind(gpu.ggtt);
    const one = object.bind(gpu.ggtt, { view: { type: 'partial', offset: 0, size: 2 } });
    const two = object.bind(gpu.ggtt, { view: { type: 'partial', offset: 2, size: 2 } });
    const turned = object.bind(gpu.ggtt, { view: { type: 'rotated', width: 2, height: 2 } });
    expect(object.bind(gpu.ggtt, { view: { type: 'rotated', width: 4, height: 1 } })).toBe(turned);
    expect(object.bind(gpu.ggtt, { view: { type: 'partial', offset: 2, size: 2 } })).toBe(two);
    expect(new Set([normal, one, two, turned]).size).toBe(4);
    expect(object.pagesPinCount).toBe(4);
    expect(() => object.bind(gpu.ggtt, { view: { type: 'partial', offset: 10, size: 7 } })).toThrow(RangeError);
    object.release();
    expect(gpu.ggtt.vmas).toEqual([]);
  });
});

describe('cache levels', () => {
  test('change the entries of what is bound; EBUSY while pinned', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('64KiB');
    const vma = object.bind(gpu.ggtt, { pin: true });
    const cached = gpu.ggtt.entry(vma.start);
    expect(() => object.setCacheLevel('none')).toThrow(/EBUSY/);
    vma.unpin();
    object.setCacheLevel('none');
    const uncached = gpu.ggtt.entry(vma.start);
    expect([cached % 4096, uncached % 4096, cached - (cached % 4096)]).toEqual([
      0x83,
      0x1b,
      uncached - (uncached % 4096),
    ]);
  });

  test('without a shared cache, neighbours of different levels are a page apart', () => {
    const { gpu } = gpuOn({ platform: 'chv' });
    const place = (level: 'none' | 'llc'): number => gpu.createObject('12KiB', { caching: level }).bind(gpu.ggtt).start;
    expect([place('llc'), place('none'), place('llc'), place('llc'), place('none')]).toEqual([
      0x1000, 0x5000, 0x9000, 0xc000, 0x10000,
    ]);
  });

  test('without a shared cache, a vma whose neighbour minds is unbound by the change', () => {
    const { gpu } = gpuOn({ platform: 'chv' });
    const [one, two] = [gpu.createObject('12KiB'), gpu.createObject('12KiB')];
    const vmas = [one.bind(gpu.ggtt), two.bind(gpu.ggtt)];
    expect(vmas[1].start).toBe(vmas[0].start + 12288);
    two.setCacheLevel('llc');
    expect(vmas.map((vma) => vma.node !== 0)).toEqual([true, false]);
    expect(two.bind(gpu.ggtt).start).toBe(vmas[0].start + 16384);
  });
});
