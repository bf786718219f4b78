// Placement as in Linux. All kernels search top-down from a remembered node and find the highest gap below min(limit, that node)
// that has room for the aligned block, for which the index needs one walk. The rest depends on the domain's rules
// (iova-domain.ts):
//
//   two nodes (6.12: __alloc_and_insert_iova_range, __cached_rbnode_insert_update, __cached_rbnode_delete_update)
//     A candidate below the low bound ends the search. Then, by RULE_SECOND_PASS and if the remembered node lies below the
//     limit, one more pass over what is above it. By RULE_MAX32 a failure leaves its size in max32_alloc_size, until
//     something is freed below the line.
//   one node (4.2: the same functions in 2015)
//     It is used only when the limit is exactly the 32-bit line. Holes above it are not seen until a free moves it up.

import { fingerOf, IovaDomain, pathOf, RULE_MAX32, RULE_SECOND_PASS, RULE_TWO_NODES } from './iova-domain';
import { ANCHOR, CAP, LEAF_GAP, LEAF_MAX, NEXT, firstOf, hiOf, loOf } from './node';
import { pathIndex, pathNode } from './path';
import { insertAt, isExhausted, search, searchAll } from './tree';

/** What an allocation returns instead of a pfn. No range starts at 0: start_pfn is at least 1. */
export const NO_PLACE: u64 = 0;
/** There was a place, but no memory for a node of the index. */
export const NO_MEMORY: u64 = 0xffffffffffffffff;

/** Smallest power of two that is at least the size. */
// @ts-ignore: decorator
@inline
export function roundupPow2(size: u64): u64 {
  return size <= 1 ? 1 : <u64>1 << (64 - clz<u64>(size - 1));
}

// @ts-ignore: decorator
@inline
export function alignMask(size: u64, aligned: bool): u64 {
  return aligned ? 0 - roundupPow2(size) : 0xffffffffffffffff;
}

// @ts-ignore: decorator
@inline
export function codesFor(aligned: bool): usize {
  return aligned ? CAP : LEAF_GAP;
}

/** Places a range by RULE_TWO_NODES. */
export function allocTwoNodes(domain: IovaDomain, size: u64, limit: u64, aligned: bool): u64 {
  const end = limit + 1;
  const low32 = end <= domain.line;
  if (low32 && size >= domain.max32) return NO_PLACE;
  const mask = alignMask(size, aligned);
  const codes = codesFor(aligned);
  const cachedLo = low32 ? domain.cached32Lo : domain.cachedLo;
  const cachedHi = low32 ? domain.cached32Hi : domain.cachedHi;
  let pfn: u64 = 0;
  if (!isExhausted(domain, end, size, codes)) {
    pfn = cachedLo < end ? search(domain, cachedLo, size, mask, codes) : searchAll(domain, end, size, mask, codes);
    if (pfn < domain.start) {
      const again = cachedHi < end && (domain.rules & RULE_SECOND_PASS) != 0;
      pfn = again ? searchAll(domain, end, size, mask, codes) : 0;
      if (pfn <= cachedHi) pfn = 0;
    }
  }
  if (pfn == 0) {
    if ((domain.rules & RULE_MAX32) != 0) domain.max32 = size;
    return NO_PLACE;
  }
  const last = pfn + size - 1;
  if (!insertAt(domain, fingerOf(domain), pfn, last)) return NO_MEMORY;
  if (last < domain.line) {
    domain.cached32Lo = pfn;
    domain.cached32Hi = last;
  } else {
    domain.cachedLo = pfn;
    domain.cachedHi = last;
  }
  return pfn;
}

/** Places a range without RULE_TWO_NODES. */
export function allocOneNode(domain: IovaDomain, size: u64, limit: u64, aligned: bool): u64 {
  const low32 = limit == domain.line;
  const mask = alignMask(size, aligned);
  const codes = codesFor(aligned);
  // Without a remembered node the whole space is searched.
  const pfn = low32 && domain.cached32Lo <= limit
    ? search(domain, domain.cached32Lo, size, mask, codes)
    : searchAll(domain, limit + 1, size, mask, codes);
  if (pfn == 0) return NO_PLACE;
  const last = pfn + size - 1;
  if (!insertAt(domain, fingerOf(domain), pfn, last)) return NO_MEMORY;
  if (low32) {
    domain.cached32Lo = pfn;
    domain.cached32Hi = last;
  }
  return pfn;
}

/** Updates the remembered nodes before the range at the path is freed. */
export function forget(domain: IovaDomain): void {
  const path = pathOf(domain);
  const leaf = pathNode(path, 0);
  const i = pathIndex(path, 0);
  const lo = loOf(leaf, i);
  const hi = hiOf(leaf, i);
  const inLeaf = i + 1 < LEAF_MAX;
  const nextLeaf = inLeaf ? leaf : <usize>load<u32>(leaf, NEXT);
  const next = inLeaf ? i + 1 : firstOf(nextLeaf);
  if ((domain.rules & RULE_TWO_NODES) == 0) {
    if (domain.cached32Hi != ANCHOR && lo >= domain.cached32Lo) {
      const above = loOf(nextLeaf, next);
      domain.cached32Lo = above < domain.line ? above : ANCHOR;
      domain.cached32Hi = above < domain.line ? hiOf(nextLeaf, next) : ANCHOR;
    }
    return;
  }
  if (hi == domain.cached32Hi || (hi < domain.line && lo >= domain.cached32Lo)) {
    domain.cached32Lo = loOf(nextLeaf, next);
    domain.cached32Hi = hiOf(nextLeaf, next);
  }
  if (lo < domain.line) domain.max32 = domain.line;
  if (lo >= domain.cachedLo) {
    domain.cachedLo = loOf(nextLeaf, next);
    domain.cachedHi = hiOf(nextLeaf, next);
  }
}
