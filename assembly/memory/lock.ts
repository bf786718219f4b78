// Locks of the threads build. In the single-threaded build every function here compiles to nothing:
// ASC_FEATURE_THREADS is a compile-time constant, and an empty inline function leaves no trace.
//
//   byte 0..3  state       0 free, 1 held, 2 held, with waiters
//   byte 4..7  contended   acquisitions that did not succeed at the first try


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

// Spinning pays only while the holder runs on another core; after that many tries the waiter sleeps.
const SPIN: i32 = 100;

// @ts-ignore: decorator
@inline
export function lock<R>(record: R): void {
  if (ASC_FEATURE_THREADS) {
    const at = changetype<usize>(record);
    if (atomic.cmpxchg<u32>(at, 0, 1) != 0) lockContended(at);
  }
}

// @ts-ignore: decorator
@inline
export function unlock<R>(record: R): void {
  if (ASC_FEATURE_THREADS) {
    const at = changetype<usize>(record);
    if (atomic.xchg<u32>(at, 0) == 2) atomic.notify(at, 1);
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
    atomic.add<u32>(at, 1, 4);
    for (let i = 0; i < SPIN; ++i) {
      if (atomic.cmpxchg<u32>(at, 0, 1) == 0) return;
    }
    while (atomic.xchg<u32>(at, 2) != 0) atomic.wait<i32>(at, 2, -1);
  }
}
