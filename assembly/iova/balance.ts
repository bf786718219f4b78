// Splits and merges of nodes, and creation and destruction of the index. Nodes other than the root are at least a quarter full,
// except new nodes of a run of insertions at one end.

import { slabAllocBytes, slabFreeBytes } from '../memory/slab';
import { fingerOf, IovaDomain, stateOf, WAY_FOUND, WAY_LOCATED } from './iova-domain';
import {
  ANCHOR, CAP, CHILD, COUNT, HI, INNER_GAP, INNER_MAX, INNER_MERGED, INNER_MIN, KEY, LEAF_MAX, LEAF_MERGED, LO, LOW, NEXT,
  USED, childOf, countOf, codesSet, firstOf, gapCodes, hiOf, innerClear, innerMove, innerTop, keyOf, leafClear, leafMove, leafTop, loOf, usedOf,
} from './node';
import { pathIndex, pathNode, setPath } from './path';

// ---- splitting ----

// Splits the path's full leaf, and as many full nodes above it as need be. All memory is taken before any change.
export function makeRoom(domain: IovaDomain, path: usize): bool {
  const state = stateOf(domain);
  const height = domain.height;
  let level: u32 = 1;
  while (level <= height && countOf(pathNode(path, level)) == INNER_MAX) ++level;
  const inners = level > height ? level : level - 1; // a new root as well
  const leaf = slabAllocBytes(state.leafCache);
  if (leaf == 0) return false;
  for (let i: u32 = 0; i < inners; ++i) {
    const inner = slabAllocBytes(state.innerCache);
    if (inner == 0) {
      slabFreeBytes(state.leafCache, leaf);
      while (domain.spareInner != 0) slabFreeBytes(state.innerCache, takeSpare(domain));
      return false;
    }
    store<u32>(inner, <u32>domain.spareInner);
    domain.spareInner = inner;
  }
  domain.ways &= path == fingerOf(domain) ? WAY_FOUND : WAY_LOCATED;
  if (level > height) growRoot(domain, path);
  while (--level != 0) splitInner(domain, path, level);
  splitLeaf(path, leaf);
  return true;
}

function takeSpare(domain: IovaDomain): usize {
  const inner = domain.spareInner;
  domain.spareInner = load<u32>(inner);
  return inner;
}

function growRoot(domain: IovaDomain, path: usize): void {
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
  setPath(path, domain.height, root, 0);
}

// A run of insertions at one end leaves full nodes behind it instead of half full ones: cut next to the place.
// @ts-ignore: decorator
@inline
function cut(i: u32, count: u32, least: u32): u32 {
  return i == 0 ? least : i + 1 == count ? count - least : count >> 1;
}

function splitLeaf(path: usize, right: usize): void {
  const left = pathNode(path, 0);
  const i = pathIndex(path, 0);
  const k = cut(i, LEAF_MAX, 1);
  leafClear(right, k);
  leafMove(left, k, right, k, LEAF_MAX - k);
  store<u32>(right, LEAF_MAX - k, COUNT);
  leafMove(left, 0, left, LEAF_MAX - k, k);
  store<u32>(left, k, COUNT);
  leafClear(left, LEAF_MAX - k);
  const key = hiOf(left, LEAF_MAX - 1) + 1;
  store<u64>(right, key, LOW);
  store<u32>(right, load<u32>(left, NEXT), NEXT);
  store<u32>(left, <u32>right, NEXT);
  link(path, 1, left, right, key, leafUsed(right), leafTop(left), leafTop(right));
  if (i >= k) {
    setPath(path, 0, right, i);
    setPath(path, 1, pathNode(path, 1), pathIndex(path, 1) + 1);
  } else setPath(path, 0, left, i + LEAF_MAX - k);
}

function splitInner(domain: IovaDomain, path: usize, level: u32): void {
  const left = pathNode(path, level);
  const right = takeSpare(domain);
  const i = pathIndex(path, level);
  const k = cut(i, INNER_MAX, 2);
  innerClear(right, 0);
  innerMove(left, k, right, 0, INNER_MAX - k);
  store<u32>(right, INNER_MAX - k, COUNT);
  store<u32>(left, k, COUNT);
  innerClear(left, k);
  const key = keyOf(right, 0);
  store<u64>(right, 0, KEY);
  link(path, level + 1, left, right, key, innerUsed(right), innerTop(left), innerTop(right));
  if (i >= k) {
    setPath(path, level, right, i - k);
    setPath(path, level + 1, pathNode(path, level + 1), pathIndex(path, level + 1) + 1);
  }
}

// Enters `right`, split off from the path's child at that level, into the parent.
function link(
  path: usize, level: u32, left: usize, right: usize, key: u64, used: u64, leftTop: u32, rightTop: u32,
): void {
  const node = pathNode(path, level);
  const i = pathIndex(path, level);
  const count = countOf(node);
  innerMove(node, i + 1, node, i + 2, count - i - 1);
  store<u32>(node, count + 1, COUNT);
  setChild(node, i, left, usedOf(node, i) - used, leftTop);
  setChild(node, i + 1, right, used, rightTop);
  store<u64>(node + (<usize>(i + 1) << 3), key, KEY);
}

export function setChild(node: usize, i: u32, child: usize, used: u64, top: u32): void {
  store<u32>(node + (<usize>i << 2), <u32>child, CHILD);
  store<u64>(node + (<usize>i << 3), used, USED);
  store<u16>(node + (<usize>i << 1), <u16>top, CAP);
  store<u16>(node + (<usize>i << 1), <u16>(top >> 16), INNER_GAP);
}

/** Pages in the ranges of a leaf. */
export function leafUsed(leaf: usize): u64 {
  let pages: u64 = 0;
  for (let i = firstOf(leaf); i < LEAF_MAX; ++i) {
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
export function mergeLeaf(domain: IovaDomain, path: usize): void {
  domain.ways = 0;
  const parent = pathNode(path, 1);
  let i = pathIndex(path, 1);
  if (i + 1 == countOf(parent)) --i;
  const left = childOf(parent, i);
  const right = childOf(parent, i + 1);
  const a = countOf(left);
  const b = countOf(right);
  if (a + b <= LEAF_MERGED) {
    leafMove(left, LEAF_MAX - a, left, LEAF_MAX - a - b, a);
    leafMove(right, LEAF_MAX - b, left, LEAF_MAX - b, b);
    store<u32>(left, a + b, COUNT);
    store<u32>(left, load<u32>(right, NEXT), NEXT);
    slabFreeBytes(stateOf(domain).leafCache, right);
    unlink(domain, path, 1, i, leafTop(left));
    return;
  }
  const half = (a + b) >> 1;
  if (a < half) {
    const n = half - a;
    leafMove(left, LEAF_MAX - a, left, LEAF_MAX - half, a);
    leafMove(right, LEAF_MAX - b, left, LEAF_MAX - n, n);
    leafClear(right, LEAF_MAX - b + n);
  } else {
    const n = a - half;
    leafMove(left, LEAF_MAX - n, right, LEAF_MAX - b - n, n);
    leafMove(left, LEAF_MAX - a, left, LEAF_MAX - half, half);
    leafClear(left, LEAF_MAX - half);
  }
  store<u32>(left, half, COUNT);
  store<u32>(right, a + b - half, COUNT);
  const key = hiOf(left, LEAF_MAX - 1) + 1;
  store<u64>(right, key, LOW);
  share(parent, i, key, leafUsed(right), leafTop(left), leafTop(right));
}

function mergeInner(domain: IovaDomain, path: usize, level: u32): void {
  const parent = pathNode(path, level + 1);
  let i = pathIndex(path, level + 1);
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
    slabFreeBytes(stateOf(domain).innerCache, right);
    unlink(domain, path, level + 1, i, innerTop(left));
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
function unlink(domain: IovaDomain, path: usize, level: u32, i: u32, top: u32): void {
  const node = pathNode(path, level);
  const count = countOf(node) - 1;
  setChild(node, i, childOf(node, i), usedOf(node, i) + usedOf(node, i + 1), top);
  innerMove(node, i + 2, node, i + 1, count - i - 1);
  innerClear(node, count);
  store<u32>(node, count, COUNT);
  if (level == domain.height) {
    if (count != 1) return;
    domain.root = childOf(node, 0);
    --domain.height;
    slabFreeBytes(stateOf(domain).innerCache, node);
  } else if (count < INNER_MIN) mergeInner(domain, path, level);
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
  const leaf = slabAllocBytes(stateOf(domain).leafCache);
  if (leaf == 0) return false;
  leafClear(leaf, LEAF_MAX - 1);
  store<u32>(leaf, 1, COUNT);
  store<u32>(leaf, 0, NEXT);
  store<u64>(leaf, low, LOW);
  const last = leaf + <usize>(LEAF_MAX - 1) * 8;
  store<u64>(last, ANCHOR, LO);
  store<u64>(last, ANCHOR, HI);
  codesSet(leaf, LEAF_MAX - 1, gapCodes(low, ANCHOR));
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
    slabFreeBytes(state.leafCache, node);
    return;
  }
  const count = countOf(node);
  for (let i: u32 = 0; i < count; ++i) freeNode(domain, childOf(node, i), level - 1);
  slabFreeBytes(state.innerCache, node);
}
