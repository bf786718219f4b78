import { DEBUG_DIALECTS, type DebugDialect } from '../dma-debug/dialects.js';

/**
 * Presets, as data. Two dials choose whose behaviour is emulated: `kernel` for the DMA stack and `driver` for i915.
 * A preset is nothing but the properties below; the code asks for a property, never for a preset's name, so that any
 * mixture can be configured.
 */

export type KernelName = 'linux-4.2' | 'linux-6.12';

export const KERNEL_NAMES: readonly KernelName[] = ['linux-4.2', 'linux-6.12'];

/** What differs between kernels in the DMA stack. */
export interface KernelProperties {
  /** IOVA allocator: the 2015 one, the modern tree with magazine caches. */
  allocator: 'linux-4.2' | 'rcache';
  /** dma_map_sg: does the IOMMU merge a list into as few segments as the device allows (iommu_dma_map_sg)? */
  mergeSegments: boolean;
  /** Entries that wait for the flush queue before it is flushed at once, and its timer. */
  flushQueue: { entries: number; milliseconds: number };
  /** Unmapping ends the whole range that holds the address, not just the size given. */
  unmapsWholeRange: boolean;
  /** A device with more than 32 bits of address tries below 4 GiB at every mapping, not until that failed once. */
  retriesBelow4GiB: boolean;
  /** Lazy unmaps wait on one list of the whole machine, not in rings of a domain's CPUs. */
  deferredList: boolean;
  /** A mapping that the device may write it may read, too. */
  writeImpliesRead: boolean;
  /** swiotlb: areas with 128-slot sets searched next-fit, or the 2015 first fit from a moving index. */
  swiotlb: 'areas' | 'index';
  /** dma-debug: what its checker knows, and what becomes of it when its pool is empty. */
  dmaDebug: DebugDialect;
  /** drm_mm: the 2015 hole stack, or the modern size and address trees. */
  drmMm: '2015' | 'modern';
}

export const KERNELS: Readonly<Record<KernelName, KernelProperties>> = {
  'linux-4.2': {
    allocator: 'linux-4.2',
    mergeSegments: false,
    flushQueue: { entries: 250, milliseconds: 10 },
    unmapsWholeRange: true,
    retriesBelow4GiB: true,
    deferredList: true,
    writeImpliesRead: false,
    swiotlb: 'index',
    dmaDebug: DEBUG_DIALECTS['linux-4.2'],
    drmMm: '2015',
  },
  'linux-6.12': {
    allocator: 'rcache',
    mergeSegments: true,
    flushQueue: { entries: 256, milliseconds: 10 },
    unmapsWholeRange: false,
    retriesBelow4GiB: false,
    deferredList: false,
    writeImpliesRead: true,
    swiotlb: 'areas',
    dmaDebug: DEBUG_DIALECTS['linux-6.12'],
    drmMm: 'modern',
  },
};
