import { DMA_MAPPING_ERROR } from '../../dma/device.js';
import { DmaDomain } from '../../dma/domain.js';
import { type InferredSpace, infer } from './infer.js';
import { OP, type Operations } from './operations.js';
import { Run } from './run.js';

/**
 * Lazy traces. When a range that was unmapped is free again, the flush queue's timer decides, and no event tells of it: it is a
 * timer of jiffies, so it fires at a tick edge, ceil(10 ms / tick) + 1 edges after it was armed, and the ranges go into the
 * magazines of the CPU that it runs on. Frequency and phase of the tick are those under which most addresses match; where a
 * flush still does not fit what follows it, it is tried on another CPU and an edge earlier or later.
 */

export interface Tick {
  hz: number;
  /** Nanoseconds of an edge after a multiple of the period. */
  phase: number;
}

/** What a flush was otherwise than the rule says. */
interface Decision {
  cpu?: number;
  /** Edges later. */
  edges?: number;
}

export interface LazyRun {
  matched: number;
  compared: number;
  /** Calls that did not match, in order. */
  wrong: number[];
  got: Map<number, number>;
  /** For each flush the place in the order before which it happened. */
  flushes: number[];
}

export interface LazyVerification {
  run: LazyRun;
  tick: Tick;
  /** Flushes that were otherwise than the rule says. */
  corrections: number;
  spaces: InferredSpace[];
}

const TIMEOUT = 10e6;
const FREQUENCIES = [250, 1000, 100, 300];
const PHASES = 16;
/** Calls that decide about frequency and phase, and those after a flush that decide about it. */
const PROBE = 3000;
const WINDOW = 500;
const MAX_CORRECTIONS = 160;
/** The machine's own timer is out of the way: a thousand seconds. */
const NEVER = 1e6;

export function verifyLazy(o: Operations, order: Int32Array): LazyVerification {
  const forced = new Set<number>();
  let spaces = infer(o, order, forced);
  const tick = findTick(o, order, spaces);
  const decisions = new Map<number, Decision>();
  let best = runLazy(o, order, spaces, tick, decisions);
  const givenUp = new Set<number>();
  for (let round = 0; round < MAX_CORRECTIONS; ++round) {
    const call = best.wrong.find((it) => !givenUp.has(it));
    if (call === undefined) break;
    givenUp.add(call);
    const place = order.indexOf(call);
    const most = place + WINDOW;
    const score = best.wrong.filter((it) => order.indexOf(it) < most).length;
    const better = correct(o, order, spaces, tick, decisions, best, place, most, score);
    if (better) decisions.set(better.flush, better.decision);
    else if (!forced.has(call)) {
      // Perhaps it came out of a magazine that nothing has shown yet.
      forced.add(call);
      const other = infer(o, order, forced);
      const run = runLazy(o, order, other, tick, decisions);
      if (run.matched > best.matched) {
        spaces = other;
        best = run;
      } else forced.delete(call);
      continue;
    } else continue;
    const run = runLazy(o, order, spaces, tick, decisions);
    if (run.matched > best.matched) best = run;
    else decisions.delete(better.flush);
  }
  return { run: best, tick, corrections: decisions.size, spaces };
}

/** The frequency and phase of the tick that explain most addresses. */
function findTick(o: Operations, order: Int32Array, spaces: InferredSpace[]): Tick {
  let best = { hz: FREQUENCIES[0], phase: 0 };
  let matched = -1;
  const attempt = (tick: Tick): void => {
    const run = runLazy(o, order, spaces, tick, new Map(), PROBE);
    if (run.matched > matched) {
      matched = run.matched;
      best = tick;
    }
  };
  for (const hz of FREQUENCIES) {
    for (let i = 0; i < PHASES; ++i) attempt({ hz, phase: (i * 1e9) / hz / PHASES });
  }
  const { hz, phase } = best;
  const step = 1e9 / hz / PHASES;
  for (let i = -7; i < 8; ++i) attempt({ hz, phase: phase + (i * step) / 8 });
  return best;
}

/** Tries the last two flushes before a call otherwise. Returns what makes fewer calls of the window wrong. */
function correct(
  o: Operations,
  order: Int32Array,
  spaces: InferredSpace[],
  tick: Tick,
  decisions: ReadonlyMap<number, Decision>,
  current: LazyRun,
  place: number,
  most: number,
  score: number,
): { flush: number; decision: Decision } | null {
  let last = current.flushes.length - 1;
  while (last >= 0 && current.flushes[last] > place) --last;
  let best: { flush: number; decision: Decision } | null = null;
  let least = score;
  for (const flush of [last, last - 1]) {
    if (flush < 0) continue;
    for (const decision of alternatives(o.cpus)) {
      const changed = new Map(decisions).set(flush, decision);
      const run = runLazy(o, order, spaces, tick, changed, most);
      if (run.wrong.length < least) {
        least = run.wrong.length;
        best = { flush, decision };
      }
    }
    if (best) break;
  }
  return best;
}

function alternatives(cpus: number): Decision[] {
  const all: Decision[] = [];
  for (let cpu = 0; cpu < Math.min(cpus, 8); ++cpu) for (const edges of [0, 1, -1]) all.push({ cpu, edges });
  return all;
}

/** When a timer fires that is armed at a time. */
export function firesAt(armed: number, { hz, phase }: Tick, edges = 0): number {
  const period = 1e9 / hz;
  const next = phase + (Math.floor((armed - phase) / period) + 1) * period;
  return next + (Math.ceil(TIMEOUT / period) + edges) * period;
}

interface Timer {
  fires: number;
  cpu: number;
}

/** One run with the flushes at the edges of a tick, or where the trace itself tells them. */
export function runLazy(
  o: Operations,
  order: Int32Array,
  spaces: InferredSpace[],
  tick: Tick,
  decisions: ReadonlyMap<number, Decision>,
  most = Number.POSITIVE_INFINITY,
): LazyRun {
  const iommu = { mode: 'lazy' as const, flushQueue: { milliseconds: NEVER } };
  const run = new Run(o, spaces, { ram: '64MiB', iommu, swiotlb: false });
  for (const space of spaces) run.begin(space);
  const result: LazyRun = { matched: 0, compared: 0, wrong: [], got: new Map(), flushes: [] };
  const observer = {
    mapped(call: number, address: number): void {
      ++result.compared;
      if (address === o.address[call]) ++result.matched;
      else {
        result.wrong.push(call);
        result.got.set(call, address === DMA_MAPPING_ERROR ? Number.NaN : address);
      }
    },
  };
  const told = o.op.includes(OP.FLUSH);
  const timers = new Map<DmaDomain, Timer>();
  const { machine } = run;
  const flush = (domain: DmaDomain, cpu: number, place: number): void => {
    machine.cpu = Math.min(cpu, machine.config.cpus - 1);
    domain.flush();
    result.flushes.push(place);
  };
  for (let place = 0; place < Math.min(order.length, most); ++place) {
    const call = order[place];
    for (const [domain, { fires, cpu }] of timers) {
      if (fires > o.time[call]) continue;
      timers.delete(domain);
      flush(domain, cpu, place);
    }
    if (o.op[call] === OP.FLUSH) {
      for (const domain of domainsOf(run)) if (domain.pending > 0) flush(domain, o.cpu[call], place);
      continue;
    }
    run.step(call, observer);
    if (o.op[call] !== OP.UNMAP || told) continue;
    const domain = run.devices[o.device[call]]?.domain;
    if (!(domain instanceof DmaDomain) || timers.has(domain) || domain.pending === 0) continue;
    const { cpu = o.cpu[call], edges = 0 } = decisions.get(result.flushes.length + timers.size) ?? {};
    timers.set(domain, { fires: firesAt(o.time[call], tick, edges), cpu });
  }
  return result;
}

function domainsOf(run: Run): Set<DmaDomain> {
  const all = run.devices.map((device) => device?.domain).filter((it): it is DmaDomain => it instanceof DmaDomain);
  return new Set(all);
}
