import { describe, expect, test } from 'vitest';
import { FAULT_IOVA } from '../../../src/core/generated/constants.js';
import { POLICY_NAMES, type PolicyName } from '../../../src/i915/policy/index.js';
import type { MappingPolicy } from '../../../src/i915/policy/policy.js';
import { gpuOn, iovaRanges, pattern } from '../gpu.js';

const full = (policy: PolicyName): ReturnType<typeof gpuOn> => gpuOn({ gen: 8, ppgtt: 'full', policy });

describe('when an object is mapped', () => {
  test.each(POLICY_NAMES)('%s: pages, bind, second bind, unbind, unbind, put', (policy) => {
    const { gpu } = full(policy);
    const { vm } = gpu.createContext();
    const object = gpu.createObject('1MiB');
    const counts: string[] = [];
    const say = (): void => void counts.push(`${object.maps}-${object.unmaps}`);
    object.getPages();
    say();
    const global = object.bind(gpu.ggtt);
    say();
    const own = object.bind(vm);
    say();
    global.unbind();
    say();
    own.unbind();
    say();
    object.putPages();
    say();
    expect(counts).toEqual(
      {
        'i915-3.18': ['0-0', '1-0', '2-0', '2-1', '2-2', '2-2'],
        'i915-4.1': ['0-0', '1-0', '2-0', '2-0', '2-1', '2-1'],
        'i915-4.2': ['1-0', '1-0', '1-0', '1-0', '1-0', '1-1'],
      }[policy],
    );
  });

  test('since 4.2 every address space shows the same DMA addresses, before, the second bind has others', () => {
    for (const policy of ['i915-4.1', 'i915-4.2'] as const) {
      const { gpu, machine } = full(policy);
      const { vm } = gpu.createContext();
      const object = gpu.createObject('64KiB');
      const own = object.bind(vm);
      const global = object.bind(gpu.ggtt);
      const address = (vma: typeof own): number => machine.core.exports.gpuTranslate(vma.vm.handle, vma.start, false);
      expect(address(own) === address(global)).toBe(policy === 'i915-4.2');
    }
  });

  test('before 4.2 the older vma goes on working through the mapping that was lost', () => {
    const { gpu } = full('i915-4.1');
    const { vm } = gpu.createContext();
    const object = gpu.createObject('64KiB');
    object.pwrite(0, pattern(100));
    const own = object.bind(vm);
    object.bind(gpu.ggtt).unbind();
    expect(gpu.read(vm, own.start, 100)).toEqual(pattern(100));
  });

  test('3.18: the first vma to go takes the mapping of the others with it: the GPU faults', () => {
    const { gpu } = full('i915-3.18');
    const { vm } = gpu.createContext();
    const object = gpu.createObject('64KiB');
    const own = object.bind(vm);
    const global = object.bind(gpu.ggtt);
    own.unbind();
    expect(() => gpu.read(gpu.ggtt, global.start, 4)).toThrow(/EFAULT/);
  });

  test('since 4.2 maps less unmaps is the number of objects with pages; nothing is left at the end', () => {
    const { gpu, machine } = full('i915-4.2');
    const { vm } = gpu.createContext();
    const warm = gpu.createObject('1MiB');
    warm.bind(vm);
    warm.release();
    const before = iovaRanges(machine, gpu);
    const objects = Array.from({ length: 8 }, () => gpu.createObject('256KiB'));
    objects.forEach((object, i) => {
      if (i % 2) object.getPages();
      if (i % 3 === 0) object.bind(gpu.ggtt);
      if (i % 4 === 0) object.bind(vm);
    });
    const withPages = objects.filter(({ pages }) => pages !== 0).length;
    expect(iovaRanges(machine, gpu) - before).toBe(withPages);
    for (const object of objects) object.release();
    expect(iovaRanges(machine, gpu)).toBe(before);
  });

  test.each(POLICY_NAMES)('%s: with an aliasing PPGTT there is one vma, and no leak', (policy) => {
    const { gpu, machine } = gpuOn({ gen: 7, ppgtt: 'aliasing', policy });
    const before = iovaRanges(machine, gpu);
    const object = gpu.createObject('1MiB');
    object.bind(gpu.ggtt);
    object.bind(gpu.ggtt, { as: 'user' });
    object.bind(gpu.ggtt, { as: 'both' });
    object.release();
    expect(iovaRanges(machine, gpu)).toBe(before);
  });
});

describe('a failed map', () => {
  // Nothing below 4 KiB of IOVA space is left: reserve everything that the domain still has.
  function fill(gpu: ReturnType<typeof gpuOn>['gpu']): void {
    const { domain } = gpu.dmaDevice;
    if (domain !== undefined && domain !== 'passthrough') domain.reserve(0, 2 ** 27 - 1);
  }

  test('is ENOMEM from getPages of shmem since 4.2, ENOSPC from bind before; nothing is left behind', () => {
    for (const [policy, code] of [
      ['i915-4.1', 'ENOSPC'],
      ['i915-4.2', 'ENOMEM'],
    ] as const) {
      const { gpu } = gpuOn({ gen: 8, ppgtt: 'none', policy });
      fill(gpu);
      const object = gpu.createObject('1MiB');
      expect(() => object.bind(gpu.ggtt)).toThrow(code);
      expect([object.pagesPinCount, object.vmas.length, object.maps]).toEqual([0, 0, 0]);
      expect(object.pages !== 0).toBe(policy === 'i915-4.1');
      object.release();
    }
  });

  test('leaves pages dangling with the historic defect: the next getPages says they are there', () => {
    const { gpu } = gpuOn({ ppgtt: 'none', policy: 'i915-4.2', defects: { danglingPages: true } });
    fill(gpu);
    const object = gpu.createObject('64KiB');
    expect(() => object.getPages()).toThrow(/ENOMEM/);
    expect(object.pages).not.toBe(0);
    object.getPages();
  });

  test('can be retried after shrinking, as later kernels do', () => {
    const { gpu, machine } = gpuOn({ ppgtt: 'none', policy: 'i915-4.2', shrinkAndRemap: true });
    const idle = gpu.createObject('64KiB');
    idle.getPages();
    // With 32 bits there is one attempt to fail, not one below 4 GiB and one above.
    gpu.dmaDevice.setMask(32);
    machine.core.exports.faultArm(machine.context, FAULT_IOVA, 1);
    const object = gpu.createObject('64KiB');
    object.getPages();
    expect([object.maps, idle.pages]).toEqual([1, 0]);
  });
});

describe('page tables', () => {
  test('4.1 makes all 2,052 of a gen8 PPGTT with the context; 4.2 with the binds, and keeps them until the end', () => {
    const { gpu: old, machine } = full('i915-4.1');
    const before = iovaRanges(machine, old);
    const context = old.createContext();
    expect(iovaRanges(machine, old) - before).toBe(2052);
    context.release();
    expect(iovaRanges(machine, old)).toBe(before);

    const { gpu, machine: later } = full('i915-4.2');
    const start = iovaRanges(later, gpu);
    const { vm } = gpu.createContext();
    const few = iovaRanges(later, gpu) - start;
    expect(few).toBeLessThan(4);
    const object = gpu.createObject('8MiB');
    object.bind(vm).unbind();
    object.putPages();
    expect(iovaRanges(later, gpu) - start - few).toBe(1 + 4);
  });
});

describe('a policy of your own', () => {
  test('is called at each moment, with the object and the vma', () => {
    const calls: string[] = [];
    const policy: MappingPolicy = {
      name: 'listener',
      getPages: (object) => void calls.push(`getPages ${object.id}`),
      bind: (object, vma) => {
        calls.push(`bind ${object.id} ${vma.id}`);
        return object.mapSg();
      },
      unbind: (object, vma) => {
        calls.push(`unbind ${object.id} ${vma.id}`);
        object.unmapSg();
      },
      lastVma: (object) => void calls.push(`lastVma ${object.id}`),
      putPages: (object) => void calls.push(`putPages ${object.id}`),
      purge: (object) => void calls.push(`purge ${object.id}`),
    };
    const { gpu, machine } = gpuOn({ policy });
    const before = iovaRanges(machine, gpu);
    const object = gpu.createObject('64KiB');
    object.bind(gpu.ggtt).unbind();
    object.release();
    expect(calls).toEqual(['getPages 1', 'bind 1 1', 'unbind 1 1', 'lastVma 1', 'putPages 1', 'purge 1']);
    expect(iovaRanges(machine, gpu)).toBe(before);
    expect(gpu.config.policy).toBe('listener');
  });

  test('that refuses fails the operation with its errno', () => {
    const { gpu } = gpuOn({ policy: { name: 'never', bind: () => -28, getPages: () => undefined } });
    const object = gpu.createObject('64KiB');
    expect(() => object.bind(gpu.ggtt)).toThrow(/ENOSPC/);
    expect([object.vmas.length, object.pagesPinCount]).toEqual([0, 0]);
  });

  test('that maps without pages is told so', () => {
    const { gpu } = gpuOn({ policy: { name: 'early', purge: (object) => object.unmapSg() } });
    const object = gpu.createObject('64KiB');
    expect(() => object.madvise('dontneed')).toThrow(/EINVAL: object 1 .* has no pages .policy early./);
  });
});
