import { TraceError } from '../batches/completeness.js';
import { type Codecs, inflateAll, type RandomAccess } from '../batches/source.js';
import { ByteCursor, latin1, readExactly } from './bytes.js';
import { type EventFormat, type PageFormat, parseEventFormat, parsePageFormat } from './event-format.js';

/**
 * The head of a trace.dat (trace-cmd.dat.v6(5), trace-cmd.dat.v7(5)): the layout of pages and events, names of tasks, and
 * where each CPU's pages are. In version 6 all of that stands in order; in version 7 it is in sections that options point to.
 */

export interface CpuData {
  cpu: number;
  offset: number;
  size: number;
}

export interface TraceDatHeader {
  little: boolean;
  pageSize: number;
  page: PageFormat;
  events: EventFormat[];
  tasks: Map<number, string>;
  cpus: CpuData[];
  /** How pages are compressed; '' for not at all. */
  compression: string;
  /** Text of the ring buffer in place of pages (latency tracers). */
  text: { offset: number; size: number } | null;
  /** Overruns and dropped events that the tracer counted (CPUSTAT). */
  lost: number;
}

const OPTION = {
  DONE: 0,
  CPUSTAT: 2,
  BUFFER: 3,
  HEADER_INFO: 16,
  FTRACE_EVENTS: 17,
  EVENT_FORMATS: 18,
  CMDLINES: 21,
  BUFFER_TEXT: 22,
};
const MAX_SECTION = 1 << 28;
const MAX_COUNT = 1 << 16;

export async function readHeader(source: RandomAccess, input: string, codecs: Codecs): Promise<TraceDatHeader> {
  const head = await readExactly(source, 0, Math.min(source.size, 4096), input);
  const first = new ByteCursor(head, true, input);
  first.at = 10;
  const version = first.string();
  const little = first.take(1)[0] === 0;
  first.take(1);
  const cursor = new ByteCursor(head, little, input);
  cursor.at = first.at;
  const header: TraceDatHeader = {
    ...{ little, pageSize: cursor.u32(), page: { commitOffset: 8, commitSize: 8, dataOffset: 16 } },
    ...{ events: [], tasks: new Map(), cpus: [], compression: '', text: null, lost: 0 },
  };
  if (version === '6') await readVersion6(source, input, header, cursor.at);
  else if (version === '7') {
    const compression = cursor.string();
    cursor.string();
    header.compression = compression === 'none' ? '' : compression;
    await new Sections(source, input, header, codecs).options(cursor.u64());
  } else throw new TraceError(input, 0, 0, `trace.dat of version '${version}'; versions 6 and 7 are read`);
  if (!(header.pageSize >= 64 && header.pageSize <= 1 << 24)) {
    throw new TraceError(input, 0, 0, `trace.dat: pages of ${header.pageSize} bytes`);
  }
  return header;
}

function headerInfo(cursor: ByteCursor, header: TraceDatHeader): void {
  cursor.string();
  header.page = parsePageFormat(latin1.decode(cursor.take(cursor.u64())));
  cursor.string();
  cursor.take(cursor.u64());
}

function ftraceEvents(cursor: ByteCursor, header: TraceDatHeader): void {
  for (let n = cursor.u32(); n > 0; --n) addEvent(header, 'ftrace', cursor.take(cursor.u64()));
}

function eventFormats(cursor: ByteCursor, header: TraceDatHeader): void {
  for (let systems = cursor.u32(); systems > 0; --systems) {
    const system = cursor.string();
    for (let n = cursor.u32(); n > 0; --n) addEvent(header, system, cursor.take(cursor.u64()));
  }
}

function addEvent(header: TraceDatHeader, system: string, text: Uint8Array): void {
  const format = parseEventFormat(system, latin1.decode(text));
  if (format) header.events.push(format);
}

/** `1234 name` lines of saved_cmdlines. */
function commandLines(text: Uint8Array, header: TraceDatHeader): void {
  for (const line of latin1.decode(text).split('\n')) {
    const space = line.indexOf(' ');
    if (space > 0) header.tasks.set(Number(line.slice(0, space)), line.slice(space + 1));
  }
}

/** `overrun: 12`, `dropped events: 3` of per_cpu/cpuN/stats. */
function cpuStatistics(text: string, header: TraceDatHeader): void {
  for (const [, count] of text.matchAll(/^(?:overrun|dropped events):\s*(\d+)/gm)) header.lost += Number(count);
}

async function readVersion6(source: RandomAccess, input: string, header: TraceDatHeader, from: number): Promise<void> {
  // The head is some megabytes at most: kallsyms is the largest part.
  const bytes = await readExactly(source, from, Math.min(source.size - from, 1 << 26), input);
  const cursor = new ByteCursor(bytes, header.little, input);
  headerInfo(cursor, header);
  ftraceEvents(cursor, header);
  eventFormats(cursor, header);
  cursor.take(cursor.u32()); // kallsyms
  cursor.take(cursor.u32()); // printk formats
  commandLines(cursor.take(cursor.u64()), header);
  const cpus = cursor.u32();
  if (cpus > MAX_COUNT) throw new TraceError(input, 0, 0, `trace.dat: ${cpus} CPUs`);
  for (;;) {
    const kind = latin1.decode(cursor.take(10));
    if (kind.startsWith('options')) {
      for (let id = cursor.u16(); id !== OPTION.DONE; id = cursor.u16()) {
        const data = cursor.take(cursor.u32());
        if (id === OPTION.CPUSTAT) cpuStatistics(latin1.decode(data), header);
      }
    } else if (kind.startsWith('latency')) {
      const offset = from + cursor.at;
      header.text = { offset, size: source.size - offset };
      return;
    } else if (kind.startsWith('flyrecord')) break;
    else
      throw new TraceError(
        input,
        0,
        0,
        `trace.dat: '${kind.replace(/[^ -~]/g, '?')}' where options or data are expected`,
      );
  }
  for (let cpu = 0; cpu < cpus; ++cpu) header.cpus.push({ cpu, offset: cursor.u64(), size: cursor.u64() });
}

/** The sections of version 7. */
class Sections {
  private readonly source: RandomAccess;
  private readonly input: string;
  private readonly header: TraceDatHeader;
  private readonly codecs: Codecs;

  constructor(source: RandomAccess, input: string, header: TraceDatHeader, codecs: Codecs) {
    this.source = source;
    this.input = input;
    this.header = header;
    this.codecs = codecs;
  }

  async options(first: number): Promise<void> {
    const seen = new Set<number>();
    for (let offset = first; offset !== 0; ) {
      if (seen.has(offset)) throw new TraceError(this.input, 0, 0, 'trace.dat: the options lead in a circle');
      seen.add(offset);
      const cursor = await this.section(offset);
      offset = 0;
      while (!cursor.done) {
        const id = cursor.u16();
        const data = new ByteCursor(cursor.take(cursor.u32()), this.header.little, this.input);
        if (id === OPTION.DONE) {
          offset = data.u64();
          break;
        }
        await this.option(id, data);
      }
    }
  }

  private async option(id: number, data: ByteCursor): Promise<void> {
    const { header } = this;
    switch (id) {
      case OPTION.CPUSTAT:
        cpuStatistics(latin1.decode(data.bytes), header);
        return;
      case OPTION.HEADER_INFO:
        headerInfo(await this.section(data.u64()), header);
        return;
      case OPTION.FTRACE_EVENTS:
        ftraceEvents(await this.section(data.u64()), header);
        return;
      case OPTION.EVENT_FORMATS:
        eventFormats(await this.section(data.u64()), header);
        return;
      case OPTION.CMDLINES: {
        const section = await this.section(data.u64());
        commandLines(section.take(section.u64()), header);
        return;
      }
      case OPTION.BUFFER_TEXT: {
        const offset = data.u64();
        const { size } = await this.sectionHead(offset);
        header.text = { offset: offset + 16, size };
        return;
      }
      case OPTION.BUFFER:
        this.buffer(data);
    }
  }

  private buffer(data: ByteCursor): void {
    const { header } = this;
    data.u64();
    data.string();
    data.string();
    header.pageSize = data.u32();
    for (let n = data.u32(); n > 0; --n) header.cpus.push({ cpu: data.u32(), offset: data.u64(), size: data.u64() });
  }

  private async sectionHead(offset: number): Promise<{ compressed: boolean; size: number }> {
    const head = new ByteCursor(await readExactly(this.source, offset, 16, this.input), this.header.little, this.input);
    head.u16();
    const flags = head.u16();
    head.u32();
    return { compressed: (flags & 1) !== 0, size: head.u64() };
  }

  private async section(offset: number): Promise<ByteCursor> {
    const { compressed, size } = await this.sectionHead(offset);
    if (size > MAX_SECTION) throw new TraceError(this.input, 0, 0, `trace.dat: a section of ${size} bytes`);
    let bytes = await readExactly(this.source, offset + 16, size, this.input);
    if (compressed) {
      const head = new ByteCursor(bytes, this.header.little, this.input);
      const packed = head.u32();
      const plain = head.u32();
      if (plain > MAX_SECTION) throw new TraceError(this.input, 0, 0, `trace.dat: a section of ${plain} bytes`);
      bytes = await decompress(this.header.compression, head.take(packed), plain, this.input, this.codecs);
    }
    return new ByteCursor(bytes, this.header.little, this.input);
  }
}

/** A compressed piece of the file. @throws TraceError when it is damaged, or zstd without a codec for it */
export async function decompress(
  compression: string,
  bytes: Uint8Array,
  size: number,
  input: string,
  codecs: Codecs,
): Promise<Uint8Array> {
  try {
    if (compression === 'zlib') return await inflateAll(bytes, 'deflate');
    if (compression === 'zstd' && codecs.zstd) return codecs.zstd(bytes, size);
  } catch (error) {
    throw new TraceError(input, 0, 0, `trace.dat: a compressed part is damaged: ${(error as Error).message}`);
  }
  const lack = compression === 'zstd' ? ', which needs `codecs.zstd`' : '; zstd, zlib and none are read';
  throw new TraceError(input, 0, 0, `trace.dat compressed with '${compression}'${lack}`);
}
