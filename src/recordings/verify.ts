import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { GemDmaError } from '../core/errors.js';
import { formats } from './formats/index.js';
import { type Recording, RecordingError, type ReplayOptions, type VerifyResult } from './recording.js';

const GZIP_MAGIC = [0x1f, 0x8b];
const TEXT_HEADER = /^# linux-(\S+) (\d+)((?: \S+)*)\s*$/;

/**
 * Reads a recording and recognises its kind from the header; gzip by its magic, not by its name.
 * Throws RecordingError for a file that cannot be read, is empty, has no header or a version other than 1.
 */
export function readRecording(file: string): Recording {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new RecordingError(file, 0, `cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (bytes[0] === GZIP_MAGIC[0] && bytes[1] === GZIP_MAGIC[1]) {
    try {
      bytes = gunzipSync(bytes);
    } catch (error) {
      throw new RecordingError(file, 0, `damaged gzip: ${(error as Error).message}`);
    }
  }
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .split('\n');
  while (lines.length > 0 && lines.at(-1)!.trim() === '') lines.pop();
  if (lines.length === 0) throw new RecordingError(file, 0, 'empty');
  const { kind, version, header } = readHeader(file, lines[0]);
  if (version !== 1) throw new RecordingError(file, 1, `version ${version} of linux-${kind} is not known, only 1`);
  return { file, kind, header, lines, at: 1 };
}

function readHeader(file: string, line: string): { kind: string; version: number; header: Record<string, unknown> } {
  const text = TEXT_HEADER.exec(line);
  if (text) {
    const pairs = text[3]
      .trim()
      .split(' ')
      .filter((pair) => pair.includes('='))
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
    return { kind: text[1], version: Number(text[2]), header: Object.fromEntries(pairs) };
  }
  if (line.startsWith('{')) {
    let header: Record<string, unknown>;
    try {
      header = JSON.parse(line);
    } catch (error) {
      throw new RecordingError(file, 1, `not JSON: ${(error as Error).message}`);
    }
    const name = header.recording;
    if (typeof name === 'string' && name.startsWith('linux-')) {
      return { kind: name.slice('linux-'.length), version: Number(header.version), header };
    }
  }
  throw new RecordingError(file, 1, 'no header: \'# linux-<kind> 1 ...\' or {"recording":"linux-<kind>",...}');
}

/**
 * Replays one recording of a real kernel against the emulator, step by step.
 * Throws RecordingError when the file is not a recording, of a kind that nothing here replays, or has a line with values
 * that the emulator cannot take.
 */
export function verify(file: string, options: ReplayOptions = {}): VerifyResult {
  const recording = readRecording(file);
  const format = formats.find(({ kinds }) => kinds.includes(recording.kind));
  if (!format) {
    const known = formats.flatMap(({ kinds }) => kinds).join(', ');
    throw new RecordingError(file, 1, `linux-${recording.kind} is not a kind that can be replayed (${known})`);
  }
  try {
    return { file, kind: recording.kind, ...format.replay(recording, options) };
  } catch (cause) {
    if (!isRefusal(cause)) throw cause;
    throw new RecordingError(file, recording.at, `cannot be replayed: ${cause.message}`, { cause });
  }
}

/** What a line leads to whose fields are missing, of another shape, or beyond what the emulator holds. */
function isRefusal(error: unknown): error is Error {
  return error instanceof TypeError || error instanceof RangeError || GemDmaError.is(error);
}
