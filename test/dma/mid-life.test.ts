import { describe, expect, test } from 'vitest';
import { DMA_FROM_DEVICE, DMA_TO_DEVICE, type DmaDomain, Machine } from '../../src/index.js';

/** What a replay of a stream that begins in the middle needs of a machine. */

const lazyMachine = () => new Machine({ ram: '64MiB', iommu: { mode: 'lazy', reserved: [] }, cpus: 2 });

describe('a mapping at a given address', () => {
  test('translates, takes its range, has its entry, and is unmapped as any other', () => {
    const machine = new Machine({ ram: '64MiB', iommu: { reserved: [] } });
    const device = machine.addDevice();
    device.mapPageAt(0xabcde040, 0x123040, 8000, DMA_FROM_DEVICE);
    const domain = device.domain as DmaDomain;
    expect(machine.iommu.iovaToPhys(domain, 0xabcdf000)).toBe(0x124000);
    expect(machine.dmaDebug.entries()).toMatchObject([{ address: 0xabcde040, size: 8000 }]);
    // The first free pages from the top are still free: nothing but these two are taken.
    expect(domain.iovaStats().ranges).toBe(1);
    device.unmapPage(0xabcde040, 8000, DMA_FROM_DEVICE);
    expect(machine.dmaDebug.findings).toEqual([]);
    expect(machine.iommu.iovaToPhys(domain, 0xabcdf000)).toBeNull();
    machine.check();
  });

  test('is refused before anything is changed where it cannot be', () => {
    const machine = new Machine({ ram: '64MiB' });
    const device = machine.addDevice();
    device.mapPageAt(0x10000000, 0x5000, 4096, DMA_TO_DEVICE);
    const before = (device.domain as DmaDomain).iovaStats();
    expect(() => device.mapPageAt(0x0ffff000, 0x9000, 8192, DMA_TO_DEVICE)).toThrow(/EEXIST|taken/);
    expect(() => device.mapPageAt(0x20000000, 0x9001, 100, DMA_TO_DEVICE)).toThrow('keeps the offset');
    expect(() => device.mapPageAt(-1, 0x9000, 100, DMA_TO_DEVICE)).toThrow(RangeError);
    expect((device.domain as DmaDomain).iovaStats()).toEqual(before);
    const direct = new Machine({ ram: '64MiB', iommu: 'off' }).addDevice();
    expect(() => direct.mapPageAt(0x1000, 0x2000, 100, DMA_TO_DEVICE)).toThrow('without translation');
    direct.mapPageAt(0x2000, 0x2000, 100, DMA_TO_DEVICE);
    machine.check();
  });
});

describe('magazines', () => {
  test('cached ranges come back last in first out, on their CPU alone', () => {
    const machine = new Machine({ ram: '64MiB', cpus: 2, iommu: { reserved: [] } });
    const device = machine.addDevice();
    const domain = device.domain as DmaDomain;
    machine.cpu = 1;
    for (const pfn of [0x500, 0x600, 0x700]) domain.cacheRange(pfn, 1);
    machine.cpu = 0;
    expect(device.mapPage(1, 0, 4096, DMA_TO_DEVICE)).toBe(0xfffff000);
    machine.cpu = 1;
    const addresses = Array.from({ length: 4 }, () => device.mapPage(1, 0, 4096, DMA_TO_DEVICE));
    expect(addresses).toEqual([0x700000, 0x600000, 0x500000, 0xffffe000]);
    expect(() => domain.cacheRange(0x500, 1)).toThrow(/taken/);
    expect(() => domain.cacheRange(0x900, 64)).toThrow('no magazine');
    expect(() => {
      machine.cpu = 2;
    }).toThrow(RangeError);
    machine.check();
  });

  test('a smaller magazine hands what overflows to the depot', () => {
    const cached = (magazine: number): number[] => {
      const machine = new Machine({ ram: '64MiB', cpus: 2, iommu: { reserved: [], magazine } });
      const device = machine.addDevice();
      const mapped = Array.from({ length: 40 }, () => device.mapPage(1, 0, 4096, DMA_TO_DEVICE));
      for (const address of mapped) device.unmapPage(address, 4096, DMA_TO_DEVICE);
      machine.check();
      machine.cpu = 1;
      return Array.from({ length: 4 }, () => device.mapPage(1, 0, 4096, DMA_TO_DEVICE));
    };
    // With 127 all forty are CPU 0's own; with 8, three full magazines are in the depot for CPU 1.
    expect(cached(127)).toEqual([0xfffd7000, 0xfffd6000, 0xfffd5000, 0xfffd4000]);
    expect(cached(8).every((address) => address >= 0xfffd8000)).toBe(true);
    expect(() => new Machine({ iommu: { magazine: 128 } })).toThrow(RangeError);
  });
});

test('dma-debug of a stream that begins in the middle', () => {
  const findings = (midLife: boolean) => {
    const machine = new Machine({ ram: '64MiB', dmaDebug: { midLife } });
    const device = machine.addDevice();
    device.unmapPage(0x12345000, 4096, DMA_TO_DEVICE);
    const address = device.mapPage(1, 0, 4096, DMA_TO_DEVICE);
    device.unmapPage(address, 100, DMA_TO_DEVICE);
    return [machine.dmaDebug.findings.map(({ check }) => check), machine.dmaDebug.fromBefore];
  };
  expect(findings(false)).toEqual([['UNMAP_UNKNOWN', 'UNMAP_SIZE', 'UNMAP_UNCHECKED'], 0]);
  expect(findings(true)).toEqual([['UNMAP_SIZE'], 1]);
});

test('flush on demand: what waited goes into the magazines of the CPU that flushes', () => {
  const machine = lazyMachine();
  const device = machine.addDevice();
  const domain = device.domain as DmaDomain;
  const address = device.mapPage(1, 0, 4096, DMA_TO_DEVICE);
  device.unmapPage(address, 4096, DMA_TO_DEVICE);
  machine.cpu = 1;
  domain.flush();
  machine.cpu = 0;
  expect(device.mapPage(1, 0, 4096, DMA_TO_DEVICE)).toBe(0xffffe000);
  machine.cpu = 1;
  expect(device.mapPage(1, 0, 4096, DMA_TO_DEVICE)).toBe(address);
});

test("a flush queue's size and time are the machine's to say", () => {
  const machine = new Machine({ ram: '64MiB', iommu: { mode: 'lazy', flushQueue: { entries: 4, milliseconds: 50 } } });
  const device = machine.addDevice();
  const domain = device.domain as DmaDomain;
  const unmap = (): void => device.unmapPage(device.mapPage(1, 0, 4096, DMA_TO_DEVICE), 4096, DMA_TO_DEVICE);
  for (let i = 0; i < 4; ++i) unmap();
  expect(domain.flushes).toEqual({ full: 1, timer: 0 });
  machine.clock.advance(49);
  expect(domain.flushes.timer).toBe(0);
  machine.clock.advance(2);
  expect(domain.flushes.timer).toBe(1);
});

test("the bounce pool's place and indices are the machine's to say", () => {
  const swiotlb = { size: '1MiB', force: true, base: 0x1234000, indices: [5, 100] };
  const machine = new Machine({ ram: '64MiB', iommu: 'off', cpus: 2, swiotlb });
  const device = machine.addDevice();
  expect(machine.swiotlb!.stats.start).toBe(0x1234000);
  expect(device.mapPage(1, 0, 100, DMA_TO_DEVICE)).toBe(0x1234000 + 5 * 2048);
  machine.cpu = 1;
  expect(device.mapPage(1, 0, 100, DMA_TO_DEVICE)).toBe(0x1234000 + (256 + 100) * 2048);
  machine.swiotlb!.setIndex(1, 7);
  expect(device.mapPage(1, 0, 100, DMA_TO_DEVICE)).toBe(0x1234000 + (256 + 7) * 2048);
  expect(() => machine.swiotlb!.setIndex(2, 0)).toThrow(RangeError);
  expect(() => new Machine({ ram: '64MiB', iommu: 'off', swiotlb: { base: 5 } })).toThrow(RangeError);
  machine.check();
});
