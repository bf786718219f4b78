// Checks of all structures of iova/. Each check has a number, which the result of a failure is.

import { Context } from '../memory/context';
import { IovaDomain, iovaStateOf } from './iova-domain';
import { fastCheck } from './fast';
import {
  ANCHOR, CAP, INNER_GAP, INNER_MAX, LEAF_GAP, LEAF_MAX, LOW, NEXT, capOf, childOf, codeOf, countOf, gapStart,
  hiOf, innerTop, keyOf, leafTop, loOf, UNUSED_HI, UNUSED_KEY, usedOf,
} from './node';
import { innerUsed, leafUsed } from './balance';
import { rcacheCheck } from './rcache';

const BAD_COUNT: u32 = 1;
const BAD_ORDER: u32 = 2;
const BAD_EDGE: u32 = 3;
const BAD_CODE: u32 = 4;
const BAD_UNUSED: u32 = 5;
const BAD_KEY: u32 = 6;
const BAD_SUMMARY: u32 = 7;
const BAD_USED: u32 = 8;
const BAD_CHAIN: u32 = 9;
const BAD_TOTAL: u32 = 10;
const BAD_CACHED: u32 = 11;
const BAD_MAGAZINE: u32 = 12;
const BAD_SPAN: u32 = 13;

/**
 * Walks a domain: order and disjointness of its ranges, what each node says about its gaps and children, counters,
 * remembered nodes, magazines.
 * @returns 0, or the number of the first check that failed
 */
export function iovaDomainCheck(domain: IovaDomain): u32 {
  domain.checkedRanges = 0;
  domain.checkedNodes = 0;
  domain.checkedLeaf = 0;
  const wrong = checkNode(domain, domain.root, domain.height, 0);
  if (wrong != 0) return wrong;
  const last = domain.checkedLeaf;
  if (load<u32>(last, NEXT) != 0 || loOf(last, LEAF_MAX - 1) != ANCHOR) return BAD_CHAIN;
  if (domain.checkedRanges != domain.ranges + 1) return BAD_TOTAL;
  const used = domain.height == 0 ? leafUsed(domain.root) : innerUsed(domain.root);
  if (used != domain.used) return BAD_TOTAL;
  // Each remembered node is a range of the tree, or the anchor.
  if (domain.checkedNodes != 3) return BAD_CACHED;
  if (!rcacheCheck(domain)) return BAD_MAGAZINE;
  return fastCheck(domain) ? 0 : BAD_SPAN;
}

function checkNode(domain: IovaDomain, node: usize, level: u32, low: u64): u32 {
  const count = countOf(node);
  if (level == 0) return checkLeaf(domain, node, low);
  if (count > INNER_MAX || count < 2) return BAD_COUNT;
  if (keyOf(node, 0) != 0) return BAD_KEY;
  for (let i: u32 = 0; i < INNER_MAX; ++i) {
    const code = node + (<usize>i << 1);
    if (i >= count) {
      if (keyOf(node, i) != UNUSED_KEY || load<u16>(code, CAP) != 0 || load<u16>(code, INNER_GAP) != 0) return BAD_UNUSED;
      continue;
    }
    const key = i == 0 ? low : keyOf(node, i);
    if (i != 0 && key < (i == 1 ? low : keyOf(node, i - 1))) return BAD_KEY;
    const child = childOf(node, i);
    const wrong = checkNode(domain, child, level - 1, key);
    if (wrong != 0) return wrong;
    const top = level == 1 ? leafTop(child) : innerTop(child);
    if (load<u16>(code, CAP) != <u16>top || load<u16>(code, INNER_GAP) != <u16>(top >> 16)) return BAD_SUMMARY;
    if (usedOf(node, i) != (level == 1 ? leafUsed(child) : innerUsed(child))) return BAD_USED;
  }
  return 0;
}

function checkLeaf(domain: IovaDomain, leaf: usize, low: u64): u32 {
  const count = countOf(leaf);
  if (count > LEAF_MAX || count == 0) return BAD_COUNT;
  const previous = domain.checkedLeaf;
  if (previous != 0) {
    if (load<u32>(previous, NEXT) != <u32>leaf) return BAD_CHAIN;
    const edge = hiOf(previous, LEAF_MAX - 1) + 1;
    if (load<u64>(leaf, LOW) != edge || low != edge) return BAD_EDGE;
  }
  domain.checkedLeaf = leaf;
  domain.checkedRanges += count;
  for (let i: u32 = 0; i < LEAF_MAX; ++i) {
    const code = leaf + (<usize>i << 1);
    if (i < LEAF_MAX - count) {
      if (hiOf(leaf, i) != UNUSED_HI || load<u16>(code, CAP) != 0 || load<u16>(code, LEAF_GAP) != 0) return BAD_UNUSED;
      continue;
    }
    const lo = loOf(leaf, i);
    const hi = hiOf(leaf, i);
    const start = gapStart(leaf, i);
    // Only below the domain's start may a range begin inside "its" gap's start: a reservation put it there.
    if (lo > hi || (lo < start && (i != LEAF_MAX - count || previous != 0))) return BAD_ORDER;
    const length = lo > start ? lo - start : 0;
    if (load<u16>(code, CAP) != <u16>codeOf(capOf(start, lo))) return BAD_CODE;
    if (load<u16>(code, LEAF_GAP) != <u16>codeOf(length)) return BAD_CODE;
    if (lo == domain.cachedLo && hi == domain.cachedHi) domain.checkedNodes |= 1;
    if (lo == domain.cached32Lo && hi == domain.cached32Hi) domain.checkedNodes |= 2;
  }
  return 0;
}

/** iovaDomainCheck for every domain of a context. */
export function iovaCheck(ctx: Context): u32 {
  if (ctx.iova == 0) return 0;
  for (let domain = iovaStateOf(ctx)!.domains; domain != null; domain = domain!.next) {
    const wrong = iovaDomainCheck(domain);
    if (wrong != 0) return (<u32>changetype<usize>(domain) & 0x0ffffff0) | wrong;
  }
  return 0;
}
