import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { DmaDomain } from '../../src/dma/dma-domain.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../src/dma/transfer.js';
import { deviceRead, deviceWrite, formatFault } from '../../src/index.js';
import { Machine } from '../../src/machine-drivers/machine.js';

const MiB = 1024 ** 2;

function amd(options: object = {}): Machine {
  return new Machine({ ram: '64MiB', iommu: { format: 'amdv1', ...options } });
}

describe('a machine with an AMD IOMMU', () => {
  test('a device reaches what it mapped, page by page and as a list', () => {
    const machine = amd();
    const device = machine.addDevice();
    const table = ScatterTable.allocate(machine, 64);
    device.mapSgTable(table, DMA_BIDIRECTIONAL);
    const bytes = Uint8Array.from({ length: 3 * PAGE }, (_, i) => i * 7);
    const [{ address }] = table.segments();
    deviceWrite(machine, device, address + 100, bytes);
    expect(deviceRead(machine, device, address + 100, bytes.length)).toEqual(bytes);
    expect(machine.iommu.faults()).toEqual([]);
    device.unmapSg(table, DMA_BIDIRECTIONAL);
    expect(() => deviceRead(machine, device, address, 1)).toThrow(/IOMMU_FAULT/);
    machine.check();
  });

  test('blocked accesses are IO_PAGE_FAULTs, in the words of the kernel log', () => {
    const machine = amd();
    const device = machine.addDevice();
    const pfn = machine.ram.alloc(1)[0];
    const address = device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE);
    expect(() => deviceWrite(machine, device, address, new Uint8Array(1))).toThrow();
    expect(() => deviceRead(machine, device, address + PAGE, 1)).toThrow();
    // A mapping from the device allows no reading: write-only is not readable here, as it is behind VT-d.
    const from = device.mapPage(pfn, 0, PAGE, DMA_FROM_DEVICE);
    expect(() => deviceRead(machine, device, from, 1)).toThrow();
    const hex = (value: number): string => `0x${value.toString(16)}`;
    expect(machine.iommu.faults().map(formatFault)).toEqual([
      `AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:00:02.0 domain=0x0002 address=${hex(address)} flags=0x0070]`,
      `AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:00:02.0 domain=0x0002 address=${hex(address + PAGE)} flags=0x0000]`,
      `AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:00:02.0 domain=0x0002 address=${hex(from)} flags=0x0050]`,
    ]);
  });

  test('pages take the sizes that the hardware has, and tables grow with the address', () => {
    const machine = amd();
    const device = machine.addDevice({ maskBits: 64 });
    const domain = device.domain as DmaDomain;
    const first = machine.ram.allocBlock(4); // 64 KiB in one piece
    device.mapPage(first, 0, 16 * PAGE, DMA_BIDIRECTIONAL);
    expect(machine.iommu.dump(domain)).toMatch(/^domain 2: 3 levels.* rw 64 KiB\n16 pages of 4 KiB mapped$/s);
    const leaves = machine.iommu.tables(domain).filter(({ run }) => run > 0);
    expect(leaves.map(({ level, run }) => [level, run])).toEqual([[1, 16]]);
    machine.check();
  });

  test('a lazy domain leaves stale translations until its flush', () => {
    const machine = amd({ mode: 'lazy' });
    const device = machine.addDevice();
    const address = device.mapPage(machine.ram.alloc(1)[0], 0, PAGE, DMA_BIDIRECTIONAL);
    deviceRead(machine, device, address, 4);
    device.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
    deviceRead(machine, device, address, 4);
    expect(machine.iommu.staleAccesses()).toHaveLength(1);
    machine.clock.advance(20);
    expect(() => deviceRead(machine, device, address, 4)).toThrow();
    machine.check();
  });

  test('a snapshot brings tables and devices back', () => {
    const machine = amd();
    const device = machine.addDevice();
    const table = ScatterTable.allocate(machine, 600);
    const before = machine.snapshot(table);
    device.mapSgTable(table, DMA_BIDIRECTIONAL);
    const dump = machine.iommu.dump(device.domain as DmaDomain);
    machine.restore(before);
    expect(machine.iommu.tables(device.domain as DmaDomain)).toEqual([]);
    device.mapSgTable(table, DMA_BIDIRECTIONAL);
    expect(machine.iommu.dump(device.domain as DmaDomain)).toBe(dump);
  });

  test('no memory for a table fails the mapping and leaves nothing', () => {
    const machine = amd();
    const device = machine.addDevice();
    const table = ScatterTable.allocate(machine, 2000);
    const pages = machine.iommu.stats.tablePages;
    for (let nth = 1; ; ++nth) {
      machine.failAllocation('page-table', nth);
      if (device.mapSg(table, DMA_BIDIRECTIONAL) > 0) break;
      expect(
        machine.iommu.leaves(device.domain as DmaDomain, 0, 4096 * MiB - 1).every(({ level }) => level === 0),
      ).toBe(true);
      machine.check();
    }
    machine.failAllocation('page-table', 0);
    device.unmapSg(table, DMA_BIDIRECTIONAL);
    // Tables once made stay, as no unmap frees one.
    expect(machine.iommu.stats.tablePages).toBeGreaterThan(pages);
    machine.check();
  });

  test('options are checked', () => {
    expect(() => amd({ levels: 4 })).toThrow(RangeError);
    expect(() => amd({ format: 'amdv2' as never })).toThrow(/iommu.format/);
    expect(() => new DmaDomain(amd(), { pageSizes: 0x2000 })).toThrow(RangeError);
    expect(() => new DmaDomain(new Machine({ ram: '16MiB' }), { pageSizes: 0x3000 })).toThrow(RangeError);
    expect(new Machine(amd({ npCache: true }).config).config.iommu).toMatchObject({
      format: 'amdv1',
      npCache: true,
      levels: 3,
    });
  });
});
