import { median } from 'simple-statistics';
import type { BenchOptions } from './options.js';
import { benchOptions } from './options.js';
import type { BenchHooks, BenchResult } from './run.js';
import { runThreads } from './threads.js';

/** The same work on one worker, on two, and so on: how throughput grows, and which locks are waited for. */

export interface ScalingRow {
  threads: number;
  mappingsPerSecond: number;
  /** Throughput over that of one worker of the same build, and that by the number of workers. */
  speedup: number;
  efficiency: number;
  /** The speed-up by each worker's median batch, which leaves out what other processes took from it. */
  medianSpeedup: number;
  /** Lock acquisitions that found the lock held, in a thousand mappings, by what the lock guards. */
  contention: Record<string, number>;
  untrusted: string[];
}

/** 1, 2, 4 and so on up to n, and n. */
export function threadCounts(n: number): number[] {
  const counts = [];
  for (let count = 1; count < n; count *= 2) counts.push(count);
  return [...counts, n];
}

/** Runs each number of workers up to options.threads. The last result is that of all of them. */
export async function runScaling(
  given: Partial<BenchOptions>,
  hooks: BenchHooks = {},
): Promise<{ rows: ScalingRow[]; result: BenchResult | undefined }> {
  const options = benchOptions(given);
  const rows: ScalingRow[] = [];
  let result: BenchResult | undefined;
  let baseline = 0;
  for (const threads of threadCounts(options.threads)) {
    if (hooks.signal?.aborted) break;
    result = await runThreads({ ...options, threads }, hooks);
    const speedup = rows.length === 0 ? 1 : result.mappingsPerSecond / rows[0].mappingsPerSecond;
    // An interrupted run may have no part that is complete.
    const { map, unmap } = result.blocks;
    const medianTime = map.length === 0 ? Number.NaN : median(map) + median(unmap);
    baseline ||= medianTime;
    const { mappings, mappingsPerSecond, untrusted } = result;
    const contention: Record<string, number> = result.contention ?? {};
    rows.push({
      threads,
      mappingsPerSecond,
      speedup,
      efficiency: speedup / threads,
      medianSpeedup: (threads * baseline) / medianTime,
      contention: Object.fromEntries(
        Object.entries(contention).map(([name, count]) => [name, (count * 1000) / Math.max(1, mappings)]),
      ),
      untrusted,
    });
  }
  return { rows, result };
}
