import { type BatchWriter, ROW } from '../batches/batch.js';
import { type Gaps, TraceError } from '../batches/completeness.js';
import { LINE, LineContext, type LineFormat, type LineVerdict, textOf } from '../text/line-format.js';
import { lineFormats } from './index.js';

/**
 * Text, in pieces of any size, to lines, to rows. Changes by mail programs are undone here, for all formats: quote marks are removed,
 * and a line whose event is incomplete is joined with the next.
 */

const NEWLINE = 10;
const COLON = 58;
/** A line of 128 entries has 7 KiB; a much longer line is not of a trace. */
const MAX_LINE = 1 << 20;
/** A mail program that wraps at 72 columns makes some 60 lines of an event with 128 entries. */
const MAX_JOINED = 100;
/** After this many lines without an event the input is not a trace. */
const GIVE_UP = 100_000;

export class TextReader {
  private readonly context: LineContext;
  private readonly gaps: Gaps;
  private readonly formats: readonly LineFormat[];
  private current: LineFormat;
  private carry = new Uint8Array(0);
  private number = 0;
  /** The last line, for one that continues it; null when the next cannot. */
  private last: Uint8Array | null = null;
  private lastStart = 0;
  private lastEnd = 0;
  private lastLine = 0;
  private lastVerdict: LineVerdict = LINE.FOREIGN;
  private joined = 0;
  private lastFormat: LineFormat;
  /** The format that was last added to the report. */
  private named: LineFormat | null = null;

  constructor(writer: BatchWriter, gaps: Gaps, formats: readonly LineFormat[] = lineFormats) {
    this.gaps = gaps;
    this.context = new LineContext(writer, gaps);
    this.formats = formats;
    this.current = formats[0];
    this.lastFormat = formats[0];
  }

  /** Reads a piece. The bytes are not kept. */
  push(piece: Uint8Array): void {
    // Buffer is a second class to the optimiser: with one class, a load of a byte is one instruction.
    const chunk = new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
    let bytes = chunk;
    let at = 0;
    if (this.carry.length > 0) {
      const end = chunk.indexOf(NEWLINE);
      if (end < 0) {
        this.carry = concat(this.carry, chunk, chunk.length);
        this.checkLength(this.carry.length);
        return;
      }
      const whole = concat(this.carry, chunk, end);
      this.carry = new Uint8Array(0);
      this.line(whole, 0, whole.length);
      at = end + 1;
    }
    for (;;) {
      const end = bytes.indexOf(NEWLINE, at);
      if (end < 0) break;
      this.line(bytes, at, end);
      at = end + 1;
    }
    // The last line may continue in the next piece, which is in another buffer.
    if (this.last === bytes) this.keepLast();
    bytes = bytes.subarray(at);
    this.checkLength(bytes.length);
    if (bytes.length > 0) this.carry = bytes.slice();
  }

  /** After the last piece. */
  end(): void {
    if (this.carry.length > 0) {
      const rest = this.carry;
      this.carry = new Uint8Array(0);
      this.line(rest, 0, rest.length);
      if (this.lastVerdict === LINE.OPEN) this.gaps.cutShort = true;
    }
    this.settle();
    this.gaps.lines = this.number;
    if (!this.context.sure) throw this.notATrace();
  }

  private notATrace(): TraceError {
    const { examples, input } = this.gaps;
    if (this.number === 0) return new TraceError(input, 1, 1, 'the input is empty');
    const first = examples[0];
    return new TraceError(
      input,
      first?.line ?? 1,
      first?.column ?? 1,
      `not a trace or log: no line of it is of a known format (${this.formats.map(({ name }) => name).join(', ')}, trace.dat)`,
    );
  }

  private checkLength(length: number): void {
    if (length <= MAX_LINE) return;
    throw new TraceError(
      this.gaps.input,
      this.number + 1,
      MAX_LINE,
      `a line of more than ${MAX_LINE} bytes: not a trace`,
    );
  }

  private keepLast(): void {
    this.last = this.last!.slice(this.lastStart, this.lastEnd);
    this.lastEnd -= this.lastStart;
    this.lastStart = 0;
  }

  private line(bytes: Uint8Array, from: number, to: number): void {
    ++this.number;
    this.context.nextLine();
    let start = from;
    let end = to;
    while (end > start && bytes[end - 1] <= 32) --end;
    // Quote marks: `> > text`.
    let at = start;
    while (at < end && bytes[at] === 32) ++at;
    if (at < end && bytes[at] === 62) {
      while (at < end && (bytes[at] === 62 || (bytes[at] === 32 && bytes[at + 1] === 62))) ++at;
      if (bytes[at] === 32) ++at;
      start = Math.min(at, end);
      ++this.gaps.quotedLines;
    }
    if (start === end) {
      this.settle();
      return;
    }
    const verdict = this.ask(bytes, start, end);
    if (verdict === LINE.READ) this.sure();
    if (verdict === LINE.FOREIGN || (verdict === LINE.READ && this.lacksDevice())) {
      if (this.join(bytes, start, end, verdict)) return;
    }
    if (this.last !== null) this.settle();
    this.remember(bytes, start, end, verdict);
  }

  private ask(bytes: Uint8Array, start: number, end: number): LineVerdict {
    let verdict = this.current.line(this.context, bytes, start, end);
    if (verdict !== LINE.FOREIGN) return verdict;
    for (const format of this.formats) {
      if (format === this.current) continue;
      verdict = format.line(this.context, bytes, start, end);
      if (verdict === LINE.FOREIGN) continue;
      // Stack traces and skipped lines lie between others: the next line is more likely of the previous format.
      if (verdict === LINE.READ) this.current = format;
      return verdict;
    }
    return LINE.FOREIGN;
  }

  private remember(bytes: Uint8Array, start: number, end: number, verdict: LineVerdict): void {
    this.last = bytes;
    this.lastStart = start;
    this.lastEnd = end;
    this.lastLine = this.number;
    this.lastVerdict = verdict;
    this.lastFormat = this.current;
    this.joined = 0;
    if (verdict === LINE.OTHER) ++this.gaps.otherLines;
  }

  /** The line before cannot be continued any more: what it was is final. */
  private settle(): void {
    const { last, lastStart: start, lastEnd: end, lastVerdict: verdict } = this;
    this.last = null;
    if (last === null || verdict === LINE.READ || verdict === LINE.OTHER) return;
    this.lastVerdict = LINE.FOREIGN;
    const text = textOf(last, start, end);
    if (verdict === LINE.OPEN) {
      this.context.nextLine();
      // The reason is of the last try; the line says it again.
      this.lastFormat.line(this.context, last, start, end);
      this.gaps.notUnderstood(this.lastLine, this.context.errorAt - start + 1, this.context.reason, text);
      return;
    }
    this.gaps.notUnderstood(this.lastLine, 1, 'not a line of a trace or log', text);
    if (!this.context.sure && this.gaps.notUnderstoodLines >= GIVE_UP) throw this.notATrace();
  }

  /**
   * Tries to read the line before and this one as one. Taken when that makes an event of them that neither was alone, or adds
   * fields to the event before.
   */
  private join(bytes: Uint8Array, start: number, end: number, alone: LineVerdict): boolean {
    const { last, context } = this;
    if (last === null || this.joined >= MAX_JOINED) return false;
    if (alone === LINE.READ) {
      // `driver device:` on the line before, the message on this.
      if (last[this.lastEnd - 1] !== COLON || this.lastVerdict === LINE.READ || !this.undo()) return false;
    } else if (this.lastVerdict === LINE.OTHER) return false;
    else if (this.lastVerdict === LINE.READ) {
      // The row of the first part goes; the whole has its own.
      if (!this.hasFields(bytes, start, end) || !this.undo()) return false;
    }
    const whole = concatWords(last.subarray(this.lastStart, this.lastEnd), bytes.subarray(start, end));
    context.nextLine();
    const verdict = this.ask(whole, 0, whole.length);
    if (verdict === LINE.FOREIGN || (verdict !== LINE.READ && alone === LINE.READ)) {
      // Each stands alone, as it was.
      context.nextLine();
      if (this.lastVerdict === LINE.READ) this.ask(last, this.lastStart, this.lastEnd);
      context.nextLine();
      if (alone === LINE.READ) this.ask(bytes, start, end);
      return false;
    }
    if (verdict === LINE.READ) this.sure();
    ++this.gaps.wrappedLines;
    this.last = whole;
    this.lastStart = 0;
    this.lastEnd = whole.length;
    this.lastVerdict = verdict;
    this.lastFormat = this.current;
    ++this.joined;
    return true;
  }

  private sure(): void {
    if (this.named === this.current) return;
    this.context.sure = true;
    this.named = this.current;
    this.gaps.formats.add(this.current.name);
  }

  private lacksDevice(): boolean {
    const { columns: c, length } = this.context.writer;
    return length > 0 && (c.flags[length - 1] & ROW.LOG) !== 0 && c.device[length - 1] === 0;
  }

  private undo(): boolean {
    const { columns: c, length } = this.context.writer;
    if (length > 0 && (c.flags[length - 1] & ROW.TRUNCATED) !== 0) --this.gaps.truncatedLists;
    return this.context.writer.undo();
  }

  /** Whether a line that is no event has fields of one: `size=4096 attrs=`. */
  private hasFields(bytes: Uint8Array, start: number, end: number): boolean {
    const { body } = this.context;
    return body.read(bytes, start, end) && body.known > 0;
  }
}

function concat(a: Uint8Array, b: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(a.length + length);
  whole.set(a);
  whole.set(b.subarray(0, length), a.length);
  return whole;
}

function concatWords(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + 1 + b.length);
  whole.set(a);
  whole[a.length] = 32;
  whole.set(b, a.length + 1);
  return whole;
}
