import { AMD_CALL_FLUSH, AMD_CALL_MAP, AMD_CALLS_MAX, FORMAT_AMDV1 } from '../../core/generated/constants.js';
import type { ContextHandle, IommuDomainHandle } from '../../core/generated/exports.js';
import { AmdCallView } from '../../core/generated/records.js';
import { held, made } from '../../core/handle.js';
import { Core } from '../../core/instance.js';
import { readEntries, type TableEntry } from '../../core/iommu.js';
import { FieldReader, type Recording, type RecordingFormat } from '../replay/recording.js';
import { type Difference, differing, type LineReplay, replayLines } from '../replay/replay.js';
import { type Shape, shapes } from '../replay/shape.js';

/**
 * `linux-amdv1`: page tables of AMD's version 1, driven through iommu_map, iommu_unmap and iommu_iova_to_phys. Each `new`
 * line starts on an empty domain. Compared are results, the driver's calls, trace events, requests to flush, table pages
 * taken and freed, and the entries; addresses of the recorded kernel's tables are not compared: of a pointer, only the flags are.
 * Addresses take all 64 bits.
 */
export const amdv1: RecordingFormat = {
  kinds: ['amdv1'],
  replay: (recording) => replayLines(recording, new AmdReplay(recording)),
};

type Json = Record<string, unknown>;
type Operation = (line: number, record: Json) => Json;

const MEMORY_LIMIT = 0xffff0000;
const RAM_PAGES = 1024;
const LAST = 0xffff_ffff_ffff_ffffn;
/** The address bits of a pointer. */
const ADDRESS = 0x000f_ffff_ffff_f000n;

const AFTER = 'mode:int table_pages:int';
const CALL = `[pages:list] [ev:list] flush:list [grown:int] [freed:int] ${AFTER} tables:list|entries:list`;
const SHAPES: Readonly<Record<string, Shape>> = shapes({
  new: `op:text case:text pgsize_bitmap:hex np_cache:bit ${AFTER}`,
  map: `op:text iova:hex paddr:hex size:int prot:int rc:rc ${CALL}`,
  unmap: `op:text iova:hex size:int unmapped:int ${CALL}`,
  iova_to_phys: 'op:text iova:hex phys:hex',
  dump: `op:text ${AFTER} tables:list`,
  free: 'op:text freed:int table_pages:int',
  limit: 'op:text pages:int',
});
/** The line's own; `pages` of a limit is one, too. */
const INPUTS = new Set(['op', 'case', 'pgsize_bitmap', 'np_cache', 'iova', 'paddr', 'size', 'prot']);
const LIMIT_INPUTS = new Set([...INPUTS, 'pages']);

class AmdReplay implements LineReplay {
  readonly #read: FieldReader;
  readonly #core = new Core();
  readonly #context: ContextHandle;
  readonly #operations: Readonly<Record<string, Operation>>;
  #made: IommuDomainHandle | 0 = 0;
  #pageSizes = 0n;

  constructor(recording: Recording) {
    this.#read = new FieldReader(recording);
    this.#context = made(
      this.#core.exports.machineCreate(MEMORY_LIMIT, 1, RAM_PAGES, 0, 1),
      'machine_create',
      'machine',
    );
    this.#core.exports.iommuMake(this.#context, FORMAT_AMDV1, 0);
    this.#operations = {
      new: (line, record) => this.#new(line, record),
      map: (line, record) => this.#watch(() => this.#map(line, record)),
      unmap: (line, record) => this.#watch(() => this.#unmap(line, record)),
      iova_to_phys: (line, record) => ({
        phys: hex(this.#core.exports.amdReplayIovaToPhys(this.domain, this.#address(line, 'iova', record.iova))),
      }),
      dump: () => ({}),
      free: () => this.#free(),
      limit: (line, record) => {
        this.#core.tools.amdReplayLimit(this.domain, this.#read.decimal(line, 'pages', record.pages));
        return {};
      },
    };
  }

  counts(): boolean {
    return true;
  }

  shape({ op }: Json): Shape | undefined {
    return SHAPES[String(op)];
  }

  step(line: number, record: Record<string, unknown>): Difference | null {
    const operation = this.#operations[String(record.op)];
    if (record.op !== 'new' && this.#made === 0) this.#read.fail(line, 'no domain: no new line before it');
    const got = operation(line, record);
    if (this.#made !== 0) Object.assign(got, this.#tables(line, record));
    const wrong = differing(record, got, record.op === 'limit' ? LIMIT_INPUTS : INPUTS);
    return wrong && { operation: describe(record), ...wrong };
  }

  private get domain(): IommuDomainHandle {
    return held(this.#made);
  }

  #address(line: number, name: string, text: unknown): bigint {
    if (typeof text !== 'string' || !/^[0-9a-f]{1,16}$/.test(text)) {
      this.#read.fail(line, `${name} is not an address: ${text}`);
    }
    return BigInt(`0x${text}`);
  }

  #size(line: number, record: Json): bigint {
    return BigInt(this.#read.decimal(line, 'size', record.size));
  }

  #new(line: number, record: Json): Json {
    const { amdCallsStart, domainCreate } = this.#core.exports;
    this.#free();
    this.#pageSizes = this.#address(line, 'pgsize_bitmap', record.pgsize_bitmap);
    this.#made = domainCreate(this.#context, 3, 0, Number(this.#pageSizes), 0);
    if (this.#made === 0) this.#read.fail(line, `no domain with page sizes ${record.pgsize_bitmap}`);
    this.#core.tools.amdReplayNpCache(this.domain, record.np_cache === 1);
    if (!amdCallsStart(this.domain)) this.#read.fail(line, 'no memory to record calls');
    return {};
  }

  /** Whether the IOMMU core refuses it before it calls the driver. */
  #misaligned(...values: bigint[]): boolean {
    const smallest = this.#pageSizes & -this.#pageSizes;
    return values.some((value) => (value & (smallest - 1n)) !== 0n);
  }

  #map(line: number, record: Json): Json {
    const iova = this.#address(line, 'iova', record.iova);
    const phys = this.#address(line, 'paddr', record.paddr);
    const size = this.#size(line, record);
    const prot = this.#read.decimal(line, 'prot', record.prot);
    // The core of the IOMMU refuses it: the driver is not called, and there is no event.
    if (this.#misaligned(iova, phys, size)) return { rc: -22, flush: this.#calls().flush };
    const rc = this.#core.exports.amdReplayMap(this.domain, iova, phys, size, prot);
    const { pages, flush } = this.#calls();
    const mapped = pages.reduce((sum, call) => sum + (call.mapping ? call.done : 0), 0);
    const undone = pages.reduce((sum, call) => sum + (call.mapping ? 0 : call.done), 0);
    const ev = rc === 0 ? [['m', hex(iova), hex(phys), Number(size)]] : [['u', hex(iova), mapped, undone]];
    return { rc, pages: pages.map(({ call }) => call), ev, flush };
  }

  #unmap(line: number, record: Json): Json {
    const iova = this.#address(line, 'iova', record.iova);
    const size = this.#size(line, record);
    if (this.#misaligned(iova, size)) {
      this.#core.exports.amdReplayRefused(this.domain);
      return { unmapped: 0, flush: this.#calls().flush };
    }
    const unmapped = Number(this.#core.exports.amdReplayUnmap(this.domain, iova, size));
    const { pages, flush } = this.#calls();
    return { unmapped, pages: pages.map(({ call }) => call), ev: [['u', hex(iova), Number(size), unmapped]], flush };
  }

  #free(): Json {
    if (this.#made === 0) return {};
    const { domainTablePages, amdLeaked } = this.#core.tools;
    const lost = amdLeaked(this.domain);
    const freed = domainTablePages(this.domain) - lost;
    this.#core.exports.domainDestroy(this.domain);
    this.#made = 0;
    return { freed, table_pages: lost };
  }

  /** What the driver was called for since the last look. */
  #calls(): { pages: Call[]; flush: [string, number][] } {
    const { amdCallsFirst, amdCallsTake } = this.#core.tools;
    const first = amdCallsFirst(this.domain);
    const count = amdCallsTake(this.domain);
    if (count > AMD_CALLS_MAX)
      throw new RangeError(`${count} calls of the driver in one step, at most ${AMD_CALLS_MAX} can be compared`);
    const pages: Call[] = [];
    const flush: [string, number][] = [];
    const record = new AmdCallView(this.#core);
    for (let i = 0; i < count; ++i) {
      record.moveTo(first + i * AmdCallView.SIZE);
      const iova = hex((BigInt(record.iovaHigh) << 32n) | BigInt(record.iovaLow));
      const { kind, size, count: number, done } = record;
      if (kind === AMD_CALL_FLUSH) flush.push([iova, size]);
      else pages.push({ mapping: kind === AMD_CALL_MAP, done, call: [iova, size.toString(16), number, done] });
    }
    return { pages, flush };
  }

  /** Runs a map or unmap, with what it grew and freed. */
  #watch(run: () => Json): Json {
    const { amdFreed, amdGrown } = this.#core.tools;
    const before = { freed: amdFreed(this.domain), grown: amdGrown(this.domain) };
    const got = run();
    const grown = amdGrown(this.domain) - before.grown;
    const freed = amdFreed(this.domain) - before.freed;
    // A recording leaves out what is nothing.
    if (grown !== 0) got.grown = grown;
    if (freed !== 0) got.freed = freed;
    if ((got.pages as unknown[] | undefined)?.length === 0) delete got.pages;
    return got;
  }

  /** Levels, table pages and entries, as far as the line has them. */
  #tables(line: number, record: Json): Json {
    const got: Json = {};
    const { amdEntriesDump, domainLevels, domainTablePages } = this.#core.tools;
    const entries = (first: bigint, last: bigint): unknown[] =>
      readEntries(this.#core, this.#context, (buffer, size, skip) =>
        amdEntriesDump(this.domain, first, last, buffer, size, skip),
      ).map(asEntry);
    if (record.mode !== undefined) got.mode = domainLevels(this.domain);
    if (record.table_pages !== undefined) got.table_pages = domainTablePages(this.domain);
    if (record.tables !== undefined) got.tables = entries(0n, LAST);
    if (record.entries !== undefined) {
      const first = this.#address(line, 'iova', record.iova);
      const bytes = BigInt(Math.max(Number(record.size), Number(record.unmapped ?? 0), 1));
      const last = first + bytes - 1n;
      got.entries = entries(first, last > LAST ? LAST : last);
    }
    if (record.op === 'dump' && this.#core.tools.machineCheck(this.#context) !== 0) got.structures = 'broken';
    return got;
  }
}

interface Call {
  mapping: boolean;
  done: number;
  call: [iova: string, pageSize: string, count: number, done: number];
}

function hex(value: bigint): string {
  return BigInt.asUintN(64, value).toString(16);
}

function asEntry({ level, iova, raw, run }: TableEntry): [number, string, string, number] {
  return [level, BigInt(iova).toString(16), hex(run === 0 ? raw & ~ADDRESS : raw), run];
}

function describe({ op, iova, paddr, size, case: name }: Json): string {
  const parts = [op, name, iova && `0x${iova}`, paddr && `to 0x${paddr}`, size !== undefined && `${size} bytes`];
  return parts.filter(Boolean).join(' ');
}
