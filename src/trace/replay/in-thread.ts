import { checkLongCall } from '../../core/arguments.js';
import { builtin, turn } from '../../core/platform.js';
import type { AbortSignalLike } from '../../core/slices.js';
import { Operations } from './operations.js';
import type { ReplayRequest } from './replay-worker.js';
import { type TraceVerification, verifyTrace } from './verify.js';
import { checkWhatIf, type WhatIfOptions, type WhatIfResult, whatIf } from './what-if.js';

/**
 * Replays in a thread of their own: one may take minutes, and a signal ends it at once. Where the platform has no worker
 * threads of Node, as in a browser, the replay runs in the calling thread, which may be a worker.
 */

/** How a replay is ended early. */
export interface ReplayCallOptions {
  /** Ends the thread; the call then returns null. */
  signal?: AbortSignalLike;
}

/**
 * `verifyTrace` in a thread of its own, so that the caller's event loop turns meanwhile.
 * @returns null when the signal was aborted
 */
export function verifyTraceAsync(
  operations: Operations,
  call: ReplayCallOptions = {},
): Promise<TraceVerification | null> {
  return inThread<TraceVerification>({ operations, options: null }, call);
}

/**
 * `whatIf` in a thread of its own, so that the caller's event loop turns meanwhile.
 * @returns null when the signal was aborted
 * @throws as whatIf
 */
export async function whatIfAsync(
  operations: Operations,
  options: WhatIfOptions = {},
  call: ReplayCallOptions = {},
): Promise<WhatIfResult | null> {
  return inThread<WhatIfResult>({ operations, options: checkWhatIf(options) }, call);
}

async function inThread<Result>(
  request: ReplayRequest & { operations: Operations },
  call: ReplayCallOptions,
): Promise<Result | null> {
  const { signal } = checkLongCall(call, ['signal']);
  Operations.check(request.operations);
  if (signal?.aborted) return null;
  const threads = builtin('node:worker_threads');
  if (!threads) {
    await turn();
    if (signal?.aborted) return null;
    const { operations, options } = request;
    return (options === null ? verifyTrace(operations) : whatIf(operations, options)) as Result;
  }
  const url = new URL('./replay-worker.js', import.meta.url);
  const worker = new threads.Worker(url, { workerData: request });
  const stop = (): void => void worker.terminate();
  signal?.addEventListener('abort', stop);
  try {
    return await new Promise<Result | null>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', () => resolve(null));
    });
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
