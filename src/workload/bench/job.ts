import type { BenchHandle } from '../../core/generated/exports.js';
import type { JobContext } from '../../threads/index.js';
import { type Measured, measure } from './measure.js';
import { type BenchOptions, batchLimit } from './options.js';
import { coreTarget } from './run.js';

/** The job of a benchmark's worker: the same loop as with one thread, with its own bench on the shared device. */

export interface BenchJob {
  options: BenchOptions;
  /** The worker's own bench in the core. */
  bench: BenchHandle;
}

export default function job({ core, context, stopped }: JobContext, { options, bench }: BenchJob): Measured {
  const steps = measure(
    core,
    context,
    coreTarget({ core }, bench),
    { seconds: options.seconds, batch: options.batch, capacity: batchLimit(options), transfer: 0 },
    stopped,
  );
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
