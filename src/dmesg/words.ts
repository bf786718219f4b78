import type { CheckId } from '../dma-debug/checks.js';
import type { NoticeId } from './kinds.js';

/** What a kernel prints when it has something to say: one row for each message, as data. */

export interface Message {
  /** Text with fields (core/kernel-format.ts); empty for a WARN_ON, which has none. */
  readonly text: string;
  /** Where it is said: file, line where it is known, function. It is then a WARN. */
  readonly where?: string;
  /** The device's driver is gone: the bus stands for it. */
  readonly bus?: boolean;
}

/** What one kernel says. What has no row it does not say. */
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
