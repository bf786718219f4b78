import { describe, expect, test } from 'vitest';
import { POLICY_NAMES } from '../../src/i915/policy/index.js';
import type { MachineOptions } from '../../src/machine/config.js';
import { gpuOn, KiB, pattern } from './gpu.js';

const MACHINES: Readonly<Record<string, MachineOptions>> = {
  'strict, 2015': {},
  'strict, today': { kernel: 'linux-6.12' },
  'lazy, 2015': { iommu: 'lazy' },
  'lazy, today': { kernel: 'linux-6.12', iommu: 'lazy' },
  passthrough: { iommu: 'passthrough' },
  'no IOMMU': { iommu: 'off' },
  'no IOMMU, memory in pieces': { iommu: 'off', swiotlb: false, ram: { size: '64MiB', fragmentation: 1 } },
  'strict, memory in pieces': { kernel: 'linux-6.12', ram: { size: '64MiB', fragmentation: 1 } },
};

describe.each(Object.entries(MACHINES))('%s', (_name, options) => {
  test.each(POLICY_NAMES)('%s: the GPU reads what the CPU wrote, in both address spaces', (policy) => {
    const { gpu, machine } = gpuOn({ gen: 8, ppgtt: 'full', policy }, options);
    const context = gpu.createContext();
    for (let round = 0; round < 3; ++round) {
      using object = gpu.createObject('256KiB');
      object.pwrite(0, pattern(256 * KiB, round));
      const own = object.bind(context.vm);
      const global = object.bind(gpu.ggtt);
      for (const { vm, start } of [own, global]) {
        const read = gpu.read(vm, start + 4094, 20000);
        expect(Buffer.compare(read, pattern(20000, round + 4094))).toBe(0);
      }
      gpu.write(context.vm, own.start + 100 * KiB, pattern(5000, 99));
      expect(Buffer.compare(object.pread(100 * KiB, 5000), pattern(5000, 99))).toBe(0);
    }
    machine.clock.advance(50);
    machine.check();
  });
});

describe('without translation', () => {
  test('a second map gives the same addresses: nothing is lost but what dma-debug counts', () => {
    const { gpu, machine } = gpuOn({ gen: 8, ppgtt: 'full', policy: 'i915-4.1' }, { iommu: 'off', swiotlb: false });
    const context = gpu.createContext();
    const object = gpu.createObject('64KiB');
    const own = object.bind(context.vm);
    const before = machine.core.exports.gpuTranslate(context.vm.handle, own.start, false);
    const global = object.bind(gpu.ggtt);
    expect(machine.core.exports.gpuTranslate(gpu.ggtt.handle, global.start, false)).toBe(before);
    expect(machine.dmaDebug.count('DOUBLE_MAP')).toBe(1);
    expect(machine.dmaDebug.count('ADDRESS_OVERWRITTEN')).toBe(0);
  });
});

describe('strict checking', () => {
  test('throws at the bind that maps again, and the object can still be released', () => {
    const { gpu, machine } = gpuOn({ gen: 8, ppgtt: 'full', policy: 'i915-4.1' });
    const context = gpu.createContext();
    const object = gpu.createObject('64KiB');
    object.bind(context.vm);
    machine.dmaDebug.strict = true;
    expect(() => object.bind(gpu.ggtt)).toThrow(/DOUBLE_MAP|ADDRESS_OVERWRITTEN/);
    machine.dmaDebug.strict = false;
    expect(object.vmas.length).toBe(2);
    object.release();
    expect(gpu.liveObjects).toBe(0);
  });
});
