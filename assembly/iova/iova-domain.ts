// The records of iova/: a domain (struct iova_domain) and the room's state, one per context.


import { Context } from '../memory/context';
import { addressOf } from '../memory/record';
import { CacheOf, slabAllocZeroed, slabCacheCreate, slabCacheCreate } from '../memory/slab';
import { INNER_SIZE, LEAF_SIZE } from './node';
import { Magazine } from './rcache';
import { Span } from './span';

// IovaDomain.rules: the properties in which allocators differ. The host has the rules of each kernel (src/iova/allocators.ts).

/** Our own allocator (fast.ts): ranges are slots of spans; the rules of a search do not apply. */
export const RULE_SPANS: u32 = 1;
/** Magazines and depots cache freed ranges (iova_domain_init_rcaches). */
export const RULE_CACHES: u32 = 2;
/**
 * Two nodes are remembered, one for limits below the 32-bit line and one for the others, and the tree has an anchor. Without
 * it one node is, for a limit that is exactly the line.
 */
export const RULE_TWO_NODES: u32 = 4;
/** If nothing is found below the remembered node, the space above it is searched, too (only with RULE_TWO_NODES). */
export const RULE_SECOND_PASS: u32 = 8;
/** 32-bit requests of the size that failed last, or more, fail without a search (max32_alloc_size; RULE_TWO_NODES). */
export const RULE_MAX32: u32 = 16;
/** Aligned sizes are rounded up to their power of two. */
export const RULE_ROUND: u32 = 32;
/** alloc_iova_fast rounds sizes below 32 pages up to their power of two. */
export const RULE_ROUND_FAST: u32 = 64;
/** start_pfn itself is never handed out. */
export const RULE_ABOVE_START: u32 = 128;

/** All rules. */
export const RULES: u32 = 255;

/** Levels of inner nodes that an index can have: far more than 2^32 bytes of nodes can make. */
export const MAX_HEIGHT: u32 = 15;

// @ts-ignore: decorator
@unmanaged
export class IovaDomain {
  guard: u64;
  ctx: Context;
  /** RULE_* */
  rules: u32;
  /** Root of the index and the number of inner levels above the leaves. */
  root: usize;
  height: u32;
  /** Lowest pfn that may be handed out. */
  start: u64;
  /** dma_32bit_pfn as the kernel has it: the first pfn above 4 GiB in 6.12, the last one below in 4.2. */
  line: u64;
  /** Ranges, and pages in them; the anchor is in neither. */
  ranges: u32;
  granuleShift: u32;
  used: u64;
  /** Cached nodes as ranges; a node's end never changes, a reservation may move its start. The anchor stands for none. */
  cachedLo: u64;
  cachedHi: u64;
  cached32Lo: u64;
  cached32Hi: u64;
  /** max32_alloc_size. */
  max32: u64;
  /** The range that the last find, free or reserve of this domain was about. */
  foundLo: u64;
  foundHi: u64;
  /** Online CPUs: what the depots are trimmed to. */
  cpus: u32;
  /** pfns that a magazine of this domain holds (rcache.ts). */
  magazinePfns: u32;
  /** CPUs with magazines, and the arrays of rcache.ts; 0 without them. */
  cacheCpus: u32;
  magazines: usize;
  depots: usize;
  /** Lists of the fast allocator and the map of its spans (fast.ts, span.ts). */
  lists: usize;
  spans: u32;
  /** Inner nodes set aside for a split, linked through their first word. */
  spareInner: usize;
  /** Next domain of the context, for the machine's check. */
  next: IovaDomain | null;
  /** The state of a check: ranges so far, last leaf, and a bit per remembered node that was found. */
  checkedRanges: u32;
  checkedLeaf: usize;
  checkedNodes: u32;
  /** Counts changes of the index. */
  changes: u32;
  /**
   * What the last search of everything below a limit had no gap for: its size, its limit's end, the codes it went by,
   * and `changes` at that time. Until the next change nothing larger below that limit need be looked for.
   */
  exhaustedAt: u32;
  exhaustedCodes: u32;
  exhaustedEnd: u64;
  exhaustedSize: u64;
  /** Free pages below an end, and `changes` when they were counted last. */
  freePages: u64;
  freeEnd: u64;
  freeAt: u32;
  /** WAY_FOUND, WAY_LOCATED: which ways lead through nodes as they are. */
  ways: u32;
  /** Two ways to a range: node and index for each level, leaves first (PATH, FINGER). */
  path0: u64; path1: u64; path2: u64; path3: u64; path4: u64; path5: u64; path6: u64; path7: u64; path8: u64;
  path9: u64; path10: u64; path11: u64; path12: u64; path13: u64; path14: u64; path15: u64;
  finger0: u64; finger1: u64; finger2: u64; finger3: u64; finger4: u64; finger5: u64; finger6: u64; finger7: u64;
  finger8: u64; finger9: u64; finger10: u64; finger11: u64; finger12: u64; finger13: u64; finger14: u64; finger15: u64;
}

/** The path of the last search (FINGER) is valid. */
export const WAY_FOUND: u32 = 1;
/** The path of the last locate (PATH) is valid, and no search has looked there yet. */
export const WAY_LOCATED: u32 = 2;

const PATH: usize = offsetof<IovaDomain>('path0');
const FINGER: usize = offsetof<IovaDomain>('finger0');

/** The path of the last locate. */
// @ts-ignore: decorator
@inline
export function pathOf(domain: IovaDomain): usize {
  return changetype<usize>(domain) + PATH;
}

/** The path of the last search, where the next one often begins. */
// @ts-ignore: decorator
@inline
export function fingerOf(domain: IovaDomain): usize {
  return changetype<usize>(domain) + FINGER;
}

// @ts-ignore: decorator
@unmanaged
export class IovaState {
  domainCache: CacheOf<IovaDomain>;
  /** Nodes of the index (node.ts). */
  leafCache: CacheOf<usize>;
  innerCache: CacheOf<usize>;
  magazineCache: CacheOf<Magazine>;
  spanCache: CacheOf<Span>;
  domains: IovaDomain | null;
  guard: u64;
}

export const MAGAZINE_BYTES: usize = 1024;
export const SPAN_BYTES: usize = 64;

/** The room's state; null before the first domain of a context is made. */
// @ts-ignore: decorator
@inline
export function iovaStateOf(ctx: Context): IovaState | null {
  return changetype<IovaState | null>(ctx.iova);
}

/** The room's state, made when the first domain of a context is; null without memory. */
export function iovaState(ctx: Context): IovaState | null {
  if (ctx.iova != 0) return iovaStateOf(ctx);
  // The caches first: they hold no record, so that a failure on the way leaves none behind.
  const holder = slabCacheCreate<IovaState>(ctx, offsetof<IovaState>());
  const domains = slabCacheCreate<IovaDomain>(ctx, offsetof<IovaDomain>());
  const leaves = slabCacheCreate<usize>(ctx, LEAF_SIZE);
  const inners = slabCacheCreate<usize>(ctx, INNER_SIZE);
  const magazines = slabCacheCreate<Magazine>(ctx, MAGAZINE_BYTES);
  const spans = slabCacheCreate<Span>(ctx, SPAN_BYTES);
  if (holder == null || domains == null || leaves == null || inners == null || magazines == null || spans == null) return null;
  const state = slabAllocZeroed(holder);
  if (state == null) return null;
  state.domainCache = domains;
  state.leafCache = leaves;
  state.innerCache = inners;
  state.magazineCache = magazines;
  state.spanCache = spans;
  ctx.iova = addressOf(state);
  return state;
}

// @ts-ignore: decorator
@inline
export function stateOf(domain: IovaDomain): IovaState {
  return iovaStateOf(domain.ctx)!;
}
