import { checkInteger, invalidType, outOfRange } from '../../core/errors.js';
import { inSlices, turn } from '../../core/slices.js';
import { DEFAULT_DRIVER } from '../../i915/policy/index.js';
import { type MachineOptions, machineConfig } from '../../machine/config.js';
import type { DriverName } from '../scenario.js';
import type { StressFailure } from './failure.js';
import { faultOperation } from './faults.js';
import { ALL_KINDS } from './kinds.js';
import type { OperationScenario } from './operation.js';
import { newPolicy, type PolicySource, type Sources } from './policy.js';
import { checkPages, type ProfileName, profileOf, type StressConfig, type StressProfile } from './profiles.js';
import { type Reproducer, reproduce, SHRINK_SECONDS } from './reproduce.js';
import { StressRun } from './run.js';
import { operationTable, type Tally } from './runner.js';

/**
 * workload/stress/ drives a machine through random operations until something is wrong or the work is done.
 *
 *   profiles.ts    what a run does, as data             operation.ts   a kind of operation: generate, apply, print
 *   random.ts      the only source of chance            gem-, dma-operations.ts  the kinds
 *   world.ts       the machine, and a model of it       accounts.ts    sums that must agree across layers
 *   run.ts, runner.ts  applies, counts, checks          reproduce.ts, print.ts  records again, cuts down, prints
 *   campaign.ts    seeds over many machines             fail-nth.ts    every single allocation fails once
 *
 * A seed and a profile decide everything. Operations are plain values, so that a run that failed is run again to record
 * them, cut down to the few that matter (shrink.ts), and printed as a program that fails by itself.
 */

export interface StressOptions {
  /** Decides everything random. Default 1. */
  seed?: number;
  /** A profile's name, or one of your own. Default `churn`. */
  profile?: ProfileName | StressProfile;
  /** Mapping policy of the GPUs by preset. Default `linux-4.2`. */
  driver?: DriverName;
  /** A mapping policy of your own, in place of `driver`, or a function that makes one for each GPU of each machine. */
  policy?: PolicySource;
  /** Where a policy and a profile of your own are, so that what is printed can be run. */
  sources?: Sources;
  /** Options of the machine, over those of the profile. */
  machine?: MachineOptions;
  /** Single weights and limits, over those of the profile. */
  weights?: Readonly<Record<string, number>>;
  limits?: Partial<StressProfile['limits']>;
  /** Sizes of objects and lists in pages with their weights, in place of the profile's. */
  pages?: StressProfile['pages'];
  /** When to stop: whichever comes first. Defaults 1,000,000 operations and 60 seconds. */
  operations?: number;
  seconds?: number;
  /** Operations between two complete checks. Default 4096. */
  checkEvery?: number;
  /** Probability that an allocation soon after an operation is made to fail. Default 0. */
  faults?: number;
  /** Whether a failure is cut down to the operations that matter, or for how many seconds. Default 8 seconds. */
  shrink?: boolean | number;
  /** Ends the run at the next batch; the result says `signal` and holds what there is. */
  signal?: AbortSignal;
  /** Called about ten times a second. */
  onProgress?: (progress: StressProgress) => void;
}

/** Where a run stands. */
export interface StressProgress {
  operations: number;
  /** Operations that were asked for. */
  total: number;
  seconds: number;
  objects: number;
  /** Live DMA mappings over all devices. */
  mappings: number;
  /** Share of the most contended device address space that is in use, 0 to 1; 0 without an IOMMU. */
  iovaUse: number;
  findings: number;
}

/** What came of a run: plain JSON. All but `timing` follows from seed, configuration and number of operations. */
export interface StressResult extends Tally {
  profile: string;
  seed: number;
  driver: string;
  /** Why it ended. */
  ended: 'operations' | 'seconds' | 'signal' | 'failure';
  failure: (Pick<StressFailure, 'kind' | 'id' | 'message' | 'details'> & { step: number }) | null;
  /** The failing operations cut down, when there was a failure and it was asked for. */
  reproducer: Reproducer | null;
  /** The command that makes the same run again. */
  replay: string;
  config: StressConfig;
  timing: { seconds: number; operationsPerSecond: number };
}

const DEFAULT_OPERATIONS = 1_000_000;
const DEFAULT_SECONDS = 60;
const DEFAULT_CHECK_EVERY = 4096;
/** Operations between two looks at the clock and the signal. */
const BATCH = 512;
const YIELD_MS = 20;
const PROGRESS_MS = 100;

/**
 * Drives a machine through random operations, checking everything, until operations or seconds run out, the signal is
 * aborted or something is wrong. A failure is a result, not an exception.
 * @throws TypeError or RangeError for options that cannot be, GemDmaError for a machine that cannot be made
 */
export async function stress(options: StressOptions = {}): Promise<StressResult> {
  const config = stressConfig(options);
  const operations = checkInteger('operations', options.operations ?? DEFAULT_OPERATIONS, 1, Number.MAX_SAFE_INTEGER);
  const seconds = options.seconds ?? DEFAULT_SECONDS;
  if (!(seconds > 0)) throw outOfRange('seconds', '> 0', seconds);
  const run = new StressRun(config, options.policy);
  const started = performance.now();
  const elapsed = (): number => (performance.now() - started) / 1000;
  let ended: StressResult['ended'] = 'operations';
  let yielded = started;
  let reported = started;
  const { tally } = run.runner;
  while (tally.operations < operations) {
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
      // So that an abort can arrive at all, and whoever embeds this stays alive.
      await turn();
      yielded = performance.now();
    }
    if (options.signal?.aborted) {
      ended = 'signal';
      break;
    }
  }
  run.runner.finish();
  const { failure } = run.runner;
  if (failure) ended = 'failure';
  const took = elapsed();
  options.onProgress?.({ ...run.world.gauges(), operations: tally.operations, total: operations, seconds: took });
  return {
    ...{ profile: config.profile, seed: config.seed, driver: config.driver, ended },
    ...tally,
    failure: failure && {
      ...{ kind: failure.kind, id: failure.id, message: failure.message, details: failure.details },
      step: tally.operations,
    },
    reproducer:
      failure && options.shrink !== false && options.shrink !== 0
        ? await inSlices(reproduce(config, failure, tally.operations, { ...options, seconds: shrinkSeconds(options) }))
        : null,
    replay: replayCommand(config, options, tally.operations),
    config,
    timing: { seconds: took, operationsPerSecond: Math.round(tally.operations / took) },
  };
}

/** Completes and checks a run's options. Throws TypeErrors and RangeErrors naming the option at fault. */
export function stressConfig(options: StressOptions): StressConfig {
  const profile = profileOf(options.profile ?? 'churn');
  const { policy, driver = DEFAULT_DRIVER } = options;
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) {
    throw invalidType('signal', 'an AbortSignal', options.signal);
  }
  const faults = options.faults ?? 0;
  if (!(faults >= 0 && faults <= 1)) throw outOfRange('faults', '>= 0 && <= 1', faults);
  const weights = { ...profile.weights, ...options.weights };
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  const seed = checkInteger('seed', options.seed ?? 1, 0, 0xffffffff);
  const config: StressConfig = {
    ...profile,
    profile: typeof options.profile === 'object' ? 'custom' : (options.profile ?? 'churn'),
    seed,
    driver: policy === undefined ? driver : newPolicy(policy).name,
    weights:
      faults > 0 ? { ...weights, [faultOperation.name]: (total * faults) / (1 - Math.min(faults, 0.9)) } : weights,
    limits: { ...profile.limits, ...options.limits },
    pages: options.pages ?? profile.pages,
    machine: { seed, ...profile.machine, ...options.machine },
    gpus: profile.gpus.map((gpu) => (policy ? gpu : { ...gpu, driver })),
    checkEvery: checkInteger('checkEvery', options.checkEvery ?? DEFAULT_CHECK_EVERY, 1, Number.MAX_SAFE_INTEGER),
    faults,
    // No entry to be had means the end of the kernel's checker: that is what it does, and ours goes on.
    ...(faults > 0 && { expected: [...(profile.expected ?? []), 'OOM_DISABLED', 'CACHELINE_ENOMEM'] }),
  };
  operationTable(ALL_KINDS, config.weights);
  checkPages('pages', config.pages);
  machineConfig(config.machine);
  return config;
}

/** The configuration of a scenario written by hand: that of `churn` but for what the scenario sets, and then the options. */
export function scenarioConfig({ config }: OperationScenario, options: StressOptions): StressConfig {
  const base = stressConfig(options);
  const { driver } = base.gpus[0];
  return {
    ...{ ...base, ...config },
    machine: { ...base.machine, ...config?.machine, ...options.machine },
    gpus: (config?.gpus ?? base.gpus).map((gpu) => ({ ...gpu, ...(driver && { driver }) })),
  };
}

function shrinkSeconds({ shrink }: StressOptions): number {
  return typeof shrink === 'number' ? shrink : SHRINK_SECONDS;
}

/** The command that makes the same run again; a call where there is none, as for a policy in somebody's program. */
function replayCommand(config: StressConfig, options: StressOptions, operations: number): string {
  const { profile, policy, machine, weights, limits, pages, sources } = options;
  if ((typeof profile === 'object' && !sources?.profile) || (policy !== undefined && !sources?.policy)) {
    return `stress({ ...options, seed: ${config.seed}, operations: ${operations} })`;
  }
  const list = (entries: Iterable<readonly [unknown, unknown]>, between: string): string =>
    [...entries].map(([key, value]) => `${key}${between}${value}`).join(',');
  const words: (string | number)[] = ['gemdma', 'stress', '--seed', config.seed];
  words.push('--profile', typeof profile === 'object' ? quoted(sources!.profile!) : config.profile);
  if (policy === undefined) words.push('--driver', config.driver);
  else words.push('--policy', quoted(sources!.policy!));
  if (machine && Object.keys(machine).length > 0) words.push('--machine', `'${JSON.stringify(machine)}'`);
  if (weights && Object.keys(weights).length > 0) words.push('--weight', list(Object.entries(weights), '='));
  if (pages) words.push('--sizes', list(pages, ':'));
  for (const [name, limit] of Object.entries(limits ?? {})) words.push(`--${name}`, limit);
  if (config.faults > 0) words.push('--faults', config.faults);
  if (config.checkEvery !== DEFAULT_CHECK_EVERY) words.push('--check-every', config.checkEvery);
  return [...words, '--ops', operations].join(' ');
}

/** A word for a shell. */
function quoted(word: string): string {
  return /^[\w./:@%+#-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
