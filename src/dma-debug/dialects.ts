import type { MappingType } from '../core/dma-debug-records.js';
import {
  DEBUG_ASSERTS_IDLE,
  DEBUG_CHECK_SEGMENTS,
  DEBUG_COHERENT_QUIRK,
  DEBUG_GROWS,
  DEBUG_KERNEL,
  DEBUG_ONE_PAGE_TYPE,
  DEBUG_OWN,
  DEBUG_REPORT_OVERLAP,
  DEBUG_SYNC_BY_SEGMENT,
  DEBUG_SYNC_SGCOUNT,
} from '../core/generated/constants.js';

/** What differs between the kernels' dma-debug (lib/dma-debug.c in 4.2, kernel/dma/debug.c in 6.12). */
export interface DebugDialect {
  /** An empty pool grows by a page of entries; otherwise it disables dma-debug for good. */
  growing: boolean;
  /** A second mapping of an active cacheline is an error of its own. */
  reportsOverlap: boolean;
  /** Segments are held against the device's maximum and boundary. */
  checksSegments: boolean;
  /** Buckets of the hash. */
  buckets: number;
  /** dma_map_page and dma_map_single make the same type of entry. */
  onePageType: boolean;
  /** A sync looks for its mapping no further back than the device's longest segment. */
  syncsBySegment: boolean;
  /** The count of a list is compared when it is synced. */
  syncsCount: boolean;
  /** Coherent entries take their offset with the inverted mask. */
  coherentQuirk: boolean;
  /** A CPU access to a mapped cacheline is a finding (debug_dma_assert_idle, 3.14 to 5.9). */
  assertsIdle: boolean;
  /** Types of mappings as it prints them. */
  types: Readonly<Record<MappingType, string>>;
  /** A line of its dump of all mappings (core/kernel-format.ts). */
  dump: string;
}

/** Which checker runs: the kernel's, which may disable itself, ours, which never does, or both over the same entries. */
export type Checkers = 'both' | 'kernel' | 'own';

/** The core's switches for a dialect. */
export function debugFlags(dialect: DebugDialect, checkers: Checkers): number {
  return (
    (checkers === 'own' ? 0 : DEBUG_KERNEL) |
    (checkers === 'kernel' ? 0 : DEBUG_OWN) |
    (dialect.growing ? DEBUG_GROWS : 0) |
    (dialect.reportsOverlap ? DEBUG_REPORT_OVERLAP : 0) |
    (dialect.checksSegments ? DEBUG_CHECK_SEGMENTS : 0) |
    (dialect.onePageType ? DEBUG_ONE_PAGE_TYPE : 0) |
    (dialect.syncsBySegment ? DEBUG_SYNC_BY_SEGMENT : 0) |
    (dialect.syncsCount ? DEBUG_SYNC_SGCOUNT : 0) |
    (dialect.coherentQuirk ? DEBUG_COHERENT_QUIRK : 0) |
    (dialect.assertsIdle ? DEBUG_ASSERTS_IDLE : 0)
  );
}
