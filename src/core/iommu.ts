import { LOG_ALREADY_SET, LOG_FAULT, LOG_STALE_READ, LOG_STALE_WRITE } from './generated/constants.js';
import type { ContextHandle, DmaDeviceHandle, IommuDomainHandle } from './generated/exports.js';
import { DumpCursorView, FaultRecordView, IommuStatsView, TableRunView } from './generated/records.js';
import { Core } from './instance.js';

/** Readers of the IOMMU's records in linear memory (assembly/iommu: dump.ts, fault-log.ts, host.ts). */

/** One entry of a table, or a run of leaves. */
export interface TableEntry {
  /** 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB; 0 in a list of leaves is a hole. */
  level: number;
  /** First address that the entry translates. */
  iova: number;
  /** The entry as the hardware has it, all 64 bits; of a run, the first one's. */
  raw: bigint;
  /** Leaves of this level in sequence, each one page further on; 0 for a pointer to a table. Of a hole, 4 KiB pages. */
  run: number;
}

/**
 * Reads a dump part by part: `dump` writes what fits into a buffer, from the entry `skip` on, and returns how many there
 * are.
 */
export function readEntries(
  core: Core,
  context: ContextHandle,
  dump: (buffer: number, size: number, skip: number) => number,
): TableEntry[] {
  const entries: TableEntry[] = [];
  const buffer = core.staging(context);
  const room = Math.floor((Core.STAGING_SIZE - DumpCursorView.SIZE) / TableRunView.SIZE);
  let total: number;
  do {
    total = dump(buffer, Core.STAGING_SIZE, entries.length);
    const count = Math.min(room, total - entries.length);
    const record = new TableRunView(core);
    for (let i = 0; i < count; ++i) {
      record.moveTo(buffer + DumpCursorView.SIZE + i * TableRunView.SIZE);
      const { iova, rawLow, rawHigh, level, run } = record;
      entries.push({ iova, raw: (BigInt(rawHigh) << 32n) | BigInt(rawLow), level, run });
    }
  } while (entries.length < total);
  return entries;
}

/** Every entry of a domain's tables, depth first. */
export function readTables(core: Core, context: ContextHandle, domain: IommuDomainHandle): TableEntry[] {
  return readEntries(core, context, (buffer, size, skip) => core.tools.tablesDump(domain, buffer, size, skip));
}

/** Leaves and holes from the first pfn to the last, both included, as runs that may cross tables. */
export function readLeaves(
  core: Core,
  context: ContextHandle,
  domain: IommuDomainHandle,
  first: number,
  last: number,
): TableEntry[] {
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
  /** The fault reason as the hardware numbers it; 0 for other kinds. */
  reason: number;
  /** Whether a fault was a read. */
  read: boolean;
  /** The address accessed; the pfn for `already-set`. */
  address: number;
  /** The entry that stays, for `already-set`. */
  kept: number;
  /** The age in nanoseconds for a stale access; the entry that was not written for `already-set`. */
  value: number;
  object: number;
  vma: number;
  hook: number;
  domain: number;
}

const KINDS: Readonly<Record<number, LogRecord['kind']>> = {
  [LOG_FAULT]: 'fault',
  [LOG_STALE_READ]: 'stale-read',
  [LOG_STALE_WRITE]: 'stale-write',
  [LOG_ALREADY_SET]: 'already-set',
};

/** The fault log of a machine, oldest record first. */
export function readFaultLog(core: Core, context: ContextHandle): LogRecord[] {
  const first = core.tools.faultLogFirst(context);
  const count = core.tools.faultLogCount(context);
  const record = new FaultRecordView(core);
  return Array.from({ length: count }, (_, i) => {
    record.moveTo(first + i * FaultRecordView.SIZE);
    const { low: kept, time, device, sourceId, reason, address, value, object, vma, hook, domain } = record;
    const read = record.kind === LOG_FAULT && record.write === 0;
    return {
      kind: KINDS[record.kind],
      time,
      device,
      sourceId,
      reason,
      read,
      address,
      kept,
      value,
      object,
      vma,
      hook,
      domain,
    };
  });
}

/** The counters of the unit, in a record that holds until the next call of the core. */
export function readIommuStats(core: Core, context: ContextHandle): IommuStatsView {
  const at = core.staging(context);
  core.tools.iommuStats(context, at);
  return new IommuStatsView(core, at);
}

/** Bytes that a device reads at a DMA address. Returns null where the access was blocked or found no RAM. */
export function deviceReadBytes(
  core: Core,
  context: ContextHandle,
  device: DmaDeviceHandle,
  address: number,
  length: number,
) {
  const bytes = new Uint8Array(length);
  const at = core.staging(context);
  for (let done = 0; done < length; ) {
    const part = Math.min(length - done, Core.STAGING_SIZE);
    if (core.exports.deviceRead(device, address + done, at, part) < 0) return null;
    bytes.set(core.readBytes(at, part), done);
    done += part;
  }
  return bytes;
}

/** Lets a device write bytes at a DMA address. Returns 0 or a negative errno. */
export function deviceWriteBytes(
  core: Core,
  context: ContextHandle,
  device: DmaDeviceHandle,
  address: number,
  bytes: Uint8Array,
) {
  const at = core.staging(context);
  for (let done = 0; done < bytes.length; ) {
    const part = Math.min(bytes.length - done, Core.STAGING_SIZE);
    core.writeBytes(at, bytes.subarray(done, done + part));
    const rc = core.exports.deviceWrite(device, address + done, at, part);
    if (rc < 0) return rc;
    done += part;
  }
  return 0;
}
