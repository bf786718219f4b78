// State changes of many frames. The state byte is the main cost per frame. "On a stack" and "in use" differ in two bits, so that one
// XOR changes either to the other, keeps the other bits, and can be undone by a second one. The loop has no branch; what it found is
// tested at the end. Runs of neighbours are changed sixteen at a time.

import { HIGH_START, Ram, STATE_CONTENT, STATE_STACK, STATE_USED } from './ram';

/** Turns STATE_STACK into STATE_USED and back. */
export const FLIP: u8 = STATE_USED ^ STATE_STACK;

/** Results of flip: it was done; all frames were in use before; some frame has contents. */
export const FLIPPED: u32 = 1;
export const FLIPPED_ALL_USED: u32 = 2;
export const FLIPPED_CONTENT: u32 = 4;

const NOWHERE: usize = 0xffffffff;

/** What to add to a pfn to get the offset of its state, for pfns from lo to hi; NOWHERE if there is no such number. */
// @ts-ignore: decorator
@inline
function baseOf(ram: Ram, lo: u32, hi: u32): usize {
  if (hi < ram.lowEnd) return ram.states;
  return lo >= HIGH_START && hi < ram.highEnd ? ram.states - <usize>ram.hole : NOWHERE;
}

/**
 * Flips the states of n frames.
 * @param from vector of u32 pfns
 * @returns FLIPPED with what was found, or 0 with nothing changed: frames of both zones, or none of RAM's
 */
export function flip(ram: Ram, from: usize, n: u32): u32 {
  if (n < 16 || !isRun(from, n)) return flipEach(ram, from, n);
  const first = load<u32>(from);
  const base = baseOf(ram, first, first + n - 1);
  return base == NOWHERE ? 0 : flipRun(base + <usize>first, n);
}

/** Whether n pfns are consecutive. Tests four vectors per round, each against a counter of its own. */
export function isRun(from: usize, n: u32): bool {
  if (load<u32>(from + (<usize>(n - 1) << 2)) - load<u32>(from) != n - 1) return false;
  const four = i32x4.splat(4);
  const sixteen = i32x4.shl(four, 2);
  let a = i32x4.add(i32x4.splat(load<u32>(from)), i32x4(0, 1, 2, 3));
  let b = i32x4.add(a, four);
  let c = i32x4.add(b, four);
  let d = i32x4.add(c, four);
  let wrong = i32x4.splat(0);
  let wrongToo = wrong;
  let at = from;
  for (const stop = from + ((<usize>n & ~15) << 2); at < stop; at += 64) {
    wrong = v128.or(wrong, v128.or(v128.xor(v128.load(at), a), v128.xor(v128.load(at, 16), b)));
    wrongToo = v128.or(wrongToo, v128.or(v128.xor(v128.load(at, 32), c), v128.xor(v128.load(at, 48), d)));
    a = i32x4.add(a, sixteen);
    b = i32x4.add(b, sixteen);
    c = i32x4.add(c, sixteen);
    d = i32x4.add(d, sixteen);
  }
  if (v128.any_true(v128.or(wrong, wrongToo))) return false;
  at = max(at, from + 4);
  for (const end = from + (<usize>n << 2); at < end; at += 4) {
    if (load<u32>(at) != load<u32>(at - 4) + 1) return false;
  }
  return true;
}

function flipRun(start: usize, n: u32): u32 {
  const bits = i8x16.splat(FLIP);
  let all = i8x16.splat(-1);
  let any = i8x16.splat(0);
  let at = start;
  for (const stop = start + (<usize>n & ~15); at < stop; at += 16) {
    const was = v128.load(at);
    all = v128.and(all, was);
    any = v128.or(any, was);
    v128.store(at, v128.xor(was, bits));
  }
  let used = i8x16.all_true(v128.and(all, i8x16.splat(STATE_USED)));
  let content = v128.any_true(v128.and(any, i8x16.splat(STATE_CONTENT)));
  for (const end = start + <usize>n; at < end; ++at) {
    const was = load<u8>(at);
    used = used && (was & STATE_USED) != 0;
    content = content || (was & STATE_CONTENT) != 0;
    store<u8>(at, was ^ FLIP);
  }
  return FLIPPED | (used ? FLIPPED_ALL_USED : 0) | (content ? FLIPPED_CONTENT : 0);
}

// @ts-ignore: decorator
@inline
function flipOne(base: usize, pfn: u32): u32 {
  const state = base + <usize>pfn;
  const was = <u32>load<u8>(state);
  store<u8>(state, was ^ FLIP);
  return was;
}

function flipEach(ram: Ram, from: usize, n: u32): u32 {
  const end = from + (<usize>n << 2);
  let least = i32x4.splat(-1);
  let most = i32x4.splat(0);
  let at = from;
  for (const stop = from + ((<usize>n & ~3) << 2); at < stop; at += 16) {
    const four = v128.load(at);
    least = i32x4.min_u(least, four);
    most = i32x4.max_u(most, four);
  }
  let lo = min(
    min(<u32>i32x4.extract_lane(least, 0), <u32>i32x4.extract_lane(least, 1)),
    min(<u32>i32x4.extract_lane(least, 2), <u32>i32x4.extract_lane(least, 3)),
  );
  let hi = max(
    max(<u32>i32x4.extract_lane(most, 0), <u32>i32x4.extract_lane(most, 1)),
    max(<u32>i32x4.extract_lane(most, 2), <u32>i32x4.extract_lane(most, 3)),
  );
  for (; at < end; at += 4) {
    lo = min(lo, load<u32>(at));
    hi = max(hi, load<u32>(at));
  }
  const base = baseOf(ram, lo, hi);
  if (base == NOWHERE) return 0;
  let all: u32 = 0xff;
  let any: u32 = 0;
  at = from;
  // Also within a round one after the other: a frame that is listed twice must be flipped twice.
  for (const stop = from + ((<usize>n & ~3) << 2); at < stop; at += 16) {
    const a = flipOne(base, load<u32>(at));
    const b = flipOne(base, load<u32>(at, 4));
    const c = flipOne(base, load<u32>(at, 8));
    const d = flipOne(base, load<u32>(at, 12));
    all &= a & b & (c & d);
    any |= a | b | (c | d);
  }
  for (; at < end; at += 4) {
    const was = flipOne(base, load<u32>(at));
    all &= was;
    any |= was;
  }
  return FLIPPED | ((all & STATE_USED) != 0 ? FLIPPED_ALL_USED : 0) | ((any & STATE_CONTENT) != 0 ? FLIPPED_CONTENT : 0);
}
