import { Core } from './instance.js';

/** What the VT-d unit keeps in linear memory, read out (assembly/iommu: dump.ts, fault-log.ts, host.ts). */

/** One entry of a second-stage table, or a run of leaves. */
export interface TableEntry {
  /** 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB; 0 in a list of leaves is a hole. */
  level: number;
  /** First address that the entry translates. */
  iova: number;
  /** The entry as the hardware has it; of a run, the first one's. */
  raw: number;
  /** Leaves of this level in sequence, each one page further on; 0 for a pointer to a table. Of a hole, 4 KiB pages. */
  run: number;
}

const HEADER = 16;
const RECORD = 24;

function readEntries(core: Core, context: number, dump: (buffer: number, size: number, skip: number) => number) {
  const entries: TableEntry[] = [];
  const buffer = core.staging(context);
  const room = Math.floor((Core.STAGING_SIZE - HEADER) / RECORD);
  let total: number;
  do {
    total = dump(buffer, HEADER + room * RECORD, entries.length);
    const count = Math.min(room, total - entries.length);
    const { u32 } = core;
    const { f64 } = core;
    for (let i = 0, at = buffer + HEADER; i < count; ++i, at += RECORD) {
      entries.push({
        iova: f64[at >> 3],
        raw: f64[(at + 8) >> 3],
        level: u32[(at + 16) >> 2],
        run: u32[(at + 20) >> 2],
      });
    }
  } while (entries.length < total);
  return entries;
}

/** Every entry of a domain's tables, depth first. */
export function readTables(core: Core, context: number, domain: number): TableEntry[] {
  return readEntries(core, context, (buffer, size, skip) => core.tools.tablesDump(domain, buffer, size, skip));
}

/** What maps the pages from one pfn to another, both included: runs of leaves and holes, over the borders of tables. */
export function readLeaves(core: Core, context: number, domain: number, first: number, last: number): TableEntry[] {
  if (last < first) return [];
  const { leavesDump } = core.tools;
  return readEntries(core, context, (buffer, size, skip) => leavesDump(domain, first, last, buffer, size, skip));
}

/** One record of the fault log. */
export interface LogRecord {
  kind: 'fault' | 'stale-read' | 'stale-write' | 'already-set';
  /** Virtual time, nanoseconds. */
  time: number;
  device: number;
  sourceId: number;
  /** VT-d fault reason, 0 for what is no fault. */
  reason: number;
  /** Of a fault: whether it was a read. */
  read: boolean;
  /** The address accessed; of an entry found already set, the pfn. */
  address: number;
  /** Of a stale access its age in nanoseconds, of an entry found already set the one that was to be written. */
  value: number;
  object: number;
  vma: number;
  hook: number;
  domain: number;
}

const KINDS = ['fault', 'fault', 'stale-read', 'stale-write', 'already-set'] as const;
const LOG_RECORD = 64;

/** The fault log of a machine, oldest record first. */
export function readFaultLog(core: Core, context: number): LogRecord[] {
  const first = core.tools.faultLogFirst(context);
  const count = core.tools.faultLogCount(context);
  const { u32, f64 } = core;
  return Array.from({ length: count }, (_, i) => {
    const at = first + i * LOG_RECORD;
    const w = at >> 2;
    return {
      kind: KINDS[u32[w + 10]],
      time: f64[(at + 16) >> 3],
      device: u32[w + 11],
      sourceId: u32[w + 2] & 0xffff,
      reason: u32[w + 3] & 0xff,
      read: ((u32[w + 3] >>> 30) & 1) === 1,
      address: f64[(at + 24) >> 3],
      value: f64[(at + 32) >> 3],
      object: u32[w + 12],
      vma: u32[w + 13],
      hook: u32[w + 14],
      domain: u32[w + 15],
    };
  });
}

/** The counters of the unit, in the order in which iommuStats writes them. */
export function readIommuStats(core: Core, context: number): Float64Array {
  const at = core.staging(context);
  core.tools.iommuStats(context, at);
  return core.f64.slice(at >> 3, (at >> 3) + 20);
}

/** Bytes that a device reads at a DMA address. Returns null where the access was blocked or found no RAM. */
export function deviceReadBytes(core: Core, context: number, device: number, address: number, length: number) {
  const bytes = new Uint8Array(length);
  const at = core.staging(context);
  for (let done = 0; done < length; ) {
    const part = Math.min(length - done, Core.STAGING_SIZE);
    if (core.exports.deviceRead(device, address + done, at, part) < 0) return null;
    bytes.set(core.u8.subarray(at, at + part), done);
    done += part;
  }
  return bytes;
}

/** Lets a device write bytes at a DMA address. Returns 0 or a negative errno. */
export function deviceWriteBytes(core: Core, context: number, device: number, address: number, bytes: Uint8Array) {
  const at = core.staging(context);
  for (let done = 0; done < bytes.length; ) {
    const part = Math.min(bytes.length - done, Core.STAGING_SIZE);
    core.u8.set(bytes.subarray(done, done + part), at);
    const rc = core.exports.deviceWrite(device, address + done, at, part);
    if (rc < 0) return rc;
    done += part;
  }
  return 0;
}
