// The holes of a range manager, in three orders:
//
//   stack      by age, newest on top (hole-stack.ts)
//   addresses  a red-black tree augmented with the largest hole of each subtree; modern manager only
//   sizes      red-black trees by size, of equal ones the newer first; made at the first request for the best fit. There is
//              one for each of 256 size classes, four to a power of two, so that each is shallow, and a bit for each
//              class that has a hole
//
// A hole belongs to the node before it, as in the kernel: a node with holeSize 0 is in none of the orders.

import { addressOf, fieldOf } from '../memory/record';
import {
  MM_MODERN, Mm, MmNode, SIZE_CLASSES, SIZE_LINKS, SIZE_ROOTS, holeStart, ofAddressLinks, ofSizeLinks,
} from './drm-mm-node';
import { slotEntry, stackDrop, stackPush, stackResize } from './hole-stack';
import { LEFT, RIGHT, child, top, treeEnd, treeInsert, treeInsertBetween, treeNext, treeRemove, treeReplace } from './tree';

// @ts-ignore: decorator
@inline
function addressRoot(mm: Mm): usize {
  return fieldOf(mm, offsetof<Mm>('addressRoot'));
}

/** Size class: the power of two below a size (less than 2^53), and the two bits after its highest. */
// @ts-ignore: decorator
@inline
export function classOf(size: u64): u32 {
  const power = 63 - <u32>clz(size);
  return (power << 2) | (<u32>(size << 2 >> power) & 3);
}

// @ts-ignore: decorator
@inline
export function sizeRoot(mm: Mm, index: u32): usize {
  return fieldOf(mm, SIZE_ROOTS) + (<usize>index << 2);
}

// @ts-ignore: decorator
@inline
export function classWord(mm: Mm, index: u32): usize {
  return fieldOf(mm, offsetof<Mm>('classes0')) + (<usize>(index >> 6) << 3);
}

// @ts-ignore: decorator
@inline
function addressLinks(node: MmNode): usize {
  return addressOf(node);
}

// @ts-ignore: decorator
@inline
function sizeLinks(node: MmNode): usize {
  return fieldOf(node, SIZE_LINKS);
}

// ---- by address

function addressInsert(mm: Mm, node: MmNode): void {
  const root = addressRoot(mm);
  const start = holeStart(node);
  let above: usize = 0;
  let side = LEFT;
  for (let at: usize = load<u32>(root); at != 0; at = child(at, side)) {
    above = at;
    side = start < holeStart(ofAddressLinks(at)) ? LEFT : RIGHT;
  }
  treeInsert(root, addressLinks(node), above, side, true);
}

/**
 * The hole with which a search by address begins (find_hole_addr): descends towards `address` while the subtree has a
 * hole of `size` bytes, at least 1. The result depends on the shape of the tree. There must be such a hole. `high` tells at which end
 * most searches begin.
 */
// @ts-ignore: decorator
@inline
export function findByAddress(mm: Mm, address: u64, size: u64, high: bool): MmNode {
  let found: usize;
  let at: usize = mm.addressRoot;
  if (high ? address >= mm.start + mm.size : address <= mm.start) {
    // A descent at an end of the whole range always takes the same side, and compares no addresses.
    do {
      found = at;
      at = child(at, high ? RIGHT : LEFT);
    } while (top(at) >= size);
    return ofAddressLinks(found);
  }
  do {
    const node = ofAddressLinks(at);
    const start = holeStart(node);
    found = at;
    if (address < start) at = child(at, LEFT);
    else if (address > start + node.holeSize) at = child(at, RIGHT);
    else break;
  } while (top(at) >= size);
  return ofAddressLinks(found);
}

/** The next hole on a side (RIGHT: upwards), leaving out subtrees without a hole of `size` bytes (next_hole_*_addr). */
export function nextByAddress(node: MmNode, side: usize, size: u64): MmNode | null {
  const other = LEFT + RIGHT - side;
  let at = addressLinks(node);
  let next = child(at, side);
  if (top(next) >= size) {
    do {
      at = next;
      next = child(at, other);
    } while (top(next) >= size);
    return ofAddressLinks(at);
  }
  let up: usize = load<u32>(at) & ~1;
  while (up != 0 && child(up, side) == at) {
    at = up;
    up = load<u32>(at) & ~1;
  }
  return up == 0 ? null : ofAddressLinks(up);
}

// ---- by size

/** Orders two holes by size, the newer of equal ones first: it has the higher slot. */
// @ts-ignore: decorator
@inline
function sizeBefore(size: u64, slot: u32, other: MmNode): bool {
  return size < other.holeSize || (size == other.holeSize && slot > other.slot);
}

function sizeInsert(mm: Mm, node: MmNode): void {
  const size = node.holeSize;
  const slot = node.slot;
  const index = classOf(size);
  const root = sizeRoot(mm, index);
  let above: usize = 0;
  let side = LEFT;
  for (let at: usize = load<u32>(root); at != 0; at = child(at, side)) {
    above = at;
    side = sizeBefore(size, slot, ofSizeLinks(at)) ? LEFT : RIGHT;
  }
  treeInsert(root, sizeLinks(node), above, side, false);
  if (above == 0) {
    const word = classWord(mm, index);
    store<u64>(word, load<u64>(word) | (<u64>1 << (index & 63)));
  }
}

function sizeRemove(mm: Mm, node: MmNode): void {
  const index = classOf(node.holeSize);
  const root = sizeRoot(mm, index);
  treeRemove(root, sizeLinks(node), false);
  if (load<u32>(root) == 0) {
    const word = classWord(mm, index);
    store<u64>(word, load<u64>(word) & ~(<u64>1 << (index & 63)));
  }
}

/** Makes the trees by size, at the first use. */
function sizeIndex(mm: Mm): void {
  for (let slot: u32 = 0; slot < mm.slotEnd; ++slot) {
    const node = slotEntry(mm, slot);
    if (node != null) sizeInsert(mm, node);
  }
  mm.sized = 1;
}

/** The smallest hole of all classes from one on, or null. */
function smallestFrom(mm: Mm, index: u32): MmNode | null {
  let shift = <u64>(index & 63);
  for (let first = index & ~63; first < SIZE_CLASSES; first += 64) {
    const bits = load<u64>(classWord(mm, first)) >> shift << shift;
    if (bits != 0) return ofSizeLinks(treeEnd(sizeRoot(mm, first + <u32>ctz(bits)), LEFT));
    shift = 0;
  }
  return null;
}

/** The smallest hole of at least `size` bytes (best_hole). */
export function findBySize(mm: Mm, size: u64): MmNode | null {
  if (mm.sized == 0) sizeIndex(mm);
  const index = classOf(size);
  let best: usize = 0;
  for (let at: usize = load<u32>(sizeRoot(mm, index)); at != 0; ) {
    const fits = ofSizeLinks(at).holeSize >= size;
    if (fits) best = at;
    at = child(at, fits ? LEFT : RIGHT);
  }
  if (best != 0) return ofSizeLinks(best);
  return index + 1 == SIZE_CLASSES ? null : smallestFrom(mm, index + 1);
}

/** The next larger hole, or an older one of the same size. */
export function nextBySize(mm: Mm, node: MmNode): MmNode | null {
  const next = treeNext(sizeLinks(node), RIGHT);
  if (next != 0) return ofSizeLinks(next);
  const index = classOf(node.holeSize);
  return index + 1 == SIZE_CLASSES ? null : smallestFrom(mm, index + 1);
}

// ---- all orders together

/**
 * Takes a hole's first part, last part or middle away: `node` is the new node within the hole after `before`, already in
 * the list. What is left of the hole stays with `before`, what lies behind belongs to `node`.
 * The 2015 manager leaves the first part where it is on the stack; the modern one makes it, and then the other, the
 * newest.
 */
export function holeSplit(mm: Mm, before: MmNode, node: MmNode): void {
  const end = holeStart(before) + before.holeSize;
  const front = node.start - holeStart(before);
  const rest = end - holeStart(node);
  node.holeSize = rest;
  if (mm.sized != 0) sizeRemove(mm, before);
  if (mm.flavour == MM_MODERN) {
    stackDrop(mm, before);
    before.holeSize = front;
    if (front != 0) stackPush(mm, before);
    splitAddress(mm, before, node);
  } else {
    before.holeSize = front;
    if (front != 0) stackResize(mm, before);
    else stackDrop(mm, before);
  }
  if (front != 0 && mm.sized != 0) sizeInsert(mm, before);
  if (rest != 0) {
    stackPush(mm, node);
    if (mm.sized != 0) sizeInsert(mm, node);
  }
}

function splitAddress(mm: Mm, before: MmNode, node: MmNode): void {
  const root = addressRoot(mm);
  const links = addressLinks(before);
  if (before.holeSize == 0) {
    if (node.holeSize == 0) treeRemove(root, links, true);
    else treeReplace(root, links, addressLinks(node));
    return;
  }
  treeReplace(root, links, links);
  if (node.holeSize != 0) treeInsertBetween(root, addressLinks(node), links, treeNext(links, RIGHT), true);
}

/** A node is about to be removed: the holes on both sides and its own space become one hole, the newest. */
export function holeMerge(mm: Mm, node: MmNode): void {
  const before = node.previous;
  const modern = mm.flavour == MM_MODERN;
  const root = addressRoot(mm);
  const own = node.holeSize != 0;
  const joins = before.holeSize != 0;
  if (own) {
    stackDrop(mm, node);
    if (mm.sized != 0) sizeRemove(mm, node);
    // With a hole in front as well, that one keeps the place and this one goes.
    if (modern && joins) treeRemove(root, addressLinks(node), true);
  }
  if (joins) {
    stackDrop(mm, before);
    if (mm.sized != 0) sizeRemove(mm, before);
  }
  before.holeSize += node.size + node.holeSize;
  node.holeSize = 0;
  stackPush(mm, before);
  if (mm.sized != 0) sizeInsert(mm, before);
  if (!modern) return;
  if (joins) treeReplace(root, addressLinks(before), addressLinks(before));
  else if (own) treeReplace(root, addressLinks(node), addressLinks(before));
  else addressInsert(mm, before);
}

/** The one hole of an empty manager. */
export function holeFirst(mm: Mm, head: MmNode): void {
  stackPush(mm, head);
  if (mm.flavour == MM_MODERN) addressInsert(mm, head);
}
