import { checkBytes } from '../../core/arguments.js';
import { joined } from '../../core/bytes.js';
import { invalidType } from '../../core/errors.js';
import { TraceError } from './completeness.js';

/** Sources of input, and decompression: plain, gzip or zstd, recognised by their first bytes. */

/** An input that can be read at any place. A trace.dat needs one, since its CPUs' data lie one after the other. */
export interface RandomAccess {
  /** Bytes of the input. */
  readonly size: number;
  /** Bytes from `offset`; fewer than `length` at the end of the input only. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** The same into the caller's buffer, which saves an allocation per piece of a text. Returns the bytes read. */
  readInto?(target: Uint8Array, offset: number): Promise<number>;
}

/** An input: pieces in order, such as a Node stream, or one that can be read at any place. */
export type TraceSource = AsyncIterable<Uint8Array> | RandomAccess;

/** Decompressors that the platform does not have. */
export interface Codecs {
  /** A frame of zstd of which the size is known. */
  zstd?(bytes: Uint8Array, size: number): Uint8Array;
  /** A stream of zstd. */
  zstdStream?(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}

const PIECE = 1 << 18;
/** Most of a stream that is kept to read it at any place, as a trace.dat through a pipe is. */
const MAX_KEPT = 1 << 30;

/** @throws ERR_INVALID_ARG_TYPE if the argument is neither */
export function checkSource(source: TraceSource): void {
  const one = source as { size?: unknown; read?: unknown; [Symbol.asyncIterator]?: unknown } | null | undefined;
  if (typeof one === 'object' && one !== null) {
    if (typeof one[Symbol.asyncIterator] === 'function') return;
    if (typeof one.read === 'function' && Number.isSafeInteger(one.size) && (one.size as number) >= 0) return;
  }
  throw invalidType('source', 'an AsyncIterable of bytes, or an object with size and read()', source);
}

export function isRandomAccess(source: TraceSource): source is RandomAccess {
  return !(Symbol.asyncIterator in source);
}

/**
 * All of an input in order.
 * @param reuse every piece is in the same buffer: the next read overwrites it
 */
export async function* pieces(source: RandomAccess, reuse = false): AsyncGenerator<Uint8Array> {
  const buffer = reuse && source.readInto ? new Uint8Array(PIECE) : null;
  for (let at = 0; at < source.size; ) {
    const piece = buffer
      ? buffer.subarray(0, await source.readInto!(buffer, at))
      : await source.read(at, Math.min(PIECE, source.size - at));
    if (piece.length === 0) return;
    at += piece.length;
    yield piece;
  }
}

/** A stream whose first bytes can be looked at. */
export class Peeked implements AsyncIterable<Uint8Array> {
  head: Uint8Array = new Uint8Array(0);
  private readonly rest: AsyncIterator<Uint8Array>;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.rest = source[Symbol.asyncIterator]();
  }

  async peek(length: number): Promise<Uint8Array> {
    while (this.head.length < length) {
      const { done, value } = await this.rest.next();
      if (done) break;
      const longer = new Uint8Array(this.head.length + value.length);
      longer.set(this.head);
      longer.set(value, this.head.length);
      this.head = longer;
    }
    return this.head;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      if (this.head.length > 0) yield this.head;
      for (;;) {
        const { done, value } = await this.rest.next();
        if (done) return;
        yield value;
      }
    } finally {
      await this.rest.return?.();
    }
  }
}

/** A platform decompressor over a stream, with Node's back-pressure. */
export async function* inflate(
  source: AsyncIterable<Uint8Array>,
  format: 'gzip' | 'deflate' | 'deflate-raw',
): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  const readable = new ReadableStream<BufferSource>({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value as Uint8Array<ArrayBuffer>);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
  const reader = readable.pipeThrough(new DecompressionStream(format)).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

export async function inflateAll(bytes: Uint8Array, format: 'gzip' | 'deflate'): Promise<Uint8Array> {
  async function* once(): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  return collect(inflate(once(), format), Number.POSITIVE_INFINITY, '');
}

/** A stream as a whole. */
async function collect(source: AsyncIterable<Uint8Array>, most: number, input: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of source) {
    parts.push(part);
    size += part.length;
    if (size > most) {
      throw new TraceError(
        input,
        0,
        0,
        `a trace.dat of more than ${most} bytes through a pipe or compressed: give the plain file`,
      );
    }
  }
  return joined(parts);
}

/** A stream in memory, to be read at any place. */
export async function keep(source: AsyncIterable<Uint8Array>, input: string): Promise<RandomAccess> {
  return inMemory(await collect(source, MAX_KEPT, input));
}

/** A trace that is in memory as a whole, for `readTrace`. */
export function inMemory(bytes: Uint8Array): RandomAccess {
  checkBytes('bytes', bytes);
  return {
    size: bytes.length,
    read: async (offset, length) =>
      bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + length, bytes.length)),
  };
}
