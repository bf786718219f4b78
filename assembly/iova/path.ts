// A path from the root of an index to an entry, as pairs of words (node, index), the leaf at level 0.

// @ts-ignore: decorator
@inline
export function setPath(path: usize, level: u32, node: usize, index: u32): void {
  const at = path + (<usize>level << 3);
  store<u32>(at, <u32>node);
  store<u32>(at, index, 4);
}

// @ts-ignore: decorator
@inline
export function pathNode(path: usize, level: u32): usize {
  return load<u32>(path + (<usize>level << 3));
}

// @ts-ignore: decorator
@inline
export function pathIndex(path: usize, level: u32): u32 {
  return load<u32>(path + (<usize>level << 3), 4);
}
