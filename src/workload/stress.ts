import { checkLongCall, checkObject, LONG_CALL, optionNames, readData, readList } from '../core/arguments.js';
import { invalidType } from '../core/errors.js';
import { type CallProgress, complete, inSlices, type LongCallOptions } from '../core/slices.js';
import { DEFAULT_POLICY } from '../i915/policy/index.js';
import type { MachineOptions } from '../machine/config.js';
import { runConfig, type StressRunOptions } from '../stress/config/configure.js';
import type { OperationScenario } from '../stress/config/scenario.js';
import type { Sources } from '../stress/config/sources.js';
import { type DmaSetup, dmaVocabulary } from '../stress/dma/part.js';
import { type FailNthResult, failNthPoints } from '../stress/fail-nth.js';
import { type StressResult, stressWith } from '../stress/stress.js';
import type { StressConfig, StressProfile } from '../stress/world/profile.js';
import { Repertoire, type Vocabulary } from '../stress/world/vocabulary.js';
import type { I915Setup } from '../stress-i915/part.js';
import type { PolicySource } from '../stress-i915/policy.js';
import type { ProfileName } from '../stress-i915/profiles.js';
import { I915_SCENARIOS } from '../stress-i915/scenarios.js';
import { i915Vocabulary } from '../stress-i915/vocabulary.js';
import { LEAK_PATHS } from './scenarios/leak-paths.js';

/** Stress runs as the library offers them: of i915 and of the DMA API, or of vocabularies of your own. */

/** What the operations of a run are about. */
export interface StressSubject {
  /** Mapping policy of the GPUs: a preset, one of your own, or a function that makes one per GPU. Default `i915-4.2`. */
  policy?: PolicySource;
  /** Where a policy and a profile of your own are, so that what is printed can be run. */
  sources?: Sources;
  /** What operations there are, in place of those of i915 and of the DMA API: for drivers of your own. */
  vocabularies?: readonly Vocabulary[];
}

/** Options of `stress`. */
export interface StressOptions extends StressSubject, StressRunOptions {
  /** A profile's name, or one of your own. Default `churn`. */
  profile?: ProfileName | (string & {}) | StressProfile;
}

const SUBJECT = { policy: true, sources: true, vocabularies: true } as const;
const STRESS_OPTIONS = optionNames<StressOptions>({
  ...SUBJECT,
  ...LONG_CALL,
  ...{ seed: true, profile: true, machine: true, weights: true, limits: true, pages: true, operations: true },
  ...{ seconds: true, checkEvery: true, faults: true, shrink: true },
});
const FAIL_NTH_OPTIONS = optionNames<FailNthOptions>({ ...SUBJECT, ...LONG_CALL, machine: true });

/** The operations that a run can do. @throws TypeError for a policy that is none */
export function repertoireOf({ policy = DEFAULT_POLICY, sources, vocabularies }: StressSubject = {}): Repertoire {
  return new Repertoire(vocabularies ?? [i915Vocabulary({ policy, ...(sources && { sources }) }), dmaVocabulary]);
}

/** The options as plain values, and what is plain data in them. */
function readStress(given: StressOptions): StressOptions {
  const plain = checkLongCall(given, STRESS_OPTIONS) as Record<string, unknown>;
  for (const name of ['machine', 'weights', 'limits', 'pages', 'sources']) {
    if (plain[name] !== undefined) plain[name] = readData(name, plain[name]);
  }
  return plain;
}

/**
 * Completes and checks the options of a run of i915 and of the DMA API.
 * @throws TypeErrors and RangeErrors naming the option at fault
 */
export function stressConfig(options: StressOptions = {}): StressConfig & I915Setup & DmaSetup {
  options = readStress(options);
  return runConfig(options, repertoireOf(options)) as StressConfig & I915Setup & DmaSetup;
}

/**
 * Drives a machine through random operations, checking everything, until operations or seconds run out, the signal is
 * aborted or something is wrong. A failure is a result, not an exception.
 * @throws TypeError or RangeError naming the option at fault; GemDmaError if the machine cannot be made
 */
export async function stress(options: StressOptions = {}): Promise<StressResult> {
  options = readStress(options);
  return stressWith(repertoireOf(options), options);
}

function readScenario(scenario: OperationScenario): OperationScenario {
  checkObject('scenario', scenario);
  const { name, config } = scenario;
  if (typeof name !== 'string') throw invalidType('scenario.name', 'of type string', name);
  if (config !== undefined) checkObject('scenario.config', config);
  const operations = readList('scenario.operations', scenario.operations, [0, 2 ** 32 - 1], (one) => {
    checkObject('scenario.operations', one);
    return readData('scenario.operations', one);
  });
  return { ...scenario, name, operations };
}

/** Options of `failNth` and `failNthAsync`. */
export interface FailNthOptions extends StressSubject, LongCallOptions {
  /** Options of the machine, over those of the scenario. */
  machine?: MachineOptions;
}

/**
 * Runs one scenario with each of its allocations failing in turn.
 * @throws TypeError or RangeError naming the option at fault; GemDmaError if the machine cannot be made
 * @example
 *   const results = FAIL_NTH_SCENARIOS.map((scenario) => failNth(scenario, { policy: () => myPolicy() }));
 *   assert(results.every(({ failures }) => failures.length === 0));
 */
export function failNth(scenario: OperationScenario, options: FailNthOptions = {}): FailNthResult {
  options = checkLongCall(options, FAIL_NTH_OPTIONS);
  return complete(failNthPoints(readScenario(scenario), options, repertoireOf(options)));
}

/** The same with a turn of the event loop every 20 ms, so that an abort arrives and progress shows. */
export async function failNthAsync(scenario: OperationScenario, options: FailNthOptions = {}): Promise<FailNthResult> {
  options = checkLongCall(options, FAIL_NTH_OPTIONS);
  return inSlices<FailNthResult, CallProgress>(
    failNthPoints(readScenario(scenario), options, repertoireOf(options)),
    options.onProgress,
  );
}

/** What `gemdma stress --fail-nth` runs: each way of working with memory once, and the leak paths of `gemdma run`. */
export const FAIL_NTH_SCENARIOS: readonly OperationScenario[] = [...I915_SCENARIOS, ...LEAK_PATHS];
