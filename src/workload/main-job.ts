import { fileURLToPath } from 'node:url';
import { i915Driver } from '../i915/driver.js';
import { Machine } from '../machine/machine.js';
import type { VerifyResult } from '../recordings/recording.js';
import { verify } from '../recordings/verify.js';
import type { DriverName } from './scenario.js';
import { type LeakResult, leak } from './scenarios/leak.js';

/**
 * The main job: the story of the leak under both policies, a recording of a real kernel's allocator replayed, and what
 * the two policies cost.
 */

export interface Throughput {
  driver: DriverName;
  /** Lives of objects: created, bound in two address spaces, unbound, freed. */
  objectsPerSecond: number;
  /** dma_map_sg calls, and pages that they mapped. */
  mappingsPerSecond: number;
  pagesPerSecond: number;
}

export interface MainJobResult {
  seed: number;
  policies: LeakResult[];
  replay: VerifyResult;
  throughput: Throughput[];
  ok: boolean;
}

/** A real 6.12 kernel's domain filled until allocations fail, a third of it freed, and again. */
const RECORDING = new URL('../../test/golden/iova/c_full.txt.gz', import.meta.url);
const OBJECT = '1MiB';
/** How long a policy is measured, in milliseconds, and after how many objects the clock is looked at. */
const MEASURE_MS = 400;
const BATCH = 100;

export function runMainJob(seed: number, signal?: AbortSignal): MainJobResult {
  const policies = leak.drivers.map((driver) => leak.run({ driver, seed, signal }) as LeakResult);
  const replay = verify(fileURLToPath(RECORDING), { signal });
  const throughput = leak.drivers.map((driver) => measure(driver, seed, signal));
  const ok = replay.divergence === null && policies.every((result) => result.ok);
  return { seed, policies, replay: { ...replay, file: 'test/golden/iova/c_full.txt.gz' }, throughput, ok };
}

function measure(driver: DriverName, seed: number, signal?: AbortSignal): Throughput {
  using machine = new Machine({ ram: { size: '256MiB', fragmentation: 1 }, dmaDebug: false, seed });
  const gpu = machine.addDriver(i915Driver, { gen: 8, ppgtt: 'full', driver });
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
  const start = performance.now();
  let objects = 0;
  let elapsed: number;
  do {
    lives();
    objects += BATCH;
    elapsed = performance.now() - start;
  } while (elapsed < MEASURE_MS && !signal?.aborted);
  const after = gpu.dmaDevice.counts;
  const rate = (count: number): number => Math.round((count / elapsed) * 1000);
  return {
    driver,
    objectsPerSecond: rate(objects),
    mappingsPerSecond: rate(after.maps - before.maps),
    pagesPerSecond: rate(after.pagesMapped - before.pagesMapped),
  };
}
