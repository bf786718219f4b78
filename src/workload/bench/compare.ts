import type { BenchResult } from './run.js';
import { type Interval, ratio } from './statistics.js';

/** Two saved results side by side. */

export interface Comparison {
  /** Options in which the runs differ: then it is no like-for-like comparison. */
  differences: { option: string; a: unknown; b: unknown }[];
  /** B over A, with 95 % intervals, of the time of a map and of an unmap. */
  map: Interval & { verdict: Verdict };
  unmap: Interval & { verdict: Verdict };
  /** Reasons not to believe either. */
  untrusted: string[];
}

export type Verdict = 'faster' | 'slower' | 'no difference seen';

/** Compares what `gemdma bench --json` printed twice: A is the reference. */
export function compare(a: BenchResult, b: BenchResult): Comparison {
  const options = [
    ...new Set([...Object.keys(a.options), ...Object.keys(b.options)]),
  ] as (keyof BenchResult['options'])[];
  const judge = (interval: Interval): Interval & { verdict: Verdict } => ({
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

/** Reads a saved result. Throws a SyntaxError that says what is wrong with the text. */
export function parseResult(text: string): BenchResult {
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
