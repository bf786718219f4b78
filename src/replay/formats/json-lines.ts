import { fromBase64 } from '../../core/platform.js';
import { RecordingError } from '../../files/recording-error.js';
import type { IoctlStep, Stream, StreamStep } from './stream.js';

/**
 * JSON lines, an array each: `[op, process, file, request, struct before, memory, address, length, result, value, struct
 * after]`; bytes in base64, 0 where there is nothing. Ops: 1 a request, 2 an open (`request` is the node's minor, `value` the
 * file's number), 3 a close, 8 an munmap.
 */
export function jsonLines(file: string, lines: readonly string[]): Stream {
  return { format: 'json-lines', length: lines.length, steps: steps(file, lines), answered: true, modern: false };
}

/** Minors of render nodes. */
const RENDER = 128;

function* steps(file: string, lines: readonly string[]): Generator<StreamStep> {
  for (const [i, text] of lines.entries()) if (text.trim() !== '') yield step(file, i + 1, text);
}

function step(file: string, line: number, text: string): StreamStep {
  let row: unknown;
  try {
    row = JSON.parse(text);
  } catch (error) {
    throw new RecordingError(file, line, `not JSON: ${(error as Error).message}`);
  }
  const bad = (what: string): RecordingError => new RecordingError(file, line, what);
  if (!Array.isArray(row) || row.length < 10) throw bad('no array of at least 10 values');
  const whole = (i: number, name: string): number => {
    const value: unknown = row[i];
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw bad(`${name} is no whole number`);
    return value;
  };
  const bytes = (value: unknown, name: string): Uint8Array => {
    if (typeof value !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(value)) throw bad(`${name} is not base64`);
    return fromBase64(value);
  };
  const op = whole(0, 'the operation');
  switch (op) {
    case 1:
      return {
        kind: 'ioctl',
        file: whole(2, 'the file'),
        request: whole(3, 'the request'),
        struct: row[4] === 0 ? new Uint8Array(0) : bytes(row[4], 'the struct'),
        memory: pieces(row[5], bytes, bad),
        result: whole(8, 'the result'),
        value: whole(9, 'the value'),
        after: row[10] === undefined || row[10] === 0 ? null : bytes(row[10], 'the struct after it'),
      };
    case 2:
      return { kind: 'open', file: whole(9, 'the file'), render: whole(3, 'the minor') >= RENDER };
    case 3:
      return { kind: 'close', file: whole(2, 'the file') };
    case 8:
      return { kind: 'munmap', address: whole(6, 'the address'), length: whole(7, 'the length') };
    default:
      return { kind: 'other', what: `operation ${op}` };
  }
}

function pieces(
  value: unknown,
  bytes: (value: unknown, name: string) => Uint8Array,
  bad: (what: string) => RecordingError,
): IoctlStep['memory'] {
  if (value === 0 || value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw bad('the memory is no array');
  return value.map((piece: unknown) => {
    if (!Array.isArray(piece) || typeof piece[0] !== 'number') throw bad('a piece of memory is no address with bytes');
    return [piece[0], bytes(piece[1], 'a piece of memory')] as const;
  });
}
