// The records of a range manager: struct drm_mm and struct drm_mm_node.

// @ts-ignore: decorator
import { Context } from '../memory/context';

@unmanaged
export class MmNode {
  /** Links of the hole in the tree by address, see tree.ts: parent, left, right. First, so that they are the record. */
  addressLinks: u32;
  addressLeft: u32;
  addressRight: u32;
  /** The hole's place on the stack (hole-stack.ts). */
  slot: u32;
  /** Size of the hole between this node and the next, 0 when they touch. */
  holeSize: u64;
  /** Largest hole below this one in the tree by address (subtree_max_hole). */
  maxHole: u64;
  /** Bytes. The head, which stands for both ends, begins where the managed range ends and reaches round to its start. */
  start: u64;
  size: u64;
  /** Links of the hole in the tree by size. */
  sizeLinks: u32;
  sizeLeft: u32;
  sizeRight: u32;
  color: u32;
  // What a search reads is in the 64 bytes above.
  /** Neighbours by address, round through the head. */
  next: MmNode;
  previous: MmNode;
  flags: u32;
  mm: Mm;
}

export const SIZE_LINKS: usize = offsetof<MmNode>('sizeLinks');

export const NODE_ALLOCATED: u32 = 1;
/** Taken out of the list of nodes by an eviction scan, for the time being. */
export const NODE_SCANNED: u32 = 2;

/** Flavours: the managers of Linux 4.2 and 6.12. */
export const MM_2015: u32 = 0;
export const MM_MODERN: u32 = 1;

// @ts-ignore: decorator
@unmanaged
export class Mm {
  ctx: Context;
  /** Next manager of the machine (gtt.ts). */
  nextMm: Mm | null;
  flavour: u32;
  /** Nodes of the eviction scan that is under way (drm-mm-scan.ts). Behind the flavour: one load asks for both. */
  scanActive: u32;
  start: u64;
  size: u64;
  head: MmNode;
  /** Nodes allocated, the head not counted. */
  nodes: u32;
  addressRoot: u32;
  /** The trees by size are kept from the first request on that needs them. */
  sized: u32;
  slots: usize;
  slotCount: u32;
  slotEnd: u32;
  topLevel: u32;
  /** The tree of maxima over the slots is kept from the first search on. */
  leveled: u32;
  /** Allocations made and refused, for statistics. */
  inserted: u32;
  refused: u32;
  colorRule: u32;
  /** The eviction scan. */
  scanMode: u32;
  scanColor: u32;
  scanSize: u64;
  scanAlignment: u64;
  scanStart: u64;
  scanEnd: u64;
  hitStart: u64;
  hitEnd: u64;
  /** Bit c of these 256 is set while size class c has a hole (holes.ts). */
  classes0: u64;
  classes1: u64;
  classes2: u64;
  classes3: u64;
}

/** Root of each class's tree by size, u32 each, behind the record's fields. */
export const SIZE_CLASSES: u32 = 256;
export const SIZE_ROOTS: usize = offsetof<Mm>();
export const MM_SIZE: usize = SIZE_ROOTS + 4 * 256;

// @ts-ignore: decorator
@inline
export function holeStart(node: MmNode): u64 {
  return node.start + node.size;
}

/** The node of links in the tree by address. */
// @ts-ignore: decorator
@inline
export function ofAddressLinks(links: usize): MmNode {
  return changetype<MmNode>(links);
}

/** The node of links in a tree by size. */
// @ts-ignore: decorator
@inline
export function ofSizeLinks(links: usize): MmNode {
  return changetype<MmNode>(links - SIZE_LINKS);
}
