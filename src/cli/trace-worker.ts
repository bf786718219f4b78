import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import * as zlib from 'node:zlib';
import { Decompress, decompress } from 'fzstd';
import { postable } from '../trace/batches/batch.js';
import { TraceError } from '../trace/batches/completeness.js';
import type { Codecs, TraceSource } from '../trace/batches/source.js';
import { readTrace } from '../trace/read.js';
import type { InputMessage, InputPosition, WorkerInput } from './trace-input.js';

/** The thread that reads one input of `gemdma trace`: bytes in, batches out, a few of them ahead of the other side. */

const AHEAD = 6;

/** zstd: Node's own where it has it (from 22.15), else in JavaScript. */
const codecs: Codecs = {
  zstd: (bytes, size) => {
    const native = (zlib as { zstdDecompressSync?: (bytes: Uint8Array) => Uint8Array }).zstdDecompressSync;
    return native ? native(bytes) : decompress(bytes, new Uint8Array(size));
  },
  async *zstdStream(source) {
    let out: Uint8Array[] = [];
    const stream = new Decompress((piece) => void out.push(piece));
    let held: Uint8Array | null = null;
    for await (const piece of source) {
      if (held) stream.push(held);
      held = piece.slice();
      yield* out;
      out = [];
    }
    if (held) stream.push(held, true);
    yield* out;
  },
};

const port = parentPort!;
const position: InputPosition = { done: 0, total: 0 };
let ahead = 0;
let wake: (() => void) | null = null;
port.on('message', () => {
  --ahead;
  wake?.();
});

function post(message: InputMessage, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

async function source(file: string): Promise<TraceSource> {
  if (file === '-') return createReadStream('', { fd: 0 });
  const handle = await open(file);
  const { size, isFile } = await handle.stat().then((stat) => ({ size: stat.size, isFile: stat.isFile() }));
  // Pipes and the files of /sys and /proc have no size; they are read to their end.
  if (!isFile || size === 0) return handle.createReadStream();
  position.total = size;
  return {
    size,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      const { bytesRead } = await handle.read(bytes, 0, length, offset);
      position.done += bytesRead;
      return bytes.subarray(0, bytesRead);
    },
    async readInto(target, offset) {
      const { bytesRead } = await handle.read(target, 0, target.length, offset);
      position.done += bytesRead;
      return bytesRead;
    },
  };
}

async function run({ file }: WorkerInput): Promise<void> {
  try {
    const reader = readTrace(await source(file), { name: file === '-' ? 'standard input' : file, codecs });
    for await (const batch of reader) {
      if (++ahead > AHEAD) await new Promise<void>((resolve) => (wake = resolve));
      wake = null;
      post({ batch: postable(batch), at: { ...position } }, [batch.buffer, batch.values.buffer as ArrayBuffer]);
    }
    post({ gaps: { ...reader.gaps } });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    if (error instanceof TraceError) {
      const { input, line, column, reason } = error;
      post({ error: { message, input, line, column, reason } });
    } else if (code !== undefined && /^E[A-Z]+$/.test(code)) {
      post({ error: { message: `cannot read ${file}: ${message}`, input: file, line: 0, column: 0, reason: message } });
    } else throw error;
  }
  port.close();
}

void run(workerData as WorkerInput);
