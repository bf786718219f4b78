// The records of a range manager: struct drm_mm and struct drm_mm_node.

// @ts-ignore: decorator
@unmanaged
export class MmNode {
  /** Bytes. The head, which stands for both ends, begins where the managed range ends and reaches round to its start. */
  start: u64;
  size: u64;
  /** Size of the hole between this node and the next, 0 when they touch. */
  holeSize: u64;
  /** Largest hole below this one in the tree by address (subtree_max_hole). */
  maxHole: u64;
  /** Links of the hole in the tree by address, see tree.ts: parent, left, right. */
  addressLinks: u32;
  addressLeft: u32;
  addressRight: u32;
  /** Links of the hole in the tree by size. */
  sizeLinks: u32;
  sizeLeft: u32;
  sizeRight: u32;
  /** Neighbours by address, round through the head. */
  next: usize;
  previous: usize;
  /** The hole's place on the stack (hole-stack.ts). */
  slot: u32;
  color: u32;
  flags: u32;
  mm: usize;
}

export const ADDRESS_LINKS: usize = offsetof<MmNode>('addressLinks');
export const SIZE_LINKS: usize = offsetof<MmNode>('sizeLinks');

export const NODE_ALLOCATED: u32 = 1;
/** Taken out of the list of nodes by an eviction scan, for the time being. */
export const NODE_SCANNED: u32 = 2;

// @ts-ignore: decorator
@unmanaged
export class Mm {
  ctx: usize;
  /** Next manager of the machine (gtt.ts). */
  nextMm: usize;
  flavour: u32;
  colorRule: u32;
  start: u64;
  size: u64;
  head: usize;
  /** Nodes allocated, the head not counted. */
  nodes: u32;
  addressRoot: u32;
  sizeRoot: u32;
  /** The tree by size is kept from the first request on that needs it. */
  sized: u32;
  slots: usize;
  slotCount: u32;
  slotEnd: u32;
  topLevel: u32;
  /** Allocations made and refused, for statistics. */
  inserted: u32;
  refused: u32;
  /** The eviction scan that is under way (drm-mm-scan.ts). */
  scanActive: u32;
  scanMode: u32;
  scanColor: u32;
  scanSize: u64;
  scanAlignment: u64;
  scanStart: u64;
  scanEnd: u64;
  hitStart: u64;
  hitEnd: u64;
}

// @ts-ignore: decorator
@inline
export function holeStart(node: MmNode): u64 {
  return node.start + node.size;
}

// @ts-ignore: decorator
@inline
export function ofAddressLinks(links: usize): MmNode {
  return changetype<MmNode>(links - ADDRESS_LINKS);
}

// @ts-ignore: decorator
@inline
export function ofSizeLinks(links: usize): MmNode {
  return changetype<MmNode>(links - SIZE_LINKS);
}
