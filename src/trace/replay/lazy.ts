import { PAGE_SIZE as PAGE } from '../../core/generated/constants.js';
import { DmaDomain } from '../../dma/dma-domain.js';
import { DMA_MAPPING_ERROR } from '../../dma/transfer.js';
import { comparesCoherent, type InferredSpace, infer } from './infer.js';
import { alternatives, type Decision, findDecisions, findTick, firesAt, type Tick, takerOf } from './lazy-model.js';
import { OP, type Operations, SHAPE } from './operations.js';
import { ReplayRun } from './run.js';

/**
 * Lazy traces. When a range that was unmapped is free again, the flush queue's timer decides, and there is no event for it:
 * it is a timer of jiffies, so it fires at a tick edge, ceil(10 ms / tick) + 1 edges after it was armed, and the ranges go
 * into the magazines of the CPU that it runs on: that of the next call that is given one of them. Frequency and phase of
 * the tick are those under which most addresses match; where a flush still does not fit what follows it, it is tried on
 * another CPU, later, and an edge earlier or later.
 */

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

/** Calls after a flush that decide about it. */
const WINDOW = 500;
const MAX_CORRECTIONS = 40;
/** Flushes that the model looks at one by one. */
const MODEL_ROUNDS = 400;
/** The machine's own timer must not fire: a thousand seconds. */
const NEVER = 1e6;

export function verifyLazy(o: Operations, order: Int32Array): LazyVerification {
  const forced = new Set<number>();
  let spaces = infer(o, order, forced);
  const spaceOf: number[] = [];
  spaces.forEach(({ devices }, index) => {
    for (const device of devices) spaceOf[device] = index;
  });
  const tick = findTick(o, order, spaceOf);
  const decisions = findDecisions(o, order, spaceOf, tick, MODEL_ROUNDS);
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
      // It may come from a magazine that no event has shown.
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

/** Tries other times and CPUs for the last two flushes before a call. Returns those with fewer mismatches in the window. */
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

interface Timer {
  fires: number;
  /** Of the unmap that armed it. */
  armedOn: number;
  /** The CPU that a decision says. */
  cpu: number | undefined;
}

/** One run with the flushes at the edges of a tick, or where the trace itself shows them. */
export function runLazy(
  o: Operations,
  order: Int32Array,
  spaces: InferredSpace[],
  tick: Tick,
  decisions: ReadonlyMap<number, Decision>,
  most = Number.POSITIVE_INFINITY,
): LazyRun {
  const iommu = { mode: 'lazy' as const, flushQueue: { milliseconds: NEVER } };
  const run = new ReplayRun(o, spaces, { ram: '64MiB', iommu, swiotlb: false });
  for (const space of spaces) run.begin(space);
  const result: LazyRun = { matched: 0, compared: 0, wrong: [], got: new Map(), flushes: [] };
  const coherent = comparesCoherent(spaces);
  const observer = {
    mapped(call: number, address: number): void {
      if (o.shape[call] === SHAPE.COHERENT && !coherent[o.device[call]]) return;
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
  const waiting = new Map<DmaDomain, Set<number>>();
  const { machine } = run;
  const flush = (domain: DmaDomain, cpu: number, place: number): void => {
    machine.cpu = Math.min(cpu, machine.config.cpus - 1);
    domain.flush();
    result.flushes.push(place);
  };
  for (let place = 0; place < Math.min(order.length, most); ++place) {
    const call = order[place];
    for (const [domain, { fires, cpu, armedOn }] of timers) {
      if (fires > o.time[call]) continue;
      timers.delete(domain);
      const pages = waiting.get(domain)!;
      flush(domain, cpu ?? takerOf(o, order, place, pages) ?? armedOn, place);
      pages.clear();
    }
    if (o.op[call] === OP.FLUSH) {
      for (const domain of domainsOf(run)) if (domain.pending > 0) flush(domain, o.cpu[call], place);
      continue;
    }
    run.step(call, observer);
    if (o.op[call] !== OP.UNMAP || told) continue;
    const domain = run.devices[o.device[call]]?.domain;
    if (!(domain instanceof DmaDomain) || domain.pending === 0) continue;
    let pages = waiting.get(domain);
    if (pages === undefined) waiting.set(domain, (pages = new Set()));
    pages.add(Math.floor(o.address[call] / PAGE));
    if (timers.has(domain)) continue;
    const decision = decisions.get(result.flushes.length + timers.size) ?? {};
    timers.set(domain, { fires: firesAt(o.time[call], tick, decision), cpu: decision.cpu, armedOn: o.cpu[call] });
  }
  return result;
}

function domainsOf(run: ReplayRun): Set<DmaDomain> {
  const all = run.devices.map((device) => device?.domain).filter((it): it is DmaDomain => it instanceof DmaDomain);
  return new Set(all);
}
