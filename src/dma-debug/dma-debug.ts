import { PHYSICAL_END } from '../core/address.js';
import { checkFunction, checkOptions, checkSynchronous } from '../core/arguments.js';
import type { CpuRegisters } from '../core/cpu-registers.js';
import {
  type DmaDebugCounters,
  DmaDebugRecords,
  type EntryRecord,
  type LiveEntryRecord,
  type VerdictRecord,
} from '../core/dma-debug-records.js';
import { checkInteger, GemDmaError, invalidType, invalidValue } from '../core/errors.js';
import {
  DEVICE_FILTER_MATCH,
  PAGE_SIZE,
  REPORT_KERNEL,
  REPORT_OWN,
  REPORT_PRINTED,
  VALUE_DISABLED,
  VALUE_LIVE,
  VALUE_LOST,
  VALUE_LOST_PAGES,
  VALUE_NUM_ERRORS,
} from '../core/generated/constants.js';
import type { ContextHandle, DmaDeviceHandle } from '../core/generated/exports.js';
import type { PoolSizeView } from '../core/generated/records.js';
import { guard } from '../core/guard.js';
import type { Core } from '../core/instance.js';
import { checkMaker, type LIBRARY } from '../core/life.js';
import { Attributions, callerText } from './attribution.js';
import { type Finding, findingChannel, type MappingInfo, type PoolMessage, poolChannel } from './channels.js';
import { CHECKS, type CheckId, checkOf, hex, viewOf } from './checks.js';
import { type DebugDialect, debugFlags } from './dialects.js';
import { dumpLines } from './dump.js';
import { type DmaDebugOptions, debugConfig } from './options.js';
import { type Forecast, Grouping, type LeakReport, reportText } from './report.js';

/**
 * dma-debug of a machine: two checkers over the same entries (assembly/dma-debug). The kernel's counts, prints and disables
 * itself as that kernel's would; ours reports its checks and its own at the call, and never stops.
 */

/** What dma-debug needs of a device. */
export interface DebugDevice {
  /** The core's number for it, from 1. */
  readonly id: number;
  /** @internal */
  readonly handle: DmaDeviceHandle;
  /** Whether it may be used. */
  readonly alive: boolean;
  /** As printed, such as `0000:00:02.0`. */
  readonly name: string;
  /** The bound driver's name, for the driver filter. */
  readonly driver?: string;
  /** @internal What devres has is released. */
  releaseManaged?(): void;
}

/** Bytes of physical memory from an address on. */
export interface PhysicalRange {
  /** Physical address of the first byte. */
  start: number;
  /** Bytes. */
  length: number;
}

/** Free device address space in bytes over all domains; null when nothing translates. */
export type FreeSpace = () => number | null;

/** Findings that are kept for `findings`; later ones are counted and published only. */
const KEPT_FINDINGS = 1000;
const FILTER_NAME_LENGTH = 63;

/** Checks that a correct driver fails in a trace that begins in the middle. */
const NOT_IN_TRACES: readonly CheckId[] = ['UNMAP_UNKNOWN', 'SYNC_UNKNOWN', 'UNMAP_UNCHECKED'];

/**
 * The DMA-API debug checker of a machine: the kernel's verdicts (kernel/dma/debug.c) and our own, reports of what
 * leaks, and the live entries. Read it as `machine.dmaDebug`.
 */
export class DmaDebug {
  static {
    guard(DmaDebug, (one) => #core in one, ['enter', 'settle', 'heard', 'tell', 'tellAll', 'collect']);
  }

  /** Who maps: set before calls, copied into every mapping. @internal */
  readonly attributions: Attributions;
  /** The shared registers, for code that writes them at every call. @internal */
  readonly registers: CpuRegisters;
  /** The machine's kernel log: called after a call that wrote to it, if there is a listener. @internal */
  messages: { readonly heard: boolean; settle(): void; collect(): void } | undefined;
  /** Whether call sites are taken: the DMA API asks `enter` before each call. @internal */
  callSites: boolean;
  /** Calls that were about mappings from before the stream began, with `midLife`. */
  fromBefore = 0;
  private readonly midLife: boolean;
  readonly #core: Core;
  private readonly context: ContextHandle;
  private readonly records: DmaDebugRecords;
  /** The machine's devices, and the names of all that it ever had: findings are reported later. */
  private readonly devices = new Set<DebugDevice>();
  private readonly names = new Map<number, string>();
  /** Devices whose driver was unbound: the kernel names their bus. @internal */
  readonly unbound = new Set<number>();
  private readonly dialect: DebugDialect;
  private readonly kept: Finding[] = [];
  /** Findings of the call that is running; they are reported when it returns. */
  private waiting: { record: VerdictRecord; finding: Finding }[] = [];
  private listener: ((finding: Finding) => void) | undefined;
  private strictMode = false;
  private allErrors: boolean;
  private filter: string;
  private freeSpace: FreeSpace = () => null;
  private sample = { time: 0, lost: 0, lostPages: 0 };

  /**
   * Switches dma-debug of a context on.
   * @throws GemDmaError ENOMEM
   * @internal
   */
  constructor(
    maker: typeof LIBRARY,
    core: Core,
    context: ContextHandle,
    dialect: DebugDialect,
    options: DmaDebugOptions = {},
  ) {
    checkMaker(maker, 'DmaDebug');
    this.#core = core;
    this.context = context;
    this.registers = core.registers(context);
    this.attributions = new Attributions(this.registers);
    this.dialect = dialect;
    const config = debugConfig(options);
    const flags = debugFlags(dialect, config.checkers);
    this.records = DmaDebugRecords.create(core, context, flags, dialect.buckets, config.entries);
    this.allErrors = config.allErrors;
    this.filter = filterName(config.driverFilter);
    this.records.setOptions(this.allErrors, config.numErrors, this.filter !== '');
    this.strictMode = config.strict;
    this.midLife = config.midLife;
    this.callSites = config.callSites;
    core.calls.ended = (result) => {
      if (this.registers.moved || this.waiting.length > 0) this.tell(result);
    };
  }

  /** Called for each finding when its call returns. */
  get onError(): ((finding: Finding) => void) | undefined {
    return this.listener;
  }

  /** @throws TypeError if the value is neither a function nor undefined */
  set onError(listener: ((finding: Finding) => void) | undefined) {
    this.#core.timeline.enter('dma_debug');
    if (listener !== undefined) checkFunction('onError', listener);
    this.collect();
    this.listener = listener;
  }

  /**
   * Whether a finding throws. dma-debug refuses nothing, as in the kernel, which warns: the call has all its effects, and its first
   * finding is thrown in place of its result. The error's `result` is what it returned.
   */
  get strict(): boolean {
    return this.strictMode;
  }

  /** @throws TypeError if the value is not a boolean */
  set strict(on: boolean) {
    this.#core.timeline.enter('dma_debug');
    if (typeof on !== 'boolean') throw invalidType('strict', 'of type boolean', on);
    this.collect();
    this.strictMode = on;
  }

  // The handle of a device that this dma-debug watches.
  private known(device: DebugDevice, call: string): DmaDeviceHandle {
    if (this.devices.has(device)) return device.handle;
    if (aliveness(device) === undefined) throw invalidType('device', 'a DmaDevice', device);
    // Of a dead device this throws what it died of.
    if (!device.alive) void device.handle;
    throw new GemDmaError('EXDEV', call, 'the device belongs to another machine', { reason: 'OTHER_MACHINE' });
  }

  /** @internal A device was added: its name is known from now on, and whether it passes the driver filter. */
  addDevice(device: DebugDevice): void {
    this.devices.add(device);
    this.names.set(device.id, device.name);
    this.applyFilter(device);
  }

  /** @internal Where the forecast learns how much device address space is left. */
  setFreeSpace(freeSpace: FreeSpace): void {
    this.freeSpace = freeSpace;
  }

  /**
   * debugfs: all_errors, num_errors, driver_filter. What is not given stays.
   * @throws TypeError or RangeError naming the option at fault; all options are unchanged then
   */
  set(options: Pick<DmaDebugOptions, 'allErrors' | 'numErrors' | 'driverFilter'>): void {
    const given = checkOptions('options', options, ['allErrors', 'numErrors', 'driverFilter']);
    debugConfig(given); // Types and ranges.
    const { allErrors, numErrors, driverFilter } = given;
    this.#core.timeline.enter('dma_debug');
    if (allErrors !== undefined) this.allErrors = allErrors;
    if (driverFilter !== undefined) this.filter = filterName(driverFilter);
    this.records.setOptions(this.allErrors, numErrors ?? this.records.value(VALUE_NUM_ERRORS), this.filter !== '');
    for (const device of this.devices) this.applyFilter(device);
  }

  private applyFilter(device: DebugDevice): void {
    const passes = this.filter !== '' && device.driver === this.filter;
    this.#core.exports.deviceSetFlags(
      device.handle,
      passes ? DEVICE_FILTER_MATCH : 0,
      passes ? 0 : DEVICE_FILTER_MATCH,
    );
  }

  /** Counters of both checkers; the kernel's by their debugfs names. */
  counters(): DmaDebugCounters {
    this.#core.timeline.enter('dma_debug');
    return this.records.counters();
  }

  /**
   * Whether the kernel's checker is off, live mappings, mappings that the driver can no longer undo, and the bytes of
   * address space that the latter hold: four loads, where `counters` walks every entry.
   */
  poll(): {
    /** The kernel's checker is off. */
    disabled: boolean;
    /** Live entries. */
    live: number;
    /** Of these, entries whose address the driver has lost. */
    lost: number;
    /** Device address space that these hold, in bytes. */
    lostIovaBytes: number;
  } {
    this.#core.timeline.enter('dma_debug');
    return {
      disabled: this.records.value(VALUE_DISABLED) === 1,
      live: this.records.value(VALUE_LIVE),
      lost: this.records.value(VALUE_LOST),
      lostIovaBytes: this.records.value(VALUE_LOST_PAGES) * PAGE_SIZE,
    };
  }

  /** Every mapping that is live now, as a record. */
  entries(): LiveEntryRecord[] {
    this.#core.timeline.enter('dma_debug');
    return this.records.entries();
  }

  /** Every live mapping as the kernel's own dump has it (debugfs dma-api/dump), in the order of its hash. */
  dump(): string[] {
    const { dialect } = this;
    const driver = (id: number) => (this.unbound.has(id) ? undefined : this.driverOf(id)) ?? 'pci';
    return dumpLines(this.entries(), dialect, (id) => ({ driver: driver(id), name: this.deviceName(id) }));
  }

  private driverOf(id: number): string | undefined {
    for (const device of this.devices) if (device.id === id) return device.driver;
    return undefined;
  }

  /** @internal Before a call of the DMA API: takes its call site if that is asked for. */
  enter(): void {
    if (this.callSites) this.attributions.takeSite();
  }

  /**
   * After a call of the DMA API: one load if there is no finding. Otherwise every new finding goes to `onError` and to the channels,
   * and with `strict` the first of them is thrown. Without a listener findings stay in the core's log until they are read. Findings
   * of a nested call are reported when the outermost call returns.
   * @param result what the call returns
   * @throws GemDmaError in strict mode, with `reason` = the check and the whole finding in `details`
   * @internal
   */
  settle(result?: unknown): void {
    if (this.registers.moved) this.tell(result);
  }

  private get heard(): boolean {
    return (
      this.strictMode || this.listener !== undefined || findingChannel.hasSubscribers || poolChannel.hasSubscribers
    );
  }

  private tell(result: unknown): void {
    // A driver that does not check its mappings has a finding per unmap: without a listener that must be cheap.
    if (!this.heard && this.waiting.length === 0 && !this.messages?.heard) this.registers.pass();
    else this.tellAll(result);
  }

  private tellAll(result: unknown): void {
    this.#core.calls.tell(() => {
      this.messages?.settle();
      if (this.heard) this.collect();
      else this.registers.pass();
      this.deliver(result);
    });
  }

  // Drains the log. With a listener, findings wait for the end of the call.
  private collect(): void {
    const fresh = this.registers.take();
    const records = this.records.drain(viewOf);
    const told = this.heard ? records.length - fresh : records.length;
    for (const [i, record] of records.entries()) {
      const finding = this.finding(record);
      if (this.midLife && NOT_IN_TRACES.includes(finding.check)) {
        if (finding.check !== 'UNMAP_UNCHECKED') ++this.fromBefore;
        continue;
      }
      if (this.kept.length < KEPT_FINDINGS) this.kept.push(finding);
      if (i >= told) this.waiting.push({ record, finding });
    }
  }

  // If a callback throws, the others still run; the error is thrown after all findings are reported.
  private deliver(result: unknown): void {
    if (this.waiting.length === 0) return;
    const { waiting } = this;
    this.waiting = [];
    const errors: unknown[] = [];
    for (const { record, finding } of waiting) {
      try {
        checkSynchronous('onError', this.listener?.(finding));
      } catch (error) {
        errors.push(error);
      }
      if (isPool(finding.check)) this.publishPool(record, finding.check);
      else {
        if (findingChannel.hasSubscribers) findingChannel.publish(finding);
        if (this.strictMode) errors.push(strictError(finding, result));
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  /** Findings so far, oldest first; the first thousand or so are kept, `count` has all of them. */
  get findings(): readonly Finding[] {
    this.#core.timeline.enter('dma_debug');
    this.collect();
    if (!this.#core.calls.running) this.waiting.length = 0;
    return this.kept;
  }

  /** Findings since they were last asked for, each with the id of the call site that made its mapping (0 without). */
  takeFindings(): {
    /** The verdict, as the channel has it. */
    finding: Finding;
    /** Number of the call site that made the mapping; 0 for none. */
    mappingSite: number;
  }[] {
    this.#core.timeline.enter('dma_debug');
    this.registers.take();
    return this.records.drain(viewOf).map((record) => {
      const finding = this.finding(record);
      if (this.kept.length < KEPT_FINDINGS) this.kept.push(finding);
      return { finding, mappingSite: record.mapping?.by.site ?? 0 };
    });
  }

  /** Findings of a check so far. */
  count(id: CheckId): number {
    this.#core.timeline.enter('dma_debug');
    const check = CHECKS.find((item) => item.id === id);
    if (check === undefined) throw invalidValue('id', 'the identifier of a check', id);
    return this.records.count(check.number);
  }

  /**
   * The driver of a device is unbound: the kernel reports its leaked mappings (LEAK_ON_UNBIND).
   * @returns mappings that the device still has
   */
  driverUnbound(device: DebugDevice): number {
    this.known(device, 'driver_unbind');
    device.releaseManaged?.();
    // Until now messages have the driver's name.
    this.messages?.collect();
    const count = this.#core.exports.debugDriverUnbound(this.known(device, 'driver_unbind'));
    this.unbound.add(device.id);
    this.settle(count);
    return count;
  }

  /** @internal Within a call that removes a device: its mappings are reported as at an unbind, then dropped. */
  removeDevice(device: DebugDevice): void {
    if (!this.devices.has(device)) return;
    this.driverUnbound(device);
    this.#core.exports.debugDeviceDestroy(device.handle);
    this.devices.delete(device);
  }

  /**
   * Physical memory that must not be mapped: the current kernel stack, and kernel text with read-only data.
   * @throws TypeError or RangeError if the range is not one of physical addresses
   */
  places(ranges: {
    /** Where stacks are: mapping it is a finding (STACK). Undefined leaves it as it was. */
    stack?: PhysicalRange;
    /** Where the kernel's text and rodata are: mapping it is a finding (TEXT). Undefined leaves it as it was. */
    text?: PhysicalRange;
  }): void {
    const given = checkOptions('ranges', ranges, ['stack', 'text']);
    const [stack, text] = (['stack', 'text'] as const).map((name): PhysicalRange => {
      if (given[name] === undefined) return { start: 0, length: 0 };
      const range = checkOptions(name, given[name], ['start', 'length']);
      checkInteger(`${name}.start`, range.start, 0, PHYSICAL_END);
      checkInteger(`${name}.length`, range.length, 0, PHYSICAL_END - range.start);
      return range;
    });
    this.#core.timeline.enter('dma_debug');
    this.#core.exports.debugPlaces(this.context, stack.start, stack.length, text.start, text.length);
  }

  /** @internal PTEs of a GPU now point at the mapping that begins at `address`; `by` -1 when they no longer do. */
  binding(device: DebugDevice, address: number, by: 1 | -1): void {
    this.#core.exports.debugBinding(device.handle, address, by);
  }

  /**
   * The CPU writes to a frame outside of the DMA API, as a COW copy does (debug_dma_assert_idle): the frame must not be mapped.
   * @throws RangeError if the argument is not a pfn
   */
  cpuTouch(pfn: number): void {
    this.#core.timeline.enter('debug_dma_assert_idle');
    this.#core.exports.debugCpuTouch(this.context, checkInteger('pfn', pfn, 0, 0xffffffff));
    this.settle();
  }

  /**
   * An object of a device was freed: a single mapping that was made for it and is still live is a finding.
   * @internal
   */
  objectGone(device: DebugDevice, object: number): void {
    const handle = this.known(device, 'gem_object_free');
    if (this.#core.exports.debugObjectGone(handle, checkInteger('object', object, 0, 0xffffffff)) > 0) this.settle();
  }

  /** The complete leak report, as plain data. Its cost is that of one pass over the live mappings. */
  report(): LeakReport {
    this.#core.timeline.enter('dma_debug');
    this.settle();
    const counters = this.records.counters(false);
    const time = this.#core.exports.clockNow(this.context);
    const grouping = new Grouping(time, this.attributions, (id) => this.deviceName(id));
    this.records.visit((entry) => grouping.add(entry));
    const groups = grouping.groups();
    const counts = CHECKS.map(({ id, number }) => [id, this.records.count(number)] as const);
    const { disabled, errorCount, numErrors, numFreeEntries, minFreeEntries, nrTotalEntries } = counters;
    return {
      time,
      live: {
        count: counters.live,
        bytes: groups.bySite.reduce((sum, { bytes }) => sum + bytes, 0),
        iovaBytes: groups.bySite.reduce((sum, { iovaBytes }) => sum + iovaBytes, 0),
      },
      lost: { count: counters.lost, iovaBytes: counters.lostPages * PAGE_SIZE },
      ...groups,
      forecast: this.forecast(time, counters),
      findings: Object.fromEntries(counts.filter(([, count]) => count > 0)),
      kernel: { disabled, errorCount, numErrors, numFreeEntries, minFreeEntries, nrTotalEntries },
      missed: counters.missed,
    };
  }

  /** The report for people. */
  reportText(): string {
    return reportText(this.report());
  }

  private forecast(time: number, { lost, lostPages }: DmaDebugCounters): Forecast {
    const since = this.sample;
    // A report at the same instant covers the same stretch of time.
    if (time > since.time) this.sample = { time, lost, lostPages };
    const over = time - since.time;
    const mappings = Math.max(0, lost - since.lost);
    const lostBytes = Math.max(0, lostPages - since.lostPages) * PAGE_SIZE;
    const bytesPerSecond = over > 0 ? (lostBytes / over) * 1e9 : 0;
    const freeBytes = this.freeSpace();
    const runsOut = freeBytes !== null && lostBytes > 0;
    return {
      over,
      lost: mappings,
      lostBytes,
      bytesPerSecond,
      freeBytes,
      secondsLeft: runsOut && bytesPerSecond > 0 ? freeBytes / bytesPerSecond : null,
      mappingsLeft: runsOut ? Math.floor(freeBytes / (lostBytes / Math.max(1, mappings))) : null,
    };
  }

  private deviceName(id: number): string {
    return this.names.get(id) ?? (id === 0 ? '' : `device ${id}`);
  }

  private finding(record: VerdictRecord): Finding {
    const check = checkOf(record.check);
    const data = check.data(record);
    const caller = this.attributions.describe(record.caller);
    const mapping = record.mapping && this.mapping(record.mapping);
    const device = this.deviceName(record.device);
    let story = `${device ? `${device} ` : ''}${check.say(data, record)}`;
    if (Object.keys(caller).length > 0) story += ` (${callerText(caller)})`;
    if (mapping && Object.keys(mapping.by).length > 0) {
      story += `; ${hex(mapping.address)} was mapped at ${mapping.time} ns (${callerText(mapping.by)})`;
    }
    return {
      check: check.id,
      sequence: record.sequence,
      time: record.time,
      device,
      kernel: (record.flags & REPORT_KERNEL) !== 0,
      printed: (record.flags & REPORT_PRINTED) !== 0,
      own: (record.flags & REPORT_OWN) !== 0,
      data,
      caller,
      mapping,
      message: `${check.id}: ${story}`,
    };
  }

  private mapping({ device, address, size, type, direction, time, by }: EntryRecord): MappingInfo {
    return {
      device: this.deviceName(device),
      address,
      size,
      type,
      direction,
      time,
      by: this.attributions.describe(by),
    };
  }

  private publishPool(record: VerdictRecord, check: PoolMessage['check']): void {
    if (!poolChannel.hasSubscribers) return;
    const { total } = record.payload as ReturnType<PoolSizeView['payload']>;
    const message: PoolMessage = { check, time: record.time, total, disabled: check !== 'POOL_GROWN' };
    poolChannel.publish(message);
  }
}

// Undefined if the value is not a device: the engine refuses to read the field of a copy.
function aliveness(device: Partial<DebugDevice> | null | undefined): boolean | undefined {
  try {
    return typeof device?.alive === 'boolean' ? device.alive : undefined;
  } catch {
    return undefined;
  }
}

function isPool(check: CheckId): check is PoolMessage['check'] {
  return check === 'POOL_GROWN' || check === 'OOM_DISABLED' || check === 'CACHELINE_ENOMEM';
}

/** A filter as the kernel reads it: off unless it begins with a letter or digit, then its first word, 63 characters. */
function filterName(text: string): string {
  if (!/^[a-z0-9]/i.test(text)) return '';
  return text.split(/\s/, 1)[0].slice(0, FILTER_NAME_LENGTH);
}

function strictError(finding: Finding, result: unknown): GemDmaError {
  const call = CHECKS.find(({ id }) => id === finding.check)!.call;
  return new GemDmaError('EINVAL', call, finding.message, {
    ...{ reason: finding.check, details: { ...finding }, result },
  });
}
