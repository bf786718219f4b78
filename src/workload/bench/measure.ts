import { mean, median, sampleStandardDeviation } from 'simple-statistics';
import type { ContextHandle, HistogramHandle } from '../../core/generated/exports.js';
import type { Core } from '../../core/instance.js';

/**
 * The measuring loop, the same in the host's thread and in a worker's. One batch maps n times and unmaps what it mapped;
 * each half is timed as a whole, and its mean per operation is one value of a histogram. So "p99" is the 99th percentile
 * of batch means: a single slow operation shows in it only as far as it slows its batch.
 */

/** What is measured: the halves of a batch. */
export interface Target {
  /** Makes mappings 0 to n - 1. Returns how many succeeded. */
  map(n: number): number;
  /** Ends those of them that succeeded. */
  unmap(n: number): void;
}

export interface MeasureOptions {
  /** Seconds to measure, after the warm-up. */
  seconds: number;
  /** Mappings of a batch; 0 lets it be found: the smallest power of two far above what reading the clock costs. */
  batch: number;
  /** Most mappings a batch may have: what the target has room for. */
  capacity: number;
  /** Virtual nanoseconds that pass between map and unmap (the transfer); the clock's timers fire meanwhile. */
  transfer: number;
}

/** Nanoseconds an operation. A value is the mean of one batch; percentiles are of these means. */
export interface Latency {
  /** Mean. */
  mean: number;
  /** Standard deviation. */
  deviation: number;
  /** Median. */
  p50: number;
  /** 99th percentile. */
  p99: number;
  /** 99.9th percentile; of fewer than 1,000 batches it is their maximum. */
  p999: number;
  /** The slowest batch. */
  max: number;
}

/** What one thread has measured. */
export interface Measured {
  /** Mapping. */
  map: Latency;
  /** Unmapping. */
  unmap: Latency;
  /**
   * The typical batch mean (median of medians) in each of the equal parts of the run, for intervals: batches follow one
   * another too closely for that, and a median leaves out what another process on the same CPU took.
   */
  blocks: {
    /** Nanoseconds a map, one value for each part of the run. */
    map: number[];
    /** Nanoseconds an unmap, one value for each part of the run. */
    unmap: number[];
  };
  /** Mappings of a batch. */
  batch: number;
  /** Batches measured. */
  batches: number;
  /** Mappings made. */
  mappings: number;
  /** Maps that failed. */
  failed: number;
  /** Nanoseconds spent in map and unmap. */
  busy: number;
  /** Nanoseconds from the first batch to the last. */
  elapsed: number;
  /** Batches before the measured ones. */
  warmup: {
    /** How long they took. */
    seconds: number;
    /** Whether latency had stopped to fall; otherwise the figures are not to be trusted. */
    settled: boolean;
  };
  /** Nanoseconds that reading the clock costs: counted in each half of a batch. */
  clock: number;
}

export interface Progress {
  phase: 'warm-up' | 'measure';
  /** Seconds measured so far. */
  seconds: number;
  /** Mappings a second of the last block. */
  rate: number;
}

const BLOCKS = 20;
/** Milliseconds after which the generator yields: how long Ctrl-C waits at most. */
const SLICE = 50;
/** Settled: so many slices of warm-up in a row whose medians differ by no more than this. */
const SETTLED_SLICES = 4;
const SETTLED_SPREAD = 0.05;
/** A half batch lasts at least so many times what reading the clock costs. */
const OVER_CLOCK = 100;
const SMALLEST_BATCH = 16;
/** Largest automatic batch: with this many mappings in flight, every range comes from a CPU's two magazines. */
const LARGEST_FOUND = 256;

/**
 * Measures a target. A generator, so that a thread can run its event loop in between; if stopped early, it returns the figures so far.
 * @param stopped asked after every batch
 */
export function* measure(
  core: Core,
  context: ContextHandle,
  target: Target,
  options: MeasureOptions,
  stopped: () => boolean,
): Generator<Progress, Measured> {
  const { clockAdvance } = core.exports;
  const { histogramCreate, histogramDestroy, histogramRecord } = core.tools;
  const mapTimes = histogramCreate(context);
  const unmapTimes = histogramCreate(context);
  if (mapTimes === 0 || unmapTimes === 0) throw new Error('no linear memory for the histograms of a benchmark');
  const clock = clockCost();
  let n = options.batch || Math.min(SMALLEST_BATCH, options.capacity);
  let failed = 0;
  let [mapBusy, unmapBusy, batches, mappings] = [0, 0, 0, 0];

  const batch = (): void => {
    const t0 = performance.now();
    const done = target.map(n);
    const t1 = performance.now();
    if (options.transfer > 0) clockAdvance(context, options.transfer * n);
    const t2 = performance.now();
    target.unmap(n);
    const t3 = performance.now();
    mapBusy += t1 - t0;
    unmapBusy += t3 - t2;
    mappings += done;
    failed += n - done;
    ++batches;
  };
  const part = { map: [] as number[], unmap: [] as number[] };
  const record = (into: boolean): void => {
    const [mapBefore, unmapBefore] = [mapBusy, unmapBusy];
    batch();
    const map = ((mapBusy - mapBefore) * 1e6) / n;
    const unmap = ((unmapBusy - unmapBefore) * 1e6) / n;
    part.map.push(map);
    part.unmap.push(unmap);
    if (!into) return;
    histogramRecord(mapTimes, map);
    histogramRecord(unmapTimes, unmap);
  };
  /** Batches for at most so many milliseconds; the medians of their means. */
  const slice = (milliseconds: number, into: boolean): { map: number; unmap: number; rate: number } => {
    const before = mappings;
    const start = performance.now();
    part.map.length = 0;
    part.unmap.length = 0;
    do record(into);
    while (performance.now() - start < Math.min(SLICE, milliseconds) && !stopped());
    const rate = ((mappings - before) * 1000) / (performance.now() - start);
    return { map: median(part.map), unmap: median(part.unmap), rate };
  };

  const warm: number[] = [];
  const warmStart = performance.now();
  const warmLimit = Math.max(0.3, Math.min(4, options.seconds)) * 1000;
  let settled = false;
  while (!settled && performance.now() - warmStart < warmLimit && !stopped()) {
    const { map, unmap, rate } = slice(SLICE, false);
    warm.push(map + unmap);
    const recent = warm.slice(-SETTLED_SLICES);
    settled = recent.length === SETTLED_SLICES && Math.max(...recent) <= Math.min(...recent) * (1 + SETTLED_SPREAD);
    if (options.batch === 0) {
      const wanted = (OVER_CLOCK * clock) / Math.min(map, unmap);
      let larger = n;
      while (larger < wanted && larger * 2 <= Math.min(LARGEST_FOUND, options.capacity)) larger *= 2;
      if (larger > n) {
        n = larger;
        settled = false;
      }
    }
    yield { phase: 'warm-up', seconds: 0, rate };
  }

  const warmup = { seconds: (performance.now() - warmStart) / 1000, settled };
  [mapBusy, unmapBusy, batches, mappings, failed] = [0, 0, 0, 0, 0];
  const blocks = { map: [] as number[], unmap: [] as number[] };
  const start = performance.now();
  for (let i = 1; i <= BLOCKS && !stopped(); ++i) {
    const end = start + (i * options.seconds * 1000) / BLOCKS;
    const slices = { map: [] as number[], unmap: [] as number[] };
    do {
      const { map, unmap, rate } = slice(end - performance.now(), true);
      slices.map.push(map);
      slices.unmap.push(unmap);
      yield { phase: 'measure', seconds: (performance.now() - start) / 1000, rate };
    } while (performance.now() < end && !stopped());
    blocks.map.push(median(slices.map));
    blocks.unmap.push(median(slices.unmap));
  }
  const measured: Measured = {
    map: latency(core, mapTimes),
    unmap: latency(core, unmapTimes),
    blocks,
    batch: n,
    batches,
    mappings,
    failed,
    busy: (mapBusy + unmapBusy) * 1e6,
    elapsed: (performance.now() - start) * 1e6,
    warmup,
    clock,
  };
  histogramDestroy(context, mapTimes);
  histogramDestroy(context, unmapTimes);
  return measured;
}

function latency(core: Core, histogram: HistogramHandle): Latency {
  const { histogramDeviation, histogramLargest, histogramMean, histogramPercentile } = core.tools;
  return {
    mean: histogramMean(histogram),
    deviation: histogramDeviation(histogram),
    p50: histogramPercentile(histogram, 0.5),
    p99: histogramPercentile(histogram, 0.99),
    p999: histogramPercentile(histogram, 0.999),
    max: histogramLargest(histogram),
  };
}

/** Nanoseconds from one reading of the clock to the next: the median of many. */
function clockCost(): number {
  const costs = Float64Array.from({ length: 1001 }, () => {
    const start = performance.now();
    return performance.now() - start;
  });
  return costs.sort()[500] * 1e6;
}

/**
 * Reasons not to trust figures that were measured with this share of a CPU.
 * @param cpuShare CPU time over the time that passed, 1 when the process had a CPU to itself
 */
export function busy(cpuShare: number): string[] {
  if (cpuShare >= 0.9) return [];
  return [`the process got only ${(100 * cpuShare).toFixed(0)} % of the CPU it asked for: the machine is busy`];
}

/** Why the figures of a run cannot be trusted, one sentence per reason; empty when there is none. */
export function doubts(measured: Measured, cpuShare: number): string[] {
  const { map, unmap, blocks, batch, batches, failed, clock, warmup } = measured;
  const reasons: string[] = [];
  if (batches === 0) return ['nothing was measured'];
  if (!warmup.settled) {
    reasons.push(`latency had not settled after ${warmup.seconds.toFixed(1)} s of warm-up`);
  }
  const times = (Math.min(map.p50, unmap.p50) * batch) / clock;
  if (times < OVER_CLOCK / 4) {
    reasons.push(`a batch of ${batch} takes only ${times.toFixed(0)} times what reading the clock costs`);
  }
  if (batches < 1000) reasons.push(`p99.9 of ${batches} batches is not a percentile, it is their maximum`);
  for (const [name, values] of Object.entries(blocks)) {
    const spread = values.length < 2 ? 0 : sampleStandardDeviation(values) / mean(values);
    if (spread > 0.1) {
      reasons.push(`${name} latency varied by ${(100 * spread).toFixed(0)} % from one part of the run to the next`);
    }
  }
  reasons.push(...busy(cpuShare));
  if (failed > 0) reasons.push(`${failed} mappings failed`);
  return reasons;
}
