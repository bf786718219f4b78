// Dumps of tables as lists of entries, for the host: the records, and a cursor for reading them in parts.

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

// The state of a dump, in the caller's buffer: where to write, records to skip, records so far.
// @ts-ignore: decorator
@unmanaged
export class DumpCursor {
  next: usize;
  end: usize;
  skip: u32;
  total: u32;
}

/** Begins a dump. Parameters as those of tablesDump (formats.ts). */
export function cursorInit(buffer: usize, size: u32, skip: u32): DumpCursor {
  const cursor = changetype<DumpCursor>(buffer);
  cursor.next = buffer + offsetof<DumpCursor>();
  cursor.end = buffer + size;
  cursor.skip = skip;
  cursor.total = 0;
  return cursor;
}

/** Writes one record, unless it is to be skipped or there is no room. */
export function put(cursor: DumpCursor, iova: u64, raw: u64, level: u32, run: u32): void {
  if (++cursor.total <= cursor.skip || cursor.next + offsetof<TableRun>() > cursor.end) return;
  const record = changetype<TableRun>(cursor.next);
  record.iova = iova;
  record.rawLow = <u32>raw;
  record.rawHigh = <u32>(raw >> 32);
  record.level = level;
  record.run = run;
  cursor.next += offsetof<TableRun>();
}
