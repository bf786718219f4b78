// The range index of a domain: a B+tree of disjoint ranges, with the largest gaps of each branch (node.ts). Its operations, each one
// walk from the root:
//
//   locate   the first range that ends at or above a pfn
//   search   the highest place below a bound in which an aligned block fits
//   and then insert or remove at the place that the walk left on the path
//
// A path leads from the root to an entry: word pairs (node, index), the leaf at level 0. locate and search have one
// each in the domain. That of search, the finger, stays valid until a split or merge elsewhere, since successive
// allocations are mostly in one leaf. That of locate stays valid, too, and the next search tries it first: a driver that frees and
// allocates by turns gets the place that was freed. Changes are propagated up a path only as far as summaries change.

import { makeRoom, mergeLeaf, setChild } from './balance';
import { fingerOf, IovaDomain, pathOf, WAY_FOUND, WAY_LOCATED } from './iova-domain';
import {
  ANCHOR, CAP, COUNT, HI, INNER_GAP, INNER_MAX, KEY, LEAF_GAP, LEAF_MAX, LEAF_MIN, LO, LOW, NEXT, USED, childOf, codeOf,
  countOf, codesInsert, codesSet, firstOf, gapCodes, gapStart, hiOf, innerMask, innerRank, innerTop, leafMask, leafRank, leafClose, leafOpen, leafTop,
  loOf, usedOf,
} from './node';
import { pathIndex, pathNode, setPath } from './path';

// ---- looking ----

/** Walks to the first range whose end is at or above the pfn; the anchor if no other is. Returns its leaf. */
// @ts-ignore: decorator
@inline
export function locate(domain: IovaDomain, pfn: u64): usize {
  domain.ways |= WAY_LOCATED;
  return walk(domain, pathOf(domain), pfn);
}

function walk(domain: IovaDomain, path: usize, pfn: u64): usize {
  pfn = min<u64>(pfn, ANCHOR);
  let node = domain.root;
  let level = domain.height;
  while (level != 0) {
    const i = innerRank(node, pfn);
    setPath(path, level, node, i);
    node = childOf(node, i);
    --level;
  }
  setPath(path, 0, node, leafRank(node, pfn));
  return node;
}

// Brings the finger to where walk would.
// @ts-ignore: decorator
@inline
function approach(domain: IovaDomain, finger: usize, pfn: u64): usize {
  const ways = domain.ways;
  if ((ways & WAY_LOCATED) != 0) {
    const path = pathOf(domain);
    const leaf = pathNode(path, 0);
    if (covers(leaf, pfn)) {
      domain.ways = WAY_FOUND;
      for (let level = domain.height; level != 0; --level) setPath(finger, level, pathNode(path, level), pathIndex(path, level));
      setPath(finger, 0, leaf, rankNear(leaf, pfn, pathIndex(path, 0)));
      return leaf;
    }
  }
  domain.ways = WAY_FOUND;
  if ((ways & WAY_FOUND) != 0) {
    const leaf = pathNode(finger, 0);
    if (covers(leaf, pfn)) {
      setPath(finger, 0, leaf, rankNear(leaf, pfn, pathIndex(finger, 0)));
      return leaf;
    }
  }
  return walk(domain, finger, pfn);
}

// As leafRank, which need not be asked if it is the slot that one expects.
// @ts-ignore: decorator
@inline
function rankNear(leaf: usize, pfn: u64, slot: u32): u32 {
  return slot != 0 && <i64>pfn <= <i64>hiOf(leaf, slot) && <i64>pfn > <i64>hiOf(leaf, slot - 1) ? slot : leafRank(leaf, pfn);
}

// Whether the first range that ends at or above the pfn is in that leaf.
// @ts-ignore: decorator
@inline
function covers(leaf: usize, pfn: u64): bool {
  return pfn >= load<u64>(leaf, LOW) && pfn <= hiOf(leaf, LEAF_MAX - 1);
}

/**
 * Finds the highest place for `size` pages below `bound`: the block [pfn, pfn + size) lies in one gap, its start is a
 * multiple of ~mask + 1, and pfn + size <= bound. The finger leads to the range above the gap.
 * @param codes CAP for requests aligned to their power of two, LEAF_GAP for unaligned ones
 * @returns the pfn, or 0 if nothing fits
 */
export function search(domain: IovaDomain, bound: u64, size: u64, mask: u64, codes: usize): u64 {
  if (bound < size) return 0;
  // The gap that the bound cuts is tested first, since its codes are those of the whole gap.
  const finger = fingerOf(domain);
  const leaf = approach(domain, finger, bound - 1);
  const i = pathIndex(finger, 0);
  const top = min<u64>(loOf(leaf, i), bound);
  if (top >= size) {
    const pfn = (top - size) & mask;
    if (pfn >= gapStart(leaf, i)) return pfn;
  }
  return searchOn(domain, finger, size, mask, codes, i16x8.splat(<i16>codeOf(size)));
}

/** As search, from the end of the limit; remembers when there is nothing, and then need not look again. */
export function searchAll(domain: IovaDomain, end: u64, size: u64, mask: u64, codes: usize): u64 {
  if (isExhausted(domain, end, size, codes)) return 0;
  const pfn = search(domain, end, size, mask, codes);
  if (pfn == 0) {
    domain.exhaustedAt = domain.changes;
    domain.exhaustedCodes = <u32>codes;
    domain.exhaustedEnd = end;
    domain.exhaustedSize = size;
  }
  return pfn;
}

/** Whether it is known that no gap below `end` holds that size. */
// @ts-ignore: decorator
@inline
export function isExhausted(domain: IovaDomain, end: u64, size: u64, codes: usize): bool {
  return (
    domain.exhaustedAt == domain.changes && size >= domain.exhaustedSize && end <= domain.exhaustedEnd &&
    domain.exhaustedCodes == <u32>codes
  );
}

// Entries of the finger's leaf below its index, then everything to the left of it.
function searchOn(domain: IovaDomain, finger: usize, size: u64, mask: u64, codes: usize, need: v128): u64 {
  let level: u32 = 0;
  let node = pathNode(finger, 0);
  let end = pathIndex(finger, 0);
  let valid = WAY_FOUND;
  do {
    if (level == 0) {
      let fits = leafMask(node + codes, need) & ((1 << end) - 1);
      while (fits != 0) {
        const i = 31 - <u32>clz<u32>(fits);
        const top = loOf(node, i);
        const pfn = (top - size) & mask;
        // Codes are floored: only here is it certain.
        if (top >= size && pfn >= gapStart(node, i)) {
          setPath(finger, 0, node, i);
          return pfn;
        }
        fits ^= 1 << i;
      }
    } else {
      const inner = node + (codes == CAP ? CAP : INNER_GAP);
      const fits = innerMask(inner, need) & <u32>((<u64>1 << end) - 1);
      if (fits != 0) {
        const i = 31 - <u32>clz<u32>(fits);
        setPath(finger, level, node, i);
        node = childOf(node, i);
        --level;
        valid = 0;
        end = level == 0 ? LEAF_MAX : INNER_MAX;
        continue;
      }
    }
    if (++level > domain.height) break;
    node = pathNode(finger, level);
    end = pathIndex(finger, level);
  } while (true);
  // A descent in vain, which floored codes allow, has overwritten the path to the leaf.
  domain.ways = valid;
  return 0;
}

// ---- changing ----

/** No codes of a leaf: caps are at most gaps. */
const LEAF_UNASKED: u32 = 0xffff;

/**
 * Tells the levels above a leaf that `pages` more (or fewer) are in use below, and that gaps of it with codes of at most
 * `was` (cap | gap << 16, each a maximum) have become gaps with codes of at most `now`. `leafNow` are the largest of the
 * leaf, which are needed only if those shrank; LEAF_UNASKED if they are not known yet.
 */
// @ts-ignore: decorator
@inline
function raise(domain: IovaDomain, path: usize, pages: u64, was: u32, now: u32, leafNow: u32): void {
  domain.used += pages;
  if (domain.height != 0) raiseLevels(domain, path, pages, was, now, leafNow);
}

function raiseLevels(domain: IovaDomain, path: usize, pages: u64, was: u32, now: u32, leafNow: u32): void {
  const height = domain.height;
  let changed = true;
  let oldCap = was & 0xffff;
  let oldGap = was >> 16;
  let newCap = now & 0xffff;
  let newGap = now >> 16;
  for (let level: u32 = 1; level <= height; ++level) {
    const node = pathNode(path, level);
    const i = <usize>pathIndex(path, level);
    const used = node + (i << 3);
    store<u64>(used, load<u64>(used, USED) + pages, USED);
    if (!changed) continue;
    const code = node + (i << 1);
    const cap = <u32>load<u16>(code, CAP);
    const gap = <u32>load<u16>(code, INNER_GAP);
    // Only when what was the largest has shrunk must the others be asked.
    if ((oldCap == cap && newCap < cap) || (oldGap == gap && newGap < gap)) {
      const below = pathNode(path, level - 1);
      const top = level != 1 ? innerTop(below) : leafNow != LEAF_UNASKED ? leafNow : leafTop(below);
      newCap = top & 0xffff;
      newGap = top >> 16;
    } else {
      newCap = max(cap, newCap);
      newGap = max(gap, newGap);
    }
    changed = newCap != cap || newGap != gap;
    store<u16>(code, <u16>newCap, CAP);
    store<u16>(code, <u16>newGap, INNER_GAP);
    oldCap = cap;
    oldGap = gap;
  }
}

// As raise, where more than one gap of the leaf has changed: every level is asked anew.
function raiseAnew(domain: IovaDomain, path: usize, pages: u64): void {
  domain.used += pages;
  for (let level: u32 = 1; level <= domain.height; ++level) {
    const node = pathNode(path, level);
    const i = pathIndex(path, level);
    const child = pathNode(path, level - 1);
    setChild(node, i, child, usedOf(node, i) + pages, level == 1 ? leafTop(child) : innerTop(child));
  }
}

// Codes of gap i, cap | gap << 16, and the larger of each of two such pairs.
// @ts-ignore: decorator
@inline
function codesOf(leaf: usize, i: u32): u32 {
  const at = leaf + (<usize>i << 1);
  return <u32>load<u16>(at, CAP) | (<u32>load<u16>(at, LEAF_GAP) << 16);
}

// @ts-ignore: decorator
@inline
function larger(a: u32, b: u32): u32 {
  return max<u32>(a & 0xffff, b & 0xffff) | max<u32>(a & 0xffff0000, b & 0xffff0000);
}

/** Makes sure that one range can be put in where the path leads. Returns false without memory for a node. */
// @ts-ignore: decorator
@inline
export function roomAt(domain: IovaDomain, path: usize): bool {
  return countOf(pathNode(path, 0)) != LEAF_MAX || makeRoom(domain, path);
}

/**
 * Puts the range [lo, hi] into the gap that the path leads to.
 * @returns false without memory for a node; nothing has changed then
 */
export function insertAt(domain: IovaDomain, path: usize, lo: u64, hi: u64): bool {
  if (!roomAt(domain, path)) return false;
  const leaf = pathNode(path, 0);
  const i = pathIndex(path, 0);
  const count = countOf(leaf);
  const start = gapStart(leaf, i);
  const was = codesOf(leaf, i);
  const below = gapCodes(start, lo);
  const above = hi + 1 < loOf(leaf, i) ? gapCodes(hi + 1, loOf(leaf, i)) : 0;
  const now = larger(below, above);
  let top = LEAF_UNASKED;
  if (i == LEAF_MAX - count) {
    codesSet(leaf, i - 1, below);
    codesSet(leaf, i, above);
  } else {
    leafOpen(leaf, i, count);
    top = codesInsert(leaf, i - 1, below, above);
  }
  setPath(path, 0, leaf, i - 1); // where the next search of a run begins
  const at = leaf + (<usize>(i - 1) << 3);
  store<u64>(at, lo, LO);
  store<u64>(at, hi, HI);
  store<u32>(leaf, count + 1, COUNT);
  ++domain.ranges;
  ++domain.changes;
  raise(domain, path, hi - lo + 1, was, now, top);
  return true;
}

/** Takes out the range that the last locate led to; it must not be the anchor. */
export function removeAt(domain: IovaDomain): void {
  const path = pathOf(domain);
  const leaf = pathNode(path, 0);
  const i = pathIndex(path, 0);
  const count = countOf(leaf) - 1;
  const start = gapStart(leaf, i);
  const pages = hiOf(leaf, i) - loOf(leaf, i) + 1;
  const was = codesOf(leaf, i);
  --domain.ranges;
  ++domain.changes;
  store<u32>(leaf, count, COUNT);
  if (i != LEAF_MAX - 1) {
    const above = codesOf(leaf, i + 1);
    leafClose(leaf, i, count + 1);
    setPath(path, 0, leaf, i + 1);
    const now = gapCodes(start, loOf(leaf, i + 1));
    codesSet(leaf, i + 1, now);
    // The joined gap is smaller than its upper part if the range was a reservation below the domain's start.
    raise(domain, path, 0 - pages, larger(was, above), now, LEAF_UNASKED);
  } else {
    // The gap joins the one that the next leaf begins with.
    leafClose(leaf, i, count + 1);
    giveToNext(path, load<u32>(leaf, NEXT), start);
    raiseAnew(domain, path, 0 - pages);
  }
  if (count < LEAF_MIN && domain.height != 0) mergeLeaf(domain, path);
}

// The space of the path's leaf ends at `start` from now on, and that of the next leaf begins there.
function giveToNext(path: usize, next: usize, start: u64): void {
  store<u64>(next, start, LOW);
  const first = firstOf(next);
  codesSet(next, first, gapCodes(start, loOf(next, first)));
  let level: u32 = 1;
  while (pathIndex(path, level) + 1 == countOf(pathNode(path, level))) ++level;
  const node = pathNode(path, level);
  const i = pathIndex(path, level) + 1;
  store<u64>(node + (<usize>i << 3), start, KEY);
  refresh(node, i, level);
}

// Sets the codes of a child from what is below its first entries: the path to the first leaf of that child.
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
  const path = pathOf(domain);
  const leaf = pathNode(path, 0);
  const i = pathIndex(path, 0);
  const pages = loOf(leaf, i) - lo;
  const was = codesOf(leaf, i);
  ++domain.changes;
  store<u64>(leaf + (<usize>i << 3), lo, LO);
  const now = gapCodes(gapStart(leaf, i), lo);
  codesSet(leaf, i, now);
  raise(domain, path, pages, was, now, leafTop(leaf));
}
