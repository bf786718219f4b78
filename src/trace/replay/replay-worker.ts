import { needed } from '../../core/platform.js';
import { Operations } from './operations.js';
import { verifyTrace } from './verify.js';
import { type WhatIfOptions, whatIf } from './what-if.js';

/** The thread of verifyTraceAsync and whatIfAsync (in-thread.ts): one replay, then it ends. */

export interface ReplayRequest {
  /** The fields of an Operations. */
  operations: object;
  /** A configuration to run the calls under; null to verify them. */
  options: WhatIfOptions | null;
}

const { parentPort, workerData } = needed('node:worker_threads', 'replay');
const { operations, options } = workerData as ReplayRequest;
const calls = Object.assign(new Operations(), operations);
parentPort!.postMessage(options === null ? verifyTrace(calls) : whatIf(calls, options));
