import { IOVA_FAST, IOVA_LINUX_42, IOVA_LINUX_612, IOVA_RCACHE } from '../core/generated/constants.js';

/** How IOVA allocators differ, in what the host needs to make a domain with one. */
export interface AllocatorRules {
  /** Its number in the core. */
  readonly model: number;
  /** dma_32bit_pfn is the last pfn below 4 GiB, not the first one above. */
  readonly lineBelow: boolean;
  /** The DMA API allocates through it with alloc_iova_fast, which tries caches first; otherwise with alloc_iova. */
  readonly fastPath: boolean;
  /** A node that stands above all ranges (iovad->anchor) is in the tree, and what walks it meets. */
  readonly anchored: boolean;
  /** Has magazines and depots (iova_domain_init_rcaches). */
  readonly magazines: boolean;
  /** Places ranges where that kernel does: a search of its tree has so many steps. */
  readonly kernels: boolean;
}

/** All allocators. */
export const ALLOCATORS = {
  /** Linux 4.2, the allocator of 2015. */
  'linux-4.2': {
    model: IOVA_LINUX_42,
    lineBelow: true,
    fastPath: false,
    anchored: false,
    magazines: false,
    kernels: true,
  },
  /** Linux 6.12, the tree alone. */
  'linux-6.12': {
    model: IOVA_LINUX_612,
    lineBelow: false,
    fastPath: true,
    anchored: true,
    magazines: false,
    kernels: true,
  },
  /** Linux 6.12 with its magazine caches in front of the tree. */
  rcache: {
    model: IOVA_LINUX_612 | IOVA_RCACHE,
    lineBelow: false,
    fastPath: true,
    anchored: true,
    magazines: true,
    kernels: true,
  },
  /** Our own: places where it likes, in flat time. */
  fast: { model: IOVA_FAST, lineBelow: false, fastPath: true, anchored: true, magazines: false, kernels: false },
} as const satisfies Record<string, AllocatorRules>;

export type AllocatorName = keyof typeof ALLOCATORS;

export const ALLOCATOR_NAMES = Object.keys(ALLOCATORS) as readonly AllocatorName[];
