import { CacheOf, Context } from '../memory/context';
import { SgTable } from './sg-table';

/** State of the room: the caches of tables and of short vectors (vector.ts). */
// @ts-ignore: decorator
@unmanaged
export class SgState {
  tables: CacheOf<SgTable>;
  vectors0: CacheOf<usize> | null;
  vectors1: CacheOf<usize> | null;
  vectors2: CacheOf<usize> | null;
  /** Segments that are being counted: a page per CPU, allocated with the first list (segments.ts). */
  scratch: usize;
  /** An SgCursor per CPU, and the serial number given last (cursor.ts). */
  cursors: usize;
  serial: u64;
}

/** The machine's state, made with the machine. */
// @ts-ignore: decorator
@inline
export function sgOf(ctx: Context): SgState {
  return changetype<SgState>(ctx.sg);
}
