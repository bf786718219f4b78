import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import type { EndedMappings } from './history.js';
import { type LiveMappings, MAPPING_NAMES, STATE } from './live.js';
import { addressText, type FaultReport, type Holder, seconds } from './result.js';

/** What an address that faulted belonged to: the question that is asked most often. */

export interface PendingFault {
  time: number;
  device: number;
  page: number;
  offset: number;
  write: boolean;
  reason: string;
}

interface Names {
  get(number: number): string;
}

/** Most pages of one device whose faults are matched: a device that faults in a loop fills a log. */
const MAX_FAULTS = 256;

export class FaultList {
  readonly list: FaultReport[] = [];
  private readonly known = new Map<string, FaultReport>();
  private pending: PendingFault[] = [];
  private sorted = true;

  get waiting(): boolean {
    return this.pending.length > 0;
  }

  /** Time of the first fault that waits. */
  get next(): number {
    this.sort();
    return this.pending[0].time;
  }

  /** Keeps a fault of a log until the trace has reached its time. */
  wait(fault: PendingFault): void {
    // A fault without a time, or one too many, is matched at the end.
    if (this.pending.length >= 1 << 16) return;
    this.pending.push(fault);
    this.sorted = false;
  }

  private sort(): void {
    if (this.sorted) return;
    const rank = ({ time }: PendingFault): number => (Number.isNaN(time) ? Number.POSITIVE_INFINITY : time);
    this.pending.sort((a, b) => rank(a) - rank(b));
    this.sorted = true;
  }

  /** Takes those whose time has come. */
  due(now: number): PendingFault[] {
    this.sort();
    let n = 0;
    while (n < this.pending.length && (this.pending[n].time <= now || now === Number.POSITIVE_INFINITY)) ++n;
    return this.pending.splice(0, n);
  }

  look(fault: PendingFault, live: LiveMappings, ended: EndedMappings, names: Names): void {
    const key = `${fault.device} ${fault.page}`;
    const before = this.known.get(key);
    if (before) {
      ++before.times;
      return;
    }
    if (this.list.length >= MAX_FAULTS) return;
    const report: FaultReport = {
      ...{ time: seconds(fault.time), device: names.get(fault.device), address: addressText(fault.page, fault.offset) },
      ...{ write: fault.write, reason: fault.reason, times: 1, verdict: 'never', age: null, holder: null },
    };
    this.known.set(key, report);
    this.list.push(report);
    const held = liveHolder(fault, live, names, 0);
    if (held) {
      report.verdict = 'live';
      report.holder = held;
      return;
    }
    const gone = endedHolder(fault, ended, names);
    if (gone) {
      report.verdict = 'unmapped';
      report.holder = gone;
      const unmapped = gone.unmappedAt;
      if (unmapped !== null && report.time !== null && report.time >= unmapped)
        report.age = (report.time - unmapped) * 1000;
      return;
    }
    const beside = liveHolder(fault, live, names, 1);
    if (beside) {
      report.verdict = 'neighbour';
      report.holder = beside;
    }
  }
}

/** Faults of logs name devices as the log does; a trace of iommu:* alone has none. */
function sameDevice(fault: PendingFault, device: number): boolean {
  return fault.device === device || fault.device === 0 || device === 0;
}

function liveHolder(fault: PendingFault, live: LiveMappings, names: Names, beside: number): Holder | null {
  let best = -1;
  for (let record = 0; record < live.used; ++record) {
    if (live.state[record] !== STATE.LIVE || !sameDevice(fault, live.device[record])) continue;
    const hit =
      beside === 0
        ? live.covers(record, fault.page)
        : live.covers(record, fault.page - 1) || live.covers(record, fault.page + 1);
    if (hit && !(live.time[record] > fault.time) && (best < 0 || live.time[record] > live.time[best])) best = record;
  }
  if (best < 0) return null;
  return {
    ...{ device: names.get(live.device[best]), kind: MAPPING_NAMES[live.kind[best]], size: live.size[best] },
    ...{ address: addressText(live.page[best], live.offset[best]), mappedAt: live.time[best] / 1e9 },
    ...{ mappedBy: names.get(live.task[best]), unmappedAt: null, unmappedBy: '' },
  };
}

function endedHolder(fault: PendingFault, ended: EndedMappings, names: Names): Holder | null {
  for (const at of ended.places()) {
    if (!sameDevice(fault, ended.device[at]) || ended.began[at] > fault.time) continue;
    const first = ended.page[at];
    if (fault.page < first || fault.page >= first + Math.ceil((ended.offset[at] + ended.span[at]) / PAGE)) continue;
    return {
      ...{ device: names.get(ended.device[at]), kind: MAPPING_NAMES[ended.kind[at]], size: ended.span[at] },
      ...{ address: addressText(first, ended.offset[at]), mappedAt: ended.began[at] / 1e9 },
      ...{ mappedBy: names.get(ended.mapper[at]), unmappedAt: seconds(ended.ended[at]) },
      unmappedBy: names.get(ended.unmapper[at]),
    };
  }
  return null;
}
