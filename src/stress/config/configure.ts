import { checkObject, readData } from '../../core/arguments.js';
import { checkInteger, outOfRange } from '../../core/errors.js';
import type { AbortSignalLike } from '../../core/slices.js';
import { type MachineOptions, machineConfig } from '../../machine/config.js';
import { operationTable } from '../engine/runner.js';
import { faultOperation } from '../world/common.js';
import {
  checkLimits,
  checkPages,
  checkWeights,
  profileOf,
  type StressConfig,
  type StressProfile,
} from '../world/profile.js';
import type { Repertoire } from '../world/vocabulary.js';
import type { OperationScenario } from './scenario.js';
import type { Sources } from './sources.js';

/** From the options of a run to its configuration, which is complete and plain JSON. */

/** Options of a run that do not depend on its vocabularies. */
export interface StressRunOptions {
  /** Decides everything random. Default 1. */
  seed?: number;
  /** A profile's name, or one of your own. Default the first of the first vocabulary. */
  profile?: string | StressProfile;
  /** Where a policy and a profile of your own are, so that what is printed can be run. */
  sources?: Sources;
  /** Options of the machine, over those of the profile. */
  machine?: MachineOptions;
  /** Single weights and limits, over those of the profile. */
  weights?: Readonly<Record<string, number>>;
  /** Most live things by kind, over those of the profile. */
  limits?: StressProfile['limits'];
  /** Sizes of objects and lists in pages with their weights, in place of the profile's. */
  pages?: StressProfile['pages'];
  /** Operations after which the run ends. Default 1,000,000. What comes first, this or `seconds`, ends it. */
  operations?: number;
  /** Seconds of real time after which the run ends. Default 60. */
  seconds?: number;
  /** Operations between two complete checks. Default 4096. */
  checkEvery?: number;
  /** Probability that an allocation soon after an operation is made to fail. Default 0. */
  faults?: number;
  /** Whether a failure is cut down to the operations that matter, or for how many seconds. Default 8 seconds. */
  shrink?: boolean | number;
  /** Ends the run at the next batch; the result says `signal` and holds what there is. */
  signal?: AbortSignalLike;
  /** Called about ten times a second. */
  onProgress?: (progress: StressProgress) => void;
}

/** Where a run stands. */
export interface StressProgress {
  /** Operations done. */
  operations: number;
  /** Operations that were asked for. */
  total: number;
  /** Seconds of real time so far. */
  seconds: number;
  /** Live objects. */
  objects: number;
  /** Live DMA mappings over all devices. */
  mappings: number;
  /** Share of the most contended device address space that is in use, 0 to 1; 0 without an IOMMU. */
  iovaUse: number;
  /** Findings of dma-debug so far, those that the profile expects included. */
  findings: number;
}

export const DEFAULT_CHECK_EVERY = 4096;

/**
 * Completes and checks a run's options.
 * @throws TypeErrors and RangeErrors naming the option at fault
 */
export function runConfig(options: StressRunOptions, repertoire: Repertoire): StressConfig {
  const name = options.profile ?? Object.keys(repertoire.profiles)[0];
  return configOf(profileOf(name, repertoire), typeof name === 'object' ? 'custom' : name, options, repertoire);
}

/** The configuration of a scenario written by hand: that of the default profile but for what the scenario sets. */
export function scenarioConfig(
  { config }: OperationScenario,
  options: StressRunOptions,
  repertoire: Repertoire,
): StressConfig {
  const name = Object.keys(repertoire.profiles)[0];
  const base = profileOf(name, repertoire);
  const profile = { ...base, ...config, machine: { ...base.machine, ...config?.machine } };
  return configOf(profile, name, options, repertoire);
}

function configOf(
  profile: StressProfile,
  name: string,
  options: StressRunOptions,
  repertoire: Repertoire,
): StressConfig {
  const limits = options.limits && checkLimits('limits', options.limits, repertoire.vocabularies);
  if (options.machine !== undefined) checkObject('machine', options.machine);
  const faults = options.faults ?? 0;
  if (!(faults >= 0 && faults <= 1)) throw outOfRange('faults', '>= 0 && <= 1', faults);
  const weights = { ...profile.weights, ...(options.weights && checkWeights('weights', options.weights)) };
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  const seed = checkInteger('seed', options.seed ?? 1, 0, 0xffffffff);
  const config: StressConfig = {
    ...profile,
    profile: name,
    seed,
    subject: repertoire.vocabularies[0].name,
    weights:
      faults > 0 ? { ...weights, [faultOperation.name]: (total * faults) / (1 - Math.min(faults, 0.9)) } : weights,
    limits: { ...profile.limits, ...limits },
    pages: options.pages ? checkPages('pages', options.pages) : profile.pages,
    machine: { seed, ...profile.machine, ...readData('machine', options.machine) },
    ...Object.assign({}, ...repertoire.vocabularies.map((vocabulary) => vocabulary.configure?.(profile))),
    checkEvery: checkInteger('checkEvery', options.checkEvery ?? DEFAULT_CHECK_EVERY, 1, Number.MAX_SAFE_INTEGER),
    faults,
    // Without memory for an entry the kernel's checker disables itself, as it must; ours goes on.
    ...(faults > 0 && { expected: [...(profile.expected ?? []), 'OOM_DISABLED', 'CACHELINE_ENOMEM'] }),
  };
  operationTable(repertoire.kinds, config.weights);
  machineConfig(config.machine);
  return config;
}
