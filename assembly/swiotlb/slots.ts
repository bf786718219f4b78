// Finding, taking and freeing slots. The kernel stores with each slot the number of free slots that follow it in the set, and
// rewrites these on each change. Here a set is two 64-bit words, and a few shifts find all places at once where n free slots
// begin. The place that is taken is the one that the kernel's walk finds:
//
//   from the area's index on, wrapping to the area's start, for as many slots as the area has:
//   an address that does not fit the alignment moves on by one slot, a run too short (or across the device's segment
//   boundary) by the stride, the alignment in slots.

import { SET_SLOTS, SLOT_SHIFT, SLOT_SIZE, Swiotlb, areaOf, mappingOf, slotAddress } from './pool';

export const NO_SLOT: u32 = 0xffffffff;
/** In `back`: the slot is free. Distances reach 127. */
export const BACK_FREE: u8 = 0xff;

const SET_SHIFT: u32 = 7;
const WORD: u32 = 64;

// @ts-ignore: decorator
@inline
export function backOf(pool: Swiotlb, slot: u32): usize {
  return pool.back + <usize>slot;
}

/** Number of slots that a mask of address bits spans, rounded up. */
// @ts-ignore: decorator
@inline
function slotsOfMask(mask: u64): u64 {
  return mask == u64.MAX_VALUE ? 1 << (WORD - SLOT_SHIFT) : (mask + SLOT_SIZE) >> SLOT_SHIFT;
}

/**
 * Looks for a run of n free slots in one area.
 * @param mask bits of the first slot's address that are prescribed, and in wanted their value
 * @param alignment the larger of the two alignment masks: decides the stride
 * @param boundary segment boundary mask of the device: no run crosses a multiple of boundary + 1
 * @returns the first slot, counted over the pool, or NO_SLOT
 */
export function searchArea(
  pool: Swiotlb, area: u32, n: u32, mask: u32, wanted: u32, alignment: u32, boundary: u64,
): u32 {
  const total = pool.areaSlots;
  const base = area * total;
  const stride = <u32>slotsOfMask(alignment);
  const segment = slotsOfMask(boundary);
  const shift = ((pool.start & boundary) + SLOT_SIZE - 1) >> SLOT_SHIFT;
  let index = areaOf(pool, area).index;
  let checked: u32 = 0;
  let set: u32 = NO_SLOT;
  let low: u64 = 0;
  let high: u64 = 0;
  while (checked < total) {
    const slot = base + index;
    let step: u32 = 1;
    if ((<u32>slotAddress(pool, slot) & mask) == wanted) {
      if (slot >> SET_SHIFT != set) {
        // Shifting and AND-ing by doubling distances leaves exactly the places where n free slots begin.
        set = slot >> SET_SHIFT;
        const words = pool.free + (<usize>set << 4);
        low = load<u64>(words);
        high = load<u64>(words, 8);
        for (let have: u32 = 1; have < n && (low | high) != 0; ) {
          const by = min(have, n - have);
          if (by < WORD) {
            low &= (low >> by) | (high << (WORD - by));
            high &= high >> by;
          } else {
            low &= high;
            high = 0;
          }
          have += by;
        }
      }
      const at = slot & (SET_SLOTS - 1);
      const place = nextPlace(low, high, at);
      if (place == at && ((<u64>slot + shift) & (segment - 1)) + n <= segment) return slot;
      // Places between here and the next run are passed over in whole strides, at least one.
      const gap = max(place - at, 1);
      step = (gap + stride - 1) / stride * stride;
    }
    index += step;
    checked += step;
    if (index >= total) index = 0;
  }
  return NO_SLOT;
}

/** Lowest set bit at or above `from` of a 128-bit word, or 128. */
// @ts-ignore: decorator
@inline
function nextPlace(low: u64, high: u64, from: u32): u32 {
  if (from < WORD) {
    const rest = (low >> from) << from;
    if (rest != 0) return <u32>ctz(rest);
    return high != 0 ? WORD + <u32>ctz(high) : SET_SLOTS;
  }
  const rest = (high >> (from - WORD)) << (from - WORD);
  return rest != 0 ? WORD + <u32>ctz(rest) : SET_SLOTS;
}

// @ts-ignore: decorator
@inline
function ones(n: u32): u64 {
  return n >= WORD ? u64.MAX_VALUE : (<u64>1 << n) - 1;
}

/** The bits of [at, at + n) that fall into the word of 64 that begins at `word`. */
function wordMask(at: u32, n: u32, word: u32): u64 {
  const from = max(at, word);
  const to = min(at + n, word + WORD);
  return from < to ? ones(to - from) << (from - word) : 0;
}

/** All slots that there are are free; of the last set there may be a part. */
export function slotsPresent(pool: Swiotlb): void {
  for (let set: u32 = 0; set < pool.slots; set += SET_SLOTS) {
    const words = pool.free + (<usize>(set >> SET_SHIFT) << 4);
    const n = min(pool.slots - set, SET_SLOTS);
    store<u64>(words, wordMask(0, n, 0));
    store<u64>(words, wordMask(0, n, WORD), 8);
  }
}

/** Marks [slot, slot + n), all free and of one set, as one mapping. */
export function slotsTake(pool: Swiotlb, slot: u32, n: u32): void {
  const words = pool.free + (<usize>(slot >> SET_SHIFT) << 4);
  const at = slot & (SET_SLOTS - 1);
  assert(at + n <= SET_SLOTS);
  store<u64>(words, load<u64>(words) & ~wordMask(at, n, 0));
  store<u64>(words, load<u64>(words, 8) & ~wordMask(at, n, WORD), 8);
  slotsRenumber(pool, slot, n);
}

/** The n slots from `slot` on are a mapping of their own now. */
export function slotsRenumber(pool: Swiotlb, slot: u32, n: u32): void {
  const back = backOf(pool, slot);
  for (let i: u32 = 0; i < n; ++i) store<u8>(back + <usize>i, <u8>i);
}

/** The longest run of free slots in one set, over all of them and all pools of an allocator. */
export function longestRun(mem: Swiotlb): u32 {
  let longest: u32 = 0;
  for (let pool: Swiotlb | null = mem.pools; pool != null; pool = pool.next) {
    let run: u32 = 0;
    for (let slot: u32 = 0; slot < pool.slots; ++slot) {
      if ((slot & (SET_SLOTS - 1)) == 0) run = 0;
      run = isFree(pool, slot) ? run + 1 : 0;
      longest = max(longest, run);
    }
  }
  return longest;
}

/** Frees slots of one mapping. */
export function slotsRelease(pool: Swiotlb, slot: u32, n: u32): void {
  const words = pool.free + (<usize>(slot >> SET_SHIFT) << 4);
  const at = slot & (SET_SLOTS - 1);
  store<u64>(words, load<u64>(words) | wordMask(at, n, 0));
  store<u64>(words, load<u64>(words, 8) | wordMask(at, n, WORD), 8);
  memory.fill(backOf(pool, slot), BACK_FREE, n);
}

/**
 * Walks the pools of an allocator: bitmaps, distances and mappings agree, mappings stay in their set, the counters add up.
 * @returns 0, or 1 + the slot that is wrong
 */
export function slotsCheck(mem: Swiotlb): u32 {
  let used: u32 = 0;
  let live: u32 = 0;
  let total: u32 = 0;
  let transient: u32 = 0;
  for (let pool: Swiotlb | null = mem.pools; pool != null; pool = pool.next) {
    const wrong = poolCheck(pool);
    if (wrong != 0) return wrong;
    if (pool.mem != mem || pool.start < mem.low || pool.end > mem.high) return 1;
    for (let area: u32 = 0; area < pool.areas; ++area) used += areaOf(pool, area).used;
    live += mappingsIn(pool);
    if (pool.transient == 0) total += pool.slots;
    else transient += pool.slots;
  }
  if (total != mem.total || transient != mem.transientSlots) return 1;
  return used == mem.used && live == mem.live && mem.highWater >= used ? 0 : 1;
}

function mappingsIn(pool: Swiotlb): u32 {
  let count: u32 = 0;
  for (let slot: u32 = 0; slot < pool.slots; ++slot) {
    if (load<u8>(backOf(pool, slot)) == 0) ++count;
  }
  return count;
}

function poolCheck(pool: Swiotlb): u32 {
  for (let area: u32 = 0; area < pool.areas; ++area) {
    const first = area * pool.areaSlots;
    let mine: u32 = 0;
    let slot = first;
    while (slot < first + pool.areaSlots) {
      const back = load<u8>(backOf(pool, slot));
      if ((back == BACK_FREE) != isFree(pool, slot)) return 1 + slot;
      if (back == BACK_FREE) {
        ++slot;
        continue;
      }
      const mapping = mappingOf(pool, slot);
      const n = mapping.slots;
      if (back != 0 || n == 0 || (slot & (SET_SLOTS - 1)) + n > SET_SLOTS) return 1 + slot;
      // Slots that only fill a page up are behind the last byte.
      if (mapping.offset >= SLOT_SIZE << 1 || (mapping.offset + mapping.length + SLOT_SIZE - 1) >> SLOT_SHIFT > n) return 1 + slot;
      if (mapping.length > mapping.limit) return 1 + slot;
      for (let i: u32 = 1; i < n; ++i) {
        if (load<u8>(backOf(pool, slot + i)) != <u8>i || isFree(pool, slot + i)) return 1 + slot + i;
      }
      mine += n;
      slot += n;
    }
    const record = areaOf(pool, area);
    if (mine != record.used || record.index >= pool.areaSlots) return 1 + first;
  }
  return 0;
}

function isFree(pool: Swiotlb, slot: u32): bool {
  const word = pool.free + (<usize>(slot >> 6) << 3);
  return ((load<u64>(word) >> <u64>(slot & 63)) & 1) != 0;
}
