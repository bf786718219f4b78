import { checkObject, checkOptions, checkString, readData, readList } from '../../core/arguments.js';
import { checkInteger, invalidType, invalidValue, outOfRange } from '../../core/errors.js';
import type { MachineOptions } from '../../machine/config.js';
import type { Repertoire } from './vocabulary.js';

/**
 * What a stress run does, as data: which machine, which devices, how often each operation, how large and how many. A
 * profile is a complete value of this type; options change single fields of it. Each vocabulary of the run has a field of
 * its own that says what it makes, such as `devices` for the vocabulary of the DMA API.
 */
export interface StressProfile {
  /** One line: what it is after. */
  readonly title: string;
  /** Share of each kind of operation; kinds that are not named never happen. */
  readonly weights: Readonly<Record<string, number>>;
  /** Options of the machine. */
  readonly machine: MachineOptions;
  /** Most live things by kind, as each vocabulary names them: objects (over all GPUs), contexts, direct mappings. */
  readonly limits: Readonly<Record<string, number>>;
  /** Checks of dma-debug that correct drivers also fail: not counted as findings. */
  readonly expected?: readonly string[];
  /** Sizes of objects and lists in pages, with their weights. */
  readonly pages: readonly (readonly [pages: number, weight: number])[];
  readonly [setup: string]: unknown;
}

/** A run as one plain JSON value: what the seed is applied to. */
export interface StressConfig extends StressProfile {
  /** Decides everything that is random in the run. */
  readonly seed: number;
  /** Name of the profile that it began with. */
  readonly profile: string;
  /** What is under test, by name: a vocabulary's, or what that vocabulary names, such as a mapping policy. */
  readonly subject: string;
  /** Operations between two complete checks. */
  readonly checkEvery: number;
  /** Probability that an allocation soon after an operation is made to fail; 0 to 1. */
  readonly faults: number;
}

const KEYS = ['title', 'weights', 'machine', 'limits', 'pages'];
const OPTIONAL_KEYS = ['expected'];

/**
 * The profile of a name, or one given whole.
 * @throws TypeError or RangeError naming the field at fault
 */
export function profileOf(profile: string | StressProfile, { vocabularies, profiles }: Repertoire): StressProfile {
  if (typeof profile === 'string') {
    if (Object.hasOwn(profiles, profile)) return profiles[profile];
    throw invalidValue('profile', `one of ${Object.keys(profiles).join(', ')}`, profile);
  }
  const keys = [...KEYS, ...vocabularies.map(({ setup }) => setup)];
  const given = checkOptions('profile', profile, [...keys, ...OPTIONAL_KEYS]);
  for (const key of keys) {
    if (!(key in given)) throw invalidType(`profile.${key}`, 'given', undefined);
  }
  for (const vocabulary of vocabularies) {
    vocabulary.checkSetup(`profile.${vocabulary.setup}`, given[vocabulary.setup]);
  }
  const title = checkString('profile.title', given.title)!;
  checkObject('profile.machine', given.machine);
  const limits = checkLimits('profile.limits', given.limits, vocabularies);
  for (const name of limitNames(vocabularies)) {
    if (!(name in limits)) throw invalidType(`profile.limits.${name}`, 'given', undefined);
  }
  const weights = checkWeights('profile.weights', given.weights);
  const pages = checkPages('profile.pages', given.pages);
  const expected = given.expected && readList('profile.expected', given.expected, [0, 1000], checkExpected);
  const machine = readData('profile.machine', given.machine);
  return { ...given, title, limits, weights, pages, machine, ...(expected && { expected }) };
}

function limitNames(vocabularies: Repertoire['vocabularies']): string[] {
  return vocabularies.flatMap((vocabulary) => vocabulary.limits);
}

/** Throws TypeErrors and RangeErrors unless these are some of the limits that the vocabularies have. */
export function checkLimits(
  name: string,
  given: StressProfile['limits'],
  vocabularies: Repertoire['vocabularies'],
): StressProfile['limits'] {
  const limits = checkOptions(name, given, limitNames(vocabularies));
  for (const [key, limit] of Object.entries(limits)) checkInteger(`${name}.${key}`, limit, 0, 1e7);
  return limits;
}

function checkExpected(check: string): string {
  if (typeof check !== 'string') throw invalidType('profile.expected', 'names of checks', check);
  return check;
}

/** Throws TypeErrors and RangeErrors unless these are weights by name. */
export function checkWeights(name: string, given: StressProfile['weights']): StressProfile['weights'] {
  checkObject(name, given);
  const weights: StressProfile['weights'] = { ...given };
  for (const [key, weight] of Object.entries(weights)) {
    if (typeof weight !== 'number') throw invalidType(`${name}.${key}`, 'of type number', weight);
    if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) throw outOfRange(`${name}.${key}`, '>= 0', weight);
  }
  return weights;
}

/** Throws RangeErrors and TypeErrors unless these are sizes with weights. */
export function checkPages(name: string, given: StressProfile['pages']): StressProfile['pages'] {
  const sizes = readList(name, given, [1, 1e6], (size): readonly [number, number] => {
    if (!Array.isArray(size)) throw invalidType(name, 'an array of [pages, weight]', size);
    const [pages, weight] = [size[0] as unknown, size[1] as unknown];
    if (typeof pages !== 'number' || typeof weight !== 'number') throw invalidType(name, '[pages, weight]', size);
    if (!(Number.isInteger(pages) && pages >= 1)) throw outOfRange(name, 'whole pages >= 1', pages);
    if (!(weight >= 0)) throw outOfRange(name, 'weights >= 0', weight);
    return [pages, weight];
  });
  if (sizes.every(([, weight]) => weight === 0)) throw outOfRange(name, 'a weight > 0', 0);
  return sizes;
}
