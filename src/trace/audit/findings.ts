import { DMA_TO_DEVICE } from '../../core/generated/constants.js';
import type { LiveMappings } from './live.js';
import {
  type AuditResult,
  addressText,
  DIRECTION_NAMES,
  type MismatchKind,
  type Overlap,
  physicalText,
} from './result.js';

/** Findings that are counted in full and shown by example. */

const MAX_EXAMPLES = 20;

interface Names {
  get(number: number): string;
}

/** Memory that a device has mapped more than once at the same time. */
export class OverlapList {
  private count = 0;
  private readOnly = 0;
  private readonly examples: Overlap[] = [];

  add(live: LiveMappings, first: number, second: number, physical: number, names: Names): void {
    ++this.count;
    // Memory that the device only reads may be mapped twice: a zero page, a packet to several receivers.
    const read = live.direction[first] === DMA_TO_DEVICE && live.direction[second] === DMA_TO_DEVICE;
    if (read) ++this.readOnly;
    if (read || this.examples.length >= MAX_EXAMPLES) return;
    const side = (record: number): Overlap['first'] => ({
      ...{ address: addressText(live.page[record], live.offset[record]), size: live.size[record] },
      ...{ time: live.time[record] / 1e9, task: names.get(live.task[record]) },
      direction: DIRECTION_NAMES[live.direction[record]] ?? '',
    });
    this.examples.push({
      ...{ device: names.get(live.device[second]), physical: physicalText(physical) },
      ...{ first: side(first), second: side(second) },
    });
  }

  get result(): AuditResult['overlaps'] {
    return { count: this.count, readOnly: this.readOnly, examples: this.examples };
  }
}

/** Unmaps that do not match what was mapped. */
export class Mismatches {
  private readonly counts: Partial<Record<MismatchKind, number>> = {};
  private readonly examples: AuditResult['mismatches']['examples'] = [];

  add(
    kind: MismatchKind,
    device: string,
    address: string,
    time: number,
    task: string,
    { mapped, unmapped }: { mapped: string; unmapped: string },
  ): void {
    const count = (this.counts[kind] ?? 0) + 1;
    this.counts[kind] = count;
    if (count > MAX_EXAMPLES) return;
    this.examples.push({ kind, device, address, time: time / 1e9, task, mapped, unmapped });
  }

  get result(): AuditResult['mismatches'] {
    return { counts: this.counts, examples: this.examples };
  }
}
