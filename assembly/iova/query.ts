// Queries of a domain: free pages, the largest gap, a histogram of gaps, and the reason of a failed request.

import { REASON_IOVA_FRAGMENTED, REASON_IOVA_FULL, REASON_IOVA_LIMIT, REASON_IOVA_SKIPPED } from '../memory/reason';
import { IovaDomain, RULE_ABOVE_START, RULE_ROUND, pathOf } from './iova-domain';
import { alignMask, codesFor, roundupPow2 } from './linux';
import {
  ANCHOR, childOf, codeOf, countOf, firstOf, gapStart, hiOf, INNER_GAP, keyOf, LEAF_MAX, loOf, NEXT, usedOf,
} from './node';
import { rcachePages } from './rcache';
import { spansFree } from './span';
import { pathIndex, pathNode } from './path';
import { locate, searchAll } from './tree';

/** Pages below `end` (exclusive) that are in ranges. */
export function usedBelow(domain: IovaDomain, end: u64): u64 {
  const leaf = locate(domain, end);
  const path = pathOf(domain);
  // The usual case: all ranges are below.
  if (loOf(leaf, pathIndex(path, 0)) == ANCHOR) return domain.used;
  let pages: u64 = 0;
  for (let level = domain.height; level != 0; --level) {
    const node = pathNode(path, level);
    const stop = pathIndex(path, level);
    for (let i: u32 = 0; i < stop; ++i) pages += usedOf(node, i);
  }
  const stop = pathIndex(path, 0);
  for (let i = firstOf(leaf); i < stop; ++i) pages += hiOf(leaf, i) - loOf(leaf, i) + 1;
  const lo = loOf(leaf, stop);
  return lo < end ? pages + (end - lo) : pages;
}

/** First pfn that the domain hands out. */
export function firstPfn(domain: IovaDomain): u64 {
  return (domain.rules & RULE_ABOVE_START) != 0 ? domain.start + 1 : domain.start;
}

/** Pages from the domain's start up to `limit` (inclusive) that are in no range. */
export function freeBelow(domain: IovaDomain, limit: u64): u64 {
  const first = firstPfn(domain);
  const end = limit + 1;
  if (end <= first) return 0;
  // Failed requests often follow each other: the last result is kept.
  if (domain.freeAt == domain.changes && domain.freeEnd == end) return domain.freePages;
  const used = usedBelow(domain, end);
  // Only reservations can lie below the start.
  const free = end - first - (lowestPfn(domain) < first ? used - usedBelow(domain, first) : used);
  domain.freeAt = domain.changes;
  domain.freeEnd = end;
  domain.freePages = free;
  return free;
}

function lowestPfn(domain: IovaDomain): u64 {
  let node = domain.root;
  for (let level = domain.height; level != 0; --level) node = childOf(node, 0);
  return loOf(node, firstOf(node));
}

/** Why a request that found no place found none: one of the REASON_IOVA codes. */
export function reasonFor(domain: IovaDomain, size: u64, limit: u64, aligned: bool): u32 {
  if (aligned && (domain.rules & RULE_ROUND) != 0) size = roundupPow2(size);
  const end = limit + 1;
  const first = firstPfn(domain);
  const mask = alignMask(size, aligned);
  if (end < size || ((end - size) & mask) < first) return REASON_IOVA_LIMIT;
  const codes = codesFor(aligned);
  if (searchAll(domain, end, size, mask, codes) >= first) return REASON_IOVA_SKIPPED;
  const free = freeBelow(domain, limit);
  return free < size ? REASON_IOVA_FULL : REASON_IOVA_FRAGMENTED;
}

// ---- gaps ----

/**
 * Length of the largest gap from the domain's start up to `limit` (inclusive).
 * Subtrees whose codes cannot beat what was found are passed over.
 */
export function largestGap(domain: IovaDomain, limit: u64): u64 {
  return largestBelow(domain, domain.root, domain.height, limit + 1, 0);
}

function largestBelow(domain: IovaDomain, node: usize, level: u32, end: u64, best: u64): u64 {
  const count = countOf(node);
  if (level == 0) {
    const first = firstPfn(domain);
    for (let i = LEAF_MAX - count; i < LEAF_MAX; ++i) {
      const start = max<u64>(gapStart(node, i), first);
      const stop = min<u64>(loOf(node, i), end);
      if (start < stop) best = max<u64>(best, stop - start);
    }
    return best;
  }
  for (let i = count; i-- > 0; ) {
    if (i != 0 && keyOf(node, i) >= end) continue;
    // Codes are floored: an equal one may stand for a larger gap.
    if (<u32>load<u16>(node + (<usize>i << 1), INNER_GAP) < codeOf(best + 1)) continue;
    best = largestBelow(domain, childOf(node, i), level - 1, end, best);
  }
  return best;
}

/** Classes of the histogram: class k counts gaps of 2^k to 2^(k + 1) - 1 pages. */
export const GAP_CLASSES: u32 = 53;

/**
 * Counts the gaps from the domain's start up to `limit` (inclusive) by size.
 * @param out GAP_CLASSES u32 for the counts, zeroed by this function
 */
export function gapHistogram(domain: IovaDomain, limit: u64, out: usize): void {
  memory.fill(out, 0, <usize>GAP_CLASSES << 2);
  const first = firstPfn(domain);
  const end = limit + 1;
  let leaf = locate(domain, first);
  do {
    for (let i = firstOf(leaf); i < LEAF_MAX; ++i) {
      const start = max<u64>(gapStart(leaf, i), first);
      const stop = min<u64>(loOf(leaf, i), end);
      if (start >= stop) continue;
      const slot = out + (<usize>(63 - clz<u64>(stop - start)) << 2);
      store<u32>(slot, load<u32>(slot) + 1);
    }
    if (loOf(leaf, LEAF_MAX - 1) >= end) break;
    leaf = load<u32>(leaf, NEXT);
  } while (leaf != 0);
}

/** Pages that are allocated in the index and free for users: in magazines, or slots of spans. */
export function cachedPages(domain: IovaDomain): u64 {
  return domain.magazines != 0 ? rcachePages(domain) : spansFree(domain);
}
