// Frames that were handed out by number, to callers that have nothing but their pfns (ram.alloc of the host). Only these
// are freed by number: every other frame in use belongs to a table, a coherent buffer, a GPU, a pool or a C driver, which free it.

import { EBUSY, EINVAL } from '../memory/errno';
import { Context } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { loansSettle } from './loan';
import { STATE_NUMBERED, STATE_USED, isFrame, ramOf, stateOf } from './ram';

// @ts-ignore: decorator
@inline
function flipNumbered(ctx: Context, n: u32, from: usize): void {
  for (let at = from, end = from + (<usize>n << 2); at < end; at += 4) {
    const state = stateOf(ramOf(ctx), load<u32>(at));
    store<u8>(state, load<u8>(state) ^ STATE_NUMBERED);
  }
}

/** From now on n frames, which were just allocated, may be freed by number. */
export function framesNumber(ctx: Context, n: u32, pfns: usize): void {
  const ram = ramOf(ctx);
  lock(ram);
  loansSettle(ctx, ram);
  flipNumbered(ctx, n, pfns);
  unlock(ram);
}

/**
 * Before n frames are freed by number: all of them lose the mark, or none.
 * @returns 0; -EINVAL when one is not in use or is named twice; -EBUSY when one was not handed out by number
 */
export function framesUnnumber(ctx: Context, n: u32, pfns: usize): i32 {
  const ram = ramOf(ctx);
  let rc: i32 = 0;
  let done: u32 = 0;
  lock(ram);
  loansSettle(ctx, ram);
  for (; done < n; ++done) {
    const pfn = load<u32>(pfns + (<usize>done << 2));
    const state = isFrame(ram, pfn) ? load<u8>(stateOf(ram, pfn)) : 0;
    if ((state & (STATE_USED | STATE_NUMBERED)) != (STATE_USED | STATE_NUMBERED)) {
      rc = (state & STATE_USED) == 0 || named(pfn, done, pfns) ? EINVAL : EBUSY;
      break;
    }
    store<u8>(stateOf(ram, pfn), state ^ STATE_NUMBERED);
  }
  if (rc != 0) flipNumbered(ctx, done, pfns);
  unlock(ram);
  return rc;
}

function named(pfn: u32, n: u32, pfns: usize): bool {
  for (let i: u32 = 0; i < n; ++i) if (load<u32>(pfns + (<usize>i << 2)) == pfn) return true;
  return false;
}

/** A C driver frees pages, whichever call got them: the mark of one that was handed out by number goes with it. */
export function frameForget(ctx: Context, pfn: u32): void {
  const ram = ramOf(ctx);
  if (!isFrame(ram, pfn)) return;
  lock(ram);
  store<u8>(stateOf(ram, pfn), load<u8>(stateOf(ram, pfn)) & ~STATE_NUMBERED);
  unlock(ram);
}
