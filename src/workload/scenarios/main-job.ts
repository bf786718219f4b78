import { cpuShare } from '../../core/platform.js';
import type { CallProgress, LongCallOptions, Sliced } from '../../core/slices.js';
import { inSlices } from '../../core/slices.js';
import { i915Driver } from '../../i915/driver.js';
import { BaseMachine } from '../../machine/machine.js';
import type { VerifyResult } from '../../recordings/replay/recording.js';
import { verifyAsync } from '../../recordings/verify.js';
import { busy } from '../bench/measure.js';
import { type LeakResult, leak } from './leak.js';
import type { PolicyName } from './scenario.js';

/**
 * The main job: the leak under both policies, a recording of a real kernel's allocator replayed, and what
 * the two policies cost.
 */

export interface Throughput {
  policy: PolicyName;
  /** Lives of objects: created, bound in two address spaces, unbound, freed. */
  objectsPerSecond: number;
  /** dma_map_sg calls, and pages that they mapped. */
  mappingsPerSecond: number;
  pagesPerSecond: number;
  /** Reasons not to trust the figures; empty when there are none. */
  untrusted: string[];
}

/** What came of it; of an interrupted job, of its parts so far. */
export interface MainJobResult {
  seed: number;
  policies: LeakResult[];
  replay: VerifyResult | null;
  throughput: Throughput[];
  ok: boolean;
  interrupted?: true;
}

const OBJECT = '1MiB';
/** How long a policy is measured, in milliseconds, and after how many objects the clock is looked at. */
const MEASURE_MS = 400;
const BATCH = 100;
/** Shares of the parts in the whole, for its progress: about as long as they take. */
const SHARES = { policy: 40, replay: 5, measure: 7 };

/** @param recording of a real kernel: where it is, and the name to show */
export async function runMainJob(
  seed: number,
  recording: { path: string; name: string },
  { signal, onProgress }: LongCallOptions = {},
): Promise<MainJobResult> {
  const total = leak.policies.length * (SHARES.policy + SHARES.measure) + SHARES.replay;
  let before = 0;
  const part = (share: number) => (progress: CallProgress) =>
    onProgress?.({ ...progress, done: before + (share * progress.done) / progress.total, total });
  const result: MainJobResult = { seed, policies: [], replay: null, throughput: [], ok: false };
  for (const policy of leak.policies) {
    const came = await inSlices(leak.run({ policy, seed, signal }), part(SHARES.policy));
    if (signal?.aborted) return { ...result, interrupted: true };
    result.policies.push(came as LeakResult);
    before += SHARES.policy;
  }
  const replay = await verifyAsync(recording.path, { signal, onProgress: part(SHARES.replay) });
  if (signal?.aborted) return { ...result, interrupted: true };
  result.replay = { ...replay, file: recording.name };
  before += SHARES.replay;
  for (const policy of leak.policies) {
    const came = await inSlices(measure(policy, seed, signal), part(SHARES.measure));
    if (signal?.aborted) return { ...result, interrupted: true };
    result.throughput.push(came);
    before += SHARES.measure;
  }
  return { ...result, ok: replay.divergence === null && result.policies.every(({ ok }) => ok) };
}

function* measure(
  policy: PolicyName,
  seed: number,
  signal?: LongCallOptions['signal'],
): Sliced<Throughput, CallProgress> {
  using machine = new BaseMachine({ ram: { size: '256MiB', fragmentation: 1 }, dmaDebug: false, seed });
  const gpu = machine.addDriver(i915Driver, { gen: 8, ppgtt: 'full', policy });
  const { vm } = gpu.createContext();
  const lives = (): void => {
    for (let i = 0; i < BATCH; ++i) {
      const object = gpu.createObject(OBJECT);
      const global = object.bind(gpu.ggtt);
      const own = object.bind(vm);
      global.unbind();
      own.unbind();
      object.release();
    }
  };
  lives(); // The optimising compiler and the page tables warm up.
  const before = gpu.dmaDevice.counts;
  const share = cpuShare();
  const start = performance.now();
  let objects = 0;
  let elapsed: number;
  do {
    lives();
    objects += BATCH;
    elapsed = performance.now() - start;
    yield { done: Math.min(elapsed, MEASURE_MS), total: MEASURE_MS, what: `throughput of ${policy}` };
  } while (elapsed < MEASURE_MS && !signal?.aborted);
  const after = gpu.dmaDevice.counts;
  const rate = (count: number): number => Math.round((count / elapsed) * 1000);
  return {
    policy,
    objectsPerSecond: rate(objects),
    mappingsPerSecond: rate(after.maps - before.maps),
    pagesPerSecond: rate(after.pagesMapped - before.pagesMapped),
    untrusted: busy(share()),
  };
}
