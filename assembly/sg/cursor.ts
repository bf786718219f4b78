// The position of a walk over a table. It belongs to the CPU, not to the table: reading a table writes to no record that another
// CPU uses. A walk in order costs one step per entry; to read another table, or an entry before the position, starts at the
// first entry.

import { Context } from '../memory/context';
import { currentCpu } from '../memory/cpu';
import { SgTable } from './sg-table';
import { SgState, sgOf } from './state';

// @ts-ignore: decorator
@unmanaged
export class SgCursor {
  /** SgTable.serial of the table. */
  serial: u64;
  /** Entry number and, in pages form, its first page (entries.ts). */
  entry: u32;
  page: u32;
  /** Bytes of the table before a segment (segments.ts), and its number. */
  bytes: u64;
  segment: u32;
}

/** A cache line per CPU. */
export const CURSOR_SIZE: usize = 64;

/** The CPU's position in a table. */
// @ts-ignore: decorator
@inline
export function cursorOf(sgt: SgTable): SgCursor {
  const cursor = changetype<SgCursor>(sgOf(sgt.ctx).cursors + <usize>currentCpu() * CURSOR_SIZE);
  if (cursor.serial != sgt.serial) restart(cursor, sgt);
  return cursor;
}

function restart(cursor: SgCursor, sgt: SgTable): void {
  cursor.serial = sgt.serial;
  cursor.entry = 0;
  cursor.page = 0;
  cursor.bytes = 0;
  cursor.segment = 0;
}

/** A serial number that no table has had. */
export function nextSerial(ctx: Context): u64 {
  const at = changetype<usize>(sgOf(ctx)) + offsetof<SgState>('serial');
  if (ASC_FEATURE_THREADS) return atomic.add<u64>(at, 1) + 1;
  const serial = load<u64>(at) + 1;
  store<u64>(at, serial);
  return serial;
}
