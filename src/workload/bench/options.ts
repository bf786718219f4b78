import { checkBoolean, checkOptions, checkString, type OptionNames, oneOf, optionNames } from '../../core/arguments.js';
import { checkInteger, invalidValue, outOfRange } from '../../core/errors.js';
import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import type { PolicyName } from '../../i915/policy/index.js';
import { DEFAULT_POLICY } from '../../i915/policy/index.js';
import { ALLOCATOR_NAMES, type AllocatorName } from '../../iova/allocators.js';
import { DEFAULT_KERNEL, KERNEL_NAMES, type KernelName } from '../../kernels/kernels.js';
import { type IommuMode, type MachineConfig, type MachineOptions, machineConfig } from '../../machine/config.js';

/**
 * What a benchmark measures, in the words of the kernel's dma_map_benchmark (threads, seconds, direction, dma bits,
 * granule, transfer time), with what only an emulator can choose: back end, allocator, dma-debug, fragmentation, mappings
 * that live throughout, and the mapping policy of a GPU driver.
 */

export type BenchBackend = 'strict' | 'lazy' | 'passthrough' | 'direct' | 'swiotlb';
/** What a mapping is of: a page, a list, a GEM object. */
export type BenchMode = 'single' | 'sg' | 'object';
/** Direction of the transfers, as dma_map_benchmark has it. */
export type BenchDirection = 'bidirectional' | 'to-device' | 'from-device';

export const BACKENDS: readonly BenchBackend[] = ['strict', 'lazy', 'passthrough', 'direct', 'swiotlb'];
export const MODES: readonly BenchMode[] = ['single', 'sg', 'object'];
export const DIRECTIONS: readonly BenchDirection[] = ['bidirectional', 'to-device', 'from-device'];

/** What to measure. Every option has a default. */
export interface BenchOptions {
  /** Workers, 1 to 63, each a virtual CPU. Default 1. */
  threads: number;
  /** Seconds to measure, after the warm-up, up to 3,600. Default 2. */
  seconds: number;
  /** Direction of the transfers. Default bidirectional. */
  direction: BenchDirection;
  /** Bits of address that the device has (dma_set_mask). Default 32, or 48 for more live mappings than 32 bits hold. */
  bits: number;
  /** Pages of a mapping; the kernel's tool allows 1 to 1,024. */
  granule: number;
  /** One buffer per mapping, a scatter-gather list per mapping, or the life of a GEM object bound in two address spaces. */
  mode: BenchMode;
  /** Virtual nanoseconds from map to unmap: the transfer. Timers of the machine fire meanwhile. */
  transfer: number;
  /** What stands behind the DMA API. Default strict. */
  backend: BenchBackend;
  /** The kernel whose DMA stack is measured. Default linux-6.12. */
  kernel: KernelName;
  /** Default that of the kernel. */
  allocator?: AllocatorName;
  /** Mapping policy of the i915 device, for mode `object`: a preset, or the name of a policy of your own. */
  policy: PolicyName | (string & {});
  /** Whether dma-debug watches. */
  dmaDebug: boolean;
  /** From 0 to 1: how scattered RAM is, and how many holes lie between the live mappings. */
  fragmentation: number;
  /** Mappings that live throughout. */
  live: number;
  /** Mappings of a batch, 0 to let it be found. */
  batch: number;
  /** Decides how RAM is scattered. Default 1. */
  seed: number;
}

export const BENCH_OPTIONS: OptionNames<BenchOptions> = {
  ...{ threads: true, seconds: true, direction: true, bits: true, granule: true, mode: true, transfer: true },
  ...{ backend: true, kernel: true, allocator: true, policy: true, dmaDebug: true, fragmentation: true, live: true },
  ...{ batch: true, seed: true },
};

export const BENCH_DEFAULTS: Readonly<Omit<BenchOptions, 'bits'>> = {
  threads: 1,
  seconds: 2,
  direction: 'bidirectional',
  granule: 1,
  mode: 'single',
  transfer: 0,
  backend: 'strict',
  kernel: DEFAULT_KERNEL,
  policy: DEFAULT_POLICY,
  dmaDebug: false,
  fragmentation: 0,
  live: 0,
  batch: 0,
  seed: 1,
};

/** Most pages that the mappings of one batch hold: 256 MiB. */
const BATCH_PAGES = 65536;
const LARGEST_BATCH = 1024;
/** Objects of a batch are few: each is created, bound twice and freed again from JavaScript. */
const LARGEST_OBJECT_BATCH = 64;
const GIB = 2 ** 30;

/** Completes options and checks them. Throws RangeErrors and TypeErrors naming the option. */
export function benchOptions(given: Partial<BenchOptions> = {}): BenchOptions {
  const plain = checkOptions('options', given, optionNames(BENCH_OPTIONS));
  const options: BenchOptions = { bits: 0, ...BENCH_DEFAULTS, ...plain };
  checkInteger('live', options.live, 0, 4_000_000);
  checkInteger('granule', options.granule, 1, 1024);
  options.bits = plain.bits ?? defaultBits(plain);
  oneOf('mode', options.mode, MODES);
  oneOf('backend', options.backend, BACKENDS);
  oneOf('direction', options.direction, DIRECTIONS);
  oneOf('kernel', options.kernel, KERNEL_NAMES);
  if (options.allocator !== undefined) oneOf('allocator', options.allocator, ALLOCATOR_NAMES);
  checkString('policy', options.policy);
  checkBoolean('dmaDebug', options.dmaDebug, false);
  checkInteger('seed', options.seed, 0, 0xffffffff);
  checkInteger('threads', options.threads, 1, 63);
  checkInteger('bits', options.bits, 20, 64);
  checkInteger('transfer', options.transfer, 0, 1e9);
  checkInteger('batch', options.batch, 0, batchLimit(options));
  if (!(options.seconds > 0 && options.seconds <= 3600)) throw outOfRange('seconds', '> 0 && <= 3600', options.seconds);
  if (!(options.fragmentation >= 0 && options.fragmentation <= 1)) {
    throw outOfRange('fragmentation', '>= 0 && <= 1', options.fragmentation);
  }
  if (options.mode === 'object' && options.threads > 1) {
    throw invalidValue('threads', '1 for mode object: the driver is not run by several threads', options.threads);
  }
  if (options.mode === 'object' && options.live > 0) throw invalidValue('live', '0 for mode object', options.live);
  if (options.threads > 1 && options.transfer > 0) {
    throw invalidValue('transfer', '0 with several threads: the virtual clock is one for all', options.transfer);
  }
  return options;
}

/** Below 4 GiB there is room for half as many pages of live mappings as 32 bits name, with holes between them. */
export function defaultBits({ live = 0, granule = 1 }: Partial<BenchOptions>): number {
  return live * 2 ** Math.ceil(Math.log2(granule)) > 2 ** 18 ? 48 : 32;
}

/** Most mappings that a batch may have. */
export function batchLimit({ granule, mode }: Pick<BenchOptions, 'granule' | 'mode'>): number {
  const most = mode === 'object' ? LARGEST_OBJECT_BATCH : LARGEST_BATCH;
  return Math.max(1, Math.min(most, Math.floor(BATCH_PAGES / granule)));
}

/** Live mappings that are made before some of them end again, as holes. */
export function liveWithHoles({ live, fragmentation }: BenchOptions): number {
  return live + Math.round(live * fragmentation);
}

/** The machine that a benchmark runs on. */
export function benchMachine(options: BenchOptions): MachineConfig {
  const { backend, kernel, allocator, dmaDebug, fragmentation, seed, threads, granule } = options;
  const pages = (threads * batchLimit(options) + liveWithHoles(options)) * 2 ** Math.ceil(Math.log2(granule));
  const mode: IommuMode = backend === 'direct' || backend === 'swiotlb' ? 'off' : backend;
  const machine: MachineOptions = {
    ram: { size: Math.max(GIB, Math.ceil((pages * PAGE * 1.5) / GIB) * GIB), fragmentation },
    kernel,
    iommu: { mode, ...(allocator && { allocator }) },
    swiotlb: backend === 'swiotlb' ? { size: '512MiB', force: true } : false,
    dmaDebug,
    memoryLimit: 3 * GIB,
    seed,
  };
  return machineConfig(machine);
}
