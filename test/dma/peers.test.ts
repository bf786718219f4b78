import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import {
  DMA_ATTR,
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_TO_DEVICE,
  deviceRead,
  deviceWrite,
  Machine,
  type MachineOptions,
  ScatterTable,
} from '../../src/index.js';

/** Pages of a peer's BAR in a list (drivers/pci/p2pdma.c), and blocks from the contiguous area (kernel/dma/contiguous.c). */

const MiB = 2 ** 20;
const bytes = (n: number, value: number): Uint8Array => new Uint8Array(n).fill(value);

describe("lists of a peer's pages", () => {
  function setup(options: MachineOptions, client?: string, provider?: string) {
    const machine = new Machine({ ram: '64MiB', dmaDebug: { allErrors: true }, ...options });
    const at = (name?: string) => machine.addDevice(name === undefined ? {} : { switch: name });
    const device = at(client);
    const bar = machine.addBar(at(provider), 4 * PAGE);
    const list = ScatterTable.fromEntries(machine, [
      { pfn: bar.pfn, offset: 0, length: PAGE },
      { pfn: bar.pfn + 2, offset: 0, length: 2 * PAGE },
    ]);
    return { machine, device, bar, list };
  }

  test.each<[string, MachineOptions, string | undefined, string | undefined, 'bus' | 'bridge' | 'none']>([
    ['below one switch', { p2p: { acs: false } }, 'a', 'a', 'bus'],
    ['below one switch, no IOMMU', { iommu: 'off' }, 'a', 'a', 'bus'],
    ['below one switch that redirects, as with an IOMMU', {}, 'a', 'a', 'bridge'],
    ['below two', { p2p: { acs: false } }, 'a', 'b', 'bridge'],
    ['at the root', { iommu: 'off' }, undefined, undefined, 'bridge'],
    ['at the root of a bridge that does not', { p2p: { hostBridge: false } }, undefined, undefined, 'none'],
    ['below two, of a bridge that does not', { iommu: 'off', p2p: { hostBridge: false } }, 'a', 'b', 'none'],
  ])('%s', (_, options, client, provider, way) => {
    const { machine, device, bar, list } = setup(options, client, provider);
    if (way === 'none') {
      expect(device.mapSg(list, DMA_BIDIRECTIONAL)).toBe(0);
      expect(device.reason).toBe('DMA_P2P');
      const error = expect.objectContaining({ code: 'EREMOTEIO', errno: -121, reason: 'DMA_P2P' });
      expect(() => device.mapSgTable(list, DMA_BIDIRECTIONAL)).toThrow(error);
      expect([device.counts.maps, machine.dmaDebug.poll().live]).toEqual([0, 0]);
      return;
    }
    const nents = device.mapSg(list, DMA_BIDIRECTIONAL);
    expect(nents).toBeGreaterThan(0);
    expect(list.mapped).toBe(true);
    const [{ address }] = list.segments();
    if (way === 'bus' || options.iommu === 'off') expect(address).toBe(bar.address);
    else expect(address).not.toBe(bar.address);
    deviceWrite(machine, device, address + 8, bytes(4, 7));
    expect(bar.read(8, 4)).toEqual(bytes(4, 7));
    expect(deviceRead(machine, device, address + 8, 4)).toEqual(bytes(4, 7));
    device.unmapSg(list, DMA_BIDIRECTIONAL);
    expect([list.mapped, machine.dmaDebug.poll().live, machine.dmaDebug.findings]).toEqual([false, 0, []]);
    expect(machine.dmesg()).toEqual([]);
    machine.check();
  });

  test('a device reaches its own BAR, and a bus address takes no address space', () => {
    const { machine, device, bar } = setup({}, 'a', 'a');
    const own = machine.addBar(device, PAGE);
    const list = ScatterTable.fromEntries(machine, [{ pfn: own.pfn, offset: 16, length: 32 }]);
    const before = (device.domain as { iovaStats(): { ranges: number } }).iovaStats().ranges;
    expect(device.mapSg(list, DMA_TO_DEVICE)).toBe(1);
    expect(list.segments()).toEqual([{ address: own.address + 16, length: 32 }]);
    expect((device.domain as { iovaStats(): { ranges: number } }).iovaStats().ranges).toBe(before);
    own.write(16, bytes(2, 3));
    expect(deviceRead(machine, device, own.address + 16, 2)).toEqual(bytes(2, 3));
    // With redirection the switch does not turn the peer's address round: it is blocked at the unit.
    expect(() => deviceRead(machine, device, bar.address, 1)).toThrow(expect.objectContaining({ code: 'EFAULT' }));
    device.unmapSg(list, DMA_TO_DEVICE);
  });

  const MIXED: [string, MachineOptions][] = [
    ['strict', { p2p: { acs: false } }],
    ['lazy', { p2p: { acs: false }, iommu: 'lazy' }],
    ['AMD', { p2p: { acs: false }, iommu: { format: 'amdv1' } }],
    ['no IOMMU', { iommu: 'off' }],
  ];

  test.each(MIXED)('%s: in a list of both kinds each page goes its own way', (name, options) => {
    const { machine, device, bar } = setup(options, 'a', 'a');
    const list = ScatterTable.fromEntries(machine, [
      { pfn: 300, offset: 0, length: PAGE },
      { pfn: 301, offset: 0, length: PAGE },
      { pfn: bar.pfn + 1, offset: 0, length: PAGE },
      { pfn: 500, offset: 0, length: 100 },
    ]);
    const direct = name === 'no IOMMU';
    expect(device.mapSg(list, DMA_BIDIRECTIONAL)).toBe(direct ? 4 : 3);
    const segments = list.segments();
    const [first] = segments;
    const after = first.address + 2 * PAGE;
    expect(segments).toEqual(
      direct
        ? [300, 301, bar.pfn + 1, 500].map((pfn) => ({ address: pfn * PAGE, length: pfn === 500 ? 100 : PAGE }))
        : [
            { address: first.address, length: 2 * PAGE },
            { address: bar.address + PAGE, length: PAGE },
            { address: after, length: 100 },
          ],
    );
    deviceWrite(machine, device, segments.at(-2)!.address, bytes(2, 5));
    expect(bar.read(PAGE, 2)).toEqual(bytes(2, 5));
    deviceWrite(machine, device, segments.at(-1)!.address, bytes(2, 6));
    expect(machine.ram.read(500 * PAGE, 2)).toEqual(bytes(2, 6));
    device.unmapSg(list, DMA_BIDIRECTIONAL);
    machine.clock.advance(20);
    if (!direct) expect(() => deviceRead(machine, device, after, 1)).toThrow(/EFAULT/);
    expect([list.mapped, machine.dmaDebug.poll().live, machine.dmaDebug.findings]).toEqual([false, 0, []]);
    expect(machine.messages.filter(({ id }) => id !== 'FAULT' && id !== 'FAULT_STATUS')).toEqual([]);
    machine.check();
  });

  test('a list of both kinds is refused whole where one page cannot be had', () => {
    const { machine, device, bar } = setup({ iommu: 'off', swiotlb: false, ram: '64MiB' }, 'a', 'a');
    device.setMask(24);
    const list = ScatterTable.fromEntries(machine, [
      { pfn: bar.pfn, offset: 0, length: PAGE },
      { pfn: 0x2000, offset: 0, length: PAGE },
    ]);
    expect(device.mapSg(list, DMA_TO_DEVICE)).toBe(0);
    expect(device.reason).toBe('DMA_BEYOND_MASK');
    expect([list.mapped, machine.dmaDebug.poll().live]).toEqual([false, 0]);
    machine.check();
  });

  test.each([
    [{ p2p: { acs: 1 } }, TypeError],
    [{ p2p: { bridge: true } }, TypeError],
    [{ cma: -1 }, RangeError],
    [{ cma: '128MiB' }, RangeError],
  ])('options that cannot be are refused: %j', (options, error) => {
    expect(() => new Machine({ ram: '64MiB', ...(options as MachineOptions) })).toThrow(error);
  });
});

describe('the contiguous area', () => {
  const WAYS: [string, MachineOptions][] = [
    ['without an IOMMU', { iommu: 'off', swiotlb: false }],
    ['behind one, in one block', {}],
  ];

  test.each(WAYS)('%s: blocks of more than a page come from it, and from elsewhere once it is full', (_, options) => {
    const machine = new Machine({ ram: '64MiB', cma: '3MiB', dmaDebug: { allErrors: true }, ...options });
    const device = machine.addDevice();
    const { cma } = machine;
    expect([cma!.pages, cma!.free]).toEqual([1024, 1024]);
    const inArea = (pfn: number): boolean => pfn >= cma!.first && pfn < cma!.first + 1024;
    const page = device.allocCoherent(PAGE, DMA_ATTR.FORCE_CONTIGUOUS);
    expect(inArea(page.table.pfn(0))).toBe(false);
    // Eight times what a block of the page allocator holds would fit into no order of it.
    const large = device.allocCoherent(3 * PAGE, DMA_ATTR.FORCE_CONTIGUOUS);
    expect(large.table.pfn(0)).toBe(cma!.first);
    const aligned = device.allocPages(4 * PAGE, DMA_FROM_DEVICE);
    expect(aligned.table.pfn(0)).toBe(cma!.first + 4);
    deviceWrite(machine, device, aligned.address + PAGE, bytes(4, 9));
    expect(aligned.read(PAGE, 4)).toEqual(bytes(4, 9));
    aligned.free();
    const again = device.allocCoherent(4 * PAGE, DMA_ATTR.FORCE_CONTIGUOUS);
    expect(machine.ram.read(again.table.pfn(1) * PAGE, 4)).toEqual(bytes(4, 0));
    const rest = device.allocCoherent(2 * MiB, DMA_ATTR.FORCE_CONTIGUOUS);
    expect(inArea(rest.table.pfn(0))).toBe(true);
    const elsewhere = device.allocCoherent(2 * MiB, DMA_ATTR.FORCE_CONTIGUOUS);
    expect(inArea(elsewhere.table.pfn(0))).toBe(false);
    for (const buffer of [page, large, again, rest, elsewhere]) buffer.free();
    expect([cma!.free, machine.dmaDebug.poll().live, machine.dmaDebug.findings]).toEqual([1024, 0, []]);
    machine.check();
  });

  test('a block that the mask does not reach goes back; more than any order holds can be had', () => {
    const options: MachineOptions = { ram: '5GiB', cma: '16MiB', iommu: 'off', memoryLimit: '512MiB' };
    const machine = new Machine(options);
    expect(machine.cma!.first).toBe(0x100000);
    const narrow = machine.addDevice();
    expect(narrow.allocCoherent(2 * PAGE).address).toBeLessThan(2 ** 32);
    expect(machine.cma!.free).toBe(4096);
    const wide = machine.addDevice({ maskBits: 64 });
    expect(wide.allocCoherent(12 * MiB).address).toBe(2 ** 32);
    expect(() => narrow.allocCoherent(12 * MiB)).toThrow(expect.objectContaining({ reason: 'DMA_NO_PAGES' }));
    machine.check();
  });

  test('a snapshot has it', () => {
    const machine = new Machine({ ram: '64MiB', cma: '2MiB', iommu: 'off' });
    const device = machine.addDevice();
    const snapshot = machine.snapshot();
    device.allocCoherent(8 * PAGE);
    machine.restore(snapshot);
    expect(machine.cma!.free).toBe(512);
  });
});

test('zones: frames below 16 MiB, below 4 GiB, anywhere', () => {
  const machine = new Machine({ ram: '5GiB', memoryLimit: '512MiB' });
  expect(machine.ram.allocBlock(3, 'dma')).toBeLessThan(0x1000);
  expect(machine.ram.allocBlock(3, 'dma32')).toBeLessThan(0x100000);
  expect(machine.ram.allocBlock(3)).toBeGreaterThanOrEqual(0x100000);
  expect(() => machine.ram.allocBlock(3, 'highmem' as never)).toThrow(TypeError);
  machine.check();
});

describe('a pool where one says', () => {
  test('above 4 GiB, for devices that reach it', () => {
    const swiotlb = { size: '1MiB', base: 0x110000000, force: true };
    const machine = new Machine({ ram: '5GiB', memoryLimit: '512MiB', iommu: 'off', swiotlb });
    const device = machine.addDevice({ maskBits: 64 });
    expect(device.mapPage(300, 0, PAGE, DMA_TO_DEVICE)).toBe(0x110000000);
    const narrow = machine.addDevice();
    expect(narrow.mapPage(300, 0, PAGE, DMA_TO_DEVICE)).toBe(-1);
    expect(narrow.reason).toBe('SWIOTLB_UNREACHABLE');
    expect(machine.swiotlb!.stats.live).toBe(1);
  });

  test('of more than 1 GiB', () => {
    const machine = new Machine({ ram: '4GiB', memoryLimit: '1GiB', iommu: 'off', swiotlb: '2GiB' });
    expect(machine.swiotlb!.stats.slots).toBe(2 ** 20);
  });
});

describe('a read of what is mapped for writing', () => {
  test.each<[string, MachineOptions, boolean]>([
    ['VT-d of 6.12', {}, true],
    ['VT-d of 4.2', { kernel: 'linux-4.2' }, false],
    ['AMD', { iommu: { format: 'amdv1' } }, false],
    ['no IOMMU', { iommu: 'off' }, true],
  ])('%s', (_, options, allowed) => {
    const machine = new Machine({ ram: '64MiB', ...options });
    const device = machine.addDevice({ driver: 'nvme' });
    const address = device.mapPage(300, 0, 2 * PAGE, DMA_FROM_DEVICE);
    const other = device.mapPage(310, 0, PAGE, DMA_BIDIRECTIONAL);
    deviceWrite(machine, device, address, bytes(4, 1));
    deviceRead(machine, device, other, 4);
    expect(machine.messages).toEqual([]);
    const read = () => deviceRead(machine, device, address + 8, 4);
    if (!allowed) {
      expect(read).toThrow(expect.objectContaining({ reason: 'IOMMU_FAULT' }));
      return;
    }
    read();
    read();
    expect(machine.dmesg()).toEqual([
      `gemdma: nvme 0000:00:02.0: READ_OF_WRITE_ONLY: reads a mapping that is DMA_FROM_DEVICE, at 0x${(address + 8).toString(16)}: nothing forbids it`,
    ]);
    expect(machine.dmesg({ printed: true })).toEqual([]);
    device.unmapPage(address, 2 * PAGE, DMA_FROM_DEVICE);
  });
});
