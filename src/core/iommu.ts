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
  return readEntries(core, context, (buffer, size, skip) => core.exports.tablesDump(domain, buffer, size, skip));
}

/** What maps the pages from one pfn to another, both included: runs of leaves and holes, over the borders of tables. */
export function readLeaves(core: Core, context: number, domain: number, first: number, last: number): TableEntry[] {
  const { leavesDump } = core.exports;
  return readEntries(core, context, (buffer, size, skip) => leavesDump(domain, first, last, buffer, size, skip));
}
