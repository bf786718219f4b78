import { readRecord, type Shape } from '../core/arguments.js';
import { DIRECTIONS, type DmaDebugCounters, type EntryNumbers, MAPPING_TYPES } from '../core/dma-debug-records.js';
import type { Attributions } from './attribution.js';
import { callerText } from './attribution.js';
import type { CheckId } from './checks.js';

/**
 * The leak report: every live mapping, grouped by the place that made it and by the object it was made for. The kernel
 * reports a count and one example, once, when the driver is unbound; this is complete, and can be made at any time.
 */

/** Mappings of one origin. */
export interface MappingGroup {
  /** The place (device, hook, call site) or the object, in words. */
  origin: string;
  /** Live mappings of this origin. */
  count: number;
  /** Bytes that they map. */
  bytes: number;
  /** Device address space that they hold, in bytes: whole pages, so at least `bytes`. */
  iovaBytes: number;
  /** Of these, mappings that the driver can no longer undo. */
  lost: number;
  /** Device address space that the lost ones hold, in bytes. */
  lostIovaBytes: number;
  /** Age of the oldest mapping in nanoseconds of virtual time. */
  oldest: number;
  /** Age of the newest mapping in nanoseconds of virtual time. */
  newest: number;
  /** The newest, as an example. */
  example: {
    /** DMA address. */
    address: number;
    /** Bytes mapped. */
    size: number;
    /** What was mapped, in the kernel's words. */
    type: string;
    /** Direction by its name in enum dma_data_direction. */
    direction: string;
  };
}

/** How fast device address space is lost, and how long it lasts. */
export interface Forecast {
  /** Nanoseconds of virtual time that the figures cover: since the machine was made, or since the last report. */
  over: number;
  /** Mappings lost in that time. */
  lost: number;
  /** Device address space that these hold, in bytes. */
  lostBytes: number;
  /** The same for a second of virtual time; 0 when no time has passed. */
  bytesPerSecond: number;
  /** Address space still free in the devices' domains, null where no IOMMU translates. */
  freeBytes: number | null;
  /**
   * Seconds of virtual time until none is left at this rate; null without a leak, or without a limit.
   */
  secondsLeft: number | null;
  /** Mappings of the same size that still fit, for a loss that takes no virtual time; null as above. */
  mappingsLeft: number | null;
}

/** A leak report: plain JSON. */
export interface LeakReport {
  /** Virtual time in nanoseconds. */
  time: number;
  /** All mappings that live now. */
  live: {
    /** How many, as entries of dma-debug: a list counts once for each segment. */
    count: number;
    /** Bytes that they map. */
    bytes: number;
    /** Device address space that they hold, in bytes. */
    iovaBytes: number;
  };
  /** Of these, mappings whose address the driver has lost. */
  lost: {
    /** How many. */
    count: number;
    /** Device address space that they hold, in bytes. */
    iovaBytes: number;
  };
  /** Groups in order of the address space that they hold, lost ones first. */
  bySite: MappingGroup[];
  /** The same mappings by the GEM object that they were made for; those of no object are one group. */
  byObject: MappingGroup[];
  /** How long device address space lasts at the rate of loss so far. */
  forecast: Forecast;
  /** Verdicts so far, by check; only those that occurred. */
  findings: Partial<Record<CheckId, number>>;
  /** The kernel's own counters (debugfs dma-api/). */
  kernel: Pick<
    DmaDebugCounters,
    'disabled' | 'errorCount' | 'numErrors' | 'numFreeEntries' | 'minFreeEntries' | 'nrTotalEntries'
  >;
  /** Mappings that could not be tracked: unless this is 0, the report is incomplete. */
  missed: number;
}

/** Collects live entries into groups, by place and by object. */
export class Grouping {
  readonly #now: number;
  readonly #attributions: Attributions;
  readonly #deviceName: (id: number) => string;
  readonly #sites = new Map<number | string, MappingGroup>();
  readonly #objects = new Map<number | string, MappingGroup>();
  readonly #origins = new Map<MappingGroup, () => string>();

  constructor(now: number, attributions: Attributions, deviceName: (id: number) => string) {
    this.#now = now;
    this.#attributions = attributions;
    this.#deviceName = deviceName;
  }

  /**
   * One entry. It is called per entry, so numbers are keys wherever the ids allow it. Names are resolved later: a caller's function,
   * which may have effects, makes them.
   */
  add(entry: EntryNumbers): void {
    const { device, type, object, hook, site } = entry;
    const small = device < 2 ** 12 && hook < 2 ** 20 && site < 2 ** 20;
    const siteKey = small ? (device * 2 ** 20 + hook) * 2 ** 20 + site : `${device}/${hook}/${site}`;
    let group = this.#sites.get(siteKey);
    if (!group) {
      group = emptyGroup();
      this.#sites.set(siteKey, group);
      this.#origins.set(group, () => this.#site(device, type, hook, site));
    }
    count(group, entry, this.#now);
    const objectKey = device < 2 ** 20 ? device * 2 ** 32 + object : `${device}/${object}`;
    group = this.#objects.get(objectKey);
    if (!group) {
      group = emptyGroup();
      this.#objects.set(objectKey, group);
      this.#origins.set(group, () => this.#object(device, object));
    }
    count(group, entry, this.#now);
  }

  #site(device: number, type: number, hook: number, site: number): string {
    const by = this.#attributions.describe({ object: 0, vma: 0, hook, site });
    const who = hook !== 0 || site !== 0 ? callerText(by) : `${MAPPING_TYPES[type]}, nobody named`;
    return `${this.#deviceName(device)}: ${who}`;
  }

  #object(device: number, object: number): string {
    const by = this.#attributions.describe({ object, vma: 0, hook: 0, site: 0 });
    return `${this.#deviceName(device)}: ${by.object ?? 'no object'}`;
  }

  /** The groups, the worst first. */
  groups(): { bySite: MappingGroup[]; byObject: MappingGroup[] } {
    for (const [group, origin] of this.#origins) group.origin = origin();
    return { bySite: sorted(this.#sites), byObject: sorted(this.#objects) };
  }
}

function emptyGroup(): MappingGroup {
  return {
    origin: '',
    count: 0,
    bytes: 0,
    iovaBytes: 0,
    lost: 0,
    lostIovaBytes: 0,
    oldest: 0,
    newest: Number.POSITIVE_INFINITY,
    example: { address: 0, size: 0, type: '', direction: '' },
  };
}

function count(group: MappingGroup, entry: EntryNumbers, now: number): void {
  const { address, size, iovaBytes } = entry;
  const age = now - entry.time;
  group.count += 1;
  group.bytes += size;
  group.iovaBytes += iovaBytes;
  if (entry.lost) {
    group.lost += 1;
    group.lostIovaBytes += iovaBytes;
  }
  if (age > group.oldest) group.oldest = age;
  if (age < group.newest) {
    group.newest = age;
    group.example = { address, size, type: MAPPING_TYPES[entry.type], direction: DIRECTIONS[entry.direction] };
  }
}

function sorted(groups: Map<number | string, MappingGroup>): MappingGroup[] {
  return [...groups.values()].sort(
    (one, other) =>
      other.lostIovaBytes - one.lostIovaBytes ||
      other.iovaBytes - one.iovaBytes ||
      other.count - one.count ||
      (one.origin < other.origin ? -1 : 1),
  );
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

function size(bytes: number): string {
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < UNITS.length - 1; ++unit) value /= 1024;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

function duration(nanoseconds: number): string {
  if (nanoseconds < 1e3) return `${Math.round(nanoseconds)} ns`;
  if (nanoseconds < 1e6) return `${(nanoseconds / 1e3).toFixed(1)} us`;
  if (nanoseconds < 1e9) return `${(nanoseconds / 1e6).toFixed(1)} ms`;
  return `${(nanoseconds / 1e9).toFixed(1)} s`;
}

/**
 * A report as lines of text.
 * @throws TypeError if the argument is not an object
 */
export function reportText(report: LeakReport): string {
  return readRecord('report', report, REPORT, textOf);
}

const REPORT: Shape = { live: 'object', lost: 'object', forecast: 'object', kernel: 'object', findings: 'object' };

function textOf(report: LeakReport): string {
  const { live, lost, forecast, kernel } = report;
  const lines = [
    `dma-debug at ${duration(report.time)}: ${live.count} live mappings, ${size(live.bytes)}, ${size(live.iovaBytes)} of device address space`,
    lost.count === 0
      ? 'nothing is lost'
      : `${lost.count} are lost: ${size(lost.iovaBytes)} that nobody can unmap any more`,
    '',
  ];
  section(lines, 'by place', report.bySite);
  section(lines, 'by object', report.byObject);
  lines.push(forecastText(forecast));
  const findings = Object.entries(report.findings).map(([id, count]) => `${id} ${count}`);
  lines.push(`findings: ${findings.length === 0 ? 'none' : findings.join(', ')}`);
  lines.push(
    kernel.disabled
      ? `the kernel's checker is off: ${kernel.errorCount} errors, ${kernel.nrTotalEntries} entries, ${kernel.minFreeEntries} free at the least`
      : `the kernel's checker: ${kernel.errorCount} errors, ${kernel.numFreeEntries} of ${kernel.nrTotalEntries} entries free, ${kernel.minFreeEntries} at the least`,
  );
  if (report.missed > 0) lines.push(`NOT COMPLETE: ${report.missed} mappings could not be tracked, no linear memory`);
  return lines.join('\n');
}

function section(lines: string[], title: string, groups: readonly MappingGroup[]): void {
  if (groups.length === 0) return;
  lines.push(`${title.padEnd(10)}   count     bytes      IOVA      lost    oldest    newest`);
  for (const group of groups) {
    const cells = [
      String(group.count).padStart(8),
      size(group.bytes).padStart(10),
      size(group.iovaBytes).padStart(10),
      (group.lost === 0 ? '-' : size(group.lostIovaBytes)).padStart(10),
      duration(group.oldest).padStart(10),
      duration(group.newest).padStart(10),
    ];
    lines.push(`${' '.repeat(10)}${cells.join('')}  ${group.origin}`);
  }
  lines.push('');
}

function forecastText({ over, lost, lostBytes, bytesPerSecond, secondsLeft, mappingsLeft }: Forecast): string {
  if (lost === 0) return 'address space: nothing was lost lately';
  const rate = over > 0 ? `, ${size(bytesPerSecond)} a second` : '';
  const left =
    secondsLeft !== null
      ? `: gone in ${duration(secondsLeft * 1e9)}, ${mappingsLeft} more`
      : mappingsLeft !== null
        ? `: gone after ${mappingsLeft} more`
        : '';
  return `address space: ${lost} mappings with ${size(lostBytes)} lost in ${duration(over)}${rate}${left}`;
}
