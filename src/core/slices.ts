import { turn } from './platform.js';

/**
 * Long work in slices: a generator that yields where it may be looked at and stopped. One body serves the synchronous
 * call, which runs it through, and the asynchronous one, which gives the event loop a turn about fifty times a second so
 * that signals, timers and an abort arrive.
 *
 * Contract of such a generator: it yields at least every 20 ms or so of work, holds no half-done change at a yield, looks
 * at its signal after a yield, and when that is aborted returns what it has.
 */
export type Sliced<Result, Step = void> = Generator<Step, Result, void>;

/** The members of an AbortSignal that are used: no DOM or Node types are needed for it. */
export interface AbortSignalLike {
  /** Whether the abort has happened; a call that is given such a signal does nothing. */
  readonly aborted: boolean;
  /** Tells a listener of the abort. */
  addEventListener(type: 'abort', listener: () => void): void;
  /** Ends that. */
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** What the long calls of the library have in common. */
export interface LongCallOptions {
  /** Ends the call at its next slice, within 50 ms; it returns what it has, marked as interrupted. */
  signal?: AbortSignalLike;
  /** Called with the progress, about ten times per second. */
  onProgress?: (progress: CallProgress) => void;
}

/** Where a long call stands. `total` is an estimate where it cannot be known. */
export interface CallProgress {
  /** Work done, in the unit of `total`: steps, runs, seconds or bytes, as the call counts. Never falls. */
  done: number;
  /** All work, in the same unit. */
  total: number;
  /** What is worked on: a file, a scenario, a phase. */
  what: string;
}

/** Longest time in milliseconds for which the event loop gets no turn. */
const TURN = 20;
/** Least time in milliseconds between two reports of progress. */
const REPORT = 100;

/** Runs sliced work through without giving the event loop a turn. */
export function complete<Result>(work: Sliced<Result, unknown>): Result {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

/**
 * Runs sliced work with a turn of the event loop every 20 ms.
 * @param seen called with what the work yields, at most ten times a second
 */
export async function inSlices<Result, Step>(work: Sliced<Result, Step>, seen?: (step: Step) => void): Promise<Result> {
  let turned = performance.now();
  let reported = turned;
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    const now = performance.now();
    if (now - reported >= REPORT) {
      reported = now;
      seen?.(step.value);
    }
    if (now - turned >= TURN) {
      await turn();
      turned = performance.now();
    }
  }
}
