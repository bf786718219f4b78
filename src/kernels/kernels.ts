import { frozen } from '../core/arguments.js';
import { releaseOf } from '../core/releases.js';
import type { DebugDialect } from '../dma-debug/dialects.js';
import { LINUX_42 } from '../dmesg/linux-4.2.js';
import { LINUX_612 } from '../dmesg/linux-6.12.js';
import type { KernelWords } from '../dmesg/words.js';
import type { AllocatorName } from '../iova/allocators.js';

/**
 * Kernels as data. Two options choose what is emulated: `kernel` the DMA stack, `policy` when i915 maps and unmaps. A kernel
 * is nothing but the properties below. Code asks for a property, never for a kernel's name, so that any mixture can be
 * configured; test/kernels/kernels.test.ts checks that. A kernel whose properties all exist is one more row of KERNELS.
 */

/** What differs between kernels in the DMA stack. */
export interface KernelProperties {
  /** IOVA allocator of the DMA API. */
  allocator: AllocatorName;
  /** The same allocator without its magazine caches. */
  treeAllocator: AllocatorName;
  /** dma_map_sg: does the IOMMU merge a list into as few segments as the device allows (iommu_dma_map_sg)? */
  mergeSegments: boolean;
  /** The flush queue of lazy domains. */
  flushQueue: {
    /** Entries that wait before they are flushed at once (IOVA_DEFAULT_FQ_SIZE). */
    entries: number;
    /** The timer after which they are flushed in any case (IOVA_DEFAULT_FQ_TIMEOUT). */
    milliseconds: number;
  };
  /** Unmapping ends the whole range that holds the address, not just the size given. */
  unmapsWholeRange: boolean;
  /** A device with more than 32 bits of address tries below 4 GiB at every mapping, not until that failed once. */
  retriesBelow4GiB: boolean;
  /** Lazy unmaps wait on one list of the whole machine, not in rings of a domain's CPUs. */
  deferredList: boolean;
  /** A mapping that the device may write may also be read. */
  writeImpliesRead: boolean;
  /** Devices have a min_align_mask; mapping fails if the IOMMU's page is smaller than it. */
  minAlignMask: boolean;
  /** Timers sit in a wheel that fires one tick late (since 4.8). */
  timerWheel: boolean;
  /** x86 checks masks itself: at least 24 bits in every mode, and the required mask is that of RAM. */
  checksMasks: boolean;
  /** What a failed single mapping returns is 0, not all ones (DMA_ERROR_CODE of x86). */
  mappingErrorZero: boolean;
  /** swiotlb: areas with 128-slot sets searched next-fit, or the 2015 first fit from a moving index. */
  swiotlb: 'areas' | 'index';
  /** dma-debug: its checks, and what an empty pool leads to. */
  dmaDebug: DebugDialect;
  /** What the kernel prints. */
  messages: KernelWords;
  /** drm_mm: the 2015 hole stack, or the modern size and address trees. */
  drmMm: '2015' | 'modern';
}

/** The releases in which a property has the row's value. Outside of all spans its behaviour is not known. */
interface Span {
  readonly since: string;
  /** The last one; undefined: up to the next release that has a row. */
  readonly until?: string;
}

interface Kernel extends KernelProperties {
  /** Spans of properties that are older than the row's release, or known to end. */
  readonly spans: { readonly [Property in keyof KernelProperties]?: Span };
}

/** What a checker calls its mappings (type2name). */
const TYPES = {
  single: 'single',
  page: 'single',
  'scatter-gather': 'scatter-gather',
  coherent: 'coherent',
  resource: 'resource',
  noncoherent: 'noncoherent',
  link: 'link',
  reservation: 'reservation',
  remainder: 'remainder',
} as const;

/** In any order: a name says the release. */
const ROWS = {
  'linux-4.2': {
    allocator: 'tree-4.2',
    treeAllocator: 'tree-4.2',
    mergeSegments: false,
    flushQueue: { entries: 250, milliseconds: 10 },
    unmapsWholeRange: true,
    retriesBelow4GiB: true,
    deferredList: true,
    writeImpliesRead: false,
    minAlignMask: false,
    timerWheel: false,
    checksMasks: true,
    mappingErrorZero: true,
    swiotlb: 'index',
    dmaDebug: {
      growing: false,
      reportsOverlap: false,
      checksSegments: false,
      buckets: 1024,
      onePageType: false,
      syncsBySegment: true,
      syncsCount: false,
      coherentQuirk: true,
      assertsIdle: true,
      types: { ...TYPES, page: 'page', 'scatter-gather': 'scather-gather' },
      dump: '{driver} {device}: {type} idx {idx} P={phys:x} N={pfn:x} D={address:x} L={size:x} {dir:dir} {checked}',
    },
    messages: LINUX_42,
    drmMm: '2015',
    spans: {
      treeAllocator: { since: '4.1', until: '4.2' },
      dmaDebug: { since: '2.0' },
      drmMm: { since: '0.0' },
    },
  },
  'linux-6.12': {
    allocator: 'rcache',
    treeAllocator: 'tree-6.12',
    mergeSegments: true,
    flushQueue: { entries: 256, milliseconds: 10 },
    unmapsWholeRange: false,
    retriesBelow4GiB: false,
    deferredList: false,
    writeImpliesRead: true,
    minAlignMask: true,
    timerWheel: true,
    checksMasks: false,
    mappingErrorZero: false,
    swiotlb: 'areas',
    dmaDebug: {
      growing: true,
      reportsOverlap: true,
      checksSegments: true,
      buckets: 16384,
      onePageType: true,
      syncsBySegment: false,
      syncsCount: true,
      coherentQuirk: false,
      assertsIdle: false,
      types: TYPES,
      dump: '{driver} {device} {type} idx {idx} P={phys:pa} D={address:x} L={size:x} cln={cln:pa} {dir:dir} {checked}',
    },
    messages: LINUX_612,
    drmMm: 'modern',
    spans: {
      treeAllocator: { since: '6.0' },
      dmaDebug: { since: '5.0' },
      drmMm: { since: '4.11' },
    },
  },
} as const satisfies Record<string, Kernel>;

/** A kernel by its name in `KERNELS`. */
export type KernelName = keyof typeof ROWS;

/** The kernels whose DMA stack can be emulated. */
export const KERNELS: Readonly<Record<KernelName, KernelProperties>> = frozen(ROWS);

/** Oldest release first. */
export const KERNEL_NAMES: readonly KernelName[] = (Object.keys(ROWS) as KernelName[]).sort(
  (a, b) => releaseOf(versionOf(a))! - releaseOf(versionOf(b))!,
);

/** The default kernel: the newest. */
export const DEFAULT_KERNEL = KERNEL_NAMES[KERNEL_NAMES.length - 1];

/** The newest kernel with certain properties. @throws Error when no kernel has them */
export function kernelWith(has: (kernel: KernelProperties) => boolean): KernelName {
  const found = KERNEL_NAMES.findLast((name) => has(KERNELS[name]));
  if (found === undefined) throw new Error('no kernel has these properties');
  return found;
}

/**
 * The kernel that has a property as a release had it, such as the one that a recording was made on.
 * @param version such as `6.12` or `4.2.0-rc1`
 * @returns undefined where that release's behaviour is not emulated
 */
export function kernelOf(property: keyof KernelProperties, version: string): KernelProperties | undefined {
  const release = releaseOf(version);
  if (release === undefined) return undefined;
  let found: Kernel | undefined;
  for (const name of KERNEL_NAMES) {
    const row: Kernel = ROWS[name];
    const { since, until } = row.spans[property] ?? { since: versionOf(name) };
    if (release < releaseOf(since)!) continue;
    found = until === undefined || release <= releaseOf(until)! ? row : undefined;
  }
  return found;
}

/** `linux-6.12` -> `6.12`. */
function versionOf(name: string): string {
  return name.slice(name.indexOf('-') + 1);
}
