import { parentPort, workerData } from 'node:worker_threads';
import type { DriverWorkerData, DriverWorkerReply, DriverWorkerRequest } from './fail-nth.js';
import { loadTest } from './load-test.js';
import { runDriver } from './run.js';

/** The worker of fail-nth: runs a test once for each request. */

const { wasm, test: url, machine, dmaBits, kasan } = workerData as DriverWorkerData;
const loading = loadTest(url);
const port = parentPort!;

port.on('message', async (request: DriverWorkerRequest) => {
  port.postMessage(await answer(request));
});

async function answer({ nth, survey }: DriverWorkerRequest): Promise<DriverWorkerReply> {
  try {
    const test = await loading;
    return { result: runDriver(wasm, test, { machine, dmaBits, kasan, nth, survey }) };
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
