import { readFileSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import fc from 'fast-check';
import { Core, type CoreModules, watchRelease } from '../../../src/core/instance.js';
import { DMA_NAMES, NAMES } from './calls.js';
import { runSteps, setCheckInterval, setDetailed } from './run.js';
import { steps } from './steps.js';

/**
 * `npm run fuzz -- --steps 1000000 [--seed N] [--path P] [--debug]`: calls in sequences of up to 300. A failure is cut
 * down and printed with the line that repeats it. `--dma` leaves drivers out. The calls are made in a worker, so that one that never returns is told.
 */

const LENGTH = process.argv.includes('--length') ? Number(process.argv[process.argv.indexOf('--length') + 1]) : 300;
/** A call that takes longer hangs. */
const HANG_MS = 20_000;
/** Time to cut a failure down. */
const CUT_MS = 30_000;
/** Words that the worker shares: calls so far, the number of the call that runs, the sequence. */
const CALLS = 0;
const NAME = 1;
const SEQUENCE = 2;

interface Run {
  total: number;
  seed: number;
  path: string | undefined;
  debug: boolean;
  shared: Int32Array;
}

/** Calls between two checks of both machines. When a failure is cut down each is followed by one. */
const CHECK_INTERVAL = 16;

function arguments_(): Run {
  const value = (name: string): string | undefined => {
    const at = process.argv.indexOf(`--${name}`);
    return at < 0 ? undefined : process.argv[at + 1];
  };
  return {
    total: Number(value('steps') ?? 100_000),
    seed: Number(value('seed') ?? Math.floor(Math.random() * 2 ** 31)),
    path: value('path'),
    debug: process.argv.includes('--debug'),
    shared: new Int32Array(new SharedArrayBuffer(12)),
  };
}

function watch(): void {
  const run = arguments_();
  const { shared, seed, total } = run;
  console.log(`seed ${seed}`);
  const began = Date.now();
  const worker = new Worker(new URL(import.meta.url), { workerData: run, argv: process.argv.slice(2) });
  let before = -1;
  let still = 0;
  let told = began;
  const timer = setInterval(() => {
    still = shared[CALLS] === before ? still + 1000 : 0;
    before = shared[CALLS];
    if (still >= HANG_MS) {
      console.log(`HANG in ${NAMES[shared[NAME]]}, sequence ${shared[SEQUENCE]}: --steps ${total} --seed ${seed}`);
      process.exit(1);
    }
    if (Date.now() - told >= 10_000) {
      told = Date.now();
      console.log(`${before} calls, ${((told - began) / 1000).toFixed(0)} s`);
    }
  }, 1000);
  worker.on('message', ({ failed, text }: { failed: boolean; text: string }) => {
    clearInterval(timer);
    console.log(text);
    const seconds = (Date.now() - began) / 1000;
    console.log(
      `${shared[CALLS]} calls, ${seconds.toFixed(1)} s, ${((shared[CALLS] / seconds) | 0).toLocaleString('en')} a second`,
    );
    process.exit(failed ? 1 : 0);
  });
}

function work({ total, seed, path, debug, shared }: Run): void {
  const nullRecord: number = JSON.parse(readFileSync('asconfig.json', 'utf8')).options.memoryBase;
  watchRelease(nullRecord);
  let modules: CoreModules | undefined;
  if (debug) {
    const module = new WebAssembly.Module(readFileSync('build/debug.wasm'));
    modules = { core: module, tools: module, nullRecord };
  }
  setCheckInterval(CHECK_INTERVAL);
  const names = process.argv.includes('--dma') ? DMA_NAMES : undefined;
  const run = (sequence: number[][]): void => {
    ++shared[SEQUENCE];
    const entered = (name: string): void => {
      ++shared[CALLS];
      shared[NAME] = NAMES.indexOf(name);
    };
    runSteps(() => new Core(modules), sequence, undefined, entered, names);
  };
  const outcome = fc.check(
    fc.property(steps(LENGTH), run),
    // Lengths are spread evenly.
    {
      seed,
      numRuns: path ? 1 : Math.ceil((2 * total) / LENGTH),
      endOnFailure: true,
      ...(path && { path }),
    },
  );
  let text = 'nothing wrong';
  if (outcome.failed) {
    const error = cutDown(outcome.counterexample![0], run);
    text = [
      `FAILED: ${error?.stack ?? error}`,
      ...(error?.cause ? [`refused with ${error.cause}`] : []),
      ...(error?.calls?.slice(-80) ?? []),
      `again: npm run fuzz -- --seed ${outcome.seed} --path ${outcome.counterexamplePath}${debug ? ' --debug' : ''}`,
    ].join('\n');
  }
  parentPort!.postMessage({ failed: outcome.failed, text });
}

/** Leaves out steps as long as the same goes wrong. Returns what the shortest sequence threw. */
function cutDown(found: number[][], run: (sequence: number[][]) => void): Error & { calls?: string[] } {
  const attempt = (sequence: number[][]): (Error & { calls?: string[] }) | undefined => {
    try {
      run(sequence);
    } catch (error) {
      return error as Error;
    }
  };
  const kind = (error: Error | undefined): string => String(error).replace(/0x[0-9a-f]+|\d+/g, '');
  let sequence = found;
  setCheckInterval(1);
  let error = attempt(sequence);
  if (error === undefined) {
    setCheckInterval(CHECK_INTERVAL);
    error = attempt(sequence)!;
  }
  const wanted = kind(error);
  const until = Date.now() + CUT_MS;
  for (let size = sequence.length >> 1; size > 0; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 1; at < sequence.length && Date.now() < until; ) {
      const shorter = [...sequence.slice(0, at), ...sequence.slice(at + size)];
      const again = attempt(shorter);
      if (kind(again) === wanted) [sequence, error] = [shorter, again!];
      else at += size;
    }
  }
  setDetailed(true);
  return attempt(sequence) ?? error;
}

if (isMainThread) watch();
else work(workerData as Run);
