import { describe, expect, test } from 'vitest';
import { DmaDevice } from '../../src/dma/device.js';
import { DmaDomain, type DomainOptions } from '../../src/dma/dma-domain.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../src/dma/transfer.js';
import { iovaTree } from '../../src/recordings/formats/dma-machine.js';
import { host, leaves, MSI, PAGE, translated } from './host.js';

/** intel-iommu.c of Linux 4.2, property by property. */
const LINUX_42: DomainOptions = {
  allocator: 'tree-4.2',
  mergeSegments: false,
  unmapWholeRange: true,
  retryBelow4GiB: true,
  writeImpliesRead: false,
};

function device(options: DomainOptions = {}, maskBits = 39) {
  const at = host();
  const domain = new DmaDomain(at, { reserved: MSI, ...LINUX_42, ...options });
  return { at, domain, dev: new DmaDevice(at, { domain, maskBits }) };
}

describe('the IOMMU driver of 2015', () => {
  test('map_sg returns the entries, packed back to back in whole pages, in one power-of-two range', () => {
    const { at, domain, dev } = device();
    const entries = [
      { pfn: 0x1000, offset: 100, length: 5000 },
      { pfn: 0x2000, offset: 0, length: 3 * PAGE },
      { pfn: 0x2003, offset: 4000, length: 200 },
    ];
    using table = ScatterTable.fromEntries(at, entries);
    expect(dev.mapSg(table, DMA_BIDIRECTIONAL)).toBe(3);
    const base = table.segments()[0].address - 100;
    const [lo, hi] = iovaTree(domain).at(-1)!;
    // 2 + 3 + 2 pages take 8, aligned.
    expect([lo * PAGE, hi - lo + 1, lo % 8]).toEqual([base, 8, 0]);
    expect(table.segments()).toEqual([
      { address: base + 100, length: 5000 },
      { address: base + 2 * PAGE, length: 3 * PAGE },
      { address: base + 5 * PAGE + 4000, length: 200 },
    ]);
    entries.forEach(({ pfn, offset }, i) => {
      expect(translated(domain, table.segments()[i].address)).toBe(pfn * PAGE + offset);
    });
    dev.unmapSg(table, DMA_BIDIRECTIONAL);
    expect(iovaTree(domain).length).toBe(MSI.length);
    expect(leaves(domain, base, 8 * PAGE).every(({ level }) => level === 0)).toBe(true);
  });

  test('a large page is chosen within an entry, not over neighbours', () => {
    const { at, domain, dev } = device();
    const pfns = Array.from({ length: 512 }, (_, i) => 0x800 + i);
    for (const [options, level] of [
      [{}, 2],
      [{ coalesce: false }, 1],
      [{ maxSegment: 0x100000 }, 1],
    ] as const) {
      using table = ScatterTable.fromPages(at, pfns, options);
      expect(dev.mapSg(table, DMA_BIDIRECTIONAL)).toBe(table.origNents);
      expect(leaves(domain, table.dmaAddress(0), 512 * PAGE)[0].level).toBe(level);
      dev.unmapSg(table, DMA_BIDIRECTIONAL);
    }
  });

  test('unmapping any address of a range, with any length, ends all of it; outside of ranges nothing happens', () => {
    const { domain, dev } = device();
    const address = dev.mapPage(0x500, 0, 4 * PAGE, DMA_BIDIRECTIONAL);
    dev.unmapPage(address + 8 * PAGE, PAGE, DMA_BIDIRECTIONAL);
    expect(dev.reason).toBe('DMA_NOT_MAPPED');
    expect(iovaTree(domain).length).toBe(MSI.length + 1);
    dev.unmapPage(address + 2 * PAGE, PAGE, DMA_BIDIRECTIONAL);
    expect(iovaTree(domain).length).toBe(MSI.length);
    expect(translated(domain, address)).toBe(0);
  });

  test('permissions are those of the direction', () => {
    const { domain, dev } = device();
    const bits = ([DMA_BIDIRECTIONAL, DMA_TO_DEVICE, DMA_FROM_DEVICE] as const).map((dir) => {
      const address = dev.mapPage(0x500, 0, PAGE, dir);
      return leaves(domain, address, PAGE)[0].raw % 4n;
    });
    expect(bits).toEqual([3n, 1n, 2n]);
  });
});

describe('below 4 GiB first', () => {
  // Aligned pieces of 1 GiB: those with page 0 and with the MSI window are not to be had, which leaves two.
  const length = 2 ** 30;
  const high = (address: number): boolean => address >= 2 ** 32;

  test.each([
    ['6.12 tries until it failed once', false],
    ['4.2 tries every time', true],
  ])('%s', (_, retryBelow4GiB) => {
    const { dev } = device({ ...(retryBelow4GiB ? {} : { allocator: 'rcache' }), retryBelow4GiB });
    const map = (): number => dev.mapPage(0x500, 0, length, DMA_BIDIRECTIONAL);
    const low = map();
    expect([low, map(), map()].map(high)).toEqual([false, false, true]);
    dev.unmapPage(low, length, DMA_BIDIRECTIONAL);
    expect(high(map())).toBe(!retryBelow4GiB);
  });
});
