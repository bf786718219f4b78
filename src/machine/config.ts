import { checkBoolean, checkOptions, oneOf, readList } from '../core/arguments.js';
import { checkInteger, invalidType, invalidValue, outOfRange, parseSize } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { type DmaDebugConfig, type DmaDebugOptions, debugConfig } from '../dma-debug/options.js';
import type { IommuFormat, UnitOptions } from '../iommu-formats/format.js';
import {
  FORMAT_NAMES,
  type IommuFormatName,
  type IommuLevels,
  iommuFormat,
  readLevels,
  readPageSizes,
  readUnitOptions,
  UNIT_OPTIONS,
} from '../iommu-formats/index.js';
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
  ram?:
    | number
    | string
    | {
        /** Bytes, or text such as `'1GiB'`; a multiple of 4096. Default 1 GiB. */
        size?: number | string;
        /** 0 to 1: how scattered free frames are. Default 0. */
        fragmentation?: number;
      };
  /** The kernel whose DMA stack is emulated. Default `linux-6.12`. */
  kernel?: KernelName;
  /** RAM set aside for coherent memory in blocks of more than a page (cma=), rounded up to 2 MiB. Default none, as on x86. */
  cma?: number | string;
  /** Transactions from device to device. */
  p2p?: {
    /** Switches redirect them to the host bridge (ACS redirect). Default true with an IOMMU, as Linux configures. */
    acs?: boolean;
    /** The host bridge passes them on; otherwise lists of such pages fail with EREMOTEIO. Default true. */
    hostBridge?: boolean;
  };
  /**
   * Ticks per second (CONFIG_HZ): 100, 250 or 1000. The kernel's timers then fire on ticks, as its own do: the flush queue's 10 ms are 12 to
   * 16 with 250; and run on the CPU that set them. Default 0: at their time, on the CPU that is set.
   */
  hz?: number;
  /** The IOMMU: a mode, or mode and details. Default strict; levels as the format has them, VT-d four, AMD three. */
  iommu?:
    | IommuMode
    | ({
        /** `strict`, `lazy`, `passthrough`, or `off` for none. Default strict. */
        mode?: IommuMode;
        /** Intel's VT-d or AMD's page tables of version 1, filled as 6.12 does. Default vtd. */
        format?: IommuFormatName;
        /** Levels of a domain's tables; with VT-d 39, 48 or 57 bits of address. Default VT-d 4, AMD 3, which grow. */
        levels?: IommuLevels;
        /**
         * Page sizes of the domains, bit s for 2^s bytes (iommu_domain.pgsize_bitmap). VT-d: 0x1000, 0x201000 or 0x40201000, the default.
         * AMD: any set that includes 4 KiB; default all that the hardware has.
         */
        pageSizes?: number;
        /** IOVA allocator. Default the kernel's. */
        allocator?: AllocatorName;
        /** 64-bit devices do not try below 4 GiB first (iommu.forcedac=1, intel_iommu=forcedac). Default false. */
        forcedac?: boolean;
        /** Ranges that are never handed out, [first, last] pfns. Default none. */
        reserved?: [number, number][];
        /** pfns that a magazine of `rcache` holds, 1 to 127, which is the kernel's and the default. */
        magazine?: number;
        /** The flush queue of lazy domains. Default the kernel's. */
        flushQueue?: {
          /** Places of a CPU's ring, a power of two. */
          entries?: number;
          /** How long an unmapped range waits at most, of virtual time. */
          milliseconds?: number;
        };
      } & UnitOptions);
  /**
   * The bounce pool; `false` for none. Default none with an IOMMU that translates, otherwise 64 MiB, of a small machine a
   * quarter.
   */
  swiotlb?:
    | false
    | number
    | string
    | {
        /** Bytes of the pool, or text; rounded up to whole sets of 256 KiB. Default 64 MiB. */
        size?: number | string;
        /** Every mapping bounces (swiotlb=force). Default false: what the device cannot reach. */
        force?: boolean;
        /** Where no pool serves a request, it gets one of its own and a larger one is added (CONFIG_SWIOTLB_DYNAMIC). Default false. */
        dynamic?: boolean;
        /** Physical address of the pool, a multiple of 4096. Default 0: as high below 4 GiB as there is room. */
        base?: number;
        /** Slot of each area at which its search goes on. Default 0. */
        indices?: number[];
      };
  /** Whether dma-debug watches, and how (src/dma-debug). Default true, both checkers, 65,536 entries. */
  dmaDebug?:
    | boolean
    | ({
        /** Whether dma-debug watches. Default true. */
        enabled?: boolean;
      } & DmaDebugOptions);
  /** Virtual CPUs, 1 to 64. Default 1. */
  cpus?: number;
  /** Decides every placement that is random. Default 1. */
  seed?: number;
  /** Most linear memory the machine's own records may take. Default 1 GiB. */
  memoryLimit?: number | string;
}

/** The complete, validated form: sizes in bytes, reserved IOVA ranges in pfns (first, last). */
export interface MachineConfig {
  /** Emulated RAM. */
  ram: {
    /** Bytes. */
    size: number;
    /** 0 to 1: how scattered free frames were at the begin. */
    fragmentation: number;
  };
  /** The kernel whose DMA stack is emulated. */
  kernel: KernelName;
  /** Bytes set aside for blocks of contiguous memory. */
  cma: number;
  /** Ticks per second, 0 for exact timers. */
  hz: number;
  /** Transactions from device to device. */
  p2p: {
    /** Switches send them up to the host bridge. */
    acs: boolean;
    /** The host bridge passes them on. */
    hostBridge: boolean;
  };
  /** The IOMMU; with mode `off` the other fields have no effect. */
  iommu: {
    /** What the IOMMU does for new devices. */
    mode: IommuMode;
    /** Kind of IOMMU. */
    format: IommuFormatName;
    /** Levels of a domain's tables. */
    levels: IommuLevels;
    /** Page sizes of the domains, bit s for 2^s bytes. */
    pageSizes: number;
    /** IOVA allocator. */
    allocator: AllocatorName;
    /** 64-bit devices do not try below 4 GiB first. */
    forcedac: boolean;
    /** Ranges that are never handed out, [first, last] pfns. */
    reserved: [number, number][];
    /** pfns of a magazine. */
    magazine: number;
    /** The flush queue of lazy domains. */
    flushQueue: {
      /** Places of a CPU's ring. */
      entries: number;
      /** How long an unmapped range waits at most. */
      milliseconds: number;
    };
  } & UnitOptions;
  /** The bounce pool, or false for none. */
  swiotlb:
    | {
        /** Bytes as asked for; the pool may be larger, see `swiotlb.stats.slots`. */
        size: number;
        /** Every mapping bounces. */
        force: boolean;
        /** Pools are added. */
        dynamic: boolean;
        /** Physical address asked for; 0 for wherever there is room. */
        base: number;
        /** Slots at which areas begin to search. */
        indices: number[];
      }
    | false;
  /** dma-debug. */
  dmaDebug: {
    /** Whether it watches. */
    enabled: boolean;
  } & DmaDebugConfig;
  /** Virtual CPUs. */
  cpus: number;
  /** Decides every placement that is random. */
  seed: number;
  /** Bytes of linear memory that the machine's own records may take. */
  memoryLimit: number;
}

/**
 * Ranges without device addresses, as [first, last] pfns: VGA memory, the host bridge's 32-bit window (RAM
 * ends at 3 GiB here, so it begins there) and the MSI window (Intel SDM vol. 3, "Message Signalled Interrupts").
 */
export const RESERVED_RANGES: readonly [number, number][] = [
  [0xa0, 0xbf],
  [0xc0000, 0xfebff],
  [0xfee00, 0xfeeff],
];
const SWIOTLB_DEFAULT = 64 * 1024 ** 2;
/** What the core's pools may have: 2^22 slots of 2 KiB. */
const MAX_POOL = 8 * 1024 ** 3;
const MIN_RAM = 4 * 1024 ** 2;
const MAX_RAM = 256 * 1024 ** 3;
export const IOMMU_MODES: readonly IommuMode[] = ['strict', 'lazy', 'passthrough', 'off'];
const KEYS = ['ram', 'cma', 'kernel', 'hz', 'iommu', 'p2p', 'swiotlb', 'dmaDebug', 'cpus', 'seed', 'memoryLimit'];
/** CONFIG_HZ: those of which a tick is a whole number of nanoseconds, 300 not among them. */
const HZ = [0, 100, 250, 1000];

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
    cma: checkInteger('cma', parseSize('cma', options.cma ?? 0), 0, size),
    kernel,
    hz: checkHz(options.hz ?? 0),
    iommu,
    p2p: p2pConfig(options.p2p, iommu.mode),
    swiotlb: swiotlbConfig(options.swiotlb, iommu.mode, size, kernel),
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

function p2pConfig(options: MachineOptions['p2p'] = {}, mode: IommuMode): MachineConfig['p2p'] {
  const given = checkOptions('p2p', options, ['acs', 'hostBridge']);
  return {
    acs: checkBoolean('p2p.acs', given.acs, mode !== 'off'),
    hostBridge: checkBoolean('p2p.hostBridge', given.hostBridge, true),
  };
}

function checkHz(hz: number): number {
  checkInteger('hz', hz, 0, 1000);
  if (!HZ.includes(hz)) throw outOfRange('hz', HZ.join(', '), hz);
  return hz;
}

function iommuConfig(options: MachineOptions['iommu'], kernel: KernelName): MachineConfig['iommu'] {
  const given = checkOptions('iommu', typeof options === 'object' ? options : { mode: options }, [
    'mode',
    'format',
    'levels',
    'pageSizes',
    ...UNIT_OPTIONS,
    'allocator',
    'forcedac',
    'reserved',
    'magazine',
    'flushQueue',
  ]);
  const name = oneOf('iommu.format', given.format ?? FORMAT_NAMES[0], FORMAT_NAMES);
  const format = iommuFormat(name);
  const reserved = readList('iommu.reserved', given.reserved ?? RESERVED_RANGES, [0, 2 ** 32 - 1], readReserved);
  const mode = oneOf('iommu.mode', given.mode ?? 'strict', IOMMU_MODES);
  return {
    mode,
    format: name,
    levels: readLevels('iommu.levels', format, given.levels),
    pageSizes: readPageSizes('iommu.pageSizes', format, given.pageSizes),
    ...unitConfig(given, format, mode),
    allocator: oneOf('iommu.allocator', given.allocator ?? KERNELS[kernel].allocator, ALLOCATOR_NAMES),
    forcedac: checkBoolean('iommu.forcedac', given.forcedac, false),
    reserved,
    magazine: checkInteger('iommu.magazine', given.magazine ?? 127, 1, 127),
    flushQueue: flushQueueConfig(given.flushQueue, kernel),
  };
}

function unitConfig(given: UnitOptions, format: IommuFormat, mode: IommuMode): UnitOptions {
  const options = readUnitOptions(format, given);
  if (mode === 'lazy' && !format.defersFlushes(options)) {
    const set = Object.keys(given).filter((name) => name in options);
    throw invalidValue('iommu.mode', `'strict' with ${set.join(', ')}: Linux does not defer flushes then`, mode);
  }
  return options;
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

function swiotlbConfig(
  options: MachineOptions['swiotlb'],
  mode: IommuMode,
  ram: number,
  kernel: KernelName,
): MachineConfig['swiotlb'] {
  if (options === false) return false;
  if (options === undefined && mode !== 'off' && mode !== 'passthrough') return false;
  const given = checkOptions('swiotlb', typeof options === 'object' ? options : { size: options }, [
    'size',
    'force',
    'dynamic',
    'base',
    'indices',
  ]);
  // Linux takes 64 MiB on any machine that needs a pool; a machine of a few MiB would have no RAM left.
  const size = parseSize('swiotlb.size', given.size ?? Math.min(SWIOTLB_DEFAULT, ram / 4));
  // The smallest pool is one set of 128 slots of 2 KiB (IO_TLB_SEGSIZE).
  checkInteger('swiotlb.size', size, 256 * 1024, MAX_POOL);
  if (given.force !== undefined && typeof given.force !== 'boolean') {
    throw invalidType('swiotlb.force', 'of type boolean', given.force);
  }
  const base = checkInteger('swiotlb.base', given.base ?? 0, 0, MAX_RAM + 2 ** 32 - PAGE_SIZE);
  if (base % PAGE_SIZE !== 0) throw outOfRange('swiotlb.base', 'a multiple of 4096', base);
  const indices = readList('swiotlb.indices', given.indices ?? [], [0, 2 ** 32 - 1], (index) =>
    checkInteger('swiotlb.indices', index, 0, size / 2048 - 1),
  );
  const dynamic = checkBoolean('swiotlb.dynamic', given.dynamic, false);
  if (dynamic && KERNELS[kernel].swiotlb === 'index') {
    throw invalidValue('swiotlb.dynamic', `false: pools of kernel '${kernel}' do not grow`, dynamic);
  }
  return { size, force: given.force ?? false, dynamic, base, indices };
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
