// Rows of leaves in one table, written two at a time with SIMD.
//
// There are two versions of each function: for a new table, and for a table in use. The latter tests eight entries before it
// writes eight, and stops at a live one; the caller continues one by one.

import { PAGE_SHIFT, PAGE_SIZE } from '../../ram/ram';

/** n leaves for adjacent frames, from `value` up in steps of 4 KiB; old entries are not read. */
export function fillAdjacent(slot: usize, value: u64, n: u32): void {
  const end = slot + (<usize>n << 3);
  let at = slot;
  if (n >= 4) {
    const step = i64x2.splat(16384);
    let pair = i64x2.add(i64x2.splat(value), i64x2(0, PAGE_SIZE));
    let next = i64x2.add(pair, i64x2.splat(8192));
    const stop = slot + ((<usize>n & ~3) << 3);
    for (; at < stop; at += 32) {
      v128.store(at, pair);
      v128.store(at, next, 16);
      pair = i64x2.add(pair, step);
      next = i64x2.add(next, step);
    }
    value += <u64>(n & ~3) << PAGE_SHIFT;
  }
  for (; at < end; at += 8) {
    store<u64>(at, value);
    value += PAGE_SIZE;
  }
}

/** n leaves for the frames of a u32 vector; old entries are not read. */
export function fillScattered(slot: usize, pfns: usize, n: u32, bits: u64): void {
  const both = i64x2.splat(bits);
  for (; n >= 16; n -= 16) {
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns), PAGE_SHIFT), both));
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns, 8), PAGE_SHIFT), both), 16);
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns, 16), PAGE_SHIFT), both), 32);
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns, 24), PAGE_SHIFT), both), 48);
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns, 32), PAGE_SHIFT), both), 64);
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns, 40), PAGE_SHIFT), both), 80);
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns, 48), PAGE_SHIFT), both), 96);
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns, 56), PAGE_SHIFT), both), 112);
    slot += 128;
    pfns += 64;
  }
  for (; n != 0; --n) {
    store<u64>(slot, (<u64>load<u32>(pfns) << PAGE_SHIFT) | bits);
    slot += 8;
    pfns += 4;
  }
}

/** Whether one of eight entries is live. */
// @ts-ignore: decorator
@inline
function occupied(at: usize): bool {
  return v128.any_true(v128.or(
    v128.or(v128.load(at), v128.load(at, 16)), v128.or(v128.load(at, 32), v128.load(at, 48)),
  ));
}

/** fillAdjacent as far as the entries are free. Returns how many were written. */
export function fillFreeAdjacent(slot: usize, value: u64, n: u32): u32 {
  let done: u32 = 0;
  for (; done + 8 <= n && !occupied(slot); done += 8) {
    const first = i64x2.add(i64x2.splat(value), i64x2(0, PAGE_SIZE));
    v128.store(slot, first);
    v128.store(slot, i64x2.add(first, i64x2.splat(8192)), 16);
    v128.store(slot, i64x2.add(first, i64x2.splat(16384)), 32);
    v128.store(slot, i64x2.add(first, i64x2.splat(24576)), 48);
    value += 32768;
    slot += 64;
  }
  for (; done < n && load<u64>(slot) == 0; ++done) {
    store<u64>(slot, value);
    value += PAGE_SIZE;
    slot += 8;
  }
  return done;
}

/** fillScattered as far as the entries are free. Returns how many were written. */
export function fillFreeScattered(slot: usize, pfns: usize, n: u32, bits: u64): u32 {
  const both = i64x2.splat(bits);
  let done: u32 = 0;
  for (; done + 8 <= n && !occupied(slot); done += 8) {
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns), PAGE_SHIFT), both));
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns, 8), PAGE_SHIFT), both), 16);
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns, 16), PAGE_SHIFT), both), 32);
    v128.store(slot, v128.or(i64x2.shl(v128.load_ext<u32>(pfns, 24), PAGE_SHIFT), both), 48);
    slot += 64;
    pfns += 32;
  }
  for (; done < n && load<u64>(slot) == 0; ++done) {
    store<u64>(slot, (<u64>load<u32>(pfns) << PAGE_SHIFT) | bits);
    slot += 8;
    pfns += 4;
  }
  return done;
}

/** Whether n pfns follow one another. */
export function adjacent(pfns: usize, n: u32): bool {
  const first = load<u32>(pfns);
  if (load<u32>(pfns + (<usize>(n - 1) << 2)) != first + n - 1) return false;
  let expect = i32x4.add(i32x4.splat(first), i32x4(0, 1, 2, 3));
  const step = i32x4.splat(4);
  let wrong = i32x4.splat(0);
  for (let at = pfns, end = pfns + (<usize>n << 2); at < end; at += 16) {
    wrong = v128.or(wrong, v128.xor(v128.load(at), expect));
    expect = i32x4.add(expect, step);
  }
  return !v128.any_true(wrong);
}

/** Clears n entries of one table. */
// @ts-ignore: decorator
@inline
export function clearSlots(slot: usize, n: u32): void {
  // Below a few cache lines the engine's memory.fill costs more to call than the stores do.
  if (n > 32) memory.fill(slot, 0, <usize>n << 3);
  else {
    const end = slot + (<usize>n << 3);
    for (; slot + 8 < end; slot += 16) v128.store(slot, i64x2.splat(0));
    if (slot < end) store<u64>(slot, 0);
  }
}
