import { describe, expect, test, vi } from 'vitest';
import { DMA_BIDIRECTIONAL } from '../../../src/dma/transfer.js';
import type { I915Device } from '../../../src/i915/device.js';
import type { GemObject } from '../../../src/i915/object.js';
import { POLICIES } from '../../../src/i915/policy/index.js';
import type { MappingPolicy } from '../../../src/i915/policy/policy.js';
import type { Machine } from '../../../src/machine-drivers/machine.js';
import { gpuOn } from '../gpu.js';

const oops = new Error('the policy is broken');
const thrower = (): never => {
  throw oops;
};

function policyOn(policy: Partial<MappingPolicy>): { machine: Machine; gpu: I915Device } {
  return gpuOn({ gen: 8, ppgtt: 'full', policy: { ...POLICIES['i915-4.2'], name: 'mine', ...policy } });
}

/** Who a mapping that is made now is put down to. */
function blamed(machine: Machine): unknown {
  const card = machine.devices[1] ?? machine.addDevice({ maskBits: 64 });
  const address = card.mapPage(5, 0, 4096, DMA_BIDIRECTIONAL);
  const entry = [...machine.dmaDebug.entries()].find((one) => one.device === card.id && one.address === address)!;
  card.unmapPage(address, 4096, DMA_BIDIRECTIONAL);
  return machine.dmaDebug.attributions.describe(entry.by);
}

/** What a refused bind must leave: pages without pins, no vma, nothing in the address space. */
function expectUnbound(object: ReturnType<I915Device['createObject']>, gpu: I915Device): void {
  expect([object.pagesPinCount, object.vmas, gpu.ggtt.vmas, gpu.boundList.empty]).toEqual([0, [], [], true]);
}

describe('a hook that throws', () => {
  test('bind: the error comes out of the call, nothing is bound, nobody is blamed afterwards', () => {
    const { machine, gpu } = policyOn({ bind: thrower });
    const object = gpu.createObject(4096);
    expect(() => object.bind(gpu.ggtt)).toThrow(oops);
    expectUnbound(object, gpu);
    expect(blamed(machine)).toEqual({});
    object.release();
    expect(gpu.liveObjects).toBe(0);
    machine.check();
  });

  test('getPages: no pages, and the next attempt is a new one', () => {
    let broken = true;
    const { machine, gpu } = policyOn({
      getPages: (object) => (broken ? thrower() : object.mapSg()),
      putPages: (object) => object.unmapSg(),
    });
    const before = machine.dmaDebug.report().live.count;
    const object = gpu.createObject(8192);
    expect(() => object.getPages()).toThrow(oops);
    expect([object.pages, object.maps, gpu.unboundList.empty]).toEqual([0, 0, true]);
    broken = false;
    object.getPages();
    object.release();
    expect(machine.dmaDebug.report().live.count).toBe(before);
  });

  test.each(['unbind', 'lastVma', 'putPages', 'purge'] as const)('%s: the work is completed all the same', (hook) => {
    const { machine, gpu } = policyOn({ [hook]: thrower });
    const object = gpu.createObject(4096);
    const vma = object.bind(gpu.ggtt);
    const unbind = (): void => vma.unbind();
    if (hook === 'unbind' || hook === 'lastVma') expect(unbind).toThrow(oops);
    else unbind();
    expectUnbound(object, gpu);
    const put = (): void => object.putPages();
    if (hook === 'putPages') expect(put).toThrow(oops);
    else put();
    expect([object.pages, gpu.unboundList.empty]).toEqual([0, true]);
    const purge = (): boolean => object.madvise('dontneed');
    if (hook === 'purge') expect(purge).toThrow(oops);
    else purge();
    expect(object.madvised).toBe('purged');
    object.release();
    expect([gpu.liveObjects, blamed(machine)]).toEqual([0, {}]);
    machine.check();
  });

  test('bindFailed: the bind says what the hook threw, and is undone', () => {
    const { machine, gpu } = policyOn({ bindFailed: thrower });
    const { vm } = gpu.createContext();
    const object = gpu.createObject(4096);
    machine.failAllocation('gtt', 2);
    expect(() => object.bind(vm)).toThrow(oops);
    expect([object.pagesPinCount, object.vmas, vm.vmas]).toEqual([0, [], []]);
    expect(blamed(machine)).toEqual({});
  });

  test('under the shrinker: the lists are whole, every object of them', () => {
    const { gpu } = policyOn({ unbind: thrower });
    const objects = [1, 2, 3].map((pages) => gpu.createObject(pages * 4096));
    for (const object of objects) object.bind(gpu.ggtt);
    expect(() => gpu.shrinkAll()).toThrow(oops);
    expect(objects.map(({ pages, refcount, vmas }) => [pages, refcount, vmas.length])).toEqual([
      [0, 1, 0],
      [0, 1, 0],
      [0, 1, 0],
    ]);
    for (const object of objects) object.release();
    gpu.remove();
  });

  test('when a batch retires or a process unmaps: the clock and the process say it', () => {
    const { gpu, machine } = policyOn({ unbind: thrower });
    const context = gpu.createContext();
    const batch = gpu.createObject(4096);
    gpu.execbuffer(context, [{ object: batch }], { busy: 2 });
    batch.release();
    expect(() => machine.clock.advance(2)).toThrow(oops);
    expect([gpu.liveObjects, gpu.engines.flat().length, batch.refcount]).toEqual([0, 0, 0]);
    context.release();
    gpu.remove();
  });
});

describe('what a hook returns', () => {
  test.each([
    ['a promise', () => Promise.resolve(0)],
    ['a promise that is rejected later', () => Promise.reject(new Error('late'))],
    ['NaN', () => Number.NaN],
    ['a positive number', () => 12],
    ['an errno that there is not', () => -9999],
    ['text', () => 'ENOMEM'],
    ['true', () => true],
    ['an object', () => ({})],
  ])('%s is no answer of bind or getPages', (_, answer) => {
    for (const hook of ['bind', 'getPages'] as const) {
      const { machine, gpu } = policyOn({ [hook]: answer as () => number });
      const object = gpu.createObject(4096);
      const bind = (): unknown => object.bind(gpu.ggtt);
      expect(bind).toThrow(TypeError);
      expect(bind).toThrow(expect.objectContaining({ code: 'ERR_INVALID_RETURN_VALUE' }));
      expectUnbound(object, gpu);
      expect(blamed(machine)).toEqual({});
    }
  });

  test('an errno by number is the call’s error, nothing and 0 are agreement', () => {
    const answers = [undefined, 0, -12, -11];
    const { gpu } = policyOn({ bind: () => answers.shift() });
    const object = gpu.createObject(4096);
    for (const code of [null, null, 'ENOMEM', 'EAGAIN']) {
      if (code === null) object.bind(gpu.ggtt).unbind();
      else expect(() => object.bind(gpu.ggtt)).toThrow(expect.objectContaining({ code }));
    }
  });

  test('of a hook that cannot refuse only a promise is a mistake', () => {
    const { gpu } = policyOn({ unbind: (() => 42) as unknown as () => void });
    gpu.createObject(4096).bind(gpu.ggtt).unbind();
    const { gpu: other } = policyOn({ unbind: (() => Promise.resolve()) as unknown as () => void });
    const object = other.createObject(4096);
    const vma = object.bind(other.ggtt);
    expect(() => vma.unbind()).toThrow(expect.objectContaining({ code: 'ERR_INVALID_RETURN_VALUE' }));
    expectUnbound(object, other);
  });
});

test('async and generator hooks, and hooks that are no functions, are refused before there is a device', () => {
  const { machine } = gpuOn();
  const devices = machine.devices.length;
  for (const policy of [
    { async bind() {} },
    { *getPages() {} },
    { lastVma: 7 },
    { unbind: async () => {} },
  ] as unknown as Partial<MappingPolicy>[]) {
    expect(() => machine.addI915({ policy: { name: 'mine', ...policy } })).toThrow(TypeError);
  }
  expect(machine.devices.length).toBe(devices);
});

test('a nested hook does not end the outer one: mappings after it are still the outer one’s', () => {
  const { machine, gpu } = policyOn({});
  const inner = gpu.createObject(4096);
  const { hooks } = gpu;
  const outer: unknown[] = [];
  hooks.during(gpu.hooks.moments.attach, 77, 0, () => {
    inner.bind(gpu.ggtt);
    outer.push(blamed(machine));
    expect(() => hooks.during(gpu.hooks.moments.export, 88, 0, thrower)).toThrow(oops);
    outer.push(blamed(machine));
  });
  expect(outer).toEqual([
    { object: 'object 77', hook: 'attach' },
    { object: 'object 77', hook: 'attach' },
  ]);
  expect(blamed(machine)).toEqual({});
});

test('a policy may keep its state in itself', () => {
  class Counting implements MappingPolicy {
    readonly name = 'counting';
    binds = 0;
    getPages(object: GemObject): number {
      return object.mapSg();
    }
    bind(): number {
      return -12 * (this.binds++ % 2);
    }
  }
  const policy = new Counting();
  const { gpu } = gpuOn({ policy });
  const object = gpu.createObject(4096);
  object.bind(gpu.ggtt).unbind();
  expect(() => object.bind(gpu.ggtt)).toThrow(/ENOMEM/);
  expect(policy.binds).toBe(2);
});

test('a hook that calls the library is inside the outer call: what dma-debug finds is said at its end', () => {
  const found = vi.fn();
  const { machine, gpu } = policyOn({
    unbind(object) {
      object.unmapSg();
      object.unmapSg();
      object.device.createObject(4096).release();
      expect(found).not.toHaveBeenCalled();
    },
  });
  machine.dmaDebug.onError = found;
  const object = gpu.createObject(4096);
  object.bind(gpu.ggtt).unbind();
  expect(found).toHaveBeenCalledWith(expect.objectContaining({ check: 'UNMAP_UNKNOWN', caller: expect.anything() }));
});
