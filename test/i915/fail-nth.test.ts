import { describe, expect, test } from 'vitest';
import { GemDmaError } from '../../src/core/errors.js';
import { FAULTS } from '../../src/core/faults.js';
import { Process } from '../../src/drm/process.js';
import { SystemHeap } from '../../src/drm/system-heap.js';
import type { I915Options } from '../../src/i915/config.js';
import type { I915Device } from '../../src/i915/device.js';
import type { BaseMachine } from '../../src/machine/machine.js';
import { gpuOn, iovaRanges, pattern } from './gpu.js';

// Every allocation on the way is made to fail in turn; whatever is then refused must leave nothing behind.
const { swiotlb: _bounce, 'dma-debug': _dmaDebug, ...KINDS } = FAULTS;
const GIVE_UP = 400;

interface Story {
  name: string;
  options: I915Options;
  tell(gpu: I915Device, machine: BaseMachine): void;
}

const stories: Story[] = [
  {
    name: 'an object in two address spaces',
    options: { gen: 8, ppgtt: 'full' },
    tell(gpu) {
      using context = gpu.createContext();
      using object = gpu.createObject('64KiB');
      object.pwrite(0, pattern(8192));
      object.bind(gpu.ggtt);
      const own = object.bind(context.vm);
      gpu.read(context.vm, own.start, 4096);
    },
  },
  {
    name: 'views in the GGTT of gen7 with page directories there',
    options: { gen: 7, ppgtt: 'full' },
    tell(gpu) {
      using context = gpu.createContext();
      using object = gpu.createObject('64KiB');
      object.bind(gpu.ggtt, { view: { type: 'rotated', width: 4, height: 4 } });
      object.bind(gpu.ggtt, { view: { type: 'partial', offset: 1, size: 3 } });
      object.bind(context.vm);
    },
  },
  {
    name: 'a contiguous object',
    options: { gen: 8, ppgtt: 'none' },
    tell(gpu) {
      using object = gpu.createObject('16KiB');
      object.pwrite(0, pattern(100));
      object.attachPhys(4096);
      object.bind(gpu.ggtt);
    },
  },
  {
    name: 'an import and an export',
    options: { gen: 8, ppgtt: 'none' },
    tell(gpu, machine) {
      using dmaBuf = new SystemHeap(machine).alloc('64KiB');
      using object = gpu.importDmaBuf(dmaBuf);
      object.bind(gpu.ggtt);
      using mine = gpu.createObject('64KiB');
      using exported = mine.export();
      const attachment = exported.attach(machine.devices[1]);
      try {
        attachment.map();
        attachment.unmap();
      } finally {
        attachment.detach();
      }
    },
  },
  {
    name: 'a userptr and its worker',
    options: { gen: 8, ppgtt: 'none' },
    tell(gpu, machine) {
      using process = new Process(machine.ram);
      const address = process.mmap('64KiB');
      using object = gpu.createUserptr(process, address, '64KiB');
      for (let i = 0; i < 3 && object.pages === 0; ++i) {
        try {
          object.getPages();
        } catch (error) {
          if (!GemDmaError.is(error, 'EAGAIN')) throw error;
          machine.clock.run();
        }
      }
      object.bind(gpu.ggtt);
    },
  },
];

describe.each(stories)('$name', ({ options, tell }) => {
  test.each(Object.entries(KINDS))('leaves nothing when any allocation of kind %s fails', (_name, kind) => {
    const { gpu, machine } = gpuOn({ ...options, policy: 'i915-4.2' });
    machine.addDevice({ maskBits: 39 });
    const { faultArm } = machine.core.exports;
    const { faultPending, machineRecords, mmNodes } = machine.core.tools;
    const state = () => ({
      records: machineRecords(machine.context),
      ranges: iovaRanges(machine, gpu),
      nodes: mmNodes(gpu.ggtt.mm),
      objects: gpu.liveObjects,
      lists: [gpu.boundList.empty, gpu.unboundList.empty, gpu.ggtt.vmas.length, gpu.vmList.length],
      lost: machine.dmaDebug.poll().lost,
    });
    tell(gpu, machine);
    tell(gpu, machine);
    const before = state();
    for (let nth = 1; nth < GIVE_UP; ++nth) {
      faultArm(machine.context, kind, nth);
      try {
        tell(gpu, machine);
      } catch (error) {
        if (!GemDmaError.is(error)) throw error;
        expect(['ENOMEM', 'ENOSPC', 'EAGAIN']).toContain(error.code);
      }
      const struck = faultPending(machine.context, kind) === 0;
      faultArm(machine.context, kind, 0);
      expect(state(), `after failing allocation ${nth}`).toEqual(before);
      machine.check();
      if (!struck) return;
    }
    throw new Error(`still allocating after ${GIVE_UP}`);
  });
});
