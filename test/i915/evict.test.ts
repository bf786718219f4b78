import { describe, expect, test } from 'vitest';
import { gpuOn, MiB } from './gpu.js';

const small = { gen: 7, ppgtt: 'none', ggtt: '1GiB' } as const;
const plenty = { ram: '1536MiB' };

describe('eviction', () => {
  test('the least recently used go, as few as make one hole that is large enough', () => {
    const { gpu } = gpuOn(small, plenty);
    const vmas = Array.from({ length: 8 }, () => gpu.createObject(127 * MiB).bind(gpu.ggtt));
    expect(vmas.every(({ node }) => node !== 0)).toBe(true);
    const next = gpu.createObject(200 * MiB).bind(gpu.ggtt);
    expect(vmas.map(({ node }) => node !== 0)).toEqual([false, false, true, true, true, true, true, true]);
    expect(next.node).not.toBe(0);
    expect(vmas[0].object.pages, 'evicted, not shrunk').not.toBe(0);
  });

  test('pinned ones stay, and when nothing else is left it is ENOSPC with nothing changed', () => {
    const { gpu } = gpuOn(small, plenty);
    const vmas = Array.from({ length: 8 }, () => gpu.createObject(127 * MiB).bind(gpu.ggtt, { pin: true }));
    const object = gpu.createObject(200 * MiB);
    expect(() => object.bind(gpu.ggtt)).toThrow(/ENOSPC/);
    expect([object.vmas.length, object.pagesPinCount]).toEqual([0, 0]);
    vmas[5].unpin();
    vmas[6].unpin();
    object.bind(gpu.ggtt);
    expect(vmas.map(({ node }) => node !== 0)).toEqual([true, true, true, true, true, false, false, true]);
  });

  test('what the GPU uses goes last, after waiting; a nonblocking request does without', () => {
    const { gpu } = gpuOn(small, plenty);
    const context = gpu.createContext();
    const busy = Array.from({ length: 4 }, () => gpu.createObject(250 * MiB));
    for (const object of busy) gpu.execbuffer(context, [{ object }], { busy: 1000 });
    const object = gpu.createObject(200 * MiB);
    expect(() => object.bind(gpu.ggtt, { nonblock: true })).toThrow(/ENOSPC/);
    object.bind(gpu.ggtt);
    expect(busy.filter((one) => one.vma(gpu.ggtt) !== undefined).length).toBe(3);
  });

  test('evicting everything takes what is not pinned, in every address space; ENOSPC when the newest is empty', () => {
    const { gpu } = gpuOn({ gen: 8, ppgtt: 'full' });
    const { vm } = gpu.createContext();
    const pinned = gpu.createObject('1MiB').bind(gpu.ggtt, { pin: true });
    const object = gpu.createObject('1MiB');
    object.bind(gpu.ggtt);
    expect(() => gpu.evictEverything()).toThrow(/ENOSPC/);
    object.bind(vm);
    gpu.evictEverything();
    expect([object.vmas, pinned.node !== 0, vm.vmas, gpu.ggtt.vmas]).toEqual([[], true, [], [pinned]]);
    expect(gpu.unboundList.first).toBe(object);
  });
});
