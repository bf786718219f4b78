import { type ErrnoName, GemDmaError } from '../../core/errors.js';
import { PAGE_SIZE } from '../../core/generated/constants.js';
import { LIBRARY } from '../../core/life.js';
import type { I915Options } from '../../i915/config.js';
import type { GemObject } from '../../i915/object.js';
import { POLICIES } from '../../i915/policy/index.js';
import type { PresetPolicy } from '../../i915/policy/preset.js';
import { kernelWith } from '../../kernels/kernels.js';
import { scenarioConfig } from '../../stress/config/configure.js';
import type { OperationScenario } from '../../stress/config/scenario.js';
import { dmaVocabulary } from '../../stress/dma/part.js';
import type { Operation } from '../../stress/engine/operation.js';
import { Repertoire } from '../../stress/world/vocabulary.js';
import { World } from '../../stress/world/world.js';
import { I915Part } from '../../stress-i915/part.js';
import { i915Vocabulary } from '../../stress-i915/vocabulary.js';
import { once, POLICY_NAMES, type Scenario, type ScenarioOptions, type ScenarioResult } from './scenario.js';

/**
 * The paths on which i915 leaked DMA mappings while it mapped at bind, L1 to L7: each path alone, on its own machine, with everything
 * freed at the end. A mapping that is still live then is leaked.
 *
 * The ranges of the IOVA allocator are counted: under the kernel of 2015 each mapping of a list is one range per segment.
 *
 * The paths are written in the operations of the stress runs, so that these can run them too: `gemdma stress --fail-nth L3`
 * makes every allocation on a path fail. `refused` is the errno of an operation that may be refused.
 */

interface LeakPath {
  title: string;
  gpu: I915Options;
  /** Mappings that are lost under a policy. */
  leaks(policy: PresetPolicy): number;
  operations: readonly Operation[];
}

const FULL: I915Options = { gen: 8, ppgtt: 'full' };
/** The kernel of 2015 under i915: its drm_mm has the hole stack. */
const KERNEL = kernelWith(({ drmMm }) => drmMm === '2015');
/** Rounds of binding and unbinding in L2. */
const ROUNDS = 8;
/** Alignments that an object is moved for in L3, one after the other. */
const ALIGNMENTS = [2 ** 19, 2 ** 20, 2 ** 21];
/** Pages of the objects that lose their mappings: 1 MiB. */
const PAGES = 256;
const GGTT = 0;

const context = (id: number): Operation => ({ op: 'context', id, gpu: 0 });
const contextClose = (ctx: number): Operation => ({ op: 'contextClose', ctx });
const create = (id: number, pages = PAGES): Operation => ({ op: 'create', id, gpu: 0, pages });
const close = (bo: number): Operation => ({ op: 'close', bo });
const bind = (bo: number, ctx: number): Operation => ({ op: 'bind', bo, gpu: 0, ctx });
const unbind = (bo: number, ctx: number): Operation => ({ op: 'unbind', bo, gpu: 0, ctx });
const exec = (ctx: number, bos: number[], aligns?: number[]): Operation => ({
  ...{ op: 'exec', gpu: 0, ctx, bos, busy: 1 },
  ...(aligns && { aligns }),
});

/** Makes the n-th allocation of a kind fail in the operation, which may fail with it or make fewer allocations. */
const failing = (kind: string, nth: number, operation: Operation): Operation[] => [
  { op: 'fault', kind, nth },
  { ...operation, refused: 'ENOMEM' },
  { op: 'fault', kind, nth: 0 },
];

/**
 * Leaves a vma that was never bound: an execbuf looks all objects up and fails at the first, whose pages are gone.
 * @param purged id for that one
 */
const placeholder = (bo: number, ctx: number, purged: number): Operation[] => [
  create(purged, 1),
  { op: 'madvise', bo: purged, needed: false },
  { ...exec(ctx, [purged, bo]), refused: 'EFAULT' },
  close(purged),
];

/** Bound in one context, and looked up without being bound in the other. */
const bindBoth = (bo: number, one: number, two: number, purged: number, boundFirst: boolean): Operation[] =>
  boundFirst ? [bind(bo, one), ...placeholder(bo, two, purged)] : [...placeholder(bo, two, purged), bind(bo, one)];

/** One object that is freed, and one whose process takes its memory away; six things from an id on. */
const freedAndInvalidated = (id: number, boundFirst: boolean): Operation[] => {
  const [one, two, freed, purged, borrowed, another] = [0, 1, 2, 3, 4, 5].map((i) => id + i);
  return [
    ...[context(one), context(two), create(freed), ...bindBoth(freed, one, two, purged, boundFirst)],
    { op: 'userptr', id: borrowed, gpu: 0, pages: PAGES, populate: true },
    ...[...bindBoth(borrowed, one, two, another, boundFirst), { op: 'invalidate', bo: borrowed }],
    ...[close(borrowed), close(freed), contextClose(two), contextClose(one)],
  ];
};

const PATHS: Readonly<Record<string, LeakPath>> = {
  L1: {
    title: 'a second address space binds what one has bound already',
    gpu: FULL,
    leaks: ({ remaps }) => (remaps ? 1 : 0),
    operations: [context(1), create(2), bind(2, 1), bind(2, GGTT), unbind(2, GGTT), unbind(2, 1), close(2)],
  },
  L2: {
    title: `one vma stays bound while another is bound and unbound ${ROUNDS} times`,
    gpu: FULL,
    // Every round makes a mapping; where each unbind ends one, a single one is over.
    leaks: ({ remaps, unmapsAt }) => (remaps ? (unmapsAt === 'unbind' ? 1 : ROUNDS) : 0),
    operations: [
      ...[context(1), create(2), bind(2, 1)],
      ...Array.from({ length: ROUNDS }, () => [bind(2, GGTT), unbind(2, GGTT)]).flat(),
      ...[unbind(2, 1), close(2)],
    ],
  },
  L3: {
    title: `execbuf moves an object ${ALIGNMENTS.length} times, and the vma that is kept keeps the mapping`,
    gpu: FULL,
    leaks: ({ unmapsAt }) => (unmapsAt === 'lastVma' ? ALIGNMENTS.length : 0),
    operations: [
      ...[context(1), create(2), create(3, 16), create(4, 1), bind(4, 1), exec(1, [2, 3])],
      ...ALIGNMENTS.flatMap((alignment, i) => [
        // A small object before it, so that the place does not have the next alignment by chance.
        create(5 + i, 1),
        { ...bind(5 + i, 1), bias: alignment / 2 },
        exec(1, [2, 3], [alignment, 0]),
      ]),
      // Until the GPU is done.
      { op: 'advance', ms: 5 },
    ],
  },
  L4: {
    title: 'the last bound vma goes while a placeholder is left',
    gpu: FULL,
    leaks: ({ unmapsAt }) => (unmapsAt === 'lastVma' ? 1 : 0),
    operations: [context(1), context(2), create(3), bind(3, 1), ...placeholder(3, 2, 4), unbind(3, 1), close(3)],
  },
  L5: {
    title: 'page tables of gen7 cannot be had once the object is mapped',
    gpu: { gen: 7, ppgtt: 'full' },
    leaks: ({ remaps, pageTables, undoes }) =>
      remaps && pageTables?.(7) === 'bind' && !undoes.includes('page-tables') ? 1 : 0,
    // The first allocation of the bind is its node, the second its page table, if the driver allocates one at bind.
    operations: [context(1), create(2), ...failing('gtt', 2, bind(2, 1)), bind(2, 1), unbind(2, 1), close(2)],
  },
  L6: {
    title: 'a second view fails to bind: the wrong mapping is undone, twice',
    gpu: FULL,
    leaks: ({ remaps }) => (remaps ? 1 : 0),
    operations: [
      ...[create(1), bind(1, GGTT)],
      // Rotated, 16 pages wide and high.
      ...failing('sg', 1, { op: 'bindView', bo: 1, gpu: 0, ctx: GGTT, view: [0, 16, 16] }),
      ...[unbind(1, GGTT), close(1)],
    ],
  },
  L7: {
    title: 'freed, or invalidated, with the bound vma before a placeholder',
    gpu: FULL,
    leaks: ({ unmapsAt }) => (unmapsAt === 'lastVma' ? 2 : 0),
    operations: [...freedAndInvalidated(1, true), ...freedAndInvalidated(7, false)],
  },
};

/** The paths as sequences of operations. */
export const LEAK_PATHS: readonly OperationScenario[] = Object.entries(PATHS).map(([name, path]) => ({
  ...{ name, title: path.title, operations: path.operations },
  config: { machine: { kernel: KERNEL, iommu: 'strict', ram: '128MiB' }, gpus: [path.gpu], devices: [] },
}));

/** Ranges that the allocator of the device's domain holds, and their bytes. */
function ranges({ machine, gpus: [gpu] }: I915Part): { count: number; bytes: number } {
  const { domain } = gpu.dmaDevice;
  if (domain === undefined || domain === 'passthrough') return { count: 0, bytes: 0 };
  const { iovaFoundHi, iovaFoundLo } = machine.core.exports;
  const { iovaNextRange } = machine.core.tools;
  const held = { count: 0, bytes: 0 };
  for (let pfn = 0; iovaNextRange(domain.iova, pfn); pfn = iovaFoundHi(domain.iova) + 1) {
    ++held.count;
    held.bytes += (iovaFoundHi(domain.iova) + 1 - iovaFoundLo(domain.iova)) * PAGE_SIZE;
  }
  return held;
}

/** Does the operations of a path, refusals included. Returns every object that there was. */
function walk(
  world: World,
  repertoire: Repertoire,
  operations: readonly Operation[],
  onStep: ScenarioOptions['onStep'],
): Set<GemObject> {
  const objects = new Set<GemObject>();
  for (const operation of operations) {
    try {
      repertoire.kindOf(operation).apply(world, operation);
    } catch (error) {
      if (operation.refused === undefined || !GemDmaError.is(error, operation.refused as ErrnoName)) throw error;
    }
    for (const { object } of world.part(I915Part).objects.values()) objects.add(object);
    onStep?.({ program: repertoire.kindOf(operation).print(operation), events: world.machine.events.drain() });
  }
  return objects;
}

/** Gives back what is still there. */
function giveBack({ objects, contexts }: I915Part): void {
  for (const { object } of objects.values()) object.release();
  for (const [, context] of contexts.entries()) context.release();
}

function runPath(path: OperationScenario, { policy, seed, onStep }: ScenarioOptions): ScenarioResult {
  const { name, operations } = path;
  const repertoire = new Repertoire([i915Vocabulary({ policy }), dmaVocabulary]);
  const world = new World(LIBRARY, scenarioConfig(path, { seed }, repertoire), repertoire);
  const { machine } = world;
  const part = world.part(I915Part);
  const [gpu] = part.gpus;
  const before = ranges(part);
  if (onStep) machine.events.start();
  const objects = walk(world, repertoire, operations, onStep);
  giveBack(part);
  onStep?.({ program: ['// what is left is given back'], events: machine.events.drain() });
  const after = ranges(part);
  let maps = 0;
  let unmaps = 0;
  for (const object of objects) {
    maps += object.maps;
    unmaps += object.unmaps;
  }
  const leakedMappings = after.count - before.count;
  const report = machine.dmaDebug.report();
  machine.check();
  // A caller's policy must leak nothing.
  const expected = typeof policy === 'string' ? PATHS[name].leaks(POLICIES[policy]) : 0;
  return {
    scenario: name,
    policy: gpu.policy.name,
    ok: leakedMappings === expected && report.lost.count === expected,
    maps,
    unmaps,
    live: leakedMappings,
    leakedMappings,
    leakedIovaBytes: after.bytes - before.bytes,
    expectedLeaks: expected,
    /** Calls of dma_unmap_sg without a mapping: the address had been freed before. */
    staleUnmaps: unmaps - (maps - leakedMappings),
    /** The report of our checker: mappings lost, and how often each check failed. */
    dmaDebug: { lost: report.lost.count, lostIovaBytes: report.lost.iovaBytes, findings: report.findings },
    i915: gpu.config,
    config: machine.config,
  };
}

export const leakPaths: readonly Scenario[] = LEAK_PATHS.map((path) => ({
  name: path.name,
  title: path.title,
  group: 'leak paths of i915',
  policies: POLICY_NAMES,
  steps: true,
  anyPolicy: true,
  run: (options) => once(() => runPath(path, options), path.name),
}));
