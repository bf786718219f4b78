import type { Sliced } from '../../core/slices.js';

/** Untimed runs at the start: the engine optimises code that has run for a while, and memory is touched. */
const WARM_UP = { runs: 5, ms: 150 };
/** Timed runs: their median is the figure. Short ones are many, so that some are not interrupted on a busy machine. */
const TIMED = { runs: 9, ms: 250 };

/**
 * Times a replay in milliseconds.
 * @param once makes one replay and returns how long its timed part took
 * @param matched what is yielded between two replays
 * @returns the median of several runs, warmed up
 */
export function* medianTime(once: () => number, matched: number): Sliced<number, number> {
  yield* repeat(once, WARM_UP, matched);
  const times = (yield* repeat(once, TIMED, matched)).sort((x, y) => x - y);
  return times[times.length >> 1];
}

/** At least so many runs, and for at least so long. */
function* repeat(
  once: () => number,
  { runs, ms }: { runs: number; ms: number },
  matched: number,
): Sliced<number[], number> {
  const times: number[] = [];
  for (let spent = 0; times.length < runs || spent < ms; spent += times[times.length - 1]) {
    times.push(once());
    yield matched;
  }
  return times;
}
