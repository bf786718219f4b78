import { expect, test } from 'vitest';
import { DMA_TO_DEVICE } from '../../src/core/generated/constants.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { Machine } from '../../src/machine-drivers/machine.js';

test('a device gets a domain of its own behind the IOMMU, and a name', () => {
  const machine = new Machine({ ram: '16MiB' });
  const [a, b] = [machine.addDevice(), machine.addDevice({ maskBits: 39 })];
  expect(a.domain).not.toBe(b.domain);
  const [pfn] = machine.ram.alloc(1);
  const first = a.mapPage(pfn, 0, 4096, DMA_TO_DEVICE);
  expect(first).toBe(b.mapPage(pfn, 0, 4096, DMA_TO_DEVICE));
  expect(first).not.toBe(pfn * 4096);
  a.unmapPage(first, 8192, DMA_TO_DEVICE);
  expect(machine.dmaDebug.findings.map(({ check, device }) => [check, device])).toContainEqual([
    'UNMAP_SIZE',
    '0000:00:02.0',
  ]);
  machine.check();
});

test('devices can share a domain, pass it by, or have none', () => {
  const machine = new Machine({ ram: '16MiB' });
  const first = machine.addDevice();
  const shared = machine.addDevice({ domain: first });
  const direct = machine.addDevice({ domain: 'passthrough' });
  const [pfn] = machine.ram.alloc(1);
  const one = first.mapPage(pfn, 0, 4096, DMA_TO_DEVICE);
  expect(shared.mapPage(pfn, 0, 4096, DMA_TO_DEVICE)).toBe(one - 4096);
  expect(direct.mapPage(pfn, 0, 4096, DMA_TO_DEVICE)).toBe(pfn * 4096);
  const bare = new Machine({ ram: '16MiB', iommu: 'off', swiotlb: false });
  expect(bare.addDevice().domain).toBeUndefined();
});

test.each(['linux-4.2', 'linux-6.12'] as const)('%s maps, unmaps and is clean, strict and lazy', (kernel) => {
  for (const iommu of ['strict', 'lazy', 'passthrough', 'off'] as const) {
    const machine = new Machine({ ram: '128MiB', kernel, iommu });
    const device = machine.addDevice();
    const table = ScatterTable.allocate(machine, 5);
    for (let i = 0; i < 600; ++i) {
      device.mapSgTable(table, DMA_TO_DEVICE);
      device.unmapSg(table, DMA_TO_DEVICE);
    }
    table.release();
    machine.clock.advance(100);
    expect(machine.dmaDebug.findings).toEqual([]);
    machine.check();
  }
});

test('a machine without dma-debug says so', () => {
  expect(() => new Machine({ ram: '16MiB', dmaDebug: false }).dmaDebug).toThrow(/ENODEV/);
});

test.each(['linux-4.2', 'linux-6.12'] as const)(
  'a GPU on %s: bytes through both tables, nothing left behind',
  (kernel) => {
    for (const iommu of ['strict', 'lazy', 'passthrough', 'off'] as const) {
      const machine = new Machine({ ram: '128MiB', kernel, iommu });
      const gpu = machine.addI915({ gen: 8, ppgtt: 'full' });
      const before = machine.dmaDebug.counters().live;
      const bo = gpu.createObject('64KiB');
      bo.pwrite(5000, Uint8Array.of(1, 2, 3));
      const context = gpu.createContext();
      const vmas = [bo.bind(gpu.ggtt), bo.bind(context.vm)];
      for (const { vm, start } of vmas) expect([...gpu.read(vm, start + 4999, 5)]).toEqual([0, 1, 2, 3, 0]);
      for (const vma of vmas) vma.unbind();
      bo.release();
      context.release();
      machine.clock.advance(100);
      expect(machine.dmaDebug.findings).toEqual([]);
      expect(machine.dmaDebug.counters().live).toBe(before);
      machine.check();
    }
  },
);

test('a GPU on a machine without dma-debug', () => {
  const machine = new Machine({ ram: '16MiB', dmaDebug: false });
  const gpu = machine.addI915({ policy: 'i915-4.1' });
  const bo = gpu.createObject(4096);
  bo.bind(gpu.ggtt).unbind();
  bo.release();
  machine.check();
});
