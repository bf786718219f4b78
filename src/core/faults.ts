import {
  FAULT_BLOCK,
  FAULT_DMA_DEBUG,
  FAULT_GTT,
  FAULT_IOVA,
  FAULT_PAGE_TABLE,
  FAULT_RAM,
  FAULT_SG,
  FAULT_SLAB,
  FAULT_SWIOTLB,
} from './generated/constants.js';

/** Kinds of allocation that can be made to fail, with the core's number of each. */
export const FAULTS = {
  block: FAULT_BLOCK,
  slab: FAULT_SLAB,
  ram: FAULT_RAM,
  iova: FAULT_IOVA,
  'page-table': FAULT_PAGE_TABLE,
  sg: FAULT_SG,
  swiotlb: FAULT_SWIOTLB,
  'dma-debug': FAULT_DMA_DEBUG,
  gtt: FAULT_GTT,
} as const;

/** What can be made to fail, one allocation at a time (`machine.failAllocation`, fail-nth). */
export type FaultKind = keyof typeof FAULTS;

/** The names, in the order of the core's numbers. */
export const FAULT_KINDS = Object.keys(FAULTS) as readonly FaultKind[];
