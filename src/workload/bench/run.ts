import { GemDmaError } from '../../core/errors.js';
import { BENCH_SG, BENCH_SINGLE, PAGE_SIZE } from '../../core/generated/constants.js';
import type { BenchHandle, DmaDeviceHandle } from '../../core/generated/exports.js';
import { failed } from '../../core/handle.js';
import type { Core } from '../../core/instance.js';
import { cpuShare, parallelism, platformName, turn } from '../../core/platform.js';
import type { AbortSignalLike } from '../../core/slices.js';
import type { DmaDevice } from '../../dma/device.js';
import { DmaDomain } from '../../dma/dma-domain.js';
import { type Direction, DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../dma/transfer.js';
import { i915Driver } from '../../i915/driver.js';
import type { PolicyName } from '../../i915/policy/index.js';
import type { Vma } from '../../i915/vma.js';
import type { MachineConfig } from '../../machine/config.js';
import { BaseMachine } from '../../machine/machine.js';
import { newPolicy, type OwnPolicy } from '../../stress-i915/policy.js';
import type { Contention } from '../../threads/index.js';
import { doubts, type Latency, type Measured, measure, type Progress, type Target } from './measure.js';
import {
  type BenchDirection,
  type BenchOptions,
  batchLimit,
  benchMachine,
  benchOptions,
  liveWithHoles,
} from './options.js';

/** One benchmark run, in the host's thread or on several workers, and what came of it. */

export interface BenchResult {
  /** The options, complete. */
  options: BenchOptions;
  /** The machine's configuration, complete. */
  config: MachineConfig;
  /** Nanoseconds a map. */
  map: Latency;
  /** Nanoseconds an unmap. */
  unmap: Latency;
  /** Mappings made and ended in a second of the time spent in map and unmap; all threads together. */
  mappingsPerSecond: number;
  /** The same in pages of 4 KiB. */
  pagesPerSecond: number;
  /** Mappings made while measuring. */
  mappings: number;
  /** Maps that failed. */
  failed: number;
  /** Mappings of a batch. */
  batch: number;
  /** Batches measured. */
  batches: number;
  /** Batches before the measured ones. */
  warmup: Measured['warmup'];
  /** The same figures part by part of the run, for intervals. */
  blocks: Measured['blocks'];
  /** Reasons not to trust the figures; empty when there are none. */
  untrusted: string[];
  /** Counters of the unit, the allocator and the flush queue over the whole run, warm-up included. */
  counters: Record<string, number>;
  /** With several threads: mappings per second of each. */
  perThread?: number[];
  /** With several threads: how often a lock was found held while measuring. */
  contention?: Contention;
  /** Version of Node, such as `v22.11.0`. */
  node: string;
}

export interface BenchHooks {
  signal?: AbortSignalLike;
  onProgress?: (progress: Progress) => void;
  /** A mapping policy of your own, in place of the preset. */
  policy?: OwnPolicy;
}

export type { Contention, LockKind } from '../../threads/index.js';

const CORE_MODES = { single: BENCH_SINGLE, sg: BENCH_SG } as const;
const DIRECTION: Record<BenchDirection, Direction> = {
  bidirectional: DMA_BIDIRECTIONAL,
  'to-device': DMA_TO_DEVICE,
  'from-device': DMA_FROM_DEVICE,
};

/** A batch of buffers or lists in the core, for one virtual CPU. Throws when memory for it is missing. */
export function coreBench(
  machine: { readonly core: Core },
  device: DmaDeviceHandle,
  options: BenchOptions,
  n: number,
): BenchHandle {
  if (options.mode === 'object') throw new Error('objects are not driven by the core');
  const { granule, mode, direction } = options;
  const bench = machine.core.exports.benchCreate(device, CORE_MODES[mode], granule, n, DIRECTION[direction], 0);
  if (failed(bench)) throw new GemDmaError('ENOMEM', 'bench', `no memory for ${n} mappings of ${granule} pages`);
  return bench;
}

export function coreTarget(machine: { readonly core: Core }, bench: BenchHandle): Target {
  const { benchMap, benchUnmap } = machine.core.exports;
  return {
    map: (n) => benchMap(bench, 0, n),
    unmap: (n) => {
      benchUnmap(bench, 0, n);
    },
  };
}

/** Adds the device that is measured, with the mappings that live throughout. */
export function benchDevice(machine: BaseMachine, options: BenchOptions): DmaDevice {
  const device = machine.addDevice({ maskBits: options.bits, maxSegment: 0xffffffff, driver: 'dma_map_benchmark' });
  const count = liveWithHoles(options);
  if (count > 0) {
    const { benchMap, benchPunch } = machine.core.exports;
    const live = coreBench(machine, device.handle, options, count);
    const made = benchMap(live, 0, count);
    if (made < count) {
      throw new GemDmaError(
        'ENOSPC',
        'bench',
        `only ${made} of ${count} live mappings could be made (${device.reason}): give the device more bits, or fewer live`,
        { ...(device.reason && { reason: device.reason }), details: { made, count } },
      );
    }
    benchPunch(live, count - options.live, options.seed);
  }
  return device;
}

/** The life of a GEM object: created, bound in the global GTT and in a context's address space, unbound, freed. */
function objectTarget(
  machine: BaseMachine,
  options: BenchOptions,
  policy?: OwnPolicy,
): { target: Target; device: DmaDevice } {
  const gpu = machine.addDriver(i915Driver, {
    ppgtt: 'full',
    policy: newPolicy(policy ?? (options.policy as PolicyName)),
  });
  const { vm } = gpu.createContext();
  const size = options.granule * PAGE_SIZE;
  const bound: [Vma, Vma][] = [];
  return {
    device: gpu.dmaDevice,
    target: {
      map(n) {
        for (let i = 0; i < n; ++i) {
          const object = gpu.createObject(size);
          bound.push([object.bind(gpu.ggtt), object.bind(vm)]);
        }
        return n;
      },
      unmap() {
        for (const [global, own] of bound) {
          const { object } = global;
          global.unbind();
          own.unbind();
          object.release();
        }
        bound.length = 0;
      },
    },
  };
}

/**
 * Runs a benchmark.
 * @param signal ends it early, with the figures so far
 */
export async function runBench(given: Partial<BenchOptions> = {}, hooks: BenchHooks = {}): Promise<BenchResult> {
  const options = benchOptions({ ...given, ...(hooks.policy && { policy: newPolicy(hooks.policy).name }) });
  if (options.threads > 1) {
    const { runThreads } = await import('./threads.js');
    return runThreads(options, hooks);
  }
  using machine = new BaseMachine(benchMachine(options));
  let target: Target;
  let device: DmaDevice;
  if (options.mode === 'object') ({ target, device } = objectTarget(machine, options, hooks.policy));
  else {
    device = benchDevice(machine, options);
    target = coreTarget(machine, coreBench(machine, device.handle, options, batchLimit(options)));
  }
  const stopped = (): boolean => hooks.signal?.aborted ?? false;
  const steps = measure(
    machine.core,
    machine.context,
    target,
    { seconds: options.seconds, batch: options.batch, capacity: batchLimit(options), transfer: options.transfer },
    stopped,
  );
  let share = cpuShare();
  let phase: Progress['phase'] = 'warm-up';
  for (;;) {
    const step = steps.next();
    if (step.done) return result(options, machine, device, [step.value], share());
    if (step.value.phase !== phase) {
      phase = step.value.phase;
      share = cpuShare();
    }
    hooks.onProgress?.(step.value);
    await turn();
  }
}

/** Puts the figures of all threads together. */
export function result(
  options: BenchOptions,
  machine: BaseMachine,
  device: DmaDevice,
  all: readonly Measured[],
  cpuShare: number,
): BenchResult {
  const sum = (of: (measured: Measured) => number): number => all.reduce((total, measured) => total + of(measured), 0);
  const [first] = all;
  const rates = all.map(({ mappings, busy }) => (busy === 0 ? 0 : (mappings * 1e9) / busy));
  const mappingsPerSecond = rates.reduce((total, rate) => total + rate, 0);
  const untrusted = [...new Set(all.flatMap((measured) => doubts(measured, cpuShare)))];
  if (options.threads > parallelism()) {
    untrusted.push(`${options.threads} threads share ${parallelism()} CPUs`);
  }
  return {
    options,
    config: machine.config,
    map: all.length === 1 ? first.map : pooled(all.map(({ map, batches }) => ({ ...map, batches }))),
    unmap: all.length === 1 ? first.unmap : pooled(all.map(({ unmap, batches }) => ({ ...unmap, batches }))),
    mappingsPerSecond,
    pagesPerSecond: mappingsPerSecond * options.granule,
    mappings: sum(({ mappings }) => mappings),
    failed: sum(({ failed }) => failed),
    batch: first.batch,
    batches: sum(({ batches }) => batches),
    warmup: {
      seconds: Math.max(...all.map(({ warmup }) => warmup.seconds)),
      settled: all.every(({ warmup }) => warmup.settled),
    },
    blocks: { map: all.flatMap(({ blocks }) => blocks.map), unmap: all.flatMap(({ blocks }) => blocks.unmap) },
    untrusted,
    counters: counters(machine, device),
    ...(all.length > 1 && { perThread: rates }),
    node: platformName(),
  };
}

/** Of several threads: means weighted by batches; of each percentile the worst thread's, which bounds that of all. */
function pooled(all: readonly (Latency & { batches: number })[]): Latency {
  const batches = all.reduce((sum, one) => sum + one.batches, 0);
  const mean = all.reduce((sum, one) => sum + one.mean * one.batches, 0) / batches;
  const square = all.reduce((sum, one) => sum + (one.deviation ** 2 + (one.mean - mean) ** 2) * one.batches, 0);
  const worst = (key: 'p50' | 'p99' | 'p999' | 'max'): number => Math.max(...all.map((one) => one[key]));
  return {
    mean,
    deviation: Math.sqrt(square / batches),
    p50: worst('p50'),
    p99: worst('p99'),
    p999: worst('p999'),
    max: worst('max'),
  };
}

function counters(machine: BaseMachine, device: DmaDevice): Record<string, number> {
  const { maps, unmaps } = device.counts;
  const found: Record<string, number> = { maps, unmaps };
  const { domain } = device;
  if (domain instanceof DmaDomain) {
    const { exports, tools } = machine.core;
    const { iotlb } = machine.iommu;
    found.iotlbPageInvalidations = iotlb.invalidations.page;
    found.iotlbDomainInvalidations = iotlb.invalidations.domain;
    found.iotlbHits = iotlb.hits;
    found.iotlbMisses = iotlb.misses;
    found.tablePages = tools.domainTablePages(domain.handle);
    found.iovaRanges = exports.iovaRanges(domain.iova) >>> 0;
    if (domain.lazy) {
      found.flushesByFullQueue = domain.flushes.full;
      found.flushesByTimer = domain.flushes.timer;
    }
  }
  if (machine.swiotlb) found.swiotlbHighWater = machine.swiotlb.stats.highWater;
  return found;
}
