/** How complete an input was: what a reader of the results has to know to judge them. */

/** A line that was not understood. Lines and columns count from 1. */
export interface NotUnderstood {
  input: string;
  line: number;
  column: number;
  reason: string;
  text: string;
}

const MAX_EXAMPLES = 5;
const MAX_TEXT = 120;

export class Gaps {
  /** Name of the input, for examples and errors. */
  readonly input: string;
  /** Format as it was recognised, such as `ftrace text`; several where lines of several formats were mixed. */
  readonly formats = new Set<string>();
  bytes = 0;
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
  /** Lines that were put together again after a mail program had wrapped them, and lines with quote marks. */
  wrappedLines = 0;
  quotedLines = 0;
  notUnderstoodLines = 0;
  readonly examples: NotUnderstood[] = [];
  /** Whether the input ended within a line or record. */
  cutShort = false;

  constructor(input: string) {
    this.input = input;
  }

  /** Counts an event that is not about mappings. */
  other(name: string): void {
    if (this.otherEvents.size < 1000 || this.otherEvents.has(name)) {
      this.otherEvents.set(name, (this.otherEvents.get(name) ?? 0) + 1);
    }
  }

  /** Counts what could not be understood, and keeps some of it with its line. */
  notUnderstood(line: number, column: number, reason: string, text: string): void {
    ++this.notUnderstoodLines;
    if (this.examples.length >= MAX_EXAMPLES) return;
    const shown = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}\u2026` : text;
    this.examples.push({ input: this.input, line, column, reason, text: shown });
  }
}

/** An input that is no trace at all, or one that cannot be read on. Lines and columns count from 1; 0 for a whole file. */
export class TraceError extends Error {
  override readonly name = 'TraceError';
  readonly code = 'ERR_TRACE';
  readonly input: string;
  readonly line: number;
  readonly column: number;
  readonly reason: string;

  constructor(input: string, line: number, column: number, reason: string) {
    super(line > 0 ? `${input}:${line}:${column}: ${reason}` : `${input}: ${reason}`);
    this.input = input;
    this.line = line;
    this.column = column;
    this.reason = reason;
  }
}
