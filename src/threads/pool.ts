import { Worker } from 'node:worker_threads';
import { checkInteger } from '../core/errors.js';
import { type MachineOptions, machineConfig } from '../machine/config.js';
import { Machine } from '../machine/machine.js';
import { CONTROL_STOP, CONTROL_WORDS, type JobReply, type JobRequest, type WorkerData } from './protocol.js';
import { sharedCore, sharedMemory, threadsModules } from './shared-core.js';

/** CPU 0 is the host's; the context has room for 64 (MAX_CPUS). */
const MAX_WORKERS = 63;

/**
 * One machine on several threads: a shared linear memory, the threads build of the core, and workers that each have an
 * instance of it and a virtual CPU of their own.
 *
 * The host's own `machine` may be used while no job runs, or for operations that take the core's locks. Workers run
 * jobs: modules whose default export gets a JobContext. Per-CPU structures (page stacks, IOVA magazines) belong to one
 * worker each; everything else is guarded by locks in the core, which count how often they were contended.
 */
export class WorkerPool {
  readonly machine: Machine;
  readonly size: number;
  readonly #workers: Worker[];
  readonly #control: Int32Array;
  #jobs = 0;
  #running: { id: number; left: number; results: unknown[]; errors: unknown[]; done: () => void } | undefined;
  #closed = false;

  private constructor(machine: Machine, workers: Worker[], control: Int32Array) {
    this.machine = machine;
    this.size = workers.length;
    this.#workers = workers;
    this.#control = control;
    workers.forEach((worker, index) => {
      worker.on('message', (reply: JobReply) => this.#settle(index, reply));
      worker.on('error', (error) => this.#lost(index, error));
      worker.on('exit', () => this.#lost(index, new Error(`worker ${index} ended before its job did`)));
      // Idle workers keep no process alive; a running job's promise does that through ref().
      worker.unref();
    });
  }

  /**
   * Starts the workers on a new machine. `options.cpus` is set by the pool: one for the host and one a worker.
   * @param workers 1 to 63
   * @throws as `new Machine` does
   */
  static async create(workers: number, options: MachineOptions = {}): Promise<WorkerPool> {
    checkInteger('workers', workers, 1, MAX_WORKERS);
    const config = machineConfig({ ...options, cpus: workers + 1 });
    const modules = await threadsModules();
    const memory = sharedMemory(config.memoryLimit);
    const machine = new Machine(config, sharedCore(modules, memory, 0));
    const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
    const started = Array.from({ length: workers }, (_, index) => {
      const workerData: WorkerData = { modules, memory, control, context: machine.context, index, workers };
      return new Worker(new URL('./worker.js', import.meta.url), { workerData });
    });
    return new WorkerPool(machine, started, control);
  }

  /**
   * Runs a job on every worker; they enter it together. One job at a time.
   * @param module URL of the job's module (see Job)
   * @param data given to each; a function of the worker's index makes it differ
   * @returns each worker's result, in order; rejects when one failed, after all have come back
   */
  async run<Result>(module: URL | string, data?: unknown | ((index: number) => unknown)): Promise<Result[]> {
    if (this.#closed) throw new Error('the worker pool is closed');
    if (this.#running) throw new Error('the worker pool runs a job already');
    Atomics.store(this.#control, CONTROL_STOP, 0);
    const id = ++this.#jobs;
    const running = { id, left: this.size, results: new Array<unknown>(this.size), errors: [] as unknown[], done() {} };
    const finished = new Promise<void>((resolve) => (running.done = resolve));
    this.#running = running;
    this.#workers.forEach((worker, index) => {
      const request: JobRequest = {
        id,
        module: String(module),
        data: typeof data === 'function' ? data(index) : data,
      };
      worker.ref();
      worker.postMessage(request);
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

  /** Stops a running job and ends the workers. The machine stays readable. */
  async close(): Promise<void> {
    this.#closed = true;
    this.stop();
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #settle(index: number, { id, result, error }: JobReply): void {
    const running = this.#running;
    if (!running || running.id !== id) return;
    if (error !== undefined) {
      running.errors.push(error);
      this.stop();
    }
    running.results[index] = result;
    if (--running.left === 0) running.done();
  }

  // A worker that ends in the middle of a job may hold locks: the pool is of no further use.
  #lost(index: number, error: unknown): void {
    const running = this.#running;
    this.#closed = true;
    if (!running) return;
    running.errors.push(error);
    running.left = 0;
    running.done();
    this.#workers.forEach((worker, other) => {
      if (other !== index) void worker.terminate();
    });
  }
}
