import { channel } from 'node:diagnostics_channel';
import type { CheckData, CheckId } from './checks.js';

/**
 * The findings of dma-debug as messages. Each channel of `node:diagnostics_channel` below carries one shape; with no
 * subscriber a message is not even made.
 *
 *     import { subscribe } from 'node:diagnostics_channel';
 *     subscribe('gemdma:dma-debug:finding', (finding) => console.error(finding.message));
 */

/** The caller of a call; texts that were registered for the ids, absent where there are none. */
export interface Attribution {
  /** GEM object. */
  object?: string;
  vma?: string;
  /** Hook of the mapping policy, such as `bind` or `get_pages`. */
  hook?: string;
  /** Call site in JavaScript, `function (file:line:column)`, when call sites are taken. */
  site?: string;
}

/** A mapping that a finding is about, as it was made. */
export interface MappingInfo {
  device: string;
  /** DMA address and bytes. */
  address: number;
  size: number;
  type: string;
  direction: string;
  /** Virtual time at which it was made, in nanoseconds. */
  time: number;
  by: Attribution;
}

/** `gemdma:dma-debug:finding`: one verdict, of the kernel's checker or of ours. */
export interface Finding {
  check: CheckId;
  /** Counts up over all findings of a machine. */
  sequence: number;
  /** Virtual time in nanoseconds. */
  time: number;
  /** Name of the device, empty where none is involved. */
  device: string;
  /** The kernel's checker sees it too, and it would print it now (filter, num_errors, all_errors). */
  kernel: boolean;
  printed: boolean;
  /** Ours reports it. */
  own: boolean;
  data: CheckData;
  /** Who made the call at which it was found. */
  caller: Attribution;
  /** The mapping that it is about; null where none is known. */
  mapping: MappingInfo | null;
  /** The whole story in words. */
  message: string;
}

/** `gemdma:dma-debug:pool`: the kernel's pool of entries has grown, or its checker is disabled. */
export interface PoolMessage {
  check: 'POOL_GROWN' | 'OOM_DISABLED' | 'CACHELINE_ENOMEM';
  time: number;
  /** Entries of the pool now. */
  total: number;
  disabled: boolean;
}

export const FINDING_CHANNEL = 'gemdma:dma-debug:finding';
export const POOL_CHANNEL = 'gemdma:dma-debug:pool';

/** @internal */
export const findingChannel = channel(FINDING_CHANNEL);
/** @internal */
export const poolChannel = channel(POOL_CHANNEL);
