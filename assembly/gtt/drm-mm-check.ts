// Checks of a range manager, for machineCheck.

import { fieldOf } from '../memory/record';
import { MM_MODERN, Mm, NODE_ALLOCATED, SIZE_CLASSES, holeStart, ofAddressLinks, ofSizeLinks } from './drm-mm-node';
import { stackCheck } from './hole-stack';
import { classOf, classWord, sizeRoot } from './holes';
import { LEFT, RIGHT, top, treeCheck, treeEnd, treeNext } from './tree';

const WRONG_ORDER: u32 = 1; // nodes overlap, or lie outside the range
const WRONG_LINK: u32 = 2;
const WRONG_HOLE: u32 = 3; // a hole is not what lies between its neighbours
const WRONG_COUNT: u32 = 4;
const WRONG_STACK: u32 = 5;
const WRONG_ADDRESS_TREE: u32 = 6;
const WRONG_SIZE_TREE: u32 = 7;

/**
 * Checks nodes, holes, stack and trees.
 * @returns 0, or what is wrong: 1 order, 2 link, 3 hole, 4 count, 5 stack, 6 tree by address, 7 tree by size.
 *   Nothing is checked during an eviction scan, which takes nodes out of the ring.
 */
export function mmCheck(mm: Mm): u32 {
  if (mm.scanActive != 0) return 0;
  let nodes: u32 = 0;
  let holes = 0;
  let end = mm.start;
  let at = mm.head;
  do {
    const node = at;
    const next = node.next;
    if (next.previous != at || node.mm != mm) return WRONG_LINK;
    if (at != mm.head) {
      if ((node.flags & NODE_ALLOCATED) == 0 || node.size == 0 || node.start < end) return WRONG_ORDER;
      if (holeStart(node) > mm.start + mm.size) return WRONG_ORDER;
      ++nodes;
    }
    end = holeStart(node);
    if (node.holeSize != next.start - end) return WRONG_HOLE;
    if (node.holeSize != 0) ++holes;
    if (nodes > mm.nodes) return WRONG_COUNT;
    at = node.next;
  } while (at != mm.head);
  if (nodes != mm.nodes) return WRONG_COUNT;
  if (stackCheck(mm) != holes) return WRONG_STACK;
  const root = fieldOf(mm, offsetof<Mm>('addressRoot'));
  if (top(0) != 0) return WRONG_ADDRESS_TREE; // the null record
  if (treeCheck(root, true) != (mm.flavour == MM_MODERN ? holes : 0)) return WRONG_ADDRESS_TREE;
  for (let links = treeEnd(root, LEFT); links != 0; links = treeNext(links, RIGHT)) {
    const next = treeNext(links, RIGHT);
    if (next != 0 && holeStart(ofAddressLinks(next)) <= holeStart(ofAddressLinks(links))) return WRONG_ADDRESS_TREE;
  }
  return checkSizes(mm, holes) ? 0 : WRONG_SIZE_TREE;
}

function checkSizes(mm: Mm, holes: i32): bool {
  let count = 0;
  for (let index: u32 = 0; index < SIZE_CLASSES; ++index) {
    const root = sizeRoot(mm, index);
    const nodes = treeCheck(root, false);
    const marked = (load<u64>(classWord(mm, index)) >> (index & 63) & 1) != 0;
    if (nodes < 0 || marked != (nodes > 0)) return false;
    count += nodes;
    for (let links = treeEnd(root, LEFT); links != 0; links = treeNext(links, RIGHT)) {
      const one = ofSizeLinks(links);
      if (classOf(one.holeSize) != index) return false;
      const next = treeNext(links, RIGHT);
      if (next == 0) break;
      const other = ofSizeLinks(next);
      if (other.holeSize < one.holeSize || (other.holeSize == one.holeSize && other.slot >= one.slot)) return false;
    }
  }
  return count == (mm.sized != 0 ? holes : 0);
}
