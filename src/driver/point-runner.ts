import { Worker } from 'node:worker_threads';
import type { MachineOptions } from '../machine/config.js';
import type { FaultPoint } from './driver.js';
import type { DriverFinding } from './findings.js';
import type { RunOptions, RunResult } from './run.js';

/** Runs a test in a worker, one run at a time, each with a time limit: a driver may loop for ever. */

export interface RunnerOptions {
  machine?: MachineOptions;
  /** Bits of dma_addr_t that the driver was built with. Default 64. */
  dmaBits?: 32 | 64;
  kasan?: boolean;
  /** Milliseconds for one run. Default 5000. */
  timeLimit?: number;
}

/** What a worker gets at its start. */
export interface DriverWorkerData {
  wasm: Uint8Array;
  test: string;
  options: RunOptions;
}

/** What it is asked: options over those of its start. Its answer is a result, or what the test threw. */
export type DriverWorkerRequest = RunOptions;
export type DriverWorkerReply = { result: RunResult } | { error: string };

const TIME_LIMIT = 5000;
/** A worker starts, and compiles the core, before the first run's time begins. */
const START_LIMIT = 30_000;

export class PointRunner {
  readonly #data: DriverWorkerData;
  readonly #timeLimit: number;
  #worker: Worker | null = null;

  constructor(
    wasm: Uint8Array,
    test: string | { readonly href: string },
    { machine, dmaBits, kasan, timeLimit = TIME_LIMIT }: RunnerOptions,
  ) {
    this.#data = { wasm, test: String(test), options: { machine, dmaBits, kasan } };
    this.#timeLimit = timeLimit;
  }

  /**
   * @returns null when the time was over
   * @throws Error that the test threw
   */
  async run(request: DriverWorkerRequest, timeLimit = this.#timeLimit): Promise<RunResult | null> {
    const fresh = this.#worker === null;
    this.#worker ??= new Worker(new URL('./driver-worker.js', import.meta.url), { workerData: this.#data });
    const worker = this.#worker;
    let timer: NodeJS.Timeout | undefined;
    try {
      const reply = await new Promise<DriverWorkerReply | null>((resolve, reject) => {
        timer = setTimeout(() => resolve(null), fresh ? timeLimit + START_LIMIT : timeLimit);
        worker.once('message', resolve);
        worker.once('error', reject);
        worker.postMessage(request);
      });
      if (reply === null) {
        await this.close();
        return null;
      }
      if ('error' in reply) throw new Error(reply.error);
      return reply.result;
    } finally {
      clearTimeout(timer);
      worker.removeAllListeners('message');
      worker.removeAllListeners('error');
    }
  }

  /** The finding of a run that did not come back. */
  hang(point: FaultPoint | null): DriverFinding {
    const message = `does not come back within ${this.#timeLimit / 1000} s: it loops for ever, or as good as`;
    return { id: 'HANG', message, at: point?.at ?? null, born: null, stack: point?.stack ?? [], count: 1 };
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }
}
