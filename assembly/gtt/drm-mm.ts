// drm_mm: the range manager behind every GPU address space and the stolen memory (drivers/gpu/drm/drm_mm.c).
//
// It allocates ranges [start, start + size). Nodes form a ring by address through a head, which is both ends; a hole belongs to the
// node before it. There are two flavours, which place nodes differently:
//
//   2015    holes are on a stack. The newest that fits is taken (or the oldest, or the smallest), at its lowest address
//           or, with MM_TOP, at its highest
//   modern  the caller chooses: best (the smallest hole), low or high (by address), evict (the newest). MM_ONCE tests only the
//           first hole of the search
//
// Placements are the kernel's; the structures differ (holes.ts). Fit and clamp are in the kernel's order, since range limits, colour
// and alignment do not commute.
//
// Colours are cache levels. With the rule COLOR_I915 (machines without a shared last-level cache), nodes of
// different colours are kept a page apart, because the GPU prefetches across a page's end.

import { PAGE_SIZE } from '../ram/ram';
import { EBUSY, EINVAL, ENOMEM, ENOSPC, Made } from '../memory/errno';
import { blockFree } from '../memory/block';
import { Context, FAULT_GTT } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { addressOf, fieldOf } from '../memory/record';
import { slabAlloc, slabFree, slabAlloc, slabCacheAt } from '../memory/slab';
import { MM_MODERN, MM_SIZE, Mm, MmNode, NODE_ALLOCATED, holeStart } from './drm-mm-node';
import { Gtt, gttOf, gttState } from './state';
import { NO_SLOT, findNewest, findOldest, slotNode, stackRoom } from './hole-stack';
import { findByAddress, findBySize, holeFirst, holeMerge, holeSplit, nextByAddress, nextBySize } from './holes';
import { LEFT, OWN, RIGHT, TOP, top } from './tree';

/** Modes of the modern manager (enum drm_mm_insert_mode). */
export const MM_BEST: u32 = 0;
export const MM_LOW: u32 = 1;
export const MM_HIGH: u32 = 2;
export const MM_EVICT: u32 = 3;
export const MM_ONCE: u32 = 16;

/** Modes of the 2015 manager: DRM_MM_SEARCH_DEFAULT, _BEST, _BELOW, and DRM_MM_CREATE_TOP as a flag. */
export const MM_SEARCH_DEFAULT: u32 = 0;
export const MM_SEARCH_BEST: u32 = 1;
export const MM_SEARCH_BELOW: u32 = 2;
export const MM_TOP: u32 = 16;

/** Colour rules. */
export const COLOR_NONE: u32 = 0;
export const COLOR_I915: u32 = 1;

/** I915_COLOR_UNEVICTABLE: the colour of nodes without an object. */
export const COLOR_UNEVICTABLE: u32 = 0xffffffff;

/** Bytes between neighbours of different colours under COLOR_I915. */
const COLOR_GAP: u64 = PAGE_SIZE;
/** No place: no start of a node, which is below 2^53. */
const NOWHERE: u64 = 0xffffffffffffffff;
/** The last byte that a manager may have: the host's numbers are exact up to it. */
const LAST: u64 = 0x1fffffffffffff;

/**
 * Makes a manager of [start, start + size), bytes (drm_mm_init).
 * @returns its handle; -EINVAL for an empty range or an unknown flavour or rule, -ENOMEM
 */
export function mmCreate(ctx: Context, start: u64, size: u64, flavour: u32, colorRule: u32): Made<Mm> {
  if (size == 0 || start > LAST || size > LAST - start || flavour > MM_MODERN || colorRule > COLOR_I915) {
    return EINVAL;
  }
  assert(offsetof<MmNode>('addressLinks') == 0 && OWN == offsetof<MmNode>('holeSize') && TOP == offsetof<MmNode>('maxHole'));
  const state = gttState(ctx);
  if (state == null || shouldFail(ctx, FAULT_GTT)) return ENOMEM;
  const mm = recordMake<Mm>(ctx, offsetof<Gtt>('mmCache'), MM_SIZE);
  if (mm == null) return ENOMEM;
  const head = recordMake<MmNode>(ctx, offsetof<Gtt>('nodeCache'), offsetof<MmNode>());
  memory.fill(addressOf(mm), 0, MM_SIZE);
  if (head == null || !stackRoom(ctx, mm, 2)) {
    if (head != null) slabFree<MmNode>(state.nodeCache!, head);
    slabFree<Mm>(state.mmCache!, mm);
    return ENOMEM;
  }
  memory.fill(addressOf(head), 0, offsetof<MmNode>());
  mm.ctx = ctx;
  mm.flavour = flavour;
  mm.colorRule = colorRule;
  mm.start = start;
  mm.size = size;
  mm.head = head;
  head.mm = mm;
  head.start = mm.start + mm.size;
  head.color = flavour == MM_MODERN ? COLOR_UNEVICTABLE : 0;
  head.size = 0 - mm.size; // so that the first hole begins at mm.start, modulo 2^64
  head.next = head;
  head.previous = head;
  head.holeSize = mm.size;
  holeFirst(mm, head);
  mm.nextMm = state.mms;
  state.mms = mm;
  return <i32>addressOf(mm);
}

function recordMake<T>(ctx: Context, cacheField: usize, size: usize): T | null {
  const cache = slabCacheAt<T>(ctx, ctx.gtt + cacheField, size);
  return cache == null ? null : slabAlloc<T>(cache);
}

/** Frees a manager with its remaining nodes (drm_mm_takedown warns about these). Returns their number. */
export function mmDestroy(mm: Mm): u32 {
  const ctx = mm.ctx;
  const state = gttOf(ctx);
  let left: u32 = 0;
  let node = mm.head.next;
  while (node != mm.head) {
    const next = node.next;
    slabFree(state.nodeCache!, node);
    node = next;
    ++left;
  }
  slabFree(state.nodeCache!, mm.head);
  blockFree(ctx, mm.slots);
  let link = fieldOf(state, offsetof<Gtt>('mms'));
  while (load<u32>(link) != <u32>addressOf(mm)) link = <usize>load<u32>(link) + offsetof<Mm>('nextMm');
  store<u32>(link, <u32>addressOf(mm.nextMm));
  slabFree(state.mmCache!, mm);
  return left;
}

// ---- where a node of some size goes in a hole

// @ts-ignore: decorator
@inline
function misalignment(address: u64, alignment: u64): u64 {
  return (alignment & (alignment - 1)) == 0 ? address & (alignment - 1) : address % alignment;
}

/**
 * Bytes to stay away from the node before a hole, and from the one after it (i915_gtt_color_adjust of 4.2,
 * i915_ggtt_color_adjust of 6.12). The head has a colour of its own in 6.12, I915_COLOR_UNEVICTABLE: nodes keep away from
 * the end of the space, of which the GPU must not prefetch past, not from its beginning. In 2015 its colour is 0, and
 * counts at the beginning alone.
 */
// @ts-ignore: decorator
@inline
export function colorFront(mm: Mm, before: MmNode, color: u32): u64 {
  if (mm.colorRule == COLOR_NONE || before.color == color) return 0;
  return mm.flavour == MM_MODERN && (before.flags & NODE_ALLOCATED) == 0 ? 0 : COLOR_GAP;
}

// @ts-ignore: decorator
@inline
export function colorBack(mm: Mm, before: MmNode, color: u32): u64 {
  if (mm.colorRule == COLOR_NONE) return 0;
  const after = before.next;
  if (after.color == color) return 0;
  return mm.flavour == MM_MODERN || (after.flags & NODE_ALLOCATED) != 0 ? COLOR_GAP : 0;
}

/** Place within [start, end) as the modern manager finds it: from the top in mode high, else from the bottom. */
// @ts-ignore: decorator
@inline
export function place(start: u64, end: u64, size: u64, alignment: u64, high: bool): u64 {
  if (end <= start || end - start < size) return NOWHERE;
  let at = high ? end - size : start;
  if (alignment > 1) {
    const over = misalignment(at, alignment);
    if (over != 0) {
      at -= over;
      if (!high) at += alignment;
      if (at < start || at >= end || end - at < size) return NOWHERE;
    }
  }
  return at;
}

/** Makes a node in the hole after `before`. Returns 0 where it has no place. */
function fitModern(
  mm: Mm, before: MmNode, size: u64, alignment: u64, color: u32, lo: u64, hi: u64, high: bool,
): i32 {
  const start = holeStart(before);
  const at = place(
    max(start + colorFront(mm, before, color), lo),
    min(start + before.holeSize - colorBack(mm, before, color), hi),
    size, alignment, high,
  );
  return at == NOWHERE ? 0 : take(mm, before, at, size, color);
}

/** Whether [start, end) has room from its bottom up (check_free_hole). The bounds may have crossed. */
// @ts-ignore: decorator
@inline
export function freeHole(start: u64, end: u64, size: u64, alignment: u64): bool {
  if (end < start || end - start < size) return false;
  if (alignment > 1) {
    const over = misalignment(start, alignment);
    if (over != 0) start += alignment - over;
  }
  return end >= start + size;
}

function fit2015(mm: Mm, before: MmNode, size: u64, alignment: u64, color: u32, lo: u64, hi: u64, fromTop: bool): u64 {
  const raw = holeStart(before);
  // Here the range comes first and the colour's gap counts from where the range cuts.
  let start = max(raw, lo) + colorFront(mm, before, color);
  const end = min(raw + before.holeSize, hi) - colorBack(mm, before, color);
  if (!freeHole(start, end, size, alignment)) return NOWHERE;
  if (fromTop) start = end - size;
  if (alignment > 1) {
    const over = misalignment(start, alignment);
    if (over != 0) start += fromTop ? 0 - over : alignment - over;
  }
  return start;
}

// ---- inserting

/**
 * Finds a place for `size` bytes within [lo, hi) and takes it (drm_mm_insert_node_in_range).
 * @param alignment any number of bytes, 0 or 1 for none
 * @param mode MM_BEST... for the modern manager, MM_SEARCH_... for that of 2015
 * @returns the node's handle; -ENOSPC when no hole has room; -EINVAL for a mode of the other flavour, for lo > hi, and
 *   for size 0 in 2015; -EBUSY during an eviction scan; -ENOMEM. Nothing changes on failure.
 */
export function mmInsert(mm: Mm, size: u64, alignment: u64, color: u32, lo: u64, hi: u64, mode: u32): Made<MmNode> {
  if (lo > hi) return EINVAL;
  const rc = load<u64>(addressOf(mm), offsetof<Mm>('flavour')) == MM_MODERN
    ? insertModern(mm, size, alignment, color, lo, hi, mode)
    : insertOther(mm, size, alignment, color, lo, hi, mode);
  if (rc == ENOSPC) ++mm.refused;
  return rc;
}

// @ts-ignore: decorator
@inline
function insertModern(mm: Mm, size: u64, alignment: u64, color: u32, lo: u64, hi: u64, mode: u32): i32 {
  const once = (mode & MM_ONCE) != 0;
  mode &= ~MM_ONCE;
  if (mode > MM_EVICT) return EINVAL;
  // Size 0 is as one that is too large.
  if (size - 1 >= hi - lo) return ENOSPC;
  if (top(mm.addressRoot) < size) return ENOSPC;
  if (mode == MM_LOW) return insertByAddress(mm, size, alignment, color, lo, hi, once, false);
  if (mode == MM_HIGH) return insertByAddress(mm, size, alignment, color, lo, hi, once, true);
  return mode == MM_BEST
    ? insertBest(mm, size, alignment, color, lo, hi, once)
    : insertNewest(mm, size, alignment, color, lo, hi, once);
}

// Inlined for each direction: a search that fails costs little more than its mispredicted branches.
// @ts-ignore: decorator
@inline
function insertByAddress(
  mm: Mm, size: u64, alignment: u64, color: u32, lo: u64, hi: u64, once: bool, high: bool,
): i32 {
  let at: MmNode | null = findByAddress(mm, high ? hi : lo, size, high);
  do {
    const before = at;
    // A hole on the path may be too small itself: the search follows the largest hole of its subtree.
    if (before.holeSize >= size) {
      if (high ? holeStart(before) + before.holeSize <= lo : holeStart(before) >= hi) break;
      const rc = fitModern(mm, before, size, alignment, color, lo, hi, high);
      if (rc != 0) return rc;
    }
    if (once) break;
    at = nextByAddress(before, high ? LEFT : RIGHT, size);
  } while (at != null);
  return ENOSPC;
}

function insertBest(mm: Mm, size: u64, alignment: u64, color: u32, lo: u64, hi: u64, once: bool): i32 {
  for (let at = findBySize(mm, size); at != null; at = nextBySize(mm, at!)) {
    const before = at;
    const rc = fitModern(mm, before, size, alignment, color, lo, hi, false);
    if (rc != 0) return rc;
    if (once) break;
  }
  return ENOSPC;
}

function insertNewest(mm: Mm, size: u64, alignment: u64, color: u32, lo: u64, hi: u64, once: bool): i32 {
  // The stack's top as it is, whatever its size, is what a single look finds.
  for (let slot = findNewest(mm, mm.slotEnd, once ? 1 : size); slot != NO_SLOT; slot = findNewest(mm, slot, size)) {
    const before = slotNode(mm, slot);
    const rc = fitModern(mm, before, size, alignment, color, lo, hi, false);
    if (rc != 0) return rc;
    if (once) break;
  }
  return ENOSPC;
}

// The manager of 2015, or one that an eviction scan has taken nodes from.
function insertOther(mm: Mm, size: u64, alignment: u64, color: u32, lo: u64, hi: u64, mode: u32): i32 {
  return mm.scanActive != 0 ? EBUSY : insert2015(mm, size, alignment, color, lo, hi, mode);
}

// @ts-ignore: decorator
@inline
function insert2015(mm: Mm, size: u64, alignment: u64, color: u32, lo: u64, hi: u64, mode: u32): i32 {
  const fromTop = (mode & MM_TOP) != 0;
  mode &= ~MM_TOP;
  if (size == 0 || mode > MM_SEARCH_BELOW) return EINVAL;
  if (mode == MM_SEARCH_BEST) {
    for (let at = findBySize(mm, size); at != null; at = nextBySize(mm, at!)) {
      const before = at;
      const start = fit2015(mm, before, size, alignment, color, lo, hi, fromTop);
      if (start != NOWHERE) return take(mm, before, start, size, color);
    }
    return ENOSPC;
  }
  const below = mode == MM_SEARCH_BELOW;
  let slot = below ? findOldest(mm, 0, size) : findNewest(mm, mm.slotEnd, size);
  while (slot != NO_SLOT) {
    const before = slotNode(mm, slot);
    const start = fit2015(mm, before, size, alignment, color, lo, hi, fromTop);
    if (start != NOWHERE) return take(mm, before, start, size, color);
    slot = below ? findOldest(mm, slot + 1, size) : findNewest(mm, slot, size);
  }
  return ENOSPC;
}

/** Makes a node at a place within the hole after `before`. */
function take(mm: Mm, before: MmNode, start: u64, size: u64, color: u32): i32 {
  const ctx = mm.ctx;
  if (shouldFail(ctx, FAULT_GTT) || !stackRoom(ctx, mm, mm.nodes + 2)) return ENOMEM;
  const node = slabAlloc(gttOf(ctx).nodeCache!);
  if (node == null) return ENOMEM;
  node.start = start;
  node.size = size;
  node.color = color;
  node.flags = NODE_ALLOCATED;
  node.mm = mm;
  node.next = before.next;
  node.previous = before;
  before.next.previous = node;
  before.next = node;
  holeSplit(mm, before, node);
  ++mm.nodes;
  ++mm.inserted;
  return <i32>addressOf(node);
}

/**
 * Takes exactly [start, start + size) (drm_mm_reserve_node).
 * @returns the node's handle; -ENOSPC when part of it is not free or, in the modern manager, too near to another colour;
 *   -EINVAL for size 0 in 2015; -EBUSY during an eviction scan; -ENOMEM
 */
export function mmReserve(mm: Mm, start: u64, size: u64, color: u32): Made<MmNode> {
  const rc = reserve(mm, start, size, color);
  if (rc == ENOSPC) ++mm.refused;
  return rc;
}

function reserve(mm: Mm, start: u64, size: u64, color: u32): Made<MmNode> {
  if (mm.scanActive != 0) return EBUSY;
  const end = start + size;
  if (mm.flavour == MM_MODERN) {
    if (end <= start) return ENOSPC;
    if (mm.addressRoot == 0) return ENOSPC;
    const before = findByAddress(mm, start, 1, false);
    const first = holeStart(before);
    if (first + colorFront(mm, before, color) > start) return ENOSPC;
    if (first + before.holeSize - colorBack(mm, before, color) < end) return ENOSPC;
    return take(mm, before, start, size, color);
  }
  if (size == 0) return EINVAL;
  for (let slot = findNewest(mm, mm.slotEnd, size); slot != NO_SLOT; slot = findNewest(mm, slot, size)) {
    const before = slotNode(mm, slot);
    const first = holeStart(before);
    if (first <= start && first + before.holeSize >= end) return take(mm, before, start, size, color);
  }
  return ENOSPC;
}

/** Frees a node and its range (drm_mm_remove_node). Returns 0, or -EBUSY during an eviction scan. */
export function mmRemove(node: MmNode): i32 {
  const mm = node.mm;
  assert((node.flags & NODE_ALLOCATED) != 0);
  if (mm.scanActive != 0) return EBUSY;
  holeMerge(mm, node);
  node.previous.next = node.next;
  node.next.previous = node.previous;
  node.flags = 0;
  --mm.nodes;
  slabFree(gttOf(mm.ctx).nodeCache!, node);
  return 0;
}

// ---- what is there

/** Changes a node's colour in place, as i915 does when an object's cache level changes. */
export function mmNodeSetColor(node: MmNode, color: u32): void {
  node.color = color;
}

/** The node after another by address, or the first when `node` is null; null behind the last. */
export function mmNext(mm: Mm, node: MmNode | null): MmNode | null {
  const next = (node == null ? mm.head : node).next;
  return next == mm.head ? null : next;
}

export function mmNodes(mm: Mm): u32 {
  return mm.nodes;
}

/**
 * Whether a node's colour puts it too near to a neighbour (i915_gem_valid_gtt_space says no): they touch, and their
 * colours differ.
 */
export function mmBadNeighbours(node: MmNode, color: u32): bool {
  const mm = node.mm;
  if (mm.colorRule == COLOR_NONE) return false;
  const before = node.previous;
  const after = node.next;
  if ((before.flags & NODE_ALLOCATED) != 0 && before.color != color && before.holeSize == 0) return true;
  return (after.flags & NODE_ALLOCATED) != 0 && after.color != color && node.holeSize == 0;
}
