import { Console } from 'node:console';
import { parentPort, workerData } from 'node:worker_threads';
import { GemDmaError } from '../core/errors.js';
import { benchDriver } from './bench.js';
import { driverCore } from './core-module.js';
import { loadTest } from './load-test.js';
import type {
  DriverBenchRequest,
  DriverWorkerData,
  DriverWorkerReply,
  DriverWorkerRequest,
  ThrownError,
} from './point-runner.js';
import { runDriver } from './run.js';

/** The worker of PointRunner: runs a test once for each request, or times its driver. */

// Results are on standard output; a test's own output goes to standard error.
globalThis.console = new Console(process.stderr, process.stderr);

const { wasm, test: url, options } = workerData as DriverWorkerData;
const port = parentPort!;
// The first run's time begins when the worker is there and the core compiled.
const loading = loadTest(url).then((test) => {
  driverCore();
  port.postMessage({ ready: true });
  return test;
});
// What the import threw is the answer to the first request.
loading.catch(() => {});

port.on('message', async (request: DriverWorkerRequest | DriverBenchRequest) => {
  port.postMessage(await answer(request));
});

async function answer(request: DriverWorkerRequest | DriverBenchRequest): Promise<DriverWorkerReply> {
  try {
    if ('bench' in request) return { result: benchDriver(wasm, await loading, request.bench.plain) };
    return { result: runDriver(wasm, await loading, { ...options, ...request }) };
  } catch (error) {
    return { error: thrown(error) };
  }
}

/** An error as a message can carry it. */
function thrown(error: unknown): ThrownError {
  if (!(error instanceof Error)) return { message: String(error), stack: '' };
  const { message, stack = '' } = error;
  if (!GemDmaError.is(error)) return { message: `${error.name}: ${message}`, stack };
  const { code, syscall, reason } = error;
  return { message: message.replace(`${code}: `, ''), stack, refused: { code, syscall, reason } };
}
