import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { NO_CPU, ROW, type TraceBatch } from '../batches/batch.js';
import type { StringTable } from '../batches/strings.js';
import { DeviceAccount, NO_DEVICE } from './devices.js';
import { Mismatches, OverlapList } from './findings.js';
import { EndedMappings } from './history.js';
import { IommuRuns } from './iommu-runs.js';
import { LateEnds } from './late-ends.js';
import { LiveMappings, MAPPING, MAPPING_NAMES, STATE } from './live.js';
import { PhysicalPieces } from './overlap.js';
import { addressText, type Completeness, DIRECTION_NAMES } from './result.js';
import { mappingOf, SuspectGroups, SuspectList, type SuspectMapping } from './suspects.js';

/**
 * Pairs maps with unmaps, for the events of the DMA API; iommu-runs.ts does so for iommu:*. `names` are the audit's
 * numbers of the batch's strings.
 */

export class Pairing {
  readonly strings: StringTable;
  readonly live = new LiveMappings();
  readonly ended = new EndedMappings();
  readonly devices: (DeviceAccount | undefined)[] = [];
  readonly groups = new SuspectGroups();
  readonly suspects = new SuspectList();
  readonly overlaps = new OverlapList();
  readonly mismatches = new Mismatches();
  readonly late = new LateEnds((mapping) => this.missed(mapping));
  readonly iommu = new IommuRuns(this);
  readonly gaps: Completeness = {
    ...{ events: 0, lostEvents: 0, truncatedLists: 0, startedInMidLife: 0, endsFromIommu: 0 },
    ...{ physicalFromIommu: 0, ambiguousLists: 0, hasDevices: false },
  };
  private readonly pieces = new PhysicalPieces();
  /** Last mapping, which a further entry of intel_iommu:map_sg extends. */
  private lastRecord = -1;

  constructor(strings: StringTable) {
    this.strings = strings;
  }

  account(device: number): DeviceAccount {
    return (this.devices[device] ??= new DeviceAccount(device === 0 ? NO_DEVICE : this.strings.get(device)));
  }

  // ---- begins ----

  map(kind: number, batch: TraceBatch, row: number, names: Uint32Array, device: number): void {
    const cpu = batch.cpu[row] === NO_CPU ? 0 : batch.cpu[row];
    const flags = batch.flags[row];
    if ((flags & ROW.ADDRESS) === 0) {
      ++this.account(device).errors;
      return;
    }
    this.gaps.hasDevices = true;
    if ((flags & ROW.CONTINUES) !== 0 && this.extend(batch, row, device)) return;
    if ((flags & ROW.TRUNCATED) !== 0) ++this.gaps.truncatedLists;
    const page = batch.page[row];
    let physical = batch.physical[row];
    const claim = this.iommu.unclaimed[cpu];
    let span = batch.size[row];
    if (claim?.waiting) {
      if (page >= claim.page && page < claim.page + claim.pages) {
        claim.waiting = false;
        if (Number.isNaN(physical)) {
          physical = claim.physical;
          ++this.gaps.physicalFromIommu;
        }
        // A list has gaps between its segments; what was mapped is the whole.
        if (kind === MAPPING.SG && page === claim.page) span = claim.pages * PAGE - batch.offset[row];
      } else this.iommu.settle(claim);
    }
    this.begin(kind, batch, row, device, names[batch.task[row]], physical, span);
  }

  private begin(
    kind: number,
    batch: TraceBatch,
    row: number,
    device: number,
    task: number,
    physical: number,
    span: number,
  ): void {
    const { live } = this;
    const page = batch.page[row];
    const offset = batch.offset[row];
    const size = batch.size[row];
    const account = this.account(device);
    if (!Number.isNaN(physical) && physical % PAGE !== offset) account.untranslated = true;
    else if (physical === page * PAGE + offset) account.untranslated = true;
    if (!account.untranslated) this.displace(device, page);
    const record = live.add();
    live.kind[record] = kind;
    live.direction[record] = batch.direction[row];
    live.device[record] = device;
    live.task[record] = task;
    live.page[record] = page;
    live.offset[record] = offset;
    live.size[record] = size;
    live.span[record] = span;
    live.physical[record] = physical;
    live.time[record] = batch.time[row];
    live.closed[record] = Number.NaN;
    live.entries[record] = batch.extra[row];
    const group = this.groups.of(device, kind, size, task);
    live.group[record] = group;
    live.rank[record] = this.groups.next(group);
    const entries = batch.entries[row];
    const segments = batch.segments[row];
    if (entries > 1 || segments > 1) {
      const values = batch.values.slice(batch.list[row], batch.list[row] + entries + segments * 2);
      live.lists.set(record, { values, entries, segments });
    }
    live.enter(record);
    if (page < account.lowestPage) account.lowestPage = page;
    const end = page + Math.ceil((offset + span) / PAGE);
    if (end > account.highestPage) account.highestPage = end;
    account.mapped(batch.time[row], size, kind);
    this.hold(record);
    this.lastRecord = record;
  }

  /** Notes the physical memory of a mapping, and whether another of the device has it already. */
  private hold(record: number): void {
    const { live } = this;
    const list = live.lists.get(record);
    if (list === undefined || list.entries < 2) {
      const physical = live.physical[record];
      if (!Number.isNaN(physical) && live.size[record] > 0) this.holdPiece(record, physical, live.size[record]);
      return;
    }
    for (let i = 0; i < list.entries; ++i) {
      const physical = list.values[i];
      // The lengths of merged entries are not in the trace: to the end of the page at least.
      const bytes = list.entries === list.segments ? list.values[list.entries * 2 + i] : PAGE - (physical % PAGE);
      if (bytes > 0) this.holdPiece(record, physical, bytes);
    }
  }

  private holdPiece(record: number, physical: number, bytes: number): void {
    const { live } = this;
    const device = live.device[record];
    const other = this.pieces.find(
      physical,
      bytes,
      (it) => it !== record && live.device[it] === device && live.state[it] === STATE.LIVE,
    );
    if (other >= 0) this.overlaps.add(live, other, record, physical, this.strings);
    this.pieces.add(record, physical, bytes);
  }

  /** A further entry of the mapping before. */
  private extend(batch: TraceBatch, row: number, device: number): boolean {
    const { live } = this;
    const record = this.lastRecord;
    if (record < 0 || live.state[record] !== STATE.LIVE || live.device[record] !== device) return false;
    const end = live.page[record] * PAGE + live.offset[record] + live.span[record];
    const start = batch.page[row] * PAGE + batch.offset[row];
    if (live.kind[record] !== MAPPING.SG || Math.floor((end + PAGE - 1) / PAGE) !== Math.floor(start / PAGE))
      return false;
    live.size[record] += batch.size[row];
    live.span[record] += start + batch.size[row] - end;
    this.account(device).extended(batch.size[row]);
    return true;
  }

  /** The mappings that a new one at their address shows to have ended. */
  displace(device: number, page: number): void {
    const { live } = this;
    for (let node = live.firstAt(page); node >= 0; ) {
      const record = live.recordAt(node);
      node = live.nextAt(node);
      if (live.device[record] !== device || live.state[record] === STATE.FREE) continue;
      if (live.state[record] === STATE.CLOSING) this.endByIommu(record);
      else {
        if (live.kind[record] !== MAPPING.IOMMU)
          this.suspects.add('address-reused', mappingOf(live, record), this.strings);
        this.finish(record, Number.NaN, 0);
      }
    }
  }

  /**
   * A mapping that iommu:unmap ended and whose address is allocated again: the event of the DMA API may still come, since another CPU
   * can be faster than the one that logs it.
   */
  endByIommu(record: number): void {
    const { live } = this;
    if (live.kind[record] === MAPPING.PAGE) this.late.add(mappingOf(live, record));
    else ++this.gaps.endsFromIommu;
    this.finish(record, live.closed[record], 0);
  }

  /** A late event did not come. */
  private missed(mapping: SuspectMapping): void {
    // Lists that do not fit the tracer's page are dropped by it; single pages are not.
    if (this.account(mapping.device).pageUnmaps > 0) this.suspects.add('iommu-only', mapping, this.strings);
    else ++this.gaps.endsFromIommu;
  }

  // ---- ends ----

  unmap(kind: number, batch: TraceBatch, row: number, names: Uint32Array, device: number): void {
    const cpu = batch.cpu[row] === NO_CPU ? 0 : batch.cpu[row];
    const { live } = this;
    const account = this.account(device);
    this.gaps.hasDevices = true;
    ++account.unmaps;
    if (kind === MAPPING.PAGE) ++account.pageUnmaps;
    const page = batch.page[row];
    const offset = batch.offset[row];
    const size = batch.size[row];
    const direction = batch.direction[row];
    this.iommu.echo[cpu] = kind === MAPPING.COHERENT;
    if (this.late.size > 0 && this.late.take(device, page, offset, size, direction)) return;
    let best = -1;
    let score = -1;
    for (let node = live.firstAt(page); node >= 0; node = live.nextAt(node)) {
      const record = live.recordAt(node);
      if (live.device[record] !== device || live.kind[record] === MAPPING.IOMMU) continue;
      const fits =
        (live.offset[record] === offset ? 16 : 0) +
        (live.size[record] === size ? 8 : 0) +
        (live.kind[record] === kind ? 4 : 0) +
        (live.direction[record] === direction ? 2 : 0) +
        (live.state[record] === STATE.CLOSING ? 1 : 0);
      if (fits > score) {
        score = fits;
        best = record;
      }
    }
    // Another mapping in the same page of the bounce pool, or of memory, is no overlap.
    if (best >= 0 && account.untranslated && live.offset[best] !== offset) best = -1;
    const task = names[batch.task[row]];
    const time = batch.time[row];
    if (best < 0) {
      const again = this.ended.last(device, page);
      const twice = again >= 0 && this.ended.offset[again] === offset;
      // Without translation memory may have been mapped a second time before the trace began, at the same address.
      const before = account.untranslated && (this.gaps.lostEvents > 0 || this.gaps.startedInMidLife > 0);
      if (twice && !before) {
        this.mismatches.add('unmapped-twice', account.name, addressText(page, offset), time, this.strings.get(task), {
          mapped: `unmapped at ${(this.ended.ended[again] / 1e9).toFixed(6)} by ${this.strings.get(this.ended.unmapper[again]) || 'an event that is not in the trace'}`,
          unmapped: `${size} bytes`,
        });
      } else ++this.gaps.startedInMidLife;
      return;
    }
    this.compare(best, kind, size, offset, direction, time, task);
    if (live.state[best] === STATE.CLOSING) this.iommu.echo[cpu] = false;
    this.finish(best, time, task);
  }

  private compare(
    record: number,
    kind: number,
    size: number,
    offset: number,
    direction: number,
    time: number,
    task: number,
  ): void {
    const { live } = this;
    const report = (what: 'size' | 'direction' | 'function' | 'address', mapped: string, unmapped: string): void => {
      const address = addressText(live.page[record], live.offset[record]);
      this.mismatches.add(what, this.account(live.device[record]).name, address, time, this.strings.get(task), {
        mapped,
        unmapped,
      });
    };
    if (live.kind[record] !== kind) report('function', MAPPING_NAMES[live.kind[record]], MAPPING_NAMES[kind]);
    if (live.offset[record] !== offset)
      report('address', addressText(live.page[record], live.offset[record]), addressText(live.page[record], offset));
    // Lists are unmapped by their pages in the older events, which have no sizes of entries.
    if (live.size[record] !== size && !(kind === MAPPING.SG && size >= live.size[record])) {
      report('size', `${live.size[record]} bytes`, `${size} bytes`);
    }
    if (live.direction[record] !== direction && live.direction[record] <= 3 && direction <= 3) {
      report('direction', DIRECTION_NAMES[live.direction[record]], DIRECTION_NAMES[direction]);
    }
  }

  /** dma_unmap_sg has only physical addresses: finds the list that has the same. */
  unmapList(batch: TraceBatch, row: number, names: Uint32Array, device: number): void {
    const { live } = this;
    const cpu = batch.cpu[row] === NO_CPU ? 0 : batch.cpu[row];
    const account = this.account(device);
    this.gaps.hasDevices = true;
    ++account.unmaps;
    const count = batch.entries[row];
    const at = batch.list[row];
    let best = -1;
    let alike = 0;
    let direction = -1;
    for (let node = live.firstList(batch.values[at]); node >= 0; node = live.nextList(node)) {
      const record = live.recordOfList(node);
      if (live.device[record] !== device || !this.sameList(record, batch.values, at, count)) continue;
      const closing = live.state[record] === STATE.CLOSING;
      const same = live.direction[record] === batch.direction[row];
      // The oldest with the same direction; one whose iommu:unmap has been seen before all.
      const value = (closing ? 2 : 0) + (same ? 1 : 0);
      ++alike;
      if (value >= direction) {
        direction = value;
        best = record;
      }
    }
    this.iommu.echo[cpu] = true;
    if (best < 0) {
      ++this.gaps.startedInMidLife;
      return;
    }
    if (alike > 1) ++this.gaps.ambiguousLists;
    const task = names[batch.task[row]];
    if (live.direction[best] !== batch.direction[row]) {
      this.compare(best, MAPPING.SG, live.size[best], live.offset[best], batch.direction[row], batch.time[row], task);
    }
    this.finish(best, batch.time[row], task);
  }

  private sameList(record: number, values: Float64Array, at: number, count: number): boolean {
    const list = this.live.lists.get(record);
    if (list === undefined) return count <= 1 || this.live.entries[record] > 1;
    const n = Math.min(count, list.entries);
    for (let i = 0; i < n; ++i) if (list.values[i] !== values[at + i]) return false;
    return true;
  }

  finish(record: number, time: number, task: number): void {
    const { live, ended } = this;
    this.account(live.device[record]).ended(live.size[record], time - live.time[record]);
    const at = ended.add(live.page[record]);
    ended.offset[at] = live.offset[record];
    ended.span[at] = live.span[record];
    ended.began[at] = live.time[record];
    ended.ended[at] = Number.isNaN(live.closed[record]) ? time : live.closed[record];
    ended.device[at] = live.device[record];
    ended.mapper[at] = live.task[record];
    ended.unmapper[at] = task;
    ended.kind[at] = live.kind[record];
    this.pieces.remove(record);
    live.remove(record);
  }
}
