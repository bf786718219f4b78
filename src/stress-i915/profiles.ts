import type { DmaSetup } from '../stress/dma/part.js';
import type { DmaOperations } from '../stress/dma/types.js';
import type { CommonOperations } from '../stress/world/common.js';
import type { StressProfile } from '../stress/world/profile.js';
import type { I915Setup } from './part.js';
import type { I915Operations } from './types.js';

/** The profiles that come with the library: GPUs under i915, and devices that use the DMA API directly. */

/** A profile of both. */
export type I915Profile = StressProfile & I915Setup & DmaSetup;

/** Sizes of objects and lists in pages, with their weights. */
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

/** The profiles' names, in the order of the columns of WEIGHTS. */
const PROFILE_ORDER = ['churn', 'fragment', 'pressure', 'share', 'userptr', 'exhaust', 'lazy', 'ioctl'] as const;

/** A profile that comes with gemdma, by name. */
export type ProfileName = (typeof PROFILE_ORDER)[number];

type OperationName = keyof I915Operations | keyof DmaOperations | keyof CommonOperations;

/** Share of each kind of operation, by profile. */
// biome-ignore format: a table
const WEIGHTS: Readonly<Partial<Record<OperationName, readonly number[]>>> = {
  //               churn  fragment  pressure     share   userptr   exhaust      lazy     ioctl
  create:         [   10,       10,       12,        8,        4,        3,        8,        4],
  stolen:         [  0.4,        1,        1,      0.5,        0,        0,      0.4,        0],
  close:          [    9,        9,        5,        6,        8,        2,        7,        3],
  getPages:       [    3,        0,        6,        0,        4,        0,        0,        0],
  putPages:       [    2,        0,        2,        0,        0,        0,        0,        0],
  madvise:        [    0,        0,        2,        0,        0,        0,        0,        0],
  caching:        [    0,        2,        0,        0,        0,        0,        0,        0],
  userptr:        [    0,        0,        0,        0,        8,        0,        0,        0],
  invalidate:     [    0,        0,        0,        0,        4,        0,        0,        0],
  attachPhys:     [  0.2,      0.5,      0.5,      0.2,        0,        0,      0.4,        0],
  import:         [    0,        0,        0,        6,        0,        0,        0,        0],
  shrink:         [    0,        0,        2,      0.5,      0.5,        0,        0,      0.5],
  context:        [    1,      0.5,      0.5,      0.5,      0.5,        0,      0.5,      0.5],
  contextClose:   [  0.8,      0.4,      0.4,      0.4,      0.4,        0,      0.4,      0.4],
  bind:           [   24,       20,       20,       20,       20,        6,       18,        4],
  bindView:       [    2,        3,        2,        3,        2,        0,        3,        0],
  unbind:         [   14,       12,        5,       12,       10,        3,       14,        3],
  exec:           [    2,        3,        6,        3,        3,        0,        2,        1],
  evict:          [    0,        0,      0.5,        0,        0,        0,        0,        0],
  pwrite:         [    4,        2,        4,        4,        0,        0,        2,        1],
  pread:          [    4,        0,        4,        4,        0,        0,        0,        1],
  gpuRead:        [    5,        4,        4,        6,        6,        0,        4,        1],
  gpuWrite:       [    4,        0,        3,        4,        4,        0,        0,        0],
  map:            [    7,        6,        0,        0,        0,       10,       14,        0],
  unmap:          [    7,        6,        0,        0,        0,        7,       14,        0],
  mapSg:          [    0,        8,        3,        0,        0,       20,        6,        0],
  unmapSg:        [    0,        8,        3,        0,        0,       13,        6,        0],
  coherent:       [    0,        2,        0,        0,        0,        3,        0,        0],
  coherentFree:   [    0,        2,        0,        0,        0,        2,        0,        0],
  mapResource:    [  0.3,      0.5,        0,        0,        0,        3,      0.5,        0],
  unmapResource:  [  0.4,      0.6,        0,        0,        0,        2,      0.6,        0],
  attach:         [    0,        0,        0,        6,        0,        0,        0,        0],
  detach:         [    0,        0,        0,        5,        0,        0,        0,        0],
  reserve:        [  0.3,        1,        0,        0,        0,        2,      1.5,        0],
  link:           [  0.6,        2,        0,        0,        0,        6,        3,        0],
  unlink:         [  0.6,        2,        0,        0,        0,        4,        3,        0],
  unreserve:      [  0.5,      1.5,        0,        0,        0,        2,        2,        0],
  deviceRead:     [  0.5,        1,        0,        0,        0,        4,        3,        0],
  deviceWrite:    [  0.5,        1,      0.5,        0,        0,        4,        3,        0],
  sync:           [  0.5,        1,      0.5,        0,        0,        4,        2,        0],
  client:         [    0,        0,        0,        0,        0,        0,        0,        2],
  clientClose:    [    0,        0,        0,        0,        0,        0,        0,      0.1],
  ioctl:          [    0,        0,        0,        0,        0,        0,        0,       70],
  advance:        [    1,        1,        2,        1,        4,        1,        6,        1],
};

function weightsOf(profile: ProfileName): Readonly<Record<string, number>> {
  const column = PROFILE_ORDER.indexOf(profile);
  const entries = Object.entries(WEIGHTS).map(([operation, weights]) => [operation, weights[column]] as const);
  return Object.fromEntries(entries.filter(([, weight]) => weight > 0));
}

/** All of a profile but what follows from its name. */
const SETUPS: Readonly<Record<ProfileName, Omit<I915Profile, 'weights'>>> = {
  churn: {
    title: 'objects come and go, bound here and there, small and many',
    machine: { ram: '64MiB' },
    gpus: [{ stolen: '4MiB' }],
    devices: [32],
    limits: { objects: 200, contexts: 6, mappings: 200 },
    pages: SMALL,
  },
  fragment: {
    title: 'mixed sizes in a fragmented RAM and a small address space, so that holes matter',
    machine: { ram: { size: '256MiB', fragmentation: 1 } },
    gpus: [{ stolen: '4MiB' }],
    devices: [26, 64],
    limits: { objects: 150, contexts: 4, mappings: 150 },
    pages: MIXED,
  },
  pressure: {
    title: 'more objects than RAM has pages: shrinking, purging, eviction, refusals',
    machine: { ram: '32MiB' },
    gpus: [{ stolen: '4MiB' }],
    devices: [32],
    limits: { objects: 300, contexts: 4, mappings: 60 },
    pages: MIXED,
  },
  share: {
    title: 'dma-buf: objects shared between GPUs and with other devices',
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
    machine: { ram: '64MiB' },
    gpus: [{}],
    devices: [],
    limits: { objects: 150, contexts: 4, mappings: 10 },
    pages: SMALL,
  },
  exhaust: {
    title: 'IOVA space and bounce slots run out, again and again',
    machine: { ram: '128MiB' },
    gpus: [{}],
    devices: [24, 24],
    limits: { objects: 100, contexts: 2, mappings: 4000 },
    pages: MIXED,
  },
  lazy: {
    title: 'the flush queue: unmapped ranges that the hardware still reaches for a while',
    machine: { ram: '64MiB', iommu: { mode: 'lazy' } },
    gpus: [{ stolen: '4MiB' }],
    devices: [32, 64],
    limits: { objects: 150, contexts: 4, mappings: 300 },
    pages: SMALL,
  },
  ioctl: {
    title: "i915's ioctls: structs as clients fill them in, and such with wrong words, sizes and numbers",
    machine: { ram: '64MiB' },
    gpus: [{}, { gen: 7 }],
    devices: [],
    // Two clients may map one memory: a dma-buf of the other GPU.
    expected: ['CACHELINE_OVERLAP', 'CACHELINE_OVERFLOW', 'SEG_LEN'],
    limits: { objects: 40, contexts: 2, mappings: 10 },
    pages: SMALL,
  },
};

/** The profiles that come with gemdma, complete: what one of your own can begin with. */
export const PROFILES = Object.fromEntries(
  PROFILE_ORDER.map((name) => [name, { ...SETUPS[name], weights: weightsOf(name) }]),
) as unknown as Readonly<Record<ProfileName, I915Profile>>;

export const PROFILE_NAMES: readonly ProfileName[] = PROFILE_ORDER;
