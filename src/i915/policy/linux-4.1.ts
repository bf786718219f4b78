import type { MappingPolicy } from './policy.js';

/**
 * i915 between commits 9490edb58865 and e227330223a7: every bind maps, and the last vma to go unmaps, once. Page tables
 * of gen6 and gen7 come with the bind, and when they cannot be had the mapping just made is forgotten.
 */
export const linux41: MappingPolicy = {
  name: 'linux-4.1',
  pageTables: (gen) => (gen >= 8 ? 'creation' : 'bind'),
  bind: (object) => object.mapSg(),
  bindFailed: (object, _vma, stage) => {
    if (stage === 'entries') object.unmapSg();
  },
  lastVma: (object) => object.unmapSg(),
};
