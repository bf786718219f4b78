import { checkOptions } from '../../../core/arguments.js';
import { checkInteger, invalidType, invalidValue, outOfRange } from '../../../core/errors.js';
import type { I915Options } from '../../../i915/config.js';
import type { MachineOptions } from '../../../machine/config.js';

/**
 * What a stress run does, as data: which machine, which devices, how often each operation, how large and how many. A
 * profile is a complete value of this type; options change single fields of it.
 */
export interface StressProfile {
  /** One line: what it is after. */
  readonly title: string;
  /** Share of each kind of operation; kinds that are not named never happen. */
  readonly weights: Readonly<Record<string, number>>;
  readonly machine: MachineOptions;
  /** GPUs by their options. `driver` is set by the run's own option. */
  readonly gpus: readonly I915Options[];
  /** Other devices, which use the DMA API directly: their streaming masks in bits. */
  readonly devices: readonly number[];
  /** Most live objects (over all GPUs), contexts and direct mappings. What would be one more is destroyed instead. */
  readonly limits: Readonly<{ objects: number; contexts: number; mappings: number }>;
  /** Checks of dma-debug that speak about correct drivers, too: not counted as findings. */
  readonly expected?: readonly string[];
  /** Sizes of objects and lists in pages, with their weights. */
  readonly pages: readonly (readonly [pages: number, weight: number])[];
}

/** A run as one plain JSON value: what the seed is applied to. */
export interface StressConfig extends StressProfile {
  readonly seed: number;
  readonly profile: string;
  /** Name of the mapping policy of the GPUs: a driver preset's, or that of the policy passed in. */
  readonly driver: string;
  /** Operations between two complete checks. */
  readonly checkEvery: number;
  /** Probability that an allocation soon after an operation is made to fail; 0 to 1. */
  readonly faults: number;
}

const MIXED = [
  [1, 30],
  [2, 15],
  [4, 15],
  [16, 20],
  [31, 5],
  [64, 8],
  [256, 5],
  [1024, 1],
] as const;
const SMALL = [
  [1, 40],
  [2, 20],
  [4, 20],
  [8, 10],
  [16, 8],
  [32, 2],
] as const;

export const PROFILES = {
  churn: {
    title: 'objects come and go, bound here and there, small and many',
    weights: {
      create: 10,
      close: 9,
      bind: 24,
      unbind: 14,
      getPages: 3,
      putPages: 2,
      pwrite: 4,
      pread: 4,
      gpuRead: 5,
      gpuWrite: 4,
      exec: 2,
      context: 1,
      contextClose: 0.8,
      map: 7,
      unmap: 7,
      advance: 1,
      stolen: 0.4,
      attachPhys: 0.2,
      bindView: 2,
      mapResource: 0.3,
      unmapResource: 0.4,
      reserve: 0.3,
      link: 0.6,
      unlink: 0.6,
      unreserve: 0.5,
      deviceRead: 0.5,
      deviceWrite: 0.5,
      sync: 0.5,
    },
    machine: { ram: '64MiB' },
    gpus: [{ stolen: '4MiB' }],
    devices: [32],
    limits: { objects: 200, contexts: 6, mappings: 200 },
    pages: SMALL,
  },
  fragment: {
    title: 'mixed sizes in a fragmented RAM and a small address space, so that holes matter',
    weights: {
      create: 10,
      close: 9,
      bind: 20,
      unbind: 12,
      pwrite: 2,
      gpuRead: 4,
      exec: 3,
      caching: 2,
      context: 0.5,
      contextClose: 0.4,
      map: 6,
      unmap: 6,
      mapSg: 8,
      unmapSg: 8,
      coherent: 2,
      coherentFree: 2,
      advance: 1,
      stolen: 1,
      attachPhys: 0.5,
      bindView: 3,
      mapResource: 0.5,
      unmapResource: 0.6,
      reserve: 1,
      link: 2,
      unlink: 2,
      unreserve: 1.5,
      deviceRead: 1,
      deviceWrite: 1,
      sync: 1,
    },
    machine: { ram: { size: '256MiB', fragmentation: 1 } },
    gpus: [{ stolen: '4MiB' }],
    devices: [26, 64],
    limits: { objects: 150, contexts: 4, mappings: 150 },
    pages: MIXED,
  },
  pressure: {
    title: 'more objects than RAM has pages: shrinking, purging, eviction, refusals',
    weights: {
      create: 12,
      close: 5,
      bind: 20,
      unbind: 5,
      getPages: 6,
      putPages: 2,
      pwrite: 4,
      pread: 4,
      gpuRead: 4,
      gpuWrite: 3,
      exec: 6,
      madvise: 2,
      shrink: 2,
      evict: 0.5,
      context: 0.5,
      contextClose: 0.4,
      mapSg: 3,
      unmapSg: 3,
      advance: 2,
      stolen: 1,
      attachPhys: 0.5,
      bindView: 2,
      deviceWrite: 0.5,
      sync: 0.5,
    },
    machine: { ram: '32MiB' },
    gpus: [{ stolen: '4MiB' }],
    devices: [32],
    limits: { objects: 300, contexts: 4, mappings: 60 },
    pages: MIXED,
  },
  share: {
    title: 'dma-buf: objects shared between GPUs and with other devices',
    weights: {
      create: 8,
      close: 6,
      import: 6,
      bind: 20,
      unbind: 12,
      attach: 6,
      detach: 5,
      pwrite: 4,
      pread: 4,
      gpuRead: 6,
      gpuWrite: 4,
      exec: 3,
      shrink: 0.5,
      context: 0.5,
      contextClose: 0.4,
      advance: 1,
      stolen: 0.5,
      attachPhys: 0.2,
      bindView: 3,
    },
    machine: { ram: '64MiB' },
    gpus: [{ stolen: '4MiB' }, { gen: 7 }],
    devices: [32],
    // Memory that is shared is mapped more than once: the kernel says so, and counts to eight. And i915 as an exporter
    // does not ask how long a segment its importer takes.
    expected: ['CACHELINE_OVERLAP', 'CACHELINE_OVERFLOW', 'SEG_LEN'],
    limits: { objects: 150, contexts: 6, mappings: 100 },
    pages: SMALL,
  },
  userptr: {
    title: "memory of processes as objects, taken away in the middle by its owner's unmapping",
    weights: {
      create: 4,
      userptr: 8,
      close: 8,
      bind: 20,
      unbind: 10,
      getPages: 4,
      invalidate: 4,
      gpuRead: 6,
      gpuWrite: 4,
      exec: 3,
      shrink: 0.5,
      context: 0.5,
      contextClose: 0.4,
      advance: 4,
      bindView: 2,
    },
    machine: { ram: '64MiB' },
    gpus: [{}],
    devices: [],
    limits: { objects: 150, contexts: 4, mappings: 10 },
    pages: SMALL,
  },
  exhaust: {
    title: 'IOVA space and bounce slots run out, again and again',
    weights: {
      map: 10,
      unmap: 7,
      mapSg: 20,
      unmapSg: 13,
      coherent: 3,
      coherentFree: 2,
      deviceRead: 4,
      deviceWrite: 4,
      create: 3,
      close: 2,
      bind: 6,
      unbind: 3,
      advance: 1,
      mapResource: 3,
      unmapResource: 2,
      reserve: 2,
      link: 6,
      unlink: 4,
      unreserve: 2,
      sync: 4,
    },
    machine: { ram: '128MiB' },
    gpus: [{}],
    devices: [24, 24],
    limits: { objects: 100, contexts: 2, mappings: 4000 },
    pages: MIXED,
  },
  lazy: {
    title: 'the flush queue: unmapped ranges that the hardware still reaches for a while',
    weights: {
      create: 8,
      close: 7,
      bind: 18,
      unbind: 14,
      gpuRead: 4,
      pwrite: 2,
      exec: 2,
      context: 0.5,
      contextClose: 0.4,
      map: 14,
      unmap: 14,
      mapSg: 6,
      unmapSg: 6,
      deviceRead: 3,
      deviceWrite: 3,
      advance: 6,
      stolen: 0.4,
      attachPhys: 0.4,
      bindView: 3,
      mapResource: 0.5,
      unmapResource: 0.6,
      reserve: 1.5,
      link: 3,
      unlink: 3,
      unreserve: 2,
      sync: 2,
    },
    machine: { ram: '64MiB', iommu: { mode: 'lazy' } },
    gpus: [{ stolen: '4MiB' }],
    devices: [32, 64],
    limits: { objects: 150, contexts: 4, mappings: 300 },
    pages: SMALL,
  },
} as const satisfies Record<string, StressProfile>;

export type ProfileName = keyof typeof PROFILES;

export const PROFILE_NAMES = Object.keys(PROFILES) as ProfileName[];

const KEYS = ['title', 'weights', 'machine', 'gpus', 'devices', 'limits', 'pages'];
const OPTIONAL_KEYS = ['expected'];

/** The profile of a name, or one given whole. Throws ERR_INVALID_ARG_VALUE or ERR_INVALID_ARG_TYPE. */
export function profileOf(profile: ProfileName | StressProfile): StressProfile {
  if (typeof profile === 'string') {
    if (!Object.hasOwn(PROFILES, profile)) {
      throw invalidValue('profile', `one of ${PROFILE_NAMES.join(', ')}`, profile);
    }
    return PROFILES[profile];
  }
  checkOptions('profile', profile, [...KEYS, ...OPTIONAL_KEYS]);
  for (const key of KEYS) {
    if (!(key in profile)) throw invalidType(`profile.${key}`, 'given', undefined);
  }
  const { gpus, devices, limits } = profile;
  if (!Array.isArray(gpus)) throw invalidType('profile.gpus', 'an array of options of i915', gpus);
  if (!Array.isArray(devices)) throw invalidType('profile.devices', 'an array of mask bits', devices);
  for (const bits of devices) checkInteger('profile.devices', bits, 12, 64);
  checkOptions('profile.limits', limits, LIMITS);
  for (const name of LIMITS) checkInteger(`profile.limits.${name}`, limits[name], 0, 1e7);
  checkWeights('profile.weights', profile.weights);
  checkPages('profile.pages', profile.pages);
  return profile;
}

const LIMITS = ['objects', 'contexts', 'mappings'] as const;

/** Throws TypeErrors and RangeErrors unless these are weights by name. */
export function checkWeights(name: string, weights: unknown): void {
  if (typeof weights !== 'object' || weights === null || Array.isArray(weights)) {
    throw invalidType(name, 'an object of weights', weights);
  }
  for (const [key, weight] of Object.entries(weights)) {
    if (typeof weight !== 'number') throw invalidType(`${name}.${key}`, 'of type number', weight);
    if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) throw outOfRange(`${name}.${key}`, '>= 0', weight);
  }
}

/** Throws RangeErrors and TypeErrors unless these are sizes with weights. */
export function checkPages(name: string, sizes: unknown): void {
  if (!Array.isArray(sizes) || sizes.length === 0) throw invalidType(name, 'an array of [pages, weight]', sizes);
  for (const size of sizes) {
    const [pages, weight] = Array.isArray(size) ? size : [];
    if (!(Number.isInteger(pages) && pages >= 1)) throw outOfRange(name, 'whole pages >= 1', pages);
    if (!(weight >= 0)) throw outOfRange(name, 'weights >= 0', weight);
  }
  if (sizes.every(([, weight]) => weight === 0)) throw outOfRange(name, 'a weight > 0', 0);
}
