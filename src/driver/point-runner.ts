import { Worker } from 'node:worker_threads';
import { checkBytes, checkLongCall, checkObject, type OptionNames, readData } from '../core/arguments.js';
import { checkInteger, GemDmaError, invalidType } from '../core/errors.js';
import type { AbortSignalLike } from '../core/slices.js';
import type { MachineOptions } from '../machine/config.js';
import type { DriverBench } from './bench.js';
import { checkDriverOptions, DRIVER_OPTIONS, type FaultPoint } from './driver.js';
import type { DriverFinding } from './findings.js';
import type { RunOptions, RunResult } from './run.js';

/** Runs a test in a worker, one run at a time, with a time limit per run: a driver may loop for ever. */

export interface RunnerOptions {
  /** Options of each run's machine. RAM is 64 MiB unless said otherwise. */
  machine?: MachineOptions;
  /** Bits of dma_addr_t that the driver was built with. Default 64. */
  dmaBits?: 32 | 64;
  /** Check the CPU's accesses; of effect in a driver that was built for it. Default true. */
  kasan?: boolean;
  /** Milliseconds for one run. Default 5000. */
  timeLimit?: number;
  /** Ends the run that is under way: a driver may loop for ever. */
  signal?: AbortSignalLike;
}

export const RUNNER_OPTIONS: OptionNames<RunnerOptions> = {
  ...DRIVER_OPTIONS,
  ...{ machine: true, timeLimit: true, signal: true },
};

/** @internal Options of a call that runs a test again and again, as checkOptions reads them. */
export function checkRunnerOptions<Options extends RunnerOptions>(given: Options, known: readonly string[]): Options {
  const options = checkLongCall(given, known);
  checkDriverOptions(options);
  if (options.machine !== undefined) checkObject('machine', options.machine);
  if (options.timeLimit !== undefined) checkInteger('timeLimit', options.timeLimit, 1, 2 ** 31 - 1);
  return { ...options, ...(options.machine && { machine: readData('machine', options.machine) }) };
}

/** What a worker gets at its start. */
export interface DriverWorkerData {
  wasm: Uint8Array;
  test: string;
  options: RunOptions;
}

/** Request: options that override those of the start. The answer is a result, or what the test threw. */
export type DriverWorkerRequest = RunOptions;
/** Request: times the test's driver, and beside it a build without kasan if there is one. */
export type DriverBenchRequest = { bench: { plain: Uint8Array | undefined } };
export type DriverWorkerReply = { result: RunResult | DriverBench } | { error: ThrownError };

/** What a test threw. */
export interface ThrownError {
  message: string;
  stack: string;
  /** Of a GemDmaError. */
  refused?: { code: string; syscall: string; reason: string | undefined };
}

/** A test's module, or its model or scenario, threw, or ended the process that it runs in. */
export class TestThrew extends Error {
  override readonly name = 'TestThrew';
}

function asError({ message, stack, refused }: ThrownError): Error {
  if (refused) {
    const { code, syscall, reason } = refused;
    return new GemDmaError(code as ConstructorParameters<typeof GemDmaError>[0], syscall, message, { reason });
  }
  const places = [...stack.matchAll(/\(?((?:file:|\/)\S+:\d+):\d+\)?/g)].map(([, place]) => place);
  // The test's own line, not that of a check in here.
  const place = places.find((text) => !text.startsWith(HERE));
  return new TestThrew(`the test threw ${place ? `${message} (${place})` : message}`);
}

/** What a worker died of. */
function thrownBy(error: unknown): ThrownError {
  if (!(error instanceof Error)) return { message: String(error), stack: '' };
  return { message: `${error.name}: ${error.message}`, stack: error.stack ?? '' };
}

/** The folder of the library. */
const HERE = new URL('.', import.meta.url).href;

const TIME_LIMIT = 5000;
/** A worker starts, and compiles the core, before the first run's time begins. */
const START_LIMIT = 30_000;
const NO_LIMIT = 2 ** 31 - 1;

export class PointRunner {
  readonly #data: DriverWorkerData;
  /** Milliseconds for one run. */
  readonly timeLimit: number;
  readonly #signal: AbortSignalLike | undefined;
  #worker: Worker | null = null;
  /** What a worker has died of since its last run. */
  #left: ThrownError | null = null;

  constructor(
    wasm: Uint8Array,
    test: string | { readonly href: string },
    { machine, dmaBits, kasan, timeLimit = TIME_LIMIT, signal }: RunnerOptions,
  ) {
    checkBytes('wasm', wasm);
    const path: unknown = typeof test === 'string' ? test : test?.href;
    if (typeof path !== 'string') throw invalidType('test', 'a path or a URL', test);
    this.#data = { wasm, test: path, options: { machine, dmaBits, kasan } };
    this.timeLimit = timeLimit;
    this.#signal = signal;
  }

  /**
   * @returns null when the time was over, or the signal ended it
   * @throws TestThrew; GemDmaError if the module is not a driver
   */
  run(request: DriverWorkerRequest, timeLimit = this.timeLimit): Promise<RunResult | null> {
    return this.#ask<RunResult>(request, timeLimit);
  }

  /**
   * Times the driver, without a limit.
   * @param plain the module without kasan
   * @returns null when the signal ended it
   * @throws as run
   */
  bench(plain?: Uint8Array): Promise<DriverBench | null> {
    return this.#ask<DriverBench>({ bench: { plain } }, null);
  }

  async #ask<Result>(
    request: DriverWorkerRequest | DriverBenchRequest,
    timeLimit: number | null,
  ): Promise<Result | null> {
    if (this.#signal?.aborted) return null;
    const fresh = this.#worker === null;
    const worker = this.#started();
    let died: ((error: unknown) => void) | undefined;
    let ended: ((code: number) => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    let stop: (() => void) | undefined;
    try {
      const reply = await new Promise<DriverWorkerReply | null>((resolve, reject) => {
        const never = (): void =>
          reject(
            new TestThrew(`the test's module is not there after ${START_LIMIT / 1000} s: it loops or awaits for ever`),
          );
        timer = fresh ? setTimeout(never, START_LIMIT) : setTimeout(() => resolve(null), timeLimit ?? NO_LIMIT);
        stop = () => resolve(null);
        this.#signal?.addEventListener('abort', stop);
        worker.on('message', (message: DriverWorkerReply | { ready: true }) => {
          if (!('ready' in message)) return resolve(message);
          clearTimeout(timer);
          if (timeLimit !== null) timer = setTimeout(() => resolve(null), timeLimit);
        });
        // Timers that a test left may throw at any time; code that ends the process ends the worker.
        died = (error) => reject(asError(thrownBy(error)));
        ended = (code) =>
          reject(new TestThrew(`the test has ended its process (exit code ${code}): nothing is known of the run`));
        worker.on('error', died);
        worker.on('exit', ended);
        worker.postMessage(request);
      });
      if (reply === null) {
        await this.close();
        return null;
      }
      if ('error' in reply) throw asError(reply.error);
      return reply.result as Result;
    } catch (error) {
      this.#left = null;
      await this.close();
      throw error;
    } finally {
      clearTimeout(timer);
      if (stop) this.#signal?.removeEventListener('abort', stop);
      worker.removeAllListeners('message');
      if (died) worker.off('error', died);
      if (ended) worker.off('exit', ended);
    }
  }

  /** The worker. It may also die between two runs, from work that a run left; the next run reports it. */
  #started(): Worker {
    const left = this.#left;
    this.#left = null;
    if (left) throw asError(left);
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL('./driver-worker.js', import.meta.url), { workerData: this.#data });
    worker.on('error', (error) => {
      this.#left = thrownBy(error);
    });
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = null;
    });
    this.#worker = worker;
    return worker;
  }

  /** The finding of a run that did not come back. */
  hang(point: FaultPoint | null): DriverFinding {
    const message = `does not come back within ${this.timeLimit / 1000} s: it loops for ever, or as good as`;
    return { id: 'HANG', message, at: point?.at ?? null, born: null, stack: point?.stack ?? [], count: 1 };
  }

  /** The result of a run that did not return. */
  stuck(): RunResult {
    const nothing = { log: [], probed: 0, pointCount: 0, points: [], struck: null, missing: [] };
    return { ...nothing, findings: [this.hang(null)] };
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }
}
