import { frozen } from '../core/arguments.js';
import {
  RULE_ABOVE_START,
  RULE_CACHES,
  RULE_MAX32,
  RULE_ROUND,
  RULE_ROUND_FAST,
  RULE_SECOND_PASS,
  RULE_SPANS,
  RULE_TWO_NODES,
} from '../core/generated/constants.js';

/** What an IOVA allocator does; the core has these properties and no names of allocators. */
export interface AllocatorRules {
  /** Ours: ranges come from spans, in constant time. Otherwise they are those that the kernel's search finds. */
  readonly spans: boolean;
  /** Has magazines and depots (iova_domain_init_rcaches). */
  readonly magazines: boolean;
  /**
   * Caches two nodes, for limits below 4 GiB and for others, and has an anchor above all ranges (iovad->anchor), which tree walks
   * meet. Otherwise it caches one node, for a limit that is exactly the 32-bit limit.
   */
  readonly anchored: boolean;
  /** Searches again from the top if nothing was found below the cached node. */
  readonly secondPass: boolean;
  /** Remembers the size that failed below 4 GiB (max32_alloc_size). */
  readonly max32: boolean;
  /** Rounds aligned sizes up to a power of two: always, or only those below 32 pages in alloc_iova_fast. */
  readonly rounds: 'aligned' | 'cached' | 'never';
  /** Never hands out start_pfn itself. */
  readonly aboveStart: boolean;
  /** dma_32bit_pfn is the last pfn below 4 GiB, not the first one above. */
  readonly lineBelow: boolean;
  /** The DMA API allocates through it with alloc_iova_fast, which tries caches first; otherwise with alloc_iova. */
  readonly fastPath: boolean;
}

const TREE_612 = {
  spans: false,
  magazines: false,
  anchored: true,
  secondPass: true,
  max32: true,
  rounds: 'cached',
  aboveStart: false,
  lineBelow: false,
  fastPath: true,
} as const satisfies AllocatorRules;

/**
 * An allocator by name: `tree-4.2` and `tree-6.12`, the trees of these kernels alone; `rcache`, that of 6.12 with its magazine
 * caches in front of the tree (iova_rcache); `fast`, our own, which takes any hole that fits, in constant time.
 */
export type AllocatorName = 'tree-4.2' | 'tree-6.12' | 'rcache' | 'fast';

/** All allocators by name. */
export const ALLOCATORS: Readonly<Record<AllocatorName, AllocatorRules>> = frozen({
  'tree-4.2': {
    ...TREE_612,
    anchored: false,
    secondPass: false,
    max32: false,
    rounds: 'aligned',
    aboveStart: true,
    lineBelow: true,
    fastPath: false,
  },
  'tree-6.12': TREE_612,
  rcache: { ...TREE_612, magazines: true },
  fast: { ...TREE_612, spans: true, secondPass: false, max32: false, rounds: 'never' },
});

export const ALLOCATOR_NAMES = Object.keys(ALLOCATORS) as readonly AllocatorName[];

/** The allocator of an IOVA domain by itself, and of a domain of the DMA API, without that option. */
export const DEFAULT_ALLOCATOR = 'tree-6.12';
export const DEFAULT_DMA_ALLOCATOR = 'rcache';

/** The rules as the core takes them: RULE_*. */
export function ruleFlags(rules: AllocatorRules): number {
  return (
    (rules.spans ? RULE_SPANS : 0) |
    (rules.magazines ? RULE_CACHES : 0) |
    (rules.anchored ? RULE_TWO_NODES : 0) |
    (rules.secondPass ? RULE_SECOND_PASS : 0) |
    (rules.max32 ? RULE_MAX32 : 0) |
    (rules.rounds === 'aligned' ? RULE_ROUND : 0) |
    (rules.rounds === 'cached' ? RULE_ROUND_FAST : 0) |
    (rules.aboveStart ? RULE_ABOVE_START : 0)
  );
}
