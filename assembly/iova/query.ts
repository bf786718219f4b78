// Questions about a domain that change nothing: how much is free, what the largest gap is, how the gaps are spread,
// and why a request had no place.

import { REASON_IOVA_FRAGMENTED, REASON_IOVA_FULL, REASON_IOVA_LIMIT, REASON_IOVA_SKIPPED } from '../reason';
import { IOVA_LINUX_42, IovaDomain, pathOf } from './domain';
import { alignMask, codesFor, roundupPow2 } from './linux';
import { hiOf, loOf, usedOf } from './node';
import { locate, pathIndex, pathNode, search } from './tree';

/** Pages below `end` (exclusive) that are in ranges. */
export function usedBelow(domain: IovaDomain, end: u64): u64 {
  const leaf = locate(domain, end);
  const path = pathOf(domain);
  let pages: u64 = 0;
  for (let level = domain.height; level != 0; --level) {
    const node = pathNode(path, level);
    const stop = pathIndex(path, level);
    for (let i: u32 = 0; i < stop; ++i) pages += usedOf(node, i);
  }
  const stop = pathIndex(path, 0);
  for (let i: u32 = 0; i < stop; ++i) pages += hiOf(leaf, i) - loOf(leaf, i) + 1;
  const lo = loOf(leaf, stop);
  return lo < end ? pages + (end - lo) : pages;
}

/** First pfn that the domain's model hands out. */
// @ts-ignore: decorator
@inline
export function firstPfn(domain: IovaDomain): u64 {
  return domain.model == IOVA_LINUX_42 ? domain.start + 1 : domain.start;
}

/** Pages from the domain's start up to `limit` (inclusive) that are in no range. */
export function freeBelow(domain: IovaDomain, limit: u64): u64 {
  const first = firstPfn(domain);
  const end = limit + 1;
  if (end <= first) return 0;
  return end - first - (usedBelow(domain, end) - usedBelow(domain, first));
}

/** Why a request that found no place found none: one of the REASON_IOVA codes. */
export function reasonFor(domain: IovaDomain, size: u64, limit: u64, aligned: bool): u32 {
  if (aligned && domain.model == IOVA_LINUX_42) size = roundupPow2(size);
  const end = limit + 1;
  const first = firstPfn(domain);
  const mask = alignMask(size, aligned);
  if (end < size || ((end - size) & mask) < first) return REASON_IOVA_LIMIT;
  if (search(domain, end, size, mask, codesFor(aligned)) >= first) return REASON_IOVA_SKIPPED;
  return freeBelow(domain, limit) < size ? REASON_IOVA_FULL : REASON_IOVA_FRAGMENTED;
}
