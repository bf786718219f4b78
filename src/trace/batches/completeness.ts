import { checkInteger, invalidType } from '../../core/errors.js';
import { guard } from '../../core/guard.js';
import { notMade } from '../../core/life.js';

/** How complete an input was: what a reader of the results has to know to judge them. */

/** A line that was not understood. Lines and columns count from 1. */
export interface NotUnderstood {
  /** Name of the input. */
  input: string;
  /** Line. */
  line: number;
  /** Column at which reading failed. */
  column: number;
  /** Why. */
  reason: string;
  /** The line, its first 120 characters. */
  text: string;
}

const MAX_EXAMPLES = 5;
const MAX_TEXT = 120;

/** What was read of one input, and what was not. Final when its reader has ended. */
export class Gaps {
  static {
    guard(Gaps, (one) => #made in one, ['other']);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  /** Name of the input, for examples and errors. */
  readonly input: string;
  /** Format as it was recognised, such as `ftrace text`; several where lines of several formats were mixed. */
  readonly formats = new Set<string>();
  /** Bytes read, after decompression. */
  bytes = 0;
  /** Lines of text; 0 for a trace.dat. */
  lines = 0;
  /** Events read as rows. */
  events = 0;
  /** Events of a trace that are not about mappings, by name. */
  readonly otherEvents = new Map<string, number>();
  /** Lines of a log about something else, comments, stack traces. */
  otherLines = 0;
  /** Events that the tracer reports as lost: overwritten in the ring, or dropped. */
  lostEvents = 0;
  /** Lists of entries that the kernel cut ([TRUNCATED]). */
  truncatedLists = 0;
  /** Lines that were put together again after a mail program had wrapped them. */
  wrappedLines = 0;
  /** Lines with a mail program's quote marks, which were left out of it. */
  quotedLines = 0;
  /** Lines that should have been understood and were not. */
  notUnderstoodLines = 0;
  /** The first five of these. */
  readonly examples: NotUnderstood[] = [];
  /** Whether the input ended within a line or record. */
  cutShort = false;

  constructor(input: string) {
    if (typeof input !== 'string') throw invalidType('input', 'of type string', input);
    this.input = input;
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #made in one;
  }

  /** Counts an event that is not about mappings. */
  other(name: string): void {
    if (!Gaps.is(this)) throw notMade('Gaps.other');
    if (typeof name !== 'string') throw invalidType('name', 'of type string', name);
    if (this.otherEvents.size < 1000 || this.otherEvents.has(name)) {
      this.otherEvents.set(name, (this.otherEvents.get(name) ?? 0) + 1);
    }
  }

  /** Counts input that was not understood, and keeps examples with their lines. */
  notUnderstood(line: number, column: number, reason: string, text: string): void {
    checkInteger('line', line, 0, Number.MAX_SAFE_INTEGER);
    checkInteger('column', column, 0, Number.MAX_SAFE_INTEGER);
    if (typeof reason !== 'string') throw invalidType('reason', 'of type string', reason);
    if (typeof text !== 'string') throw invalidType('text', 'of type string', text);
    ++this.notUnderstoodLines;
    if (this.examples.length >= MAX_EXAMPLES) return;
    const shown = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}\u2026` : text;
    this.examples.push({ input: this.input, line, column, reason, text: shown });
  }
}

/** The input is not a trace, or cannot be read further. Lines and columns count from 1; 0 for a whole file. */
export class TraceError extends Error {
  /** Always `TraceError`. */
  override readonly name = 'TraceError';
  /** Always `ERR_TRACE`. */
  readonly code = 'ERR_TRACE';
  /** Name of the input. */
  readonly input: string;
  /** Line; 0 for the whole file. */
  readonly line: number;
  /** Column; 0 for the whole file. */
  readonly column: number;
  /** Why it cannot be read, without the place. */
  readonly reason: string;

  constructor(input: string, line: number, column: number, reason: string) {
    super(line > 0 ? `${input}:${line}:${column}: ${reason}` : `${input}: ${reason}`);
    this.input = input;
    this.line = line;
    this.column = column;
    this.reason = reason;
  }
}
