// The machine's RAM for the host (memory/host.ts): its bytes by address, and figures.

import { Context } from '../memory/context';
import { placeFromHost } from '../memory/host';
import { freeBlocks } from './buddy';
import * as contents from './contents';
import { MAX_ORDER, ramInUse, ramOf } from './ram';

/** physRead. */
export function physRead(ctx: Context, address: f64, dest: usize, n: u32): i32 {
  return contents.physRead(ctx, placeFromHost(address), dest, n);
}

/** physWrite. */
export function physWrite(ctx: Context, address: f64, src: usize, n: u32): i32 {
  return contents.physWrite(ctx, placeFromHost(address), src, n);
}

/** Frames by use. */
// @ts-ignore: decorator
@unmanaged
export class RamStats {
  frames: f64;
  /** Frames that can be handed out. */
  managed: f64;
  /** In free blocks. */
  free: f64;
  /** Waiting on CPUs' stacks. */
  stacked: f64;
  /** Kept by the rest of the system. */
  held: f64;
  inUse: f64;
  /** With contents. */
  written: f64;
}

/** Writes a RamStats and behind it MAX_ORDER + 1 doubles: the free blocks of each order (/proc/buddyinfo). */
export function ramStats(ctx: Context, buffer: usize): void {
  const ram = ramOf(ctx);
  const stats = changetype<RamStats>(buffer);
  stats.frames = ram.frames;
  stats.managed = ram.managed;
  stats.free = ram.free;
  stats.stacked = ram.stacked;
  stats.held = ram.held;
  stats.inUse = ramInUse(ctx);
  stats.written = ram.written;
  for (let order: u32 = 0; order <= MAX_ORDER; ++order) {
    store<f64>(buffer + offsetof<RamStats>() + (<usize>order << 3), freeBlocks(ram, order));
  }
}
