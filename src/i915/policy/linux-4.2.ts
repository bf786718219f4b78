import type { MappingPolicy } from './policy.js';

/** i915 since commit e227330223a7: mapped with the pages, once however often the object is bound. */
export const linux42: MappingPolicy = {
  name: 'linux-4.2',
  pageTables: () => 'bind',
  getPages: (object) => object.mapSg(),
  putPages: (object) => object.unmapSg(),
};
