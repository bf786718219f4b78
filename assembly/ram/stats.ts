// Figures of the machine's RAM for the host.

import { Context } from '../memory/context';
import { freeBlocks } from './buddy';
import { MAX_ORDER, ramInUse, ramOf } from './ram';

/** Numbers that ramStats writes: seven, and one for each order. */
export const RAM_STATS: u32 = 7 + MAX_ORDER + 1;

/**
 * Writes RAM_STATS doubles: frames, frames that can be handed out, in free blocks, waiting on CPUs' stacks, kept by the
 * rest of the system, in use, with contents; then the number of free blocks of each order (/proc/buddyinfo).
 */
export function ramStats(ctx: Context, buffer: usize): void {
  const ram = ramOf(ctx);
  store<f64>(buffer, ram.frames);
  store<f64>(buffer, ram.managed, 8);
  store<f64>(buffer, ram.free, 16);
  store<f64>(buffer, ram.stacked, 24);
  store<f64>(buffer, ram.held, 32);
  store<f64>(buffer, ramInUse(ctx), 40);
  store<f64>(buffer, ram.written, 48);
  for (let order: u32 = 0; order <= MAX_ORDER; ++order) {
    store<f64>(buffer + 56 + (<usize>order << 3), freeBlocks(ram, order));
  }
}
