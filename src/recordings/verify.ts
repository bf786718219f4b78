import { checkBoolean, checkLongCall, LONG_CALL, optionNames } from '../core/arguments.js';
import { GemDmaError, invalidType } from '../core/errors.js';
import { type CallProgress, complete, inSlices, type Sliced } from '../core/slices.js';
import { jsonObject } from '../files/json-lines.js';
import { RecordingError } from '../files/recording-error.js';
import { readLines, readLinesAsync } from '../files/text.js';
import { formats } from './formats/index.js';
import type { Recording, RecordingFormat, ReplayOptions, VerifyResult } from './replay/recording.js';
import { missing } from './whole.js';

const TEXT_HEADER = /^# linux-(\S+) (\d+)((?: \S+)*)\s*$/;

/** A recording from its lines, of the kind that the header names. @internal */
export function openRecording(file: string, lines: string[]): Recording {
  while (lines.length > 0 && lines.at(-1)!.trim() === '') lines.pop();
  if (lines.length === 0) throw new RecordingError(file, 0, 'empty');
  lines[0] = lines[0].replace(/^\ufeff/, '');
  const { kind, version, header } = readHeader(file, lines[0]);
  if (version !== 1) throw new RecordingError(file, 1, `version ${version} of linux-${kind} is not known, only 1`);
  return { file, kind, header, lines, at: 1 };
}

function readHeader(file: string, line: string): { kind: string; version: number; header: Record<string, unknown> } {
  const text = TEXT_HEADER.exec(line);
  if (text) {
    const header: Record<string, string> = {};
    for (const pair of text[3].split(' ').slice(1)) {
      const [, key, value] = /^([^=]+)=(.*)$/.exec(pair) ?? [];
      if (key === undefined) throw new RecordingError(file, 1, `the header has ${pair}, which is not key=value`);
      if (key in header) throw new RecordingError(file, 1, `the header has ${key} twice`);
      header[key] = value;
    }
    return { kind: text[1], version: Number(text[2]), header };
  }
  if (line.startsWith('{')) {
    const header = jsonObject(file, 1, line);
    const name = header.recording;
    if (typeof name === 'string' && name.startsWith('linux-')) {
      return { kind: name.slice('linux-'.length), version: Number(header.version), header };
    }
  }
  throw new RecordingError(file, 1, 'no header: \'# linux-<kind> 1 ...\' or {"recording":"linux-<kind>",...}');
}

/** Keys that the header of any recording may have; `variant`, `seed` and `note` are for its reader. */
const HEADER = ['recording', 'version', 'kernel', 'steps', 'variant', 'seed', 'note'];

function checkHeader({ file, header }: Recording, format: RecordingFormat): void {
  const known = [...HEADER, ...(format.header ?? [])];
  const unknown = Object.keys(header).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new RecordingError(file, 1, `the header has ${unknown}, which is not known`);
}

function* replay(file: string, lines: string[], options: ReplayOptions): Sliced<VerifyResult, CallProgress> {
  const recording = openRecording(file, lines);
  const { kind } = recording;
  const format = formats.find(({ kinds }) => kinds.includes(kind));
  if (!format) {
    const known = formats.flatMap(({ kinds }) => kinds).join(', ');
    throw new RecordingError(file, 1, `linux-${kind} is not a kind that can be replayed (${known})`);
  }
  checkHeader(recording, format);
  const cut = missing(recording, format.cut);
  const whole = { ...(cut === undefined ? {} : { cut }) };
  const work = format.replay(recording, options);
  try {
    for (let matched = 0; ; ) {
      const step = work.next();
      if (step.done) return { file, kind, ...step.value, ...whole };
      matched = step.value;
      yield { done: matched, total: lines.length, what: file };
      if (options.signal?.aborted) {
        work.return(undefined as never);
        return { file, kind, steps: lines.length - 1, matched, divergence: null, ...whole, interrupted: true };
      }
    }
  } catch (cause) {
    if (!isRefusal(cause)) throw cause;
    throw new RecordingError(file, recording.at, `cannot be replayed: ${cause.message}`, { cause });
  }
}

/**
 * Replays one recording of a real kernel against the emulator, step by step.
 * @param file text or JSON lines, plain or gzip, at most 256 MiB unpacked
 * @throws RecordingError when the file is not a recording, of a kind that nothing here replays, shorter than its header
 *   says, or has a line with values that the emulator cannot take
 * @example
 *   const { steps, matched, divergence } = verify('test/golden/iova/c_full.txt.gz');
 */
export function verify(file: string, options: ReplayOptions = {}): VerifyResult {
  const given = checkReplay(file, options);
  return complete(replay(file, readLines(file), given));
}

/** The same with a turn of the event loop every 20 ms, so that an abort arrives and progress shows. */
export async function verifyAsync(file: string, options: ReplayOptions = {}): Promise<VerifyResult> {
  options = checkReplay(file, options);
  const lines = await readLinesAsync(file, options.signal);
  if (options.signal?.aborted) {
    return { file, kind: '', steps: 0, matched: 0, divergence: null, interrupted: true };
  }
  return inSlices(replay(file, lines, options), options.onProgress);
}

const REPLAY_OPTIONS = optionNames<ReplayOptions>({ ...LONG_CALL, time: true });

function checkReplay(file: string, given: ReplayOptions): ReplayOptions {
  if (typeof file !== 'string') throw invalidType('file', 'of type string', file);
  const options = checkLongCall(given, REPLAY_OPTIONS);
  checkBoolean('time', options.time, false);
  return options;
}

/** Errors of a line with fields that are missing, of another type, or beyond the emulator's limits. */
function isRefusal(error: unknown): error is Error {
  return error instanceof TypeError || error instanceof RangeError || GemDmaError.is(error);
}
