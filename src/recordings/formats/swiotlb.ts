import { BouncePool } from '../../core/bounce-pool.js';
import { DMA_TO_DEVICE, HIGH_START, PAGE_SIZE as PAGE, SET_SLOTS, SLOT_SIZE } from '../../core/generated/constants.js';
import type { ContextHandle, DmaDeviceHandle } from '../../core/generated/exports.js';
import { held, made } from '../../core/handle.js';
import { Core } from '../../core/instance.js';
import { LIBRARY } from '../../core/life.js';
import { PhysicalMemory } from '../../core/physical-memory.js';
import { endsWith, FieldReader, type Recording, type RecordingFormat } from '../replay/recording.js';
import { type Difference, differing, type LineReplay, replayLines } from '../replay/replay.js';
import { type Shape, shape, shapes } from '../replay/shape.js';

/**
 * `linux-swiotlb`: one bounce pool, mapped and unmapped by a device whose min_align_mask and mask the `begin` lines
 * give. Parts follow each other in the same pool, so its moving indexes carry over. Besides addresses and slots, each
 * step checks that bytes really travel, with the bytes that the recorder used: before a map the CPU writes the mapping's number to the
 * buffer's last byte, before an unmap the device writes the complement to the last byte of the slots. Buffers overlap in memory, so
 * what another mapping copies counts, too.
 *
 * A recording may begin in the middle of a pool's history. Then it is not known where areas go on searching, and which slots are
 * taken: the first map in an area tells the one, and a slot that a search passed over, of which nothing else is known, was taken.
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
/** Fields that are not compared; used_hiwater is compared elsewhere. */
const INPUTS = new Set(
  'op test seed min_align_mask cpu dma_mask start force_bounce id phys len dir used_hiwater'.split(' '),
);

const LIMIT = 2 ** 30;
/** Frames of RAM below 4 GiB at most, and the first frame above it (assembly/ram/ram.ts). */
const LOW_FRAMES = 0xc0000;
/** What a device has by default: it does not matter to single mappings. */
const MAX_SEGMENT = 65536;
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
  #other: DmaDeviceHandle | 0 = 0;
  #maxUsed = 0;
  /** Slots in use that were taken before the recording began. */
  #earlier = 0;
  /** Something was inferred: the recording begins in the middle. */
  #middle = false;
  /** What the line of a map says to be in use. */
  #used = 0;
  #first = true;
  /** Areas with a recorded map, and slots whose state is known. */
  readonly #seen = new Set<number>();
  #known = new Uint8Array(0);
  #areaSlots = 0;
  /** Slots that stand for what was taken before. */
  readonly #standIns = new Map<number, number>();
  #failures = 0;
  /** The last mappings of a part are unmapped without a check of their bytes: from the first unmap without copied_back. */
  #ending = false;

  constructor(recording: Recording) {
    this.#read = new FieldReader(recording);
    const { cpus, frames } = this.#survey();
    this.#context = made(this.#core.exports.machineCreate(LIMIT, cpus, frames, 0, 1), 'machine_create', 'machine');
    if (this.#context <= 0) this.#read.fail(1, `a machine with ${frames} frames of RAM cannot be made`);
    this.#ram = new PhysicalMemory(LIBRARY, this.#core, this.#context);
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

  private get device(): DmaDeviceHandle {
    return held(this.#made);
  }

  #begin(line: number, record: Record<string, unknown>): void {
    const bits = this.#read.maskBits(line, 'dma_mask', record.dma_mask);
    const align = this.#read.hex(line, 'min_align_mask', record.min_align_mask);
    const { deviceCreate, deviceSetMask, deviceSetSegments } = this.#core.exports;
    if (this.#made === 0) this.#made = deviceCreate(this.#context, 1, 0);
    deviceSetMask(this.device, bits, bits);
    deviceSetSegments(this.device, MAX_SEGMENT, 32, align);
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
      this.#known = new Uint8Array(shape.slots);
      this.#areaSlots = shape.slots / shape.areas;
    }
    const { slots, areas } = this.#pool.stats;
    this.#same(record, {
      max_mapping: this.#core.exports.swiotlbMaxMapping(this.device),
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
    const id = this.#read.decimal(line, 'id', record.id);
    if (this.#mapped.has(id)) this.#read.fail(line, `id ${id} is mapped already`);
    const mark = id & 0xff;
    this.#ram.write(phys + length - 1, Uint8Array.of(mark));
    const wanted = record.ret === null ? -1 : this.#read.hex(line, 'ret', record.ret);
    this.#used = this.#read.decimal(line, 'used', record.used);
    const address = this.#place(wanted, phys, length, dir);
    const got: Record<string, unknown> = { ret: address < 0 ? null : address.toString(16) };
    if (address >= 0) {
      this.#mapped.set(id, { phys, length, address });
      got.slot = Math.floor((address - this.#poolStart) / SLOT_SIZE);
      got.in_slot = (address - this.#poolStart) % SLOT_SIZE;
      got.copied_in = this.#ram.read(address + length - 1, 1)[0] === mark ? 1 : 0;
    } else ++this.#failures;
    if (this.#first) this.#earlier = this.#usedBefore(line, record);
    this.#first = false;
    this.#compare(record, got);
  }

  #unmap(line: number, record: Record<string, unknown>): void {
    const id = this.#read.decimal(line, 'id', record.id);
    const mapped = this.#mapped.get(id);
    this.#ready(line);
    this.#ending ||= record.copied_back === undefined;
    if (this.#ending && record.copied_back !== undefined)
      this.#read.fail(line, 'copied_back after an unmap without it');
    if (!mapped) {
      this.#unmapEarlier(line, id, record);
      return;
    }
    this.#mapped.delete(id);
    const { phys, length, address } = mapped;
    const mark = ~id & 0xff;
    this.#ram.write(address + length - 1, Uint8Array.of(mark));
    const dir = this.#read.decimal(line, 'dir', record.dir);
    const done = this.#core.exports.swiotlbUnmapSingle(this.device, address, length, dir, 0);
    if (!done) this.#differs(line, `unmap ${id}`, 'unmapped', 'refused');
    // The last mappings of a part are given back without looking at their bytes: then there is nothing to compare.
    const back = this.#ram.read(phys + length - 1, 1)[0] === mark;
    this.#compare(record, this.#ending ? {} : { copied_back: back ? 1 : 0 });
  }

  /**
   * Maps a buffer as the pool does. Where that is not where the recording has it, what is not known of the pool is inferred from
   * the recording, as long as something is not.
   */
  #place(wanted: number, phys: number, length: number, dir: number): number {
    const { swiotlbMapSingle, swiotlbSetIndex, swiotlbUnmapSingle } = this.#core.exports;
    const before = this.#pool!.stats;
    const slot = Math.floor((wanted - this.#poolStart) / SLOT_SIZE);
    const area = Math.floor(slot / this.#areaSlots);
    for (;;) {
      const { used } = this.#pool!.stats;
      const address = swiotlbMapSingle(this.device, phys, length, dir, 0);
      const taken = this.#pool!.stats.used - used;
      const got = Math.floor((address - this.#poolStart) / SLOT_SIZE);
      const unknown = address < 0 ? -1 : this.#known.subarray(got, got + taken).indexOf(0);
      const fresh = area >= 0 && area < before.areas.length && !this.#seen.has(area);
      const stoodIn = this.#standInsOf(slot, Math.ceil(((wanted % SLOT_SIZE) + length) / SLOT_SIZE));
      // A pool that begins empty, at its first slot, has no history.
      if (this.#first && (address !== wanted || used + taken !== this.#used)) this.#middle = true;
      const inferred = this.#middle && (fresh || unknown >= 0 || stoodIn.length > 0);
      if (address === wanted || wanted < 0 || !inferred) {
        if (address >= 0) this.#known.fill(1, got, got + taken);
        if (address >= 0) this.#seen.add(Math.floor(got / this.#areaSlots));
        return address;
      }
      if (address >= 0) swiotlbUnmapSingle(this.device, address, length, DMA_TO_DEVICE, 0);
      before.areas.forEach(({ index }, i) => void swiotlbSetIndex(this.#pool!.handle, i, index));
      if (stoodIn.length > 0) this.#vacate(stoodIn);
      else if (fresh) {
        this.#seen.add(area);
        swiotlbSetIndex(this.#pool!.handle, area, slot % this.#areaSlots);
        before.areas[area].index = slot % this.#areaSlots;
      } else this.#occupy(got + unknown, before.areas);
    }
  }

  #standInsOf(slot: number, n: number): number[] {
    return [...this.#standIns.keys()].filter((at) => at >= slot && at < slot + n);
  }

  // What they stood for was given back meanwhile.
  #vacate(slots: readonly number[]): void {
    for (const slot of slots) {
      const address = this.#standIns.get(slot)!;
      this.#core.exports.swiotlbUnmapSingle(held(this.#other), address, SLOT_SIZE, DMA_TO_DEVICE, 0);
      this.#standIns.delete(slot);
      ++this.#earlier;
    }
  }

  // A mapping of one slot represents a mapping that was made before the recording began.
  #occupy(slot: number, areas: { index: number }[]): void {
    const { deviceCreate, swiotlbMapSingle, swiotlbSetIndex } = this.#core.exports;
    if (this.#other === 0) this.#other = deviceCreate(this.#context, 2, 8);
    swiotlbSetIndex(this.#pool!.handle, Math.floor(slot / this.#areaSlots), slot % this.#areaSlots);
    this.#standIns.set(slot, swiotlbMapSingle(held(this.#other), this.#poolStart, SLOT_SIZE, DMA_TO_DEVICE, 0));
    this.#known[slot] = 1;
    --this.#earlier;
    areas.forEach(({ index }, i) => void swiotlbSetIndex(this.#pool!.handle, i, index));
  }

  // Slots of earlier mappings that are still to be found, by what the recording says to be in use.
  #usedBefore(line: number, record: Record<string, unknown>): number {
    return this.#read.decimal(line, 'used', record.used) - this.#pool!.stats.used;
  }

  // The place of a mapping that was made before the recording began is not known: its slots are free or unknown.
  #unmapEarlier(line: number, id: number, record: Record<string, unknown>): void {
    const left = this.#usedBefore(line, record);
    if (!this.#first && left >= this.#earlier) this.#read.fail(line, `id ${id} is not mapped`);
    this.#earlier = left;
    this.#middle = true;
  }

  #end(line: number, record: Record<string, unknown>): void {
    this.#ready(line);
    // The high-water mark counts from its last reset, which is not in a recording.
    const { highWater } = this.#pool!.stats;
    const marks = [highWater, this.#maxUsed];
    const broken = this.#core.tools.machineCheck(this.#context);
    if (broken !== 0) this.#differs(line, 'end', 'sound structures', `check ${(broken >>> 0).toString(16)}`);
    if (!this.#middle && !marks.includes(record.used_hiwater as number)) {
      this.#differs(line, 'end', `used_hiwater ${record.used_hiwater}`, marks.join(' or '));
    }
    this.#compare(record, { failures: this.#failures });
  }

  #ready(line: number): void {
    if (!this.#pool || this.#made === 0) this.#read.fail(line, 'no begin and pool line before it');
  }

  // Compares the fields of a line, and the pool's use.
  #compare(record: Record<string, unknown>, got: Record<string, unknown>): void {
    const used = this.#pool!.stats.used + this.#earlier;
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
}
