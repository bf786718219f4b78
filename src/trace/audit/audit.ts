import { checkOptions, checkString, optionNames } from '../../core/arguments.js';
import { guard } from '../../core/guard.js';
import { checkBatch, EVENT, type EventNumber, ROW, type TraceBatch } from '../batches/batch.js';
import { StringTable } from '../batches/strings.js';
import { AddressHistory } from './address-history.js';
import type { DeviceAccount } from './devices.js';
import { FaultList, type PendingFault } from './faults.js';
import { MAPPING, STATE } from './live.js';
import { LogReports } from './log-reports.js';
import { Pairing } from './pairing.js';
import { type AuditResult, seconds } from './result.js';
import { SpaceSampler } from './space.js';
import { mappingOf, overtaken } from './suspects.js';

/** The audit of a stream of events: pairs maps with unmaps, reports mismatches, and finds the mapping of a fault's address. */

export interface AuditOptions {
  /** A device address whose events are wanted one by one: hexadecimal text or a number. */
  at?: string | number | undefined;
  /** Only this device. */
  device?: string | undefined;
}

/** Differences between the clocks of CPUs, and of a log and a trace: a fault is matched this long after its own time. */
const FAULT_SLACK = 1e6;

/** Kinds of mapping by event. */
const KIND_OF = new Uint8Array(32);
KIND_OF[EVENT.MAP_RESOURCE] = KIND_OF[EVENT.UNMAP_RESOURCE] = MAPPING.RESOURCE;
for (const event of [EVENT.ALLOC, EVENT.FREE, EVENT.ALLOC_PAGES, EVENT.FREE_PAGES, EVENT.ALLOC_SGT, EVENT.FREE_SGT]) {
  KIND_OF[event] = MAPPING.COHERENT;
}
KIND_OF[EVENT.MAP_SG] = KIND_OF[EVENT.UNMAP_SG] = MAPPING.SG;
KIND_OF[EVENT.IOMMU_MAP] = KIND_OF[EVENT.IOMMU_UNMAP] = MAPPING.IOMMU;

/**
 * A stage that takes batches and has the result at the end. Its memory grows with what is live.
 *
 * @example
 * const audit = new Audit();
 * for await (const batch of readTrace(createReadStream('trace.txt'))) audit.add(batch);
 * console.log(audit.result().suspects);
 */
export class Audit {
  static {
    guard(Audit, (one) => #made in one);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  private readonly strings = new StringTable();
  private readonly translations: Uint32Array[] = [];
  private readonly pairing = new Pairing(this.strings);
  private readonly faults = new FaultList();
  private readonly reports = new LogReports();
  private readonly space = new SpaceSampler();
  private first = Number.NaN;
  private last = Number.NaN;
  private readonly watched: AddressHistory | null;
  private readonly onlyDevice: number;

  constructor(options: AuditOptions = {}) {
    const given = checkOptions('options', options, optionNames<AuditOptions>({ at: true, device: true }));
    const { at } = given;
    const device = checkString('device', given.device);
    this.watched = at === undefined ? null : new AddressHistory(at, this.pairing.live, this.strings);
    this.onlyDevice = device === undefined ? 0 : this.strings.of(device);
  }

  /**
   * Takes a batch.
   * @param input a number for each reader whose batches are added: their strings are numbered separately
   */
  add(batch: TraceBatch, input = 0): void {
    checkBatch(batch, input);
    const names = this.translate(batch, input);
    const { kind, time } = batch;
    for (let row = 0; row < batch.length; ++row) {
      const now = time[row];
      if (now > this.last || Number.isNaN(this.last)) {
        // A fault from the log is looked at when the trace has reached its time.
        if (this.faults.waiting && now > this.faults.next + FAULT_SLACK) this.dueFaults(now);
        if (!Number.isNaN(now) && (batch.flags[row] & ROW.LOG) === 0) {
          if (Number.isNaN(this.first)) this.first = now;
          this.last = now;
        }
      }
      this.row(kind[row] as EventNumber, batch, row, names);
    }
    this.pairing.gaps.events += batch.length;
    if (this.space.isDue(this.pairing.gaps.events)) {
      this.space.take(this.pairing.gaps.events, this.last, this.pairing.live, (device) => {
        const account = this.pairing.account(device);
        return { lowest: account.lowestPage, highest: account.highestPage };
      });
    }
  }

  private translate(batch: TraceBatch, input: number): Uint32Array {
    let names = this.translations[input] ?? new Uint32Array(1);
    if (batch.strings.length > 0) {
      const longer = new Uint32Array(batch.firstString + batch.strings.length);
      longer.set(names.subarray(0, batch.firstString));
      for (let i = 0; i < batch.strings.length; ++i) longer[batch.firstString + i] = this.strings.of(batch.strings[i]);
      names = longer;
    }
    this.translations[input] = names;
    return names;
  }

  private row(kind: EventNumber, batch: TraceBatch, row: number, names: Uint32Array): void {
    const device = names[batch.device[row]];
    if (this.onlyDevice !== 0 && device !== this.onlyDevice && device !== 0) return;
    this.watched?.add(kind, batch, row, names, device);
    switch (kind) {
      case EVENT.IOMMU_MAP:
        this.pairing.iommu.map(batch, row, names);
        return;
      case EVENT.IOMMU_UNMAP:
        this.pairing.iommu.unmap(batch, row, names);
        return;
      case EVENT.MAP_PAGE:
      case EVENT.MAP_RESOURCE:
      case EVENT.MAP_SG:
      case EVENT.ALLOC:
      case EVENT.ALLOC_PAGES:
      case EVENT.ALLOC_SGT:
        this.pairing.map(KIND_OF[kind], batch, row, names, device);
        return;
      case EVENT.UNMAP_PAGE:
      case EVENT.UNMAP_RESOURCE:
      case EVENT.FREE:
      case EVENT.FREE_PAGES:
      case EVENT.FREE_SGT:
        this.pairing.unmap(KIND_OF[kind], batch, row, names, device);
        return;
      case EVENT.UNMAP_SG:
        if ((batch.flags[row] & ROW.ADDRESS) !== 0) this.pairing.unmap(MAPPING.SG, batch, row, names, device);
        else this.pairing.unmapList(batch, row, names, device);
        return;
      case EVENT.MAP_ERROR:
        ++this.pairing.account(device).errors;
        return;
      case EVENT.BOUNCED:
        this.pairing.account(device).untranslated = true;
        return;
      case EVENT.FAULT:
        this.fault(batch, row, names, device);
        return;
      case EVENT.LOST:
        this.pairing.gaps.lostEvents += batch.size[row];
        return;
      default:
        this.reports.add(kind, batch, row, this.strings, device, names[batch.text[row]]);
    }
  }

  // ---- faults, and the history of an address ----

  private fault(batch: TraceBatch, row: number, names: Uint32Array, device: number): void {
    const fault: PendingFault = {
      ...{ time: batch.time[row], device, page: batch.page[row], offset: batch.offset[row] },
      ...{ write: (batch.flags[row] & ROW.WRITE) !== 0, reason: this.strings.get(names[batch.text[row]]) },
    };
    const inTrace = (batch.flags[row] & ROW.LOG) === 0;
    if (inTrace) this.faults.look(fault, this.pairing.live, this.pairing.ended, this.strings);
    else this.faults.wait(fault);
  }

  private dueFaults(now: number): void {
    for (const fault of this.faults.due(now - FAULT_SLACK))
      this.faults.look(fault, this.pairing.live, this.pairing.ended, this.strings);
  }

  /** The result. Afterwards the audit takes no more batches: mappings in the state CLOSING are settled. */
  result(): AuditResult {
    const { live, suspects, gaps } = this.pairing;
    for (const claim of this.pairing.iommu.unclaimed) if (claim?.waiting) this.pairing.iommu.settle(claim);
    for (let record = 0; record < live.used; ++record) {
      if (live.state[record] === STATE.CLOSING) this.pairing.endByIommu(record);
    }
    this.pairing.late.expire();
    for (const fault of this.faults.due(Number.POSITIVE_INFINITY))
      this.faults.look(fault, live, this.pairing.ended, this.strings);
    // In a trace with events of the DMA API, iommu:* without one belongs to drivers with their own domain.
    const { hasDevices } = gaps;
    for (const record of overtaken(live, this.pairing.groups)) {
      if (live.kind[record] !== MAPPING.IOMMU || !hasDevices)
        suspects.add('overtaken', mappingOf(live, record), this.strings);
    }
    if (!hasDevices) this.pairing.gaps.startedInMidLife += this.pairing.iommu.midLife;
    const accounts = this.pairing.devices.filter(
      (it) => it !== undefined && it.maps + it.unmaps + it.errors > 0,
    ) as DeviceAccount[];
    return {
      ...{ from: seconds(this.first), to: seconds(this.last), completeness: { ...this.pairing.gaps } },
      devices: accounts.map((it) => it.summary).sort((a, b) => b.maps - a.maps),
      ...{ suspects: suspects.list, suspectCount: suspects.total },
      ...{
        overlaps: this.pairing.overlaps.result,
        mismatches: this.pairing.mismatches.result,
        faults: this.faults.list,
      },
      ...this.reports.result,
      space: Object.fromEntries(
        [...this.space.samples].map(([device, samples]) => [this.pairing.account(device).name, samples]),
      ),
      ...{ history: this.watched?.events ?? null, historyCount: this.watched?.count ?? 0 },
    };
  }
}
