import type { ThreadStressOptions, ThreadStressResult } from './threads.js';

/**
 * Worker threads on one shared memory, each a virtual CPU, hammer one domain; what must hold in any order is checked. The
 * code for worker threads is loaded with the first call.
 * @throws TypeError or RangeError for options that cannot be
 * @example
 *   const { failures, contention } = await stressThreads({ threads: 4, operations: 1_000_000 });
 */
export async function stressThreads(options: ThreadStressOptions = {}): Promise<ThreadStressResult> {
  const { hammerThreads } = await import('./threads.js');
  return hammerThreads(options);
}
