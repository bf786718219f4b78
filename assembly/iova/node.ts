// Nodes of the range index: layouts, the summaries that guide a search, and the vector routines that read them.
//
// A leaf holds up to 24 ranges in order, in its last `count` slots: Linux allocates downwards, and so the next range is
// put in front of the others without moving one. Every range owns the gap below it: gap i lies between the end of range
// i - 1 (for the first: `low`, kept in the leaf) and lo[i]. The anchor closes the index at the top, so that every gap has
// an owner. Gaps are half-open [start, end), ranges inclusive [lo, hi].
//
//   leaf    +0 count   +4 next    +8 low (u64)
//           +16 cap u16[24]       +64 gap u16[24]      +112 -
//           +128 lo u64[24]       +320 hi u64[24]      512 bytes
//
//   inner   +0 count   +16 cap u16[32]    +80 gap u16[32]
//           +144 key u64[32]      +400 child u32[32]   +528 used u64[32]      784 bytes
//
// Child c covers [key[c], key[c + 1]). key[0] is 0 in every node: the parent has that separator, and a second copy would have to be
// kept equal. `used` is the number of pages in ranges below a child, the anchor's
// not among them.
//
// What fits where: one number a gap is exact for aligned requests of every size, powers of two or not.
//
//   gap      its length
//   cap      the largest size that fits aligned to its power of two. With 2^m the largest aligned block in the gap,
//            cap = max(2^m, end - roundup(start, 2^(m + 1))): a size above 2^m is aligned to 2^(m + 1), and if it
//            fits, all smaller sizes fit.
//
// Both are kept as 16-bit codes, floored: a float with 6 bits of exponent and 10 of fraction, exact below 2048. An
// inner node has each child's maximum. A search compares eight codes at once and makes the exact test in the leaf.
//
// Unused slots of a leaf have code 0 and hi = UNUSED_HI, those of an inner node code 0 and key = UNUSED_KEY: the vector
// routines always read whole nodes.

export const LEAF_MAX: u32 = 24;
export const LEAF_MIN: u32 = 6;
export const LEAF_MERGED: u32 = 18;
export const LEAF_SIZE: usize = 512;
export const INNER_MAX: u32 = 32;
export const INNER_MIN: u32 = 8;
export const INNER_MERGED: u32 = 24;
export const INNER_SIZE: usize = 784;

export const COUNT: usize = 0;
export const NEXT: usize = 4;
export const LOW: usize = 8;
/** Codes are at the same place in both kinds of node; the offset of GAP differs. */
export const CAP: usize = 16;
export const LEAF_GAP: usize = 64;
export const LO: usize = 128;
export const HI: usize = 320;
export const INNER_GAP: usize = 80;
export const KEY: usize = 144;
export const CHILD: usize = 400;
export const USED: usize = 528;

/** pfn of the anchor: above every pfn that can be asked for, below 2^63 because vector comparison is signed. */
export const ANCHOR: u64 = 1 << 62;
/** Below, and above, every pfn as signed numbers: unused slots of a leaf are its first, of an inner node its last. */
export const UNUSED_HI: u64 = 0xffffffffffffffff;
export const UNUSED_KEY: u64 = 0x7fffffffffffffff;

// ---- scalar access ----

// @ts-ignore: decorator
@inline
export function countOf(node: usize): u32 {
  return load<u32>(node, COUNT);
}

/** Slot of a leaf's first range. */
// @ts-ignore: decorator
@inline
export function firstOf(leaf: usize): u32 {
  return LEAF_MAX - countOf(leaf);
}

// @ts-ignore: decorator
@inline
export function loOf(leaf: usize, i: u32): u64 {
  return load<u64>(leaf + (<usize>i << 3), LO);
}

// @ts-ignore: decorator
@inline
export function hiOf(leaf: usize, i: u32): u64 {
  return load<u64>(leaf + (<usize>i << 3), HI);
}

/** First pfn of the gap below range i. */
// @ts-ignore: decorator
@inline
export function gapStart(leaf: usize, i: u32): u64 {
  return i == firstOf(leaf) ? load<u64>(leaf, LOW) : load<u64>(leaf + (<usize>i << 3), HI - 8) + 1;
}

// @ts-ignore: decorator
@inline
export function childOf(inner: usize, i: u32): usize {
  return load<u32>(inner + (<usize>i << 2), CHILD);
}

// @ts-ignore: decorator
@inline
export function keyOf(inner: usize, i: u32): u64 {
  return load<u64>(inner + (<usize>i << 3), KEY);
}

// @ts-ignore: decorator
@inline
export function usedOf(inner: usize, i: u32): u64 {
  return load<u64>(inner + (<usize>i << 3), USED);
}

// ---- codes ----

/** The code of a size: monotone, exact below 2048, rounded down by less than one in 1024 above. */
// @ts-ignore: decorator
@inline
export function codeOf(size: u64): u32 {
  const shift = max<i32>(53 - <i32>clz<u64>(size | 1), 0);
  return (<u32>shift << 10) + <u32>(size >> <u64>shift);
}

/** The largest size that fits into [start, end) aligned to its power of two; 0 for an empty gap. */
export function capOf(start: u64, end: u64): u64 {
  if (start >= end) return 0;
  // The point of [start, end] with the most trailing zeros: blocks lie on one side of it, aligned by it.
  const first = start - 1;
  const pivot = end & ~((<u64>1 << (63 - clz<u64>(first ^ end))) - 1);
  const order = 63 - clz<u64>((pivot - start) | (end - pivot));
  const next = <u64>2 << order;
  const above = (start + next - 1) & ~(next - 1);
  return above < end ? max<u64>(<u64>1 << order, end - above) : <u64>1 << order;
}

/** The codes of the gap [start, end), cap | gap << 16. */
export function gapCodes(start: u64, end: u64): u32 {
  return start < end ? codeOf(capOf(start, end)) | (codeOf(end - start) << 16) : 0;
}

/** Sets the codes of gap i, cap | gap << 16. */
// @ts-ignore: decorator
@inline
export function codesSet(leaf: usize, i: u32, codes: u32): void {
  const at = leaf + (<usize>i << 1);
  store<u16>(at, <u16>codes, CAP);
  store<u16>(at, <u16>(codes >> 16), LEAF_GAP);
}

// ---- vectors ----

/** Slot of the first range that does not end below a pfn; LEAF_MAX if all do. */
export function leafRank(leaf: usize, pfn: u64): u32 {
  const x = i64x2.splat(pfn);
  let a = i64x2.lt_s(v128.load(leaf, HI), x);
  let b = i64x2.lt_s(v128.load(leaf, HI + 16), x);
  a = i64x2.add(a, i64x2.lt_s(v128.load(leaf, HI + 32), x));
  b = i64x2.add(b, i64x2.lt_s(v128.load(leaf, HI + 48), x));
  a = i64x2.add(a, i64x2.lt_s(v128.load(leaf, HI + 64), x));
  b = i64x2.add(b, i64x2.lt_s(v128.load(leaf, HI + 80), x));
  a = i64x2.add(a, i64x2.lt_s(v128.load(leaf, HI + 96), x));
  b = i64x2.add(b, i64x2.lt_s(v128.load(leaf, HI + 112), x));
  a = i64x2.add(a, i64x2.lt_s(v128.load(leaf, HI + 128), x));
  b = i64x2.add(b, i64x2.lt_s(v128.load(leaf, HI + 144), x));
  a = i64x2.add(a, i64x2.lt_s(v128.load(leaf, HI + 160), x));
  b = i64x2.add(b, i64x2.lt_s(v128.load(leaf, HI + 176), x));
  a = i64x2.add(a, b);
  return <u32>-(<i32>i64x2.extract_lane(a, 0) + <i32>i64x2.extract_lane(a, 1));
}

// @ts-ignore: decorator
@inline
function keysAbove(inner: usize, x: v128): v128 {
  let a = i64x2.gt_s(v128.load(inner, KEY), x);
  a = i64x2.add(a, i64x2.gt_s(v128.load(inner, KEY + 16), x));
  a = i64x2.add(a, i64x2.gt_s(v128.load(inner, KEY + 32), x));
  a = i64x2.add(a, i64x2.gt_s(v128.load(inner, KEY + 48), x));
  let b = i64x2.gt_s(v128.load(inner, KEY + 64), x);
  b = i64x2.add(b, i64x2.gt_s(v128.load(inner, KEY + 80), x));
  b = i64x2.add(b, i64x2.gt_s(v128.load(inner, KEY + 96), x));
  b = i64x2.add(b, i64x2.gt_s(v128.load(inner, KEY + 112), x));
  return i64x2.add(a, b);
}

/** The child whose part of the space a pfn is in. */
export function innerRank(inner: usize, pfn: u64): u32 {
  const x = i64x2.splat(pfn);
  const above = i64x2.add(keysAbove(inner, x), keysAbove(inner + 128, x));
  return <u32>(31 + <i32>i64x2.extract_lane(above, 0) + <i32>i64x2.extract_lane(above, 1));
}

/** Bit i: code i of the 24 at `codes` is at least `need` (splat). */
// @ts-ignore: decorator
@inline
export function leafMask(codes: usize, need: v128): u32 {
  const a = i16x8.ge_u(v128.load(codes), need);
  const b = i16x8.ge_u(v128.load(codes, 16), need);
  const c = i16x8.ge_u(v128.load(codes, 32), need);
  return <u32>i8x16.bitmask(i8x16.narrow_i16x8_s(a, b)) | (<u32>i16x8.bitmask(c) << 16);
}

/** Bit i: code i of the 32 at `codes` is at least `need` (splat). */
// @ts-ignore: decorator
@inline
export function innerMask(codes: usize, need: v128): u32 {
  const a = i8x16.narrow_i16x8_s(i16x8.ge_u(v128.load(codes), need), i16x8.ge_u(v128.load(codes, 16), need));
  const b = i8x16.narrow_i16x8_s(i16x8.ge_u(v128.load(codes, 32), need), i16x8.ge_u(v128.load(codes, 48), need));
  return <u32>i8x16.bitmask(a) | (<u32>i8x16.bitmask(b) << 16);
}

// The largest of the eight lanes of each, as cap | gap << 16.
function reduce(cap: v128, gap: v128): u32 {
  let m = i16x8.max_u(
    v128.shuffle<i64>(cap, gap, 0, 2),
    v128.shuffle<i64>(cap, gap, 1, 3),
  );
  m = i16x8.max_u(m, v128.shuffle<i32>(m, m, 1, 1, 3, 3));
  m = i16x8.max_u(m, v128.shuffle<i16>(m, m, 1, 1, 3, 3, 5, 5, 7, 7));
  return <u32>i16x8.extract_lane_u(m, 0) | (<u32>i16x8.extract_lane_u(m, 4) << 16);
}

/** The largest codes of a leaf, cap | gap << 16. */
export function leafTop(leaf: usize): u32 {
  return reduce(
    i16x8.max_u(i16x8.max_u(v128.load(leaf, CAP), v128.load(leaf, CAP + 16)), v128.load(leaf, CAP + 32)),
    i16x8.max_u(
      i16x8.max_u(v128.load(leaf, LEAF_GAP), v128.load(leaf, LEAF_GAP + 16)),
      v128.load(leaf, LEAF_GAP + 32),
    ),
  );
}

/** The largest codes of an inner node, cap | gap << 16. */
export function innerTop(inner: usize): u32 {
  return reduce(
    i16x8.max_u(
      i16x8.max_u(v128.load(inner, CAP), v128.load(inner, CAP + 16)),
      i16x8.max_u(v128.load(inner, CAP + 32), v128.load(inner, CAP + 48)),
    ),
    i16x8.max_u(
      i16x8.max_u(v128.load(inner, INNER_GAP), v128.load(inner, INNER_GAP + 16)),
      i16x8.max_u(v128.load(inner, INNER_GAP + 32), v128.load(inner, INNER_GAP + 48)),
    ),
  );
}

// ---- moving entries ----

/** Copies n ranges with their codes from one leaf, or place, to another. Overlap is allowed. */
export function leafMove(from: usize, i: u32, to: usize, j: u32, n: u32): void {
  const a: usize = i;
  const b: usize = j;
  const m: usize = n;
  memory.copy(to + CAP + (b << 1), from + CAP + (a << 1), m << 1);
  memory.copy(to + LEAF_GAP + (b << 1), from + LEAF_GAP + (a << 1), m << 1);
  memory.copy(to + LO + (b << 3), from + LO + (a << 3), m << 3);
  memory.copy(to + HI + (b << 3), from + HI + (a << 3), m << 3);
}

/** Marks slots [0, n) as unused. */
export function leafClear(leaf: usize, n: u32): void {
  memory.fill(leaf + CAP, 0, <usize>n << 1);
  memory.fill(leaf + LEAF_GAP, 0, <usize>n << 1);
  memory.fill(leaf + HI, 0xff, <usize>n << 3);
}

/** Copies n children with all that is said about them. Overlap is allowed. */
export function innerMove(from: usize, i: u32, to: usize, j: u32, n: u32): void {
  const a: usize = i;
  const b: usize = j;
  const m: usize = n;
  memory.copy(to + CAP + (b << 1), from + CAP + (a << 1), m << 1);
  memory.copy(to + INNER_GAP + (b << 1), from + INNER_GAP + (a << 1), m << 1);
  memory.copy(to + KEY + (b << 3), from + KEY + (a << 3), m << 3);
  memory.copy(to + CHILD + (b << 2), from + CHILD + (a << 2), m << 2);
  memory.copy(to + USED + (b << 3), from + USED + (a << 3), m << 3);
}

export function innerClear(inner: usize, i: u32): void {
  const n = <usize>(INNER_MAX - i);
  memory.fill(inner + CAP + (<usize>i << 1), 0, n << 1);
  memory.fill(inner + INNER_GAP + (<usize>i << 1), 0, n << 1);
  for (let k = i; k < INNER_MAX; ++k) store<u64>(inner + (<usize>k << 3), UNUSED_KEY, KEY);
}

// Ranges are shifted by one in pairs, as many as move. Codes are shifted in whole vectors, keeping what lies on the near
// side of slot i: there are three of them, and a loop over just those that move would cost more in mispredicted branches.

// Eight codes, index from `first` on: those below slot i move down, slot i and the next get new ones.
// @ts-ignore: decorator
@inline
function codesDown(at: usize, first: i16, i: v128, below: v128, above: v128): v128 {
  const index = eight(first);
  let codes = v128.bitselect(v128.load(at + 2), v128.load(at), i16x8.gt_s(i, index));
  codes = v128.bitselect(below, codes, i16x8.eq(index, i));
  codes = v128.bitselect(above, codes, i16x8.eq(index, i16x8.add(i, i16x8.splat(1))));
  v128.store(at, codes);
  return codes;
}

// @ts-ignore: decorator
@inline
function eight(first: i16): v128 {
  return i16x8.add(i16x8(0, 1, 2, 3, 4, 5, 6, 7), i16x8.splat(first));
}

/** Makes room for a range below slot i of a leaf of `count` ranges, fewer than LEAF_MAX: those below move down. */
// @ts-ignore: decorator
@inline
export function leafOpen(leaf: usize, i: u32, count: u32): void {
  const end = leaf + (<usize>i << 3);
  let at = leaf + (<usize>(LEAF_MAX - count) << 3);
  for (; at + 16 <= end; at += 16) {
    v128.store(at - 8, v128.load(at, LO), LO);
    v128.store(at - 8, v128.load(at, HI), HI);
  }
  if (at < end) {
    store<u64>(at - 8, load<u64>(at, LO), LO);
    store<u64>(at - 8, load<u64>(at, HI), HI);
  }
}

/**
 * Puts the codes of the gap below a new range into slot i and those of the gap above it into the next, moving the
 * others down. Returns the largest of the leaf: here they are in registers, a moment later they would have to be waited for.
 */
export function codesInsert(leaf: usize, i: u32, below: u32, above: u32): u32 {
  const slot = i16x8.splat(<i16>i);
  let cap = i16x8.splat(0);
  let gap = cap;
  // First the caps, then the gaps behind them.
  for (let codes = leaf + CAP; codes <= leaf + LEAF_GAP; codes += LEAF_GAP - CAP) {
    const low = i16x8.splat(<i16>below);
    const high = i16x8.splat(<i16>above);
    const c0 = codesDown(codes, 0, slot, low, high);
    const c1 = codesDown(codes + 16, 8, slot, low, high);
    const c2 = codesDown(codes + 32, 16, slot, low, high);
    cap = gap;
    gap = i16x8.max_u(i16x8.max_u(c0, c1), c2);
    below >>= 16;
    above >>= 16;
  }
  return reduce(cap, gap);
}

// @ts-ignore: decorator
@inline
function codesUp(leaf: usize, first: i16, i: v128): void {
  const at = leaf + (<usize>first << 1);
  const stays = i16x8.gt_s(eight(first), i);
  const cap = v128.bitselect(v128.load(at, CAP), v128.load(at, CAP - 2), stays);
  const gap = v128.bitselect(v128.load(at, LEAF_GAP), v128.load(at, LEAF_GAP - 2), stays);
  v128.store(at, cap, CAP);
  v128.store(at, gap, LEAF_GAP);
}

/** Closes slot i of a leaf of `count` ranges: those below move up, and the first slot is unused. */
export function leafClose(leaf: usize, i: u32, count: u32): void {
  const first = leaf + (<usize>(LEAF_MAX - count) << 3);
  let at = leaf + (<usize>i << 3);
  for (; at >= first + 16; at -= 16) {
    v128.store(at, v128.load(at, LO - 16), LO - 8);
    v128.store(at, v128.load(at, HI - 16), HI - 8);
  }
  if (at > first) {
    store<u64>(at, load<u64>(at, LO - 8), LO);
    store<u64>(at, load<u64>(at, HI - 8), HI);
  }
  store<u64>(first, UNUSED_HI, HI);
  const narrow = i16x8.splat(<i16>i);
  codesUp(leaf, 16, narrow);
  codesUp(leaf, 8, narrow);
  codesUp(leaf, 0, narrow);
  // What came from before the arrays; slots in front of the first are 0.
  store<u16>(leaf, 0, CAP);
  store<u16>(leaf, 0, LEAF_GAP);
}
