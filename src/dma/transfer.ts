import { frozen } from '../core/arguments.js';
import {
  DMA_ATTR_ALLOC_SINGLE_PAGES,
  DMA_ATTR_FORCE_CONTIGUOUS,
  DMA_ATTR_NO_KERNEL_MAPPING,
  DMA_ATTR_NO_WARN,
  DMA_ATTR_PRIVILEGED,
  DMA_ATTR_SKIP_CPU_SYNC,
  DMA_ATTR_WEAK_ORDERING,
  DMA_ATTR_WRITE_COMBINE,
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_TO_DEVICE,
} from '../core/generated/constants.js';

/** Direction and attributes of a mapping (include/linux/dma-mapping.h), for every call of the DMA API. */

/** Which way data moves (enum dma_data_direction). */
export { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE };

export type Direction = typeof DMA_BIDIRECTIONAL | typeof DMA_TO_DEVICE | typeof DMA_FROM_DEVICE;

/** What a failed single mapping returns. */
export const DMA_MAPPING_ERROR = -1;

/** Attributes of a mapping, to be OR-ed (include/linux/dma-mapping.h). */
export const DMA_ATTR = frozen({
  WEAK_ORDERING: DMA_ATTR_WEAK_ORDERING,
  WRITE_COMBINE: DMA_ATTR_WRITE_COMBINE,
  NO_KERNEL_MAPPING: DMA_ATTR_NO_KERNEL_MAPPING,
  SKIP_CPU_SYNC: DMA_ATTR_SKIP_CPU_SYNC,
  FORCE_CONTIGUOUS: DMA_ATTR_FORCE_CONTIGUOUS,
  ALLOC_SINGLE_PAGES: DMA_ATTR_ALLOC_SINGLE_PAGES,
  NO_WARN: DMA_ATTR_NO_WARN,
  PRIVILEGED: DMA_ATTR_PRIVILEGED,
} as const);

/** Physical addresses are below this (x86 with four or five levels of its own tables). */
export const PHYSICAL_LIMIT = 2 ** 52;
