import type { PresetPolicy } from './preset.js';

/**
 * i915 before commit 9490edb58865: every bind maps, and the first vma to go unmaps, though others may still use the
 * mapping; the next one unmaps the same addresses again.
 */
export const i915v318 = {
  name: 'i915-3.18',
  release: '3.18',
  rule: 'maps at bind',
  until: '9490edb58865',
  remaps: true,
  unmapsAt: 'unbind',
  undoes: ['page-tables', 'entries'],
  pageTables: () => 'creation',
  bind: (object) => object.mapSg(),
  bindFailed: (object) => object.unmapSg(),
  unbind: (object) => object.unmapSg(),
} as const satisfies PresetPolicy;
