// The machine's virtual clock, in nanoseconds, and the timers of kernel threads that the emulation needs: the flush
// queue's 10 ms, the IOVA depot's 100 ms. Nothing here reads a real clock. A timer fires when the host advances the
// clock past its time; the dispatch from kind to subsystem is machine.ts, which lies above this room.

import { Context, Timer, TimerLink } from './context';
import { currentCpu } from './cpu';
import { guardAt, lock, unlock } from './lock';
import { fieldOf } from './record';
import { slabAlloc, slabCacheAt, slabFree } from './slab';

export const TIMER_FLUSH_QUEUE: u32 = 1; // arg: flush queue
export const TIMER_IOVA_DEPOT: u32 = 2; // arg: the depot of a size class (iova/rcache.ts)
export const TIMER_DEFERRED_LIST: u32 = 3; // arg: the list of 2015's lazy unmaps
export const TIMER_SWIOTLB_GROW: u32 = 4; // arg: the allocator (swiotlb/pools.ts)
export const TIMER_ATOMIC_GROW: u32 = 5; // arg: the pools (dma/atomic.ts)

/** When a timer fires that is set for so many nanoseconds from now: at that time, or on a tick (jiffies, timer wheel). */
export function timerAfter(ctx: Context, delay: u64): u64 {
  const tick = ctx.tick;
  return tick == 0 ? ctx.now + delay : (ctx.now / tick + (delay + tick - 1) / tick + ctx.tickLate) * tick;
}

/**
 * Queues a timer. Timers of the same instant fire in the order in which they were queued.
 * @returns false without memory
 */
export function timerAdd(ctx: Context, kind: u32, arg: usize, due: u64): bool {
  const guard = guardAt(ctx, offsetof<Context>('timerLock'));
  lock(guard);
  const added = queue(ctx, kind, arg, due);
  unlock(guard);
  return added;
}

/** The link to the first timer. */
// @ts-ignore: decorator
@inline
function firstLink(ctx: Context): TimerLink {
  return changetype<TimerLink>(fieldOf(ctx, offsetof<Context>('timers')));
}

function queue(ctx: Context, kind: u32, arg: usize, due: u64): bool {
  const cache = slabCacheAt<Timer>(ctx, fieldOf(ctx, offsetof<Context>('timerCache')), offsetof<Timer>());
  const timer: Timer | null = cache == null ? null : slabAlloc(cache);
  if (timer == null) return false;
  timer.kind = kind;
  timer.arg = arg;
  timer.due = due;
  timer.cpu = currentCpu();
  let link = firstLink(ctx);
  for (let other = link.next; other != null; other = link.next) {
    if (other.due > due) break;
    link = other;
  }
  timer.next = link.next;
  link.next = timer;
  return true;
}

/** Cancels a timer if it is queued. */
export function timerCancel(ctx: Context, kind: u32, arg: usize): void {
  const guard = guardAt(ctx, offsetof<Context>('timerLock'));
  lock(guard);
  cancel(ctx, kind, arg);
  unlock(guard);
}

function cancel(ctx: Context, kind: u32, arg: usize): void {
  let link = firstLink(ctx);
  for (let other = link.next; other != null; other = link.next) {
    const timer = other;
    if (timer.kind == kind && timer.arg == arg) {
      link.next = timer.next;
      slabFree<Timer>(ctx.timerCache!, other);
      return;
    }
    link = other;
  }
}

/** The first timer that is due at or before `until`, or null. */
export function timerDue(ctx: Context, until: u64): Timer | null {
  const timer = ctx.timers;
  return timer != null && timer.due <= until ? timer : null;
}

export function timerKind(timer: Timer): u32 {
  return timer.kind;
}

export function timerArg(timer: Timer): usize {
  return timer.arg;
}

export function timerCpu(timer: Timer): u32 {
  return timer.cpu;
}

/** Takes the first timer, which timerDue gave, off the list and moves the clock to its time. */
export function timerPop(ctx: Context): void {
  const timer = ctx.timers!;
  ctx.timers = timer.next;
  ctx.now = max(ctx.now, timer.due);
  slabFree(ctx.timerCache!, timer);
}
