/**
 * The mapping policy that policy.test.mjs tests: that of Linux 4.2. Break it, and see what the test prints.
 * @returns {import('gemdma').MappingPolicy}
 */
export default () => ({
  name: 'map with the pages',
  getPages: (object) => object.mapSg(),
  putPages: (object) => object.unmapSg(),
});
