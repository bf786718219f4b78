import { BouncePool } from '../../core/bounce-pool.js';
import { HIGH_START, PAGE_SIZE as PAGE, SET_SLOTS, SLOT_SIZE } from '../../core/generated/constants.js';
import type { ContextHandle, DmaDeviceHandle } from '../../core/generated/exports.js';
import { held, made } from '../../core/handle.js';
import { Core } from '../../core/instance.js';
import { PhysicalMemory } from '../../core/physical-memory.js';
import { endsWith, FieldReader, type Recording, type RecordingFormat } from '../recording.js';
import { type Difference, differing, type LineReplay, replayLines } from '../replay.js';
import { type Shape, shape, shapes } from '../shape.js';

/**
 * `linux-swiotlb`: one bounce pool, mapped and unmapped by a device whose min_align_mask and mask the `begin` lines
 * give. Parts follow each other in the same pool, so its moving indexes carry over. Besides addresses and slots, each
 * step checks that bytes really travel: a mark in the buffer must show up in the slots, one that "the device" writes
 * into the slots must come back or not, as recorded.
 */
export const swiotlb: RecordingFormat = {
  kinds: ['swiotlb'],
  replay: (recording) => replayLines(recording, new SwiotlbReplay(recording)),
  cut: (recording) => endsWith(recording, 'end', ({ op }) => op === 'end'),
};

const CALL = 'op:text id:int phys:hex len:int dir:int ret:hex? used:int';
const SHAPES: Readonly<Record<string, Shape>> = shapes({
  begin: 'op:text test:text seed:int min_align_mask:hex cpu:int dma_mask:hex',
  pool: 'op:text start:hex end:hex nslabs:int nareas:int area_nslabs:int force_bounce:bit slot:int segsize:int max_mapping:int',
  unmap: 'op:text id:int dir:int [copied_back:bit] used:int',
  end: 'op:text failures:int used:int used_hiwater:int',
});
const REFUSED = shape(CALL);
const MAPPED = shape(CALL, 'slot:int in_slot:int copied_in:bit');
/** What is not compared as a field; used_hiwater is, in its own way. */
const INPUTS = new Set(
  'op test seed min_align_mask cpu dma_mask start force_bounce id phys len dir used_hiwater'.split(' '),
);

const LIMIT = 2 ** 30;
/** Frames of RAM below 4 GiB at most, and the first frame above it (assembly/ram/ram.ts). */
const LOW_FRAMES = 0xc0000;
/** What a device has by default: it does not matter to single mappings. */
const MAX_SEGMENT = 65536;
/** Bytes marked at each end of a buffer. */
const MARK = 8;

class Mismatch extends Error {
  constructor(readonly difference: Difference) {
    super(difference.got);
  }
}

interface Mapped {
  phys: number;
  length: number;
  address: number;
}

class SwiotlbReplay implements LineReplay {
  readonly #read: FieldReader;
  readonly #core = new Core();
  readonly #context: ContextHandle;
  readonly #ram: PhysicalMemory;
  readonly #mapped = new Map<number, Mapped>();
  #pool: BouncePool | undefined;
  #poolStart = 0;
  #made: DmaDeviceHandle | 0 = 0;
  #maxUsed = 0;
  #marks = 0;
  #failures = 0;
  /** The last mappings of a part are given back without a look at their bytes: the first unmap without copied_back. */
  #ending = false;

  constructor(recording: Recording) {
    this.#read = new FieldReader(recording);
    const { cpus, frames } = this.#survey();
    this.#context = made(this.#core.exports.machineCreate(LIMIT, cpus, frames, 0, 1), 'machine_create', 'machine');
    if (this.#context <= 0) this.#read.fail(1, `a machine with ${frames} frames of RAM cannot be made`);
    this.#ram = new PhysicalMemory(this.#core, this.#context);
  }

  // The machine must have RAM wherever the recording has a buffer or the pool, and the CPUs that it names.
  #survey(): { cpus: number; frames: number } {
    let cpus = 1;
    let last = 0;
    for (const line of this.#read.lineNumbers()) {
      const { op, cpu, phys, len, end } = this.#read.json(line);
      if (op === 'begin') cpus = Math.max(cpus, this.#read.decimal(line, 'cpu', cpu) + 1);
      if (op === 'map')
        last = Math.max(last, this.#read.hex(line, 'phys', phys) + this.#read.decimal(line, 'len', len));
      if (op === 'pool') last = Math.max(last, this.#read.hex(line, 'end', end));
    }
    if (cpus > 64) this.#read.fail(1, `${cpus} CPUs are more than a machine can have`);
    const frames = Math.ceil(last / PAGE);
    return { cpus, frames: Math.max(1024, frames > HIGH_START ? frames - HIGH_START + LOW_FRAMES : LOW_FRAMES) };
  }

  counts({ op }: Record<string, unknown>): boolean {
    return op === 'map' || op === 'unmap' || op === 'end';
  }

  shape({ op, ret }: Record<string, unknown>): Shape | undefined {
    if (op === 'map') return ret === null ? REFUSED : MAPPED;
    return SHAPES[String(op)];
  }

  step(line: number, record: Record<string, unknown>): Difference | null {
    const replay = this.#operations[String(record.op)];
    try {
      replay(line, record);
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error;
      return error.difference;
    }
    return null;
  }

  readonly #operations: Record<string, (line: number, record: Record<string, unknown>) => void> = {
    begin: (line, record) => this.#begin(line, record),
    pool: (line, record) => this.#usePool(line, record),
    map: (line, record) => this.#map(line, record),
    unmap: (line, record) => this.#unmap(line, record),
    end: (line, record) => this.#end(line, record),
  };

  get #device(): DmaDeviceHandle {
    return held(this.#made);
  }

  #begin(line: number, record: Record<string, unknown>): void {
    const bits = this.#read.maskBits(line, 'dma_mask', record.dma_mask);
    const align = this.#read.hex(line, 'min_align_mask', record.min_align_mask);
    const { deviceCreate, deviceSetMask, deviceSetSegments } = this.#core.exports;
    if (this.#made === 0) this.#made = deviceCreate(this.#context, 1, 0);
    deviceSetMask(this.#device, bits, bits);
    deviceSetSegments(this.#device, MAX_SEGMENT, 32, align);
    this.#core.exports.cpuSet(this.#read.decimal(line, 'cpu', record.cpu));
    this.#maxUsed = 0;
    this.#failures = 0;
    this.#ending = false;
  }

  #usePool(line: number, record: Record<string, unknown>): void {
    const start = this.#read.hex(line, 'start', record.start);
    if (this.#pool && start !== this.#poolStart) this.#read.fail(line, 'a second pool in one recording');
    if (!this.#pool) {
      const shape = {
        slots: this.#read.decimal(line, 'nslabs', record.nslabs),
        areas: this.#read.decimal(line, 'nareas', record.nareas),
      };
      this.#pool = BouncePool.create(this.#core, this.#context, shape, 'areas', start / PAGE);
      this.#poolStart = start;
    }
    const { slots, areas } = this.#pool.stats;
    this.#same(record, {
      max_mapping: this.#core.exports.swiotlbMaxMapping(this.#device),
      nslabs: slots,
      nareas: areas.length,
      end: (start + slots * SLOT_SIZE).toString(16),
      area_nslabs: slots / areas.length,
      slot: SLOT_SIZE,
      segsize: SET_SLOTS,
    });
  }

  #map(line: number, record: Record<string, unknown>): void {
    const phys = this.#read.hex(line, 'phys', record.phys);
    const length = this.#read.decimal(line, 'len', record.len);
    const dir = this.#read.decimal(line, 'dir', record.dir);
    this.#ready(line);
    if (this.#ending) this.#read.fail(line, 'a map after an unmap without copied_back');
    const mark = this.#mark(phys, length);
    const address = this.#core.exports.swiotlbMapSingle(this.#device, phys, length, dir, 0);
    const got: Record<string, unknown> = { ret: address < 0 ? null : address.toString(16) };
    if (address >= 0) {
      const id = this.#read.decimal(line, 'id', record.id);
      if (this.#mapped.has(id)) this.#read.fail(line, `id ${id} is mapped already`);
      this.#mapped.set(id, { phys, length, address });
      got.slot = Math.floor((address - this.#poolStart) / SLOT_SIZE);
      got.in_slot = (address - this.#poolStart) % SLOT_SIZE;
      got.copied_in = this.#isMarked(address, length, mark) ? 1 : 0;
    } else ++this.#failures;
    this.#compare(record, got);
  }

  #unmap(line: number, record: Record<string, unknown>): void {
    const id = this.#read.decimal(line, 'id', record.id);
    const mapped = this.#mapped.get(id);
    if (!mapped) this.#read.fail(line, `id ${id} is not mapped`);
    this.#ready(line);
    this.#mapped.delete(id);
    const { phys, length, address } = mapped;
    // Every byte that the device leaves differs from the buffer's own: even a buffer of one byte shows whether it was copied.
    const before = this.#bytesAtEnds(phys, length);
    this.#ends(address, length).forEach((at, i) => {
      this.#ram.write(
        at,
        before[i].map((byte) => ~byte),
      );
    });
    const dir = this.#read.decimal(line, 'dir', record.dir);
    const done = this.#core.exports.swiotlbUnmapSingle(this.#device, address, length, dir, 0);
    if (!done) this.#differs(line, `unmap ${id}`, 'unmapped', 'refused');
    // The last mappings of a part are given back without looking at their bytes: then there is nothing to compare.
    const after = this.#bytesAtEnds(phys, length);
    const back = after.every((bytes, i) => bytes.every((byte, j) => byte !== before[i][j]));
    this.#ending ||= record.copied_back === undefined;
    if (this.#ending && record.copied_back !== undefined)
      this.#read.fail(line, 'copied_back after an unmap without it');
    this.#compare(record, this.#ending ? {} : { copied_back: back ? 1 : 0 });
  }

  #end(line: number, record: Record<string, unknown>): void {
    this.#ready(line);
    // The high-water mark counts from its last reset, which is not in a recording.
    const { highWater } = this.#pool!.stats;
    const marks = [highWater, this.#maxUsed];
    const broken = this.#core.tools.machineCheck(this.#context);
    if (broken !== 0) this.#differs(line, 'end', 'sound structures', `check ${(broken >>> 0).toString(16)}`);
    if (!marks.includes(record.used_hiwater as number)) {
      this.#differs(line, 'end', `used_hiwater ${record.used_hiwater}`, marks.join(' or '));
    }
    this.#compare(record, { failures: this.#failures });
  }

  #ready(line: number): void {
    if (!this.#pool || this.#made === 0) this.#read.fail(line, 'no begin and pool line before it');
  }

  // Compares the fields of a line, and the pool's use.
  #compare(record: Record<string, unknown>, got: Record<string, unknown>): void {
    const { used } = this.#pool!.stats;
    this.#maxUsed = Math.max(this.#maxUsed, used);
    this.#same(record, { ...got, used });
  }

  #same(record: Record<string, unknown>, got: Record<string, unknown>): void {
    const wrong = differing(record, got, INPUTS);
    if (wrong) throw new Mismatch({ operation: `${record.op} ${record.id ?? ''}`.trim(), ...wrong });
  }

  #differs(_line: number, operation: string, expected: string, got: string): never {
    throw new Mismatch({ operation: operation.trim(), expected, got });
  }

  /** Writes a mark that was never there before to the ends of a buffer (one end of a short one), and returns it. */
  #mark(address: number, length: number): Uint8Array {
    const mark = new Uint8Array(new Uint32Array([++this.#marks, ~this.#marks]).buffer).subarray(0, length);
    for (const at of this.#ends(address, length)) this.#ram.write(at, mark);
    return mark;
  }

  #isMarked(address: number, length: number, mark: Uint8Array): boolean {
    return this.#bytesAtEnds(address, length).every((bytes) => bytes.every((byte, i) => byte === mark[i]));
  }

  #bytesAtEnds(address: number, length: number): Uint8Array[] {
    return this.#ends(address, length).map((at) => this.#ram.read(at, Math.min(MARK, length)));
  }

  #ends(address: number, length: number): number[] {
    return length < 2 * MARK ? [address] : [address, address + length - MARK];
  }
}
