import { frozen } from '../core/arguments.js';
import { checkInteger, invalidValue } from '../core/errors.js';
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

/** Direction of a transfer: 0 bidirectional, 1 to the device, 2 from the device. */
export type Direction = typeof DMA_BIDIRECTIONAL | typeof DMA_TO_DEVICE | typeof DMA_FROM_DEVICE;

/** What a failed single mapping returns. */
export const DMA_MAPPING_ERROR = -1;

/** Attributes of a mapping, to be OR-ed (include/linux/dma-mapping.h). */
export const DMA_ATTR = frozen({
  /** Reads and writes may pass each other. Without effect here. */
  WEAK_ORDERING: DMA_ATTR_WEAK_ORDERING,
  /** Writes of the CPU may be combined. Without effect here. */
  WRITE_COMBINE: DMA_ATTR_WRITE_COMBINE,
  /** Coherent memory that needs no address for the CPU. Without effect here. */
  NO_KERNEL_MAPPING: DMA_ATTR_NO_KERNEL_MAPPING,
  /** No copy from the slot at unmap, and no cache maintenance: the driver syncs what it needs. */
  SKIP_CPU_SYNC: DMA_ATTR_SKIP_CPU_SYNC,
  /** Coherent memory in one piece of RAM, even behind an IOMMU. */
  FORCE_CONTIGUOUS: DMA_ATTR_FORCE_CONTIGUOUS,
  /** Frames one by one, no larger blocks. */
  ALLOC_SINGLE_PAGES: DMA_ATTR_ALLOC_SINGLE_PAGES,
  /** The kernel's log says nothing when the bounce pool is full. */
  NO_WARN: DMA_ATTR_NO_WARN,
  /** The device accesses it with privilege. Without effect here. */
  PRIVILEGED: DMA_ATTR_PRIVILEGED,
} as const);

/** Physical addresses are below this (x86 with four or five levels of its own tables). */
export const PHYSICAL_LIMIT = 2 ** 52;

/** @internal Throws what is wrong with the arguments of a call that maps a page. */
export function badPage(pfn: number, offset: number, length: number): never {
  checkInteger('pfn', pfn, 0, 0xffffffff);
  checkInteger('offset', offset, 0, 0xffffffff);
  checkInteger('length', length, 0, 0xffffffff);
  throw invalidValue('length', 'a number', length);
}
