// Rows of leaves, written two at a time with SIMD. A row lies in one table.
//
// Each filler exists twice: for a table made a moment ago, and for one in use. Over a table in use a leaf is stored as
// new XOR old while the old ones are OR-ed together. Where nothing was mapped, which is nearly always, that OR is zero
// and the stored entries are right; otherwise XOR with the new entry gives each old one back.

/** n leaves for adjacent frames, from `value` up in steps of 4 KiB, over whatever is there. */
export function fillAdjacent(slot: usize, value: u64, n: u32): void {
  const end = slot + (<usize>n << 3);
  let at = slot;
  if (n >= 4) {
    const step = i64x2.splat(16384);
    let pair = i64x2.add(i64x2.splat(value), i64x2(0, 4096));
    let next = i64x2.add(pair, i64x2.splat(8192));
    const stop = slot + ((<usize>n & ~3) << 3);
    for (; at < stop; at += 32) {
      v128.store(at, pair);
      v128.store(at, next, 16);
      pair = i64x2.add(pair, step);
      next = i64x2.add(next, step);
    }
    value += <u64>(n & ~3) << 12;
  }
  for (; at < end; at += 8) {
    store<u64>(at, value);
    value += 4096;
  }
}

/** n leaves for the frames of a u32 vector, over whatever is there. */
export function fillScattered(slot: usize, pfns: usize, n: u32, bits: u64): void {
  const end = slot + (<usize>n << 3);
  let at = slot;
  let from = pfns;
  if (n >= 8) {
    const both = i64x2.splat(bits);
    const stop = slot + ((<usize>n & ~7) << 3);
    for (; at < stop; at += 64) {
      v128.store(at, v128.or(i64x2.shl(v128.load_ext<u32>(from), 12), both));
      v128.store(at, v128.or(i64x2.shl(v128.load_ext<u32>(from, 8), 12), both), 16);
      v128.store(at, v128.or(i64x2.shl(v128.load_ext<u32>(from, 16), 12), both), 32);
      v128.store(at, v128.or(i64x2.shl(v128.load_ext<u32>(from, 24), 12), both), 48);
      from += 32;
    }
  }
  for (; at < end; at += 8) {
    store<u64>(at, (<u64>load<u32>(from) << 12) | bits);
    from += 4;
  }
}

/** fillAdjacent, stored as new XOR old. Returns all old entries OR-ed: 0 where the entries came out right. */
export function xorAdjacent(slot: usize, value: u64, n: u32): u64 {
  const end = slot + (<usize>n << 3);
  let at = slot;
  let next = value;
  let old: u64 = 0;
  if (n >= 4) {
    const step = i64x2.splat(8192);
    let pair = i64x2.add(i64x2.splat(value), i64x2(0, 4096));
    let seen = i64x2.splat(0);
    const stop = slot + ((<usize>n & ~1) << 3);
    for (; at < stop; at += 16) {
      const was = v128.load(at);
      seen = v128.or(seen, was);
      v128.store(at, v128.xor(was, pair));
      pair = i64x2.add(pair, step);
    }
    old = i64x2.extract_lane(seen, 0) | i64x2.extract_lane(seen, 1);
    next = value + (<u64>(n & ~1) << 12);
  }
  for (; at < end; at += 8) {
    const was = load<u64>(at);
    old |= was;
    store<u64>(at, was ^ next);
    next += 4096;
  }
  return old;
}

/** fillScattered, stored as new XOR old. Returns all old entries OR-ed: 0 where the entries came out right. */
export function xorScattered(slot: usize, pfns: usize, n: u32, bits: u64): u64 {
  const end = slot + (<usize>n << 3);
  let at = slot;
  let from = pfns;
  let old: u64 = 0;
  if (n >= 8) {
    const both = i64x2.splat(bits);
    let seen = i64x2.splat(0);
    const stop = slot + ((<usize>n & ~7) << 3);
    for (; at < stop; at += 64) {
      const old0 = v128.load(at);
      const old1 = v128.load(at, 16);
      const old2 = v128.load(at, 32);
      const old3 = v128.load(at, 48);
      seen = v128.or(seen, v128.or(v128.or(old0, old1), v128.or(old2, old3)));
      v128.store(at, v128.xor(old0, v128.or(i64x2.shl(v128.load_ext<u32>(from), 12), both)));
      v128.store(at, v128.xor(old1, v128.or(i64x2.shl(v128.load_ext<u32>(from, 8), 12), both)), 16);
      v128.store(at, v128.xor(old2, v128.or(i64x2.shl(v128.load_ext<u32>(from, 16), 12), both)), 32);
      v128.store(at, v128.xor(old3, v128.or(i64x2.shl(v128.load_ext<u32>(from, 24), 12), both)), 48);
      from += 32;
    }
    old = i64x2.extract_lane(seen, 0) | i64x2.extract_lane(seen, 1);
  }
  for (; at < end; at += 8) {
    const was = load<u64>(at);
    old |= was;
    store<u64>(at, was ^ ((<u64>load<u32>(from) << 12) | bits));
    from += 4;
  }
  return old;
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
