import type { LongCallOptions, Sliced } from '../../core/slices.js';
import { jsonObject } from '../../files/json-lines.js';
import { RecordingError } from '../../files/recording-error.js';

/**
 * Recordings of a real kernel, and what it means to replay one. A recording is a text or JSON-lines file, plain or
 * gzip, that names its kind in its header: `# linux-<kind> 1 key=value ...` or `{"recording":"linux-<kind>",...}`.
 * One file of formats/ replays one kind; verify.ts finds the format of a file.
 */

/** Where a replay and a recording part. */
export interface Divergence {
  /** 1-based line of the recording. */
  line: number;
  /** The recorded operation, as a reader of the recording would name it. */
  operation: string;
  /** What the recording has. */
  expected: string;
  /** What the replay has. */
  got: string;
}

/** What came of replaying one recording. `matched` is `steps` when `divergence` is null. */
export interface VerifyResult {
  /** Path of the recording. */
  file: string;
  /** The header's kind, such as `iova` or `map_sg`. */
  kind: string;
  /** Checked steps that the recording holds. */
  steps: number;
  /** Steps that came out as recorded, up to the first that did not. */
  matched: number;
  /** The first step that did not come out as recorded; null when all did. */
  divergence: Divergence | null;
  /**
   * What is missing at the end: null when the recording is known to be whole, by its count or by the line that ends its
   * kind; absent when nothing shows it: more may have been recorded than is there.
   */
  cut?: string | null;
  /** Only when the signal was aborted: `matched` of the steps were compared, and `steps` is a guess. */
  interrupted?: true;
  /** Median time of a step over several replays run in the core as a batch; only when timing was asked for. */
  nsPerStep?: number;
}

/** An open recording: header values and the lines after it. */
export interface Recording {
  file: string;
  kind: string;
  /** `key=value` pairs of a text header, or the fields of a JSON header. */
  header: Readonly<Record<string, unknown>>;
  /** All lines of the file; index 0 is line 1, the header. */
  lines: readonly string[];
  /** 1-based line that a FieldReader read last: an error of deeper code names it. */
  at: number;
}

/** Options of a replay. */
export interface ReplayOptions extends LongCallOptions {
  /** Also measure, where the kind can be replayed as a batch in the core. */
  time?: boolean;
}

export interface RecordingFormat {
  /** Kinds that this format replays, as the header names them without `linux-`. */
  kinds: readonly string[];
  /** Keys of the header that only recordings of this format have. */
  header?: readonly string[];
  /** Replays it, and yields after a line or a few how many steps matched so far. */
  replay(recording: Recording, options: ReplayOptions): Sliced<Outcome, number>;
  /** For a kind with an end line: what is missing, or null; undefined if this recording need not have it. */
  cut?(recording: Recording): string | null | undefined;
}

/** What a format finds out. */
export type Outcome = Pick<VerifyResult, 'steps' | 'matched' | 'divergence' | 'nsPerStep'>;

/** Whether the last line that records something is the one that ends its kind. */
export function endsWith(
  recording: Recording,
  name: string,
  isEnd: (record: Record<string, unknown>) => boolean,
): string | null {
  const read = new FieldReader(recording);
  const last = read.lineNumbers().at(-1);
  return last !== undefined && isEnd(read.json(last)) ? null : `the ${name} line, which comes last`;
}

const HEX = /^[0-9a-f]{1,16}$/;

/** Readers of a recording's fields: each throws a RecordingError that names file, line and field. */
export class FieldReader {
  readonly #recording: Recording;

  constructor(recording: Recording) {
    this.#recording = recording;
  }

  fail(line: number, reason: string): never {
    throw new RecordingError(this.#recording.file, line, reason);
  }

  /** Numbers of the lines that record something: all after the header but blank ones and remarks (`# ...`). */
  lineNumbers(): number[] {
    const numbers: number[] = [];
    for (let line = 2; line <= this.#recording.lines.length; ++line) {
      if (!/^\s*(?:#|$)/.test(this.#recording.lines[line - 1])) numbers.push(line);
    }
    return numbers;
  }

  /** A hexadecimal number without 0x, below 2^53. */
  hex(line: number, name: string, text: unknown): number {
    this.#recording.at = line;
    if (typeof text !== 'string' || !HEX.test(text)) this.fail(line, `${name} is not a hexadecimal number: ${text}`);
    const value = Number.parseInt(text, 16);
    if (!Number.isSafeInteger(value)) this.fail(line, `${name} is beyond 2^53: ${text}`);
    return value;
  }

  /** A non-negative decimal integer, as text or as a JSON number. */
  decimal(line: number, name: string, value: unknown): number {
    this.#recording.at = line;
    const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0) {
      this.fail(line, `${name} is not a whole number: ${value}`);
    }
    return number;
  }

  /** Width of a mask of ones, in hexadecimal without 0x: 1 to 64. */
  maskBits(line: number, name: string, text: unknown): number {
    this.#recording.at = line;
    if (typeof text !== 'string' || !/^(?=.)[137]?f{0,16}$/.test(text)) {
      this.fail(line, `${name} is not a mask of ones: ${text}`);
    }
    return BigInt(`0x${text}`).toString(2).length;
  }

  /** One line of a JSON-lines recording, as an object. */
  json(line: number): Record<string, unknown> {
    this.#recording.at = line;
    return jsonObject(this.#recording.file, line, this.#recording.lines[line - 1]);
  }
}
