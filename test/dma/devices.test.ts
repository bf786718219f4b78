import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import {
  DMA_ATTR,
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_TO_DEVICE,
  deviceRead,
  deviceWrite,
  GemDmaError,
  type MachineDeviceOptions,
  type MachineOptions,
  ScatterTable,
} from '../../src/index.js';
import { machineOf } from '../machine-of.js';

/** Devices as they are: behind a narrow bus, not coherent, at a cable, beside each other. */

const bytes = (n: number, value: number): Uint8Array => new Uint8Array(n).fill(value);

test.each([
  [{ busLimitBits: 8 }, RangeError],
  [{ coherent: 'no' }, TypeError],
  [{ untrusted: 1 }, TypeError],
  [{ snooped: true }, TypeError],
])('an option that cannot be is refused: %j', (options, error) => {
  const { machine } = machineOf();
  expect(() => machine.addDevice(options as unknown as MachineDeviceOptions)).toThrow(error);
});

describe('a bus limit', () => {
  test('bounces, bounds coherent memory and addresses, and survives a wider mask', () => {
    const options: MachineOptions = { ram: 5 * 1024 ** 3, iommu: 'off', swiotlb: '1MiB', memoryLimit: '512MiB' };
    const { machine, device } = machineOf(options, { maskBits: 64, busLimitBits: 32 });
    const high = machine.ram.allocBlock(0);
    expect(high * PAGE).toBeGreaterThanOrEqual(2 ** 32);
    device.setMask(64);
    const address = device.mapPage(high, 0, PAGE, DMA_TO_DEVICE);
    expect(address).toBeLessThan(2 ** 32);
    expect(machine.swiotlb!.stats.live).toBe(1);
    expect(device.needSync(address)).toBe(true);
    expect(device.allocCoherent(65536).address).toBeLessThan(2 ** 32);
  });
});

describe('a device that is not coherent', () => {
  const setups: [string, MachineOptions][] = [
    ['behind an IOMMU', {}],
    ['without one', { iommu: 'off', swiotlb: false }],
  ];

  test.each(setups)('%s: without a sync the CPU reads stale bytes', (_, options) => {
    const { machine, device } = machineOf(options, { coherent: false });
    const pfn = machine.ram.allocBlock(0);
    machine.ram.write(pfn * PAGE, bytes(128, 1));
    const address = device.mapPage(pfn, 0, 128, DMA_FROM_DEVICE);
    deviceWrite(machine, device, address, bytes(128, 2));
    expect(machine.ram.read(pfn * PAGE, 128)).toEqual(bytes(128, 1));
    // The wrong direction drops nothing.
    device.syncForCpu(address, 128, DMA_TO_DEVICE);
    expect(machine.ram.read(pfn * PAGE, 128)).toEqual(bytes(128, 1));
    device.syncForCpu(address, 64, DMA_FROM_DEVICE);
    expect(machine.ram.read(pfn * PAGE, 128)).toEqual(Uint8Array.from([...bytes(64, 2), ...bytes(64, 1)]));
    device.unmapPage(address, 128, DMA_FROM_DEVICE);
    expect(machine.ram.read(pfn * PAGE, 128)).toEqual(bytes(128, 2));
  });

  test.each(setups)('%s: without a sync the device reads stale bytes', (_, options) => {
    const { machine, device } = machineOf(options, { coherent: false });
    const pfn = machine.ram.allocBlock(0);
    machine.ram.write(pfn * PAGE, bytes(64, 1));
    const address = device.mapPage(pfn, 0, 64, DMA_TO_DEVICE);
    machine.ram.write(pfn * PAGE, bytes(64, 2));
    expect(deviceRead(machine, device, address, 64)).toEqual(bytes(64, 1));
    device.syncForDevice(address, 64, DMA_TO_DEVICE);
    expect(deviceRead(machine, device, address, 64)).toEqual(bytes(64, 2));
  });

  test('what the CPU writes to a mapped buffer is lost at the sync, but not its neighbours in a line', () => {
    const { machine, device } = machineOf({}, { coherent: false });
    const pfn = machine.ram.allocBlock(0);
    const address = device.mapPage(pfn, 32, 96, DMA_FROM_DEVICE);
    machine.ram.write(pfn * PAGE, bytes(128, 5));
    device.unmapPage(address, 96, DMA_FROM_DEVICE);
    const after = machine.ram.read(pfn * PAGE, 128);
    // The first line has bytes of others and is written back whole; the second is dropped.
    expect([after[0], after[32], after[63], after[64], after[127]]).toEqual([5, 5, 5, 0, 0]);
  });

  test('SKIP_CPU_SYNC leaves the cache alone', () => {
    const { machine, device } = machineOf({}, { coherent: false });
    const pfn = machine.ram.allocBlock(0);
    const first = device.mapPage(pfn, 0, 64, DMA_BIDIRECTIONAL);
    machine.ram.write(pfn * PAGE, bytes(64, 3));
    device.unmapPage(first, 64, DMA_BIDIRECTIONAL, DMA_ATTR.SKIP_CPU_SYNC);
    const again = device.mapPage(pfn, 0, 64, DMA_TO_DEVICE, DMA_ATTR.SKIP_CPU_SYNC);
    expect(deviceRead(machine, device, again, 64)).toEqual(bytes(64, 0));
    expect(machine.ram.read(pfn * PAGE, 64)).toEqual(bytes(64, 3));
  });

  test('lists, and coherent memory, which has no cache in between', () => {
    const { machine, device } = machineOf({}, { coherent: false });
    const pfns = machine.ram.alloc(4).filter((_, i) => i % 2 === 0);
    const table = ScatterTable.fromPages(machine, pfns);
    expect(device.mapSg(table, DMA_FROM_DEVICE)).toBeGreaterThan(0);
    const { address } = table.segments()[0];
    deviceWrite(machine, device, address, bytes(64, 9));
    expect(machine.ram.read(pfns[0] * PAGE, 1)[0]).toBe(0);
    device.syncSgForCpu(table, DMA_FROM_DEVICE);
    expect(machine.ram.read(pfns[0] * PAGE, 1)[0]).toBe(9);
    device.unmapSg(table, DMA_FROM_DEVICE);
    const buffer = device.allocCoherent(PAGE);
    deviceWrite(machine, device, buffer.address, bytes(64, 7));
    expect(machine.ram.read(buffer.table.pfn(0) * PAGE, 64)).toEqual(bytes(64, 7));
    expect([device.coherent, device.needSync(address)]).toEqual([false, true]);
  });

  test('a freed frame takes its lines along, and a snapshot has the cache', () => {
    const { machine, device } = machineOf({ iommu: 'off', swiotlb: false }, { coherent: false });
    const pfn = machine.ram.allocBlock(0);
    const address = device.mapPage(pfn, 0, 64, DMA_TO_DEVICE);
    machine.ram.write(pfn * PAGE, bytes(64, 4));
    const before = machine.snapshot();
    device.unmapPage(address, 64, DMA_TO_DEVICE);
    machine.ram.freeBlock(pfn, 0);
    expect(machine.ram.allocBlock(0)).toBe(pfn);
    expect(machine.ram.read(pfn * PAGE, 64)).toEqual(bytes(64, 0));
    machine.restore(before);
    expect(machine.ram.read(pfn * PAGE, 64)).toEqual(bytes(64, 4));
    expect(deviceRead(machine, device, address, 64)).toEqual(bytes(64, 0));
  });
});

describe('an untrusted device', () => {
  test('bounces what does not fill its pages, each entry of a list too', () => {
    const { machine, device } = machineOf({ swiotlb: '1MiB' }, { untrusted: true });
    const pfn = machine.ram.allocBlock(1);
    machine.ram.write(pfn * PAGE, bytes(2 * PAGE, 6));
    const part = device.mapPage(pfn, 100, 200, DMA_BIDIRECTIONAL);
    expect(machine.swiotlb!.stats).toMatchObject({ live: 1, used: 2 });
    expect(deviceRead(machine, device, part, 200)).toEqual(bytes(200, 6));
    const whole = deviceRead(machine, device, Math.floor(part / PAGE) * PAGE, PAGE);
    expect(whole.filter((byte) => byte !== 0)).toHaveLength(200);
    deviceWrite(machine, device, part, bytes(200, 8));
    expect(machine.ram.read(pfn * PAGE + 100, 1)[0]).toBe(6);
    device.syncForCpu(part, 100, DMA_BIDIRECTIONAL);
    expect([...machine.ram.read(pfn * PAGE + 199, 2)]).toEqual([8, 6]);
    device.unmapPage(part, 200, DMA_BIDIRECTIONAL);
    expect([...machine.ram.read(pfn * PAGE + 299, 2)]).toEqual([8, 6]);
    expect(machine.swiotlb!.stats.used).toBe(0);
    const pages = device.mapPage(pfn, 0, 2 * PAGE, DMA_TO_DEVICE);
    expect(machine.swiotlb!.stats.live).toBe(0);
    device.unmapPage(pages, 2 * PAGE, DMA_TO_DEVICE);
    const list = ScatterTable.fromEntries(machine, [
      { pfn, offset: 0, length: PAGE },
      { pfn: pfn + 1, offset: 0, length: 512 },
    ]);
    expect(device.mapSg(list, DMA_FROM_DEVICE)).toBe(2);
    expect(machine.swiotlb!.stats.live).toBe(1);
    deviceWrite(machine, device, list.segments()[1].address, bytes(512, 1));
    device.unmapSg(list, DMA_FROM_DEVICE);
    expect([...machine.ram.read((pfn + 1) * PAGE + 511, 2)]).toEqual([1, 6]);
    expect(machine.swiotlb!.stats.used).toBe(0);
    machine.check();
  });

  test('keeps the bits of min_align_mask, in slots of whole pages', () => {
    const { machine, device } = machineOf({ swiotlb: '1MiB' }, { untrusted: true, minAlignMask: 0xfff });
    const pfn = machine.ram.allocBlock(0);
    const address = device.mapPage(pfn, 0xa30, 0x100, DMA_TO_DEVICE);
    expect(address % PAGE).toBe(0xa30);
    machine.check();
    device.unmapPage(address, 0x100, DMA_TO_DEVICE);
    expect(machine.swiotlb!.stats.used).toBe(0);
    machine.check();
  });

  test('is strict on a lazy machine, and a list without a pool fails as a whole', () => {
    const { machine, device } = machineOf({ iommu: 'lazy' }, { untrusted: true });
    expect(device.domain).toMatchObject({ lazy: false });
    const pfn = machine.ram.allocBlock(1);
    const list = ScatterTable.fromEntries(machine, [
      { pfn, offset: 0, length: PAGE },
      { pfn: pfn + 1, offset: 8, length: 8 },
    ]);
    expect(device.mapSg(list, DMA_TO_DEVICE)).toBe(0);
    expect(device.reason).toBe('SWIOTLB_NO_POOL');
    expect(machine.dmaDebug.poll().live).toBe(0);
  });
});

describe('a dma_pool', () => {
  test('cuts blocks as the kernel does: size, alignment, boundary', () => {
    const { machine, device } = machineOf();
    const pool = machine.createDmaPool(device, { name: 'td', size: 1500, align: 32, boundary: 4096 });
    expect([pool.size, pool.allocation, pool.boundary]).toEqual([1504, 4096, 4096]);
    const [first, second, third] = [pool.alloc(), pool.alloc(), pool.zalloc()];
    expect(second.address - first.address).toBe(1504);
    expect(Math.floor(third.address / PAGE)).not.toBe(Math.floor(first.address / PAGE));
    expect(machine.ram.read(first.physical, 4)).toEqual(bytes(4, 0xa9));
    expect(machine.ram.read(third.physical, 4)).toEqual(bytes(4, 0));
    deviceWrite(machine, device, third.address, bytes(4, 3));
    expect(machine.ram.read(third.physical, 4)).toEqual(bytes(4, 3));
    expect(pool.stats).toEqual({ active: 3, blocks: 4, pages: 2 });
    expect(String(pool)).toBe('td                  3    4 1504  2');
    // The block that was freed last is handed out next.
    pool.free(second);
    expect(pool.alloc()).toEqual(second);
    for (const block of [first, second, third]) pool.free(block);
    expect(pool.destroy()).toBe(0);
    expect(machine.dmaDebug.poll().live).toBe(0);
    expect(machine.dmesg()).toEqual([]);
    expect(() => pool.alloc()).toThrow(GemDmaError);
  });

  test.each([
    [{ name: 'x', size: 0, align: 8 }, RangeError],
    [{ name: 'x', size: 64, align: 3 }, RangeError],
    [{ name: 'x', size: 64, align: 64, boundary: 32 }, RangeError],
    [{ name: 7, size: 64, align: 64 }, TypeError],
  ])('that cannot be is refused: %j', (options, error) => {
    const { machine, device } = machineOf();
    expect(() => machine.createDmaPool(device, options as never)).toThrow(error);
  });

  test('finds writes after free, wrong frees and blocks in use', () => {
    const { machine, device } = machineOf();
    const pool = machine.createDmaPool(device, { name: 'td', size: 64, align: 64 });
    const block = pool.alloc();
    pool.free(block);
    deviceWrite(machine, device, block.address + 32, bytes(1, 1));
    pool.alloc();
    pool.free({ address: 0x1000, physical: 0x1000 });
    expect(pool.destroy()).toBe(1);
    expect(machine.messages.map(({ id }) => id)).toEqual(['POOL_CORRUPTED', 'POOL_BAD_DMA', 'POOL_BUSY']);
    expect(machine.dmesg().map((line) => line.replace(/[0-9a-f]{16}/g, '#'))).toEqual([
      'e1000 0000:00:02.0: pool_check_block td, # (corrupted)',
      'e1000 0000:00:02.0: pool_block_err td, #/0x# (bad dma)',
      'e1000 0000:00:02.0: dma_pool_destroy td busy',
    ]);
  });
});

describe("another device's BAR", () => {
  test.each<[string, MachineOptions]>([
    ['through an IOMMU', {}],
    ['on the bus', { iommu: 'off', swiotlb: false }],
  ])('%s: as a resource, and as pages of a list', (_, options) => {
    const { machine, device } = machineOf(options);
    const bar = machine.addBar(machine.addDevice(), '64KiB');
    expect(bar.address % bar.size).toBe(0);
    const address = device.mapResource(bar.address, PAGE, DMA_BIDIRECTIONAL);
    deviceWrite(machine, device, address + 16, bytes(4, 1));
    expect(bar.read(16, 4)).toEqual(bytes(4, 1));
    bar.write(32, bytes(4, 2));
    expect(deviceRead(machine, device, address + 32, 4)).toEqual(bytes(4, 2));
    device.unmapResource(address, PAGE, DMA_BIDIRECTIONAL);
    const list = ScatterTable.fromEntries(machine, [{ pfn: bar.pfn + 1, offset: 0, length: PAGE }]);
    expect(device.mapSg(list, DMA_FROM_DEVICE)).toBe(1);
    deviceWrite(machine, device, list.segments()[0].address, bytes(8, 3));
    expect(bar.read(PAGE, 8)).toEqual(bytes(8, 3));
    device.unmapSg(list, DMA_FROM_DEVICE);
  });

  test('is refused with a size that is none, and when the window is full', () => {
    const { machine, device } = machineOf();
    expect(() => machine.addBar(device, 5000)).toThrow(RangeError);
    machine.addBar(device, 256 * 1024 ** 2);
    expect(() => machine.addBar(device, 256 * 1024 ** 2)).toThrow(GemDmaError);
  });
});
