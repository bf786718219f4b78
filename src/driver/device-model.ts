import {
  checkBytes,
  checkFunction,
  checkObject,
  checkOptions,
  checkSpan,
  checkString,
  oneOf,
  optionNames,
  readData,
} from '../core/arguments.js';
import { checkInteger, GemDmaError, invalidType, invalidValue } from '../core/errors.js';
import { guard } from '../core/guard.js';
import { checkMaker, type LIBRARY } from '../core/life.js';
import type { DmaDevice } from '../dma/device.js';
import { deviceRead, deviceWrite } from '../iommu/iommu.js';
import type { BaseMachine } from '../machine/machine.js';
import type { Findings } from './findings.js';

/** The hardware of a test: the device that the driver drives, and its behaviour. */

/** The device as the bus presents it. */
export interface DeviceDescription {
  /** `pci` (default) or `platform`. */
  bus?: 'pci' | 'platform';
  /** PCI ids, `vendor:device` or `vendor:device:subvendor:subdevice`, hexadecimal. */
  ids?: string;
  /** PCI revision, 0 to 255. Default 0. */
  revision?: number;
  /** Bytes of each region of registers: BARs in order, a number or null for one that is not there. */
  bars?: readonly (number | null)[];
  /** BARs that are I/O ports. */
  ioBars?: readonly number[];
  /** Name of a platform device. */
  name?: string;
  /** PCI configuration space, little-endian bytes by offset. */
  config?: Readonly<Record<number, number>>;
}

const DESCRIPTION = optionNames<DeviceDescription>({
  ...{ bus: true, ids: true, revision: true, bars: true, ioBars: true, name: true, config: true },
});

/** Regions that a PCI device has: six BARs. */
const MAX_BARS = 6;
/** A region of registers at most (c/runtime/pci.c). */
const MAX_BAR_BYTES = 2 ** 20;
const CONFIG_BYTES = 4096;

/**
 * A copy of a description that is known to be one.
 * @throws TypeErrors and RangeErrors naming what is wrong
 */
export function checkDescription(given: DeviceDescription): DeviceDescription {
  const description = readData('description', checkOptions('description', given, DESCRIPTION));
  const { bus, ids, revision, bars = [], ioBars = [], name, config } = description;
  if (bus !== undefined) oneOf('description.bus', bus, ['pci', 'platform']);
  checkString('description.name', name);
  if (checkString('description.ids', ids) !== undefined && !/^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){1,3}$/i.test(ids!)) {
    throw invalidValue('description.ids', 'vendor:device or vendor:device:subvendor:subdevice', ids);
  }
  if (revision !== undefined) checkInteger('description.revision', revision, 0, 0xff);
  if (!Array.isArray(bars)) throw invalidType('description.bars', 'an array of sizes', bars);
  checkInteger('description.bars.length', bars.length, 0, MAX_BARS);
  for (const size of bars) if (size !== null) checkInteger('description.bars', size, 0, MAX_BAR_BYTES);
  if (!Array.isArray(ioBars)) throw invalidType('description.ioBars', 'an array of numbers of BARs', ioBars);
  for (const bar of ioBars) checkInteger('description.ioBars', bar, 0, MAX_BARS - 1);
  if (config !== undefined) {
    checkObject('description.config', config);
    for (const [offset, byte] of Object.entries(config)) {
      checkInteger('description.config', Number(offset), 0, CONFIG_BYTES - 1);
      checkInteger(`description.config[${offset}]`, byte, 0, 0xff);
    }
  }
  return description;
}

/** How the device answers. Addresses are offsets in a BAR; sizes 1, 2 or 4. */
export interface DeviceModel {
  /** The driver reads a register: `size` bytes at an offset of a BAR. */
  read(bar: number, at: number, size: number): number;
  /** The driver writes a register. */
  write(bar: number, at: number, size: number, value: number): void;
}

/** Longest time that one `after` may lie ahead, in nanoseconds: an hour. */
const LONGEST = 3600e9;

/** Actions of a device: accesses to memory through its IOMMU, interrupts, delayed work. */
export class ModelDevice {
  static {
    guard(ModelDevice, (one) => #machine in one);
  }

  readonly #machine: BaseMachine;
  readonly #device: () => DmaDevice;
  readonly #findings: Findings;
  readonly #raise: (level: boolean) => void;
  /** Accesses so far, to memory. */
  readonly counts = {
    /** Reads of memory, blocked ones included. */
    reads: 0,
    /** Writes to memory, blocked ones included. */
    writes: 0,
    /** Accesses that the IOMMU has blocked. */
    faults: 0,
  };

  /** @internal */
  constructor(
    maker: typeof LIBRARY,
    machine: BaseMachine,
    device: () => DmaDevice,
    findings: Findings,
    raise: (level: boolean) => void,
  ) {
    checkMaker(maker, 'ModelDevice');
    this.#machine = machine;
    this.#device = device;
    this.#findings = findings;
    this.#raise = raise;
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #machine in one;
  }

  /** Bytes that the device reads at a DMA address; null where the IOMMU blocks it, which is a finding. */
  readMemory(address: number, length: number): Uint8Array | null {
    checkInteger('address', address, -1, Number.MAX_SAFE_INTEGER);
    checkInteger('length', length, 0, 2 ** 30);
    ++this.counts.reads;
    return this.#access(address, length, 'reads', () => deviceRead(this.#machine, this.#device(), address, length));
  }

  /** Lets the device write bytes at a DMA address; false where the IOMMU blocks it, which is a finding. */
  writeMemory(address: number, bytes: Uint8Array): boolean {
    checkInteger('address', address, -1, Number.MAX_SAFE_INTEGER);
    bytes = checkBytes('bytes', bytes);
    ++this.counts.writes;
    const done = this.#access(address, bytes.length, 'writes', () => {
      deviceWrite(this.#machine, this.#device(), address, bytes);
      return true;
    });
    return done ?? false;
  }

  #access<T>(address: number, length: number, verb: string, act: () => T): T | null {
    const stale = this.#machine.iommu.stats.staleAccesses.count;
    try {
      const value = act();
      if (this.#machine.iommu.stats.staleAccesses.count !== stale) {
        this.#findings.add(
          'STALE_DMA',
          `the device ${verb} ${length} bytes at 0x${address.toString(16)}, which is unmapped`,
          [],
        );
      }
      return value;
    } catch (error) {
      if (!GemDmaError.is(error)) throw error;
      ++this.counts.faults;
      const message = `the device ${verb} ${length} bytes at 0x${address.toString(16)}: ${error.reason ?? error.code}`;
      this.#findings.add('DEVICE_FAULT', message, []);
      return null;
    }
  }

  /** A 32-bit number in memory, little-endian; null as readMemory. */
  read32(address: number): number | null {
    const bytes = this.readMemory(address, 4);
    return bytes === null ? null : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  }

  /** A 64-bit number below 2^53 in memory, little-endian; null as readMemory. */
  read64(address: number): number | null {
    const bytes = this.readMemory(address, 8);
    if (bytes === null) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  }

  /** Writes 32 bits at a DMA address; false when the device cannot reach it. */
  write32(address: number, value: number): boolean {
    checkInteger('value', value, -(2 ** 31), 2 ** 32 - 1);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    return this.writeMemory(address, bytes);
  }

  /** Raises the interrupt: the driver's handler runs when the driver's present call has returned. */
  raise(): void {
    this.#raise(true);
  }

  /** Takes an interrupt back that was not delivered yet. */
  lower(): void {
    this.#raise(false);
  }

  /** Does something later, at most an hour. */
  after(nanoseconds: number, act: () => void): void {
    checkSpan('nanoseconds', nanoseconds);
    checkFunction('act', act);
    this.#machine.clock.schedule(Math.min(nanoseconds, LONGEST) / 1e6, act);
  }
}
