import {
  checkBoolean,
  checkBytes,
  checkObject,
  checkOptions,
  checkPlainFunction,
  checkSpan,
  hostTimeline,
  type OptionNames,
  oneOf,
  optionNames,
} from '../core/arguments.js';
import { DIRECTIONS } from '../core/dma-debug-records.js';
import { badValue, checkInteger, GemDmaError, invalidType, invalidValue } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { guard } from '../core/guard.js';
import { LIBRARY } from '../core/life.js';
import type { DmaDevice } from '../dma/device.js';
import { hex } from '../dma-debug/checks.js';
import type { BaseMachine } from '../machine/machine.js';
import { checkDescription, type DeviceDescription, type DeviceModel, ModelDevice } from './device-model.js';
import { DebugInfo, type SourcePlace } from './dwarf.js';
import { driverPlace, Findings, isRuntime } from './findings.js';
import { type CoreCallbacks, type HostFunctions, type LoadedModule, loadModule, type MemoryRange } from './loader.js';
import { cstring, format } from './printk.js';
import { driverStack } from './stack.js';

/** A driver compiled from C, in a machine, with its device. */

/** A point at which an allocation can fail. */
export interface FaultPoint {
  /** Counts from 1 in the order of a run. */
  number: number;
  /** What is allocated: a FAULT_NAMES. */
  kind: FaultName;
  /** The driver's line that allocates; null where the driver is not among the callers. */
  at: SourcePlace | null;
  /** Calls that led there, innermost first. */
  stack: SourcePlace[];
}

/** In the order of enum gd_fault (c/common/gemdma/core.h). */
export const FAULT_NAMES = [
  'kmalloc',
  'pages',
  'skb',
  'dma_map',
  'dma_map_sg',
  'dma_alloc_coherent',
  'irq',
  'pci',
  'ioremap',
  'register_netdev',
  'thread',
  'dma_set_mask',
  'dma_pool',
] as const;
/** What kind of allocation it is, such as `kmalloc` or `dma_map`. */
export type FaultName = (typeof FAULT_NAMES)[number];

/** In the order of enum gd_finding. */
const FINDING_NAMES = ['BUG', 'WARN', 'HANG', 'DOUBLE_FREE', 'BAD_FREE', 'LEAK', 'LOCK', 'SLEEP_IN_ATOMIC', 'MISUSE'];
/** In the order of REPORT_ (assembly/driver/shadow.ts). */
const REPORT_NAMES = [
  'NULL_ACCESS',
  'WILD_ACCESS',
  'USE_AFTER_FREE',
  'OUT_OF_BOUNDS',
  'CPU_ACCESS',
  'FREE_WHILE_MAPPED',
];
const IRQ = 11;
/** A device has a power management capability and no other. */
const DEFAULT_CONFIG: Readonly<Record<number, number>> = { 6: 0x10, 52: 0x40, 64: 1, 66: 2 };
/** Regions of registers lie there, one MiB each (c/runtime/pci.c). */
const MMIO_BASE = 0xf0000000;
const MMIO_SHIFT = 20;
const IORESOURCE_IO = 0x100;
const IORESOURCE_MEM = 0x200;
const IORESOURCE_IRQ = 0x400;
const LINES_KEPT = 2000;

/** The driver was stopped: a BUG, a trap, a hang, a missing function. The finding has the cause. */
export class DriverStopped extends Error {
  /** Always `DriverStopped`. */
  override readonly name = 'DriverStopped';
}

/** How a driver is loaded. */
export interface DriverOptions {
  /** Check the CPU's accesses; of effect in a driver that was built for it. Default true. */
  kasan?: boolean;
  /** Bits of the driver's dma_addr_t. Default 64. */
  dmaBits?: 32 | 64;
}

export const DRIVER_OPTIONS: OptionNames<DriverOptions> = { kasan: true, dmaBits: true };

/** @internal What a module of a driver was built with. */
export function checkDriverOptions({ kasan, dmaBits }: DriverOptions): void {
  checkBoolean('kasan', kasan, true);
  if (dmaBits !== undefined && dmaBits !== 32 && dmaBits !== 64) throw invalidValue('dmaBits', '32 or 64', dmaBits);
}

/** A driver in C, loaded into a machine beside the model of its device. */
export class CDriver {
  static {
    guard(CDriver, (one) => #module in one);
  }

  /** The machine that the driver is in. */
  readonly machine: BaseMachine;
  /** What was found so far. */
  readonly findings = new Findings();
  /** What the driver printed. */
  readonly log: string[] = [];
  /** Packets that the driver handed to the network stack. */
  readonly packets: Uint8Array[] = [];
  /** Points at which an allocation could have failed, while they are surveyed. */
  readonly points: FaultPoint[] = [];
  /** The point that was made to fail. */
  struck: FaultPoint | null = null;
  /** The device that it drives, as the DMA API sees it. */
  readonly device: DmaDevice;
  /** The device's own side, for its model. */
  readonly hardware: ModelDevice;
  readonly #module: LoadedModule;
  readonly #debug: DebugInfo;
  readonly #dma64: boolean;
  #model: DeviceModel = { read: () => 0xffffffff, write: () => {} };
  #packet: Uint8Array[] = [];
  #config: Record<number, number> = {};
  #regions: { bars: readonly (number | null)[]; ports: readonly number[] } = { bars: [], ports: [] };
  #stopped = false;
  #running = false;

  /**
   * Loads a driver and makes its device. Nothing of the driver runs before `init`.
   * @param machine a new one: a machine holds one driver
   * @param wasm what buildDriver gave
   * @throws GemDmaError EINVAL if the module is not a driver, ENOMEM
   */
  constructor(
    machine: BaseMachine,
    wasm: Uint8Array,
    description: DeviceDescription = {},
    options: DriverOptions = {},
  ) {
    const given = checkOptions('options', options, optionNames(DRIVER_OPTIONS));
    checkDriverOptions(given);
    const checked = checkDescription(description);
    hostTimeline(machine, 'driver_load');
    checkBytes('wasm', wasm);
    this.machine = machine;
    this.#debug = new DebugInfo(wasm);
    this.#dma64 = given.dmaBits !== 32;
    this.device = machine.addDevice({ driver: checked.name ?? 'driver' });
    this.hardware = new ModelDevice(
      LIBRARY,
      machine,
      () => this.device,
      this.findings,
      (level) => this.#module.exports.gd_irq_set(IRQ, level ? 1 : 0),
    );
    const callbacks = { settle: () => this.#settle(), report: this.#report.bind(this) };
    const kasan = given.kasan !== false;
    try {
      this.#module = loadModule(machine, wasm, callbacks, this.#host(), kasan, (name) => this.#missing(name));
      this.#describe(checked);
    } catch (error) {
      this.device.destroy();
      throw error;
    }
    if (machine.dmaDebugOrNull) {
      machine.dmaDebugOrNull.attributions.siteName = (at) => placeName(this.#site(at));
    }
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #module in one;
  }

  /** Functions of the kernel that the driver calls and the runtime lacks: each stops the driver when it is called. */
  get missing(): readonly string[] {
    return this.#module.missing;
  }

  /** Whether a finding has stopped the driver for good. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** The device's behaviour; without one, registers read as all ones. */
  set model(model: DeviceModel) {
    checkObject('model', model);
    checkPlainFunction('model.read', model.read);
    checkPlainFunction('model.write', model.write);
    this.#model = model;
  }

  #describe(description: DeviceDescription): void {
    const { bus = 'pci', ids = '1234:0001', revision = 0, bars = [4096], ioBars = [], config = {} } = description;
    const [vendor = 0, device = 0, subvendor = 0, subdevice = 0] = ids.split(':').map((id) => Number.parseInt(id, 16));
    const { exports } = this.#module;
    this.#config = { ...DEFAULT_CONFIG, ...config };
    this.#regions = { bars, ports: ioBars };
    const kind = bus === 'pci' ? 1 : 2;
    const name = description.name ?? this.device.name;
    const both = (high: number, low: number): number => ((high << 16) | low) >>> 0;
    const text = this.#text(name);
    exports.gd_device_create(
      ...[kind, this.device.handle, both(vendor, device), both(subvendor, subdevice), revision, 16, IRQ, text],
    );
    bars.forEach((size, n) => {
      if (size) exports.gd_device_resource(n, size, ioBars.includes(n) ? IORESOURCE_IO : IORESOURCE_MEM);
    });
    if (bus === 'platform') exports.gd_device_resource(IRQ, 0, IORESOURCE_IRQ);
  }

  /** Puts a text where C can read it. Its memory is that of the data's end, used again by the next. */
  #text(text: string): number {
    const bytes = Buffer.from(`${text}\0`, 'latin1');
    const at = this.#module.stack.start;
    this.machine.core.writeBytes(at, bytes);
    return at;
  }

  /**
   * Calls a function of the driver or of the runtime by name, then runs due work: interrupts, NAPI, timers, work items.
   * @returns what the function returned, as a signed number
   * @throws DriverStopped when it cannot go on; GemDmaError EBUSY from within the model of its device; TypeError if the module does
   *   not export the name, or an argument is not a number
   */
  call(name: string, ...args: number[]): number {
    const act = typeof name === 'string' ? this.#module.exports[name] : undefined;
    if (typeof act !== 'function') {
      const message = `the driver exports no function ${String(name)}`;
      throw badValue(message);
    }
    for (const value of args) if (typeof value !== 'number') throw invalidType('args', 'numbers', value);
    const value = this.#guard(() => act(...args));
    if (name !== 'gd_poll' && name !== 'gd_pass') {
      this.#guard(() => this.#module.exports.gd_returned());
      this.#guard(() => this.#module.exports.gd_poll());
    }
    return value;
  }

  #guard(act: () => number): number {
    if (this.#stopped) throw new DriverStopped('the driver has stopped');
    if (this.#running) {
      const message = 'the driver is in the middle of a function: not from within the model of its device';
      throw new GemDmaError('EBUSY', 'driver_call', message, { reason: 'CALL_UNDER_WAY' });
    }
    this.#running = true;
    const pointer = this.#module.stackPointer.value;
    try {
      return this.machine.core.calls.hold(act);
    } catch (error) {
      this.#module.stackPointer.value = pointer;
      if (error instanceof DriverStopped) {
        this.#stopped = true;
        throw error;
      }
      const overflow = error instanceof RangeError;
      if (!overflow && !(error instanceof WebAssembly.RuntimeError)) throw error;
      this.#stopped = true;
      const { message, stack } = error as Error;
      const text = overflow ? 'calls itself without end' : trapText(message);
      this.findings.add('OOPS', text, driverStack(this.#debug, stack));
      throw new DriverStopped(text);
    } finally {
      this.#running = false;
    }
  }

  /** module_init. @returns its errno or 0 */
  init(): number {
    return this.call('init_module');
  }

  /** Binds the driver to the device (probe). @returns its errno or 0 */
  probe(): number {
    return this.call('gd_probe');
  }

  /** Unbinds it (remove, and managed resources), then reports leaks: mappings, memory, interrupts, timers. */
  remove(): number {
    const rc = this.call('gd_remove');
    return rc;
  }

  /** module_exit. */
  exit(): void {
    if (typeof this.#module.exports.cleanup_module === 'function') this.call('cleanup_module');
  }

  /** Resources that the driver holds. Call it after the unbind. */
  leaks(): void {
    if (this.#stopped) return;
    for (const entry of this.machine.dmaDebugOrNull?.entries() ?? []) {
      if (entry.type === 'coherent') continue;
      const born = this.#site(entry.by.site);
      this.findings.add(
        'LEAK_ON_UNBIND',
        `leaves a mapping of ${entry.size} bytes at ${hex(entry.address)} (${entry.type}, ${entry.direction})`,
        [],
        born,
      );
    }
    this.#guard(() => this.#module.exports.gd_leaks());
  }

  /** Advances virtual time by milliseconds and runs due work. */
  advance(milliseconds: number): void {
    checkSpan('milliseconds', milliseconds);
    this.call('gd_pass', milliseconds * 1e6);
  }

  /**
   * Makes the n-th allocation from now fail (0: none); `survey` notes every point with its stack.
   * @throws RangeError for a negative number
   */
  armFault(nth: number, survey = false): void {
    checkInteger('nth', nth, 0, 0xffffffff);
    checkBoolean('survey', survey, false);
    this.#module.exports.gd_faults_arm(nth, survey ? 1 : 0);
  }

  /**
   * Makes allocations fail at random, `rate` of 1,000; the seed decides which.
   * @throws RangeError for a rate outside of 0 to 1,000
   */
  armRandomFaults(seed: number, rate: number): void {
    checkInteger('seed', seed, 0, Number.MAX_SAFE_INTEGER);
    checkInteger('rate', rate, 0, 1000);
    this.#module.exports.gd_faults_random(seed, rate);
  }

  /**
   * For `bench`: maps, asks and unmaps pages from C or from the core's own code.
   * @returns nanoseconds for one page
   */
  time(from: 'c' | 'core', pages: number, rounds: number): number {
    oneOf('from', from, ['c', 'core']);
    checkInteger('pages', pages, 1, 2 ** 20);
    checkInteger('rounds', rounds, 1, 2 ** 31 - 1);
    const { exports, core } = this.#module;
    const start = performance.now();
    if (from === 'c') exports.gd_bench_c(pages, rounds);
    else core.gd_bench_core(this.device.handle, exports.gd_bench_pfns(), exports.gd_bench_room(), pages, rounds);
    return ((performance.now() - start) * 1e6) / (pages * rounds);
  }

  /** Points that the driver has passed since armFault. */
  get faultCount(): number {
    return this.#module.exports.gd_faults_count();
  }

  /**
   * Bytes of the driver's memory.
   * @throws RangeError outside of the driver's memory
   */
  bytes(at: number, length: number): Uint8Array {
    const { core } = this.machine;
    checkInteger('at', at, 0, core.memoryBytes);
    checkInteger('length', length, 0, core.memoryBytes - at);
    return core.readBytes(at, length);
  }

  #stack(): SourcePlace[] {
    return driverStack(this.#debug);
  }

  /**
   * The stack, preceded by the last call site that the driver noted, if it is in one of the stack's functions: clang may have merged
   * several calls into one without a line.
   */
  #stackWithSite(): SourcePlace[] {
    const stack = this.#stack();
    const noted = this.#site(this.machine.dmaDebug.registers.site);
    const found = driverPlace(stack);
    if (!noted || !found || (noted.file === found.file && noted.line === found.line)) return stack;
    // The note is outdated unless its function is on the stack, or was inlined at an unknown line.
    const inner = stack.indexOf(found);
    const unknown = stack.slice(0, inner).some((place) => place.line === 0 && !isRuntime(place));
    if (found.func !== noted.func && !unknown) return stack;
    return [noted, ...stack.slice(found.func === noted.func ? inner + 1 : inner)];
  }

  /** A place that the driver noted: struct gd_site. */
  #site(at: number): SourcePlace | null {
    const { data } = this.#module;
    if (at < data.start || at >= data.start + data.bytes) return null;
    const { core } = this.machine;
    const [func, file, line] = core.readWords(at, 3);
    return line === 0 ? null : { func: cstring(core, func), file: cstring(core, file), line };
  }

  /** Whether an access is within registers that exist and are mapped; reports a finding otherwise. */
  #isRegister(address: number, size: number, does: string): boolean {
    const at = address >>> 0;
    const bar = (at - MMIO_BASE) >>> MMIO_SHIFT;
    const offset = at & (2 ** MMIO_SHIFT - 1);
    const { bars, ports } = this.#regions;
    const length = at < MMIO_BASE ? 0 : (bars[bar] ?? 0);
    let wrong = '';
    if (length === 0) wrong = `at 0x${at.toString(16)}, where there is none`;
    else if (offset + size > length)
      wrong = `at offset 0x${offset.toString(16)} of region ${bar}, which has ${length} bytes`;
    else if (!ports.includes(bar) && this.#module.exports.gd_region_mapped(bar) === 0)
      wrong = `of region ${bar}, which is not mapped`;
    if (wrong === '') return true;
    this.findings.add('BAD_REGISTER', `${does} a register of ${size} bytes ${wrong}`, this.#stack());
    return false;
  }

  #missing(name: string): never {
    this.findings.add('MISUSE', `calls ${name}, which is not modelled`, this.#stack());
    throw new DriverStopped(name);
  }

  /** dma-debug has new findings: they belong to the driver's current call. */
  #settle(): void {
    const stack = this.#stackWithSite();
    const records = this.machine.dmaDebug.takeFindings();
    const refused = this.#module.core.gd_refused();
    for (const { finding, mappingSite } of records) {
      const text = finding.message.replace(/^[A-Z_]+: (\S+ )?/, '');
      const where =
        finding.check === 'REJECT_VMALLOC' ? `maps ${this.#kindOfMemory(refused)}: refused` : trimStory(text);
      this.findings.add(finding.check, truncated(where), stack, this.#site(mappingSite));
    }
  }

  /** What an address that is not in the direct map is. */
  #kindOfMemory(at: number): string {
    const { stack, data } = this.#module;
    const inside = ({ start, bytes }: MemoryRange): boolean => at >= start && at < start + bytes;
    if (inside(stack)) return 'a buffer on the stack';
    if (inside(data)) return "memory of the module's image";
    if (at < PAGE_SIZE) return `NULL (0x${at.toString(16)})`;
    return (this.#module.core.gd_virt_pfn(at) & 0x80000000) !== 0
      ? 'vmalloc memory'
      : `0x${at.toString(16)}, which is no memory`;
  }

  #report(...told: Parameters<CoreCallbacks['report']>): void {
    const [kind, address, size, write, other, length, dma, dir, site] = told;
    const id = REPORT_NAMES[kind];
    const stack = this.#stack();
    const at = address >>> 0;
    const access = `${write ? 'writes' : 'reads'} ${size} bytes`;
    let born: SourcePlace | null = null;
    let text: string;
    if (id === 'CPU_ACCESS' || id === 'FREE_WHILE_MAPPED') {
      born = this.#site(site);
      const mapping = `${length} bytes, DMA_${DIRECTIONS[dir]}, at ${hex(dma)}`;
      const offset = at - other;
      text =
        id === 'CPU_ACCESS'
          ? `the CPU ${access} at offset ${offset} of a buffer that the device owns (mapped: ${mapping})`
          : `frees ${size} bytes while the device still has a mapping of them (${mapping})`;
    } else {
      const object = this.#object(at);
      born = object?.site ?? null;
      if (id === 'NULL_ACCESS') text = `${access} at address 0x${at.toString(16)}`;
      else if (object)
        text = `${access} at offset ${at - object.start} of ${object.size} bytes${id === 'USE_AFTER_FREE' ? ' that are free' : ''}`;
      else text = `${access} at 0x${at.toString(16)}${id === 'USE_AFTER_FREE' ? ', which is free' : ''}`;
    }
    this.findings.add(id, text, stack, born);
    if (id === 'NULL_ACCESS') throw new DriverStopped(text);
  }

  /** The object of the runtime's that an address lies in. */
  #object(at: number): { start: number; size: number; site: SourcePlace | null } | null {
    const out = this.#module.stack.start;
    if (this.#module.exports.gd_object_find(at, out) === 0) return null;
    const [start, size, , site] = this.machine.core.readWords(out, 4);
    return { start, size, site: this.#site(site) };
  }

  #host(): HostFunctions {
    const memory = this.machine.core;
    const { clock } = this.machine;
    return {
      gd_host_finding: (kind, text, at, size, born) => {
        const story = cstring(memory, text);
        const object = at && !born ? this.#object(at) : null;
        // What is left belongs to no call.
        const stack = FINDING_NAMES[kind] === 'LEAK' ? [] : this.#stack();
        this.findings.add(FINDING_NAMES[kind], story, stack, this.#site(born) ?? object?.site ?? null);
        void size;
      },
      gd_host_printk: (template, args, prefix) => {
        const from = cstring(memory, prefix);
        const raw = format(memory, cstring(memory, template), args, this.#dma64);
        const text = withoutLevel(raw).trimEnd();
        if (this.log.length < LINES_KEPT) this.log.push(from === '' ? text : `${from}: ${text}`);
      },
      gd_host_format: (to, size, template, args) => {
        const text = format(memory, cstring(memory, template), args, this.#dma64);
        if (size > 0) {
          const bytes = Buffer.from(text, 'latin1').subarray(0, (size >>> 0) - 1);
          memory.writeBytes(to, bytes);
          memory.fillBytes(to + bytes.length, 1, 0);
        }
        return text.length;
      },
      gd_host_read: (at, size) =>
        this.#isRegister(at, size, 'reads') ? this.#model.read((at >>> MMIO_SHIFT) & 15, at & 0xfffff, size) | 0 : -1,
      gd_host_write: (at, size, value) => {
        if (!this.#isRegister(at, size, 'writes')) return;
        const mask = size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
        this.#model.write((at >>> MMIO_SHIFT) & 15, at & 0xfffff, size, (value & mask) >>> 0);
      },
      gd_host_config_read: (_device, at, size) => {
        let value = 0;
        for (let i = size; i-- > 0; ) value = value * 256 + (this.#config[at + i] ?? 0);
        return value | 0;
      },
      gd_host_config_write: (_device, at, size, value) => {
        for (let i = 0; i < size; ++i) this.#config[at + i] = (value >>> (8 * i)) & 0xff;
      },
      gd_host_advance: (nanoseconds) => clock.advanceToNext(nanoseconds / 1e6),
      gd_host_point: (kind, number, strikes) => {
        const stack = this.#stack();
        const point = { number, kind: FAULT_NAMES[kind], at: driverPlace(stack), stack };
        if (strikes) this.struck = point;
        else this.points.push(point);
      },
      gd_host_packet: (_device, at, length, last) => {
        this.#packet.push(memory.readBytes(at, length));
        if (!last) return;
        this.packets.push(Buffer.concat(this.#packet));
        this.#packet = [];
      },
      gd_host_oops: (text) => {
        throw new DriverStopped(cstring(memory, text));
      },
    };
  }
}

/** Names of what the host gives to drivers, for `gemdma driver symbols`. */
export const HOST_FUNCTIONS: readonly string[] = [
  ...['gd_host_finding', 'gd_host_printk', 'gd_host_format', 'gd_host_read', 'gd_host_write', 'gd_host_config_read'],
  ...['gd_host_config_write', 'gd_host_advance', 'gd_host_point', 'gd_host_packet', 'gd_host_oops'],
];

/** A message without the level in front: KERN_ERR is a byte 1 and a digit in the tree, `<3>` in own mode. */
function withoutLevel(text: string): string {
  return text.charCodeAt(0) === 1 ? text.slice(2) : text.replace(/^<[0-7]>/, '');
}

function placeName(place: SourcePlace | null): string {
  return place === null ? 'nowhere known' : `${place.func} (${place.file}:${place.line})`;
}

/** dma-debug's sentence without the mapping's origin and time, which the finding has in other fields. */
function trimStory(text: string): string {
  return text.replace(/; 0x[0-9a-f]+ was mapped at .*$/, '').replace(/ \(at .*\)$/, '');
}

/** DMA_MAPPING_ERROR cut to 32 bits is printed by that name. */
function truncated(text: string): string {
  return text.replace(/0xffffffff\b/g, '0xffffffff (DMA_MAPPING_ERROR, truncated to 32 bits)');
}

function trapText(message: string): string {
  if (/null function|signature mismatch|table index|indirect call/i.test(message)) {
    return `calls through a function pointer that is none (${message})`;
  }
  if (/out of bounds/.test(message)) return 'touches memory that is not there, a register without readl perhaps';
  return `traps: ${message}`;
}
