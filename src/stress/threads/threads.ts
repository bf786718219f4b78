import { checkLongCall, checkObject, LONG_CALL, optionNames } from '../../core/arguments.js';
import { checkInteger } from '../../core/errors.js';
import { PAGE_SIZE } from '../../core/generated/constants.js';
import type { LongCallOptions } from '../../core/slices.js';
import type { MachineOptions } from '../../machine/config.js';
import { type Contention, contention } from '../../threads/contention.js';
import { WorkerPool } from '../../threads/pool.js';
import type { HammerData, HammerReply } from './hammer-job.js';

/**
 * Real concurrency: worker threads on one shared memory, each a virtual CPU with caches of its own, hammer one domain.
 * The order in which they come is the machine's own; what must hold in any order is checked.
 */
export interface ThreadStressOptions extends LongCallOptions {
  /** Workers, 1 to 63. Default 2. */
  threads?: number;
  /** Decides what each worker does; not the order in which they come. Default 1. */
  seed?: number;
  /** Of all workers together. Default 2,000,000. */
  operations?: number;
  /** Options of the machine. Default strict, without dma-debug, whose one lock would be all that is measured. */
  machine?: MachineOptions;
}

const THREAD_STRESS_OPTIONS = optionNames<ThreadStressOptions>({
  ...LONG_CALL,
  ...{ threads: true, seed: true, operations: true, machine: true },
});

/** What came of workers on one memory. */
export interface ThreadStressResult {
  /** Workers. */
  threads: number;
  /** The seed. */
  seed: number;
  /** Operations of all workers together. */
  operations: number;
  /** Mappings made. */
  mapped: number;
  /** Mappings refused, as when the address space is full. */
  refused: number;
  /** Acquisitions that found a lock held, by what it guards. */
  contention: Contention;
  /** What did not hold, in words; empty when all did. */
  failures: string[];
  /** Only when the signal was aborted: fewer operations were done than asked for. */
  interrupted?: true;
  /** How long it took in real time. */
  timing: {
    /** Seconds. */
    seconds: number;
    /** Operations a second, of all workers together. */
    operationsPerSecond: number;
  };
}

/** Addresses below 4 GiB come first behind an IOMMU; without one they are RAM's, which leaves a hole of 1 GiB below. */
const PAGES_4GIB = 2 ** 20;
const PAGES_HOLE = 2 ** 18;
const DEFAULT_OPERATIONS = 2_000_000;

/** @throws TypeError or RangeError naming the option at fault */
export async function hammerThreads(options: ThreadStressOptions = {}): Promise<ThreadStressResult> {
  options = checkLongCall(options, THREAD_STRESS_OPTIONS);
  if (options.machine !== undefined) checkObject('machine', options.machine);
  const threads = checkInteger('threads', options.threads ?? 2, 1, 63);
  const seed = checkInteger('seed', options.seed ?? 1, 0, 0xffffffff);
  const operations = checkInteger('operations', options.operations ?? DEFAULT_OPERATIONS, 1, Number.MAX_SAFE_INTEGER);
  const machineOptions = { ram: '256MiB', memoryLimit: '512MiB', dmaDebug: false, ...options.machine };
  await using pool = await WorkerPool.create(threads, machineOptions);
  const { machine } = pool;
  const device = machine.addDevice({ maxSegment: 0xffffffff });
  const pages = Math.max(PAGES_4GIB, machine.config.ram.size / PAGE_SIZE + PAGES_HOLE);
  const data: HammerData = {
    device: device.handle,
    ...{ seed, operations: Math.ceil(operations / threads), held: 300, pages: 64 },
    marks: new Int32Array(new SharedArrayBuffer(pages * 4)),
  };
  const stop = (): void => pool.stop();
  options.signal?.addEventListener('abort', stop);
  const started = performance.now();
  // A worker sends no message while it works: the count of mappings shows the progress.
  const timer = setInterval(() => {
    const what = `${threads} threads, ${device.counts.maps} mapped`;
    options.onProgress?.({ done: device.counts.maps, total: Math.round(operations / 2), what });
  }, 100);
  let replies: HammerReply[];
  try {
    const job = pool.run<HammerReply>(new URL('./hammer-job.js', import.meta.url), data);
    if (options.signal?.aborted) stop();
    replies = await job;
  } finally {
    clearInterval(timer);
    options.signal?.removeEventListener('abort', stop);
  }
  const seconds = (performance.now() - started) / 1000;
  machine.clock.advance(1000);

  const sum = (what: keyof HammerReply): number => replies.reduce((total, reply) => total + reply[what], 0);
  const failures: string[] = [];
  const hold = (held: boolean, what: string): void => {
    if (!held) failures.push(what);
  };
  hold(sum('doubles') === 0, `${sum('doubles')} DMA pages had two owners at one time`);
  hold(
    data.marks.every((owner) => owner === 0),
    'DMA pages are still marked as held',
  );
  const { maps, unmaps, pagesMapped, pagesUnmapped } = device.counts;
  hold(maps === unmaps && maps === sum('mapped'), `${maps} maps and ${unmaps} unmaps of ${sum('mapped')} made`);
  hold(pagesMapped === pagesUnmapped, `${pagesMapped} pages were mapped, ${pagesUnmapped} unmapped`);
  try {
    machine.check();
  } catch (error) {
    failures.push((error as Error).message);
  }
  return {
    ...{ threads, seed, operations: sum('operations'), mapped: sum('mapped'), refused: sum('refused') },
    contention: contention(machine),
    failures,
    ...(options.signal?.aborted && { interrupted: true }),
    timing: { seconds, operationsPerSecond: Math.round(sum('operations') / seconds) },
  };
}
