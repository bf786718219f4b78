import type { ReplayOptions, VerifyResult } from './recordings/replay/recording.js';
import type { OperationScenario } from './stress/config/scenario.js';
import type { FailNthResult } from './stress/fail-nth.js';
import type { StressResult } from './stress/stress.js';
import type { ThreadStressOptions, ThreadStressResult } from './stress/threads/threads.js';
import type { BenchCallOptions } from './workload/bench/bench.js';
import type { BenchResult } from './workload/bench/run.js';
import type { ScenarioOptions, ScenarioResult } from './workload/scenarios/scenario.js';
import type { FailNthOptions, StressOptions } from './workload/stress.js';

/**
 * The calls of the library that take long. Each gives the event loop a turn every 20 ms, takes `signal` and `onProgress`,
 * and returns what it has when the signal is aborted. What it needs is loaded when it is first called: a program that
 * only makes machines loads none of it.
 */

/**
 * Drives a machine through random operations, checking everything, until operations or seconds run out, the signal is
 * aborted or something is wrong. A failure is a result, not an exception.
 * @param options everything has a default: 1,000,000 operations, 60 seconds, seed 1
 * @returns counters, and the failure cut down to a program that reproduces it
 * @throws TypeError or RangeError naming the option at fault; GemDmaError if the machine cannot be made
 * @example
 *   const { failure, reproducer } = await stress({ policy: () => myPolicy(), operations: 100_000 });
 *   if (failure) console.log(failure.message, reproducer?.program);
 */
export async function stress(options: StressOptions = {}): Promise<StressResult> {
  const work = await import('./workload/stress.js');
  return work.stress(options);
}

/**
 * Worker threads on one shared memory, each a virtual CPU, hammer one domain; what must hold in any order is checked.
 * @throws TypeError or RangeError naming the option at fault
 * @example
 *   const { failures, contention } = await stressThreads({ threads: 4, operations: 1_000_000 });
 */
export async function stressThreads(options: ThreadStressOptions = {}): Promise<ThreadStressResult> {
  const { hammerThreads } = await import('./stress/threads/threads.js');
  return hammerThreads(options);
}

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
  const work = await import('./workload/bench/bench.js');
  return work.bench(options);
}

/**
 * Makes each allocation of a scenario fail in turn: each time the operation must say so and change nothing, or get along
 * without. The synchronous form is `failNth` of gemdma/workload.
 * @param scenario one of `FAIL_NTH_SCENARIOS` of gemdma/workload, or operations of your own
 * @throws TypeError or RangeError naming the option at fault; GemDmaError if the machine cannot be made
 * @example
 *   const { failures } = await failNthAsync(FAIL_NTH_SCENARIOS[0], { policy: () => myPolicy() });
 */
export async function failNthAsync(scenario: OperationScenario, options: FailNthOptions = {}): Promise<FailNthResult> {
  const work = await import('./workload/stress.js');
  return work.failNthAsync(scenario, options);
}

/**
 * Runs a named scenario: a leak path of i915, a common mistake with the DMA API, or `leak`, the whole sequence of the bug. The
 * synchronous form is `runScenario` of gemdma/workload.
 * @param name as `gemdma run --list` shows it; upper and lower case are the same
 * @param options `policy` defaults to i915-4.2, `seed` to 1
 * @throws TypeError if there is no such scenario, or it does not run under the policy
 * @example
 *   const { leakedMappings } = await runScenarioAsync('L1', { policy: 'i915-4.1' });
 */
export async function runScenarioAsync(name: string, options: Partial<ScenarioOptions> = {}): Promise<ScenarioResult> {
  const work = await import('./workload/scenarios.js');
  return work.runScenarioAsync(name, options);
}

/**
 * Replays one recording of a real kernel against the emulator, step by step. The synchronous form is `verify` of
 * gemdma/recordings.
 * @param file text or JSON lines, plain or gzip, at most 256 MiB unpacked
 * @throws RecordingError when the file is not a recording, of a kind that nothing here replays, not whole, or has a line
 *   with values that the emulator cannot take
 * @example
 *   const { steps, matched, divergence } = await verifyAsync('c_full.txt.gz', { signal });
 */
export async function verifyAsync(file: string, options: ReplayOptions = {}): Promise<VerifyResult> {
  const work = await import('./recordings/verify.js');
  return work.verifyAsync(file, options);
}
