import * as contract from '../core/generated/constants.js';

/** Notices of the core, by number (assembly/kmsg/kmsg.ts). Findings of dma-debug are in src/dma-debug/checks.ts. */
export const NOTICES = {
  [contract.KMSG_FAULT]: 'FAULT',
  [contract.KMSG_FAULT_STATUS]: 'FAULT_STATUS',
  [contract.KMSG_ALREADY_SET]: 'ALREADY_SET',
  [contract.KMSG_SWIOTLB_FULL]: 'SWIOTLB_FULL',
  [contract.KMSG_DMA_OVERFLOW]: 'DMA_OVERFLOW',
  [contract.KMSG_DMA_BITS]: 'DMA_BITS',
  [contract.KMSG_UNMAP_NOTHING]: 'UNMAP_NOTHING',
  [contract.KMSG_UNMAPPED_SIZE]: 'UNMAPPED_SIZE',
  [contract.KMSG_SUPPRESSED]: 'SUPPRESSED',
  [contract.KMSG_ALIGNMENT]: 'ALIGNMENT',
  [contract.KMSG_SWIOTLB_CUT]: 'SWIOTLB_CUT',
  [contract.KMSG_RESOURCE_OVERFLOW]: 'RESOURCE_OVERFLOW',
  [contract.KMSG_NO_MASK]: 'NO_MASK',
  [contract.KMSG_SWIOTLB_OVERFLOW]: 'SWIOTLB_OVERFLOW',
  [contract.KMSG_NO_BOUNCE]: 'NO_BOUNCE',
  [contract.KMSG_IOVA_FAILED]: 'IOVA_FAILED',
  [contract.KMSG_WALK_IN_DATA]: 'WALK_IN_DATA',
  [contract.KMSG_UNALIGNED_MAP]: 'UNALIGNED_MAP',
  [contract.KMSG_UNALIGNED_UNMAP]: 'UNALIGNED_UNMAP',
  [contract.KMSG_IOMMU_WIDTH]: 'IOMMU_WIDTH',
  [contract.KMSG_ATOMIC_EXHAUSTED]: 'ATOMIC_EXHAUSTED',
  [contract.KMSG_NO_NEW_POOL]: 'NO_NEW_POOL',
  [contract.KMSG_LIVE_REPLACED]: 'LIVE_REPLACED',
} as const;

/** A line of the kernel's log that is not a finding of dma-debug, such as a full bounce pool. */
export type NoticeId = (typeof NOTICES)[keyof typeof NOTICES];

export type { DmaPoolMessage } from '../core/kernel-log.js';

/** Findings about a device's accesses that only gemdma has. */
export type AccessMessage = 'READ_OF_WRITE_ONLY';

/** The notice of a number. */
export function noticeOf(kind: number): NoticeId {
  const id = (NOTICES as Readonly<Record<number, NoticeId>>)[kind];
  if (id === undefined) throw new Error(`record of the kernel log without a name: ${kind}`);
  return id;
}

/** Notices that no kernel prints; gemdma prints them for all kernels. */
export const OWN_NOTICES: Readonly<Partial<Record<NoticeId, string>>> = {
  WALK_IN_DATA:
    'gemdma: WALK_IN_DATA: {doing} at {address:x} inside a large page: the walk takes the mapped memory at physical {a:x} for a table, reads it and writes to it',
  LIVE_REPLACED:
    'gemdma: LIVE_REPLACED: mapping {size} bytes at {address:x} has taken the place of {a} bytes that were mapped there and never unmapped',
};

/** Functions whose messages are limited, by LIMIT_*: what `callbacks suppressed` names. That for faults is the IOMMU driver's. */
export const LIMITED: Readonly<Record<number, string>> = {
  [contract.LIMIT_SWIOTLB]: 'swiotlb_tbl_map_single',
  [contract.LIMIT_NEW_POOL]: 'swiotlb_dyn_alloc',
};
