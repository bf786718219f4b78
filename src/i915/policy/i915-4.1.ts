import type { PresetPolicy } from './preset.js';

/**
 * i915 between commits 9490edb58865 and e227330223a7: every bind maps, and the last vma to go unmaps, once. Page tables
 * of gen6 and gen7 come with the bind, and when there are none to be had, the mapping that was just made is forgotten.
 */
export const i915v41 = {
  name: 'i915-4.1',
  release: '4.1',
  rule: 'maps at bind',
  since: '9490edb58865',
  until: 'e227330223a7',
  remaps: true,
  unmapsAt: 'lastVma',
  undoes: ['entries'],
  pageTables: (gen) => (gen >= 8 ? 'creation' : 'bind'),
  bind: (object) => object.mapSg(),
  bindFailed: (object, _vma, stage) => {
    if (stage === 'entries') object.unmapSg();
  },
  lastVma: (object) => object.unmapSg(),
} as const satisfies PresetPolicy;
