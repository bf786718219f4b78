import { describe, expect, test } from 'vitest';
import { findCompiler } from '../../dist/driver/compiler.js';
import { buildDriver, type RingNic, ringNicTest, runDriver } from '../../dist/driver/index.js';

const cache = new URL('../../build/driver-cache', import.meta.url).pathname;
const source = new URL('../../examples/drivers/nic/ring_nic.c', import.meta.url).pathname;
const compiler = await findCompiler().catch(() => null);

// The hardware of examples/drivers/nic/ring_nic.c as data.
const ring = {
  bytes: 16,
  entries: 32,
  on: [0x10, 1],
  own: [0, 0x80000000],
  address: [8, 12],
  length: [0, 0xffff],
} as const;
const NIC: RingNic = {
  ids: '1234:0011',
  bars: [4096],
  values: { 32: 0x00000002, 36: 0x0100 },
  tx: { ...ring, base: [8, 12], last: [0, 0x40000000], done: { 0: [0x80000000, 0] } },
  rx: { ...ring, base: [0, 4], received: [0, 0xffff], done: { 0: [0x80000000, 0] } },
  irq: { status: 0x14, enable: 0x18, tx: 2, rx: 1 },
};

describe.skipIf(compiler === null)('a NIC described as data (needs clang)', { timeout: 300_000 }, () => {
  const build = async (define: string[] = []) => (await buildDriver({ files: [source], define, cache })).wasm;

  test('sends and receives, in every mode of the IOMMU, without a finding', async () => {
    const wasm = await build();
    for (const iommu of ['off', 'strict', 'lazy'] as const) {
      let received = 0;
      const scenario = ringNicTest(NIC);
      const { findings } = runDriver(
        wasm,
        {
          ...scenario,
          run(t) {
            scenario.run!(t);
            received = t.driver.hardware.counts.writes;
          },
        },
        { machine: { iommu } },
      );
      expect({ iommu, findings }).toEqual({ iommu, findings: [] });
      expect(received).toBeGreaterThan(100);
    }
  });

  test.each([
    ['BUG_TX_UNMAP_SIZE', 'UNMAP_SIZE'],
    ['BUG_RX_CLOSE_NO_UNMAP', 'FREE_WHILE_MAPPED'],
    ['BUG_RX_READ_BEFORE_UNMAP', 'CPU_ACCESS'],
  ])('its scenario leads to %s', async (bug, id) => {
    const { findings } = runDriver(await build([bug]), ringNicTest(NIC));
    expect(findings.map((finding) => finding.id)).toContain(id);
  });
});
