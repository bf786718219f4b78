// Counts the nodes that Linux's search for a range visits, node by node from the remembered one down (memory/search-cost.ts). The
// index finds the place in one walk; here the ranges that were passed are counted afterwards, from the place up.

import { noteNodes } from '../memory/search-cost';
import { IovaDomain, RULE_SECOND_PASS, RULE_TWO_NODES, pathOf } from './iova-domain';
import { NO_MEMORY, NO_PLACE, alignMask, allocOneNode, allocTwoNodes } from './linux';
import { ANCHOR, hiOf, loOf } from './node';
import { pathIndex } from './path';
import { locate } from './tree';

/** Places a range as the domain's rules say, and counts. */
export function placeCounted(domain: IovaDomain, size: u64, limit: u64, aligned: bool): u64 {
  return (domain.rules & RULE_TWO_NODES) != 0
    ? countTwoNodes(domain, size, limit, aligned)
    : countOneNode(domain, size, limit, aligned);
}

function countTwoNodes(domain: IovaDomain, size: u64, limit: u64, aligned: bool): u64 {
  const end = limit + 1;
  const low32 = end <= domain.line;
  const skipped = low32 && size >= domain.max32;
  const first = low32 ? domain.cached32Lo : domain.cachedLo;
  const remembered = low32 ? domain.cached32Hi : domain.cachedHi;
  const start = domain.start;
  const pfn = allocTwoNodes(domain, size, limit, aligned);
  if (skipped) return pfn;
  const found = pfn != NO_PLACE && pfn != NO_MEMORY;
  const mask = alignMask(size, aligned);
  let nodes: u32 = 0;
  if (found && (first == ANCHOR || pfn < first)) nodes = visited(domain, pfn + size, first, end, size, mask, start);
  else {
    nodes = visited(domain, 0, first, end, size, mask, start);
    if ((domain.rules & RULE_SECOND_PASS) != 0 && remembered < end) {
      // From the lowest node at or above the limit down, no further than the remembered one.
      const top = lowOf(domain, end);
      nodes += visited(domain, found ? pfn + size : remembered + 1, top, end, size, mask, remembered + 1);
    }
  }
  noteNodes(domain.ctx, nodes);
  return pfn;
}

/** The lowest range that begins at a pfn or above it; the anchor, if there is no other. */
function lowOf(domain: IovaDomain, pfn: u64): u64 {
  const leaf = locate(domain, pfn);
  const i = pathIndex(pathOf(domain), 0);
  const lo = loOf(leaf, i);
  return lo >= pfn ? lo : lowOf(domain, hiOf(leaf, i) + 1);
}

/**
 * Nodes from `top` down to the lowest above `from`, as far as the candidate below a node is not under the low bound; that where it
 * is is visited, too.
 */
function visited(
  domain: IovaDomain, from: u64, top: u64, end: u64, size: u64, mask: u64, low: u64,
): u32 {
  let count: u32 = 0;
  let last: u32 = 0;
  let at = from;
  while (true) {
    const leaf = locate(domain, at);
    const i = pathIndex(pathOf(domain), 0);
    const lo = loOf(leaf, i);
    const room = min(lo, end);
    if (room < size || ((room - size) & mask) < low) last = 1;
    else ++count;
    if (lo >= top) return count + last;
    at = hiOf(leaf, i) + 1;
  }
}

// The walk of 2015 begins below the remembered node, or at the highest, and ends at the node below the place.
function countOneNode(domain: IovaDomain, size: u64, limit: u64, aligned: bool): u64 {
  const first = limit == domain.line && domain.cached32Lo <= limit ? domain.cached32Lo : ANCHOR;
  const pfn = allocOneNode(domain, size, limit, aligned);
  const found = pfn != NO_PLACE && pfn != NO_MEMORY;
  let nodes: u32 = 0;
  let at: u64 = found ? pfn + size : 0;
  while (true) {
    const leaf = locate(domain, at);
    const i = pathIndex(pathOf(domain), 0);
    if (loOf(leaf, i) >= first) break;
    ++nodes;
    at = hiOf(leaf, i) + 1;
  }
  if (found && loOf(locate(domain, 0), pathIndex(pathOf(domain), 0)) < pfn) ++nodes;
  noteNodes(domain.ctx, nodes);
  return pfn;
}
