import type { Progress } from '../workload/bench/measure.js';
import { rate } from './print.js';
import type { ProgressSink } from './progress.js';

/** What a benchmark shows of its progress: one bar over the seconds of all its runs. */
export interface BenchBar {
  start(seconds: number): void;
  progress: (progress: Progress) => void;
  /** One run of several is over: its seconds count as done. */
  next(): void;
}

export function benchBar(bar: ProgressSink): BenchBar {
  let total = 0;
  let before = 0;
  let now = 0;
  return {
    start: (seconds) => {
      total = seconds;
    },
    progress(progress) {
      // A run that begins anew starts from 0 again.
      if (progress.seconds < now) before += now;
      now = progress.seconds;
      const words = [`${(before + now).toFixed(1)} s`, progress.phase];
      if (progress.rate > 0) words.push(`${rate(progress.rate)} mappings/s`);
      bar.update({ done: before + now, total, what: words.join('  ') });
    },
    next() {
      before += now;
      now = 0;
    },
  };
}
