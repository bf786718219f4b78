import { deflateSync } from 'node:zlib';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';

/** Writes trace.dat files of either version, byte order and kernel word size, as trace-cmd.dat.v6(5) and v7(5) have them. */

export interface DatRecord {
  cpu: number;
  /** Nanoseconds. */
  time: number;
  pid: number;
  event: 'map' | 'dma_unmap_sg' | 'sched_switch';
  iova?: bigint;
  paddr?: bigint;
  size?: number;
  device?: string;
  addrs?: bigint[];
  dir?: number;
}

export interface DatOptions {
  version: 6 | 7;
  little: boolean;
  compression?: 'none' | 'zlib';
  /** Events lost before the second page of each CPU. */
  lost?: number;
}

class Out {
  bytes: number[] = [];
  readonly little: boolean;

  constructor(little: boolean) {
    this.little = little;
  }

  number(value: bigint | number, size: number): this {
    const wide = BigInt.asUintN(64, BigInt(value));
    const bytes = Array.from({ length: size }, (_, i) => Number((wide >> BigInt(8 * i)) & 255n));
    this.bytes.push(...(this.little ? bytes : bytes.reverse()));
    return this;
  }

  text(text: string): this {
    this.bytes.push(...Buffer.from(text, 'latin1'));
    return this;
  }

  raw(bytes: Iterable<number>): this {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }
}

const COMMON = `format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;
`;
const FORMATS: Record<string, [string, number, string]> = {
  map: [
    'iommu',
    506,
    '\tfield:u64 iova;\toffset:8;\tsize:8;\tsigned:0;\n\tfield:u64 paddr;\toffset:16;\tsize:8;\tsigned:0;\n\tfield:size_t size;\toffset:24;\tsize:8;\tsigned:0;\n',
  ],
  dma_unmap_sg: [
    'dma',
    138,
    '\tfield:__data_loc char[] device;\toffset:8;\tsize:4;\tsigned:0;\n\tfield:__data_loc u64[] addrs;\toffset:12;\tsize:4;\tsigned:0;\n\tfield:enum dma_data_direction dir;\toffset:16;\tsize:4;\tsigned:0;\n',
  ],
  sched_switch: ['sched', 300, ''],
};

function record(it: DatRecord, little: boolean): number[] {
  const out = new Out(little).number(FORMATS[it.event][1], 2).number(0, 2).number(it.pid, 4);
  if (it.event === 'map') out.number(it.iova!, 8).number(it.paddr!, 8).number(it.size!, 8);
  if (it.event === 'dma_unmap_sg') {
    const name = [...Buffer.from(it.device!, 'latin1'), 0];
    const addrs = it.addrs!;
    out
      .number((name.length << 16) | 24, 4)
      .number(((addrs.length * 8) << 16) | (24 + name.length), 4)
      .number(it.dir!, 4)
      .number(0, 4);
    out.raw(name);
    for (const addr of addrs) out.number(addr, 8);
  }
  while (out.bytes.length % 4 !== 0) out.bytes.push(0);
  return out.bytes;
}

/** Pages of one CPU's records: a time extension where the delta has more than 27 bits, at most `perPage` records a page. */
function pages(records: DatRecord[], { little, lost = 0 }: DatOptions, perPage = 3): number[] {
  const all: number[] = [];
  for (let at = 0; at < records.length; at += perPage) {
    const part = records.slice(at, at + perPage);
    const data = new Out(little);
    let clock = part[0].time;
    const word = (type: number, delta: number): void => {
      data.number(little ? type | (delta << 5) : (type << 27) | delta, 4);
    };
    for (const it of part) {
      let delta = it.time - clock;
      if (delta >= 2 ** 27) {
        word(30, delta % 2 ** 27);
        data.number(Math.floor(delta / 2 ** 27), 4);
        delta = 0;
      }
      clock = it.time;
      const bytes = record(it, little);
      if (bytes.length <= 112) word(bytes.length / 4, delta);
      else {
        word(0, delta);
        data.number(bytes.length + 4, 4);
      }
      data.raw(bytes);
    }
    const missed = lost > 0 && at > 0;
    const flags = missed ? 0xc0000000 : 0;
    const page = new Out(little)
      .number(part[0].time, 8)
      .number(BigInt(data.bytes.length) | BigInt(flags), 8)
      .raw(data.bytes);
    if (missed) page.number(lost, 8);
    while (page.bytes.length < PAGE) page.bytes.push(0);
    all.push(...page.bytes);
  }
  return all;
}

export function writeTraceDat(records: DatRecord[], options: DatOptions): Uint8Array {
  const { little, version } = options;
  const compression = options.compression ?? 'none';
  const out = new Out(little)
    .raw([0x17, 8, 0x44])
    .text(`tracing${version}\0`)
    .raw([little ? 0 : 1, 8])
    .number(PAGE, 4);
  const headerPage =
    '\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n';
  const info = new Out(little)
    .text('header_page\0')
    .number(headerPage.length, 8)
    .text(headerPage)
    .text('header_event\0')
    .number(0, 8);
  const ftrace = new Out(little).number(0, 4);
  const events = new Out(little).number(Object.keys(FORMATS).length, 4);
  for (const [name, [system, id, fields]] of Object.entries(FORMATS)) {
    const text = `name: ${name}\nID: ${id}\n${COMMON}\n${fields}\nprint fmt: ""\n`;
    events.text(`${system}\0`).number(1, 4).number(text.length, 8).text(text);
  }
  const commands = '83 dd\n41 scsi_eh_0\n';
  const cpus = [...new Set(records.map(({ cpu }) => cpu))].sort((a, b) => a - b);
  const data = cpus.map((cpu) =>
    pages(
      records.filter((it) => it.cpu === cpu),
      options,
    ),
  );
  const align = (): void => {
    while (out.bytes.length % PAGE !== 0) out.bytes.push(0);
  };
  if (version === 6) {
    out
      .raw(info.bytes)
      .raw(ftrace.bytes)
      .raw(events.bytes)
      .number(0, 4)
      .number(0, 4)
      .number(commands.length, 8)
      .text(commands);
    out.number(cpus.length, 4).text('options  \0').number(0, 2).text('flyrecord\0');
    const table = out.bytes.length;
    out.raw(new Array(cpus.length * 16).fill(0));
    data.forEach((bytes, i) => {
      align();
      const entry = new Out(little).number(out.bytes.length, 8).number(bytes.length, 8).bytes;
      out.bytes.splice(table + i * 16, 16, ...entry);
      out.raw(bytes);
    });
    return Uint8Array.from(out.bytes);
  }
  out.text(`${compression}\0${compression === 'none' ? '' : '1.0'}\0`);
  const optionsAt = out.bytes.length;
  out.number(0, 8);
  const section = (id: number, bytes: number[]): number => {
    const at = out.bytes.length;
    let body = bytes;
    if (compression !== 'none') {
      const packed = [...deflateSync(Uint8Array.from(bytes))];
      body = new Out(little).number(packed.length, 4).number(bytes.length, 4).raw(packed).bytes;
    }
    out
      .number(id, 2)
      .number(compression === 'none' ? 0 : 1, 2)
      .number(0, 4)
      .number(body.length, 8)
      .raw(body);
    return at;
  };
  const places: [number, number][] = [
    [16, section(16, info.bytes)],
    [17, section(17, ftrace.bytes)],
    [18, section(18, events.bytes)],
    [21, section(21, new Out(little).number(commands.length, 8).text(commands).bytes)],
  ];
  const bufferAt = out.bytes.length;
  out
    .number(3, 2)
    .number(compression === 'none' ? 0 : 1, 2)
    .number(0, 4)
    .number(0, 8);
  const cpuPlaces = data.map((bytes) => {
    let body = bytes;
    if (compression === 'none') align();
    else {
      const chunks: number[] = [];
      for (let at = 0; at < bytes.length; at += PAGE) {
        const packed = [...deflateSync(Uint8Array.from(bytes.slice(at, at + PAGE)))];
        chunks.push(...new Out(little).number(packed.length, 4).number(PAGE, 4).raw(packed).bytes);
      }
      body = new Out(little).number(bytes.length / PAGE, 4).raw(chunks).bytes;
    }
    const at = out.bytes.length;
    out.raw(body);
    return [at, body.length] as const;
  });
  const buffer = new Out(little).number(bufferAt, 8).text('\0local\0').number(PAGE, 4).number(cpus.length, 4);
  cpus.forEach((cpu, i) => void buffer.number(cpu, 4).number(cpuPlaces[i][0], 8).number(cpuPlaces[i][1], 8));
  const list = new Out(little);
  for (const [id, at] of places) list.number(id, 2).number(8, 4).number(at, 8);
  const statistics = 'overrun: 5\ndropped events: 2';
  list.number(2, 2).number(statistics.length, 4).text(statistics);
  list.number(3, 2).number(buffer.bytes.length, 4).raw(buffer.bytes);
  list.number(0, 2).number(8, 4).number(0, 8);
  const first = section(0, list.bytes);
  out.bytes.splice(optionsAt, 8, ...new Out(little).number(first, 8).bytes);
  return Uint8Array.from(out.bytes);
}
