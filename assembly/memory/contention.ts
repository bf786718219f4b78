// How often somebody had to wait for a lock, by the kind of what it guards: the figure that says where more threads stop
// helping. Counted in the locks themselves, on the slow path only; all zeros in the single-threaded build.

import { Context } from './context';
import { contendedCount } from './lock';
import { slabsContended } from './slab';

/** Kinds of locks, in the order in which src/threads/contention.ts names them. */
const LOCKS_BLOCKS: u32 = 0;
const LOCKS_SLABS: u32 = 1;
const LOCKS_RAM: u32 = 2;

/** Contended acquisitions of the locks of one kind since the context was made. */
export function lockContention(ctx: Context, kind: u32): u32 {
  if (kind == LOCKS_BLOCKS) return contendedCount(changetype<usize>(ctx) + offsetof<Context>('blockLock'));
  if (kind == LOCKS_SLABS) return slabsContended(ctx);
  if (kind == LOCKS_RAM) return contendedCount(ctx.ram);
  return 0;
}
