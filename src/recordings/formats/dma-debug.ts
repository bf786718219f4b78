import { DIRECTIONS, DmaDebugRecords, type VerdictRecord } from '../../core/dma-debug-records.js';
import {
  DEVICE_FILTER_MATCH,
  DMA_BIDIRECTIONAL,
  DMA_TO_DEVICE,
  ENOMEM,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  REPORT_PRINTED,
  TYPE_COHERENT,
  TYPE_NONCOHERENT,
  TYPE_PAGE,
  TYPE_RESOURCE,
  TYPE_SINGLE,
} from '../../core/generated/constants.js';
import type { ContextHandle, DmaDeviceHandle, SgTableHandle } from '../../core/generated/exports.js';
import { made } from '../../core/handle.js';
import { Core } from '../../core/instance.js';
import { writeRuns } from '../../core/sg-vectors.js';
import { DmaDomain } from '../../dma/dma-domain.js';
import type { DmaHost } from '../../dma/sg-table.js';
import { checkOf, viewOf } from '../../dma-debug/checks.js';
import { type DebugDialect, debugFlags } from '../../dma-debug/dialects.js';
import { kernelOfRecording } from '../replay/kernel.js';
import { type Divergence, FieldReader, type Recording, type RecordingFormat } from '../replay/recording.js';
import { replayLines } from '../replay/replay.js';
import { checkCase, PLAIN, WITH_OPTIONS } from './dma-debug-shapes.js';

/**
 * Recordings of dma-debug: one misuse or one correct use per line, with the counters of debugfs before and after it and
 * what the kernel reported. dma-debug is fed with the calls and the addresses that they got; what the DMA API returns
 * is another recording's matter (map-sg.ts).
 *
 * Some inputs are not in a recording, only their trace in a verdict: the direction of a dma_alloc_pages, the CPU address
 * of a wrong dma_free_coherent, the device's segment parameters, whether the driver was unbound at the end, and under
 * which driver filters the device's driver passes. Those are taken from the verdicts; all else is compared.
 */

type Json = Record<string, unknown>;

const DEFAULT_DEVICE = '0000:00:01.0';
const LINEAR_MEMORY = 64 * 1024 ** 2;
const RAM_PAGES = 8192;
const DEFAULT_ENTRIES = 65536;
/** A page of RAM for calls whose physical address is not in a recording. */
const SOME_PAGE = 0x200000;

interface Mapped {
  address: number;
  length: number;
  phys: number;
  dir: number;
}

export const dmaDebug: RecordingFormat = {
  kinds: ['dma-debug', 'dma-debug-options'],
  header: ['backend', 'all_errors'],
  replay(recording) {
    const passing = passingFilters(recording);
    return replayLines(recording, {
      shape: ({ options }) => (recording.kind === 'dma-debug-options' || options !== undefined ? WITH_OPTIONS : PLAIN),
      counts: () => true,
      step: (line, record) => {
        checkCase(recording, line, record);
        return new CaseReplay(recording, line, passing).run();
      },
    });
  },
};

/** Names of the device's driver: filters under which a finding of it was printed. */
function passingFilters(recording: Recording): Set<string> {
  const reader = new FieldReader(recording);
  const names = new Set<string>();
  for (const line of reader.lineNumbers()) {
    const step = reader.json(line);
    const filter = filterOf(step);
    const printed = (step.printed ?? []) as Json[];
    if (filter !== '' && printed.some(({ device }) => device !== undefined)) names.add(filter);
  }
  return names;
}

function filterOf(step: Json): string {
  const options = (step.options ?? []) as string[];
  const option = options.find((text) => text.startsWith('filter=') || text.startsWith('dma_debug_driver='));
  return option?.slice(option.indexOf('=') + 1) ?? '';
}

/** One case, performed and compared. The texts of the same cases are compared elsewhere (dma-debug-text.ts). */
export class CaseReplay {
  readonly #reader: FieldReader;
  readonly #line: number;
  readonly #step: Json;
  readonly #name: string;
  readonly #expected: readonly Json[];
  readonly #filter: string;
  readonly #passing: ReadonlySet<string>;
  readonly #core = new Core();
  readonly #context: ContextHandle;
  readonly #records: DmaDebugRecords | null;
  readonly #deviceIds = new Map<string, number>();
  readonly #devices = new Map<string, DmaDeviceHandle>();
  /** Lists by their entries, in order of their last mapping. */
  readonly #lists = new Map<string, SgTableHandle>();
  readonly #pages: Mapped[] = [];
  readonly #coherent: Mapped[] = [];
  /** The device that was given a page's address last. */
  readonly #owners = new Map<number, DmaDeviceHandle>();
  /** By the device's handle, where an IOMMU translates. */
  #domains: Map<DmaDeviceHandle, DmaDomain> | null = null;

  /**
   * @param step in place of the line: with inputs from elsewhere
   */
  constructor(recording: Recording, line: number, passing: ReadonlySet<string>, step?: Json) {
    this.#reader = new FieldReader(recording);
    this.#line = line;
    this.#step = step ?? this.#reader.json(line);
    if (typeof this.#step.case !== 'string') this.#reader.fail(line, `case is not a name: ${this.#step.case}`);
    this.#name = this.#step.case;
    this.#expected = this.#array('verdicts' in this.#step ? 'verdicts' : 'printed');
    this.#filter = filterOf(this.#step);
    this.#passing = passing;
    this.#context = made(
      this.#core.exports.machineCreate(LINEAR_MEMORY, 1, RAM_PAGES, 0, 1),
      'machine_create',
      'machine',
    );
    this.#records = this.#switchOn(kernelOfRecording(recording, 'dmaDebug').dmaDebug);
  }

  #array(name: string): Json[] {
    const value = this.#step[name];
    if (!Array.isArray(value)) this.#reader.fail(this.#line, `${name} is not an array`);
    return value as Json[];
  }

  #counters(name: 'before' | 'after'): Json {
    const value = this.#step[name];
    if (typeof value !== 'object' || value === null) this.#reader.fail(this.#line, `${name} has no counters`);
    return value as Json;
  }

  #switchOn(dialect: DebugDialect): DmaDebugRecords | null {
    const before = this.#counters('before');
    if (before.disabled === true) return null;
    const options = (this.#step.options ?? []) as string[];
    const entries = options.find((text) => text.startsWith('dma_debug_entries='))?.split('=')[1];
    const records = DmaDebugRecords.create(
      this.#core,
      this.#context,
      debugFlags(dialect, 'both'),
      dialect.buckets,
      entries === undefined ? DEFAULT_ENTRIES : this.#reader.decimal(this.#line, 'dma_debug_entries', entries),
    );
    const count = (name: string): number => this.#reader.decimal(this.#line, name, before[name]);
    records.setCounters(
      count('error_count'),
      count('num_free_entries'),
      count('min_free_entries'),
      count('nr_total_entries'),
    );
    const fixed = this.#array('calls').some(({ note }) => /no growth|-ENOMEM/.test(String(note ?? '')));
    records.setOptions(count('all_errors') !== 0, count('num_errors'), this.#filter !== '', fixed);
    return records;
  }

  /** The machine that the case runs on, and the devices by name that it has so far, with their numbers. */
  get host(): DmaHost {
    return { core: this.#core, context: this.#context };
  }

  get deviceNames(): ReadonlyMap<number, string> {
    return new Map([...this.#deviceIds].map(([name, id]) => [id, name]));
  }

  get records(): DmaDebugRecords | null {
    return this.#records;
  }

  /** Puts the device behind an IOMMU: pages are then mapped in its tables where they were, and unmapped by the DMA API. */
  translate(): void {
    this.#domains = new Map();
  }

  /** A mapping that another device already has, for as long as `end` is not called. */
  foreign(device: string, type: number, phys: number, address: number, size: number, dir: number): { end: () => void } {
    const dev = this.#device(device);
    const { exports } = this.#core;
    exports.debugFeedMap(dev, phys, size, dir, address, 0, type);
    return { end: () => exports.debugFeedUnmap(dev, type, address, size, dir, phys) };
  }

  /** The calls, and what is known to have come after them. */
  perform(): void {
    for (const call of this.#array('calls')) this.#call(call);
    for (const verdict of this.#expected) {
      if (verdict.id === 'LEAK_ON_UNBIND') this.#core.exports.debugDriverUnbound(this.#device(verdict.device));
    }
  }

  run(): Divergence | null {
    this.perform();
    const verdicts = this.#records?.drain(viewOf) ?? [];
    return (
      this.#compareVerdicts(verdicts.filter(({ flags }) => (flags & REPORT_PRINTED) !== 0)) ?? this.compareCounters()
    );
  }

  // Inputs.

  #device(name: unknown): DmaDeviceHandle {
    const key = typeof name === 'string' ? name : this.#defaultDevice();
    let handle = this.#devices.get(key);
    if (handle === undefined) {
      const id = this.#devices.size + 1;
      handle = made(this.#core.exports.deviceCreate(this.#context, id, id), 'device_add', 'memory for a device');
      if (this.#filter !== '' && this.#passing.has(this.#filter)) {
        this.#core.exports.deviceSetFlags(handle, DEVICE_FILTER_MATCH, 0);
      }
      this.#segments(handle);
      if (this.#domains) {
        const domain = new DmaDomain(this.host);
        this.#core.exports.attachDevice(handle, domain.handle);
        this.#domains.set(handle, domain);
      }
      this.#devices.set(key, handle);
      this.#deviceIds.set(key, id);
    }
    return handle;
  }

  #defaultDevice(): string {
    const call = this.#array('calls').find(({ dev }) => typeof dev === 'string');
    return (call?.dev as string | undefined) ?? DEFAULT_DEVICE;
  }

  /** Segment parameters of the device, as far as a verdict has them. */
  #segments(handle: DmaDeviceHandle): void {
    const max = this.#expected.find(({ id }) => id === 'SEG_LEN')?.max;
    const boundary = this.#expected.find(({ id }) => id === 'SEG_BOUNDARY')?.boundary;
    if (max === undefined && boundary === undefined) return;
    const mask = boundary === undefined ? 0xffffffff : Number(normal(boundary));
    this.#core.exports.deviceSetSegments(handle, Number(max ?? 65536), Math.round(Math.log2(mask + 1)), 0);
  }

  #address(name: string, value: unknown): number {
    return value === 'ffffffffffffffff' ? -1 : this.#reader.hex(this.#line, name, value);
  }

  #hex(call: Json, name: string): number {
    return this.#reader.hex(this.#line, name, call[name]);
  }

  #number(call: Json, name: string): number {
    return this.#reader.decimal(this.#line, name, call[name]);
  }

  #dir(call: Json, otherwise?: number): number {
    if (call.dir === undefined && otherwise !== undefined) return otherwise;
    if (typeof call.dir === 'number' && call.dir in DIRECTIONS) return call.dir;
    const found = Object.entries(DIRECTIONS).find(([, name]) => name === call.dir);
    if (!found) this.#reader.fail(this.#line, `dir is not a direction: ${call.dir}`);
    return Number(found[0]);
  }

  #call(call: Json): void {
    const { exports } = this.#core;
    const name = call.call as string | undefined;
    if (name === undefined) {
      this.#note(String(call.note ?? ''));
      return;
    }
    const dev = this.#device(call.dev);
    switch (name) {
      case 'dma_map_page':
        this.#mapPage(dev, call);
        break;
      case 'dma_map_single':
        this.#mapSingle(dev, call);
        break;
      case 'dma_unmap_page':
      case 'dma_unmap_single':
        this.#unmapPage(dev, name === 'dma_unmap_page' ? TYPE_PAGE : TYPE_SINGLE, call);
        break;
      case 'dma_mapping_error':
        this.#mappingError(dev, call);
        break;
      case 'dma_map_resource':
        this.#mapResource(dev, call);
        break;
      case 'dma_unmap_resource':
        exports.debugFeedUnmap(
          dev,
          TYPE_RESOURCE,
          this.#address('addr', call.addr),
          this.#number(call, 'len'),
          this.#dir(call, DMA_BIDIRECTIONAL),
          0,
        );
        break;
      case 'dma_alloc_coherent':
      case 'dma_alloc_pages':
        this.#alloc(dev, call, name === 'dma_alloc_coherent' ? TYPE_COHERENT : TYPE_NONCOHERENT);
        break;
      case 'dma_free_coherent':
      case 'dma_free_pages':
        this.#free(dev, call, name === 'dma_free_coherent' ? TYPE_COHERENT : TYPE_NONCOHERENT);
        break;
      case 'dma_map_sg':
        this.#mapSg(dev, call);
        break;
      case 'dma_unmap_sg':
        exports.debugFeedUnmapSg(dev, this.#list(call), this.#number(call, 'nents'), this.#dir(call));
        break;
      case 'dma_sync_sg_for_cpu':
      case 'dma_sync_sg_for_device': {
        const forDevice = name === 'dma_sync_sg_for_device';
        exports.debugFeedSyncSg(dev, this.#list(call), this.#number(call, 'nents'), this.#dir(call), forDevice);
        break;
      }
      case 'dma_sync_single_for_cpu':
      case 'dma_sync_single_for_device':
      case 'dma_sync_single_range_for_cpu':
      case 'dma_sync_single_range_for_device': {
        const offset = call.off === undefined ? 0 : this.#number(call, 'off');
        const address = this.#address('addr', call.addr) + offset;
        exports.debugFeedSync(dev, address, this.#number(call, 'len'), this.#dir(call), name.endsWith('device'));
        break;
      }
      default:
        this.#reader.fail(this.#line, `call of ${name}, which is not known here`);
    }
  }

  // Cases about the pool hold many mappings and record none of them.
  #note(text: string): void {
    const held = /^(\d+) single-page mappings held/.exec(text);
    if (!held) return;
    const dev = this.#device(undefined);
    for (let i = 0; i < Number(held[1]); ++i) {
      const address = SOME_PAGE + i * PAGE_SIZE;
      this.#core.exports.debugFeedMap(dev, address, PAGE_SIZE, DMA_TO_DEVICE, address, 0, TYPE_PAGE);
      this.#core.exports.debugFeedMappingError(dev, address);
    }
  }

  #mapPage(dev: DmaDeviceHandle, call: Json): void {
    const phys = this.#hex(call, 'pfn') * PAGE_SIZE + this.#number(call, 'off');
    const mapped = {
      address: this.#address('ret', call.ret),
      length: this.#number(call, 'len'),
      phys,
      dir: this.#dir(call),
    };
    if (/stack/.test(`${call.what ?? ''} ${this.#name}`)) {
      this.#core.exports.debugPlaces(this.#context, phys - (phys % PAGE_SIZE), PAGE_SIZE, 0, 0);
    }
    const attrs = call.attrs === undefined ? 0 : this.#number(call, 'attrs');
    this.#core.exports.debugFeedMap(dev, phys, mapped.length, mapped.dir, mapped.address, attrs, TYPE_PAGE);
    this.#pages.push(mapped);
    this.#translate(dev, mapped);
    this.#owners.set(mapped.address, dev);
  }

  /** Table entries as the recorded mapping had them. */
  #translate(dev: DmaDeviceHandle, { address, phys, length }: Omit<Mapped, 'dir'>): void {
    const domain = this.#domains?.get(dev);
    if (domain === undefined || address < 0) return;
    const offset = address % PAGE_SIZE;
    const bytes = Math.ceil((offset + length) / PAGE_SIZE) * PAGE_SIZE;
    const { exports } = this.#core;
    exports.domainMap(domain.handle, address - offset, phys - (phys % PAGE_SIZE), bytes, PROT_READ | PROT_WRITE);
  }

  /** A call without a device belongs to the device that got the address last. */
  #mappingError(dev: DmaDeviceHandle, call: Json): void {
    const address = this.#address('addr', call.addr);
    const ret = address < 0 ? ENOMEM : 0;
    if (call.ret !== ret) this.#reader.fail(this.#line, `dma_mapping_error returned ${call.ret}, and is ${ret}`);
    const owner = call.dev === undefined ? this.#owners.get(address) : undefined;
    this.#core.exports.debugFeedMappingError(owner ?? dev, address);
  }

  #mapResource(dev: DmaDeviceHandle, call: Json): void {
    const phys = this.#hex(call, 'phys');
    const length = this.#number(call, 'len');
    const address = this.#address('ret', call.ret);
    const dir = this.#dir(call, DMA_BIDIRECTIONAL);
    this.#core.exports.debugFeedMap(dev, phys, length, dir, address, 0, TYPE_RESOURCE);
    this.#translate(dev, { address, phys, length });
  }

  #unmapPage(dev: DmaDeviceHandle, type: number, call: Json): void {
    const address = this.#address('addr', call.addr);
    const length = this.#number(call, 'len');
    const dir = this.#dir(call);
    if (this.#domains) this.#core.exports.dmaUnmapPage(dev, address, length, dir, 0);
    else this.#core.exports.debugFeedUnmap(dev, type, address, length, dir, 0);
  }

  #mapSingle(dev: DmaDeviceHandle, call: Json): void {
    const refused = /stack|vmalloc/.test(String(call.what ?? ''));
    const address = this.#address('ret', call.ret);
    const phys = call.phys === undefined ? SOME_PAGE + Math.max(0, address % PAGE_SIZE) : this.#hex(call, 'phys');
    const length = call.len === undefined ? 16 : this.#number(call, 'len');
    if (this.#records && this.#core.exports.debugFeedMapSingle(dev, phys, length, refused)) return;
    this.#core.exports.debugFeedMap(dev, phys, length, this.#dir(call, 1), address, 0, TYPE_SINGLE);
    this.#pages.push({ address, length, phys, dir: this.#dir(call, 1) });
  }

  #alloc(dev: DmaDeviceHandle, call: Json, type: number): void {
    const address = this.#address('ret', call.ret);
    const first = ((call.ev ?? []) as unknown[][]).find(([kind]) => kind === 'm');
    const phys =
      call.pfn !== undefined
        ? this.#hex(call, 'pfn') * PAGE_SIZE
        : first
          ? this.#reader.hex(this.#line, 'ev', first[2])
          : address;
    const told = this.#expected.find(({ id }) => id === 'UNMAP_DIR')?.mapped_dir;
    const free = this.#array('calls').find((other) => other.call === 'dma_free_pages');
    const dir =
      type === TYPE_COHERENT ? DMA_BIDIRECTIONAL : this.#dir({ dir: call.dir ?? told ?? free?.dir }, DMA_BIDIRECTIONAL);
    const length = this.#number(call, 'len');
    this.#core.exports.debugFeedMap(dev, phys, length, dir, address, 0, type);
    this.#coherent.push({ address, length, phys, dir });
  }

  #free(dev: DmaDeviceHandle, call: Json, type: number): void {
    const last = this.#coherent.at(-1);
    const address = call.addr === undefined ? (last?.address ?? -1) : this.#address('addr', call.addr);
    const allocated = this.#coherent.find((mapped) => mapped.address === address);
    const told = this.#expected.find(({ id }) => id === 'UNMAP_CPUADDR')?.cpu_free_address;
    const phys = told === undefined ? (allocated?.phys ?? 0) : Number(normal(told));
    const dir = type === TYPE_COHERENT ? DMA_BIDIRECTIONAL : this.#dir(call, allocated?.dir ?? DMA_BIDIRECTIONAL);
    this.#core.exports.debugFeedUnmap(dev, type, address, this.#number(call, 'len'), dir, phys);
  }

  #mapSg(dev: DmaDeviceHandle, call: Json): void {
    if (!Array.isArray(call.sg)) this.#reader.fail(this.#line, 'sg is not an array');
    const mapped = call.ret === undefined ? 0 : Math.max(0, Number(call.ret));
    const entries = (call.sg as unknown[][]).map(([pfn, offset, length]) => [
      this.#reader.hex(this.#line, 'sg', pfn),
      this.#reader.decimal(this.#line, 'sg', offset),
      this.#reader.decimal(this.#line, 'sg', length),
    ]);
    const key = JSON.stringify(entries);
    const table = this.#lists.get(key) ?? this.#table(entries);
    this.#lists.delete(key);
    this.#lists.set(key, table);
    if (mapped === 0) return;
    const out = ((call.out ?? []) as unknown[][]).map(([address, length]) => [
      this.#address('out', address),
      this.#reader.decimal(this.#line, 'out', length),
    ]);
    this.#setSegments(table, out);
    const attrs = call.attrs === undefined ? 0 : this.#number(call, 'attrs');
    this.#core.exports.debugFeedMapSg(dev, table, entries.length, mapped, this.#dir(call), attrs);
  }

  #table(entries: readonly number[][]): SgTableHandle {
    const { exports } = this.#core;
    const table = made(exports.sgReserveRuns(this.#context, entries.length), 'sg_alloc_table', 'memory for a table');
    writeRuns(
      this.#core,
      table,
      entries.map(([pfn, offset, length]) => ({ pfn, offset, length })),
    );
    exports.sgFinishRuns(table);
    return table;
  }

  #setSegments(table: SgTableHandle, segments: readonly number[][]): void {
    const staging = this.#core.staging(this.#context);
    this.#core.writeDoubles(staging, segments.flat());
    this.#core.exports.debugFeedSegments(table, segments.length, staging);
  }

  /** The list of a call: the one at the address that the IOMMU then unmapped, otherwise the one mapped last. */
  #list(call: Json): SgTableHandle {
    const unmapped = ((call.ev ?? []) as unknown[][]).find(([kind]) => kind === 'u');
    if (unmapped) {
      const address = this.#reader.hex(this.#line, 'ev', unmapped[1]);
      for (const table of this.#lists.values()) {
        if (this.#core.exports.sgDmaSegmentAddress(table, 0) === address) return table;
      }
    }
    const last = [...this.#lists.values()].at(-1);
    if (last !== undefined) return last;
    // No list was mapped: a page is passed off as one.
    const page = this.#pages.at(-1);
    const table = this.#table([
      [Math.floor((page?.phys ?? 0) / PAGE_SIZE), (page?.phys ?? 0) % PAGE_SIZE, page?.length ?? PAGE_SIZE],
    ]);
    if (page) this.#setSegments(table, [[page.address, page.length]]);
    return table;
  }

  // Comparison.

  #compareVerdicts(records: readonly VerdictRecord[]): Divergence | null {
    const names = new Map([...this.#deviceIds].map(([name, id]) => [id, name]));
    for (let i = 0; i < Math.max(records.length, this.#expected.length); ++i) {
      const expected = this.#expected[i];
      const record = records[i];
      const got = record && { id: checkOf(record.check).id, ...verdictFields(record, names.get(record.device)) };
      if (!expected || !got || !agree(expected, got)) {
        return this.#divergence(`verdict ${i + 1}`, text(expected), text(got && shown(expected, got)));
      }
    }
    return null;
  }

  compareCounters(): Divergence | null {
    const after = this.#counters('after');
    if (!this.#records) {
      const before = this.#counters('before');
      const changed = Object.keys(after).find((name) => after[name] !== before[name]);
      return changed ? this.#divergence(changed, String(after[changed]), String(before[changed])) : null;
    }
    const counters = this.#records.counters();
    const got: Json = {
      disabled: counters.disabled,
      error_count: counters.errorCount,
      num_errors: counters.numErrors,
      num_free_entries: counters.numFreeEntries,
      min_free_entries: counters.minFreeEntries,
      nr_total_entries: counters.nrTotalEntries,
    };
    got.all_errors = this.#counters('before').all_errors;
    const wrong = Object.keys(got).find((name) => after[name] !== got[name]);
    return wrong ? this.#divergence(wrong, String(after[wrong]), String(got[wrong])) : null;
  }

  #divergence(what: string, expected: string, got: string): Divergence {
    return { line: this.#line, operation: `${this.#name}: ${what}`, expected, got };
  }
}

function verdictFields(record: VerdictRecord, device: string | undefined): Json {
  return { ...(device !== undefined && { device }), ...snake(checkOf(record.check).data(record)) };
}

/** Names as the recordings have them. */
function snake(data: Readonly<Record<string, unknown>>): Json {
  return Object.fromEntries(
    Object.entries(data).map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      typeof value === 'object' && value !== null ? snake(value as Json) : value,
    ]),
  );
}

/** A recorded value as a plain number or name: hex comes with one 0x or, where the kernel's format doubles it, two. */
function normal(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const digits = /^(?:0x)+([0-9a-f]+)$/.exec(value);
  if (digits) return /^f{16}$/.test(digits[1]) ? -1 : Number.parseInt(digits[1], 16);
  return /^\d+$/.test(value) ? Number(value) : value;
}

/** Whether a verdict equals the recorded one, in every field that both have. */
function agree(expected: Json, got: Json): boolean {
  return Object.entries(expected).every(([name, value]) => {
    if (!(name in got)) return name !== 'id' && name !== 'device';
    if (typeof value === 'object' && value !== null) return agree({ ...(value as Json) }, got[name] as Json);
    return normal(value) === normal(got[name]);
  });
}

function shown(expected: Json | undefined, got: Json): Json {
  if (!expected) return got;
  return Object.fromEntries(Object.entries(got).filter(([name]) => name in expected));
}

function text(verdict: Json | undefined): string {
  return verdict === undefined ? 'no verdict' : JSON.stringify(verdict);
}
