import { type LiveMappings, MAPPING_NAMES, STATE } from './live.js';
import { addressText, type Evidence, physicalText, type SuspectGroup } from './result.js';

/**
 * Leak suspects. A mapping that is old when the trace ends proves nothing: the buffers of every receive ring are. A mapping that was
 * *overtaken* is suspect: younger mappings of the same device, kind, size and task have ended.
 */

/** Least younger mappings that must have ended, and more than half of all younger ones. */
const OVERTAKERS = 4;
const MOST = 0.5;
const MAX_EXAMPLES = 8;
const MAX_GROUPS = 1 << 16;

/** Groups of the overtaken rule: how many mappings each has had. */
export class SuspectGroups {
  private readonly numbers = new Map<string, number>();
  private readonly cacheKeys = new Float64Array(4096).fill(-1);
  private readonly cacheGroups = new Uint32Array(4096);
  private readonly counts: number[] = [0];

  /** The group of a mapping. */
  of(device: number, kind: number, size: number, task: number): number {
    const order = size < 1 ? 0 : Math.ceil(Math.log2(size));
    // Exact while devices and tasks are fewer than 2^20 each, which the table of strings guarantees.
    const key = ((device * 64 + order) * 8 + kind) * 2 ** 20 + task;
    const slot = (Math.imul(key | 0, 0x9e3779b1) ^ Math.imul((key / 4294967296) | 0, 0x85ebca6b)) >>> 20;
    if (this.cacheKeys[slot] === key) return this.cacheGroups[slot];
    const name = String(key);
    let group = this.numbers.get(name);
    if (group === undefined) {
      // Beyond that many groups the mappings share one.
      group = this.counts.length < MAX_GROUPS ? this.counts.length : 0;
      if (group !== 0) {
        this.counts.push(0);
        this.numbers.set(name, group);
      }
    }
    this.cacheKeys[slot] = key;
    this.cacheGroups[slot] = group;
    return group;
  }

  /** Notes a mapping of a group; returns how many there were before it. */
  next(group: number): number {
    return this.counts[group]++;
  }

  countOf(group: number): number {
    return this.counts[group];
  }
}

/** A mapping under suspicion, out of its columns. */
export interface SuspectMapping {
  device: number;
  kind: number;
  size: number;
  task: number;
  page: number;
  offset: number;
  physical: number;
  direction: number;
  time: number;
}

export function mappingOf(live: LiveMappings, record: number): SuspectMapping {
  return {
    ...{ device: live.device[record], kind: live.kind[record], size: live.size[record], task: live.task[record] },
    ...{ page: live.page[record], offset: live.offset[record], physical: live.physical[record] },
    ...{ direction: live.direction[record], time: live.time[record] },
  };
}

interface Names {
  get(number: number): string;
}

/** Suspects by device, kind, size class and task. */
export class SuspectList {
  total = 0;
  private readonly groups = new Map<string, SuspectGroup>();

  add(evidence: Evidence, mapping: SuspectMapping, names: Names): void {
    ++this.total;
    const { device, kind, size, task, page, offset, physical } = mapping;
    const order = size < 1 ? 0 : Math.ceil(Math.log2(size));
    const key = [evidence, device, kind, order, task].join();
    const time = mapping.time / 1e9;
    let group = this.groups.get(key);
    if (group === undefined) {
      if (this.groups.size >= MAX_GROUPS) return;
      group = {
        ...{ evidence, device: names.get(device), kind: MAPPING_NAMES[kind] },
        ...{
          sizes: [size, size],
          task: names.get(task),
          count: 0,
          bytes: 0,
          firstSeen: time,
          examples: [],
        },
      };
      this.groups.set(key, group);
    }
    ++group.count;
    group.bytes += size;
    group.sizes = [Math.min(group.sizes[0], size), Math.max(group.sizes[1], size)];
    group.firstSeen = Math.min(group.firstSeen, time);
    if (group.examples.length < MAX_EXAMPLES) {
      group.examples.push({ address: addressText(page, offset), physical: physicalText(physical), size, time });
    }
  }

  /** Largest first. */
  get list(): SuspectGroup[] {
    return [...this.groups.values()].sort((a, b) => b.count - a.count || b.bytes - a.bytes);
  }
}

/** The live records that were overtaken. */
export function overtaken(live: LiveMappings, groups: SuspectGroups): number[] {
  const records: number[] = [];
  for (let record = 0; record < live.used; ++record) if (live.state[record] === STATE.LIVE) records.push(record);
  // Youngest of each group first: how many younger ones live is then a running count.
  records.sort((a, b) => live.group[a] - live.group[b] || live.rank[b] - live.rank[a]);
  const found: number[] = [];
  let group = -1;
  let youngerLive = 0;
  for (const record of records) {
    if (live.group[record] !== group) {
      group = live.group[record];
      youngerLive = 0;
    }
    const younger = groups.countOf(group) - live.rank[record] - 1;
    const ended = younger - youngerLive;
    if (ended >= OVERTAKERS && ended > younger * MOST) found.push(record);
    ++youngerLive;
  }
  return found;
}
