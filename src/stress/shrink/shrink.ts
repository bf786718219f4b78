import type { Sliced } from '../../core/slices.js';

/** Limits of shrinking: tries, and a clock or a signal. */
export interface ShrinkBudget {
  tries: number;
  /** Asked before every try; true ends the search with the best so far. */
  expired(): boolean;
}

export interface Shrunk<T> {
  items: T[];
  /** How often the predicate was asked. */
  tries: number;
  /** No single item can be left out any more; false when the budget ran out before. */
  minimal: boolean;
}

/**
 * Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002): the shortest part of
 * a failing sequence, in order, that it can find to fail still. Ends 1-minimal: leaving out any one item of the result
 * makes it pass.
 *
 * @param items the whole sequence; it is known to fail and not tried again
 * @param fails whether a part of it still fails in the same way
 */
export function* ddmin<T>(
  items: readonly T[],
  fails: (part: T[]) => Sliced<boolean>,
  budget: ShrinkBudget,
): Sliced<Shrunk<T>> {
  let best = [...items];
  let tries = 0;
  let chunks = 2;
  while (best.length >= 2) {
    const size = Math.ceil(best.length / chunks);
    let found = false;
    // From the end: what comes last is what failed, what comes first is more often only setup of something unrelated.
    for (let start = Math.floor((best.length - 1) / size) * size; start >= 0; start -= size) {
      if (tries >= budget.tries || budget.expired()) return { items: best, tries, minimal: false };
      const rest = [...best.slice(0, start), ...best.slice(start + size)];
      if (rest.length === 0) continue;
      ++tries;
      if (yield* fails(rest)) {
        best = rest;
        found = true;
      }
    }
    if (found) chunks = Math.max(2, Math.min(best.length, Math.ceil(best.length / size)));
    else if (size === 1) break;
    else chunks = Math.min(best.length, chunks * 2);
  }
  return { items: best, tries, minimal: true };
}

/**
 * Makes single items smaller: for each, in turn, the first of its simpler forms that fails still, again and again.
 * @param simpler forms of an item to try, simplest first
 */
export function* simplify<T>(
  items: readonly T[],
  simpler: (item: T) => Iterable<T>,
  fails: (part: T[]) => Sliced<boolean>,
  budget: ShrinkBudget,
): Sliced<Shrunk<T>> {
  let best = [...items];
  let tries = 0;
  for (let i = 0; i < best.length; ++i) {
    let again = true;
    while (again) {
      again = false;
      for (const form of simpler(best[i])) {
        if (tries >= budget.tries || budget.expired()) return { items: best, tries, minimal: false };
        const part = [...best.slice(0, i), form, ...best.slice(i + 1)];
        ++tries;
        if (!(yield* fails(part))) continue;
        best = part;
        again = true;
        break;
      }
    }
  }
  return { items: best, tries, minimal: true };
}
