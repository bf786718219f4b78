import { GemDmaError } from '../../core/errors.js';
import type { I915Options } from '../../gem/config.js';
import type { Context } from '../../gem/context.js';
import type { I915Device } from '../../gem/device.js';
import type { GemObject } from '../../gem/object.js';
import { Process } from '../../gem/process.js';
import { Machine } from '../../machine/machine.js';
import {
  DRIVER_NAMES,
  type DriverName,
  type Scenario,
  type ScenarioOptions,
  type ScenarioResult,
} from '../scenario.js';

/**
 * The ways in which i915 lost DMA mappings while it mapped at bind, L1 to L7: each path by itself, on a machine of its
 * own, with everything given back at the end. What is then still mapped is lost for good.
 *
 * Counted is what the IOMMU's allocator of 2015 holds, where one mapping is one range, not what the driver believes.
 */

interface LeakPath {
  title: string;
  gpu: I915Options;
  /** Mappings that are lost under each driver. */
  leaks: Readonly<Record<DriverName, number>>;
  work(world: World): void;
}

interface World {
  machine: Machine;
  gpu: I915Device;
  /** Mapped objects lost their way; kept to add up what was mapped and unmapped. */
  objects: GemObject[];
  create(size?: string): GemObject;
}

const FULL: I915Options = { gen: 8, ppgtt: 'full' };
/** Rounds of binding and unbinding in L2. */
const ROUNDS = 8;
/** Alignments that an object is moved for in L3, one after the other. */
const ALIGNMENTS = [2 ** 19, 2 ** 20, 2 ** 21];
const FAULT_GTT = 8;
const FAULT_SG = 5;

const PATHS: Readonly<Record<string, LeakPath>> = {
  L1: {
    title: 'a second address space binds what one has bound already',
    gpu: FULL,
    leaks: { 'linux-3.18': 1, 'linux-4.1': 1, 'linux-4.2': 0 },
    work: ({ gpu, create }) => {
      using context = gpu.createContext();
      using object = create();
      using _own = object.bind(context.vm);
      using _global = object.bind(gpu.ggtt);
    },
  },
  L2: {
    title: `one vma stays bound while another is bound and unbound ${ROUNDS} times`,
    gpu: FULL,
    leaks: { 'linux-3.18': 1, 'linux-4.1': ROUNDS, 'linux-4.2': 0 },
    work: ({ gpu, create }) => {
      using context = gpu.createContext();
      using object = create();
      using _own = object.bind(context.vm);
      for (let i = 0; i < ROUNDS; ++i) object.bind(gpu.ggtt).unbind();
    },
  },
  L3: {
    title: `execbuf moves an object ${ALIGNMENTS.length} times, and the vma that is kept keeps the mapping`,
    gpu: FULL,
    leaks: { 'linux-3.18': 0, 'linux-4.1': ALIGNMENTS.length, 'linux-4.2': 0 },
    work: ({ gpu, create }) => {
      using context = gpu.createContext();
      using object = create();
      using batch = create('64KiB');
      using _low = create('4KiB').bind(context.vm);
      gpu.execbuffer(context, [{ object }, { object: batch }]);
      for (const alignment of ALIGNMENTS) {
        // A small object in the way, so that the next alignment is not met by chance.
        create('4KiB').bind(context.vm, { offsetBias: alignment / 2 });
        gpu.execbuffer(context, [{ object, alignment }, { object: batch }]);
      }
      gpu.idle();
    },
  },
  L4: {
    title: 'the last bound vma goes while a placeholder is left',
    gpu: FULL,
    leaks: { 'linux-3.18': 0, 'linux-4.1': 1, 'linux-4.2': 0 },
    work: ({ gpu, create }) => {
      using one = gpu.createContext();
      using two = gpu.createContext();
      using object = create();
      const bound = object.bind(one.vm);
      placeholder(gpu, two, object, create);
      bound.unbind();
    },
  },
  L5: {
    title: 'page tables of gen7 cannot be had once the object is mapped',
    gpu: { gen: 7, ppgtt: 'full' },
    leaks: { 'linux-3.18': 0, 'linux-4.1': 1, 'linux-4.2': 0 },
    work: ({ machine, gpu, create }) => {
      using context = gpu.createContext();
      using object = create();
      // The first allocation of the bind is its node, the second its page table, if the driver makes one then.
      refused('ENOMEM', machine, FAULT_GTT, 2, () => object.bind(context.vm));
      object.bind(context.vm).unbind();
    },
  },
  L6: {
    title: 'a second view fails to bind: the wrong mapping is undone, twice',
    gpu: FULL,
    leaks: { 'linux-3.18': 1, 'linux-4.1': 1, 'linux-4.2': 0 },
    work: ({ machine, gpu, create }) => {
      using object = create();
      using _normal = object.bind(gpu.ggtt);
      const view = { type: 'rotated', width: 16, height: 16 } as const;
      refused('ENOMEM', machine, FAULT_SG, 1, () => object.bind(gpu.ggtt, { view }));
    },
  },
  L7: {
    title: 'freed, or invalidated, with the bound vma before a placeholder',
    gpu: FULL,
    leaks: { 'linux-3.18': 0, 'linux-4.1': 2, 'linux-4.2': 0 },
    work: ({ machine, gpu, objects, create }) => {
      for (const boundFirst of [true, false]) {
        using one = gpu.createContext();
        using two = gpu.createContext();
        using freed = create();
        bindBoth(gpu, one, two, freed, create, boundFirst);

        using process = new Process(machine.ram);
        const address = process.mmap('1MiB', { populate: true });
        using borrowed = gpu.createUserptr(process, address, '1MiB');
        objects.push(borrowed);
        bindBoth(gpu, one, two, borrowed, create, boundFirst);
        process.munmap(address, 1024 ** 2);
      }
    },
  },
};

/** Bound in one context, and looked up without being bound in the other. */
function bindBoth(
  gpu: I915Device,
  one: Context,
  two: Context,
  object: GemObject,
  create: World['create'],
  boundFirst: boolean,
): void {
  if (boundFirst) object.bind(one.vm);
  placeholder(gpu, two, object, create);
  if (!boundFirst) object.bind(one.vm);
}

/** Leaves a vma that was never bound: an execbuf looks all objects up and fails at the first, whose pages are gone. */
function placeholder(gpu: I915Device, context: Context, object: GemObject, create: World['create']): void {
  using purged = create('4KiB');
  purged.madvise('dontneed');
  try {
    gpu.execbuffer(context, [{ object: purged }, { object }]);
  } catch (error) {
    if (!GemDmaError.is(error, 'EFAULT')) throw error;
  }
}

/** Runs something with the n-th allocation of a kind failing; it may fail with that errno, or not meet the fault at all. */
function refused(code: 'ENOMEM', machine: Machine, kind: number, nth: number, run: () => void): void {
  const { faultArm } = machine.core.exports;
  faultArm(machine.context, kind, nth);
  try {
    run();
  } catch (error) {
    if (!GemDmaError.is(error, code)) throw error;
  } finally {
    faultArm(machine.context, kind, 0);
  }
}

/** Ranges that the allocator of the device's domain holds, and their bytes. */
function ranges(machine: Machine, gpu: I915Device): { count: number; bytes: number } {
  const { domain } = gpu.device;
  if (domain === undefined || domain === 'passthrough') return { count: 0, bytes: 0 };
  const { iovaFoundHi, iovaFoundLo, iovaNextRange } = machine.core.exports;
  const held = { count: 0, bytes: 0 };
  for (let pfn = 0; iovaNextRange(domain.iova, pfn); pfn = iovaFoundHi(domain.iova) + 1) {
    ++held.count;
    held.bytes += (iovaFoundHi(domain.iova) + 1 - iovaFoundLo(domain.iova)) * 4096;
  }
  return held;
}

function runPath(name: string, path: LeakPath, { driver, seed }: ScenarioOptions): ScenarioResult {
  using machine = new Machine({ kernel: 'linux-4.2', iommu: 'strict', ram: '128MiB', seed });
  const gpu = machine.addI915({ ...path.gpu, driver });
  const before = ranges(machine, gpu);
  const objects: GemObject[] = [];
  const made: GemObject[] = [];
  const create = (size = '1MiB'): GemObject => {
    const object = gpu.createObject(size);
    objects.push(object);
    made.push(object);
    return object;
  };
  path.work({ machine, gpu, objects, create });
  for (const object of made) object[Symbol.dispose]();
  const after = ranges(machine, gpu);
  const maps = objects.reduce((sum, object) => sum + object.maps, 0);
  const unmaps = objects.reduce((sum, object) => sum + object.unmaps, 0);
  const leakedMappings = after.count - before.count;
  const report = machine.dmaDebug.report();
  machine.check();
  const expected = path.leaks[driver];
  return {
    scenario: name,
    driver,
    ok: leakedMappings === expected && report.lost.count === expected,
    maps,
    unmaps,
    live: leakedMappings,
    leakedMappings,
    leakedIovaBytes: after.bytes - before.bytes,
    expectedLeaks: expected,
    /** Calls of dma_unmap_sg that found nothing to unmap: the address had been given back before. */
    staleUnmaps: unmaps - (maps - leakedMappings),
    /** What our checker says of it: mappings lost, and which checks spoke how often. */
    checker: { lost: report.lost.count, lostIovaBytes: report.lost.iovaBytes, findings: report.findings },
    i915: gpu.config,
    config: machine.config,
  };
}

export const leakPaths: readonly Scenario[] = Object.entries(PATHS).map(([name, path]) => ({
  name,
  title: path.title,
  group: 'leak paths of i915',
  drivers: DRIVER_NAMES,
  run: (options) => runPath(name, path, options),
}));
