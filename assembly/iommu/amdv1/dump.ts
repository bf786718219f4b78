// An AMD domain's tables as a list of entries, for the host. A page that fills several slots is a run of equal entries.

import { IommuDomain } from '../domain';
import { DumpCursor, cursorInit, put } from '../dump';
import { AmdDomain, amdOf } from './amd-domain';
import {
  MAX_MODE, NEXT_LEVEL_SIZED, TABLE_ENTRIES, isPointer, isPresent, nextLevel, slotAt, slotShift, tableOf, topOf,
} from './pte';

/** tablesDump (formats.ts). */
export function amdTablesDump(domain: IommuDomain, buffer: usize, size: u32, skip: u32): u32 {
  return amdEntriesDump(domain, 0, 0xffffffffffffffff, buffer, size, skip);
}

/** The entries that translate any of [first, last], depth first. Contract of tablesDump. */
export function amdEntriesDump(domain: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
  const cursor = cursorInit(buffer, size, skip);
  dumpTable(cursor, domain.root, domain.levels, 0, first, last);
  return cursor.total;
}

/** Whether an entry goes on the run that began with `leaf`, `run` slots before. */
// @ts-ignore: decorator
@inline
function follows(raw: u64, leaf: u64, run: u32, shift: u32): bool {
  return raw == (nextLevel(leaf) == NEXT_LEVEL_SIZED ? leaf : leaf + (<u64>run << shift));
}

function dumpTable(cursor: DumpCursor, table: usize, level: u32, base: u64, first: u64, last: u64): void {
  const shift = slotShift(level);
  // A root of six levels spans more than 64 bits: its upper entries are beyond all addresses.
  const slots: u32 = level == MAX_MODE ? 128 : TABLE_ENTRIES;
  let start: u64 = 0;
  let leaf: u64 = 0;
  let run: u32 = 0;
  for (let i: u32 = 0; i < slots; ++i) {
    const iova = base + (<u64>i << shift);
    const raw = load<u64>(table + (<usize>i << 3));
    const outside = iova > last || iova + ((<u64>1 << shift) - 1) < first;
    if (run != 0 && !outside && follows(raw, leaf, run, shift)) {
      ++run;
      continue;
    }
    if (run != 0) put(cursor, start, leaf, level, run);
    run = 0;
    if (outside || !isPresent(raw)) continue;
    if (isPointer(raw)) {
      put(cursor, iova, raw, level, 0);
      dumpTable(cursor, tableOf(raw), level - 1, iova, first, last);
    } else {
      start = iova;
      leaf = raw;
      run = 1;
    }
  }
  if (run != 0) put(cursor, start, leaf, level, run);
}

/** leavesDump (formats.ts): runs end with their table's slots of equal or successive entries; holes are as long as they are. */
export function amdLeavesDump(at: IommuDomain, first: u64, last: u64, buffer: usize, size: u32, skip: u32): u32 {
  const domain = amdOf(at);
  const cursor = cursorInit(buffer, size, skip);
  const stop = min(last, topOf(domain.levels) >> 12) + 1;
  let start: u64 = 0;
  let raw: u64 = 0;
  let run: u32 = 0;
  let kind: u32 = 0;
  let pfn = first;
  while (pfn < stop) {
    const slot = slotOf(domain, pfn << 12);
    const level = domain.foundShift;
    const entry = load<u64>(slot);
    const shift = slotShift(level);
    const next = min((((pfn << 12) >> shift) + 1) << (shift - 12), stop);
    const here = isPresent(entry) ? level : 0;
    const by = here == 0 ? <u32>(next - pfn) : 1;
    if (run != 0 && kind == here && (here == 0 || follows(entry, raw, run, shift))) run += by;
    else {
      if (run != 0) put(cursor, start << 12, raw, kind, run);
      start = pfn;
      raw = here == 0 ? 0 : entry;
      kind = here;
      run = by;
    }
    pfn = next;
  }
  if (run != 0) put(cursor, start << 12, raw, kind, run);
  return cursor.total;
}

/** The slot at which the walk to an address ends; domain.foundShift is its level. */
function slotOf(domain: AmdDomain, iova: u64): usize {
  let table = domain.root;
  let level = domain.levels;
  while (true) {
    const slot = slotAt(table, iova, level);
    const entry = load<u64>(slot);
    if (!isPointer(entry)) {
      domain.foundShift = level;
      return slot;
    }
    table = tableOf(entry);
    --level;
  }
}
