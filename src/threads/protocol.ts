import type { CoreHost } from '../core/arguments.js';
import type { ContextHandle } from '../core/generated/exports.js';
import type { CoreModules } from '../core/instance.js';

/** Messages between a WorkerPool and its workers. None is on a hot path: a job runs long between two messages. */

/** Given to a worker when it starts. @internal */
export interface WorkerData {
  modules: CoreModules;
  memory: WebAssembly.Memory;
  control: Int32Array;
  context: ContextHandle;
  index: number;
  workers: number;
}

/** To a worker: run the default export of a module. */
export interface JobRequest {
  id: number;
  module: string;
  data: unknown;
}

/** From a worker: what the job returned, or how it failed. */
export interface JobReply {
  id: number;
  result?: unknown;
  /** The job threw `error`, whatever that is, or its result could not be sent. */
  failed?: boolean;
  error?: unknown;
  /** An operation of the core was left in its middle: it trapped, or waited for a lock of a dead worker. */
  trapped?: boolean;
}

/** Words of the control buffer. */
export const CONTROL_STOP = 0; // 1: jobs return at their next look
export const CONTROL_ARRIVED = 1; // workers that have loaded the job
export const CONTROL_STARTED = 2; // id of the last job that all workers have loaded
export const CONTROL_DEAD = 3; // from here on a word for each CPU: 1, its worker is dead or has left a call half done
export const CONTROL_WORDS = CONTROL_DEAD + 64;

/**
 * The worker, as its job sees it. Domains and allocators can be made in it, as in a Machine: it is this
 * worker's own instance of the core, with the machine that all share.
 */
export interface JobContext extends CoreHost {
  /** 0 to workers - 1. The worker's virtual CPU is index + 1: CPU 0 is the host's. */
  readonly index: number;
  /** How many workers the pool has. */
  readonly workers: number;
  /** Whether the pool asked its workers to stop. Cheap enough to ask after every batch. */
  stopped(): boolean;
}

/** The default export of a job module. All workers enter it at the same moment. */
export type Job<Data, Result> = (worker: JobContext, data: Data) => Result | Promise<Result>;
