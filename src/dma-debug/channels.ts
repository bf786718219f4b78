import { channel } from '../core/platform.js';
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
  /** Address space and address of the object's vma. */
  vma?: string;
  /** Hook of the mapping policy, such as `bind` or `get_pages`. */
  hook?: string;
  /** Call site in JavaScript, `function (file:line:column)`, when call sites are taken. */
  site?: string;
}

/** A mapping that a finding is about, as it was made. */
export interface MappingInfo {
  /** Name of the device. */
  device: string;
  /** DMA address of the first byte. */
  address: number;
  /** Bytes mapped. */
  size: number;
  /** What was mapped, in the kernel's words: `single`, `page`, `scatter-gather`, `coherent`, `resource`. */
  type: string;
  /** Direction by its name in enum dma_data_direction. */
  direction: string;
  /** Virtual time at which it was made, in nanoseconds. */
  time: number;
  /** Who made it. */
  by: Attribution;
}

/** `gemdma:dma-debug:finding`: one verdict, of the kernel's checker or of ours. */
export interface Finding {
  /** Which check it is: one of `CHECKS`. */
  check: CheckId;
  /** Counts up over all findings of a machine. */
  sequence: number;
  /** Virtual time in nanoseconds. */
  time: number;
  /** Name of the device, empty where none is involved. */
  device: string;
  /** The kernel's checker sees it too, and it would print it now (filter, num_errors, all_errors). */
  kernel: boolean;
  /** The kernel would print it now: num_errors, all_errors and the driver filter let it through. */
  printed: boolean;
  /** Ours reports it. */
  own: boolean;
  /** What the check found out, such as the size at map and at unmap; keys depend on `check`. */
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
  /**
   * `POOL_GROWN`: entries were added. `OOM_DISABLED`, `CACHELINE_ENOMEM`: no memory for more, the kernel's checker is
   * off for good.
   */
  check: 'POOL_GROWN' | 'OOM_DISABLED' | 'CACHELINE_ENOMEM';
  /** Virtual time in nanoseconds. */
  time: number;
  /** Entries of the pool now. */
  total: number;
  /** Whether the kernel's checker is off now. */
  disabled: boolean;
}

/** Name of the channel that carries a `Finding` for every verdict. */
export const FINDING_CHANNEL = 'gemdma:dma-debug:finding';
/** Name of the channel that carries a `PoolMessage` when the kernel's pool of entries changes. */
export const POOL_CHANNEL = 'gemdma:dma-debug:pool';

/** @internal */
export const findingChannel = channel(FINDING_CHANNEL);
/** @internal */
export const poolChannel = channel(POOL_CHANNEL);
