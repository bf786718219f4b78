import jstat from 'jstat';
import { mean, sampleVariance } from 'simple-statistics';
import type { BenchResult } from '../workload/bench/run.js';

/** Two saved results side by side. */

export interface Comparison {
  /** Options in which the runs differ: then it is no like-for-like comparison. */
  differences: { option: string; a: unknown; b: unknown }[];
  /** B over A, with 95 % intervals, of the time of a map and of an unmap. */
  map: Interval & { verdict: SpeedVerdict };
  unmap: Interval & { verdict: SpeedVerdict };
  /** Reasons not to trust either. */
  untrusted: string[];
}

/** A value with its 95 % interval. */
export interface Interval {
  mean: number;
  low: number;
  high: number;
}

export type SpeedVerdict = 'faster' | 'slower' | 'no difference seen';

/** Compares what `gemdma bench --json` printed twice: A is the reference. */
export function compare(a: BenchResult, b: BenchResult): Comparison {
  const options = [
    ...new Set([...Object.keys(a.options), ...Object.keys(b.options)]),
  ] as (keyof BenchResult['options'])[];
  const judge = (interval: Interval): Interval & { verdict: SpeedVerdict } => ({
    ...interval,
    verdict: interval.high < 1 ? 'faster' : interval.low > 1 ? 'slower' : 'no difference seen',
  });
  return {
    differences: options
      .filter((option) => a.options[option] !== b.options[option])
      .map((option) => ({ option, a: a.options[option], b: b.options[option] })),
    map: judge(ratio(a.blocks.map, b.blocks.map)),
    unmap: judge(ratio(a.blocks.unmap, b.blocks.unmap)),
    untrusted: [...a.untrusted.map((reason) => `A: ${reason}`), ...b.untrusted.map((reason) => `B: ${reason}`)],
  };
}

/** Reads a saved result. Throws a SyntaxError with the reason. */
export function parseResult(text: string): BenchResult {
  if (text.trim() === '') throw new SyntaxError('empty, and not a result of gemdma bench --json');
  const value: unknown = JSON.parse(text);
  const result = value as Partial<BenchResult>;
  const blocks = (name: 'map' | 'unmap'): boolean => {
    const values: unknown = result.blocks?.[name];
    return Array.isArray(values) && values.length > 1 && values.every((ns) => typeof ns === 'number' && ns > 0);
  };
  if (typeof value !== 'object' || value === null || !result.options || !blocks('map') || !blocks('unmap')) {
    throw new SyntaxError('not a result of gemdma bench --json');
  }
  return { untrusted: [], ...result } as BenchResult;
}

/**
 * The ratio b / a of two sets of positive values, at least two each, with its 95 % interval: Welch's test on their logarithms,
 * which is what ratios are normal in. Values must be independent: parts of a run, not single batches, which follow one another.
 */
export function ratio(a: readonly number[], b: readonly number[]): Interval {
  const [la, lb] = [a.map(Math.log), b.map(Math.log)];
  const [va, vb] = [sampleVariance(la) / la.length, sampleVariance(lb) / lb.length];
  const difference = mean(lb) - mean(la);
  const spread = Math.sqrt(va + vb);
  const freedom = (va + vb) ** 2 / (va ** 2 / (la.length - 1) + vb ** 2 / (lb.length - 1));
  const half = spread === 0 ? 0 : jstat.studentt.inv(0.975, freedom) * spread;
  return { mean: Math.exp(difference), low: Math.exp(difference - half), high: Math.exp(difference + half) };
}
