import { needed } from '../core/platform.js';
import {
  CONTROL_ARRIVED,
  CONTROL_DEAD,
  CONTROL_STARTED,
  CONTROL_STOP,
  type Job,
  type JobContext,
  type JobReply,
  type JobRequest,
  type WorkerData,
} from './protocol.js';
import { leavesHalfDone, sharedCore } from './shared-core.js';

/** One worker of a WorkerPool: its own instance of the core on the shared memory, running jobs as they come. */

const { parentPort, workerData } = needed('node:worker_threads', 'worker');
const { modules, memory, control, context, index, workers } = workerData as WorkerData;
const port = parentPort!;
const worker: JobContext = {
  core: sharedCore(modules, memory, index + 1, control),
  context,
  index,
  workers,
  stopped: () => Atomics.load(control, CONTROL_STOP) !== 0,
};

port.on('message', async ({ id, module: url, data }: JobRequest) => {
  const reply: JobReply = { id };
  try {
    // A worker whose job cannot be loaded also arrives: the others must not wait for it.
    const loaded = import(url) as Promise<{ default: Job<unknown, unknown> }>;
    await loaded.catch(() => {});
    arrive(id);
    const { default: job } = await loaded;
    reply.result = await job(worker, data);
  } catch (error) {
    reply.failed = true;
    reply.error = error;
    reply.trapped = leavesHalfDone(error);
    if (reply.trapped) Atomics.store(control, CONTROL_DEAD + index + 1, 1);
  }
  send(reply);
});

/** Results and errors that cannot be cloned fail the job, not the worker. */
function send(reply: JobReply): void {
  try {
    port.postMessage(reply);
  } catch {
    const { id, failed, error, trapped } = reply;
    const why = failed ? `the job of worker ${index} threw what cannot be cloned: ${text(error)}` : undefined;
    const message = why ?? `the job of worker ${index} returned what cannot be cloned: ${text(reply.result)}`;
    port.postMessage({ id, failed: true, error: new TypeError(message), trapped } satisfies JobReply);
  }
}

function text(value: unknown): string {
  try {
    return String(value);
  } catch {
    return `an ${typeof value}`;
  }
}

/** Returns when all workers are here. */
function arrive(id: number): void {
  if (Atomics.add(control, CONTROL_ARRIVED, 1) === workers - 1) {
    Atomics.store(control, CONTROL_ARRIVED, 0);
    Atomics.store(control, CONTROL_STARTED, id);
    Atomics.notify(control, CONTROL_STARTED);
  } else {
    Atomics.wait(control, CONTROL_STARTED, id - 1);
  }
}
