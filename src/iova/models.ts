/** Allocators by name, with the number that the core knows each by (assembly/iova/domain.ts). */
export const IOVA_MODELS = {
  /** Linux 4.2, the allocator of 2015. */
  'linux-4.2': 1,
  /** Linux 6.12, the tree alone. */
  'linux-6.12': 2,
  /** Linux 6.12 with its magazine caches in front of the tree. */
  rcache: 0x102,
  /** Our own: places where it likes, in flat time. */
  fast: 3,
} as const;

export type IovaModel = keyof typeof IOVA_MODELS;
