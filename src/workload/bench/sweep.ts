import type { BenchOptions } from './options.js';
import { type BenchHooks, type BenchResult, runBench } from './run.js';

/** One option taken through several values, everything else alike: a growth curve. */

export const SWEEPABLE = ['live', 'granule', 'threads', 'batch', 'bits'] as const;
export type Sweepable = (typeof SWEEPABLE)[number];

export interface Sweep {
  option: Sweepable;
  values: number[];
}

/** Runs one value after the other; ends early with what there is when the signal fires. */
export async function* runSweep(
  sweep: Sweep,
  options: Partial<BenchOptions>,
  hooks: BenchHooks = {},
): AsyncGenerator<BenchResult> {
  for (const value of sweep.values) {
    if (hooks.signal?.aborted) return;
    const result = await runBench({ ...options, [sweep.option]: value }, hooks);
    if (result.batches > 0) yield result;
  }
}

const COLUMNS: [string, (result: BenchResult) => number | string][] = [
  ['map_mean_ns', ({ map }) => map.mean],
  ['map_deviation_ns', ({ map }) => map.deviation],
  ['map_p50_ns', ({ map }) => map.p50],
  ['map_p99_ns', ({ map }) => map.p99],
  ['map_p999_ns', ({ map }) => map.p999],
  ['map_max_ns', ({ map }) => map.max],
  ['unmap_mean_ns', ({ unmap }) => unmap.mean],
  ['unmap_deviation_ns', ({ unmap }) => unmap.deviation],
  ['unmap_p50_ns', ({ unmap }) => unmap.p50],
  ['unmap_p99_ns', ({ unmap }) => unmap.p99],
  ['unmap_p999_ns', ({ unmap }) => unmap.p999],
  ['unmap_max_ns', ({ unmap }) => unmap.max],
  ['mappings_per_second', (result) => result.mappingsPerSecond],
  ['pages_per_second', (result) => result.pagesPerSecond],
  ['trusted', ({ untrusted }) => (untrusted.length === 0 ? 1 : 0)],
];

/** One line per value, with a header; times in nanoseconds. */
export function csv(option: Sweepable, results: readonly BenchResult[]): string {
  const lines = [[option, ...COLUMNS.map(([name]) => name)].join(',')];
  for (const result of results) {
    const cells = COLUMNS.map(([, of]) => of(result)).map((cell) => (typeof cell === 'number' ? round(cell) : cell));
    lines.push([result.options[option], ...cells].join(','));
  }
  return `${lines.join('\n')}\n`;
}

function round(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(6));
}
