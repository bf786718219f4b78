import { describe, expect, test } from 'vitest';
import { BouncePool } from '../../src/core/bounce-pool.js';
import { LIBRARY } from '../../src/core/life.js';
import { PhysicalMemory } from '../../src/core/physical-memory.js';
import { DmaDevice } from '../../src/dma/device.js';
import type { DeviceOptions } from '../../src/dma/device-options.js';
import { DmaDomain, type DomainOptions } from '../../src/dma/dma-domain.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import {
  DMA_ATTR,
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_MAPPING_ERROR,
  DMA_TO_DEVICE,
} from '../../src/dma/transfer.js';
import { iovaTree } from '../../src/recordings/formats/dma-machine.js';
import { host, leaves, MiB, MSI, PAGE, state, translated } from './host.js';

function behindIommu(options: DomainOptions = {}, device: DeviceOptions = {}) {
  const at = host();
  const domain = new DmaDomain(at, { reserved: MSI, ...options });
  return { at, domain, dev: new DmaDevice(at, { domain, ...device }) };
}

describe('single mappings behind an IOMMU', () => {
  test('the offset in the page is kept, whole pages are mapped, and a strict unmap frees the address for the next', () => {
    const { domain, dev } = behindIommu();
    const address = dev.mapPage(0x500, 100, 5000, DMA_BIDIRECTIONAL);
    expect(address % PAGE).toBe(100);
    expect(leaves(domain, address, 5000)).toMatchObject([{ level: 1, run: 2, raw: 0x500003n }]);
    expect(translated(domain, address + PAGE)).toBe(0x501000 + 100);
    dev.unmapPage(address, 5000, DMA_BIDIRECTIONAL);
    expect(translated(domain, address)).toBe(0);
    expect(dev.mapPage(0x600, 100, 5000, DMA_BIDIRECTIONAL)).toBe(address);
    expect(dev.counts).toEqual({ maps: 2, unmaps: 1, pagesMapped: 4, pagesUnmapped: 2 });
  });

  test('mapSingle is mapPage by address; memory without one physical address is refused', () => {
    const { domain, dev } = behindIommu();
    const address = dev.mapSingle(0x500123, 10, DMA_TO_DEVICE);
    expect(translated(domain, address)).toBe(0x500123);
    dev.unmapSingle(address, 10, DMA_TO_DEVICE);
    const before = state(dev);
    expect(dev.mapSingle(0x500123, 10, DMA_TO_DEVICE, 0, true)).toBe(DMA_MAPPING_ERROR);
    expect(dev.reason).toBe('DMA_VMALLOC');
    expect(state(dev)).toEqual(before);
  });

  test('registers are mapped as they are, RAM or not', () => {
    const { domain, dev } = behindIommu();
    const address = dev.mapResource(0xfe901cfa, 9325, DMA_BIDIRECTIONAL);
    expect(translated(domain, address)).toBe(0xfe901cfa);
    dev.unmapResource(address, 9325, DMA_BIDIRECTIONAL);
    expect(translated(domain, address)).toBe(0);
  });

  test('unmapping what is not mapped changes nothing but the count; a wrong size does what the kernel does', () => {
    const { domain, dev } = behindIommu();
    dev.unmapPage(0x7000, PAGE, DMA_BIDIRECTIONAL);
    expect(dev.reason).toBe('DMA_NOT_MAPPED');
    const address = dev.mapPage(0x500, 0, 4 * PAGE, DMA_BIDIRECTIONAL);
    dev.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
    // The other three pages stay, and the range is in the class of single pages.
    expect(translated(domain, address + PAGE)).toBe(0x501000);
    expect(dev.mapPage(0x600, 0, PAGE, DMA_BIDIRECTIONAL)).toBe(address);
  });

  test('DMA_NONE is no direction to map in', () => {
    const dir = 3;
    const { at, dev } = behindIommu();
    using table = ScatterTable.fromPages(at, [1, 2]);
    const before = state(dev);
    expect(dev.mapPage(0x500, 0, PAGE, dir as 0)).toBe(DMA_MAPPING_ERROR);
    expect(dev.reason).toBe('DMA_BAD_DIRECTION');
    expect(dev.mapSg(table, dir as 0)).toBe(0);
    expect(dev.mapResource(0xfe000000, PAGE, dir as 0)).toBe(DMA_MAPPING_ERROR);
    expect(state(dev)).toEqual(before);
  });

  test('arguments that are no numbers of pages and bytes are refused before anything is done', () => {
    const { dev } = behindIommu();
    const before = state(dev);
    expect(() => dev.mapPage(-1, 0, PAGE, DMA_BIDIRECTIONAL)).toThrow(RangeError);
    expect(() => dev.mapPage(1.5, 0, PAGE, DMA_BIDIRECTIONAL)).toThrow(RangeError);
    expect(() => dev.mapPage(1, 0, 2 ** 32, DMA_BIDIRECTIONAL)).toThrow(RangeError);
    expect(() => dev.mapPage('1' as unknown as number, 0, PAGE, DMA_BIDIRECTIONAL)).toThrow(TypeError);
    expect(state(dev)).toEqual(before);
  });

  test('no bytes are no mapping', () => {
    const { dev } = behindIommu();
    expect(dev.mapPage(1, 0, 0, DMA_BIDIRECTIONAL)).toBe(DMA_MAPPING_ERROR);
    expect(dev.reason).toBe('DMA_BAD_SIZE');
  });
});

describe('lists', () => {
  test('a list mapped twice forgets the first mapping, which one unmap does not end', () => {
    const { at, domain, dev } = behindIommu();
    using table = ScatterTable.fromPages(at, [1, 3, 5, 7]);
    dev.mapSgTable(table, DMA_BIDIRECTIONAL);
    const first = table.segments()[0].address;
    dev.mapSgTable(table, DMA_BIDIRECTIONAL);
    const second = table.segments()[0].address;
    dev.unmapSg(table, DMA_BIDIRECTIONAL);
    expect(translated(domain, first)).toBe(PAGE);
    expect(translated(domain, second)).toBe(0);
    expect(dev.counts).toEqual({ maps: 2, unmaps: 1, pagesMapped: 8, pagesUnmapped: 4 });
  });

  test('only as many segments are unmapped as entries were given', () => {
    const { at, domain, dev } = behindIommu({}, { maxSegment: PAGE });
    using table = ScatterTable.fromPages(at, [1, 3, 5, 7]);
    expect(dev.mapSg(table, DMA_BIDIRECTIONAL)).toBe(4);
    dev.unmapSg(table, DMA_BIDIRECTIONAL, 0, 3);
    expect(table.segments().map(({ address }) => translated(domain, address))).toEqual([0, 0, 0, 7 * PAGE]);
  });

  test('mapSgTable says which cause a failure had', () => {
    const { at, dev } = behindIommu({}, { maskBits: 24 });
    using table = ScatterTable.fromPages(
      at,
      Array.from({ length: 8192 }, (_, i) => 2 * i),
    );
    expect(() => dev.mapSgTable(table, DMA_BIDIRECTIONAL)).toThrow(
      expect.objectContaining({ code: 'ENOMEM', errno: -12, syscall: 'dma_map_sg', reason: 'IOVA_LIMIT' }),
    );
    using long = ScatterTable.fromEntries(at, [{ pfn: 1, offset: 1, length: 0xfffff001 }]);
    expect(() => dev.mapSgTable(long, DMA_BIDIRECTIONAL)).toThrow(
      expect.objectContaining({ code: 'EINVAL', reason: 'DMA_BAD_SIZE' }),
    );
  });

  test('unmapping a table that was never mapped does nothing', () => {
    const { at, domain, dev } = behindIommu();
    using table = ScatterTable.fromPages(at, [1, 3]);
    const tree = iovaTree(domain);
    dev.unmapSg(table, DMA_BIDIRECTIONAL);
    expect(iovaTree(domain)).toEqual(tree);
  });
});

describe('devices and domains', () => {
  test('devices that share a domain have different addresses and their own masks', () => {
    const { at, domain, dev } = behindIommu();
    const narrow = new DmaDevice(at, { id: 2, domain, maskBits: 28 });
    const one = dev.mapPage(0x500, 0, PAGE, DMA_BIDIRECTIONAL);
    const other = narrow.mapPage(0x500, 0, PAGE, DMA_BIDIRECTIONAL);
    expect(one).toBeGreaterThan(2 ** 28);
    expect(other).toBeLessThan(2 ** 28);
    expect(translated(domain, one)).toBe(translated(domain, other));
    expect(() => domain.destroy()).toThrow(/EBUSY/);
    dev.destroy();
    narrow.destroy();
    domain.destroy();
    expect(at.core.tools.machineCheck(at.context)).toBe(0);
  });

  test('a device has one domain at a time', () => {
    const { at, domain, dev } = behindIommu();
    expect(() => dev.attach(new DmaDomain(at))).toThrow(/EEXIST/);
    expect(() => dev.attach('passthrough')).toThrow(/EEXIST/);
    dev.detach();
    dev.attach('passthrough');
    expect(dev.mapPage(0x500, 7, 9, DMA_BIDIRECTIONAL)).toBe(0x500007);
    dev.detach();
    dev.attach(domain);
    expect(dev.mapPage(0x500, 7, 9, DMA_BIDIRECTIONAL)).not.toBe(0x500007);
  });

  test('reserved ranges are never handed out', () => {
    const { dev } = behindIommu({ reserved: [[0x10, 0xfffff]] }, { maskBits: 32 });
    const seen = Array.from({ length: 15 }, () => dev.mapPage(0x500, 0, PAGE, DMA_BIDIRECTIONAL) / PAGE);
    expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 15 }, (_, i) => i + 1));
    expect(dev.mapPage(0x500, 0, PAGE, DMA_BIDIRECTIONAL)).toBe(DMA_MAPPING_ERROR);
    expect(dev.reason).toBe('IOVA_FULL');
  });
});

describe('without translation', () => {
  test('addresses are physical, and what the mask does not reach is refused', () => {
    const at = host();
    const dev = new DmaDevice(at, { maskBits: 24 });
    expect(dev.mapPage(0xfff, 0, PAGE, DMA_BIDIRECTIONAL)).toBe(0xfff000);
    expect(dev.mapPage(0xfff, 1, PAGE, DMA_BIDIRECTIONAL)).toBe(DMA_MAPPING_ERROR);
    expect(dev.reason).toBe('DMA_BEYOND_MASK');
    using good = ScatterTable.fromPages(at, [1, 5, 0xfff]);
    expect(dev.mapSg(good, DMA_BIDIRECTIONAL)).toBe(3);
    expect(good.segments().map(({ address }) => address / PAGE)).toEqual([1, 5, 0xfff]);
    using bad = ScatterTable.fromPages(at, [1, 0x1000, 5]);
    expect(() => dev.mapSgTable(bad, DMA_BIDIRECTIONAL)).toThrow(
      expect.objectContaining({ code: 'EIO', reason: 'DMA_BEYOND_MASK' }),
    );
    expect(dev.mapResource(0x1000000, 1, DMA_BIDIRECTIONAL)).toBe(DMA_MAPPING_ERROR);
  });

  test('what bounces is copied in, synced both ways and copied back; a list that fails is undone', () => {
    const at = host(0x2000);
    const pool = BouncePool.create(at.core, at.context, { slots: 128, areas: 1 }, 'areas', 0x400);
    const ram = new PhysicalMemory(LIBRARY, at.core, at.context);
    const dev = new DmaDevice(at, { maskBits: 24 });
    const buffer = 0x1800 * PAGE;
    ram.write(buffer, Uint8Array.of(1, 2, 3, 4));
    const address = dev.mapPage(0x1800, 0, PAGE, DMA_BIDIRECTIONAL);
    expect(address).toBeLessThan(2 ** 24);
    expect([...ram.read(address, 4)]).toEqual([1, 2, 3, 4]);
    ram.write(address, Uint8Array.of(9));
    dev.syncForCpu(address, PAGE, DMA_BIDIRECTIONAL);
    expect([...ram.read(buffer, 2)]).toEqual([9, 2]);
    ram.write(buffer, Uint8Array.of(7));
    dev.syncForDevice(address, PAGE, DMA_BIDIRECTIONAL);
    expect([...ram.read(address, 2)]).toEqual([7, 2]);
    ram.write(address, Uint8Array.of(5));
    dev.unmapPage(address, PAGE, DMA_BIDIRECTIONAL);
    expect([...ram.read(buffer, 2)]).toEqual([5, 2]);

    using mixed = ScatterTable.fromPages(at, [0x100, 0x1800, 0x1900]);
    expect(dev.mapSg(mixed, DMA_FROM_DEVICE)).toBe(3);
    expect(mixed.segments()[0].address).toBe(0x100000);
    const [, , third] = mixed.segments();
    ram.write(third.address, Uint8Array.of(6));
    dev.syncSgForCpu(mixed, DMA_FROM_DEVICE);
    expect(ram.read(0x1900 * PAGE, 1)[0]).toBe(6);
    dev.unmapSg(mixed, DMA_FROM_DEVICE);
    expect(pool.stats.used).toBe(0);

    const before = state(dev);
    using tooMuch = ScatterTable.fromPages(
      at,
      Array.from({ length: 65 }, (_, i) => 0x1800 + 2 * i),
    );
    expect(() => dev.mapSgTable(tooMuch, DMA_TO_DEVICE)).toThrow(
      expect.objectContaining({ code: 'EIO', reason: 'SWIOTLB_FULL' }),
    );
    expect(pool.stats.used).toBe(0);
    expect(tooMuch.segments()).toEqual([]);
    tooMuch.release();
    expect(state(dev)).toEqual(before);
  });
});

describe('coherent memory', () => {
  test('behind an IOMMU it may lie anywhere: one range, 2 MiB blocks as large pages', () => {
    const { at, domain, dev } = behindIommu();
    const before = at.core.tools.machineRecords(at.context);
    const buffer = dev.allocCoherent(2 * MiB + 5000);
    expect(leaves(domain, buffer.address, 2 * MiB + 8192).map(({ level, run }) => [level, run])).toEqual([
      [2, 1],
      [1, 2],
    ]);
    buffer.free();
    buffer.free();
    expect(translated(domain, buffer.address)).toBe(0);
    const single = dev.allocCoherent(2 * MiB, DMA_ATTR.ALLOC_SINGLE_PAGES);
    expect(single.table.pageCount).toBe(512);
    single.free();
    expect(at.core.tools.machineRecords(at.context)).toBe(before);
    expect(dev.counts).toEqual({ maps: 2, unmaps: 2, pagesMapped: 1026, pagesUnmapped: 1026 });
  });

  test('without translation it is one block that the coherent mask reaches, what it has too much goes back', () => {
    const at = host(0x2000);
    const dev = new DmaDevice(at, { maskBits: 32, coherentMaskBits: 24 });
    const ram = new PhysicalMemory(LIBRARY, at.core, at.context);
    const buffer = dev.allocCoherent(5 * PAGE);
    expect(buffer.address).toBe(buffer.table.pfn(0) * PAGE);
    expect(buffer.address + 5 * PAGE).toBeLessThanOrEqual(2 ** 24);
    // Everything but firmware's frames and these five can be had.
    const rest = ram.alloc(0x2000 - 0x100 - 5);
    expect(() => ram.alloc(1)).toThrow(/ENOMEM/);
    ram.free(rest);
    buffer.free();
    const narrow = new DmaDevice(at, { id: 2, coherentMaskBits: 24 });
    for (let full = false; !full; ) {
      try {
        narrow.allocCoherent(PAGE);
      } catch {
        full = true;
      }
    }
    ram.free(ram.alloc(1));
    const before = state(narrow);
    expect(() => narrow.allocCoherent(PAGE)).toThrow(
      expect.objectContaining({ code: 'ENOMEM', reason: 'DMA_NO_PAGES' }),
    );
    expect(state(narrow)).toEqual(before);
  });
});

describe('the two-step calls', () => {
  test('space is reserved once, memory linked into it, unlinked, and linked again', () => {
    const { at, domain, dev } = behindIommu();
    const before = state(dev);
    const range = dev.allocIova(16 * PAGE);
    for (let i = 0; i < 16; ++i) range.link(i * PAGE, (0x500 + 3 * i) * PAGE, PAGE, DMA_BIDIRECTIONAL);
    range.sync();
    expect(translated(domain, range.address + 5 * PAGE + 12)).toBe(0x50f000 + 12);
    range.unlink(4 * PAGE, 8 * PAGE, DMA_BIDIRECTIONAL);
    expect(translated(domain, range.address + 5 * PAGE)).toBe(0);
    expect(translated(domain, range.address + 12 * PAGE)).not.toBe(0);
    range.link(4 * PAGE, 0x900000, 8 * PAGE, DMA_BIDIRECTIONAL);
    expect(translated(domain, range.address + 5 * PAGE)).toBe(0x901000);
    range.free(16 * PAGE);
    expect(translated(domain, range.address)).toBe(0);
    const { counts, tree, tables, ...rest } = state(dev) as Record<string, unknown>;
    const { counts: _, tree: __, tables: ___, ...same } = before as Record<string, unknown>;
    expect(rest).toEqual(same);
    expect(counts).toEqual({ maps: 1, unmaps: 1, pagesMapped: 24, pagesUnmapped: 24 });
    expect(at.core.tools.machineCheck(at.context)).toBe(0);
  });

  test('the first piece may begin inside a page, where the memory does, too', () => {
    const { domain, dev } = behindIommu();
    const range = dev.allocIova(5000, 0x500800);
    expect(range.address % PAGE).toBe(0x800);
    expect(() => range.link(0, 0x500400, 100, DMA_TO_DEVICE)).toThrow(
      expect.objectContaining({ code: 'EIO', reason: 'DMA_OFFSET_MISMATCH' }),
    );
    range.link(0, 0x500800, 5000, DMA_TO_DEVICE);
    expect(translated(domain, range.address + 10)).toBe(0x50080a);
    range.free(5000);
  });

  test('only a device behind a domain can', () => {
    const dev = new DmaDevice(host());
    expect(() => dev.allocIova(PAGE)).toThrow(expect.objectContaining({ code: 'EINVAL', reason: 'DMA_NO_IOMMU' }));
  });

  test('a lazy domain keeps the space until a flush', () => {
    const { domain, dev } = behindIommu({ mode: 'lazy' });
    const range = dev.allocIova(64 * PAGE);
    range.link(0, 0x500000, 64 * PAGE, DMA_BIDIRECTIONAL);
    range.free(64 * PAGE);
    expect(domain.pending).toBe(1);
    domain.flush();
    expect(iovaTree(domain).length).toBe(MSI.length);
    const unused = dev.allocIova(64 * PAGE);
    unused.free();
    expect(domain.pending).toBe(0);
  });
});
