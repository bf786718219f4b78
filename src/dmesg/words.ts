import type { CheckId } from '../dma-debug/checks.js';
import type { NoticeId } from './kinds.js';

/** Messages of a kernel as data, one row per message. */

export interface Message {
  /** Text with fields (core/kernel-format.ts); empty for a WARN_ON, which has none. */
  readonly text: string;
  /** Place of a WARN: file, line if it is known, function. */
  readonly where?: string;
  /** The WARN comes behind the text, which is a line of its own. */
  readonly apart?: boolean;
  /** The device's driver is gone: the bus stands for it. */
  readonly bus?: boolean;
}

/** Messages of one kernel. It does not print a message without a row. */
export interface KernelWords {
  /** What dma-debug prints, by check. */
  readonly findings: Readonly<Partial<Record<CheckId, Message>>>;
  /** Other lines, by notice. */
  readonly notices: Readonly<Partial<Record<NoticeId, Message>>>;
  /** The release. It selects the words of the IOMMU's driver, whose notices replace those above (src/iommu-formats). */
  readonly release: string;
  /** Faults are printed without a limit. */
  readonly faultsUnlimited: boolean;
  /** `WARNING: CPU: ...` with the place is printed before the text of a WARN, else behind it. */
  readonly warningFirst: boolean;
}
