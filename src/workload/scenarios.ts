import { checkFunction, checkLongCall, LONG_CALL, optionNames } from '../core/arguments.js';
import { checkInteger, invalidType, invalidValue } from '../core/errors.js';
import { type CallProgress, complete, inSlices, type Sliced } from '../core/slices.js';
import { DEFAULT_POLICY } from '../i915/policy/index.js';
import { machineConfig } from '../machine/config.js';
import { newPolicy, type PolicySource } from '../stress-i915/policy.js';
import { corpus } from './corpus/index.js';
import { leak } from './scenarios/leak.js';
import { leakPaths } from './scenarios/leak-paths.js';
import {
  once,
  POLICY_NAMES,
  type PolicyName,
  type Scenario,
  type ScenarioOptions,
  type ScenarioResult,
} from './scenarios/scenario.js';

/** Every named scenario, in the order in which `gemdma run --list` shows them. */
export const scenarios: readonly Scenario[] = [leak, ...leakPaths, ...corpus];

/**
 * Runs a named scenario: a leak path of i915, a common mistake with the DMA API, or `leak`, the whole sequence of the bug.
 * @param name as `gemdma run --list` shows it; upper and lower case are the same
 * @param options `policy` defaults to i915-4.2, `seed` to 1; leak paths take a policy of your own, which is to lose nothing
 * @throws TypeError if there is no such scenario, or it does not run under the policy
 * @example
 *   const { leakedMappings } = runScenario('L1', { policy: 'i915-4.1' });
 */
export function runScenario(name: string, options: Partial<ScenarioOptions> = {}): ScenarioResult {
  return complete(started(name, readScenario(options)));
}

/** The same with a turn of the event loop every 20 ms, so that an abort arrives and progress shows. */
export async function runScenarioAsync(name: string, options: Partial<ScenarioOptions> = {}): Promise<ScenarioResult> {
  const given = readScenario(options);
  return inSlices(started(name, given), given.onProgress);
}

const SCENARIO_OPTIONS = optionNames<ScenarioOptions>({ ...LONG_CALL, policy: true, seed: true, onStep: true });

function readScenario(options: Partial<ScenarioOptions>): Partial<ScenarioOptions> {
  return checkLongCall(options, SCENARIO_OPTIONS);
}

function started(name: string, options: Partial<ScenarioOptions>): Sliced<ScenarioResult, CallProgress> {
  if (typeof name !== 'string') throw invalidType('name', 'of type string', name);
  const scenario = scenarios.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
  if (!scenario) throw invalidValue('name', 'a scenario (gemdma run --list shows them)', name);
  const { policy = DEFAULT_POLICY, seed = 1 } = options;
  checkInteger('seed', seed, 0, 0xffffffff);
  if (options.onStep !== undefined) checkFunction('onStep', options.onStep);
  const allowed = scenario.policies.length > 0 ? scenario.policies : POLICY_NAMES;
  const own = typeof policy !== 'string' && scenario.anyPolicy === true;
  if (!own && !allowed.includes(policy as PolicyName))
    throw invalidValue('policy', `one of ${allowed.join(', ')}`, policy);
  if (options.signal?.aborted) return once(() => notRun(scenario, policy), scenario.name);
  return scenario.run({ ...options, policy, seed });
}

/** The result of a call whose signal was aborted before it. */
function notRun({ name, policies }: Scenario, policy: PolicySource): ScenarioResult {
  const none = { maps: 0, unmaps: 0, live: 0, leakedMappings: 0, leakedIovaBytes: 0 };
  const under = policies.length > 0 && { policy: newPolicy(policy).name };
  return { scenario: name, ...under, ok: false, ...none, config: machineConfig({}), interrupted: true };
}
