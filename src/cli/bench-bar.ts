import { Presets, SingleBar } from 'cli-progress';
import type { Progress } from '../workload/bench/measure.js';
import { rate } from './print.js';

/** The progress bar of a benchmark, on a terminal only. */
export interface BenchBar {
  start(seconds: number): void;
  progress: (progress: Progress) => void;
  /** One run of several is over: its seconds count as done. */
  next(): void;
  stop(): void;
}

export function benchBar(): BenchBar {
  if (!process.stderr.isTTY) return { start() {}, progress() {}, next() {}, stop() {} };
  const bar = new SingleBar(
    {
      format: '{bar} {seconds} s  {phase}  {rate}',
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 30,
      fps: 10,
    },
    Presets.rect,
  );
  let before = 0;
  let now = 0;
  return {
    start: (seconds) => bar.start(seconds, 0, { seconds: '0.0', phase: 'warm-up', rate: '' }),
    progress(progress) {
      // A run that begins anew starts from 0 again.
      if (progress.seconds < now) before += now;
      now = progress.seconds;
      bar.update(before + now, {
        seconds: (before + now).toFixed(1),
        phase: progress.phase,
        rate: progress.rate > 0 ? `${rate(progress.rate)} mappings/s` : '',
      });
    },
    next() {
      before += now;
      now = 0;
    },
    stop: () => bar.stop(),
  };
}
