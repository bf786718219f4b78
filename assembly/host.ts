// A machine for the host (memory/host.ts).

import { Made } from './memory/errno';
import * as machine from './machine';
import { Context } from './memory/context';
import { fromHost, toHost } from './memory/host';

/** machineCreate; -ENOMEM for a limit that is none. */
export function machineCreate(limitBytes: f64, cpus: u32, pages: u32, fragmentation: u32, seed: u32): Made<Context> {
  return machine.machineCreate(fromHost(limitBytes), cpus, pages, fragmentation, seed);
}

/** The virtual clock, in nanoseconds since the machine was made. */
export function clockNow(ctx: Context): f64 {
  return toHost(ctx.now);
}

/**
 * Timers fire on ticks from now on.
 * @param tick nanoseconds of one, 1 / HZ
 * @param late ticks after the one that a timer is set for: 1 with the timer wheel of 4.8, 0 before
 */
export function clockSetTick(ctx: Context, tick: f64, late: u32): void {
  ctx.tick = fromHost(tick);
  ctx.tickLate = late;
}

/** clockAdvance. */
export function clockAdvance(ctx: Context, nanoseconds: f64): u32 {
  return machine.clockAdvance(ctx, fromHost(nanoseconds));
}
