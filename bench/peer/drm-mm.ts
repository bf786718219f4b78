import type { Peer } from './peer.js';

/** The GTT range manager: drivers/gpu/drm/drm_mm.c of 6.12. Recordings of the manager of 2015 are not for it. */
export const drmMm: Peer = {
  name: 'drm_mm',
  title: 'drivers/gpu/drm/drm_mm.c',
  sources: ['drivers/gpu/drm/drm_mm.c', 'lib/rbtree.c'],
  headers: [
    'include/drm/drm_mm.h',
    'include/linux/interval_tree_generic.h',
    'include/linux/list.h',
    'include/linux/rbtree.h',
    'include/linux/rbtree_augmented.h',
    'include/linux/rbtree_types.h',
  ],
  stubs: [
    'asm/barrier',
    'drm/drm_print',
    ...[
      'bug',
      'compiler',
      'const',
      'container_of',
      'export',
      'limits',
      'mm_types',
      'poison',
      'rcupdate',
      'seq_file',
      'slab',
      'spinlock',
      'stackdepot',
      'stacktrace',
      'stddef',
      'types',
    ].map((name) => `linux/${name}`),
  ].map((name) => `${name}.h`),
  driver: 'peer/drm_mm.c',
  recordings: { folder: 'drm_mm', pattern: /^(?!k42_)/ },
  reach: () => 1,
};
