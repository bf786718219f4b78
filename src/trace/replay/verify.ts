import { comparesCoherent, type InferredSpace, infer } from './infer.js';
import { type InferredPool, inferPool } from './infer-pool.js';
import { verifyLazy } from './lazy.js';
import { OP, Operations, SHAPE } from './operations.js';
import { ReplayRun } from './run.js';

/** Runs a trace's calls through the emulator under the recorded configuration, and compares every address. */

/** A call whose address the emulator gave otherwise. */
export interface VerifyDifference {
  /** Seconds of trace time. */
  time: number;
  /** Name of the device. */
  device: string;
  /** CPU that made the call. */
  cpu: number;
  /** The address that the trace has. */
  recorded: number;
  /** The address that the emulator gave; null for a call that it refused. */
  got: number | null;
  /** Pages of address space that the call takes. */
  pages: number;
}

/** What came of replaying a trace under the recorded configuration. */
export interface TraceVerification {
  /** How the device was translated, as it was inferred. */
  mode: 'strict' | 'lazy' | 'direct' | 'swiotlb';
  /** Calls whose address was compared. */
  compared: number;
  /** Calls whose address was the recorded one. */
  matched: number;
  /** The first 20 calls of the others. */
  differences: VerifyDifference[];
  /** What was there when the trace began, as far as its calls show it. */
  inferred: {
    /** Mappings that were live. */
    live: number;
    /** Ranges that waited in magazines. */
    cached: number;
    /** Holes below ranges of which the trace shows nothing. */
    holes: number;
    /** Addresses that the tree gave, not a magazine. */
    fromTree: number;
  };
  /** Only with `lazy`: when the flush queue's timer ran, as it was inferred. */
  tick?: {
    /** Ticks of the kernel a second (CONFIG_HZ). */
    hz: number;
    /** Nanoseconds of trace time at which one of the ticks was. */
    phase: number;
    /** Flushes that deviate from the timer's rule. */
    corrections: number;
  };
}

const MAX_DIFFERENCES = 20;
/** Below that share of addresses it may be that the IOMMU is lazy. */
const STRICT = 0.98;
/** Pages of a set of slots: the begins of a pool that make a difference. */
const SET_PAGES = 64;
/** Rounds in which a call that did not match is taken to have come out of a magazine. */
const MAX_ROUNDS = 24;

/**
 * Verifies the calls of a trace. The state at its start is inferred (infer.ts), and whether the IOMMU is strict or lazy.
 */
export function verifyTrace(operations: Operations): TraceVerification {
  Operations.check(operations);
  const order = operations.order();
  let best: TraceVerification | null = null;
  const forced = new Set<number>();
  for (let round = 0, most = MAX_ROUNDS; round < most; ++round) {
    const spaces = infer(operations, order, forced);
    // The start of the pool determines the sets of slots only: others are tried if one does not match.
    const pool = inferPool(operations, order, spaces, round);
    if (pool !== undefined) most = SET_PAGES;
    const { result, firstWrong } = runOnce(operations, order, spaces, pool);
    if (best === null || result.matched > best.matched) best = result;
    if (firstWrong < 0 || (pool === undefined && forced.has(firstWrong))) break;
    if (round === 0 && result.mode === 'strict' && result.matched < result.compared * STRICT) {
      const lazy = lazyVerification(operations, order);
      if (lazy.matched > best.matched) return lazy;
    }
    forced.add(firstWrong);
  }
  return best!;
}

function lazyVerification(o: Operations, order: Int32Array): TraceVerification {
  const { run, tick, corrections, spaces } = verifyLazy(o, order);
  return {
    ...{ mode: 'lazy', compared: run.compared, matched: run.matched },
    differences: run.wrong.slice(0, MAX_DIFFERENCES).map((call) => difference(o, call, run.got.get(call)!)),
    ...{ inferred: summary(spaces, 0), tick: { ...tick, corrections } },
  };
}

function difference(o: Operations, call: number, got: number): VerifyDifference {
  return {
    ...{ time: o.time[call] / 1e9, device: o.devices[o.device[call]], cpu: o.cpu[call], recorded: o.address[call] },
    ...{ got: got >= 0 ? got : null, pages: o.pages[call] },
  };
}

function summary(spaces: readonly InferredSpace[], taken: number): TraceVerification['inferred'] {
  const sum = (value: (space: InferredSpace) => number): number =>
    spaces.reduce((total, space) => total + value(space), 0);
  return {
    live: sum(({ live }) => live.length) + taken,
    cached: sum(({ cached }) => cached.reduce((n, { pfns }) => n + pfns.length, 0)),
    holes: sum(({ holes }) => holes.length),
    fromTree: sum(({ fromTree }) => fromTree),
  };
}

function runOnce(
  o: Operations,
  order: Int32Array,
  spaces: InferredSpace[],
  pool: InferredPool | undefined,
): { result: TraceVerification; firstWrong: number } {
  const translated = spaces.some(({ translation }) => translation === 'iommu');
  const swiotlb = pool ? { size: pool.size, force: pool.force, base: pool.base } : false;
  const ram = pool ? memoryFor(o, pool) : '64MiB';
  const run = new ReplayRun(o, spaces, { ram, iommu: { mode: translated ? 'strict' : 'off' }, swiotlb }, pool);
  for (const space of spaces) run.begin(space);
  if (pool) run.beginPool(pool);
  const result: TraceVerification = {
    ...{ mode: translated ? 'strict' : pool ? 'swiotlb' : 'direct', compared: 0, matched: 0, differences: [] },
    inferred: summary(spaces, pool?.taken.length ?? 0),
  };
  let firstWrong = -1;
  const coherent = comparesCoherent(spaces);
  const observer = {
    mapped(call: number, address: number): void {
      if (o.shape[call] === SHAPE.COHERENT && !coherent[o.device[call]]) return;
      ++result.compared;
      if (address === o.address[call]) {
        ++result.matched;
        return;
      }
      if (firstWrong < 0) firstWrong = call;
      if (result.differences.length >= MAX_DIFFERENCES) return;
      result.differences.push(difference(o, call, address));
    },
  };
  for (const call of order) if (o.op[call] !== OP.FLUSH) run.step(call, observer);
  return { result, firstWrong };
}

/** RAM that holds the pool and every buffer, since bouncing copies. */
function memoryFor(o: Operations, pool: InferredPool): number {
  let most = pool.base + pool.size;
  for (let call = 0; call < o.length; ++call) {
    if (o.op[call] === OP.MAP && o.physical[call] > 0) most = Math.max(most, o.physical[call] + o.size[call]);
  }
  return Math.min(256 * 1024 ** 3, Math.ceil(most / 2 ** 20 + 1) * 2 ** 20);
}
