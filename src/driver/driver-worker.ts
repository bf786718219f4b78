import { parentPort, workerData } from 'node:worker_threads';
import { loadTest } from './load-test.js';
import type { DriverWorkerData, DriverWorkerReply, DriverWorkerRequest } from './point-runner.js';
import { runDriver } from './run.js';

/** The worker of fail-nth and stress: runs a test once for each request. */

const { wasm, test: url, options } = workerData as DriverWorkerData;
const loading = loadTest(url);
const port = parentPort!;

port.on('message', async (request: DriverWorkerRequest) => {
  port.postMessage(await answer(request));
});

async function answer(request: DriverWorkerRequest): Promise<DriverWorkerReply> {
  try {
    return { result: runDriver(wasm, await loading, { ...options, ...request }) };
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
