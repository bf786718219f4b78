import type { Worker } from 'node:worker_threads';
import { checkOptions, checkSynchronous } from '../core/arguments.js';
import { checkInteger, GemDmaError, invalidType } from '../core/errors.js';
import { guard } from '../core/guard.js';
import { checkMaker, LIBRARY } from '../core/life.js';
import { needed } from '../core/platform.js';
import { type MachineOptions, machineConfig } from '../machine/config.js';
import { BaseMachine } from '../machine/machine.js';
import {
  CONTROL_DEAD,
  CONTROL_STOP,
  CONTROL_WORDS,
  type JobReply,
  type JobRequest,
  type WorkerData,
} from './protocol.js';
import { sharedCore, sharedMemory, threadsModules } from './shared-core.js';

/** CPU 0 is the host's; the context has room for 64 (MAX_CPUS). */
const MAX_WORKERS = 63;
/** How long close waits for a job to stop. */
const CLOSE_MS = 5000;

/**
 * One machine on several threads: a shared linear memory, the threads build of the core, and workers that each have an
 * instance of it and a virtual CPU of their own.
 *
 * The host's own `machine` may be used while no job runs, or for operations that take the core's locks. Workers run
 * jobs: modules whose default export gets a JobContext. Per-CPU structures (page stacks, IOVA magazines) belong to one
 * worker each; everything else is guarded by locks in the core, which count how often they were contended.
 */
export class WorkerPool {
  static {
    guard(WorkerPool, (one) => #workers in one);
  }

  /** The machine of the calling thread, on the memory that the workers share. */
  readonly machine: BaseMachine;
  /** Workers. */
  readonly size: number;
  readonly #workers: Worker[];
  readonly #control: Int32Array;
  #jobs = 0;
  #running: { id: number; left: number; results: unknown[]; errors: unknown[]; done: () => void } | undefined;
  #finished: Promise<void> | undefined;
  #closed = false;

  private constructor(maker: typeof LIBRARY, machine: BaseMachine, workers: Worker[], control: Int32Array) {
    checkMaker(maker, 'WorkerPool');
    this.machine = machine;
    this.size = workers.length;
    this.#workers = workers;
    this.#control = control;
    workers.forEach((worker, index) => {
      worker.on('message', (reply: JobReply) => this.#settle(index, reply));
      worker.on('error', (error) => this.#lost(index, error));
      worker.on('exit', () => this.#lost(index, new Error(`worker ${index} ended before its job did`)));
      // Idle workers do not keep the process alive; a running job does, through ref().
      worker.unref();
    });
  }

  /**
   * Starts the workers on a new machine. `options.cpus` is set by the pool: one for the host and one per worker.
   * @param workers 1 to 63
   * @throws as `new Machine` does; GemDmaError ENODEV where the platform has no worker threads of Node
   */
  static async create(workers: number, options: MachineOptions = {}): Promise<WorkerPool> {
    checkInteger('workers', workers, 1, MAX_WORKERS);
    const threads = needed('node:worker_threads', 'worker_pool');
    const config = machineConfig({ ...machineConfig(options), cpus: workers + 1 });
    const modules = await threadsModules();
    const memory = sharedMemory(config.memoryLimit);
    const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
    const machine = new BaseMachine(config, sharedCore(modules, memory, 0, control));
    const url = new URL('./worker.js', import.meta.url);
    const started = Array.from({ length: workers }, (_, index) => {
      const workerData: WorkerData = { modules, memory, control, context: machine.context, index, workers };
      return new threads.Worker(url, { workerData });
    });
    return new WorkerPool(LIBRARY, machine, started, control);
  }

  /**
   * Runs a job on every worker; they enter it together. One job at a time.
   * @param module URL of the job's module (see Job)
   * @param data given to each, as structuredClone copies it; a function of the worker's index makes it differ
   * @returns each worker's result, in order; rejects when one failed or its result cannot be cloned, after all have come back
   * @throws TypeError for data that cannot be cloned, and what a getter in it throws, before a worker has any of it;
   *   GemDmaError EBUSY while another job runs, ENODEV for a closed pool
   */
  async run<Result>(
    module:
      | {
          /** URL of the job's module, such as `new URL('./job.js', import.meta.url)`. */
          readonly href: string;
        }
      | string,
    data?: unknown | ((index: number) => unknown),
  ): Promise<Result[]> {
    const href: unknown = typeof module === 'string' ? module : module?.href;
    if (typeof href !== 'string') throw invalidType('module', 'a URL', module);
    this.#enter();
    const id = this.#jobs + 1;
    // Workers wait for one another: either all get their data, or none does. The copy is posted: no caller's code runs after that.
    const requests = this.#workers.map((_, index): JobRequest => {
      const value: unknown = typeof data === 'function' ? data(index) : data;
      checkSynchronous('data', value);
      return { id, module: href, data: clone(value) };
    });
    // The caller's code may have started a job or closed the pool.
    this.#enter();
    this.#jobs = id;
    Atomics.store(this.#control, CONTROL_STOP, 0);
    const running = { id, left: this.size, results: new Array<unknown>(this.size), errors: [] as unknown[], done() {} };
    const finished = new Promise<void>((resolve) => (running.done = resolve));
    this.#running = running;
    this.#finished = finished;
    this.#workers.forEach((worker, index) => {
      worker.ref();
      worker.postMessage(requests[index]);
    });
    await finished;
    this.#running = undefined;
    for (const worker of this.#workers) worker.unref();
    if (running.errors.length > 0) throw running.errors[0];
    return running.results as Result[];
  }

  /** Asks a running job to return; `run` settles when all workers have. */
  stop(): void {
    Atomics.store(this.#control, CONTROL_STOP, 1);
  }

  /**
   * Asks a running job to return, waits for that, and ends the workers. The machine stays as it is and can be used. A job
   * that has not returned after `timeout` is cut off in the middle of an operation: then the machine is broken, and refuses
   * every call with EIO.
   * @param options.timeout milliseconds, default 5000
   */
  async close(
    options: {
      /** Milliseconds after which workers are ended that have not ended themselves. */
      timeout?: number;
    } = {},
  ): Promise<void> {
    const given = checkOptions('options', options, ['timeout']);
    const timeout = checkInteger('timeout', given.timeout ?? CLOSE_MS, 0, 2 ** 31 - 1);
    this.#closed = true;
    this.stop();
    if (this.#running) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, timeout);
      });
      await Promise.race([this.#finished, late]);
      clearTimeout(timer);
    }
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  /** Ends the workers, as `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #enter(): void {
    if (this.#closed) {
      throw new GemDmaError('ENODEV', 'worker_pool', 'the worker pool is closed', { reason: 'POOL_CLOSED' });
    }
    if (this.#running) {
      throw new GemDmaError('EBUSY', 'worker_pool', 'the worker pool runs a job already', { reason: 'JOB_UNDER_WAY' });
    }
    this.machine.core.timeline.enter('worker_pool');
  }

  #settle(index: number, { id, result, failed, error, trapped }: JobReply): void {
    const running = this.#running;
    if (!running || running.id !== id) return;
    if (failed) {
      // A trap leaves an operation half done and locks held, as an end does.
      if (trapped) {
        this.#break(index, 'trapped', error);
        return;
      }
      running.errors.push(error);
      this.stop();
    }
    running.results[index] = result;
    if (--running.left === 0) running.done();
  }

  #lost(index: number, error: unknown): void {
    this.#closed = true;
    Atomics.store(this.#control, CONTROL_DEAD + index + 1, 1);
    if (this.#running && this.#running.left > 0) this.#break(index, 'ended', error);
  }

  // A worker that died in a job leaves structures half changed and locks held: others would wait for ever. The job ends here, and the
  // machine refuses every call.
  #break(index: number, how: string, error: unknown): void {
    const running = this.#running!;
    this.#closed = true;
    this.machine.core.timeline.close({
      code: 'EIO',
      reason: 'MACHINE_BROKEN',
      message: `worker ${index} ${how} in the middle of a job: what it was changing is half done`,
    });
    running.errors.push(error);
    running.left = 0;
    running.done();
    for (const worker of this.#workers) void worker.terminate();
  }
}

function clone(data: unknown): unknown {
  try {
    return structuredClone(data);
  } catch (error) {
    if (error instanceof DOMException) throw invalidType('data', 'what can be cloned', data);
    throw error;
  }
}
