/** Kinds of allocation that can be made to fail, in the order of the core's (assembly/memory/context.ts, FAULT_*). */
export const FAULT_KINDS = ['block', 'slab', 'ram', 'iova', 'page-table', 'sg', 'swiotlb', 'dma-debug', 'gtt'] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];
