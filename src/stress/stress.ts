import { checkInteger, outOfRange } from '../core/errors.js';
import { turn } from '../core/platform.js';
import { inSlices } from '../core/slices.js';
import { DEFAULT_CHECK_EVERY, runConfig, type StressRunOptions } from './config/configure.js';
import { shellWord } from './config/literal.js';
import type { StressFailure } from './engine/failure.js';
import type { Tally } from './engine/runner.js';
import { type Reproducer, reproduce, SHRINK_SECONDS } from './shrink/reproduce.js';
import type { StressConfig } from './world/profile.js';
import { StressRun } from './world/run.js';
import type { Repertoire } from './world/vocabulary.js';

/**
 * stress/ drives a machine through random operations until something is wrong or the work is done.
 *
 *   engine/        what a kind of operation is, the runner that draws and applies them, the only source of chance
 *   vocabulary.ts  what a driver brings to runs: its operations, its part of the world, profiles, how it is printed
 *   world.ts       the machine of a run with the parts of its vocabularies; accounts.ts: sums that must agree across layers
 *   config/        what a run does, as data
 *   dma/           the vocabulary of the DMA API; common.ts: time passes, allocations fail
 *   shrink/        records a run again, cuts it down to the few operations that matter, prints these as a program
 *   fail-nth.ts    every single allocation fails once
 *   threads/       workers on one memory
 *
 * A seed and a profile decide everything. Operations are plain values, so that a run that failed can be run again, cut down
 * and printed. No file here names a driver: docs/ARCHITECTURE.md says where the vocabularies of drivers are.
 */

/** What came of a run: plain JSON. All but `timing` follows from seed, configuration and number of operations. */
export interface StressResult extends Tally {
  /** Name of the profile. */
  profile: string;
  /** The seed. */
  seed: number;
  /** What was under test, by name: a mapping policy, or a vocabulary. */
  subject: string;
  /** Why it ended. */
  ended: 'operations' | 'seconds' | 'signal' | 'failure';
  /** What did not hold; null when nothing was found. */
  failure:
    | (Pick<StressFailure, 'kind' | 'id' | 'message' | 'details'> & {
        /** Number of the operation after which it was found, from 1. */
        step: number;
      })
    | null;
  /** The failing operations cut down, when there was a failure and it was asked for. */
  reproducer: Reproducer | null;
  /** The command that makes the same run again. */
  replay: string;
  /** The complete configuration: with the seed it makes the same run. */
  config: StressConfig;
  /** How long it took in real time; the only part that differs from run to run. */
  timing: {
    /** Seconds, without cutting down. */
    seconds: number;
    /** Operations a second. */
    operationsPerSecond: number;
  };
}

const DEFAULT_OPERATIONS = 1_000_000;
const DEFAULT_SECONDS = 60;
/** Operations between two checks of the clock and the signal. */
const BATCH = 512;
const YIELD_MS = 20;
const PROGRESS_MS = 100;

/**
 * Drives a machine through random operations, checking everything, until operations or seconds run out, the signal is
 * aborted or something is wrong. A failure is a result, not an exception.
 * @throws TypeError or RangeError naming the option at fault; GemDmaError if the machine cannot be made
 */
export async function stressWith(repertoire: Repertoire, options: StressRunOptions = {}): Promise<StressResult> {
  const config = runConfig(options, repertoire);
  const operations = checkInteger('operations', options.operations ?? DEFAULT_OPERATIONS, 1, Number.MAX_SAFE_INTEGER);
  const seconds = options.seconds ?? DEFAULT_SECONDS;
  if (!(seconds > 0)) throw outOfRange('seconds', '> 0', seconds);
  const run = new StressRun(config, repertoire);
  const started = performance.now();
  const elapsed = (): number => (performance.now() - started) / 1000;
  let ended: StressResult['ended'] = 'operations';
  let yielded = started;
  let reported = started;
  const { tally } = run.runner;
  while (tally.operations < operations) {
    if (options.signal?.aborted) {
      ended = 'signal';
      break;
    }
    if (!run.step(Math.min(BATCH, operations - tally.operations))) break;
    const now = performance.now();
    if (now - started >= seconds * 1000) {
      ended = 'seconds';
      break;
    }
    if (now - reported >= PROGRESS_MS) {
      reported = now;
      options.onProgress?.({
        ...run.world.gauges(),
        operations: tally.operations,
        total: operations,
        seconds: elapsed(),
      });
    }
    if (now - yielded >= YIELD_MS) {
      // The event loop runs, so that an abort can arrive and the embedding program goes on.
      await turn();
      yielded = performance.now();
    }
  }
  run.runner.finish();
  const { failure } = run.runner;
  if (failure) ended = 'failure';
  const took = elapsed();
  options.onProgress?.({ ...run.world.gauges(), operations: tally.operations, total: operations, seconds: took });
  return {
    ...{ profile: config.profile, seed: config.seed, subject: config.subject, ended },
    ...tally,
    failure: failure && {
      ...{ kind: failure.kind, id: failure.id, message: failure.message, details: failure.details },
      step: tally.operations,
    },
    reproducer:
      failure && options.shrink !== false && options.shrink !== 0
        ? await inSlices(
            reproduce(config, failure, tally.operations, { ...options, repertoire, seconds: shrinkSeconds(options) }),
          )
        : null,
    replay: replayCommand(config, options, repertoire, tally.operations),
    config,
    timing: { seconds: took, operationsPerSecond: Math.round(tally.operations / took) },
  };
}

function shrinkSeconds({ shrink }: StressRunOptions): number {
  return typeof shrink === 'number' ? shrink : SHRINK_SECONDS;
}

/**
 * The command that makes the same run again; a call where there is none, as for a policy that is a value of the calling
 * program.
 */
function replayCommand(
  config: StressConfig,
  options: StressRunOptions,
  repertoire: Repertoire,
  operations: number,
): string {
  const { profile, machine, weights, limits, pages, sources } = options;
  if ((typeof profile === 'object' && !sources?.profile) || (repertoire.hasOwnState && !sources?.policy)) {
    return `stress({ ...options, seed: ${config.seed}, operations: ${operations} })`;
  }
  const list = (entries: Iterable<readonly [unknown, unknown]>, between: string): string =>
    [...entries].map(([key, value]) => `${key}${between}${value}`).join(',');
  const words: (string | number)[] = ['gemdma', 'stress', '--seed', config.seed];
  words.push('--profile', typeof profile === 'object' ? shellWord(sources!.profile!) : config.profile);
  if (!repertoire.hasOwnState) words.push('--policy', config.subject);
  else words.push('--policy', shellWord(sources!.policy!));
  if (machine && Object.keys(machine).length > 0) words.push('--machine', shellWord(JSON.stringify(machine)));
  if (weights && Object.keys(weights).length > 0) words.push('--weight', list(Object.entries(weights), '='));
  if (pages) words.push('--sizes', list(pages, ':'));
  for (const [name, limit] of Object.entries(limits ?? {})) words.push(`--${name}`, limit);
  if (config.faults > 0) words.push('--faults', config.faults);
  if (config.checkEvery !== DEFAULT_CHECK_EVERY) words.push('--check-every', config.checkEvery);
  return [...words, '--ops', operations].join(' ');
}
