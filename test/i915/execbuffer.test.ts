import { describe, expect, test } from 'vitest';
import { gpuOn, KiB, MiB, pattern } from './gpu.js';

describe('execbuf', () => {
  test('binds every object in the context; the batch stays clear of the first 256 KiB', () => {
    const { gpu } = gpuOn({ gen: 8, ppgtt: 'full' });
    const context = gpu.createContext();
    const [data, batch] = [gpu.createObject('64KiB'), gpu.createObject('4KiB')];
    batch.pwrite(0, pattern(64));
    const { vmas } = gpu.execbuffer(context, [{ object: data, write: true }, { object: batch }]);
    expect(vmas.map((vma) => [vma.object, vma.vm, vma.node !== 0, vma.pinCount])).toEqual([
      [data, context.vm, true, 0],
      [batch, context.vm, true, 0],
    ]);
    expect(vmas[1].start).toBeGreaterThanOrEqual(256 * KiB);
    expect(gpu.read(context.vm, vmas[1].start, 64)).toEqual(pattern(64));
    expect(data.dirty).toBe(true);
  });

  test('objects are in use until the request is retired, by time or by waiting', () => {
    const { gpu, machine } = gpuOn({ gen: 8, ppgtt: 'full' });
    const context = gpu.createContext();
    const [one, two] = [gpu.createObject('64KiB'), gpu.createObject('64KiB')];
    const first = gpu.execbuffer(context, [{ object: one }, { object: two }], { busy: 5 });
    const second = gpu.execbuffer(context, [{ object: two }], { busy: 5 });
    expect([one.active, two.active, one.refcount]).toEqual([1, 2, 2]);
    expect([context.vm.activeList.toArray().length, context.vm.inactiveList.empty]).toEqual([2, true]);
    machine.clock.advance(4);
    expect(first.request.retired).toBe(false);
    one.setDomain('cpu');
    expect([first.request.retired, second.request.retired, one.active, two.active]).toEqual([true, false, 0, 1]);
    // One batch after the other: the second has run from 5 ms on.
    machine.clock.advance(1);
    expect(second.request.retired).toBe(false);
    machine.clock.advance(5);
    expect([second.request.retired, two.active, one.refcount]).toEqual([true, 0, 1]);
    expect(context.vm.activeList.empty).toBe(true);
  });

  test('an object that is released while in use is freed when the GPU is done', () => {
    const { gpu } = gpuOn({ gen: 8, ppgtt: 'full' });
    const context = gpu.createContext();
    const object = gpu.createObject('64KiB');
    gpu.execbuffer(context, [{ object }]);
    object.release();
    expect(gpu.liveObjects).toBe(1);
    gpu.idle();
    expect(gpu.liveObjects).toBe(0);
    expect(context.vm.vmas).toEqual([]);
  });

  test('is refused before anything is bound, in the kernel order', () => {
    const { gpu } = gpuOn({ gen: 8, ppgtt: 'full' });
    const context = gpu.createContext();
    const object = gpu.createObject('64KiB');
    expect(() => gpu.execbuffer(context, [])).toThrow(/EINVAL/);
    expect(() => gpu.execbuffer(context, [{ object, alignment: 12345 }])).toThrow(/EINVAL/);
    expect(() => gpu.execbuffer(context, [{ object, needsGtt: true }])).toThrow(/EINVAL: NEEDS_GTT/);
    expect(() => gpu.execbuffer(context, [{ object }, { object }])).toThrow(/EINVAL.*twice/);
    expect([object.pages, object.vmas.length]).toEqual([0, 0]);
  });

  test('when it fails, vmas that were looked up stay as placeholders, unbound', () => {
    const { gpu } = gpuOn({ gen: 8, ppgtt: 'full' });
    const context = gpu.createContext();
    const [gone, object] = [gpu.createObject('4KiB'), gpu.createObject('64KiB')];
    gone.madvise('dontneed');
    expect(() => gpu.execbuffer(context, [{ object: gone }, { object }])).toThrow(/EFAULT/);
    expect([object.vmas.length, object.vmas[0].node, object.pages, object.refcount]).toEqual([1, 0, 0, 1]);
    const { vmas } = gpu.execbuffer(context, [{ object }]);
    expect(object.vmas).toEqual(vmas);
  });

  test('makes room by evicting the whole address space, once', () => {
    const { gpu } = gpuOn({ gen: 7, ppgtt: 'none', ggtt: '1GiB' }, { ram: '1536MiB' });
    const context = gpu.createContext();
    const old = Array.from({ length: 3 }, () => gpu.createObject('300MiB'));
    for (const object of old) gpu.execbuffer(context, [{ object }]);
    const large = gpu.createObject('500MiB');
    gpu.execbuffer(context, [{ object: large }]);
    expect(large.vma(gpu.ggtt)?.node).not.toBe(0);
    const huge = gpu.createObject(1024 * MiB);
    expect(() => gpu.execbuffer(context, [{ object: huge }])).toThrow(/ENOSPC/);
  });

  test('a batch that fails takes back its own pins only', () => {
    const { gpu } = gpuOn({ gen: 7, ppgtt: 'none' });
    const context = gpu.createContext();
    const [first, scanout, cursor] = Array.from({ length: 3 }, () => gpu.createObject('64KiB'));
    first.bind(gpu.ggtt);
    const pins = [scanout, cursor].map((object) => object.bind(gpu.ggtt, { pin: true }));
    const misplaced = pins.findIndex((vma) => vma.start % MiB !== 0);
    const list = [
      { object: pins[misplaced].object, alignment: MiB },
      { object: first },
      { object: pins[1 - misplaced].object },
    ];
    for (const batch of [list, [list[1], list[0], list[2]], [list[2], list[1], list[0]]]) {
      expect(() => gpu.execbuffer(context, batch)).toThrow(/EBUSY/);
      expect([...pins, first.vma(gpu.ggtt)!].map((vma) => vma.pinCount)).toEqual([1, 1, 0]);
    }
    for (const vma of pins) vma.unpin();
    expect(pins.map((vma) => vma.pinCount)).toEqual([0, 0]);
  });

  test('NEEDS_GTT puts an object where the CPU reaches it', () => {
    const { gpu } = gpuOn({ gen: 7, ppgtt: 'aliasing', mappable: '64MiB' });
    const context = gpu.createContext();
    const object = gpu.createObject('1MiB');
    object.bind(gpu.ggtt, { offsetBias: 128 * MiB });
    gpu.execbuffer(context, [{ object, needsGtt: true }, { object: gpu.createObject('4KiB') }]);
    expect(object.mapAndFenceable).toBe(true);
  });
});
