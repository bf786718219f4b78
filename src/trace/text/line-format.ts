import type { BatchWriter } from '../batches/batch.js';
import type { Gaps } from '../batches/completeness.js';
import { EventBody } from './body.js';
import { LineHeader } from './header.js';

/** How a format judges a line. */
export const LINE = {
  /** Not a line of this format. */
  FOREIGN: 0,
  /** Read. */
  READ: 1,
  /** A line of this format whose end is missing: the next line may have it. `reason` and `errorAt` say what is missing. */
  OPEN: 2,
  /** A line of this format that is not about mappings. */
  OTHER: 3,
} as const;

export type LineVerdict = (typeof LINE)[keyof typeof LINE];

/** What the formats share while one input is read. */
export class LineContext {
  readonly writer: BatchWriter;
  readonly gaps: Gaps;
  readonly body = new EventBody();
  readonly header = new LineHeader();
  reason = '';
  errorAt = 0;
  /** Whether a line was certainly of its format: not a comment, which begins alike in many languages. */
  sure = false;
  /** Device of the last report of dma-debug, which its further lines do not repeat. */
  reported = '';
  /** Size and device of the last report that swiotlb is full. */
  lastSwiotlb = '';
  private readonly scratch = new Uint8Array(256);
  private textBytes: Uint8Array | null = null;
  private textStart = 0;
  private textEnd = 0;
  private lastText = '';

  constructor(writer: BatchWriter, gaps: Gaps) {
    this.writer = writer;
    this.gaps = gaps;
  }

  open(at: number, reason: string): LineVerdict {
    this.errorAt = at;
    this.reason = reason;
    return LINE.OPEN;
  }

  /** The next line: drops state of the last one. */
  nextLine(): void {
    this.textBytes = null;
  }

  /** The line as a string; formats after the first that ask for it share one. */
  text(bytes: Uint8Array, start: number, end: number): string {
    if (this.textBytes !== bytes || this.textStart !== start || this.textEnd !== end) {
      this.textBytes = bytes;
      this.textStart = start;
      this.textEnd = end;
      this.lastText = textOf(bytes, start, end);
    }
    return this.lastText;
  }

  /** The number of the header's task, `name-pid` whatever the line has between them. */
  task(bytes: Uint8Array): number {
    const { header, scratch } = this;
    if (header.dash) return this.writer.strings.ofBytes(bytes, header.taskStart, header.pidEnd);
    let length = 0;
    for (let i = header.taskStart; i < header.taskEnd && length < 200; ++i) scratch[length++] = bytes[i];
    scratch[length++] = 45;
    for (let i = header.pidStart; i < header.pidEnd && length < 240; ++i) scratch[length++] = bytes[i];
    return this.writer.strings.ofBytes(scratch, 0, length);
  }
}

/** A format whose unit is the line. One file in formats/ is one of these, and a line in formats/index.ts. */
export interface LineFormat {
  readonly name: string;
  /** Reads bytes[start, end), a line without its end and without quote marks; not empty. */
  line(context: LineContext, bytes: Uint8Array, start: number, end: number): LineVerdict;
}

const decoder = new TextDecoder('latin1');

export function textOf(bytes: Uint8Array, start: number, end: number): string {
  return decoder.decode(bytes.subarray(start, end));
}
