// Locks of the threads build. In the single-threaded build every function here compiles to nothing:
// ASC_FEATURE_THREADS is a compile-time constant, and an empty inline function leaves no trace.
//
//   byte 0..3  state       0 free, else the holder: its virtual CPU + 1, with WAITED_FOR once a CPU sleeps
//   byte 4..7  contended   acquisitions that did not succeed at the first try
//
// A holder that dies (its worker trapped or was cut off) never unlocks. A waiter therefore wakes after each slice of time
// and asks the host about the holder, which throws where the holder is dead.

import { currentCpu } from './cpu';

/** A record that begins with a lock. What holds one elsewhere names its place: guardAt. */
// @ts-ignore: decorator
@unmanaged
export class Guarded {
  guard: u64;
}

/** The lock that lies `offset` bytes into a record. */
// @ts-ignore: decorator
@inline
export function guardAt<R>(record: R, offset: usize): Guarded {
  return changetype<Guarded>(changetype<usize>(record) + offset);
}

/** Of the state: a CPU sleeps until the lock is free. CPUs are below it. */
const WAITED_FOR: u32 = 0x100;
// Spinning pays only while the holder runs on another core; after that many tries the waiter sleeps.
const SPIN: i32 = 100;
/** How long a waiter sleeps before it asks about the holder, in nanoseconds. */
const SLICE: i64 = 100_000_000;

/**
 * A waiter has slept for a slice of time and found the same holder.
 * @param cpu the holder's
 * @param slices slept so far, all with this holder. Throws where the holder will not come back
 */
// @ts-ignore: decorator
@external("env", "lockWait")
declare function lockWait(cpu: u32, slices: u32): void;

// @ts-ignore: decorator
@inline
export function lock<R>(record: R): void {
  if (ASC_FEATURE_THREADS) {
    const at = changetype<usize>(record);
    if (atomic.cmpxchg<u32>(at, 0, currentCpu() + 1) != 0) lockContended(at);
  }
}

// @ts-ignore: decorator
@inline
export function unlock<R>(record: R): void {
  if (ASC_FEATURE_THREADS) {
    const at = changetype<usize>(record);
    if (atomic.xchg<u32>(at, 0) >= WAITED_FOR) atomic.notify(at, 1);
  }
}

/** How often an acquisition of this lock found it held. Always 0 in the single-threaded build. */
// @ts-ignore: decorator
@inline
export function contendedCount<R>(record: R): u32 {
  return load<u32>(changetype<usize>(record), 4);
}

function lockContended(at: usize): void {
  if (ASC_FEATURE_THREADS) {
    const self = currentCpu() + 1;
    atomic.add<u32>(at, 1, 4);
    for (let i = 0; i < SPIN; ++i) {
      if (atomic.cmpxchg<u32>(at, 0, self) == 0) return;
    }
    let before: u32 = 0;
    let slices: u32 = 0;
    // Others may sleep, too: who gets the lock here says so, and the unlock wakes one of them.
    for (;;) {
      const state = atomic.cmpxchg<u32>(at, 0, self | WAITED_FOR);
      if (state == 0) return;
      if (state < WAITED_FOR && atomic.cmpxchg<u32>(at, state, state | WAITED_FOR) != state) continue;
      const held = state | WAITED_FOR;
      // 2: the wait ended without a wake.
      if (atomic.wait<u32>(at, held, SLICE) != 2) continue;
      slices = held == before ? slices + 1 : 1;
      before = held;
      lockWait((held & ~WAITED_FOR) - 1, slices);
    }
  }
}
