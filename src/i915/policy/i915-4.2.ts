import type { PresetPolicy } from './preset.js';

/** i915 since commit e227330223a7: mapped with the pages, once however often the object is bound. */
export const i915v42 = {
  name: 'i915-4.2',
  release: '4.2',
  rule: 'maps in get_pages',
  since: 'e227330223a7',
  remaps: false,
  unmapsAt: 'putPages',
  undoes: [],
  pageTables: () => 'bind',
  getPages: (object) => object.mapSg(),
  putPages: (object) => object.unmapSg(),
} as const satisfies PresetPolicy;
