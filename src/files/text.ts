import { joined } from '../core/bytes.js';
import { needed } from '../core/platform.js';
import type { AbortSignalLike } from '../core/slices.js';
import { compressionOf } from './compression.js';
import { RecordingError } from './recording-error.js';

/**
 * Text files, plain or gzip by their first bytes: every file that the library reads whole is read here. The synchronous
 * reader takes a file whole; the asynchronous one streams it, so that it can be interrupted. Both refuse more than MAX_TEXT
 * and MAX_LINES before they hold it: a gzip file of a few kilobytes can hold gigabytes. Both need Node's file system.
 */

/** Most bytes of text that a file may hold, unpacked: 256 MiB, some five million lines of a recording. */
export const MAX_TEXT = 256 * 1024 ** 2;

/** Most lines, which take more memory than their text when they are short. */
export const MAX_LINES = 16 * 1024 ** 2;

/**
 * All lines of a file, the empty one after the last line end left out.
 * @throws RecordingError when it cannot be read, is damaged, or holds more than MAX_TEXT
 */
export function readLines(file: string): string[] {
  const lines = new Lines(file);
  lines.add(readBytes(file));
  return lines.end();
}

/**
 * A file as one text.
 * @throws as readLines
 */
export function readText(file: string): string {
  return new TextDecoder().decode(readBytes(file));
}

/**
 * The first bytes of a file as they are, not unpacked.
 * @throws Error of the file system
 */
export function readHead(file: string, length: number): Uint8Array {
  const { closeSync, openSync, readSync } = needed('node:fs', 'read');
  const head = new Uint8Array(length);
  const descriptor = openSync(file, 'r');
  try {
    return head.subarray(0, readSync(descriptor, head, 0, length, 0));
  } finally {
    closeSync(descriptor);
  }
}

/**
 * readLines, streamed; the event loop turns meanwhile.
 * @returns what was read until the signal was aborted
 * @throws as readLines
 */
export async function readLinesAsync(file: string, signal?: AbortSignalLike): Promise<string[]> {
  const lines = new Lines(file);
  for await (const chunk of unpacked(file, signal)) lines.add(chunk);
  return lines.end();
}

// A file in chunks, until the signal is aborted.
async function* unpacked(file: string, signal: AbortSignalLike | undefined): AsyncGenerator<Buffer> {
  const { createReadStream, statSync } = needed('node:fs', 'read');
  try {
    if (statSync(file).size > MAX_TEXT) throw tooLarge(file);
    const source = createReadStream(file, { highWaterMark: 2 ** 20 });
    const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    const first = await chunks.next();
    if (first.done) return;
    const all = async function* (): AsyncGenerator<Buffer> {
      yield first.value;
      for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
    };
    const packed = compressionOf(first.value) === 'gzip';
    const stream = packed ? gunzipped(all()) : all();
    for await (const chunk of stream) {
      yield chunk as Buffer;
      if (signal?.aborted) break;
    }
    source.destroy();
  } catch (error) {
    throw refusal(file, error);
  }
}

function gunzipped(chunks: AsyncIterable<Buffer>): AsyncIterable<unknown> {
  const gunzip = needed('node:zlib', 'read').createGunzip({ chunkSize: 2 ** 20 });
  return needed('node:stream', 'read').Readable.from(chunks).pipe(gunzip);
}

/**
 * A file's bytes, unpacked.
 * @throws as readLines
 */
export function readBytes(file: string): Uint8Array {
  const { closeSync, fstatSync, openSync, readFileSync } = needed('node:fs', 'read');
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    if (fstatSync(descriptor).size > MAX_TEXT) throw tooLarge(file);
    const bytes = readFileSync(descriptor);
    if (compressionOf(bytes) !== 'gzip') return bytes;
    return needed('node:zlib', 'read').gunzipSync(bytes, { maxOutputLength: MAX_TEXT });
  } catch (error) {
    throw refusal(file, error);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/**
 * readBytes, streamed; the event loop turns meanwhile.
 * @returns what was read until the signal was aborted
 * @throws as readLines
 */
export async function readBytesAsync(file: string, signal?: AbortSignalLike): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of unpacked(file, signal)) {
    bytes += chunk.length;
    if (bytes > MAX_TEXT) throw tooLarge(file);
    chunks.push(chunk);
  }
  return joined(chunks);
}

/** The error of a failed read. zlib's errors have their own codes, those of the file system a system call. */
function refusal(file: string, error: unknown): unknown {
  if (error instanceof RecordingError) return error;
  const { code, message, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ERR_BUFFER_TOO_LARGE') return tooLarge(file);
  if (syscall !== undefined) return new RecordingError(file, 0, `cannot be read: ${code}`);
  if (code?.startsWith('Z_')) return new RecordingError(file, 0, `damaged gzip: ${message}`);
  return error;
}

function tooLarge(file: string): RecordingError {
  return new RecordingError(file, 0, `more than ${MAX_TEXT / 1024 ** 2} MiB of text, which is the limit`);
}

const LINE_END = 10;

/** Splits text that comes in chunks into lines. */
class Lines {
  readonly #file: string;
  readonly #lines: string[] = [];
  readonly #decoder = new TextDecoder();
  #rest = '';
  #bytes = 0;
  #ends = 0;

  constructor(file: string) {
    this.#file = file;
  }

  add(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_TEXT) throw tooLarge(this.#file);
    for (let i = 0; i < chunk.length; ++i) if (chunk[i] === LINE_END) ++this.#ends;
    if (this.#ends > MAX_LINES) {
      throw new RecordingError(this.#file, 0, `more than ${MAX_LINES / 1024 ** 2} Mi lines, which is the limit`);
    }
    // Searches only the new chunk: a line of hundreds of megabytes comes in hundreds of chunks.
    const parts = this.#decoder.decode(chunk, { stream: true }).split('\n');
    parts[0] = this.#rest + parts[0];
    this.#rest = parts.pop()!;
    for (const part of parts) this.#lines.push(part);
  }

  end(): string[] {
    this.#rest += this.#decoder.decode();
    if (this.#rest !== '') this.#lines.push(this.#rest);
    return this.#lines;
  }
}
