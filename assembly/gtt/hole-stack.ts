// The stack of holes: every hole in the order in which it came to be, so that both "the newest that fits" (the 2015
// manager's default, DRM_MM_INSERT_EVICT) and "the oldest that fits" (DRM_MM_SEARCH_BELOW) can be asked.
//
// Linux keeps a linked list and walks it. Here a hole has a slot, newer holes have higher ones, and a tree of maxima over
// 16 slots at a time says where a hole of some size can be: the search costs a few SIMD compares a level, however many
// holes there are.
//
//   nodes    u32 a slot: the node before the hole, 0 for an empty slot
//   levels, from the first search on:
//   level 0  f32 a slot: the hole's size, 0 for an empty slot
//   level 1  f32 for each 16 slots: the largest of them
//   level 2  f32 for each 256 slots ... until at most 16 numbers are left
//
// Rounding a size to f32 keeps order, so a hole that is large enough is never missed; a search tests the exact
// size in any case. Slots of holes that went stay empty until the end of the stack is reached: then the rest moves
// down (compact), or into twice the room when more than half of the slots may be needed.

import { blockAlloc, blockFree, blockOrder } from '../memory/block';
import { Context } from '../memory/context';
import { addressOf } from '../memory/record';
import { Mm, MmNode } from './drm-mm-node';

const FAN_SHIFT: u32 = 4;
const FAN: u32 = 1 << FAN_SHIFT;
/** Fewest slots: with the levels above them they fill half of a 4 KiB block. */
const MIN_SLOTS: u32 = 256;

/** The result of findNewest if no hole is large enough. */
export const NO_SLOT: u32 = 0xffffffff;

// Levels lie one behind the other, each padded to a full group of 16.
// @ts-ignore: decorator
@inline
function levelSlots(slots: u32, level: u32): u32 {
  return max(slots >> (level << 2), FAN);
}

// @ts-ignore: decorator
@inline
function levelAt(mm: Mm, level: u32): usize {
  let at = mm.slots + (<usize>mm.slotCount << 2);
  for (let i: u32 = 0; i < level; ++i) at += <usize>levelSlots(mm.slotCount, i) << 2;
  return at;
}

function stackBytes(slots: u32): usize {
  let bytes = <usize>slots << 2;
  for (let level: u32 = 0; ; ++level) {
    bytes += <usize>levelSlots(slots, level) << 2;
    if (slots >> (level << 2) <= FAN) break;
  }
  return bytes;
}

function topLevel(slots: u32): u32 {
  let level: u32 = 0;
  while (slots >> (level << 2) > FAN) ++level;
  return level;
}

/**
 * Makes sure that `holes` holes can be on the stack at once with half of the slots to spare, which keeps compacting
 * cheap. Nothing changes without memory.
 */
// @ts-ignore: decorator
@inline
export function stackRoom(ctx: Context, mm: Mm, holes: u32): bool {
  return holes << 1 <= mm.slotCount || stackGrow(ctx, mm, holes);
}

function stackGrow(ctx: Context, mm: Mm, holes: u32): bool {
  let slots = max(mm.slotCount, MIN_SLOTS);
  while (slots < holes << 1) slots <<= 1;
  const bytes = stackBytes(slots);
  const block = blockAlloc(ctx, blockOrder(bytes));
  if (block == 0) return false;
  const old = mm.slots;
  const used = mm.slotEnd;
  memory.fill(block, 0, bytes);
  mm.slots = block;
  mm.slotCount = slots;
  mm.topLevel = topLevel(slots);
  if (old != 0) {
    memory.copy(block, old, <usize>used << 2);
    blockFree(ctx, old);
  }
  compact(mm);
  return true;
}

/** Moves every hole down over the empty slots, and writes the levels anew. */
function compact(mm: Mm): void {
  const used = mm.slotEnd;
  let to: u32 = 0;
  for (let from: u32 = 0; from < used; ++from) {
    const node = slotEntry(mm, from);
    if (node == null) continue;
    node.slot = to;
    store<u32>(mm.slots + (<usize>to << 2), <u32>addressOf(node));
    ++to;
  }
  if (used > to) memory.fill(mm.slots + (<usize>to << 2), 0, <usize>(used - to) << 2);
  mm.slotEnd = to;
  if (mm.leveled != 0) levelsWrite(mm);
}

function levelsWrite(mm: Mm): void {
  const leaf = levelAt(mm, 0);
  for (let slot: u32 = 0; slot < mm.slotEnd; ++slot) {
    const node = slotEntry(mm, slot);
    store<f32>(leaf + (<usize>slot << 2), node == null ? 0 : <f32>(<i64>node.holeSize));
  }
  memory.fill(leaf + (<usize>mm.slotEnd << 2), 0, <usize>(mm.slotCount - mm.slotEnd) << 2);
  let below = leaf;
  for (let level: u32 = 1; level <= mm.topLevel; ++level) {
    const at = levelAt(mm, level);
    const groups = mm.slotCount >> (level << 2);
    for (let i: u32 = 0; i < groups; ++i) store<f32>(at + (<usize>i << 2), groupMax(below + (<usize>i << 6)));
    below = at;
  }
}

/** Makes the tree of maxima, at the first search. */
function levelsMake(mm: Mm): void {
  mm.leveled = 1;
  levelsWrite(mm);
}

// @ts-ignore: decorator
@inline
function groupMax(at: usize): f32 {
  const half = f32x4.pmax(
    f32x4.pmax(v128.load(at), v128.load(at, 16)),
    f32x4.pmax(v128.load(at, 32), v128.load(at, 48)),
  );
  const quarter = f32x4.pmax(half, i8x16.shuffle(half, half, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  return max(f32x4.extract_lane(quarter, 0), f32x4.extract_lane(quarter, 1));
}

/** Bit i set: number i of a group of 16 is at least `want`. */
// @ts-ignore: decorator
@inline
function groupMask(at: usize, want: v128): u32 {
  const low = i16x8.narrow_i32x4_s(f32x4.ge(v128.load(at), want), f32x4.ge(v128.load(at, 16), want));
  const high = i16x8.narrow_i32x4_s(f32x4.ge(v128.load(at, 32), want), f32x4.ge(v128.load(at, 48), want));
  return <u32>i8x16.bitmask(i8x16.narrow_i16x8_s(low, high));
}

/** Writes a slot's size and what follows from it above. */
function setSize(mm: Mm, slot: u32, size: f32): void {
  let at = mm.slots + (<usize>mm.slotCount << 2);
  let old = load<f32>(at + (<usize>slot << 2));
  let value = size;
  for (let level: u32 = 0; ; ) {
    store<f32>(at + (<usize>slot << 2), value);
    if (level == mm.topLevel) return;
    const group = at + (<usize>(slot & ~(FAN - 1)) << 2);
    at += <usize>levelSlots(mm.slotCount, level) << 2;
    slot >>= FAN_SHIFT;
    const above = load<f32>(at + (<usize>slot << 2));
    if (value <= above) {
      if (old < above) return;
      value = groupMax(group);
      if (value == above) return;
    }
    old = above;
    ++level;
  }
}

/** Puts the hole after a node on top of the stack. stackRoom has made room for it. */
// @ts-ignore: decorator
@inline
export function stackPush(mm: Mm, node: MmNode): void {
  if (mm.slotEnd == mm.slotCount) compact(mm);
  const slot = mm.slotEnd++;
  node.slot = slot;
  store<u32>(mm.slots + (<usize>slot << 2), <u32>addressOf(node));
  if (mm.leveled != 0) setSize(mm, slot, <f32>(<i64>node.holeSize));
}

/** Takes the hole after a node off the stack, wherever it is. */
// @ts-ignore: decorator
@inline
export function stackDrop(mm: Mm, node: MmNode): void {
  const slot = node.slot;
  store<u32>(mm.slots + (<usize>slot << 2), 0);
  if (mm.leveled != 0) setSize(mm, slot, 0);
  if (slot == mm.slotEnd - 1) mm.slotEnd = slot;
}

/** The hole after a node has another size now, and keeps its place. */
export function stackResize(mm: Mm, node: MmNode): void {
  if (mm.leveled != 0) setSize(mm, node.slot, <f32>(<i64>node.holeSize));
}

/** The node whose hole is in a slot, null for an empty one. */
// @ts-ignore: decorator
@inline
export function slotEntry(mm: Mm, slot: u32): MmNode | null {
  return changetype<MmNode | null>(<usize>load<u32>(mm.slots + (<usize>slot << 2)));
}

/** The same of a slot that is not empty. */
// @ts-ignore: decorator
@inline
export function slotNode(mm: Mm, slot: u32): MmNode {
  return slotEntry(mm, slot)!;
}

/** The newest hole below a slot (slotEnd: of all) that can have `size` bytes, or NO_SLOT. */
export function findNewest(mm: Mm, below: u32, size: u64): u32 {
  if (mm.leveled == 0) levelsMake(mm);
  const want = f32x4.splat(<f32>(<i64>size));
  let level: u32 = 0;
  let at = levelAt(mm, 0);
  let index = below;
  do {
    // Only what lies below `index` within its group; a whole group when index is the first of the next.
    const last = index - 1;
    if (index != 0) {
      const group = last & ~(FAN - 1);
      const mask = groupMask(at + (<usize>group << 2), want) & ((2 << (last & (FAN - 1))) - 1);
      if (mask != 0) {
        index = group + 31 - <u32>clz(mask);
        if (level == 0) return index;
        --level;
        at = levelAt(mm, level);
        index = (index + 1) << FAN_SHIFT;
        continue;
      }
      index = last >> FAN_SHIFT;
    }
    if (level == mm.topLevel || index == 0) return NO_SLOT;
    at += <usize>levelSlots(mm.slotCount, level) << 2;
    ++level;
  } while (true);
  return NO_SLOT;
}

/** The oldest hole at or above a slot (0: of all) that can have `size` bytes, or NO_SLOT. */
export function findOldest(mm: Mm, from: u32, size: u64): u32 {
  if (mm.leveled == 0) levelsMake(mm);
  const want = f32x4.splat(<f32>(<i64>size));
  let level: u32 = 0;
  let at = levelAt(mm, 0);
  let index = from;
  do {
    if (index >= levelSlots(mm.slotCount, level)) return NO_SLOT;
    const group = index & ~(FAN - 1);
    const mask = groupMask(at + (<usize>group << 2), want) & (-1 << (index & (FAN - 1)));
    if (mask != 0) {
      index = group + <u32>ctz(mask);
      if (level == 0) return index;
      --level;
      at = levelAt(mm, level);
      index <<= FAN_SHIFT;
      continue;
    }
    if (level == mm.topLevel) return NO_SLOT;
    index = (group >> FAN_SHIFT) + 1;
    at += <usize>levelSlots(mm.slotCount, level) << 2;
    ++level;
  } while (true);
  return NO_SLOT;
}

/** Walks slots and levels. Returns holes on the stack, or -1 where something is wrong. */
export function stackCheck(mm: Mm): i32 {
  let count = 0;
  const leaf = levelAt(mm, 0);
  for (let slot: u32 = 0; slot < mm.slotCount; ++slot) {
    const node = slotEntry(mm, slot);
    const size = load<f32>(leaf + (<usize>slot << 2));
    if (node == null) {
      if (mm.leveled != 0 && size != 0) return -1;
      continue;
    }
    if (slot >= mm.slotEnd || node.slot != slot || node.holeSize == 0) return -1;
    if (mm.leveled != 0 && size != <f32>(<i64>node.holeSize)) return -1;
    ++count;
  }
  if (mm.leveled == 0) return count;
  for (let level: u32 = 1; level <= mm.topLevel; ++level) {
    const below = levelAt(mm, level - 1);
    const at = levelAt(mm, level);
    for (let i: u32 = 0; i < mm.slotCount >> (level << 2); ++i) {
      if (load<f32>(at + (<usize>i << 2)) != groupMax(below + (<usize>i << 6))) return -1;
    }
  }
  return count;
}
