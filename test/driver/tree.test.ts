import { buildDriver, driverFailNth, loadTest, runDriver } from 'gemdma/driver';
import { describe, expect, test } from 'vitest';
// The built package: the worker of fail-nth must be JavaScript.
import { findCompiler } from '../../dist/driver/compiler.js';

// A kernel tree of 6.12 is not part of the project: GEMDMA_KERNEL names one.
const kernel = process.env.GEMDMA_KERNEL;
const cache = new URL('../../build/driver-cache', import.meta.url).pathname;
const scenario = new URL('../../examples/drivers/8139cp/8139cp.test.mjs', import.meta.url).pathname;
const compiler = await findCompiler().catch(() => null);

describe.skipIf(!kernel || compiler === null)(
  '8139cp.c of a kernel tree, unmodified (needs GEMDMA_KERNEL and clang)',
  () => {
    const file = `${kernel}/drivers/net/ethernet/realtek/8139cp.c`;

    test.each([64, 32] as const)('its bugs are found by line, with a %d-bit dma_addr_t', async (dmaBits) => {
      const { wasm } = await buildDriver({ files: [file], kernel, cache, dmaBits });
      const { findings, probed, missing } = runDriver(wasm, await loadTest(scenario), { dmaBits });
      expect({ probed, missing }).toEqual({ probed: 0, missing: [] });
      // A packet that wraps round the ring is freed before its first descriptors are unmapped.
      expect(findings.map(({ id, at }) => [id, at?.func])).toEqual([['FREE_WHILE_MAPPED', 'cp_clean_rings']]);
      const { failures } = await driverFailNth(wasm, scenario, { dmaBits });
      const told = failures.map(({ finding, point }) => [finding.id, finding.at?.func, point.kind, point.at?.func]);
      expect(told).toContainEqual(['UNMAP_UNKNOWN', 'unwind_tx_frag_mapping', 'dma_map', 'cp_start_xmit']);
      expect(told).toContainEqual(['LEAK_ON_UNBIND', undefined, 'dma_map', 'cp_start_xmit']);
    });
  },
);

describe.skipIf(!kernel || compiler === null)(
  'drivers of a kernel tree with a NIC described as data (needs GEMDMA_KERNEL and clang)',
  { timeout: 300_000 },
  () => {
    const collection = new URL('../../examples/drivers/kernel/', import.meta.url).pathname;
    const failures = async (name: string) => {
      const { source } = (await import(`${collection}${name}.mjs`)) as { source: string };
      const { wasm } = await buildDriver({ files: [`${kernel}/${source}`], kernel, cache });
      return driverFailNth(wasm, `${collection}${name}.mjs`, { timeLimit: 2000 });
    };

    test('natsemi.c is clean, also when any allocation fails', async () => {
      const result = await failures('natsemi');
      expect({ missing: result.missing, baseline: result.baseline, failures: result.failures }).toEqual({
        missing: [],
        baseline: [],
        failures: [],
      });
      expect(result.tried).toBeGreaterThan(20);
    });

    test('winbond-840.c unmaps receive buffers with a length of 0', async () => {
      const { baseline } = await failures('winbond-840');
      expect(baseline).toContainEqual(
        expect.objectContaining({ id: 'UNMAP_SIZE', at: expect.objectContaining({ func: 'netdev_rx' }) }),
      );
    });
  },
);
