// The eviction scan (drm_mm_scan_*) finds nodes that must be evicted so that a request fits.
//
// The caller adds nodes one after the other, least recently used first. Each is taken out of the ring, so that the hole between its
// neighbours grows; a hole that is large enough is a hit. Then the caller puts all nodes back in the reverse order; the result tells
// for each whether it must be evicted. During a scan other operations of the manager return -EBUSY.

import { EBUSY, EINVAL } from '../memory/errno';
import { COLOR_NONE, MM_HIGH, colorBack, colorFront, freeHole, place } from './drm-mm';
import { MM_MODERN, Mm, MmNode, NODE_ALLOCATED, NODE_SCANNED, holeStart } from './drm-mm-node';
import { NO_SLOT, findNewest, slotNode } from './hole-stack';

/**
 * Begins a scan for `size` bytes within [lo, hi) (drm_mm_scan_init_with_range).
 * @param mode of the modern manager: MM_HIGH looks from a hole's top; otherwise and in 2015 from its bottom
 * @returns 0; -EINVAL for size 0 or lo > hi; -EBUSY while nodes of another scan are out
 */
export function mmScanInit(mm: Mm, size: u64, alignment: u64, color: u32, lo: u64, hi: u64, mode: u32): i32 {
  if (mm.scanActive != 0) return EBUSY;
  if (size == 0 || lo > hi) return EINVAL;
  mm.scanSize = size;
  mm.scanAlignment = alignment;
  mm.scanColor = color;
  mm.scanStart = lo;
  mm.scanEnd = hi;
  mm.scanMode = mode;
  // Nothing intersects an empty hit, so that without one no node needs to go.
  mm.hitStart = 0xffffffffffffffff;
  mm.hitEnd = 0;
  return 0;
}

/**
 * Adds a node to the scan and tests the hole that this makes.
 * @returns 1 when the request fits there, and the scan is complete; 0 when it does not; -EINVAL for a node that is not allocated or
 *   was added already
 */
export function mmScanAdd(node: MmNode): i32 {
  if ((node.flags & (NODE_ALLOCATED | NODE_SCANNED)) != NODE_ALLOCATED) return EINVAL;
  const mm = node.mm;
  node.flags |= NODE_SCANNED;
  ++mm.scanActive;
  // The node keeps its own links: mmScanRemove finds its place by them.
  const before = node.previous;
  const after = node.next;
  before.next = node.next;
  after.previous = node.previous;
  const start = holeStart(before);
  const end = after.start;
  if (mm.flavour == MM_MODERN) {
    const low = max(start + colorFront(mm, before, mm.scanColor), mm.scanStart);
    const high = min(end - colorBack(mm, before, mm.scanColor), mm.scanEnd);
    const at = place(low, high, mm.scanSize, mm.scanAlignment, mm.scanMode == MM_HIGH);
    if (at == 0xffffffffffffffff) return 0;
    mm.hitStart = at;
    mm.hitEnd = at + mm.scanSize;
    return 1;
  }
  const low = max(start, mm.scanStart) + colorFront(mm, before, mm.scanColor);
  const high = min(end, mm.scanEnd) - colorBack(mm, before, mm.scanColor);
  if (!freeHole(low, high, mm.scanSize, mm.scanAlignment)) return 0;
  // The 2015 manager takes the whole hole for the hit, not just the part that the request will have.
  mm.hitStart = start;
  mm.hitEnd = end;
  return 1;
}

/**
 * Puts a node back. Nodes come back in the reverse order of mmScanAdd.
 * @returns 1 when it lies in the hit and must be evicted, 0 when it may stay; -EINVAL when it is not part of a scan, or
 *   not the last one that is still out
 */
export function mmScanRemove(node: MmNode): i32 {
  if ((node.flags & NODE_SCANNED) == 0) return EINVAL;
  const mm = node.mm;
  const before = node.previous;
  const after = node.next;
  // Out of order shows only where nodes were neighbours; what would break the ring is refused.
  if (before.next != node.next || after.previous != node.previous) return EINVAL;
  node.flags &= ~NODE_SCANNED;
  --mm.scanActive;
  before.next = node;
  after.previous = node;
  const end = mm.flavour == MM_MODERN ? holeStart(node) : after.start;
  return end > mm.hitStart && node.start < mm.hitEnd ? 1 : 0;
}

/**
 * After the eviction of a scan's nodes: a neighbour that is too near for the request's colour (drm_mm_scan_color_evict, modern).
 * @returns the node that must be evicted as well, or null
 */
export function mmScanColorEvict(mm: Mm): MmNode | null {
  if (mm.colorRule == COLOR_NONE || mm.flavour != MM_MODERN || mm.hitEnd <= mm.hitStart) return null;
  const size = mm.hitEnd - mm.hitStart;
  for (let slot = findNewest(mm, mm.slotEnd, size); slot != NO_SLOT; slot = findNewest(mm, slot, size)) {
    const before = slotNode(mm, slot);
    const start = holeStart(before);
    const end = start + before.holeSize;
    if (start > mm.hitStart || end < mm.hitEnd) continue;
    if (start + colorFront(mm, before, mm.scanColor) > mm.hitStart) return before;
    if (end - colorBack(mm, before, mm.scanColor) < mm.hitEnd) return before.next;
    return null;
  }
  return null;
}
