import type { CallProgress, LongCallOptions, Sliced } from '../../core/slices.js';
import type { MachineEvent } from '../../events/events.js';
import { DEFAULT_POLICY, POLICY_NAMES, type PolicyName } from '../../i915/policy/index.js';
import type { MachineConfig } from '../../machine/config.js';
import type { PolicySource } from '../../stress-i915/policy.js';

/**
 * Scenarios: named, deterministic pieces of work against a machine, with what must come of them. `gemdma run --list`
 * shows them all, `gemdma run NAME` runs one, and each is a test.
 */

export { DEFAULT_POLICY, POLICY_NAMES, type PolicyName };

/** Options of a scenario. */
export interface ScenarioOptions extends LongCallOptions {
  /** Mapping policy of the i915 device, for scenarios that have one: a preset; for leak paths also one of your own. */
  policy: PolicySource;
  /** Decides everything that is random in the run. */
  seed: number;
  /** Called with every step and its events, by scenarios that have `steps`. */
  onStep?: (step: ScenarioStep) => void;
}

/** One step of a scenario: as a program would say it, and what the machine did. */
export interface ScenarioStep {
  /** Lines of a program that does the same. */
  program: string[];
  /** What the machine did, oldest first. */
  events: MachineEvent[];
}

/** What came of a run: plain JSON. Kinds of scenarios add values of their own. */
export interface ScenarioResult {
  /** Name of the scenario. */
  scenario: string;
  /** Name of the policy; absent when no i915 device takes part. */
  policy?: PolicyName | (string & {});
  /** Whether everything came out as it must under this policy and kernel. */
  ok: boolean;
  /** Streaming DMA mappings made. */
  maps: number;
  /** Streaming DMA mappings undone. */
  unmaps: number;
  /** Streaming DMA mappings still there when the run was over. */
  live: number;
  /** Mappings that nothing can undo any more. */
  leakedMappings: number;
  /** Device address space that these hold, in bytes. */
  leakedIovaBytes: number;
  /** The machine's configuration, complete. */
  config: MachineConfig;
  /** Only when the signal was aborted: the figures are of a part of the work, and `ok` is false. */
  interrupted?: true;
  [value: string]: unknown;
}

/** A piece of work with a known result: a leak path of i915, a common DMA mistake, the main job. */
export interface Scenario {
  /** As on the command line: `L3`, `leak`, `unmap-wrong-size`. */
  name: string;
  /** One line: what happens. */
  title: string;
  /** Headline under which `gemdma run --list` shows it. */
  group: string;
  /** Policies under which it makes sense; empty when it uses the DMA API without i915. */
  policies: readonly PolicyName[];
  /** Whether a caller's policy can also run it. */
  anyPolicy?: boolean;
  /** Whether `onStep` is called. */
  steps?: boolean;
  /** Runs it, in slices where that takes long. @internal */
  run(options: ScenarioOptions): Sliced<ScenarioResult, CallProgress>;
  /** The result for people, in lines of at most 80 columns. @internal */
  describe?(result: ScenarioResult): string[];
}

/** A scenario's run that is over in a few milliseconds: one slice. */
export function* once(run: () => ScenarioResult, what: string): Sliced<ScenarioResult, CallProgress> {
  yield { done: 0, total: 1, what };
  return run();
}
