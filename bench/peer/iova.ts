import type { Peer } from './peer.js';

/** At most 0.3x of the kernel's time; less where its search is at its worst, its own time on a magazine hit. */
const REACH: readonly [RegExp, number][] = [
  [/^w2-/, 0.005],
  [/^w5-/, 1],
  [/^w/, 0.3],
];

/** The IOVA allocator: drivers/iommu/iova.c of 6.12. */
export const iova: Peer = {
  name: 'iova',
  title: 'drivers/iommu/iova.c',
  sources: ['drivers/iommu/iova.c', 'lib/rbtree.c'],
  headers: [
    'include/linux/iova.h',
    'include/linux/rbtree.h',
    'include/linux/rbtree_augmented.h',
    'include/linux/rbtree_types.h',
  ],
  stubs: [
    'bitops',
    'compiler',
    'container_of',
    'cpu',
    'dma-mapping',
    'export',
    'kernel',
    'kmemleak',
    'module',
    'rcupdate',
    'slab',
    'smp',
    'stddef',
    'types',
    'workqueue',
  ].map((name) => `linux/${name}.h`),
  driver: 'peer/iova.c',
  // The depot's timer does not run in the driver: c_depot waits for it.
  recordings: { folder: 'iova', pattern: /^(?:w\d|r_|c_(?!depot\.))/ },
  reach: (recording) => REACH.find(([pattern]) => pattern.test(recording))?.[1],
  // 100,000 pages are taken first: what is asked is a step while they live.
  fill: (recording) => (recording.startsWith('w2-') ? 100_000 : undefined),
};
