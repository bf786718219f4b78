// The machine's virtual clock, in nanoseconds, and the timers of kernel threads that the emulation needs: the flush
// queue's 10 ms, the IOVA depot's 100 ms. Nothing here reads a real clock. A timer fires when the host advances the
// clock past its time; the dispatch from kind to subsystem is machine.ts, since this layer knows none of them.

import { Context } from './context';
import { lock, unlock } from './lock';
import { slabAlloc, slabCacheAt, slabFree } from './slab';

// @ts-ignore: decorator
@unmanaged
class Timer {
  next: usize;
  kind: u32;
  arg: usize;
  due: u64;
}

export const TIMER_FLUSH_QUEUE: u32 = 1; // arg: flush queue
export const TIMER_IOVA_DEPOT: u32 = 2; // arg: the depot of a size class (iova/rcache.ts)
export const TIMER_DEFERRED_LIST: u32 = 3; // arg: the list of 2015's lazy unmaps

/**
 * Queues a timer. Timers of the same instant fire in the order in which they were queued.
 * @returns false without memory
 */
export function timerAdd(ctx: Context, kind: u32, arg: usize, due: u64): bool {
  const guard = changetype<usize>(ctx) + offsetof<Context>('timerLock');
  lock(guard);
  const added = queue(ctx, kind, arg, due);
  unlock(guard);
  return added;
}

function queue(ctx: Context, kind: u32, arg: usize, due: u64): bool {
  const cache = slabCacheAt(ctx, changetype<usize>(ctx) + offsetof<Context>('timerCache'), offsetof<Timer>());
  const at: usize = cache == 0 ? 0 : slabAlloc(cache);
  if (at == 0) return false;
  const timer = changetype<Timer>(at);
  timer.kind = kind;
  timer.arg = arg;
  timer.due = due;
  let link = changetype<usize>(ctx) + offsetof<Context>('timers');
  for (let other: usize = load<u32>(link); other != 0; other = load<u32>(link)) {
    if (changetype<Timer>(other).due > due) break;
    link = other;
  }
  timer.next = load<u32>(link);
  store<u32>(link, <u32>at);
  return true;
}

/** Takes a queued timer back, if it is there. */
export function timerCancel(ctx: Context, kind: u32, arg: usize): void {
  const guard = changetype<usize>(ctx) + offsetof<Context>('timerLock');
  lock(guard);
  cancel(ctx, kind, arg);
  unlock(guard);
}

function cancel(ctx: Context, kind: u32, arg: usize): void {
  let link = changetype<usize>(ctx) + offsetof<Context>('timers');
  for (let at: usize = load<u32>(link); at != 0; at = load<u32>(link)) {
    const timer = changetype<Timer>(at);
    if (timer.kind == kind && timer.arg == arg) {
      store<u32>(link, <u32>timer.next);
      slabFree(ctx.timerCache, at);
      return;
    }
    link = at;
  }
}

/** The first timer that is due at or before `until`, or 0. */
export function timerDue(ctx: Context, until: u64): usize {
  const at = ctx.timers;
  return at != 0 && changetype<Timer>(at).due <= until ? at : 0;
}

export function timerKind(at: usize): u32 {
  return changetype<Timer>(at).kind;
}

export function timerArg(at: usize): usize {
  return changetype<Timer>(at).arg;
}

/** Takes the first timer off the list and moves the clock to its time. */
export function timerPop(ctx: Context): void {
  const at = ctx.timers;
  const timer = changetype<Timer>(at);
  ctx.timers = timer.next;
  ctx.now = max(ctx.now, timer.due);
  slabFree(ctx.timerCache, at);
}
