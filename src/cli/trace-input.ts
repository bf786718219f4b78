import { Worker } from 'node:worker_threads';
import type { CallProgress } from '../core/slices.js';
import { readHead } from '../files/text.js';
import { type PostedBatch, received, type TraceBatch } from '../trace/batches/batch.js';
import type { Gaps } from '../trace/batches/completeness.js';

/** The inputs of `gemdma trace`, each read by a thread of its own, one after the other. */

export interface WorkerInput {
  file: string;
}

/** Messages of a reading thread: batches, and at the end how complete the input was, or why it could not be read. */
export type InputMessage =
  | { batch: PostedBatch; at: InputPosition }
  | { gaps: Omit<Gaps, 'other' | 'notUnderstood'> }
  | { error: InputError };

/** Bytes read so far, and bytes that there are; 0 where it is not known. */
export interface InputPosition {
  done: number;
  total: number;
}

export interface InputError {
  message: string;
  input: string;
  line: number;
  column: number;
  reason: string;
}

export type InputGaps = Omit<Gaps, 'other' | 'notUnderstood'>;

/**
 * Reads an input in a thread.
 * @param take is called with each batch, in order
 * @returns how complete it was, or the error
 */
export async function readInput(
  file: string,
  take: (batch: TraceBatch) => void,
  { signal, onProgress }: { signal: AbortSignal; onProgress?: (progress: CallProgress) => void },
): Promise<InputGaps | InputError> {
  const worker = new Worker(new URL('./trace-worker.js', import.meta.url), {
    workerData: { file } satisfies WorkerInput,
  });
  let stop = (): void => {};
  try {
    return await new Promise((resolve, reject) => {
      const stopped = { message: 'interrupted', input: file, line: 0, column: 0, reason: 'interrupted' };
      // A thread that waits for input cannot be ended: the process does not wait for it.
      stop = () => {
        void worker.terminate();
        resolve(stopped);
      };
      signal.addEventListener('abort', stop);
      let result: InputGaps | InputError | null = null;
      worker.on('message', (message: InputMessage) => {
        if ('batch' in message) {
          take(received(message.batch));
          onProgress?.({ ...message.at, what: file });
          worker.postMessage(0);
        } else result = 'gaps' in message ? message.gaps : message.error;
      });
      worker.on('error', reject);
      worker.on('exit', () => resolve(result ?? stopped));
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Logs before traces: a fault of a log is matched when the trace has reached its time. */
export function logsFirst(files: readonly string[]): string[] {
  const isLog = (file: string): boolean => {
    try {
      return /^\s*(?:<\d+>)?(?:\[\s*\d+\.\d+\]|[A-Z][a-z]{2}\s+\d+\s[\d:]+\s|\d{4}-\d\d-\d\dT)/.test(
        Buffer.from(readHead(file, 200)).toString('latin1'),
      );
    } catch {
      return false;
    }
  };
  const order = files.map((file) => ({ file, log: file !== '-' && isLog(file) }));
  return [...order.filter(({ log }) => log), ...order.filter(({ log }) => !log)].map(({ file }) => file);
}
