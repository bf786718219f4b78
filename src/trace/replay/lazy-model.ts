import { MAGAZINE_PFNS, PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { orderOf } from './infer.js';
import { OP, type Operations } from './operations.js';

/**
 * A light model of magazines and flush queues, which finds when and on which CPU a lazy kernel's timer fired. If a call did not get
 * the range on top of the model's magazine, the model takes the trace's range and goes on, so that one wrong flush does not affect
 * the next.
 */

export interface Tick {
  hz: number;
  /** Nanoseconds of an edge after a multiple of the period. */
  phase: number;
}

/** How a flush differs from the rule. */
export interface Decision {
  cpu?: number;
  /** Edges later. */
  edges?: number;
  /** Nanoseconds later: the timer's work waits for a softirq. */
  delay?: number;
}

const TIMEOUT = 10e6;
/** Calls after a flush among which one is looked for that is given a range of it. */
const LOOK_AHEAD = 600;
const FREQUENCIES = [250, 1000, 100, 300];
const PHASES = 32;
/** Ticks that are looked at with a choice of CPUs, and flushes that are chosen for then. */
const FINALISTS = 12;
const FINAL_ROUNDS = 12;
/** Calls that decide about the tick. */
const PROBE = 20_000;

/** When a timer fires that is armed at a time. */
export function firesAt(armed: number, { hz, phase }: Tick, { edges = 0, delay = 0 }: Decision = {}): number {
  const period = 1e9 / hz;
  const next = phase + (Math.floor((armed - phase) / period) + 1) * period;
  return next + (Math.ceil(TIMEOUT / period) + edges) * period + delay;
}

/** The CPU of the next call that is given a page that a flush has freed. */
export function takerOf(
  o: Operations,
  order: Int32Array,
  place: number,
  pages: ReadonlySet<number>,
): number | undefined {
  for (let at = place; at < Math.min(order.length, place + LOOK_AHEAD); ++at) {
    const call = order[at];
    if (o.op[call] === OP.MAP && pages.has(Math.floor(o.address[call] / PAGE))) return o.cpu[call];
  }
  return undefined;
}

/** The magazines of a CPU and order (drivers/iommu/iova.c). */
interface Cache {
  loaded: number[];
  previous: number[];
  /** That of the order, of all CPUs. */
  depot: number[][];
}

interface Waiting {
  page: number;
  order: number;
  /** Flushes that were finished when it was queued: the next one covers it. */
  counter: number;
}

interface Space {
  /** Ranges that wait, by CPU. */
  rings: Waiting[][];
  waiting: Set<number>;
  finished: number;
  timer: { fires: number; armedOn: number; cpu: number | undefined } | null;
  /** By CPU * 8 + order; depots by order. */
  caches: Cache[];
  depots: number[][][];
  /** The magazine in which a page is. */
  where: Map<number, number[]>;
}

const RING = 255;

export interface ModelRun {
  matched: number;
  /** For each flush: calls after it that did not match, up to the next. */
  wrongAfter: number[];
}

/** Runs the model under a tick. `spaceOf` gives the address space of each device. */
export function runModel(
  o: Operations,
  order: Int32Array,
  spaceOf: readonly number[],
  tick: Tick,
  decisions: ReadonlyMap<number, Decision>,
  most = order.length,
): ModelRun {
  const spaces: Space[] = [];
  const result: ModelRun = { matched: 0, wrongAfter: [] };
  let armed = 0;
  const spaceAt = (index: number): Space =>
    (spaces[index] ??= {
      ...{ rings: [], waiting: new Set(), finished: 0, timer: null, caches: [], depots: [], where: new Map() },
    });
  const fire = (space: Space, cpu: number): void => {
    ++space.finished;
    for (const ring of space.rings) if (ring) drain(space, ring, cpu);
    space.timer = null;
    result.wrongAfter.push(0);
  };
  for (let place = 0; place < Math.min(most, order.length); ++place) {
    const call = order[place];
    const time = o.time[call];
    for (const space of spaces) {
      if (!space?.timer || space.timer.fires > time) continue;
      const { cpu, armedOn } = space.timer;
      fire(space, cpu ?? takerOf(o, order, place, space.waiting) ?? armedOn);
    }
    if (o.op[call] !== OP.MAP && o.op[call] !== OP.UNMAP) continue;
    const space = spaceAt(spaceOf[o.device[call]]);
    const page = Math.floor(o.address[call] / PAGE);
    const cpu = o.cpu[call];
    const k = orderOf(o.pages[call]);
    if (o.op[call] === OP.UNMAP) {
      const ring = (space.rings[cpu] ??= []);
      drain(space, ring, cpu);
      if (ring.length === RING) {
        ++space.finished;
        drain(space, ring, cpu);
      }
      ring.push({ page, order: k, counter: space.finished });
      space.waiting.add(page);
      if (space.timer === null) {
        const decision = decisions.get(armed++) ?? {};
        space.timer = { fires: firesAt(time, tick, decision), armedOn: cpu, cpu: decision.cpu };
      }
      continue;
    }
    if (k > 5) continue;
    const magazine = refill(space, cpu, k);
    if (magazine !== null && magazine[magazine.length - 1] === page) {
      magazine.pop();
      space.where.delete(page);
      ++result.matched;
    } else if (magazine !== null || space.where.has(page) || space.waiting.has(page)) wrong(result, space, page);
    else ++result.matched;
  }
  return result;
}

function cacheOf(space: Space, cpu: number, order: number): Cache {
  const depot = (space.depots[order] ??= []);
  return (space.caches[cpu * 8 + order] ??= { loaded: [], previous: [], depot });
}

/** Frees what finished flushes cover into a CPU's magazines. */
function drain(space: Space, ring: Waiting[], cpu: number): void {
  let n = 0;
  while (n < ring.length && ring[n].counter < space.finished) ++n;
  for (const { page, order } of ring.splice(0, n)) {
    space.waiting.delete(page);
    if (order > 5) continue;
    const cache = cacheOf(space, cpu, order);
    if (cache.loaded.length === MAGAZINE_PFNS) {
      if (cache.previous.length < MAGAZINE_PFNS) [cache.loaded, cache.previous] = [cache.previous, cache.loaded];
      else {
        cache.depot.push(cache.loaded);
        cache.loaded = [];
      }
    }
    cache.loaded.push(page);
    space.where.set(page, cache.loaded);
  }
}

/** The magazine that the next call of a CPU takes from; null if both are empty. */
function refill(space: Space, cpu: number, order: number): number[] | null {
  const cache = cacheOf(space, cpu, order);
  if (cache.loaded.length > 0) return cache.loaded;
  if (cache.previous.length > 0) [cache.loaded, cache.previous] = [cache.previous, cache.loaded];
  else if (cache.depot.length > 0) cache.loaded = cache.depot.pop()!;
  return cache.loaded.length > 0 ? cache.loaded : null;
}

/** The trace allocated a range that the model has elsewhere: removes it from there. */
function wrong(result: ModelRun, space: Space, page: number): void {
  if (result.wrongAfter.length > 0) ++result.wrongAfter[result.wrongAfter.length - 1];
  const stack = space.where.get(page);
  if (stack !== undefined) {
    stack.splice(stack.lastIndexOf(page), 1);
    space.where.delete(page);
    return;
  }
  if (!space.waiting.delete(page)) return;
  for (const ring of space.rings) {
    const at = ring?.findIndex((it) => it.page === page) ?? -1;
    if (at >= 0) ring.splice(at, 1);
  }
}

/**
 * The frequency and phase of the tick under which most calls get what they got: coarse phases by the plain rule, the best of
 * them with a choice of the CPU for each flush that does not fit, and the best of these in fine steps.
 */
export function findTick(o: Operations, order: Int32Array, spaceOf: readonly number[]): Tick {
  const none = new Map<number, Decision>();
  const coarse: { tick: Tick; matched: number }[] = [];
  for (const hz of FREQUENCIES) {
    for (let i = 0; i < PHASES; ++i) {
      const tick = { hz, phase: ((i + 0.5) * 1e9) / hz / PHASES };
      coarse.push({ tick, matched: runModel(o, order, spaceOf, tick, none, PROBE).matched });
    }
  }
  coarse.sort((a, b) => b.matched - a.matched);
  // The best of each frequency, and the best of all.
  const chosen = new Set([
    ...coarse.slice(0, FINALISTS),
    ...FREQUENCIES.flatMap((hz) => coarse.filter(({ tick }) => tick.hz === hz).slice(0, FINALISTS / 2)),
  ]);
  let best = { tick: coarse[0].tick, matched: -1, decisions: none };
  for (const { tick } of chosen) {
    const decisions = findDecisions(o, order, spaceOf, tick, FINAL_ROUNDS, cpuAlternatives(o.cpus), PROBE);
    const { matched } = runModel(o, order, spaceOf, tick, decisions, PROBE);
    if (matched > best.matched) best = { tick, matched, decisions };
  }
  const { hz, phase } = best.tick;
  const step = 1e9 / hz / PHASES / 16;
  let first = phase;
  let last = phase;
  for (let i = -24; i <= 24; ++i) {
    const tick = { hz, phase: phase + i * step };
    const { matched } = runModel(o, order, spaceOf, tick, best.decisions, PROBE);
    if (matched < best.matched) continue;
    if (matched > best.matched) {
      best.matched = matched;
      first = tick.phase;
    }
    last = tick.phase;
  }
  // Of phases that are equally good the middle one is the safest.
  return { hz, phase: (first + last) / 2 };
}

/** Deviations of each flush from the rule, if they make more calls match. */
export function findDecisions(
  o: Operations,
  order: Int32Array,
  spaceOf: readonly number[],
  tick: Tick,
  rounds: number,
  choices: readonly Decision[] = alternatives(o.cpus),
  most = order.length,
): Map<number, Decision> {
  const decisions = new Map<number, Decision>();
  let current = runModel(o, order, spaceOf, tick, decisions, most);
  const tried = new Set<number>();
  for (let round = 0; round < rounds; ++round) {
    const flush = current.wrongAfter.findIndex((wrongs, i) => wrongs > 0 && !tried.has(i));
    if (flush < 0) break;
    tried.add(flush);
    for (const index of [flush, flush - 1]) {
      if (index < 0) continue;
      const before = decisions.get(index);
      let chosen = before;
      for (const decision of choices) {
        decisions.set(index, decision);
        const run = runModel(o, order, spaceOf, tick, decisions, most);
        if (run.matched <= current.matched) continue;
        current = run;
        chosen = decision;
      }
      if (chosen) decisions.set(index, chosen);
      else decisions.delete(index);
      if (chosen !== before) break;
    }
  }
  return decisions;
}

function cpuAlternatives(cpus: number): Decision[] {
  return Array.from({ length: Math.min(cpus, 8) }, (_, cpu) => ({ cpu }));
}

export function alternatives(cpus: number): Decision[] {
  const all: Decision[] = [];
  for (const delay of [30e3, 100e3, 400e3, -30e3, -100e3]) all.push({ delay });
  for (const edges of [1, -1]) all.push({ edges });
  for (let cpu = 0; cpu < Math.min(cpus, 8); ++cpu) for (const edges of [0, 1, -1]) all.push({ cpu, edges });
  return all;
}
