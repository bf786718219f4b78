import { checkFunction, checkOptions, checkString, optionNames } from '../core/arguments.js';
import { compressionOf } from '../files/compression.js';
import { BatchWriter, type TraceBatch } from './batches/batch.js';
import { Gaps, TraceError } from './batches/completeness.js';
import {
  type Codecs,
  checkSource,
  inflate,
  isRandomAccess,
  keep,
  Peeked,
  pieces,
  type RandomAccess,
  type TraceSource,
} from './batches/source.js';
import { TextReader } from './formats/reader.js';
import { isTraceDat, readTraceDat, TRACE_DAT_MAGIC } from './trace-dat/index.js';

/** Reading an input of any format: bytes in, batches of columns out. */

export interface ReadOptions {
  /** Name of the input in errors and examples. Default `trace`. */
  name?: string;
  /** Decompressors that the platform lacks: zstd. */
  codecs?: Codecs;
}

/** Batches of one input in their order, and how complete it was, which is known at the end. */
export interface TraceReader extends AsyncIterable<TraceBatch> {
  /** What was read and what was not; final when the last batch was taken. */
  readonly gaps: Gaps;
}

/**
 * Reads a trace or log: ftrace text, trace-cmd report, perf script, trace.dat, kernel logs, debugfs dma-api/dump; plain,
 * gzip or zstd. The format is found from the content.
 *
 * Memory does not grow with the input, except for a trace.dat that comes as a stream: give that as RandomAccess.
 *
 * @param source the bytes, in pieces of any size
 * @throws TraceError while iterating: the input is none of these, or cannot be read on
 * @example
 * const reader = readTrace(createReadStream('trace.txt'));
 * for await (const batch of reader) audit.add(batch);
 * console.log(reader.gaps.lostEvents);
 */
export function readTrace(source: TraceSource, options: ReadOptions = {}): TraceReader {
  const given = checkOptions('options', options, optionNames<ReadOptions>({ name: true, codecs: true }));
  const codecs = checkOptions('codecs', given.codecs ?? {}, optionNames<Codecs>({ zstd: true, zstdStream: true }));
  for (const [name, codec] of Object.entries(codecs)) checkFunction(`codecs.${name}`, codec);
  checkSource(source);
  const gaps = new Gaps(checkString('name', given.name) ?? 'trace');
  return { gaps, [Symbol.asyncIterator]: () => batches(source, gaps, codecs) };
}

async function* batches(source: TraceSource, gaps: Gaps, codecs: Codecs): AsyncGenerator<TraceBatch> {
  const writer = new BatchWriter();
  let random: RandomAccess | null = isRandomAccess(source) ? source : null;
  const known = random ? compressionOf(await random.read(0, 4)) : null;
  // A decompressor may hold a piece while it reads the next; the reader of text does not.
  const plain = random ? pieces(random, known === 'none') : counted(source as AsyncIterable<Uint8Array>, gaps);
  let stream = new Peeked(plain);
  const compression = known ?? compressionOf(await stream.peek(4));
  if (random) gaps.bytes = random.size;
  if (compression !== 'none') {
    random = null;
    stream = new Peeked(mended(opened(stream, compression, gaps.input, codecs), gaps));
  }
  if (isTraceDat(await stream.peek(TRACE_DAT_MAGIC.length))) {
    gaps.formats.add('trace.dat');
    random ??= await keep(stream, gaps.input);
    yield* readTraceDat(random, writer, gaps, codecs);
  } else {
    const text = new TextReader(writer, gaps);
    for await (const piece of stream) {
      text.push(piece);
      yield* handed(writer, gaps);
    }
    text.end();
  }
  writer.cut();
  yield* handed(writer, gaps);
}

function* handed(writer: BatchWriter, gaps: Gaps): Generator<TraceBatch> {
  for (const batch of writer.take()) {
    gaps.events += batch.length;
    yield batch;
  }
}

async function* counted(source: AsyncIterable<Uint8Array>, gaps: Gaps): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    gaps.bytes += piece.length;
    yield piece;
  }
}

function opened(
  source: AsyncIterable<Uint8Array>,
  compression: 'gzip' | 'zstd',
  input: string,
  codecs: Codecs,
): AsyncIterable<Uint8Array> {
  if (compression === 'gzip') return inflate(source, 'gzip');
  if (codecs.zstdStream) return codecs.zstdStream(source);
  throw new TraceError(input, 0, 0, 'compressed with zstd, which needs `codecs.zstdStream`');
}

/** Compressed data that ends early or is damaged: the data before is used, and the report has the cut. */
async function* mended(source: AsyncIterable<Uint8Array>, gaps: Gaps): AsyncGenerator<Uint8Array> {
  let any = false;
  try {
    for await (const piece of source) {
      any = true;
      yield piece;
    }
  } catch (error) {
    if (error instanceof TraceError) throw error;
    if (!any) throw new TraceError(gaps.input, 0, 0, `cannot be decompressed: ${(error as Error).message}`);
    gaps.cutShort = true;
  }
}
