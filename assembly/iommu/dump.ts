// Dumps of tables as lists of entries, for the host: the records, a cursor for reading them in parts, and the walks through a
// format's tables.

import { PAGE_SHIFT } from '../ram/ram';
import { IommuDomain } from './domain';
import { the } from './format';

/** One entry of a table, or several in a row. */
// @ts-ignore: decorator
@unmanaged
export class TableRun {
  /** Of the first page: a multiple of 4 KiB, which a double holds up to 2^64. */
  iova: u64;
  /** The entry's lower and upper 32 bits, of several entries the first one's. */
  rawLow: u32;
  rawHigh: u32;
  /** Of the table; 0 is a hole. */
  level: u32;
  /** Leaves in sequence, 0 for a pointer to a table; of a hole, pages of 4 KiB. */
  run: u32;
}

// The state of a dump, in the caller's buffer: where to write, records to skip, records so far, the run that may go on.
// @ts-ignore: decorator
@unmanaged
export class DumpCursor {
  next: usize;
  end: usize;
  skip: u32;
  total: u32;
  /** The run's first page, first entry, level and entries. */
  pfn: u64;
  raw: u64;
  level: u32;
  run: u32;
}

function cursorInit(buffer: usize, size: u32, skip: u32): DumpCursor {
  memory.fill(buffer, 0, offsetof<DumpCursor>());
  const cursor = changetype<DumpCursor>(buffer);
  cursor.next = buffer + offsetof<DumpCursor>();
  cursor.end = buffer + size;
  cursor.skip = skip;
  return cursor;
}

/** Writes one record, unless it is to be skipped or there is no room. */
function put(cursor: DumpCursor, pfn: u64, raw: u64, level: u32, run: u32): void {
  if (++cursor.total <= cursor.skip || cursor.next + offsetof<TableRun>() > cursor.end) return;
  const record = changetype<TableRun>(cursor.next);
  record.iova = pfn << PAGE_SHIFT;
  record.rawLow = <u32>raw;
  record.rawHigh = <u32>(raw >> 32);
  record.level = level;
  record.run = run;
  cursor.next += offsetof<TableRun>();
}

/** Writes the run that is open, if one is. */
function endRun(cursor: DumpCursor): void {
  if (cursor.run != 0) put(cursor, cursor.pfn, cursor.raw, cursor.level, cursor.run);
  cursor.run = 0;
}

/** Adds a leaf, or a hole (level 0) of n pages, to the open run, or ends that and opens another. */
function addRun<Format>(cursor: DumpCursor, pfn: u64, raw: u64, level: u32, n: u32): void {
  const open = cursor.run != 0 && cursor.level == level;
  if (open && (level == 0 || the<Format>().follows(raw, cursor.raw, cursor.run, level))) {
    cursor.run += n;
    return;
  }
  endRun(cursor);
  cursor.pfn = pfn;
  cursor.raw = raw;
  cursor.level = level;
  cursor.run = n;
}

/**
 * The entries that translate any of pages [first, last], depth first: run 0 for a pointer to a table, else that many leaves of one
 * table in sequence.
 * @param buffer a DumpCursor for the dump's own use, then room for TableRuns
 * @param size bytes of the buffer
 * @param skip records to leave out, for reading a large dump part by part
 * @returns records that there are in all
 */
export function tablesDump<Format>(domain: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
  const cursor = cursorInit(buffer, size, skip);
  dumpTable<Format>(cursor, domain.root, domain.levels, 0, first, last);
  return cursor.total;
}

function dumpTable<Format>(cursor: DumpCursor, table: usize, level: u32, base: u64, first: u64, last: u64): void {
  const shift = the<Format>().slotShift(level);
  const entries = the<Format>().entries(level);
  for (let i: u32 = 0; i < entries; ++i) {
    const pfn = base + (<u64>i << shift);
    const raw = the<Format>().entry(table, i);
    if (raw == 0 || pfn > last || pfn + ((<u64>1 << shift) - 1) < first) {
      endRun(cursor);
      continue;
    }
    const child = the<Format>().child(raw, level);
    if (child == 0) addRun<Format>(cursor, pfn, raw, level, 1);
    else {
      endRun(cursor);
      put(cursor, pfn, raw, level, 0);
      dumpTable<Format>(cursor, child, level - 1, pfn, first, last);
    }
  }
  endRun(cursor);
}

/** What maps the pages [first, last]: runs of leaves, over the borders of tables, and of holes. Parameters as those of tablesDump. */
export function leavesDump<Format>(domain: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
  const cursor = cursorInit(buffer, size, skip);
  const root = the<Format>().slotShift(domain.levels);
  // The last entry of the root; the shift takes 64 bits of address, too.
  const end = ((<u64>(the<Format>().entries(domain.levels) - 1) << root) | ((<u64>1 << root) - 1)) + 1;
  const stop = min(last + 1, end);
  let pfn = first;
  while (pfn < stop) {
    let table = domain.root;
    let level = domain.levels;
    let raw: u64 = 0;
    while (true) {
      const shift = the<Format>().slotShift(level);
      raw = the<Format>().entry(table, <u32>(pfn >> shift) & (the<Format>().entries(level) - 1));
      table = raw == 0 ? 0 : the<Format>().child(raw, level);
      if (table == 0) break;
      --level;
    }
    const shift = the<Format>().slotShift(level);
    const next = min(((pfn >> shift) + 1) << shift, stop);
    if (raw == 0) addRun<Format>(cursor, pfn, 0, 0, <u32>(next - pfn));
    else addRun<Format>(cursor, pfn, raw, level, 1);
    pfn = next;
  }
  endRun(cursor);
  return cursor.total;
}
