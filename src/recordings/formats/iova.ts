import {
  RCACHE_CLASSES,
  STEP_ALLOC,
  STEP_ALLOC_FAST,
  STEP_FIND,
  STEP_FREE,
  STEP_FREE_FAST,
  STEP_RESERVE,
  STEP_WAIT,
} from '../../core/generated/constants.js';
import type { ContextHandle, IovaDomainHandle } from '../../core/generated/exports.js';
import { made } from '../../core/handle.js';
import { Core } from '../../core/instance.js';
import { IovaSteps } from '../../core/iova-steps.js';
import type { Sliced } from '../../core/slices.js';
import { ALLOCATORS, ruleFlags } from '../../iova/allocators.js';
import type { Outcome, RecordingFormat } from '../replay/recording.js';
import { type Difference, replaySteps } from '../replay/replay.js';
import { medianTime } from '../replay/timing.js';
import { ANCHOR, type Header, LINES, range, readHeader, readSteps, type Step } from './iova-steps.js';

/**
 * Recordings of the IOVA allocator alone: alloc_iova, free_iova, reserve_iova, find_iova and the cached variants, one
 * operation per line with its result, and now and then the allocator's whole state. Every line but remarks is a step.
 */
export const iova: RecordingFormat = {
  kinds: ['iova'],
  header: ['granule', 'start_pfn', 'dma_32bit_pfn', 'rcaches', 'cpus'],
  *replay(recording, { time }) {
    const header = readHeader(recording);
    const steps = yield* readSteps(recording);
    const result = yield* replay(header, steps);
    return time ? { ...result, nsPerStep: yield* measure(header, steps) } : result;
  },
  // A recorder that writes states writes the whole tree at the end; another writes neither.
  cut({ lines }) {
    if (!lines.some((line) => /^[ST] /.test(line))) return undefined;
    const last = lines.findLast((line) => /^[A-Za-z]/.test(line));
    return last?.startsWith('T ') ? null : 'the tree (T lines), which comes last';
  },
};

/** Linear memory that a replay may use. */
const MEMORY_LIMIT = 2 ** 32 - 2 ** 16;
const DEPOT_DELAY = 100e6; // IOVA_DEPOT_DELAY, 100 ms in nanoseconds

function open(header: Header): { core: Core; context: ContextHandle; create: () => IovaDomainHandle } {
  const core = new Core();
  const context = made(core.exports.machineCreate(MEMORY_LIMIT, header.cpus, 1024, 0, 1), 'machine_create', 'machine');
  const { allocator, granuleShift, startPfn, pfn32bit, cpus } = header;
  const create = () =>
    made(
      core.exports.iovaCreate(context, ruleFlags(ALLOCATORS[allocator]), granuleShift, startPfn, pfn32bit, cpus),
      'init_iova_domain',
      'IOVA domain',
    );
  return { core, context, create };
}

function* replay(header: Header, steps: readonly Step[]): Sliced<Outcome, number> {
  const { core, context, create } = open(header);
  const allocator = new Replayed(core, context, create(), header);
  const perform = (step: Step): Difference | null => {
    const got = allocator.perform(step);
    return got === step.expected ? null : { operation: describe(step), expected: step.expected, got };
  };
  const outcome = yield* replaySteps(steps, () => true, perform, LINES);
  const left = outcome.divergence === null ? allocator.beyond() : null;
  if (left === null) return outcome;
  const line = steps[steps.length - 1].line;
  const divergence = { line, operation: 'the end of the tree', expected: 'no further range', got: left };
  return { ...outcome, matched: steps.length - 1, divergence };
}

/** A domain of the core, answering each step with the text that the recording has for it. */
class Replayed {
  readonly #exports: Core['exports'];
  readonly #tools: Core['tools'];
  readonly #context: ContextHandle;
  readonly #domain: IovaDomainHandle;
  readonly #anchored: boolean;
  readonly #pfns = new Map<number, number>();
  /** Where the walk of T lines has come to; -1 before the first. */
  #walked = -1;

  constructor(core: Core, context: ContextHandle, domain: IovaDomainHandle, header: Header) {
    this.#exports = core.exports;
    this.#tools = core.tools;
    this.#context = context;
    this.#domain = domain;
    this.#anchored = ALLOCATORS[header.allocator].anchored;
  }

  perform({ letter, a, b, limit, flag, expected }: Step): string {
    const core = this.#exports;
    const domain = this.#domain;
    switch (letter) {
      case 'A': {
        const pfn = core.iovaAllocate(domain, b, limit, flag);
        this.#pfns.set(a, pfn);
        return pfn === 0 ? '-' : pfn.toString(16);
      }
      case 'a':
        return core.iovaAllocateFast(domain, b, limit, flag).toString(16);
      case 'X': {
        const pfn = this.#pfns.get(a);
        this.#pfns.delete(a);
        return pfn && core.iovaRelease(domain, pfn) ? this.#found() : '-';
      }
      case 'F':
        return core.iovaRelease(domain, a) ? this.#found() : '-';
      case 'f':
        core.iovaReleaseFast(domain, a, b);
        return '';
      case 'R':
        return core.iovaReserveRange(domain, a, b) ? this.#found() : '-';
      case 'Q':
        return core.iovaFindRange(domain, a) ? this.#found() : '-';
      case 'S':
        return this.#state(expected.split(' ').length > 4);
      case 'W':
        return this.#wait(a);
      default:
        return this.#next() ?? 'no further range';
    }
  }

  #found(): string {
    return range(this.#exports.iovaFoundLo(this.#domain), this.#exports.iovaFoundHi(this.#domain));
  }

  #state(depots: boolean): string {
    const core = this.#exports;
    const domain = this.#domain;
    const node = (which: number) => {
      const lo = this.#tools.iovaCachedNode(domain, which);
      return lo >= 0 ? lo.toString(16) : this.#anchored ? ANCHOR : '-';
    };
    const ranges = core.iovaRanges(domain);
    if (!this.#anchored) return `${ranges} - ${node(1)} -`;
    const state = `${ranges} ${node(0)} ${node(1)} ${this.#tools.iovaMax32(domain)}`;
    return depots ? `${state} ${this.#depots().join(' ')}` : state;
  }

  #depots(): number[] {
    return Array.from({ length: RCACHE_CLASSES }, (_, order) => this.#tools.iovaDepot(this.#domain, order));
  }

  // The kernel's timer takes one magazine from each class every 100 ms.
  #wait(cpus: number): string {
    this.#exports.iovaSetCpus(this.#domain, cpus);
    while (this.#depots().some((magazines) => magazines > cpus)) {
      if (this.#exports.clockAdvance(this.#context, DEPOT_DELAY) === 0) break;
    }
    return this.#depots().join(' ');
  }

  #next(): string | null {
    if (!this.#tools.iovaNextRange(this.#domain, Math.max(this.#walked, 0))) return null;
    this.#walked = this.#exports.iovaFoundHi(this.#domain) + 1;
    return this.#found();
  }

  /** After the last step: the range that the walk of T lines should have shown and did not, if there is one. */
  beyond(): string | null {
    return this.#walked < 0 ? null : this.#next();
  }
}

function describe({ letter, a, b, limit, flag }: Step): string {
  const hex = (value: number) => value.toString(16);
  switch (letter) {
    case 'A':
      return `alloc_iova id=${a} size=${b} limit=${hex(limit)} aligned=${Number(flag)}`;
    case 'a':
      return `alloc_iova_fast id=${a} size=${b} limit=${hex(limit)} flush=${Number(flag)}`;
    case 'X':
      return `__free_iova id=${a}`;
    case 'F':
      return `free_iova ${hex(a)}`;
    case 'f':
      return `free_iova_fast ${hex(a)} size=${b}`;
    case 'R':
      return `reserve_iova ${hex(a)} ${hex(b)}`;
    case 'Q':
      return `find_iova ${hex(a)}`;
    case 'S':
      return 'state: ranges, cached node, cached32 node, max32_alloc_size, depots';
    case 'W':
      return `depots after trimming to ${a} CPUs`;
    default:
      return 'next range of the tree';
  }
}

// ---- measuring ----

/** Median nanoseconds per step over replays on fresh domains, each one call of the core. */
function* measure(header: Header, steps: readonly Step[]): Sliced<number, number> {
  const { core, context, create } = open(header);
  using packed = pack(core, context, steps);
  const once = (): number => {
    const domain = create();
    const start = performance.now();
    packed.run(domain);
    const elapsed = performance.now() - start;
    core.exports.iovaDomainDestroy(domain);
    return elapsed;
  };
  return ((yield* medianTime(once, steps.length)) * 1e6) / packed.count;
}

// Frees go by the pfn that the recording has: where the replay matched, that is the pfn that the domain gave.
function pack(core: Core, context: ContextHandle, steps: readonly Step[]): IovaSteps {
  const packed = new IovaSteps(core, context, steps.length);
  for (const { letter, a, b, limit, flag, expected } of steps) {
    switch (letter) {
      case 'A':
        packed.push(STEP_ALLOC, limit, b, flag);
        break;
      case 'a':
        packed.push(STEP_ALLOC_FAST, limit, b, flag);
        break;
      case 'X':
        packed.push(STEP_FREE, Number.parseInt(expected, 16));
        break;
      case 'F':
        packed.push(STEP_FREE, a);
        break;
      case 'f':
        packed.push(STEP_FREE_FAST, a, b);
        break;
      case 'R':
        packed.push(STEP_RESERVE, a, b);
        break;
      case 'Q':
        packed.push(STEP_FIND, a);
        break;
      case 'W':
        packed.push(STEP_WAIT, a);
        break;
    }
  }
  return packed;
}
