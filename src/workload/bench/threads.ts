import { cpuShare, parallelism } from '../../core/platform.js';
import { contention, WorkerPool } from '../../threads/index.js';
import type { Measured } from './measure.js';
import { type BenchOptions, batchLimit, benchMachine } from './options.js';
import { type BenchHooks, type BenchResult, benchDevice, coreBench, result } from './run.js';

/**
 * A benchmark on several threads: workers on one shared memory, each a virtual CPU, all mapping for one device through one
 * domain, as the kernel's tool has it.
 */
export async function runThreads(options: BenchOptions, hooks: BenchHooks): Promise<BenchResult> {
  const { cpus: _, ...machineOptions } = benchMachine(options);
  const pool = await WorkerPool.create(options.threads, machineOptions);
  const stop = (): void => pool.stop();
  hooks.signal?.addEventListener('abort', stop);
  const { machine } = pool;
  // A worker sends no message while it measures: the bar shows the time that has passed.
  const begin = performance.now();
  const timer = setInterval(() => {
    const seconds = Math.min(options.seconds, (performance.now() - begin) / 1000);
    hooks.onProgress?.({ phase: 'measure', seconds, rate: 0 });
  }, 100);
  try {
    const device = benchDevice(machine, options);
    const benches = Array.from({ length: options.threads }, () =>
      coreBench(machine, device.handle, options, batchLimit(options)),
    );
    const before = contention(machine);
    const share = cpuShare();
    const job = pool.run<Measured>(new URL('./job.js', import.meta.url), (index: number) => ({
      options,
      bench: benches[index],
    }));
    if (hooks.signal?.aborted) stop();
    const all = await job;
    const used = share() / Math.min(options.threads, parallelism());
    const after = contention(machine);
    return {
      ...result(options, machine, device, all, used),
      contention: Object.fromEntries(
        Object.entries(after).map(([name, count]) => [name, count - before[name as keyof typeof before]]),
      ) as typeof after,
    };
  } finally {
    clearInterval(timer);
    hooks.signal?.removeEventListener('abort', stop);
    await pool.close();
  }
}
