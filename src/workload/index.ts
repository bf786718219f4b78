/**
 * gemdma/workload: synchronous forms of scenarios and fail-nth, and the parts of your own stress runs. `stress`, `bench`
 * and the asynchronous forms are in gemdma itself.
 */

export type { CallProgress, LongCallOptions } from '../core/slices.js';
export type { OperationScenario } from '../stress/config/scenario.js';
export { type DmaPart, type DmaSetup, dmaVocabulary } from '../stress/dma/part.js';
export { Entities } from '../stress/engine/entities.js';
export { type FailureKind, StressFailure } from '../stress/engine/failure.js';
export type { KindIn, Operation, OperationIn, OperationKind } from '../stress/engine/operation.js';
export type { Random, Weighted } from '../stress/engine/random.js';
export type { StressWorld } from '../stress/engine/runner.js';
export type { FailNthResult, FailNthRunOptions } from '../stress/fail-nth.js';
export { Contents, stamped } from '../stress/world/contents.js';
export { type Books, type Lent, WorldPart } from '../stress/world/part.js';
export type { StressConfig, StressProfile } from '../stress/world/profile.js';
export type { ProgramText, Repertoire, Vocabulary } from '../stress/world/vocabulary.js';
export type { World, WorldState } from '../stress/world/world.js';
export type { I915Part, I915Setup } from '../stress-i915/part.js';
export type { OwnPolicy, PolicySource } from '../stress-i915/policy.js';
export { type I915Profile, PROFILES, type ProfileName } from '../stress-i915/profiles.js';
export { type I915StressOptions, i915Vocabulary } from '../stress-i915/vocabulary.js';
export type { PolicyName, Scenario, ScenarioOptions, ScenarioResult, ScenarioStep } from './scenarios/scenario.js';
export { runScenario, scenarios } from './scenarios.js';
export { FAIL_NTH_SCENARIOS, type FailNthOptions, failNth, type StressSubject } from './stress.js';
