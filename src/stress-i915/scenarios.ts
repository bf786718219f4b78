import { PAGE_SIZE } from '../core/generated/constants.js';
import type { OperationScenario } from '../stress/config/scenario.js';
import type { DmaOperations } from '../stress/dma/types.js';
import type { Operation, OperationIn } from '../stress/engine/operation.js';
import type { CommonOperations } from '../stress/world/common.js';
import type { I915Operations } from './types.js';

/** Operations of i915, of the DMA API and on the machine. */
export type AnyOperation = Operation &
  OperationIn<
    I915Operations & DmaOperations & CommonOperations,
    keyof (I915Operations & DmaOperations & CommonOperations)
  >;

const create = (id: number, pages: number, gpu = 0): AnyOperation => ({ op: 'create', id, gpu, pages });
const bind = (bo: number, ctx: number, gpu = 0): AnyOperation => ({ op: 'bind', bo, gpu, ctx });

/** Each way of working with memory once, for runs in which every allocation fails in turn. */
export const I915_SCENARIOS: readonly OperationScenario<AnyOperation>[] = [
  {
    name: 'object',
    title: "an object's life: pages, two address spaces, bytes, unbound and bound again",
    operations: [
      { op: 'context', id: 1, gpu: 0 },
      create(2, 20),
      { op: 'getPages', bo: 2 },
      { op: 'pwrite', bo: 2, offset: 4090, length: 100, stamp: 7 },
      bind(2, 0),
      bind(2, 1),
      { op: 'gpuRead', bo: 2, gpu: 0, ctx: 1, offset: 4000, length: 200 },
      { op: 'unbind', bo: 2, gpu: 0, ctx: 0 },
      bind(2, 0),
      { op: 'pread', bo: 2, offset: 4000, length: 200 },
      { op: 'close', bo: 2 },
      { op: 'contextClose', ctx: 1 },
    ],
  },
  {
    name: 'batch',
    title: 'a batch of several objects, then eviction and another batch',
    operations: [
      { op: 'context', id: 1, gpu: 0 },
      create(2, 1),
      create(3, 40),
      create(4, 600),
      { op: 'exec', gpu: 0, ctx: 1, bos: [2, 3, 4], busy: 1 },
      { op: 'evict', gpu: 0, ctx: 1 },
      { op: 'exec', gpu: 0, ctx: 1, bos: [4, 2], busy: 0 },
    ],
  },
  {
    name: 'mappings',
    title: 'pages, lists and coherent buffers of a device, strict',
    config: { gpus: [{}], devices: [32, 64] },
    operations: [
      { op: 'map', id: 1, device: 0, offset: 100, length: 3000, dir: 1, stamp: 3 },
      { op: 'deviceRead', map: 1, device: 0, offset: 0, length: 10 },
      { op: 'mapSg', id: 2, device: 0, pages: 700, dir: 0, window: 650, stamp: 5 },
      { op: 'coherent', id: 3, device: 1, length: 12288 },
      { op: 'unmapSg', map: 2, device: 0, length: 0, dir: 0 },
      { op: 'map', id: 4, device: 1, offset: 0, length: PAGE_SIZE, dir: 2, stamp: 9 },
      { op: 'unmap', map: 1, device: 0, length: 3000, dir: 1 },
      { op: 'coherentFree', map: 3, device: 1, length: 12288, dir: 0 },
      { op: 'unmap', map: 4, device: 1, length: PAGE_SIZE, dir: 2 },
    ],
  },
  {
    name: 'lazy',
    title: 'the same with a flush queue, and time passing',
    config: { gpus: [{}], devices: [32], machine: { ram: '64MiB', iommu: 'lazy' } },
    operations: [
      { op: 'mapSg', id: 1, device: 0, pages: 3, dir: 0, window: 1, stamp: 5 },
      { op: 'unmapSg', map: 1, device: 0, length: 0, dir: 0 },
      { op: 'map', id: 2, device: 0, offset: 0, length: PAGE_SIZE, dir: 1, stamp: 3 },
      { op: 'unmap', map: 2, device: 0, length: PAGE_SIZE, dir: 1 },
      { op: 'advance', ms: 20 },
      { op: 'mapSg', id: 3, device: 0, pages: 40, dir: 0, window: 0, stamp: 5 },
      { op: 'unmapSg', map: 3, device: 0, length: 0, dir: 0 },
    ],
  },
  {
    name: 'bounce',
    title: 'the bounce pool: single pages and a list through it',
    config: {
      ...{ gpus: [{}], devices: [32] },
      machine: { ram: '64MiB', iommu: 'off', swiotlb: { size: '1MiB', force: true } },
    },
    operations: [
      { op: 'map', id: 1, device: 0, offset: 77, length: 2000, dir: 0, stamp: 3 },
      { op: 'deviceWrite', map: 1, device: 0, offset: 5, length: 50, stamp: 11 },
      { op: 'sync', map: 1, device: 0, dir: 0, sg: false, offset: 5, length: 50, stamp: 12 },
      { op: 'mapSg', id: 2, device: 0, pages: 5, dir: 1, window: 4, stamp: 5 },
      { op: 'sync', map: 2, device: 0, dir: 1, sg: true, offset: 0, length: 20, stamp: 13 },
      { op: 'deviceRead', map: 2, device: 0, offset: 0, length: 30 },
      { op: 'unmap', map: 1, device: 0, length: 2000, dir: 0 },
      { op: 'unmapSg', map: 2, device: 0, length: 0, dir: 1 },
    ],
  },
  {
    name: 'views',
    title: 'rotated and partial views beside the whole object, and bytes through them',
    operations: [
      create(1, 24),
      bind(1, 0),
      { op: 'bindView', bo: 1, gpu: 0, ctx: 0, view: [0, 4, 6] },
      { op: 'bindView', bo: 1, gpu: 0, ctx: 0, view: [1, 3, 10] },
      { op: 'gpuWrite', bo: 1, gpu: 0, ctx: 0, view: [0, 4, 6], offset: 16_434, length: 50, stamp: 5 },
      { op: 'gpuRead', bo: 1, gpu: 0, ctx: 0, view: [1, 3, 10], offset: PAGE_SIZE, length: 200 },
      { op: 'unbind', bo: 1, gpu: 0, ctx: 0 },
      { op: 'unbind', bo: 1, gpu: 0, ctx: 0, view: [0, 4, 6] },
      { op: 'close', bo: 1 },
    ],
  },
  {
    name: 'contiguous',
    title: 'an object of stolen memory, and one that is made contiguous',
    config: { gpus: [{ stolen: '4MiB' }] },
    operations: [
      { op: 'stolen', id: 1, gpu: 0, pages: 5 },
      bind(1, 0),
      { op: 'gpuWrite', bo: 1, gpu: 0, ctx: 0, offset: 4000, length: 200, stamp: 5 },
      { op: 'gpuRead', bo: 1, gpu: 0, ctx: 0, offset: 4000, length: 200 },
      create(2, 3),
      { op: 'pwrite', bo: 2, offset: 4090, length: 100, stamp: 7 },
      { op: 'putPages', bo: 2 },
      { op: 'attachPhys', bo: 2 },
      bind(2, 0),
      { op: 'gpuRead', bo: 2, gpu: 0, ctx: 0, offset: 4090, length: 100 },
      { op: 'close', bo: 2 },
      { op: 'close', bo: 1 },
    ],
  },
  {
    name: 'ranges',
    title: 'address space reserved, linked and unlinked, and registers of another device',
    config: { gpus: [{}], devices: [32] },
    operations: [
      { op: 'reserve', id: 1, device: 0, pages: 4 },
      { op: 'link', id: 2, range: 1, page: 1, dir: 1, stamp: 3 },
      { op: 'link', id: 3, range: 1, page: 0, dir: 0, stamp: 4 },
      { op: 'deviceRead', map: 2, device: 0, offset: 0, length: 10 },
      { op: 'deviceWrite', map: 3, device: 0, offset: 100, length: 10, stamp: 5 },
      { op: 'mapResource', id: 4, device: 0, physical: 0xe0001004, length: 8192, dir: 0 },
      { op: 'unlink', map: 2, range: 1, page: 1, dir: 1 },
      { op: 'unreserve', map: 1, linked: 3, dir: 0 },
      { op: 'unmapResource', map: 4, device: 0, length: 8192, dir: 0 },
    ],
  },
  {
    name: 'share',
    title: 'an object lent to another GPU and to a device',
    config: { gpus: [{}, { gen: 7 }], devices: [32] },
    operations: [
      create(1, 10),
      { op: 'import', id: 2, bo: 1, gpu: 1 },
      bind(2, 0, 1),
      { op: 'attach', id: 3, bo: 1, device: 0 },
      { op: 'gpuRead', bo: 2, gpu: 1, ctx: 0, offset: 0, length: 50 },
      { op: 'detach', map: 3 },
      { op: 'close', bo: 2 },
    ],
  },
  {
    name: 'userptr',
    title: "a process's memory as an object, invalidated and used again",
    operations: [
      { op: 'userptr', id: 1, gpu: 0, pages: 6, populate: true },
      bind(1, 0),
      { op: 'gpuWrite', bo: 1, gpu: 0, ctx: 0, offset: 4000, length: 200, stamp: 5 },
      { op: 'invalidate', bo: 1 },
      { op: 'advance', ms: 1 },
      { op: 'pwrite', bo: 1, user: true, offset: 0, length: 9, stamp: 5 },
      { op: 'close', bo: 1 },
    ],
  },
];
