import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { DMA_ATTR, deviceRead, GemDmaError, type MachineOptions } from '../../src/index.js';
import { machineOf } from '../machine-of.js';

/** Coherent memory for callers that must not sleep (GFP_ATOMIC, kernel/dma/pool.c). */

describe('a device that is not coherent', () => {
  const WAYS: [string, MachineOptions][] = [
    ['behind an IOMMU', {}],
    ['without one', { iommu: 'off', swiotlb: false }],
  ];

  test.each(WAYS)('%s: gets it from the atomic pools, which work doubles', (_, options) => {
    const { machine, device } = machineOf(options, { coherent: false });
    expect(machine.atomicPools.map(({ pages }) => pages)).toEqual([0, 0, 0]);
    const before = device.allocCoherent(PAGE);
    expect(machine.atomicPools[1].pages).toBe(0);
    const buffer = device.allocCoherent(3 * PAGE, 0, { atomic: true });
    // 128 KiB each; a 32-bit device without an IOMMU begins with DMA32.
    const zone = options.iommu === 'off' ? 1 : 0;
    expect(machine.atomicPools.map(({ pages }) => pages)).toEqual([32, 32, 32]);
    expect(machine.atomicPools[zone].free).toBe(29);
    const [first] = buffer.table.pfns();
    expect([...buffer.table.pfns()]).toEqual([first, first + 1, first + 2]);
    expect(first % 4).toBe(0);
    machine.ram.write(first * PAGE, Uint8Array.of(7));
    expect(deviceRead(machine, device, buffer.address, 1)).toEqual(Uint8Array.of(7));
    machine.clock.advance(0);
    expect(machine.atomicPools[zone]).toEqual({ pages: 64, free: 61 });
    buffer.free();
    before.free();
    expect(machine.atomicPools[zone].free).toBe(64);
    const again = device.allocCoherent(PAGE, 0, { atomic: true });
    expect(deviceRead(machine, device, again.address, 1)).toEqual(Uint8Array.of(0));
    again.free();
    expect(machine.dmaDebug.poll().live).toBe(0);
    machine.check();
  });

  test('the pools of lower zones stand in, then they are exhausted', () => {
    const { machine, device } = machineOf({}, { coherent: false });
    for (let i = 0; i < 3; ++i) device.allocCoherent(32 * PAGE, 0, { atomic: true });
    expect(machine.atomicPools.map(({ free }) => free)).toEqual([0, 0, 0]);
    expect(() => device.allocCoherent(PAGE, 0, { atomic: true })).toThrow(GemDmaError);
    expect(machine.dmesg()).toContain('DMA pool exhausted for 0000:00:02.0');
    expect(device.reason).toBe('DMA_NO_PAGES');
  });

  test('a narrow device gets what it reaches', () => {
    const { device } = machineOf({ iommu: 'off', swiotlb: false }, { coherent: false, maskBits: 24 });
    expect(device.allocCoherent(PAGE, 0, { atomic: true }).address).toBeLessThan(2 ** 24);
  });
});

test('a coherent device gets one block behind an IOMMU, and nothing of the contiguous area', () => {
  const { machine, device } = machineOf({ cma: '2MiB' });
  const buffer = device.allocCoherent(8 * PAGE, 0, { atomic: true });
  const [first] = buffer.table.pfns();
  expect([...buffer.table.pfns()]).toEqual(Array.from({ length: 8 }, (_, i) => first + i));
  expect(machine.cma!.free).toBe(512);
  expect(machine.atomicPools[0].pages).toBe(0);
  const asleep = device.allocCoherent(8 * PAGE, DMA_ATTR.FORCE_CONTIGUOUS);
  expect(machine.cma!.free).toBe(504);
  asleep.free();
  buffer.free();
  expect(machine.cma!.free).toBe(512);
  expect(() => device.allocCoherent(PAGE, 0, { atomc: true } as never)).toThrow(TypeError);
  machine.check();
});
