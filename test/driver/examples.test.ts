import { describe, expect, test } from 'vitest';
import { findCompiler } from '../../dist/driver/compiler.js';
// The built package: the worker of fail-nth must be JavaScript.
import { buildDriver, driverFailNth, loadTest, runDriver } from '../../dist/driver/index.js';
import { bugMacros, plantedBugs } from './planted.js';

const cache = new URL('../../build/driver-cache', import.meta.url).pathname;
const examples = new URL('../../examples/drivers/', import.meta.url).pathname;
const DRIVERS = ['nic/ring_nic', 'blk/sg_queue', 'gem/gem_copy', 'dmac/copy_client'];

const compiler = await findCompiler().catch(() => null);
const withCompiler = describe.skipIf(compiler === null);

for (const name of DRIVERS) {
  const source = `${examples}${name}.c`;
  const scenario = `${examples}${name}.test.mjs`;
  const build = (define: string[] = [], dmaBits: 32 | 64 = 64) =>
    buildDriver({ files: [source], define, dmaBits, cache });

  withCompiler(`${name}.c (needs clang)`, () => {
    test.each([64, 32] as const)(
      'is clean, also when any allocation fails, with a %d-bit dma_addr_t',
      async (dmaBits) => {
        const { wasm, warnings } = await build([], dmaBits);
        expect(warnings).toBe('');
        const result = await driverFailNth(wasm, scenario, { dmaBits });
        expect(result.missing).toEqual([]);
        expect(result.baseline).toEqual([]);
        expect(result.failures).toEqual([]);
        expect(result.tried).toBeGreaterThan(10);
      },
    );

    test.each([
      { iommu: 'lazy' as const },
      { iommu: 'off' as const },
      { iommu: 'off' as const, swiotlb: { force: true } },
      { kernel: 'linux-4.2' as const },
    ])('is clean on a machine with %j', async (machine) => {
      const { wasm } = await build();
      expect(runDriver(wasm, await loadTest(scenario), { machine }).findings).toEqual([]);
    });

    test('each of its planted bugs says where it is found', () => {
      expect(new Set(plantedBugs(source).map(({ macro }) => macro))).toEqual(new Set(bugMacros(source)));
    });

    test.each(plantedBugs(source))(
      '$macro is found by $by as $id, line $line',
      async ({ macro, by, id, where, line }) => {
        const { wasm } = await build([macro]);
        const findings =
          by === 'run'
            ? runDriver(wasm, await loadTest(scenario)).findings
            : (await driverFailNth(wasm, scenario)).failures.map(({ finding }) => finding);
        const found = findings.filter((finding) => finding.id === id).map((finding) => finding[where]);
        expect(found).toContainEqual(expect.objectContaining({ file: expect.stringMatching(/\.c$/), line }));
      },
    );
  });
}
