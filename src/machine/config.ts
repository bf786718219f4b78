import { checkBoolean, checkOptions, oneOf, readList } from '../core/arguments.js';
import { checkInteger, invalidType, outOfRange, parseSize } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { type DmaDebugConfig, type DmaDebugOptions, debugConfig } from '../dma-debug/options.js';
import { IOMMU_FORMATS, type IommuFormatName, iommuFormat } from '../iommu-formats/index.js';
import { ALLOCATOR_NAMES, type AllocatorName } from '../iova/allocators.js';
import { DEFAULT_KERNEL, KERNEL_NAMES, KERNELS, type KernelName } from '../kernels/kernels.js';

/**
 * A machine as one plain JSON value. It is validated here and nowhere else; the complete form is printed with findings
 * and stored in traces, so that any run can be made again.
 */

export type IommuMode = 'strict' | 'lazy' | 'passthrough' | 'off';

/** What `new Machine()` accepts. Sizes are bytes or text such as `'1GiB'`. Everything has a default. */
export interface MachineOptions {
  /** Emulated RAM: a size, or size and fragmentation. Default 1 GiB, not fragmented. */
  ram?: number | string | { size?: number | string; fragmentation?: number };
  /** The kernel whose DMA stack is emulated. Default `linux-6.12`. */
  kernel?: KernelName;
  /** The IOMMU: a mode, or mode and details. Default strict; levels as the format has them, VT-d four, AMD three. */
  iommu?:
    | IommuMode
    | {
        mode?: IommuMode;
        /** Intel's VT-d or AMD's page tables of version 1, filled as 6.12 does. Default vtd. */
        format?: IommuFormatName;
        levels?: 3 | 4 | 5;
        /** AMD: the unit caches what is not present, as a hypervisor's does. Default false. */
        npCache?: boolean;
        allocator?: AllocatorName;
        reserved?: [number, number][];
        /** pfns that a magazine of `rcache` holds, 1 to 127, which is the kernel's and the default. */
        magazine?: number;
        /** Lazy: places of a CPU's ring, a power of two, and how long a range waits. Default the kernel's. */
        flushQueue?: { entries?: number; milliseconds?: number };
      };
  /**
   * The bounce pool; `false` for none. Default none with an IOMMU that translates, otherwise 64 MiB, of a small machine a
   * quarter.
   */
  swiotlb?:
    | false
    | number
    | string
    | {
        size?: number | string;
        force?: boolean;
        /** Physical address of the pool, a multiple of 4096. Default 0: as high below 4 GiB as there is room. */
        base?: number;
        /** Slot of each area at which its search goes on. Default 0. */
        indices?: number[];
      };
  /** Whether dma-debug watches, and how (src/dma-debug). Default true, both checkers, 65,536 entries. */
  dmaDebug?: boolean | ({ enabled?: boolean } & DmaDebugOptions);
  /** Virtual CPUs, 1 to 64. Default 1. */
  cpus?: number;
  /** Decides every placement that is random. Default 1. */
  seed?: number;
  /** Most linear memory the machine's own records may take. Default 1 GiB. */
  memoryLimit?: number | string;
}

/** The complete, validated form: sizes in bytes, reserved IOVA ranges in pfns (first, last). */
export interface MachineConfig {
  ram: { size: number; fragmentation: number };
  kernel: KernelName;
  iommu: {
    mode: IommuMode;
    format: IommuFormatName;
    levels: 3 | 4 | 5;
    npCache: boolean;
    allocator: AllocatorName;
    reserved: [number, number][];
    magazine: number;
    flushQueue: { entries: number; milliseconds: number };
  };
  swiotlb: { size: number; force: boolean; base: number; indices: number[] } | false;
  dmaDebug: { enabled: boolean } & DmaDebugConfig;
  cpus: number;
  seed: number;
  memoryLimit: number;
}

/**
 * Ranges that no device address may fall into, as [first, last] pfns: VGA memory, the host bridge's 32-bit window (RAM
 * ends at 3 GiB here, so it begins there) and the MSI window (Intel SDM vol. 3, "Message Signalled Interrupts").
 */
export const RESERVED_RANGES: readonly [number, number][] = [
  [0xa0, 0xbf],
  [0xc0000, 0xfebff],
  [0xfee00, 0xfeeff],
];
const SWIOTLB_DEFAULT = 64 * 1024 ** 2;
const MIN_RAM = 4 * 1024 ** 2;
const MAX_RAM = 256 * 1024 ** 3;
export const IOMMU_MODES: readonly IommuMode[] = ['strict', 'lazy', 'passthrough', 'off'];
const KEYS = ['ram', 'kernel', 'iommu', 'swiotlb', 'dmaDebug', 'cpus', 'seed', 'memoryLimit'];

const RAM_OPTIONS = ['size', 'fragmentation'];

/**
 * Completes and checks a machine's description. Throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE or ERR_OUT_OF_RANGE
 * naming the option at fault.
 */
export function machineConfig(given: MachineOptions = {}): MachineConfig {
  const options = checkOptions('options', given, KEYS);
  const kernel = oneOf('kernel', options.kernel ?? DEFAULT_KERNEL, KERNEL_NAMES);
  const iommu = iommuConfig(options.iommu, kernel);
  const ram = checkOptions('ram', typeof options.ram === 'object' ? options.ram : { size: options.ram }, RAM_OPTIONS);
  const size = parseSize('ram', ram.size ?? '1GiB');
  if (size < MIN_RAM || size > MAX_RAM) throw outOfRange('ram', '>= 4MiB && <= 256GiB', size);
  return {
    ram: { size: size - (size % PAGE_SIZE), fragmentation: fraction('ram.fragmentation', ram.fragmentation ?? 0) },
    kernel,
    iommu,
    swiotlb: swiotlbConfig(options.swiotlb, iommu.mode, size),
    dmaDebug: dmaDebugConfig(options.dmaDebug ?? true),
    cpus: checkInteger('cpus', options.cpus ?? 1, 1, 64),
    seed: checkInteger('seed', options.seed ?? 1, 0, 0xffffffff),
    memoryLimit: checkInteger(
      'memoryLimit',
      parseSize('memoryLimit', options.memoryLimit ?? '1GiB'),
      8 * 1024 ** 2,
      0xffff0000,
    ),
  };
}

function iommuConfig(options: MachineOptions['iommu'], kernel: KernelName): MachineConfig['iommu'] {
  const given = checkOptions('iommu', typeof options === 'object' ? options : { mode: options }, [
    'mode',
    'format',
    'levels',
    'npCache',
    'allocator',
    'reserved',
    'magazine',
    'flushQueue',
  ]);
  const names = IOMMU_FORMATS.map(({ name }) => name);
  const format = iommuFormat(oneOf('iommu.format', given.format ?? names[0], names));
  const levels = given.levels ?? format.levels[0];
  if (!format.levels.includes(levels)) throw outOfRange('iommu.levels', format.levels.join(', '), levels);
  const reserved = readList('iommu.reserved', given.reserved ?? RESERVED_RANGES, [0, 2 ** 32 - 1], readReserved);
  return {
    mode: oneOf('iommu.mode', given.mode ?? 'strict', IOMMU_MODES),
    format: format.name,
    levels,
    npCache: checkBoolean('iommu.npCache', given.npCache, false),
    allocator: oneOf('iommu.allocator', given.allocator ?? KERNELS[kernel].allocator, ALLOCATOR_NAMES),
    reserved,
    magazine: checkInteger('iommu.magazine', given.magazine ?? 127, 1, 127),
    flushQueue: flushQueueConfig(given.flushQueue, kernel),
  };
}

function readReserved(range: [number, number]): [number, number] {
  if (!Array.isArray(range)) throw invalidType('iommu.reserved', 'an array of [first, last] pfns', range);
  const [lo, hi] = range;
  checkInteger('iommu.reserved', lo, 0, 2 ** 52);
  checkInteger('iommu.reserved', hi, lo, 2 ** 52);
  return [lo, hi];
}

function flushQueueConfig(
  options: { entries?: number; milliseconds?: number } = {},
  kernel: KernelName,
): MachineConfig['iommu']['flushQueue'] {
  const given = checkOptions('iommu.flushQueue', options, ['entries', 'milliseconds']);
  const usual = KERNELS[kernel].flushQueue;
  return {
    entries: checkInteger('iommu.flushQueue.entries', given.entries ?? usual.entries, 2, 65536),
    milliseconds: checkInteger('iommu.flushQueue.milliseconds', given.milliseconds ?? usual.milliseconds, 1, 1e6),
  };
}

function swiotlbConfig(options: MachineOptions['swiotlb'], mode: IommuMode, ram: number): MachineConfig['swiotlb'] {
  if (options === false) return false;
  if (options === undefined && mode !== 'off' && mode !== 'passthrough') return false;
  const given = checkOptions('swiotlb', typeof options === 'object' ? options : { size: options }, [
    'size',
    'force',
    'base',
    'indices',
  ]);
  // Linux takes 64 MiB of any machine that needs a pool; one of a few MiB would have nothing left.
  const size = parseSize('swiotlb.size', given.size ?? Math.min(SWIOTLB_DEFAULT, ram / 4));
  // The smallest pool is one set of 128 slots of 2 KiB (IO_TLB_SEGSIZE).
  checkInteger('swiotlb.size', size, 256 * 1024, 1024 ** 3);
  if (given.force !== undefined && typeof given.force !== 'boolean') {
    throw invalidType('swiotlb.force', 'of type boolean', given.force);
  }
  const base = checkInteger('swiotlb.base', given.base ?? 0, 0, 2 ** 32 - PAGE_SIZE);
  if (base % PAGE_SIZE !== 0) throw outOfRange('swiotlb.base', 'a multiple of 4096', base);
  const indices = readList('swiotlb.indices', given.indices ?? [], [0, 2 ** 32 - 1], (index) =>
    checkInteger('swiotlb.indices', index, 0, size / 2048 - 1),
  );
  return { size, force: given.force ?? false, base, indices };
}

function dmaDebugConfig(option: NonNullable<MachineOptions['dmaDebug']>): MachineConfig['dmaDebug'] {
  if (Array.isArray(option)) throw invalidType('dmaDebug', 'of type object', option);
  const { enabled, ...rest } = typeof option === 'object' ? option : { enabled: option };
  if (enabled !== undefined && typeof enabled !== 'boolean') throw invalidType('dmaDebug', 'of type boolean', enabled);
  return { enabled: enabled ?? true, ...debugConfig(rest) };
}

function fraction(name: string, value: unknown): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!(value >= 0 && value <= 1)) throw outOfRange(name, '>= 0 && <= 1', value);
  return value;
}
