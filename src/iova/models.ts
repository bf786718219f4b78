import { IOVA_FAST, IOVA_LINUX_42, IOVA_LINUX_612, IOVA_RCACHE } from '../core/generated/constants.js';

/** Allocators by name, with the number that the core knows each by (assembly/iova/domain.ts). */
export const IOVA_MODELS = {
  /** Linux 4.2, the allocator of 2015. */
  'linux-4.2': IOVA_LINUX_42,
  /** Linux 6.12, the tree alone. */
  'linux-6.12': IOVA_LINUX_612,
  /** Linux 6.12 with its magazine caches in front of the tree. */
  rcache: IOVA_LINUX_612 | IOVA_RCACHE,
  /** Our own: places where it likes, in flat time. */
  fast: IOVA_FAST,
} as const;

export type IovaModel = keyof typeof IOVA_MODELS;
