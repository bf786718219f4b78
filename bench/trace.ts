import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Audit } from 'gemdma/trace';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE, PAGE_SIZE as PAGE } from '#contract';

/**
 * Events a second from a file to its audit, with the reader in a worker as on the command line, and the most memory that the
 * process took. The files are made here: a network card's receive ring of 256 buffers and packets to send, four events for each
 * mapping, as ftrace text and as trace.dat.
 *
 *   npm run bench:trace [-- --mb 100]
 */

const { values } = parseArgs({ options: { mb: { type: 'string', default: '100' } } });
const megabytes = Number(values.mb);
const { readInput } = (await import(new URL('../../dist/cli/trace-input.js', import.meta.url).href)) as {
  readInput(
    file: string,
    take: (batch: never) => void,
    options: { signal: AbortSignal },
  ): Promise<{ events?: number; message?: string }>;
};

interface Sink {
  map(cpu: number, time: number, iova: number, physical: number, size: number, direction: number): void;
  unmap(cpu: number, time: number, iova: number, size: number, direction: number): void;
  bytes(): number;
}

const DEVICE = '0000:03:00.0';
const RING = 256;

/** Calls until the sink has so many bytes. */
function drive(sink: Sink, bytes: number): void {
  let time = 1e9;
  const frame = (n: number): number => 0x100000000 + (n % 100_000) * 4096;
  const ring = Array.from({ length: RING }, (_, i) => 0xfff00000 - i * 4096);
  ring.forEach((iova, i) => void sink.map(0, (time += 700), iova, frame(i), 1522, 2));
  for (let n = 0; sink.bytes() < bytes; ++n) {
    const slot = n % RING;
    sink.unmap(0, (time += 900), ring[slot], 1522, 2);
    sink.map(0, (time += 400), ring[slot], frame(n * 7), 1522, 2);
    const packet = 0xffd00000 - (n % 64) * 4096;
    sink.map(1, (time += 500), packet, frame(n * 3 + 50_000), 60 + (n % 1400), 1);
    sink.unmap(1, (time += 800), packet, 60 + (n % 1400), 1);
  }
}

class Text implements Sink {
  private readonly fd: number;
  private lines: string[] = [];
  private written = 0;

  constructor(file: string) {
    this.fd = openSync(file, 'w');
    this.lines.push('# tracer: nop\n#\n');
  }

  private line(cpu: number, time: number, text: string): void {
    const task = cpu === 0 ? '<idle>-0' : `iperf3-${4242}`;
    this.lines.push(`${task.padStart(20)}      [00${cpu}] ..s.. ${(time / 1e9).toFixed(6).padStart(12)}: ${text}\n`);
    if (this.lines.length >= 4096) this.flush();
  }

  flush(): void {
    this.written += writeSync(this.fd, this.lines.join(''));
    this.lines = [];
  }

  close(): void {
    this.flush();
    closeSync(this.fd);
  }

  bytes(): number {
    return this.written;
  }

  map(cpu: number, time: number, iova: number, physical: number, size: number, direction: number): void {
    const hex = (value: number): string => value.toString(16).padStart(16, '0');
    this.line(cpu, time, `map: IOMMU: iova=0x${hex(iova)} - 0x${hex(iova + 4096)} paddr=0x${hex(physical)} size=4096`);
    this.line(
      cpu,
      time + 100,
      `dma_map_page: ${DEVICE} dir=${DIRECTIONS[direction]} dma_addr=${iova.toString(16)} size=${size} phys_addr=${physical.toString(16)} attrs=`,
    );
  }

  unmap(cpu: number, time: number, iova: number, size: number, direction: number): void {
    const hex = (value: number): string => value.toString(16).padStart(16, '0');
    this.line(cpu, time, `unmap: IOMMU: iova=0x${hex(iova)} - 0x${hex(iova + 4096)} size=4096 unmapped_size=4096`);
    this.line(
      cpu,
      time + 100,
      `dma_unmap_page: ${DEVICE} dir=${DIRECTIONS[direction]} dma_addr=${iova.toString(16)} size=${size} attrs=`,
    );
  }
}

const DIRECTIONS: Readonly<Record<number, string>> = {
  [DMA_BIDIRECTIONAL]: 'BIDIRECTIONAL',
  [DMA_TO_DEVICE]: 'TO_DEVICE',
  [DMA_FROM_DEVICE]: 'FROM_DEVICE',
};

/** Fields of the events of trace.dat: name, offset, size; `*` for data elsewhere in the record. */
const EVENTS: readonly [system: string, name: string, id: number, fields: readonly [string, number, number][]][] = [
  [
    'iommu',
    'map',
    506,
    [
      ['iova', 8, 8],
      ['paddr', 16, 8],
      ['size', 24, 8],
    ],
  ],
  [
    'iommu',
    'unmap',
    505,
    [
      ['iova', 8, 8],
      ['size', 16, 8],
      ['unmapped_size', 24, 8],
    ],
  ],
  [
    'dma',
    'dma_map_page',
    151,
    [
      ['*device', 8, 4],
      ['phys_addr', 16, 8],
      ['dma_addr', 24, 8],
      ['size', 32, 8],
      ['dir', 40, 4],
      ['attrs', 48, 8],
    ],
  ],
  [
    'dma',
    'dma_unmap_page',
    149,
    [
      ['*device', 8, 4],
      ['addr', 16, 8],
      ['size', 24, 8],
      ['dir', 32, 4],
      ['attrs', 40, 8],
    ],
  ],
];

/** A version 6 file: the head, then the pages of CPU 0, then those of CPU 1. */
class Dat implements Sink {
  private readonly pages: Buffer[][] = [[], []];
  private readonly page: (Buffer | null)[] = [null, null];
  private readonly fill = [0, 0];
  private readonly last = [0, 0];
  private size = 0;

  private record(cpu: number, time: number, length: number): { page: Buffer; at: number } {
    let page = this.page[cpu];
    if (page === null || this.fill[cpu] + 4 + length > PAGE) {
      if (page !== null) page.writeBigUInt64LE(BigInt(this.fill[cpu] - 16), 8);
      page = Buffer.alloc(PAGE);
      page.writeBigUInt64LE(BigInt(time), 0);
      this.pages[cpu].push(page);
      this.page[cpu] = page;
      this.fill[cpu] = 16;
      this.last[cpu] = time;
      this.size += PAGE;
    }
    const at = this.fill[cpu];
    page.writeUInt32LE(((time - this.last[cpu]) * 32 + length / 4) >>> 0, at);
    this.last[cpu] = time;
    this.fill[cpu] = at + 4 + length;
    return { page, at: at + 4 };
  }

  bytes(): number {
    return this.size;
  }

  private head(page: Buffer, at: number, id: number, cpu: number): void {
    page.writeUInt16LE(id, at);
    page.writeInt32LE(cpu === 0 ? 0 : 4242, at + 4);
  }

  private number(page: Buffer, at: number, value: number): void {
    page.writeUInt32LE(value % 2 ** 32, at);
    page.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
  }

  private device(page: Buffer, at: number, field: number, length: number): void {
    page.writeUInt32LE(((DEVICE.length + 1) << 16) | (length - 16), at + field);
    page.write(DEVICE, at + length - 16, 'latin1');
  }

  map(cpu: number, time: number, iova: number, physical: number, size: number, direction: number): void {
    let { page, at } = this.record(cpu, time, 32);
    this.head(page, at, 506, cpu);
    this.number(page, at + 8, iova);
    this.number(page, at + 16, physical);
    this.number(page, at + 24, 4096);
    ({ page, at } = this.record(cpu, time + 100, 72));
    this.head(page, at, 151, cpu);
    this.device(page, at, 8, 72);
    this.number(page, at + 16, physical);
    this.number(page, at + 24, iova);
    this.number(page, at + 32, size);
    page.writeUInt32LE(direction, at + 40);
  }

  unmap(cpu: number, time: number, iova: number, size: number, direction: number): void {
    let { page, at } = this.record(cpu, time, 32);
    this.head(page, at, 505, cpu);
    this.number(page, at + 8, iova);
    this.number(page, at + 16, 4096);
    this.number(page, at + 24, 4096);
    ({ page, at } = this.record(cpu, time + 100, 64));
    this.head(page, at, 149, cpu);
    this.device(page, at, 8, 64);
    this.number(page, at + 16, iova);
    this.number(page, at + 24, size);
    page.writeUInt32LE(direction, at + 32);
  }

  write(file: string): void {
    for (const cpu of [0, 1]) this.page[cpu]?.writeBigUInt64LE(BigInt(this.fill[cpu] - 16), 8);
    const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);
    const u64 = (value: number): Buffer => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
    const page =
      'field: u64 timestamp; offset:0; size:8; signed:0;\nfield: local_t commit; offset:8; size:8; signed:1;\nfield: char data; offset:16; size:4080; signed:1;\n';
    const parts = [Buffer.from([0x17, 8, 0x44]), Buffer.from('tracing6\0'), Buffer.from([0, 8]), u32(PAGE)];
    parts.push(
      Buffer.from('header_page\0'),
      u64(page.length),
      Buffer.from(page),
      Buffer.from('header_event\0'),
      u64(0),
      u32(0),
    );
    parts.push(u32(EVENTS.length));
    for (const [system, name, id, fields] of EVENTS) {
      const text = `name: ${name}\nID: ${id}\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n${fields
        .map(
          ([field, offset, size]) =>
            `\tfield:${field.startsWith('*') ? '__data_loc char[] ' : 'u64 '}${field.replace('*', '')};\toffset:${offset};\tsize:${size};\tsigned:0;\n`,
        )
        .join('')}`;
      parts.push(Buffer.from(`${system}\0`), u32(1), u64(text.length), Buffer.from(text));
    }
    const tasks = '4242 iperf3\n';
    parts.push(u32(0), u32(0), u64(tasks.length), Buffer.from(tasks), u32(2), Buffer.from('flyrecord\0'));
    const head = Buffer.concat(parts);
    const first = Math.ceil((head.length + 32) / PAGE) * PAGE;
    const sizes = this.pages.map((list) => list.length * PAGE);
    const table = Buffer.concat([u64(first), u64(sizes[0]), u64(first + sizes[0]), u64(sizes[1])]);
    const fd = openSync(file, 'w');
    writeSync(fd, Buffer.concat([head, table, Buffer.alloc(first - head.length - table.length)]));
    for (const list of this.pages)
      for (let i = 0; i < list.length; i += 256) writeSync(fd, Buffer.concat(list.slice(i, i + 256)));
    closeSync(fd);
  }
}

/** Nanoseconds of CPU that the barest loop takes for a byte, on this machine in this minute. */
function bareLoop(): number {
  const bytes = new Uint8Array(1 << 24).map((_, i) => 32 + (i % 90));
  let best = Number.POSITIVE_INFINITY;
  let sum = 0;
  for (let round = 0; round < 5; ++round) {
    const before = process.cpuUsage();
    for (let i = 0, hash = 0; i < bytes.length; ++i) {
      if (bytes[i] === 32) sum += hash;
      hash = bytes[i] === 32 ? 0 : (Math.imul(hash, 31) + bytes[i]) | 0;
    }
    best = Math.min(best, (process.cpuUsage(before).user * 1000) / bytes.length);
  }
  return sum === 0.5 ? 0 : best;
}

async function measure(what: string, file: string): Promise<void> {
  const bare = bareLoop();
  const audit = new Audit();
  const started = performance.now();
  const cpu = process.cpuUsage();
  const { events, message } = await readInput(file, (batch) => audit.add(batch), {
    signal: new AbortController().signal,
  });
  if (events === undefined) throw new Error(message);
  const result = audit.result();
  const seconds = (performance.now() - started) / 1000;
  const used = process.cpuUsage(cpu);
  const cores = (used.user + used.system) / 1e6 / seconds;
  const size = statSync(file).size / 1e6;
  const memory = process.resourceUsage().maxRSS / 1024;
  console.log(
    `${what.padEnd(12)} ${size.toFixed(0).padStart(6)} MB ${(events / 1e6).toFixed(2).padStart(6)} M events ` +
      `${(events / seconds / 1e6).toFixed(2).padStart(6)} M/s on ${cores.toFixed(2)} cores, ` +
      `${(events / ((used.user + used.system) / 1e6) / 1e6).toFixed(2)} M per CPU second, most memory ${memory.toFixed(0)} MB, ` +
      `${result.suspectCount} suspects; CPU per byte ${(((used.user + used.system) * 1000) / statSync(file).size / bare).toFixed(1)} x a bare loop (${bare.toFixed(2)} ns)`,
  );
}

const folder = mkdtempSync(join(tmpdir(), 'gemdma-bench-'));
try {
  const text = join(folder, 'trace.txt');
  const writer = new Text(text);
  drive(writer, megabytes * 1e6);
  writer.close();
  await measure('ftrace text', text);
  rmSync(text);
  const dat = join(folder, 'trace.dat');
  const binary = new Dat();
  drive(binary, Math.min(megabytes, 300) * 0.4e6);
  binary.write(dat);
  await measure('trace.dat', dat);
} finally {
  rmSync(folder, { recursive: true });
}
