// Tables as lists of entries, for the host.

import { IommuDomain } from '../domain';
import { DumpCursor, cursorInit, put } from '../dump';
import { PTE_LARGE, TABLE_ENTRIES, levelShift, slotAt, tableOf } from './pte';
import { pfnLimit, vtdOf } from './tables';

/**
 * Every entry of a domain, depth first: run 0 for a pointer to a table, else that many leaves of one table in sequence.
 * @param buffer a DumpCursor for the dump's own use, then room for TableRuns
 * @param size bytes of the buffer
 * @param skip records to leave out, for reading a large dump part by part
 * @returns records that there are in all
 */
export function vtdTablesDump(domain: IommuDomain, buffer: usize, size: u32, skip: u32): u32 {
  const cursor = cursorInit(buffer, size, skip);
  dumpTable(cursor, domain.root, domain.levels, 0);
  return cursor.total;
}

function dumpTable(cursor: DumpCursor, table: usize, level: u32, first: u64): void {
  const pages = <u64>1 << levelShift(level);
  let index: u32 = 0;
  while (index < TABLE_ENTRIES) {
    const raw = load<u64>(table + (<usize>index << 3));
    const pfn = first + index * pages;
    if (raw == 0) {
      ++index;
    } else if (level > 1 && (raw & PTE_LARGE) == 0) {
      put(cursor, pfn << 12, raw, level, 0);
      dumpTable(cursor, tableOf(raw), level - 1, pfn);
      ++index;
    } else {
      let run: u32 = 1;
      while (index + run < TABLE_ENTRIES && load<u64>(table + (<usize>(index + run) << 3)) == raw + ((run * pages) << 12)) ++run;
      put(cursor, pfn << 12, raw, level, run);
      index += run;
    }
  }
}

/**
 * What maps the pages [first, last]: runs of leaves, over the borders of tables, and of holes.
 * @param buffer a DumpCursor for the dump's own use, then room for TableRuns
 * @returns records that there are in all
 */
export function vtdLeavesDump(at: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
  const domain = vtdOf(at);
  const cursor = cursorInit(buffer, size, skip);
  const stop = min(last + 1, pfnLimit(domain));
  let start: u64 = 0;
  let raw: u64 = 0;
  let run: u32 = 0;
  let kind: u32 = 0;
  let pfn = first;
  while (pfn < stop) {
    let table = domain.root;
    let level = domain.levels;
    let entry = load<u64>(slotAt(table, pfn, level));
    while (level > 1 && entry != 0 && (entry & PTE_LARGE) == 0) {
      table = tableOf(entry);
      --level;
      entry = load<u64>(slotAt(table, pfn, level));
    }
    const shift = levelShift(level);
    const next = min(((pfn >> shift) + 1) << shift, stop);
    const here = entry == 0 ? 0 : level;
    const by = entry == 0 ? <u32>(next - pfn) : 1;
    const follows = run != 0 && kind == here && (entry == 0 || entry == raw + (<u64>run << shift << 12));
    if (follows) run += by;
    else {
      if (run != 0) put(cursor, start << 12, raw, kind, run);
      start = pfn;
      raw = entry;
      kind = here;
      run = by;
    }
    pfn = next;
  }
  if (run != 0) put(cursor, start << 12, raw, kind, run);
  return cursor.total;
}
