import { checkLongCall, LONG_CALL, optionNames } from '../../core/arguments.js';
import type { LongCallOptions } from '../../core/slices.js';
import { newPolicy, type PolicySource } from '../../stress-i915/policy.js';
import { BENCH_OPTIONS, type BenchOptions } from './options.js';
import { type BenchResult, runBench } from './run.js';

/** What bench() takes: everything has a default. */
export interface BenchCallOptions extends Omit<Partial<BenchOptions>, 'policy'>, LongCallOptions {
  /** With mode `object`: a mapping policy by name, one of your own, or a function that makes one. */
  policy?: PolicySource;
}

const BENCH_CALL_OPTIONS = optionNames<BenchCallOptions>({ ...BENCH_OPTIONS, ...LONG_CALL, policy: true });

/**
 * Measures mapping throughput and latency, as the kernel's dma_map_benchmark does: batches of dma_map and dma_unmap, with
 * percentiles over batch means in nanoseconds. With `mode: 'object'` the life of a GEM object under a mapping policy.
 * @returns the figures, with reasons not to believe them in `untrusted`; after an abort, those so far
 * @throws TypeError or RangeError naming the option at fault; GemDmaError ENOMEM, ENOSPC when so many live mappings cannot
 *   be made
 * @example
 *   const { map, unmap, mappingsPerSecond, untrusted } = await bench({ seconds: 1, granule: 16, backend: 'lazy' });
 */
export async function bench(options: BenchCallOptions = {}): Promise<BenchResult> {
  const { signal, onProgress, policy, ...given } = checkLongCall(options, BENCH_CALL_OPTIONS);
  if (policy !== undefined) newPolicy(policy);
  const total = given.seconds ?? 2;
  return runBench(typeof policy === 'string' ? { ...given, policy } : given, {
    ...(signal && { signal }),
    ...(typeof policy !== 'string' && policy && { policy }),
    ...(onProgress && {
      onProgress: ({ phase, seconds }) => onProgress({ done: Math.min(seconds, total), total, what: phase }),
    }),
  });
}
