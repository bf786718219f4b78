// Red-black trees over records in linear memory, with the links inside the records.
//
//   links   +0 parent, bit 0 set for a black node   +4 left   +8 right
//
// The two sides are mirror images, so a side is the offset of its link and 12 - side is the other one: each case of the
// algorithm (Cormen et al., "Introduction to Algorithms", chapter 13) is written once.
//
// The shape is part of the contract. drm_mm's search by address skips subtrees by their largest hole, and what
// DRM_MM_INSERT_ONCE finds depends on which hole sits above which; so insertion and removal make the very rotations
// that lib/rbtree.c makes, and a removed node with two children is replaced by its successor.
//
// An augmented tree keeps in each record the largest u64 `own` of its subtree in `top`, at fixed distances from the
// links. A plain tree passes false and pays a branch that predicts.

export const LEFT: usize = 4;
export const RIGHT: usize = 8;
const BOTH: usize = 12;

/** Where an augmented record has its own value and the largest of its subtree, from its links (drm-mm.ts asserts it). */
export const OWN: usize = 16;
export const TOP: usize = 24;

// @ts-ignore: decorator
@inline
export function child(node: usize, side: usize): usize {
  return load<u32>(node + side);
}

// @ts-ignore: decorator
@inline
export function parent(node: usize): usize {
  return load<u32>(node) & ~1;
}

// @ts-ignore: decorator
@inline
function isBlack(node: usize): bool {
  return (load<u32>(node) & 1) != 0;
}

// @ts-ignore: decorator
@inline
function setParent(node: usize, to: usize): void {
  store<u32>(node, (load<u32>(node) & 1) | <u32>to);
}

/** Largest own value of a subtree; 0 for node 0, the null record (context.ts), so that leaves need no branch. */
// @ts-ignore: decorator
@inline
export function top(node: usize): u64 {
  return load<u64>(node, TOP);
}

// @ts-ignore: decorator
@inline
function topOf(node: usize): u64 {
  return max(load<u64>(node, OWN), max(top(child(node, LEFT)), top(child(node, RIGHT))));
}

/** Replaces the pointer to `old` by one to `to`. */
// @ts-ignore: decorator
@inline
function relink(root: usize, above: usize, old: usize, to: usize): void {
  if (above == 0) store<u32>(root, <u32>to);
  else store<u32>(above + (child(above, LEFT) == old ? LEFT : RIGHT), <u32>to);
}

/** Moves a node down to `side`; its child of the other side takes its place. Colours stay with the nodes. */
function rotate(root: usize, node: usize, side: usize, augmented: bool): void {
  const up = child(node, BOTH - side);
  const inner = child(up, side);
  const above = parent(node);
  store<u32>(node + BOTH - side, <u32>inner);
  if (inner != 0) setParent(inner, node);
  relink(root, above, node, up);
  setParent(up, above);
  store<u32>(up + side, <u32>node);
  setParent(node, up);
  if (augmented) {
    store<u64>(up, load<u64>(node, TOP), TOP);
    store<u64>(node, topOf(node), TOP);
  }
}

/**
 * Links a node under `above` on a free side (above 0: the tree is empty) and balances.
 * In an augmented tree the node's own value must be set.
 */
export function treeInsert(root: usize, node: usize, above: usize, side: usize, augmented: bool): void {
  store<u32>(node, <u32>above);
  store<u64>(node, 0, LEFT);
  if (above == 0) store<u32>(root, <u32>node);
  else store<u32>(above + side, <u32>node);
  if (augmented) {
    const own = load<u64>(node, OWN);
    store<u64>(node, own, TOP);
    for (let at = above; at != 0 && load<u64>(at, TOP) < own; at = parent(at)) {
      store<u64>(at, own, TOP);
    }
  }
  do {
    const up = parent(node);
    if (up == 0) {
      store<u32>(node, 1);
      return;
    }
    if (isBlack(up)) return;
    const grand = parent(up); // there is one: the root is black
    const upSide = child(grand, LEFT) == up ? LEFT : RIGHT;
    const uncle = child(grand, BOTH - upSide);
    if (uncle == 0 || isBlack(uncle)) {
      let head = up;
      if (child(up, BOTH - upSide) == node) {
        rotate(root, up, upSide, augmented);
        head = node;
      }
      store<u32>(head, load<u32>(head) | 1);
      store<u32>(grand, load<u32>(grand) & ~1);
      rotate(root, grand, BOTH - upSide, augmented);
      return;
    }
    store<u32>(up, load<u32>(up) | 1);
    store<u32>(uncle, load<u32>(uncle) | 1);
    store<u32>(grand, load<u32>(grand) & ~1);
    node = grand;
  } while (true);
}

/** Takes a node out and balances. Its links keep their last values. */
export function treeRemove(root: usize, node: usize, augmented: bool): void {
  const left = child(node, LEFT);
  const right = child(node, RIGHT);
  const above = parent(node);
  let low: usize; // the lowest node that lost something
  let next: usize = 0; // the successor that takes the place of a node with two children
  let uneven: usize = 0; // below it one side is a black node short
  if (left == 0 || right == 0) {
    const only = left | right;
    relink(root, above, node, only);
    // An only child is red and its parent black: the child takes over the colour.
    if (only != 0) store<u32>(only, load<u32>(node));
    else if (isBlack(node)) uneven = above;
    low = above;
  } else {
    next = right;
    while (child(next, LEFT) != 0) next = child(next, LEFT);
    const rest = child(next, RIGHT);
    low = next;
    if (next != right) {
      low = parent(next);
      store<u32>(low, <u32>rest, LEFT);
      store<u32>(next, <u32>right, RIGHT);
      setParent(right, next);
    }
    if (rest != 0) store<u32>(rest, <u32>low | 1);
    else if (isBlack(next)) uneven = low;
    store<u32>(next, <u32>left, LEFT);
    setParent(left, next);
    relink(root, above, node, next);
    store<u32>(next, load<u32>(node));
  }
  if (augmented) {
    let settled = next == 0; // above the successor's new place a subtree's value that does not change ends the walk
    for (let at = low; at != 0; at = parent(at)) {
      const value = topOf(at);
      if (settled && value == load<u64>(at, TOP)) break;
      store<u64>(at, value, TOP);
      if (at == next) settled = true;
    }
  }
  if (uneven != 0) level(root, uneven, augmented);
}

/** Restores equal black height below `above`, whose missing side is the one that holds `node` (0 at first). */
function level(root: usize, above: usize, augmented: bool): void {
  let node: usize = 0;
  do {
    const side = child(above, LEFT) == node ? LEFT : RIGHT;
    const far = BOTH - side;
    let sibling = child(above, far);
    if (!isBlack(sibling)) {
      store<u32>(sibling, load<u32>(sibling) | 1);
      store<u32>(above, load<u32>(above) & ~1);
      rotate(root, above, side, augmented);
      sibling = child(above, far);
    }
    let outer = child(sibling, far);
    if (outer == 0 || isBlack(outer)) {
      const inner = child(sibling, side);
      if (inner == 0 || isBlack(inner)) {
        store<u32>(sibling, load<u32>(sibling) & ~1);
        if (!isBlack(above)) {
          store<u32>(above, load<u32>(above) | 1);
          return;
        }
        node = above;
        above = parent(node);
        continue;
      }
      rotate(root, sibling, far, augmented);
      outer = sibling;
      sibling = inner;
    }
    store<u32>(outer, load<u32>(outer) | 1);
    store<u32>(sibling, (load<u32>(sibling) & ~1) | (load<u32>(above) & 1));
    store<u32>(above, load<u32>(above) | 1);
    rotate(root, above, side, augmented);
    return;
  } while (above != 0);
}

/** First node in order on a side: treeEnd(root, LEFT) is the smallest. 0 in an empty tree. */
export function treeEnd(root: usize, side: usize): usize {
  let node: usize = load<u32>(root);
  if (node == 0) return 0;
  for (let next = child(node, side); next != 0; next = child(node, side)) node = next;
  return node;
}

/** Neighbour in order: treeNext(node, RIGHT) is the successor, LEFT the predecessor; 0 at the end. */
export function treeNext(node: usize, side: usize): usize {
  let at = child(node, side);
  if (at != 0) {
    for (let next = child(at, BOTH - side); next != 0; next = child(at, BOTH - side)) at = next;
    return at;
  }
  at = parent(node);
  while (at != 0 && child(at, side) == node) {
    node = at;
    at = parent(at);
  }
  return at;
}

/** Sets the largest values of a subtree from `at` on upwards, as far as they change. */
// @ts-ignore: decorator
@inline
function topsUp(at: usize): void {
  for (; at != 0; at = parent(at)) {
    const value = topOf(at);
    if (value == load<u64>(at, TOP)) break;
    store<u64>(at, value, TOP);
  }
}

/**
 * Replaces a node by another at the same position in order; the tree has the shape of a removal followed by an insertion. If `old`
 * has at most one child and is not a black leaf, no rebalancing is needed: a red leaf is exchanged; the red only child of a black
 * node takes its place, and the new node becomes a child of it. `old` and `node` may be the same node with another value. For
 * augmented trees only.
 */
export function treeReplace(root: usize, old: usize, node: usize): void {
  const left = child(old, LEFT);
  const right = child(old, RIGHT);
  let above = parent(old);
  let side = LEFT;
  if (right != 0) {
    above = right;
    for (let at = child(right, LEFT); at != 0; at = child(at, LEFT)) above = at;
  } else if (left != 0) {
    above = left;
    side = RIGHT;
  } else if (above != 0 && child(above, RIGHT) == old) side = RIGHT;
  // The new node goes to that side of `above`, or next to it, whatever rotations follow.
  if ((left | right) == 0 ? !isBlack(old) : left == 0 || right == 0) {
    let low = above;
    if ((left | right) != 0) {
      low = parent(old);
      relink(root, low, old, above);
      store<u32>(above, load<u32>(old));
      store<u64>(above, max(load<u64>(above, OWN), load<u64>(node, OWN)), TOP);
    }
    store<u32>(above + side, <u32>node);
    store<u32>(node, <u32>above);
    store<u64>(node, 0, LEFT);
    store<u64>(node, load<u64>(node, OWN), TOP);
    topsUp(low);
    return;
  }
  treeRemove(root, old, true);
  const below = child(above, side);
  if (below != 0) {
    above = below;
    side = BOTH - side;
    for (let at = child(below, side); at != 0; at = child(at, side)) above = at;
  }
  treeInsert(root, node, above, side, true);
}

/** Inserts between two neighbours in order, either of which may be 0 for an end of the tree. */
// @ts-ignore: decorator
@inline
export function treeInsertBetween(root: usize, node: usize, before: usize, after: usize, augmented: bool): void {
  if (before != 0 && child(before, RIGHT) == 0) treeInsert(root, node, before, RIGHT, augmented);
  else treeInsert(root, node, after, LEFT, augmented);
}

/**
 * Walks a tree's links, colours and augmented values.
 * @returns nodes in the tree, or -1 where something is wrong
 */
export function treeCheck(root: usize, augmented: bool): i32 {
  const node: usize = load<u32>(root);
  if (node == 0) return 0;
  if (parent(node) != 0 || !isBlack(node)) return -1;
  let count = 0;
  let height = -1;
  for (let at = treeEnd(root, LEFT); at != 0; at = treeNext(at, RIGHT)) {
    ++count;
    for (let side = LEFT; side <= RIGHT; side += 4) {
      const below = child(at, side);
      if (below != 0) {
        if (parent(below) != at || (!isBlack(at) && !isBlack(below))) return -1;
        continue;
      }
      let black = 0;
      for (let up = at; up != 0; up = parent(up)) black += isBlack(up) ? 1 : 0;
      if (height < 0) height = black;
      if (height != black) return -1;
    }
    if (augmented && load<u64>(at, TOP) != topOf(at)) return -1;
  }
  return count;
}
