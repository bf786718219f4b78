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
  /** swiotlb: areas with 128-slot sets searched next-fit, or the 2015 first fit from a moving index. */
  swiotlb: 'areas' | 'index';
  /** dma-debug: an empty pool grows by a page of entries, or disables the checker for good. */
  dmaDebug: { growing: boolean; reportsOverlap: boolean; checksSegments: boolean };
  /** drm_mm: the 2015 hole stack, or the modern size and address trees. */
  drmMm: '2015' | 'modern';
}

export const KERNELS: Readonly<Record<KernelName, KernelProperties>> = {
  'linux-4.2': {
    allocator: 'linux-4.2',
    mergeSegments: false,
    flushQueue: { entries: 250, milliseconds: 10 },
    swiotlb: 'index',
    dmaDebug: { growing: false, reportsOverlap: false, checksSegments: false },
    drmMm: '2015',
  },
  'linux-6.12': {
    allocator: 'rcache',
    mergeSegments: true,
    flushQueue: { entries: 256, milliseconds: 10 },
    swiotlb: 'areas',
    dmaDebug: { growing: true, reportsOverlap: true, checksSegments: true },
    drmMm: 'modern',
  },
};
