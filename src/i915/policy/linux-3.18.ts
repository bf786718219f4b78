import type { MappingPolicy } from './policy.js';

/**
 * i915 before commit 9490edb58865: every bind maps, and the first vma to go unmaps, though others may still use the
 * mapping; the next one unmaps the same addresses again.
 */
export const linux318: MappingPolicy = {
  name: 'linux-3.18',
  pageTables: () => 'creation',
  bind: (object) => object.mapSg(),
  bindFailed: (object) => object.unmapSg(),
  unbind: (object) => object.unmapSg(),
};
