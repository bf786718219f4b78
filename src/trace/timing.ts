/** Runs that come before the timed ones: the engine optimises what has run for a while, and memory is touched once. */
const WARM_UP_RUNS = 3;
const WARM_UP_MS = 60;
/** Timed runs: their median is the figure. */
const MEASURED = 9;

/**
 * Times a replay in milliseconds.
 * @param once makes one replay and returns how long its timed part took
 * @returns the median of several runs, warmed up
 */
export function medianTime(once: () => number): number {
  let warm = 0;
  for (let runs = 0; runs < WARM_UP_RUNS || warm < WARM_UP_MS; ++runs) warm += once();
  return Array.from({ length: MEASURED }, once).sort((x, y) => x - y)[MEASURED >> 1];
}
