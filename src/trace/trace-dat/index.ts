import { type BatchWriter, EVENT, type TraceBatch } from '../batches/batch.js';
import type { Gaps } from '../batches/completeness.js';
import { type Codecs, pieces, type RandomAccess } from '../batches/source.js';
import { TextReader } from '../formats/reader.js';
import { EventBody } from '../text/body.js';
import { ByteCursor, readExactly } from './bytes.js';
import { type CpuData, decompress, readHeader, type TraceDatHeader } from './header.js';
import { RecordReader } from './record.js';
import { RingReader } from './ring.js';

/** trace.dat, the file of trace-cmd: each CPU's pages of the ring buffer, merged by time. */

export const TRACE_DAT_MAGIC = [0x17, 0x08, 0x44, ...Array.from('tracing', (c) => c.charCodeAt(0))];
/** Bytes of uncompressed pages that are read at once. */
const READ_AHEAD = 1 << 16;
const MAX_CHUNK = 1 << 26;

export function isTraceDat(head: Uint8Array): boolean {
  return TRACE_DAT_MAGIC.every((byte, i) => head[i] === byte);
}

/** The pages of one CPU. */
class CpuStream {
  readonly cpu: number;
  readonly ring: RingReader;
  /** Whether `ring` stands at a record. */
  alive = true;
  private readonly source: RandomAccess;
  private readonly header: TraceDatHeader;
  private readonly input: string;
  private readonly codecs: Codecs;
  private at: number;
  private readonly end: number;
  private chunks = -1;
  private pages: Uint8Array = new Uint8Array(0);
  private pageAt = 0;

  constructor(data: CpuData, source: RandomAccess, header: TraceDatHeader, input: string, codecs: Codecs) {
    this.cpu = data.cpu;
    this.source = source;
    this.header = header;
    this.input = input;
    this.codecs = codecs;
    this.at = data.offset;
    this.end = data.offset + data.size;
    this.ring = new RingReader(header.page, header.little, input);
  }

  /** Goes to the next record, which may be on a page that is not read yet. */
  async advance(gaps: Gaps, writer: BatchWriter): Promise<void> {
    while (!this.ring.next()) {
      if (this.pageAt >= this.pages.length) {
        this.pages = await this.more();
        this.pageAt = 0;
        if (this.pages.length === 0) {
          this.alive = false;
          return;
        }
      }
      const size = this.header.pageSize;
      this.ring.open(this.pages.subarray(this.pageAt, this.pageAt + size));
      this.pageAt += size;
      if (this.ring.lost === 0) continue;
      // Without a number the count is not known: at least one.
      const lost = Math.max(1, this.ring.lost);
      gaps.lostEvents += lost;
      const row = writer.row(EVENT.LOST, Number.NaN, this.cpu, 0);
      writer.columns.size[row] = lost;
    }
  }

  private async more(): Promise<Uint8Array> {
    const { header, input } = this;
    const { pageSize } = header;
    if (header.compression === '') {
      // A file that was cut has whole pages before the cut.
      const left = Math.min(this.end, this.source.size) - this.at;
      const pages = Math.floor(Math.min(left, Math.max(READ_AHEAD, pageSize)) / pageSize);
      if (pages <= 0) return new Uint8Array(0);
      const bytes = await readExactly(this.source, this.at, pages * pageSize, input);
      this.at += bytes.length;
      return bytes;
    }
    if (this.chunks < 0) {
      if (this.at >= this.end) return new Uint8Array(0);
      this.chunks = new ByteCursor(await readExactly(this.source, this.at, 4, input), header.little, input).u32();
      this.at += 4;
    }
    if (this.chunks === 0) return new Uint8Array(0);
    --this.chunks;
    const head = new ByteCursor(await readExactly(this.source, this.at, 8, input), header.little, input);
    const packed = head.u32();
    const plain = Math.min(head.u32(), MAX_CHUNK);
    const bytes = await readExactly(this.source, this.at + 8, packed, input);
    this.at += 8 + packed;
    return decompress(header.compression, bytes, plain, input, this.codecs);
  }
}

export async function* readTraceDat(
  source: RandomAccess,
  writer: BatchWriter,
  gaps: Gaps,
  codecs: Codecs,
): AsyncGenerator<TraceBatch> {
  const header = await readHeader(source, gaps.input, codecs);
  gaps.lostEvents += header.lost;
  if (header.text) {
    const text = new TextReader(writer, gaps);
    const part: RandomAccess = {
      size: Math.min(header.text.size, source.size - header.text.offset),
      read: (offset, length) => source.read(header.text!.offset + offset, length),
    };
    for await (const piece of pieces(part)) {
      text.push(piece);
      yield* rows(writer, gaps);
    }
    text.end();
    return;
  }
  const merge = new Merge(header, source, writer, gaps, codecs);
  await merge.start();
  while (await merge.step()) yield* rows(writer, gaps);
}

function* rows(writer: BatchWriter, gaps: Gaps): Generator<TraceBatch> {
  for (const batch of writer.take()) {
    gaps.events += batch.length;
    yield batch;
  }
}

/** The CPUs' streams as one, in the order of time. */
class Merge {
  private readonly header: TraceDatHeader;
  private readonly writer: BatchWriter;
  private readonly gaps: Gaps;
  private readonly body = new EventBody();
  private readonly streams: CpuStream[];
  /** By event number. */
  private readonly readers: (RecordReader | undefined)[] = [];
  private readonly tasks = new Map<number, number>();

  constructor(header: TraceDatHeader, source: RandomAccess, writer: BatchWriter, gaps: Gaps, codecs: Codecs) {
    this.header = header;
    this.writer = writer;
    this.gaps = gaps;
    this.streams = header.cpus.map((data) => new CpuStream(data, source, header, gaps.input, codecs));
    for (const format of header.events) {
      if (format.id < 1 << 16) this.readers[format.id] = new RecordReader(format, header.little);
    }
  }

  async start(): Promise<void> {
    for (const stream of this.streams) await stream.advance(this.gaps, this.writer);
  }

  /** Reads the earliest stream up to the time of the next one. Returns false at the end. */
  async step(): Promise<boolean> {
    let first: CpuStream | null = null;
    let until = Number.POSITIVE_INFINITY;
    for (const stream of this.streams) {
      if (!stream.alive) continue;
      if (first === null || stream.ring.time < first.ring.time) {
        if (first !== null) until = Math.min(until, first.ring.time);
        first = stream;
      } else until = Math.min(until, stream.ring.time);
    }
    if (first === null) return false;
    const { ring } = first;
    do {
      this.record(first);
      // Within a page there is nothing to wait for.
      if (!ring.next()) await first.advance(this.gaps, this.writer);
    } while (first.alive && ring.time <= until);
    return true;
  }

  private record({ cpu, ring }: CpuStream): void {
    const { view } = ring.page;
    if (ring.length < 8) return;
    const id = view.getUint16(ring.at, this.header.little);
    const reader = this.readers[id];
    if (reader?.rule === undefined || ring.length < reader.least) {
      this.gaps.other(reader?.name ?? `event ${id}`);
      return;
    }
    const header = { time: ring.time, cpu, task: this.task(reader.pidOf(view, ring.at)) };
    const lack = reader.read(
      ring.page,
      ring.at,
      ring.length,
      { writer: this.writer, gaps: this.gaps, body: this.body },
      header,
    );
    if (lack !== '') this.gaps.notUnderstood(0, 0, lack, reader.name);
  }

  private task(pid: number): number {
    let task = this.tasks.get(pid);
    if (task === undefined) {
      const name = pid === 0 ? '<idle>' : (this.header.tasks.get(pid) ?? '<...>');
      task = this.writer.strings.of(`${name}-${pid}`);
      this.tasks.set(pid, task);
    }
    return task;
  }
}
