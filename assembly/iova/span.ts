// Spans (RULE_SPANS): 64 slots of one size each, 1 to 32 pages, aligned to the span's size; and the map of spans by pfn.
//
//   span   base pfn, a bit for each slot that is free, a bit for each that another CPU has freed, links, owner, order
//
// The map is a radix tree over pfn >> 6: no two spans share 64 aligned pages. A node is a block of 1,024 words; the
// root's handle carries the height in its low bits, so that readers need no lock: nodes are only freed with the
// domain.

import { blockAllocZeroed, blockFree } from '../memory/block';
import { slabFree } from '../memory/slab';
import { IovaDomain, stateOf } from './iova-domain';

export const SLOTS: u32 = 64;
export const ALL_FREE: u64 = 0xffffffffffffffff;

// @ts-ignore: decorator
@unmanaged
export class Span {
  base: u64;
  /** Pages of the domain below this pfn: base + 64 slots. */
  end: u64;
  free: u64;
  remote: u64;
  /** The owner's list of spans with free slots. */
  next: Span | null;
  previous: Span | null;
  /** The owner's list of spans in which others freed slots. */
  returned: Span | null;
  cpu: u32;
  order: u32;
  zone: u32;
}

/** The head of a list of spans: one word of IovaDomain.lists (fast.ts). */
// @ts-ignore: decorator
@unmanaged
export class SpanList {
  first: Span | null;
}

const KEY_SHIFT: u64 = 6;
const NODE_BITS: u64 = 10;
const NODE_MASK: u64 = (1 << 10) - 1;
const HEIGHT_MASK: u32 = 0xfff;

/** The span that a pfn is in. */
export function spanAt(domain: IovaDomain, pfn: u64): Span | null {
  return spanInline(domain, pfn);
}

/** The same for the hot path. */
// @ts-ignore: decorator
@inline
export function spanInline(domain: IovaDomain, pfn: u64): Span | null {
  const root = domain.spans;
  const height = root & HEIGHT_MASK;
  const key = pfn >> KEY_SHIFT;
  if (height == 0 || key >> (<u64>height * NODE_BITS) != 0) return null;
  let node: usize = root & ~HEIGHT_MASK;
  for (let level = height; --level != 0; ) {
    node = load<u32>(node + (<usize>((key >> (<u64>level * NODE_BITS)) & NODE_MASK) << 2));
    if (node == 0) return null;
  }
  return changetype<Span | null>(load<u32>(node + (<usize>(key & NODE_MASK) << 2)));
}

// The word of a key, made if need be; 0 without memory.
function wordOf(domain: IovaDomain, key: u64): usize {
  const ctx = domain.ctx;
  while ((domain.spans & HEIGHT_MASK) == 0 || key >> (<u64>(domain.spans & HEIGHT_MASK) * NODE_BITS) != 0) {
    const node = blockAllocZeroed(ctx, 0);
    if (node == 0) return 0;
    store<u32>(node, domain.spans & ~HEIGHT_MASK);
    domain.spans = <u32>node | ((domain.spans & HEIGHT_MASK) + 1);
  }
  let node: usize = domain.spans & ~HEIGHT_MASK;
  for (let level = domain.spans & HEIGHT_MASK; --level != 0; ) {
    const word = node + (<usize>((key >> (<u64>level * NODE_BITS)) & NODE_MASK) << 2);
    node = load<u32>(word);
    if (node != 0) continue;
    node = blockAllocZeroed(ctx, 0);
    if (node == 0) return 0;
    store<u32>(word, <u32>node);
  }
  return node + (<usize>(key & NODE_MASK) << 2);
}

/** Enters a span into the map, or takes it out. Returns false without memory for a node of the map. */
export function spanEnter(domain: IovaDomain, span: Span, present: bool): bool {
  // 1 << order keys, aligned: all in one node.
  const words = wordOf(domain, span.base >> KEY_SHIFT);
  if (words == 0) return false;
  const handle = present ? <u32>changetype<usize>(span) : 0;
  for (let i: usize = 0; i < <usize>1 << span.order; ++i) store<u32>(words + (i << 2), handle);
  return true;
}

/** Frees all spans and the map. The ranges that they had in the tree are the caller's to free. */
export function spansDestroy(domain: IovaDomain): void {
  const height = domain.spans & HEIGHT_MASK;
  if (height != 0) freeNode(domain, domain.spans & ~HEIGHT_MASK, height, 0);
  domain.spans = 0;
}

function freeNode(domain: IovaDomain, node: usize, height: u32, key: u64): void {
  for (let i: u64 = 0; i <= NODE_MASK; ++i) {
    const at: usize = load<u32>(node + (<usize>i << 2));
    if (at == 0) continue;
    if (height > 1) freeNode(domain, at, height - 1, (key + i) << NODE_BITS);
  }
  if (height == 1) freeSpans(domain, node);
  blockFree(domain.ctx, node);
}

function freeSpans(domain: IovaDomain, node: usize): void {
  for (let i: usize = 0; i <= <usize>NODE_MASK; ) {
    const at: usize = load<u32>(node + (i << 2));
    if (at == 0) {
      ++i;
      continue;
    }
    const span = changetype<Span>(at);
    i += <usize>1 << span.order;
    slabFree(stateOf(domain).spanCache, span);
  }
}

/** Pages in slots that are free, over all spans. */
export function spansFree(domain: IovaDomain): u64 {
  const height = domain.spans & HEIGHT_MASK;
  return height == 0 ? 0 : freeBelow(domain.spans & ~HEIGHT_MASK, height);
}

function freeBelow(node: usize, height: u32): u64 {
  let pages: u64 = 0;
  for (let i: usize = 0; i <= <usize>NODE_MASK; ) {
    const at: usize = load<u32>(node + (i << 2));
    if (at == 0) ++i;
    else if (height > 1) {
      pages += freeBelow(at, height - 1);
      ++i;
    } else {
      const span = changetype<Span>(at);
      pages += popcnt<u64>(span.free | span.remote) << span.order;
      i += <usize>1 << span.order;
    }
  }
  return pages;
}
