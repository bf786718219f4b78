import { drainEvents } from '../../core/events.js';
import {
  DOMAIN_WRITE_IMPLIES_READ,
  EVENT_IOMMU_MAP,
  EVENT_IOMMU_UNMAP,
  HIGH_START,
  PAGE_SIZE as PAGE,
} from '../../core/generated/constants.js';
import type { ContextHandle, IommuDomainHandle } from '../../core/generated/exports.js';
import { held, made } from '../../core/handle.js';
import { Core } from '../../core/instance.js';
import { readLeaves, readTables, type TableEntry } from '../../core/iommu.js';
import { LIBRARY } from '../../core/life.js';
import { PhysicalMemory } from '../../core/physical-memory.js';
import { endsWith, FieldReader, type Recording, type RecordingFormat } from '../replay/recording.js';
import { type Difference, differing, type LineReplay, replayLines } from '../replay/replay.js';
import { type Shape, shapes } from '../replay/shape.js';

/**
 * `linux-vtd`: second-stage tables, driven through iommu_map, iommu_unmap and iommu_iova_to_phys. Each `new` line starts
 * on an empty domain. Whatever a line recorded is compared: results, trace events, pages in use for tables, the entries
 * themselves, and bytes that the kernel wrote into mapped memory. Addresses of the recorded kernel's tables are not compared: of a
 * pointer, only presence and flags are.
 */
export const vtd: RecordingFormat = {
  kinds: ['vtd'],
  replay: (recording) => replayLines(recording, new VtdReplay(recording)),
  cut: (recording) => endsWith(recording, 'end', ({ op }) => op === 'end'),
};

type Json = Record<string, unknown>;
type Entry = [level: number, iova: string, raw: string, run: number];

/** Of a series of cases, each line of which has all entries. */
const CASES = shapes({
  new: 'op:text case:text attach:bit agaw:int gaw:int levels:int superpage:int first_level:bit pgsize_bitmap:hex aperture_end:hex table_pages:int',
  map: 'op:text iova:hex paddr:hex size:int prot:int rc:rc ev:list table_pages:int tables:list [memory:list]',
  unmap: 'op:text iova:hex size:int unmapped:int ev:list table_pages:int tables:list [memory:list]',
  iova_to_phys: 'op:text iova:hex phys:hex',
  end: 'op:text cases:int',
});
/** A stream of random calls: each line has the leaves of its range; the last has all entries. */
const STREAM = shapes({
  new: 'op:text case:text seed:int agaw:int gaw:int levels:int superpage:int pgsize_bitmap:hex',
  map: 'op:text iova:hex paddr:hex size:int prot:int rc:rc table_pages:int leaf:list',
  unmap: 'op:text iova:hex size:int unmapped:int table_pages:int',
  iova_to_phys: 'op:text iova:hex phys:hex',
  end: 'op:text tables:list',
});
/** Fields that are not compared; `attach` is the recorder's own. */
const INPUTS = new Set('op case attach seed gaw levels first_level pgsize_bitmap iova paddr size prot'.split(' '));
/** Levels of large pages by the page sizes that there are. */
const SUPERPAGES: Readonly<Record<string, number>> = { 1000: 0, 201000: 1, 40201000: 2 };

const LIMIT = 0xffff0000;
/** Frames of RAM below 4 GiB at most, and the first frame above it (assembly/ram/ram.ts). */
const LOW_FRAMES = 0xc0000;
const MOST_FRAMES = 0x1000000;

interface Mapped {
  iova: number;
  phys: number;
  size: number;
}

class VtdReplay implements LineReplay {
  readonly #read: FieldReader;
  readonly #core = new Core();
  readonly #context: ContextHandle;
  readonly #ram: PhysicalMemory;
  #made: IommuDomainHandle | 0 = 0;
  #mapped: Mapped[] = [];
  #stream = false;
  #cases = 0;

  constructor(recording: Recording) {
    this.#read = new FieldReader(recording);
    const frames = this.#survey();
    this.#context = made(this.#core.exports.machineCreate(LIMIT, 1, frames, 0, 1), 'machine_create', 'machine');
    if (this.#context <= 0) this.#read.fail(1, `a machine with ${frames} frames of RAM cannot be made`);
    this.#ram = new PhysicalMemory(LIBRARY, this.#core, this.#context);
    this.#core.exports.eventsStart(this.#context, 6);
  }

  // Mapped memory need not exist, except where the recording has what the kernel wrote into it.
  #survey(): number {
    let last = 0;
    let written = false;
    for (const line of this.#read.lineNumbers()) {
      const { op, paddr, size, memory } = this.#read.json(line);
      written ||= memory !== undefined;
      if (op === 'map' && (size as number) <= 2 ** 30)
        last = Math.max(last, this.#address(line, 'paddr', paddr) + Number(size));
    }
    const frames = written ? Math.ceil(last / PAGE) : 0;
    const needed = frames > HIGH_START ? frames - HIGH_START + LOW_FRAMES : Math.min(frames, LOW_FRAMES);
    return Math.min(Math.max(1024, needed), MOST_FRAMES);
  }

  /** An address of up to 64 bits; beyond 2^53 only page-aligned ones are exact as numbers. */
  #address(line: number, name: string, text: unknown): number {
    if (typeof text !== 'string' || !/^[0-9a-f]{1,16}$/.test(text))
      this.#read.fail(line, `${name} is not hex: ${text}`);
    const value = Number.parseInt(text, 16);
    if (BigInt(value) !== BigInt(`0x${text}`)) this.#read.fail(line, `${name} is not exact as a number: ${text}`);
    return value;
  }

  private get domain(): IommuDomainHandle {
    return held(this.#made);
  }

  counts({ op }: Record<string, unknown>): boolean {
    return op !== 'new';
  }

  shape(record: Json): Shape | undefined {
    if (record.op === 'new') this.#stream = record.seed !== undefined;
    const known: Readonly<Record<string, Shape>> = this.#stream ? STREAM : CASES;
    return known[String(record.op)];
  }

  step(line: number, record: Record<string, unknown>): Difference | null {
    const replay = this.#operations[String(record.op)];
    if (record.op !== 'new' && this.#made === 0) this.#read.fail(line, 'no domain: no new line before it');
    const got = replay(line, record);
    const wrong = this.#differs(record, got);
    return wrong && { operation: describe(record), ...wrong };
  }

  readonly #operations: Record<string, (line: number, record: Json) => Json> = {
    new: (line, record) => this.#new(line, record),
    map: (line, record) => this.#map(line, record),
    unmap: (line, record) => this.#unmap(line, record),
    iova_to_phys: (line, record) => this.#iovaToPhys(line, record),
    end: (_line, record) => ({ ...this.#observe(record), ...(!this.#stream && { cases: this.#cases }) }),
  };

  #new(line: number, record: Json): Json {
    const { domainCreate, domainDestroy } = this.#core.exports;
    const { domainTablePages } = this.#core.tools;
    if (this.#made !== 0) domainDestroy(this.#made);
    if (record.first_level === 1) this.#read.fail(line, 'a first-level domain');
    const levels = this.#read.decimal(line, 'levels', record.levels);
    const width = this.#read.decimal(line, 'gaw', record.gaw);
    const pageSizes = this.#read.hex(line, 'pgsize_bitmap', record.pgsize_bitmap);
    this.#made = domainCreate(this.#context, levels, width, pageSizes, DOMAIN_WRITE_IMPLIES_READ);
    if (this.#made === 0)
      this.#read.fail(line, `no domain of ${levels} levels, ${width} bits, pages ${record.pgsize_bitmap}`);
    this.#mapped = [];
    ++this.#cases;
    const shape = { agaw: levels - 2, superpage: SUPERPAGES[String(record.pgsize_bitmap)] };
    if (this.#stream) return shape;
    const end = (2n ** BigInt(width) - 1n).toString(16);
    return { ...shape, aperture_end: end, table_pages: domainTablePages(this.domain) };
  }

  #map(line: number, record: Json): Json {
    const iova = this.#address(line, 'iova', record.iova);
    const phys = this.#address(line, 'paddr', record.paddr);
    const size = this.#read.decimal(line, 'size', record.size);
    const prot = this.#read.decimal(line, 'prot', record.prot);
    const rc = this.#core.exports.domainMap(this.domain, iova, phys, size, prot);
    const got = { rc, ...this.#observe(record, iova, size) };
    if (record.memory !== undefined) Object.assign(got, { memory: this.#written(line, iova) });
    if (rc === 0) this.#mapped.push({ iova, phys, size });
    return got;
  }

  #unmap(line: number, record: Json): Json {
    const iova = this.#address(line, 'iova', record.iova);
    const size = this.#read.decimal(line, 'size', record.size);
    const unmapped = this.#core.exports.domainUnmap(this.domain, iova, size);
    const got = { unmapped, ...this.#observe(record, iova, size) };
    if (record.memory !== undefined) Object.assign(got, { memory: this.#written(line, iova) });
    return got;
  }

  #iovaToPhys(line: number, record: Json): Json {
    const phys = this.#core.exports.domainIovaToPhys(this.domain, this.#address(line, 'iova', record.iova));
    return { phys: phys.toString(16) };
  }

  /** What the recording has seen after an operation: events, table pages, tables, leaves. */
  #observe(record: Json, iova = 0, size = 0): Json {
    const got: Json = {};
    const events: unknown[] = [];
    drainEvents(this.#core, this.#context, ({ kind, a, b, c }) => {
      if (kind === EVENT_IOMMU_MAP) events.push(['m', a.toString(16), b.toString(16), c]);
      if (kind === EVENT_IOMMU_UNMAP) events.push(['u', a.toString(16), c, b]);
    });
    if (record.ev !== undefined) got.ev = events;
    if (record.table_pages !== undefined) got.table_pages = this.#core.tools.domainTablePages(this.domain);
    if (record.tables !== undefined) got.tables = readTables(this.#core, this.#context, this.domain).map(asEntry);
    if (record.leaf !== undefined) {
      const leaves = readLeaves(this.#core, this.#context, this.domain, iova / PAGE, (iova + size) / PAGE - 1);
      got.leaf = leaves.map(({ iova, level, run, raw }) => [iova.toString(16), level, run, raw.toString(16)]);
    }
    return got;
  }

  /** Words of the block mapped around an IOVA that are not zero, as [offset, value]. */
  #written(line: number, iova: number): unknown {
    const block = this.#mapped.find((mapped) => iova >= mapped.iova && iova < mapped.iova + mapped.size);
    if (!block) this.#read.fail(line, 'memory of a block that is not mapped');
    const words: [number, string][] = [];
    for (let offset = 0; offset < block.size; offset += PAGE) {
      const page = this.#ram.read(block.phys + offset, PAGE);
      if (page.every((byte) => byte === 0)) continue;
      const view = new DataView(page.buffer, page.byteOffset, PAGE);
      for (let i = 0; i < PAGE; i += 8) {
        const word = view.getBigUint64(i, true);
        if (word !== 0n) words.push([offset + i, word.toString(16)]);
      }
    }
    return words;
  }

  /** The first recorded field that came out otherwise. */
  #differs(record: Json, got: Json): { expected: string; got: string } | null {
    const { tables: recorded, ...others } = record;
    const { tables: have, ...rest } = got;
    const wrong =
      differing(others, rest, INPUTS) ??
      (recorded !== undefined ? tablesDiffer(recorded as Entry[], have as Entry[]) : null);
    if (wrong) return wrong;
    if (record.op === 'new' || record.op === 'end') {
      const broken = this.#core.tools.machineCheck(this.#context) >>> 0;
      if (broken !== 0) return { expected: 'sound structures', got: `check ${broken.toString(16)}` };
    }
    return null;
  }
}

function asEntry({ level, iova, raw, run }: TableEntry): Entry {
  return [level, iova.toString(16), raw.toString(16), run];
}

/** Leaves compare as they are, pointers to tables by place and flags. */
function tablesDiffer(recorded: Entry[], got: Entry[]): { expected: string; got: string } | null {
  const key = ([level, iova, raw, run]: Entry): string =>
    `[${level} ${iova} ${run === 0 ? `..${raw.slice(-3)}` : raw} ${run}]`;
  for (let i = 0; i < Math.max(recorded.length, got.length); ++i) {
    const want = recorded[i] ? key(recorded[i]) : 'nothing';
    const have = got[i] ? key(got[i]) : 'nothing';
    if (want !== have) return { expected: `tables[${i}] ${want}`, got: `tables[${i}] ${have}` };
  }
  return null;
}

function describe({ op, iova, paddr, size, case: name }: Json): string {
  const parts = [op, name, iova && `0x${iova}`, paddr && `to 0x${paddr}`, size !== undefined && `${size} bytes`];
  return parts.filter(Boolean).join(' ');
}
