import { BouncePool } from '../../core/bounce-pool.js';
import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { readLeaves } from '../../core/iommu.js';
import { DmaDevice } from '../../dma/device.js';
import { DmaDomain } from '../../dma/dma-domain.js';
import { ScatterTable } from '../../dma/sg-table.js';
import type { Direction } from '../../dma/transfer.js';
import { endsWith, FieldReader, type Recording, type RecordingFormat } from '../replay/recording.js';
import { type Difference, differing, type LineReplay, replayLines } from '../replay/replay.js';
import { type Shape, shape } from '../replay/shape.js';
import { dmaMachine, iommuEvents, iovaTree } from './dma-machine.js';

/**
 * `linux-map_sg`: the DMA API of one device, behind an IOMMU, direct, or in an identity domain. Addresses, segments, return
 * codes, trace events, table entries and at the end the whole IOVA tree are compared. Each recording is replayed twice,
 * with and without event recording, as the two may take different paths through the core.
 */
export const mapSg: RecordingFormat = {
  kinds: ['map_sg'],
  header: ['backend', 'strict'],
  *replay(recording) {
    const observed = yield* replayLines(recording, new MapSgReplay(recording, true));
    return observed.divergence === null ? yield* replayLines(recording, new MapSgReplay(recording, false)) : observed;
  },
  cut: (recording) => endsWith(recording, 'domain', ({ op, when }) => op === 'domain' && when === 'end'),
};

type Json = Record<string, unknown>;
type Entry = [pfn: string, offset: number, length: number];
type Leaf = [iova: string, level: number, count: number, raw: string];

const PARMS = 'dma_mask:hex max_seg:int seg_boundary:hex';
const LIMITS = `${PARMS} merge_boundary:hex max_mapping:num opt_mapping:num`;
const SPACE = 'pgsize_bitmap:hex aperture:list force_aperture:bit';
/** Lines that are the same whatever is behind them. */
const SHAPES: Readonly<Record<string, Shape>> = {
  begin: shape('op:text test:text profile:int|bits:int seed:int dev:text'),
  parms: shape('op:text', PARMS),
  unmap: shape('op:text id:int ev:list'),
};
/** The domain, by its type and whether it is for the DMA API. */
const DOMAINS = {
  none: shape('op:text when:text dev:text type:int', LIMITS),
  identity: shape('op:text when:text dev:text type:int', SPACE, LIMITS),
  translating: shape(
    'op:text when:text dev:text type:int granule:int start_pfn:hex dma_32bit_pfn:hex ranges:list',
    ...[SPACE, LIMITS],
  ),
};
const CALLS: Readonly<Record<string, string>> = {
  map_sg: 'op:text id:int dir:int attrs:int sg:list rc:rc nents:int restored:flag out:list ev:list',
  map_page: 'op:text id:int dir:int pfn:hex off:int len:int ret:hex? ev:list',
  map_resource: 'op:text id:int dir:int phys:hex len:int ret:hex? ev:list',
  alloc_coherent: 'op:text id:int len:int ret:hex? vmalloc:bit ev:list',
};
const MAPS = Object.fromEntries(Object.entries(CALLS).map(([op, text]) => [op, shape(text)]));
/** Behind an IOMMU what was mapped shows in its tables. */
const TRANSLATED = Object.fromEntries(Object.entries(CALLS).map(([op, text]) => [op, shape(text, 'leaf:list')]));
const INPUTS = [
  'op',
  'test',
  'profile',
  'bits',
  'seed',
  'id',
  'dir',
  'attrs',
  'sg',
  'pfn',
  'off',
  'len',
  'phys',
  'vmalloc',
];
/** What a domain has at its end as at its start. */
const KEPT = 'dev type pgsize_bitmap aperture force_aperture granule start_pfn dma_32bit_pfn'.split(' ');

const TYPE_IDENTITY = 4;
/** dma_32bit_pfn: the first pfn above 4 GiB. */
const FIRST_64BIT = '100000';
/** RAM of a machine with a bounce pool: what fits below the hole, and 1 GiB above 4 GiB. */
const BOUNCE_RAM_FRAMES = 0xc0000 + 0x40000;
/** The default pool of Linux, IO_TLB_DEFAULT_SIZE. */
const POOL_SIZE = 64 * 1024 * 1024;
/** Pages of a coherent buffer, at most. */
const MOST_PAGES = 2 ** 20;
/** Replaces an address that the pool chose: the free slots depend on other work of the recorded machine. */
const BOUNCED = 'bounced';

export class MapSgReplay implements LineReplay {
  readonly #read: FieldReader;
  readonly #recording: Recording;
  readonly #events: boolean;
  readonly #device: DmaDevice;
  #domain: DmaDomain | undefined;
  /** Physical addresses of the bounce pool's start and end. */
  #pool: [start: number, end: number] | undefined;
  readonly #inputs: ReadonlySet<string>;
  /** The lines that were in force: parms, and the start of the domain. */
  #parms: Json = {};
  #began: Json = {};
  /** How to end each mapping, by id. */
  readonly #live = new Map<number, () => void>();

  constructor(recording: Recording, events: boolean) {
    this.#recording = recording;
    this.#read = new FieldReader(recording);
    this.#events = events;
    this.#inputs = new Set(events ? INPUTS : [...INPUTS, 'ev']);
    const bounced = recording.header.backend === 'swiotlb';
    this.#device = new DmaDevice(dmaMachine(events, bounced ? BOUNCE_RAM_FRAMES : undefined));
    if (bounced) this.#pool = this.#makePool();
  }

  counts(): boolean {
    return true;
  }

  shape({ op, rc, ret, type, granule }: Json): Shape | undefined {
    const name = String(op);
    if (name === 'domain') {
      if (type === TYPE_IDENTITY) return DOMAINS.identity;
      return type === 0 && granule === undefined ? DOMAINS.none : DOMAINS.translating;
    }
    if (!(name in CALLS)) return SHAPES[name];
    const mapped = name === 'map_sg' ? rc === 0 : ret !== null;
    return mapped && this.#domain ? TRANSLATED[name] : MAPS[name];
  }

  step(line: number, record: Json): Difference | null {
    const replay = this.#operations[String(record.op)];
    const wrong = differing(record, replay(line, record), this.#inputs);
    return wrong && { operation: describe(record), ...wrong };
  }

  readonly #operations: Record<string, (line: number, record: Json) => Json> = {
    begin: (_line, { dev }) => {
      this.#began = { dev };
      return { dev };
    },
    parms: (line, record) => {
      // As recorded: the kernel had accepted it, whatever mask this machine's RAM requires.
      const bits = this.#read.maskBits(line, 'dma_mask', record.dma_mask);
      this.#device.host.core.exports.deviceSetMask(this.#device.handle, bits, bits);
      const most = this.#read.decimal(line, 'max_seg', record.max_seg);
      this.#device.setSegments(most, this.#read.maskBits(line, 'seg_boundary', record.seg_boundary));
      const { dma_mask, max_seg, seg_boundary } = record;
      this.#parms = { dma_mask, max_seg, seg_boundary };
      return this.#parms;
    },
    domain: (line, record) => {
      if (record.when === 'start') return this.#start(line, record);
      if (record.when !== 'end') this.#read.fail(line, `when is not start or end: ${record.when}`);
      return this.#end();
    },
    map_sg: (line, record) => this.#mapSg(line, record),
    map_page: (line, record) => this.#mapPage(line, record),
    map_resource: (line, record) => this.#mapResource(line, record),
    alloc_coherent: (line, record) => this.#allocCoherent(line, record),
    unmap: (line, record) => this.#unmap(line, record),
  };

  #keep(line: number, record: Json, unmap: () => void): void {
    const id = this.#read.decimal(line, 'id', record.id);
    if (this.#live.has(id)) this.#read.fail(line, `id ${id} is mapped already`);
    this.#live.set(id, unmap);
  }

  /** A bounce pool near the recorded kernel's, so that the same masks reach it. */
  #makePool(): [number, number] {
    let lowest = Number.POSITIVE_INFINITY;
    for (const line of this.#read.lineNumbers()) {
      const { op, sg, out } = this.#read.json(line);
      if (op !== 'map_sg' || !Array.isArray(out)) continue;
      (out as [string, number][]).forEach(([address], i) => {
        const at = Number.parseInt(address, 16);
        if (at !== physical((sg as Entry[])[i])) lowest = Math.min(lowest, at);
      });
    }
    const start = Number.isFinite(lowest) ? lowest - (lowest % POOL_SIZE) : POOL_SIZE;
    const { core, context } = this.#device.host;
    BouncePool.create(core, context, BouncePool.shape(POOL_SIZE, 1, 'areas'), 'areas', start / PAGE);
    return [start, start + POOL_SIZE];
  }

  /** An address that the pool gave is any of the pool's; `phys` is where the buffer lies. */
  #comparable(address: number, phys: number): string {
    if (this.#pool && address >= this.#pool[0] && address < this.#pool[1] && address !== phys) return BOUNCED;
    return address.toString(16);
  }

  #start(line: number, record: Json): Json {
    const { dev = record.dev } = this.#began;
    const kept = Object.fromEntries(KEPT.filter((name) => name in record).map((name) => [name, record[name]]));
    this.#began = { ...kept, dev };
    if (record.ranges === undefined) {
      if (record.type === TYPE_IDENTITY) this.#device.attach('passthrough');
      return { ...this.#began, when: 'start', ...this.#limits() };
    }
    const aperture = record.aperture as [string, string];
    this.#domain = new DmaDomain(this.#device.host, {
      width: this.#read.maskBits(line, 'aperture', aperture[1]),
      levels: this.#read.maskBits(line, 'aperture', aperture[1]) > 39 ? 4 : 3,
      pageSizes: this.#read.hex(line, 'pgsize_bitmap', record.pgsize_bitmap),
      mode: this.#recording.header.strict === false ? 'lazy' : 'strict',
      reserved: (record.ranges as [string, string][]).map(
        ([lo, hi]) => [this.#read.hex(line, 'ranges', lo), this.#read.hex(line, 'ranges', hi)] as const,
      ),
    });
    this.#device.attach(this.#domain);
    const space = { granule: PAGE, start_pfn: '1', dma_32bit_pfn: FIRST_64BIT, ranges: this.#tree(this.#domain) };
    return { ...this.#began, when: 'start', ...space, ...this.#limits() };
  }

  #tree(domain: DmaDomain): string[][] {
    return iovaTree(domain).map((range) => range.map((pfn) => pfn.toString(16)));
  }

  #limits(): Json {
    const { mergeBoundary, maxMapping, optMapping } = this.#device.limits;
    const limits = { merge_boundary: mergeBoundary.toString(16), max_mapping: maxMapping, opt_mapping: optMapping };
    return { ...this.#parms, ...limits };
  }

  #end(): Json {
    const broken = this.#device.host.core.tools.machineCheck(this.#device.host.context) >>> 0;
    const got: Json = { ...this.#began, when: 'end', ...this.#limits() };
    if (broken !== 0) got.broken = broken;
    if (this.#domain) got.ranges = this.#tree(this.#domain);
    return got;
  }

  // Recorded addresses of bounced pieces are the recording machine's; that they bounced is what counts.
  #bouncedAsRecorded(record: Json): void {
    if (!this.#pool || !Array.isArray(record.out)) return;
    record.out = (record.out as [string, number][]).map(([address, length], i) => {
      const phys = physical((record.sg as Entry[])[i]);
      return [Number.parseInt(address, 16) === phys ? address : BOUNCED, length];
    });
  }

  #mapSg(line: number, record: Json): Json {
    this.#bouncedAsRecorded(record);
    const list = (record.sg as Entry[]).map(([pfn, offset, length]) => ({
      pfn: this.#read.hex(line, 'sg', pfn),
      offset,
      length,
    }));
    const table = ScatterTable.fromEntries(this.#device.host, list);
    const { dmaMapSg } = this.#device.host.core.exports;
    const dir = record.dir as Direction;
    const attrs = record.attrs as number;
    const rc = dmaMapSg(this.#device.handle, table.handle, dir, attrs);
    const restored = JSON.stringify(table.entries()) === JSON.stringify(list);
    if (rc <= 0) {
      table.release();
      return { rc, nents: 0, restored, out: [], ...this.#observe(record, []) };
    }
    this.#keep(line, record, () => {
      this.#device.unmapSg(table, dir, attrs);
      table.release();
    });
    const out = table
      .segments()
      .map(
        ({ address, length }, i) =>
          [this.#comparable(address, physical((record.sg as Entry[])[i])), length] as [string, number],
      );
    return { rc: 0, nents: rc, restored, out, ...this.#observe(record, out) };
  }

  #mapPage(line: number, record: Json): Json {
    const dir = record.dir as Direction;
    const attrs = (record.attrs as number | undefined) ?? 0;
    const length = record.len as number;
    const address = this.#device.mapPage(
      this.#read.hex(line, 'pfn', record.pfn),
      record.off as number,
      length,
      dir,
      attrs,
    );
    if (address < 0) return { ret: null, ...this.#observe(record, []) };
    this.#keep(line, record, () => this.#device.unmapPage(address, length, dir, attrs));
    const phys = this.#read.hex(line, 'pfn', record.pfn) * PAGE + (record.off as number);
    if (this.#pool && record.ret !== null && Number.parseInt(String(record.ret), 16) !== phys) record.ret = BOUNCED;
    const ret = this.#comparable(address, phys);
    return { ret, ...this.#observe(record, [[ret, length]]) };
  }

  #mapResource(line: number, record: Json): Json {
    const dir = record.dir as Direction;
    const length = record.len as number;
    const address = this.#device.mapResource(this.#read.hex(line, 'phys', record.phys), length, dir);
    if (address < 0) return { ret: null, ...this.#observe(record, []) };
    this.#keep(line, record, () => this.#device.unmapResource(address, length, dir));
    const ret = address.toString(16);
    return { ret, ...this.#observe(record, [[ret, length]]) };
  }

  // The recorded kernel chose the frames: the table entries have them. Without tables there is nothing to compare. A buffer that got
  // no address is still allocated, on any frames: the search has emptied the caches of ranges.
  #allocCoherent(line: number, record: Json): Json {
    const length = this.#read.decimal(line, 'len', record.len);
    if (length > MOST_PAGES * PAGE) this.#read.fail(line, `a coherent buffer of ${length} bytes`);
    const failed = record.ret === null;
    if (!this.#domain) {
      if (!failed) this.#keep(line, record, () => undefined);
      return { ret: record.ret, ...this.#observe(record, []) };
    }
    const pfns = failed
      ? Array.from({ length: Math.ceil(length / PAGE) }, (_, i) => i + 1)
      : (record.leaf as Leaf[]).flatMap(([, level, count, raw]) => {
          const first = Math.floor(this.#read.hex(line, 'leaf', raw) / PAGE);
          if (count * 512 ** (level - 1) > MOST_PAGES) this.#read.fail(line, `a leaf of ${count} entries`);
          return Array.from({ length: count * 512 ** (level - 1) }, (_, i) => first + i);
        });
    const { dmaMapCoherent, dmaUnmapCoherent } = this.#device.host.core.exports;
    const table = ScatterTable.fromPages(this.#device.host, pfns);
    if (dmaMapCoherent(this.#device.handle, table.handle, length, 0) < 0) {
      table.release();
      return { ret: null, ...this.#observe(record, []) };
    }
    const { address } = table.segments()[0];
    this.#keep(line, record, () => {
      dmaUnmapCoherent(this.#device.handle, table.handle, length, address, 0);
      table.release();
    });
    const ret = address.toString(16);
    return { ret, ...this.#observe(record, [[ret, length]]) };
  }

  #unmap(line: number, record: Json): Json {
    const id = this.#read.decimal(line, 'id', record.id);
    const unmap = this.#live.get(id);
    if (!unmap) this.#read.fail(line, `unmap of ${id}, which is not mapped`);
    this.#live.delete(id);
    unmap();
    return this.#observe(record, []);
  }

  /** Trace events of the call and what the tables hold for its segments, where the recording has them. */
  #observe(record: Json, out: [string, number][]): Json {
    const got: Json = {};
    if (this.#events) got.ev = iommuEvents(this.#device.host);
    if (record.leaf !== undefined && out.length > 0 && this.#domain) {
      const first = Math.floor(Number.parseInt(out[0][0], 16) / PAGE);
      const [address, length] = out.at(-1)!;
      const last = Math.ceil((Number.parseInt(address, 16) + length) / PAGE) - 1;
      got.leaf = readLeaves(this.#device.host.core, this.#device.host.context, this.#domain.handle, first, last).map(
        ({ iova, level, run, raw }) => [iova.toString(16), level, run, raw.toString(16)] as Leaf,
      );
    }
    return got;
  }
}

function physical([pfn, offset]: Entry): number {
  return Number.parseInt(pfn, 16) * PAGE + offset;
}

function describe({ op, id, sg, pfn, phys, len, dir }: Json): string {
  const list = Array.isArray(sg) ? `${sg.length} entries` : undefined;
  const parts = [
    op,
    id !== undefined && `#${id}`,
    list,
    pfn && `pfn 0x${pfn}`,
    phys && `0x${phys}`,
    len && `${len} bytes`,
  ];
  return [...parts, dir !== undefined && `dir ${dir}`].filter(Boolean).join(' ');
}
