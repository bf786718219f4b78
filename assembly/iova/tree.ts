// The range index of a domain: a B+tree over disjoint ranges that knows what fits below each branch (node.ts has the
// nodes). Three questions, each one walk from the root:
//
//   locate   the first range that ends at or above a pfn
//   search   the highest place below a bound in which an aligned block fits
//   and then insert or remove at the place that the walk left on the path
//
// The path is the way from the root to an entry, kept in the domain: word pairs (node, index), the leaf at level 0.
// It holds until the next change. Changes go up the path only as far as they matter.

import { Context } from '../memory/context';
import { slabAlloc, slabFree } from '../memory/slab';
import { IovaDomain, PATH, stateOf } from './domain';
import {
  ANCHOR, CAP, CHILD, COUNT, HI, INNER_GAP, INNER_MAX, INNER_MERGED, INNER_MIN, KEY, LEAF_GAP, LEAF_MAX, LEAF_MERGED,
  LEAF_MIN, LO, LOW, NEXT, USED, childOf, codeOf, countOf, gapSet, gapStart, hiOf, innerClear, innerMask, innerMove,
  innerRank, innerTop, keyOf, leafClear, leafMask, leafMove, leafRank, leafShiftDown, leafShiftUp, leafTop, loOf, usedOf,
} from './node';

// ---- the path ----

// @ts-ignore: decorator
@inline
function slot(domain: IovaDomain, level: u32): usize {
  return changetype<usize>(domain) + PATH + (<usize>level << 3);
}

// @ts-ignore: decorator
@inline
function setPath(domain: IovaDomain, level: u32, node: usize, index: u32): void {
  const at = slot(domain, level);
  store<u32>(at, <u32>node);
  store<u32>(at, index, 4);
}

// @ts-ignore: decorator
@inline
export function pathNode(domain: IovaDomain, level: u32): usize {
  return load<u32>(slot(domain, level));
}

// @ts-ignore: decorator
@inline
export function pathIndex(domain: IovaDomain, level: u32): u32 {
  return load<u32>(slot(domain, level), 4);
}

// ---- looking ----

/** Walks to the first range whose end is at or above the pfn; the anchor if no other is. Returns its leaf. */
export function locate(domain: IovaDomain, pfn: u64): usize {
  pfn = min<u64>(pfn, ANCHOR);
  let node = domain.root;
  let level = domain.height;
  while (level != 0) {
    const i = innerRank(node, pfn);
    setPath(domain, level, node, i);
    node = childOf(node, i);
    --level;
  }
  setPath(domain, 0, node, leafRank(node, pfn));
  return node;
}

/**
 * Finds the highest place for `size` pages below `bound`: the block [pfn, pfn + size) lies in one gap, its start is a
 * multiple of ~mask + 1, and pfn + size <= bound. The path leads to the range above the gap.
 * @param codes CAP for requests aligned to their power of two, LEAF_GAP for unaligned ones
 * @returns the pfn, or 0 if nothing fits
 */
export function search(domain: IovaDomain, bound: u64, size: u64, mask: u64, codes: usize): u64 {
  if (bound < size) return 0;
  // The gap that the bound cuts is tested apart: its codes speak of the whole gap.
  const leaf = locate(domain, bound - 1);
  const i = pathIndex(domain, 0);
  const top = min<u64>(loOf(leaf, i), bound);
  if (top >= size) {
    const pfn = (top - size) & mask;
    if (pfn >= gapStart(leaf, i)) return pfn;
  }
  return searchLeaf(domain, leaf, i, size, mask, codes, i16x8.splat(<i16>codeOf(size)));
}

// Entries of a leaf below index `end`, then everything to the left of it.
function searchLeaf(domain: IovaDomain, leaf: usize, end: u32, size: u64, mask: u64, codes: usize, need: v128): u64 {
  let level: u32 = 0;
  let node = leaf;
  do {
    if (level == 0) {
      let fits = leafMask(node + codes, need) & ((1 << end) - 1);
      while (fits != 0) {
        const i = 31 - <u32>clz<u32>(fits);
        const top = loOf(node, i);
        const pfn = (top - size) & mask;
        // Codes are floored: only here is it certain.
        if (top >= size && pfn >= gapStart(node, i)) {
          setPath(domain, 0, node, i);
          return pfn;
        }
        fits ^= 1 << i;
      }
    } else {
      const inner = node + (codes == CAP ? CAP : INNER_GAP);
      const fits = innerMask(inner, need) & <u32>((<u64>1 << end) - 1);
      if (fits != 0) {
        const i = 31 - <u32>clz<u32>(fits);
        setPath(domain, level, node, i);
        node = childOf(node, i);
        --level;
        end = level == 0 ? LEAF_MAX : INNER_MAX;
        continue;
      }
    }
    if (++level > domain.height) return 0;
    node = pathNode(domain, level);
    end = pathIndex(domain, level);
  } while (true);
}

// ---- changing ----

/** Tells the levels above that the leaf's codes changed, and that `pages` more (or fewer) are in use below. */
function raise(domain: IovaDomain, pages: u64, forced: bool): void {
  const height = domain.height;
  domain.used += pages;
  if (height == 0) return;
  let top = leafTop(pathNode(domain, 0));
  let changed = true;
  for (let level: u32 = 1; level <= height; ++level) {
    const node = pathNode(domain, level);
    const i = <usize>pathIndex(domain, level);
    const used = node + (i << 3);
    store<u64>(used, load<u64>(used, USED) + pages, USED);
    if (!changed) continue;
    const code = node + (i << 1);
    changed = forced || load<u16>(code, CAP) != <u16>top || load<u16>(code, INNER_GAP) != <u16>(top >> 16);
    if (changed) {
      store<u16>(code, <u16>top, CAP);
      store<u16>(code, <u16>(top >> 16), INNER_GAP);
      if (level != height) top = innerTop(node);
    }
  }
}

/** Makes sure that one range can be put in where the path leads. Returns false without memory for a node. */
// @ts-ignore: decorator
@inline
export function roomAt(domain: IovaDomain): bool {
  return countOf(pathNode(domain, 0)) != LEAF_MAX || makeRoom(domain);
}

/**
 * Puts the range [lo, hi] into the gap that the path leads to.
 * @returns false without memory for a node; nothing has changed then
 */
export function insertAt(domain: IovaDomain, lo: u64, hi: u64): bool {
  if (!roomAt(domain)) return false;
  const leaf = pathNode(domain, 0);
  const i = pathIndex(domain, 0);
  const count = countOf(leaf);
  const start = gapStart(leaf, i);
  leafShiftUp(leaf, i, count);
  const at = leaf + (<usize>i << 3);
  store<u64>(at, lo, LO);
  store<u64>(at, hi, HI);
  gapSet(leaf, i, start, lo);
  gapSet(leaf, i + 1, hi + 1, loOf(leaf, i + 1));
  store<u32>(leaf, count + 1, COUNT);
  ++domain.ranges;
  raise(domain, hi - lo + 1, false);
  return true;
}

/** Takes out the range that the path leads to; it must not be the anchor. The path is void afterwards. */
export function removeAt(domain: IovaDomain): void {
  const leaf = pathNode(domain, 0);
  const i = pathIndex(domain, 0);
  const count = countOf(leaf) - 1;
  const start = gapStart(leaf, i);
  const pages = hiOf(leaf, i) - loOf(leaf, i) + 1;
  leafShiftDown(leaf, i, count + 1);
  store<u32>(leaf, count, COUNT);
  --domain.ranges;
  if (i != count) {
    gapSet(leaf, i, start, loOf(leaf, i));
    raise(domain, 0 - pages, false);
  } else {
    // The gap joins the one that the next leaf begins with.
    giveToNext(domain, load<u32>(leaf, NEXT), start);
    raise(domain, 0 - pages, true);
  }
  if (count < LEAF_MIN && domain.height != 0) mergeLeaf(domain);
}

// The space of the path's leaf ends at `start` from now on, and that of the next leaf begins there.
function giveToNext(domain: IovaDomain, next: usize, start: u64): void {
  store<u64>(next, start, LOW);
  gapSet(next, 0, start, loOf(next, 0));
  let level: u32 = 1;
  while (pathIndex(domain, level) + 1 == countOf(pathNode(domain, level))) ++level;
  const node = pathNode(domain, level);
  const i = pathIndex(domain, level) + 1;
  store<u64>(node + (<usize>i << 3), start, KEY);
  refresh(node, i, level);
}

// Sets the codes of a child from what is below its first entries: the way to the first leaf of that child.
function refresh(node: usize, i: u32, level: u32): void {
  const child = childOf(node, i);
  if (level > 1) refresh(child, 0, level - 1);
  const top = level > 1 ? innerTop(child) : leafTop(child);
  const code = node + (<usize>i << 1);
  store<u16>(code, <u16>top, CAP);
  store<u16>(code, <u16>(top >> 16), INNER_GAP);
}

/** Moves the start of the range that the path leads to down to `lo`, which lies in the gap below it. */
export function extendAt(domain: IovaDomain, lo: u64): void {
  const leaf = pathNode(domain, 0);
  const i = pathIndex(domain, 0);
  const pages = loOf(leaf, i) - lo;
  store<u64>(leaf + (<usize>i << 3), lo, LO);
  gapSet(leaf, i, gapStart(leaf, i), lo);
  raise(domain, pages, false);
}

// ---- splitting ----

// Splits the path's full leaf, and as many full nodes above it as need be. All memory is taken before any change.
function makeRoom(domain: IovaDomain): bool {
  const state = stateOf(domain);
  const height = domain.height;
  let level: u32 = 1;
  while (level <= height && countOf(pathNode(domain, level)) == INNER_MAX) ++level;
  const inners = level > height ? level : level - 1; // a new root as well
  const leaf = slabAlloc(state.leafCache);
  if (leaf == 0) return false;
  for (let i: u32 = 0; i < inners; ++i) {
    const inner = slabAlloc(state.innerCache);
    if (inner == 0) {
      slabFree(state.leafCache, leaf);
      while (domain.spareInner != 0) slabFree(state.innerCache, takeSpare(domain));
      return false;
    }
    store<u32>(inner, <u32>domain.spareInner);
    domain.spareInner = inner;
  }
  if (level > height) growRoot(domain);
  while (--level != 0) splitInner(domain, level);
  splitLeaf(domain, leaf);
  return true;
}

function takeSpare(domain: IovaDomain): usize {
  const inner = domain.spareInner;
  domain.spareInner = load<u32>(inner);
  return inner;
}

function growRoot(domain: IovaDomain): void {
  const root = takeSpare(domain);
  const old = domain.root;
  const top = domain.height == 0 ? leafTop(old) : innerTop(old);
  innerClear(root, 0);
  store<u32>(root, 1, COUNT);
  store<u64>(root, 0, KEY);
  store<u32>(root, <u32>old, CHILD);
  store<u16>(root, <u16>top, CAP);
  store<u16>(root, <u16>(top >> 16), INNER_GAP);
  store<u64>(root, domain.used, USED);
  domain.root = root;
  ++domain.height;
  setPath(domain, domain.height, root, 0);
}

// A run of insertions at one end leaves full nodes behind it instead of half full ones: cut next to the place.
// @ts-ignore: decorator
@inline
function cut(i: u32, count: u32, least: u32): u32 {
  return i == 0 ? least : i + 1 == count ? count - least : count >> 1;
}

function splitLeaf(domain: IovaDomain, right: usize): void {
  const left = pathNode(domain, 0);
  const i = pathIndex(domain, 0);
  const k = cut(i, LEAF_MAX, 1);
  leafClear(right, 0);
  leafMove(left, k, right, 0, LEAF_MAX - k);
  store<u32>(right, LEAF_MAX - k, COUNT);
  store<u32>(left, k, COUNT);
  leafClear(left, k);
  const key = hiOf(left, k - 1) + 1;
  store<u64>(right, key, LOW);
  store<u32>(right, load<u32>(left, NEXT), NEXT);
  store<u32>(left, <u32>right, NEXT);
  link(domain, 1, left, right, key, leafUsed(right), leafTop(left), leafTop(right));
  if (i >= k) {
    setPath(domain, 0, right, i - k);
    setPath(domain, 1, pathNode(domain, 1), pathIndex(domain, 1) + 1);
  }
}

function splitInner(domain: IovaDomain, level: u32): void {
  const left = pathNode(domain, level);
  const right = takeSpare(domain);
  const i = pathIndex(domain, level);
  const k = cut(i, INNER_MAX, 2);
  innerClear(right, 0);
  innerMove(left, k, right, 0, INNER_MAX - k);
  store<u32>(right, INNER_MAX - k, COUNT);
  store<u32>(left, k, COUNT);
  innerClear(left, k);
  const key = keyOf(right, 0);
  store<u64>(right, 0, KEY);
  link(domain, level + 1, left, right, key, innerUsed(right), innerTop(left), innerTop(right));
  if (i >= k) {
    setPath(domain, level, right, i - k);
    setPath(domain, level + 1, pathNode(domain, level + 1), pathIndex(domain, level + 1) + 1);
  }
}

// Enters `right`, split off from the path's child at that level, into the parent.
function link(
  domain: IovaDomain, level: u32, left: usize, right: usize, key: u64, used: u64, leftTop: u32, rightTop: u32,
): void {
  const node = pathNode(domain, level);
  const i = pathIndex(domain, level);
  const count = countOf(node);
  innerMove(node, i + 1, node, i + 2, count - i - 1);
  store<u32>(node, count + 1, COUNT);
  setChild(node, i, left, usedOf(node, i) - used, leftTop);
  setChild(node, i + 1, right, used, rightTop);
  store<u64>(node + (<usize>(i + 1) << 3), key, KEY);
}

function setChild(node: usize, i: u32, child: usize, used: u64, top: u32): void {
  store<u32>(node + (<usize>i << 2), <u32>child, CHILD);
  store<u64>(node + (<usize>i << 3), used, USED);
  store<u16>(node + (<usize>i << 1), <u16>top, CAP);
  store<u16>(node + (<usize>i << 1), <u16>(top >> 16), INNER_GAP);
}

/** Pages in the ranges of a leaf. */
export function leafUsed(leaf: usize): u64 {
  let pages: u64 = 0;
  const count = countOf(leaf);
  for (let i: u32 = 0; i < count; ++i) {
    const lo = loOf(leaf, i);
    if (lo != ANCHOR) pages += hiOf(leaf, i) - lo + 1;
  }
  return pages;
}

/** Pages in the ranges below an inner node. */
export function innerUsed(inner: usize): u64 {
  let pages: u64 = 0;
  const count = countOf(inner);
  for (let i: u32 = 0; i < count; ++i) pages += usedOf(inner, i);
  return pages;
}

// ---- merging ----

// The path's leaf has too few ranges: joins it with a neighbour of the same parent, or takes some from there.
function mergeLeaf(domain: IovaDomain): void {
  const parent = pathNode(domain, 1);
  let i = pathIndex(domain, 1);
  if (i + 1 == countOf(parent)) --i;
  const left = childOf(parent, i);
  const right = childOf(parent, i + 1);
  const a = countOf(left);
  const b = countOf(right);
  if (a + b <= LEAF_MERGED) {
    leafMove(right, 0, left, a, b);
    store<u32>(left, a + b, COUNT);
    store<u32>(left, load<u32>(right, NEXT), NEXT);
    slabFree(stateOf(domain).leafCache, right);
    unlink(domain, 1, i, leafTop(left));
    return;
  }
  const half = (a + b) >> 1;
  if (a < half) {
    leafMove(right, 0, left, a, half - a);
    leafMove(right, half - a, right, 0, b - (half - a));
    leafClear(right, a + b - half);
  } else {
    leafMove(right, 0, right, a - half, b);
    leafMove(left, half, right, 0, a - half);
    leafClear(left, half);
  }
  store<u32>(left, half, COUNT);
  store<u32>(right, a + b - half, COUNT);
  const key = hiOf(left, half - 1) + 1;
  store<u64>(right, key, LOW);
  share(parent, i, key, leafUsed(right), leafTop(left), leafTop(right));
}

function mergeInner(domain: IovaDomain, level: u32): void {
  const parent = pathNode(domain, level + 1);
  let i = pathIndex(domain, level + 1);
  if (i + 1 == countOf(parent)) --i;
  const left = childOf(parent, i);
  const right = childOf(parent, i + 1);
  const a = countOf(left);
  const b = countOf(right);
  // In the middle of a node its first key is needed.
  store<u64>(right, keyOf(parent, i + 1), KEY);
  if (a + b <= INNER_MERGED) {
    innerMove(right, 0, left, a, b);
    store<u32>(left, a + b, COUNT);
    slabFree(stateOf(domain).innerCache, right);
    unlink(domain, level + 1, i, innerTop(left));
    return;
  }
  const half = (a + b) >> 1;
  if (a < half) {
    innerMove(right, 0, left, a, half - a);
    innerMove(right, half - a, right, 0, b - (half - a));
    innerClear(right, a + b - half);
  } else {
    innerMove(right, 0, right, a - half, b);
    innerMove(left, half, right, 0, a - half);
    innerClear(left, half);
  }
  store<u32>(left, half, COUNT);
  store<u32>(right, a + b - half, COUNT);
  const key = keyOf(right, 0);
  store<u64>(right, 0, KEY);
  share(parent, i, key, innerUsed(right), innerTop(left), innerTop(right));
}

// Child i + 1 of a node has been joined into child i.
function unlink(domain: IovaDomain, level: u32, i: u32, top: u32): void {
  const node = pathNode(domain, level);
  const count = countOf(node) - 1;
  setChild(node, i, childOf(node, i), usedOf(node, i) + usedOf(node, i + 1), top);
  innerMove(node, i + 2, node, i + 1, count - i - 1);
  innerClear(node, count);
  store<u32>(node, count, COUNT);
  if (level == domain.height) {
    if (count != 1) return;
    domain.root = childOf(node, 0);
    --domain.height;
    slabFree(stateOf(domain).innerCache, node);
  } else if (count < INNER_MIN) mergeInner(domain, level);
}

// Children i and i + 1 of a node have exchanged entries.
function share(node: usize, i: u32, key: u64, rightUsed: u64, leftTop: u32, rightTop: u32): void {
  const used = usedOf(node, i) + usedOf(node, i + 1);
  setChild(node, i, childOf(node, i), used - rightUsed, leftTop);
  setChild(node, i + 1, childOf(node, i + 1), rightUsed, rightTop);
  store<u64>(node + (<usize>(i + 1) << 3), key, KEY);
}

// ---- making ----

/** Makes an index that holds the anchor and nothing else. Returns false without memory. */
export function treeCreate(domain: IovaDomain, low: u64): bool {
  const leaf = slabAlloc(stateOf(domain).leafCache);
  if (leaf == 0) return false;
  leafClear(leaf, 0);
  store<u32>(leaf, 1, COUNT);
  store<u32>(leaf, 0, NEXT);
  store<u64>(leaf, low, LOW);
  store<u64>(leaf, ANCHOR, LO);
  store<u64>(leaf, ANCHOR, HI);
  gapSet(leaf, 0, low, ANCHOR);
  domain.root = leaf;
  domain.height = 0;
  return true;
}

export function treeDestroy(domain: IovaDomain): void {
  freeNode(domain, domain.root, domain.height);
  domain.root = 0;
}

function freeNode(domain: IovaDomain, node: usize, level: u32): void {
  const state = stateOf(domain);
  if (level == 0) {
    slabFree(state.leafCache, node);
    return;
  }
  const count = countOf(node);
  for (let i: u32 = 0; i < count; ++i) freeNode(domain, childOf(node, i), level - 1);
  slabFree(state.innerCache, node);
}
