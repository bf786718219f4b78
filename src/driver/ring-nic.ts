import { checkBytes, checkFunction, checkObject, oneOf, readData } from '../core/arguments.js';
import { checkInteger, invalidType, invalidValue } from '../core/errors.js';
import { guard } from '../core/guard.js';
import { type DeviceDescription, type DeviceModel, ModelDevice } from './device-model.js';
import type { DriverScenario, DriverTest } from './scenario.js';

/**
 * A network device with rings of descriptors, described as data: registers of the rings, layout of a descriptor, interrupt causes. It
 * is enough for most small drivers of a kernel tree. It sends and receives through the IOMMU; it receives its own packets, and a
 * scenario can send it others.
 *
 * Registers keep what is written. The device looks at its transmit ring a microsecond after any write to a register, so the
 * register that a driver starts it with need not be told.
 */

/** Bits of a little-endian word of 32 bits: its offset, and a mask. */
export type Bits = readonly [offset: number, mask: number];

/** A ring of descriptors. Offsets are in bytes from a descriptor's begin. */
export interface Ring {
  /** Register that holds the first descriptor's address, or the two of its low and high half. */
  base: number | readonly [low: number, high: number];
  /** The device works on the ring while these bits of a register are set: the register, and a mask. Default: always. */
  on?: Bits;
  /** Bytes from one descriptor to the next; with `end` or `entries`. */
  bytes?: number;
  /** The descriptor is the last of its ring. */
  end?: Bits;
  /** Descriptors of the ring, if no descriptor is marked as the last. */
  entries?: number;
  /** Offset of the next descriptor's address, where they are linked. */
  next?: number;
  /** The descriptor is the device's where these bits have this value. Default: all of them set. */
  own: readonly [offset: number, mask: number, value?: number];
  /** Offset of the buffer's address, or of its low and high half, of which the mask counts. */
  address: number | readonly [low: number, high: number, mask?: number];
  /** The buffer's bytes. */
  length: Bits;
  /** A second buffer of the same descriptor: its address and its bytes. */
  second?: {
    /** Offset of the second buffer's address in the descriptor. */
    address: number;
    /** Bits that hold its bytes. */
    length: Bits;
  };
  /**
   * Transmit: bits that mark the last descriptor of a packet. Without `last` and `more` each descriptor is a packet.
   */
  last?: Bits;
  /** Transmit: bits that say that the packet goes on in the next descriptor. Not with `last`. */
  more?: Bits;
  /** What the device writes when it is done: bits to clear and to set, by word. */
  done: Readonly<Record<number, readonly [clear: number, set: number]>>;
  /** Receive: bits into which the device writes how many bytes the packet has. */
  received?: Bits;
  /** Receive: bytes that it counts besides, such as 4 for a checksum. Default 0. */
  plus?: number;
}

/** A network device with one ring to transmit and one to receive, as data. Registers are offsets in bytes, in BAR 0. */
export interface RingNic extends DeviceDescription {
  /** The ring of packets to send. */
  tx: Ring;
  /** The ring of buffers to receive into. */
  rx: Ring;
  /** The interrupt: its registers, and the bits of its causes. */
  irq: {
    /** Register of causes that are pending. */
    status: number;
    /** Register of causes that may interrupt. Without one all may. */
    enable?: number;
    /** Bit that says a packet was sent. */
    tx: number;
    /** Bit that says a packet was received. */
    rx: number;
    /** Bit that says the link is up: it comes once, a millisecond after causes were enabled first. Absent: never. */
    link?: number;
    /** How the driver clears a cause: by writing its bit to `status` (default), or by reading that. */
    clear?: 'write' | 'read';
    /** Bytes of both registers. Default 4. */
    size?: 1 | 2 | 4;
  };
  /** Bits of a register that stop both rings when they are written. */
  stop?: Bits;
  /** Bits of a register that start them again; without these the write of a ring's begin does. */
  start?: Bits;
  /** Bits of registers that always read as 0 or as 1, so that a driver's reset or wait ends. */
  reads?: Readonly<Record<number, readonly [clear: number, set: number]>>;
  /** What registers hold at first, 32 bits each. */
  values?: Readonly<Record<number, number>>;
  /** An EEPROM of words behind a register (93C46): masks of its lines, and words by number. */
  eeprom?: {
    /** Register with the EEPROM's lines. */
    at: number;
    /** Mask of chip select. */
    select: number;
    /** Mask of the clock. */
    clock: number;
    /** Mask of the line from driver to EEPROM. */
    in: number;
    /** Mask of the line from EEPROM to driver. */
    out: number;
    /** Bits of an address of a word. Default 6. */
    addressBits?: number;
    /** Words of 16 bits by number; the others are 0. */
    words: Readonly<Record<number, number>>;
  };
  /** Lines of a management bus behind a register: every register of every PHY reads as ones and zeros in turn. */
  mdio?: {
    /** Register with the bus's lines. */
    at: number;
    /** Mask of the clock. */
    clock: number;
    /** Mask of the line from PHY to driver. */
    out: number;
  };
  /** Behaviour that the description cannot express: a model on top of it. */
  model?(base: DeviceModel, hardware: ModelDevice): DeviceModel;
  /** Longest packet of the scenario. Default 1,000. */
  longest?: number;
}

const REGISTERS = 0x10000;
const MICROSECOND = 1000;
const NO_RING = 0;

function checkAccess(at: number, size: number): void {
  if (size !== 1 && size !== 2 && size !== 4) throw invalidValue('size', '1, 2 or 4', size);
  checkInteger('at', at, 0, REGISTERS - size);
}

/** A pair of an offset and a mask, or of two offsets; some have a third number. */
function checkNumbers(name: string, list: unknown, counts: readonly number[]): void {
  if (!Array.isArray(list) || !counts.includes(list.length)) {
    throw invalidType(name, `an array of ${counts.join(' or ')} numbers`, list);
  }
  for (const value of list) checkInteger(name, value, 0, 0xffffffff);
}

function checkPlace(name: string, place: unknown, counts: readonly number[]): void {
  if (typeof place === 'number') checkInteger(name, place, 0, REGISTERS - 4);
  else checkNumbers(name, place, counts);
}

function checkRing(name: string, ring: Ring): void {
  checkObject(name, ring);
  const { base, on, bytes, end, entries, next, own, address, length, second, last, more, done, received, plus } = ring;
  checkPlace(`${name}.base`, base, [2]);
  checkPlace(`${name}.address`, address, [2, 3]);
  checkNumbers(`${name}.own`, own, [2, 3]);
  checkNumbers(`${name}.length`, length, [2]);
  for (const [field, bits] of Object.entries({ on, end, last, more, received })) {
    if (bits !== undefined) checkNumbers(`${name}.${field}`, bits, [2]);
  }
  for (const [field, value] of Object.entries({ bytes, entries, next, plus })) {
    if (value !== undefined) checkInteger(`${name}.${field}`, value, 0, REGISTERS);
  }
  if (second !== undefined) {
    checkObject(`${name}.second`, second);
    checkInteger(`${name}.second.address`, second.address, 0, REGISTERS);
    checkNumbers(`${name}.second.length`, second.length, [2]);
  }
  checkObject(`${name}.done`, done);
  for (const word of Object.values(done)) checkNumbers(`${name}.done`, word, [2]);
}

/**
 * A copy of a description that is known to be one.
 * @throws TypeErrors and RangeErrors naming what is wrong
 */
function readNic(given: RingNic): RingNic {
  checkObject('nic', given);
  const nic = readData('nic', { ...given });
  const { tx, rx, irq, stop, start, reads, values, eeprom, mdio, model, longest } = nic;
  checkRing('nic.tx', tx);
  checkRing('nic.rx', rx);
  checkObject('nic.irq', irq);
  const { status, tx: sent, rx: received, enable, link, clear, size } = irq;
  for (const [field, value] of Object.entries({ status, tx: sent, rx: received, enable, link })) {
    const needed = field === 'status' || field === 'tx' || field === 'rx';
    if (needed || value !== undefined) checkInteger(`nic.irq.${field}`, value, 0, 0xffffffff);
  }
  if (clear !== undefined) oneOf('nic.irq.clear', clear, ['write', 'read']);
  if (size !== undefined) checkAccess(status, size);
  for (const [field, bits] of Object.entries({ stop, start })) {
    if (bits !== undefined) checkNumbers(`nic.${field}`, bits, [2]);
  }
  for (const [field, words] of Object.entries({ reads, values })) {
    if (words === undefined) continue;
    checkObject(`nic.${field}`, words);
    for (const [at, word] of Object.entries(words as object)) {
      checkInteger(`nic.${field}`, Number(at), 0, REGISTERS - 4);
      if (field === 'reads') checkNumbers('nic.reads', word, [2]);
      else checkInteger('nic.values', word, 0, 0xffffffff);
    }
  }
  if (eeprom !== undefined) {
    checkObject('nic.eeprom', eeprom);
    checkObject('nic.eeprom.words', eeprom.words);
    const { words: _, addressBits = 6, ...lines } = eeprom;
    checkInteger('nic.eeprom.addressBits', addressBits, 1, 16);
    for (const key of ['at', 'select', 'clock', 'in', 'out'] as const) {
      checkInteger(`nic.eeprom.${key}`, lines[key], 0, 0xffffffff);
    }
  }
  if (mdio !== undefined) {
    checkObject('nic.mdio', mdio);
    for (const key of ['at', 'clock', 'out'] as const) checkInteger(`nic.mdio.${key}`, mdio[key], 0, 0xffffffff);
  }
  if (model !== undefined) checkFunction('nic.model', model);
  if (longest !== undefined) checkInteger('nic.longest', longest, 65, 65535);
  return nic;
}

/** A device of a description; its scenario lets it receive packets. */
export class RingNicModel implements DeviceModel {
  static {
    guard(RingNicModel, (one) => #nic in one);
  }

  readonly #hardware: ModelDevice;
  readonly #nic: RingNic;
  readonly #bytes = new Uint8Array(REGISTERS);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #eeprom: Eeprom | null;
  #tx = new Cursor();
  #rx = new Cursor();
  #packet: Uint8Array[] = [];
  #scheduled = false;
  #mdioBit = false;
  #linked = false;
  #stopped = false;
  /** Packets that wait for a descriptor of the receive ring. */
  readonly #waiting: Uint8Array[] = [];
  /** Packets that the driver has sent. */
  readonly sent: Uint8Array[] = [];

  constructor(hardware: ModelDevice, nic: RingNic) {
    if (!ModelDevice.is(hardware)) throw invalidType('hardware', 'a ModelDevice', hardware);
    nic = readNic(nic);
    this.#hardware = hardware;
    this.#nic = nic;
    this.#eeprom = nic.eeprom ? new Eeprom(nic.eeprom) : null;
    for (const [at, value] of Object.entries(nic.values ?? {})) this.#view.setUint32(Number(at), value, true);
  }

  read(_bar: number, at: number, size: number): number {
    checkAccess(at, size);
    const { irq, reads, eeprom } = this.#nic;
    let value = this.#get(at, size);
    for (const [reg, [clear, set]] of Object.entries(reads ?? {})) {
      const first = Number(reg);
      if (at < first || at >= first + 4) continue;
      const shift = 8 * (at - first);
      value = ((value & ~(clear >>> shift)) | (set >>> shift)) >>> 0;
    }
    if (eeprom && at === eeprom.at && this.#eeprom)
      value = (value & ~eeprom.out) | (this.#eeprom.read() ? eeprom.out : 0);
    const { mdio } = this.#nic;
    if (mdio && at === mdio.at) value = this.#mdioBit ? value | mdio.out : value & ~mdio.out;
    if (at === irq.status && irq.clear === 'read') this.#set(at, size, 0);
    return size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff);
  }

  write(_bar: number, at: number, size: number, value: number): void {
    checkAccess(at, size);
    if (typeof value !== 'number') throw invalidType('value', 'of type number', value);
    const { irq, tx, rx, eeprom, mdio } = this.#nic;
    if (mdio && at === mdio.at && (value & mdio.clock) !== 0 && (this.#get(at, size) & mdio.clock) === 0) {
      this.#mdioBit = !this.#mdioBit;
    }
    if (at === irq.status) {
      if (irq.clear !== 'read') this.#set(at, size, this.#get(at, size) & ~value);
    } else this.#set(at, size, value);
    const { stop, start } = this.#nic;
    if (written(stop, at, size, value)) this.#stopped = true;
    if (written(start, at, size, value)) this.#stopped = false;
    if (registersOf(tx).includes(at)) this.#tx = new Cursor();
    if (registersOf(rx).includes(at)) this.#rx = new Cursor();
    if (!start && (registersOf(tx).includes(at) || registersOf(rx).includes(at))) this.#stopped = false;
    if (eeprom && at === eeprom.at) this.#eeprom?.write(value);
    if (at === irq.enable) this.#interrupt(0);
    if (at === irq.enable && irq.link !== undefined && !this.#linked && value !== 0) {
      this.#linked = true;
      this.#hardware.after(1000 * MICROSECOND, () => this.#interrupt(irq.link ?? 0));
    }
    this.#soon();
  }

  /** A packet comes from outside. */
  receive(packet: Uint8Array): void {
    checkBytes('packet', packet);
    if (this.#waiting.length < 16) this.#waiting.push(packet);
    this.#soon();
  }

  #get(at: number, size: number): number {
    return size === 4 ? this.#view.getUint32(at, true) : size === 2 ? this.#view.getUint16(at, true) : this.#bytes[at];
  }

  #set(at: number, size: number, value: number): void {
    if (size === 4) this.#view.setUint32(at, value, true);
    else if (size === 2) this.#view.setUint16(at, value, true);
    else this.#bytes[at] = value;
  }

  #soon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#hardware.after(MICROSECOND, () => {
      this.#scheduled = false;
      this.#transmit();
      while (this.#waiting.length > 0 && this.#deliver(this.#waiting[0])) this.#waiting.shift();
    });
  }

  #interrupt(cause: number): void {
    const { status, enable, size = 4 } = this.#nic.irq;
    const causes = (this.#get(status, size) | cause) >>> 0;
    this.#set(status, size, causes);
    if (enable === undefined ? causes !== 0 : (causes & this.#get(enable, size)) !== 0) this.#hardware.raise();
  }

  #base(ring: Ring): number {
    const [low, high] = registersOf(ring);
    return this.#get(low, 4) + (high === undefined ? 0 : this.#get(high, 4) * 2 ** 32);
  }

  #transmit(): void {
    const { tx, irq } = this.#nic;
    for (let n = 0; n < 4096; ++n) {
      const at = this.#tx.at || this.#base(tx);
      if (at === NO_RING || !this.#works(tx) || !this.#owned(tx, at)) return;
      const data = this.#buffer(tx, at);
      if (data === null) {
        // After a bus error a device waits for the driver.
        this.#packet = [];
        return;
      }
      this.#packet.push(...data);
      const last = tx.last ? this.#bits(at, tx.last) !== 0 : tx.more ? this.#bits(at, tx.more) === 0 : true;
      this.#next(tx, this.#tx, at);
      this.#finish(tx, at);
      if (!last) continue;
      const packet = Buffer.concat(this.#packet);
      this.#packet = [];
      this.sent.push(packet);
      this.receive(packet);
      this.#interrupt(irq.tx);
    }
  }

  #deliver(packet: Uint8Array): boolean {
    const { rx, irq } = this.#nic;
    const at = this.#rx.at || this.#base(rx);
    if (at === NO_RING || !this.#works(rx) || !this.#owned(rx, at)) return false;
    const room = this.#bits(at, rx.length);
    const { plus = 0, received } = rx;
    const length = Math.min(packet.length, Math.max(room - plus, 0));
    // A bus error stops the device; the packet is lost.
    if (!this.#hardware.writeMemory(this.#address(rx, at), packet.subarray(0, length))) return true;
    this.#next(rx, this.#rx, at);
    if (received) this.#put(at, received, length + plus);
    this.#finish(rx, at);
    this.#interrupt(irq.rx);
    return true;
  }

  // At the end of a list its register is 0, until the driver writes the next one's begin.
  #next(ring: Ring, cursor: Cursor, at: number): void {
    if (cursor.advance(ring, at, this.#base(ring), this.#hardware)) return;
    for (const register of registersOf(ring)) this.#set(register, 4, 0);
  }

  #works({ on }: Ring): boolean {
    return !this.#stopped && (on === undefined || (this.#get(on[0], 4) & on[1]) !== 0);
  }

  #owned(ring: Ring, at: number): boolean {
    const [offset, mask, value = mask] = ring.own;
    const word = this.#hardware.read32(at + offset);
    return word !== null && (word & mask) >>> 0 === value >>> 0;
  }

  #bits(at: number, [offset, mask]: Bits): number {
    const word = this.#hardware.read32(at + offset) ?? 0;
    return (word & mask) >>> shiftOf(mask);
  }

  #put(at: number, [offset, mask]: Bits, value: number): void {
    const word = this.#hardware.read32(at + offset) ?? 0;
    this.#hardware.write32(at + offset, ((word & ~mask) | ((value << shiftOf(mask)) & mask)) >>> 0);
  }

  #address(ring: Ring, at: number): number {
    const { address } = ring;
    if (typeof address === 'number') return this.#hardware.read32(at + address) ?? 0;
    const [low, high, mask = 0xffffffff] = address;
    const upper = ((this.#hardware.read32(at + high) ?? 0) & mask) >>> 0;
    return (this.#hardware.read32(at + low) ?? 0) + upper * 2 ** 32;
  }

  #buffer(ring: Ring, at: number): Uint8Array[] | null {
    const parts: [number, number][] = [[this.#address(ring, at), this.#bits(at, ring.length)]];
    const { second } = ring;
    if (second) parts.push([this.#hardware.read32(at + second.address) ?? 0, this.#bits(at, second.length)]);
    const data: Uint8Array[] = [];
    for (const [address, length] of parts) {
      if (length === 0) continue;
      const bytes = this.#hardware.readMemory(address, length);
      if (bytes === null) return null;
      data.push(bytes);
    }
    return data;
  }

  #finish(ring: Ring, at: number): void {
    for (const [offset, [clear, set]] of Object.entries(ring.done)) {
      const word = this.#hardware.read32(at + Number(offset)) ?? 0;
      this.#hardware.write32(at + Number(offset), ((word & ~clear) | set) >>> 0);
    }
  }
}

/** Whether a write sets any of the bits. */
function written(bits: Bits | undefined, at: number, size: number, value: number): boolean {
  if (!bits) return false;
  const [register, mask] = bits;
  if (at < register || at >= register + 4 || at + size > register + 4) return false;
  return ((value << (8 * (at - register))) & mask) !== 0;
}

function registersOf({ base }: Ring): readonly number[] {
  return typeof base === 'number' ? [base] : base;
}

function shiftOf(mask: number): number {
  return 31 - Math.clz32(mask & -mask);
}

/** Where a device is in a ring; 0 is its begin. */
class Cursor {
  at = 0;
  #index = 0;

  /** Goes to the next descriptor. @returns false at the end of a list that is no ring */
  advance(ring: Ring, at: number, base: number, hardware: ModelDevice): boolean {
    const { next, bytes = 0, end, entries } = ring;
    if (next !== undefined) {
      this.at = hardware.read32(at + next) ?? 0;
      return this.at !== 0;
    }
    const wraps = end ? ((hardware.read32(at + end[0]) ?? 0) & end[1]) !== 0 : ++this.#index === entries;
    if (wraps) this.#index = 0;
    this.at = wraps ? base : at + bytes;
    return true;
  }
}

/** A 93C46: a start bit, two bits of command, the address; then a zero and the word, high bit first. */
class Eeprom {
  readonly #wiring: NonNullable<RingNic['eeprom']>;
  #before = 0;
  #bits: number[] = [];
  #out: number[] = [];
  #data = 0;

  constructor(wiring: NonNullable<RingNic['eeprom']>) {
    this.#wiring = wiring;
  }

  read(): boolean {
    return this.#data !== 0;
  }

  write(value: number): void {
    const { select, clock, in: line, addressBits = 6, words } = this.#wiring;
    if ((value & select) === 0) {
      this.#bits = [];
      this.#out = [];
      this.#data = 0;
    } else if ((value & clock) !== 0 && (this.#before & clock) === 0) {
      const bit = (value & line) !== 0 ? 1 : 0;
      if (this.#out.length > 0) this.#data = this.#out.shift() ?? 0;
      else if (this.#bits.length > 0 || bit !== 0) this.#bits.push(bit);
      if (this.#bits.length === 3 + addressBits) {
        const word = words[Number.parseInt(this.#bits.slice(3).join(''), 2)] ?? 0;
        this.#out = Array.from({ length: 16 }, (_, i) => (word >> (15 - i)) & 1);
        this.#bits = [];
        this.#data = 0;
      }
    }
    this.#before = value;
  }
}

/**
 * A test of a network driver: the device and its scenario. The device is opened twice; packets are sent, with
 * fragments where the driver takes them, more than a ring holds, and received; a transmit timeout, the close and the removal
 * find packets under way.
 */
export function ringNicTest(nic: RingNic): DriverTest {
  nic = readNic(nic);
  let made: RingNicModel | null = null;
  const { bus, ids, revision, bars, ioBars, name, config } = nic;
  return {
    device: { bus, ids, revision, bars, ioBars, name, config },
    model(hardware) {
      made = new RingNicModel(hardware, nic);
      return nic.model?.(made, hardware) ?? made;
    },
    run(t) {
      for (let round = 0; round < 2; ++round) {
        const opened = t.open();
        t.expect(opened === 0, `open returns 0, it returned ${opened}`);
        // The links of some devices come up by a timer.
        if (opened !== 0) continue;
        t.advance(5);
        traffic(t, made!, nic.longest ?? 1000);
        t.timeout();
        t.advance(5);
        some(t, 4);
        t.advance(5);
        // Sent, but not yet processed by the device when it closes.
        some(t, 3);
        t.stop();
        t.advance(1);
      }
      // The driver is unbound while its device is up.
      if (t.open() !== 0) return;
      t.advance(5);
      some(t, 3);
    },
  };
}

const BURSTS = 60;

function traffic(t: DriverScenario, nic: RingNicModel, longest: number): void {
  for (let i = 0; i < BURSTS; ++i) {
    t.send({ length: 60 + ((i * 97) % (longest - 60)), fragments: i % 4, fragmentLength: 300, first: i });
    if (i % 5 === 1) nic.receive(Uint8Array.from({ length: 64 + ((i * 53) % (longest - 64)) }, (_, at) => at + i));
    if (i % 3 === 2) t.advance(1);
  }
  t.advance(10);
  t.received();
  some(t, 4);
}

function some(t: DriverScenario, packets: number): void {
  for (let i = 0; i < packets; ++i) t.send({ length: 100, fragments: i % 3, fragmentLength: 200 });
}
