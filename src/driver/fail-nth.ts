import { Worker } from 'node:worker_threads';
import type { MachineOptions } from '../machine/config.js';
import type { FaultPoint } from './driver.js';
import { type DriverFinding, findingKey } from './findings.js';
import type { RunResult } from './run.js';

/**
 * Every allocation of a driver's test fails once: memory, skbs, mappings, interrupts, PCI steps. What the driver does wrong then
 * is told with the failure that led to it; what it does wrong anyway is told apart. Points that have their call site and
 * stack in common are a group, of which the first, the second and the last are tried.
 *
 * Each point runs in a worker with a time limit, since a driver's way back may loop for ever.
 */

export interface DriverFailNthOptions {
  machine?: MachineOptions;
  /** Bits of dma_addr_t that the driver was built with. Default 64. */
  dmaBits?: 32 | 64;
  kasan?: boolean;
  /** Try every point of each group. Default false. */
  all?: boolean;
  /** Milliseconds for one point. Default 5000. */
  timeLimit?: number;
  onProgress?(done: number, of: number): void;
  signal?: AbortSignal;
}

/** A finding, and the failure that led to it. */
export interface FailureFinding {
  finding: DriverFinding;
  point: FaultPoint;
  /** Points that led to it, of those tried. */
  points: number;
}

export interface DriverFailNthResult {
  dmaBits: 32 | 64;
  /** What shows without any failure. */
  baseline: DriverFinding[];
  failures: FailureFinding[];
  /** Points, groups of them, and how many were tried. */
  points: number;
  groups: number;
  tried: number;
  /** Functions that the driver names and nobody has. */
  missing: string[];
}

/** What a worker gets at its start. */
export interface DriverWorkerData {
  wasm: Uint8Array;
  test: string;
  machine: MachineOptions | undefined;
  dmaBits: 32 | 64;
  kasan: boolean;
}

/** What it is asked, and its answer. */
export interface DriverWorkerRequest {
  nth: number;
  survey: boolean;
}
export type DriverWorkerReply = { result: RunResult } | { error: string };

const TIME_LIMIT = 5000;
/** A worker starts, and compiles the core, before the first point's time begins. */
const START_LIMIT = 30_000;

/**
 * Fails each allocation of a test in turn.
 * @param wasm what buildDriver gave
 * @param test URL or path of the test's module: it is loaded in the worker
 * @throws Error that the test threw
 */
export async function driverFailNth(
  wasm: Uint8Array,
  test: string | URL,
  options: DriverFailNthOptions = {},
): Promise<DriverFailNthResult> {
  const { dmaBits = 64, timeLimit = TIME_LIMIT, signal } = options;
  const data = { wasm, test: String(test), machine: options.machine, dmaBits, kasan: options.kasan !== false };
  const runner = new PointRunner(data);
  try {
    const survey = await runner.run({ nth: 0, survey: true }, START_LIMIT);
    if (survey === null) return hung(dmaBits);
    const groups = grouped(survey.points);
    const chosen = groups.flatMap((group) => (options.all ? group : picked(group))).sort((a, b) => a.number - b.number);
    const known = new Set(survey.findings.map(findingKey));
    const failures = new Map<string, FailureFinding>();
    let tried = 0;
    for (const point of chosen) {
      if (signal?.aborted) break;
      const result = await runner.run({ nth: point.number, survey: false }, timeLimit);
      ++tried;
      const findings = result === null ? [hang(point, timeLimit)] : result.findings;
      for (const finding of findings) {
        const key = findingKey(finding);
        if (known.has(key)) continue;
        const before = failures.get(key);
        if (before) ++before.points;
        else failures.set(key, { finding, point, points: 1 });
      }
      options.onProgress?.(tried, chosen.length);
    }
    return {
      dmaBits,
      baseline: survey.findings,
      failures: [...failures.values()],
      points: survey.pointCount,
      groups: groups.length,
      tried,
      missing: survey.missing,
    };
  } finally {
    await runner.close();
  }
}

/** First, second and last. */
function picked(group: readonly FaultPoint[]): FaultPoint[] {
  return group.length <= 3 ? [...group] : [group[0], group[1], group[group.length - 1]];
}

function grouped(points: readonly FaultPoint[]): FaultPoint[][] {
  const groups = new Map<string, FaultPoint[]>();
  for (const point of points) {
    const key = `${point.kind}|${point.stack.map(({ file, line }) => `${file}:${line}`).join('|')}`;
    const group = groups.get(key);
    if (group) group.push(point);
    else groups.set(key, [point]);
  }
  return [...groups.values()];
}

function hang(point: FaultPoint, timeLimit: number): DriverFinding {
  const message = `does not come back within ${timeLimit / 1000} s: it loops for ever, or as good as`;
  return { id: 'HANG', message, at: point.at, born: null, stack: point.stack, count: 1 };
}

function hung(dmaBits: 32 | 64): DriverFailNthResult {
  const message = `does not come back within ${START_LIMIT / 1000} s, with no failure at all`;
  const finding: DriverFinding = { id: 'HANG', message, at: null, born: null, stack: [], count: 1 };
  return { dmaBits, baseline: [finding], failures: [], points: 0, groups: 0, tried: 0, missing: [] };
}

/** A worker that runs one point at a time, and is replaced when it does not come back. */
class PointRunner {
  readonly #data: DriverWorkerData;
  #worker: Worker | null = null;

  constructor(data: DriverWorkerData) {
    this.#data = data;
  }

  /** @returns null when the time was over */
  async run(request: DriverWorkerRequest, timeLimit: number): Promise<RunResult | null> {
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

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }
}
