import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import {
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_MAPPING_ERROR,
  DMA_TO_DEVICE,
  deviceRead,
  deviceWrite,
  Machine,
  type MachineDeviceOptions,
  type MachineOptions,
  ScatterTable,
} from '../../src/index.js';

/** Masks and limits of devices (kernel/dma/mapping.c), windows of a bus, and devices without a mask. */

const GiB = 2 ** 30;
const BIG: MachineOptions = { ram: 5 * GiB, memoryLimit: '512MiB' };

function deviceOf(options: MachineOptions = {}, device: MachineDeviceOptions = {}) {
  const machine = new Machine({ ram: '64MiB', ...options });
  return { machine, device: machine.addDevice(device) };
}

const eio = expect.objectContaining({ code: 'EIO', reason: 'DMA_MASK_TOO_SMALL' });

describe('masks', () => {
  // ZONE_DMA ends at 16 MiB; a machine with less RAM needs fewer bits.
  test.each<[string, MachineOptions, number]>([
    ['without translation', { iommu: 'off' }, 24],
    ['with a bounce pool', { iommu: 'off', swiotlb: '1MiB' }, 24],
    ['passthrough', { iommu: 'passthrough' }, 24],
    ['8 MiB of RAM', { iommu: 'off', ram: '8MiB' }, 23],
    ['behind an IOMMU', {}, 12],
    ['4.2, behind an IOMMU', { kernel: 'linux-4.2' }, 24],
    ['4.2, 8 MiB of RAM', { kernel: 'linux-4.2', iommu: 'off', ram: '8MiB' }, 24],
  ])('%s: the narrowest that can be set', (_, options, least) => {
    const { machine, device } = deviceOf(options);
    device.setMask(least);
    expect([device.maskBits, device.coherentMaskBits]).toEqual([least, least]);
    device.setMask(40, 33);
    if (least > 12) {
      const before = machine.devices.length;
      for (const set of ['setMask', 'setStreamingMask', 'setCoherentMask', 'coerceMask'] as const) {
        expect(() => device[set](least - 1)).toThrow(eio);
      }
      expect(() => device.setMask(64, least - 1)).toThrow(eio);
      expect(() => machine.addDevice({ maskBits: least - 1 })).toThrow(eio);
      expect(machine.devices).toHaveLength(before);
      machine.check();
    }
    expect([device.maskBits, device.coherentMaskBits]).toEqual([40, 33]);
    device.setStreamingMask(64);
    device.setCoherentMask(32);
    expect([device.maskBits, device.coherentMaskBits]).toEqual([64, 32]);
  });

  test.each<[MachineOptions, number]>([
    [{ iommu: 'off' }, 26],
    [{ iommu: 'off', ram: '65MiB' }, 27],
    [{ ...BIG, iommu: 'off' }, 33],
    [BIG, 32],
    [{ ...BIG, kernel: 'linux-4.2' }, 33],
  ])('what is required: %j', (options, bits) => {
    const { device } = deviceOf(options, { maskBits: 64 });
    expect(device.requiredMaskBits).toBe(bits);
    expect(device.addressingLimited).toBe(false);
    device.setMask(Math.min(bits, 32) - 1);
    expect(device.addressingLimited).toBe(true);
  });

  test('a bus limit counts for what a device reaches, not for what was set', () => {
    const { device } = deviceOf({ ...BIG, iommu: 'off' }, { maskBits: 64, busLimitBits: 32 });
    expect([device.maskBits, device.addressingLimited]).toEqual([64, true]);
  });

  test.each([0, 11, 65, 32.5])('%d bits are refused', (bits) => {
    const { device } = deviceOf();
    for (const set of ['setMask', 'setStreamingMask', 'setCoherentMask', 'coerceMask'] as const) {
      expect(() => device[set](bits)).toThrow(RangeError);
    }
  });
});

describe('a device without a mask', () => {
  test.each<[string, MachineOptions]>([
    ['behind an IOMMU', {}],
    ['without one', { iommu: 'off', swiotlb: false }],
    ['with a bounce pool that takes everything', { iommu: 'off', swiotlb: { size: '1MiB', force: true } }],
  ])('%s: nothing is mapped, each call warns once', (_, options) => {
    const { machine, device } = deviceOf(options, { maskBits: 0 });
    const table = ScatterTable.allocate(machine, 2);
    for (let i = 0; i < 2; ++i) {
      expect(device.mapPage(300, 0, PAGE, DMA_TO_DEVICE)).toBe(DMA_MAPPING_ERROR);
      expect(device.reason).toBe('DMA_NO_MASK');
      expect(device.mapSg(table, DMA_TO_DEVICE)).toBe(0);
      expect(device.mapResource(0xe0000000, PAGE, DMA_TO_DEVICE)).toBe(DMA_MAPPING_ERROR);
      expect(() => device.allocCoherent(PAGE)).toThrow(expect.objectContaining({ reason: 'DMA_NO_MASK' }));
      expect(() => device.allocPages(PAGE, DMA_TO_DEVICE)).toThrow(expect.objectContaining({ reason: 'DMA_NO_MASK' }));
    }
    expect(machine.messages.map(({ where }) => where)).toEqual([
      'kernel/dma/mapping.c:164 dma_map_page_attrs',
      'kernel/dma/mapping.c:209 __dma_map_sg_attrs',
      'kernel/dma/mapping.c:329 dma_map_resource',
      'kernel/dma/mapping.c:598 dma_alloc_attrs',
      'kernel/dma/mapping.c:672 __dma_alloc_pages',
    ]);
    expect(device.counts.maps).toBe(0);
    expect([device.maskBits, device.coherentMaskBits]).toEqual([32, 0]);
    expect(() => device.setMask(32)).toThrow(expect.objectContaining({ code: 'EIO', reason: 'DMA_NO_MASK' }));
    device.coerceMask(32);
    expect(device.mapPage(300, 0, PAGE, DMA_TO_DEVICE)).not.toBe(DMA_MAPPING_ERROR);
    machine.check();
  });
});

describe('segments and limits', () => {
  test('what is set is what is got', () => {
    const { device } = deviceOf();
    expect(device.segments).toEqual({ maxSegment: 65536, boundaryBits: 32, minAlignMask: 0 });
    device.setMaxSegment(0xffffffff);
    device.setSegmentBoundary(64);
    device.setMinAlignMask(0xfff);
    expect(device.segments).toEqual({ maxSegment: 0xffffffff, boundaryBits: 64, minAlignMask: 0xfff });
    expect(device.segmentBoundaryPages(12)).toBe(2 ** 52);
    device.setSegmentBoundary(16);
    expect([device.segmentBoundaryPages(12), device.segmentBoundaryPages(20)]).toEqual([16, 1]);
    expect(() => device.setMaxSegment(0)).toThrow(RangeError);
    expect(() => device.setSegmentBoundary(65)).toThrow(RangeError);
    expect(() => device.setMinAlignMask(-1)).toThrow(RangeError);
    expect(() => device.segmentBoundaryPages(64)).toThrow(RangeError);
  });

  test.each<[string, MachineOptions, MachineDeviceOptions, object]>([
    ['an IOMMU', {}, {}, { mergeBoundary: 0xfff, maxMapping: 2 ** 64, optMapping: 131072 }],
    [
      'an untrusted device bounces at most a set of slots',
      { swiotlb: '1MiB' },
      { untrusted: true },
      { mergeBoundary: 0xfff, maxMapping: 262144, optMapping: 131072 },
    ],
    [
      'the same with an alignment to keep',
      { swiotlb: '1MiB' },
      { untrusted: true, minAlignMask: 0xfff },
      { maxMapping: 262144 - 4096 },
    ],
    ['all is reached', { iommu: 'off' }, {}, { mergeBoundary: 0, maxMapping: 2 ** 64, optMapping: 2 ** 64 }],
    ['not all is', { ...BIG, iommu: 'off' }, {}, { mergeBoundary: 0, maxMapping: 262144, optMapping: 262144 }],
    ['not all is, no pool', { ...BIG, iommu: 'off', swiotlb: false }, {}, { maxMapping: 2 ** 64 }],
  ])('of %s', (_, options, device, limits) => {
    expect(deviceOf(options, device).device.limits).toMatchObject(limits);
  });

  test('no sync is needed until something was bounced', () => {
    const { device, machine } = deviceOf({ ...BIG, iommu: 'off' });
    const low = device.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    expect(device.needSync(low)).toBe(false);
    const bounced = device.mapPage(machine.ram.allocBlock(0), 0, PAGE, DMA_TO_DEVICE);
    expect([device.needSync(low), device.needSync(bounced)]).toEqual([false, true]);
    const cable = deviceOf({ swiotlb: '1MiB' }, { untrusted: true }).device;
    const whole = cable.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    expect(cable.needSync(whole)).toBe(false);
    cable.mapPage(301, 0, 100, DMA_TO_DEVICE);
    // Behind an IOMMU the kernel does not look at the address.
    expect(cable.needSync(whole)).toBe(true);
  });
});

describe('forcedac', () => {
  test.each<[MachineOptions, number]>([
    [{}, 2 ** 32],
    [{ iommu: { forcedac: true } }, 2 ** 48],
    [{ kernel: 'linux-4.2', iommu: { forcedac: true } }, 2 ** 48],
  ])('%j: the first address is just below', (options, end) => {
    const { device } = deviceOf(options, { maskBits: 64 });
    const address = device.mapPage(300, 0, PAGE, DMA_TO_DEVICE);
    expect(address).toBeLessThan(end);
    expect(address).toBeGreaterThan(end / 2 - 1);
    expect(() => new Machine({ iommu: { forcedac: 1 as never } })).toThrow(TypeError);
  });
});

describe('a bus with windows', () => {
  const ranges = [
    { cpu: 0, bus: 0x80000000, size: 32 * 2 ** 20 },
    { cpu: 48 * 2 ** 20, bus: 0x90000000, size: 16 * 2 ** 20 },
  ];

  test('addresses are those of the bus; what is in no window bounces', () => {
    const { machine, device } = deviceOf({ iommu: 'off', swiotlb: { size: '1MiB', base: 0x1000000 } }, { ranges });
    const address = device.mapPage(300, 16, 64, DMA_BIDIRECTIONAL);
    expect(address).toBe(0x80000000 + 300 * PAGE + 16);
    deviceWrite(machine, device, address, new Uint8Array(64).fill(7));
    expect(machine.ram.read(300 * PAGE + 16, 1)[0]).toBe(7);
    device.unmapPage(address, 64, DMA_BIDIRECTIONAL);
    const second = device.mapPage(0x3000, 0, PAGE, DMA_TO_DEVICE);
    expect(second).toBe(0x90000000);
    device.unmapPage(second, PAGE, DMA_TO_DEVICE);
    const outside = 0x2800;
    const bounced = device.mapPage(outside, 0, 512, DMA_FROM_DEVICE);
    expect(bounced - 0x80000000).toBe(machine.swiotlb!.stats.start);
    deviceWrite(machine, device, bounced, new Uint8Array(512).fill(9));
    expect(device.needSync(bounced)).toBe(true);
    device.syncForCpu(bounced, 256, DMA_FROM_DEVICE);
    expect([...machine.ram.read(outside * PAGE + 255, 2)]).toEqual([9, 0]);
    device.unmapPage(bounced, 512, DMA_FROM_DEVICE);
    expect([...machine.ram.read(outside * PAGE + 511, 2)]).toEqual([9, 0]);
    expect(machine.swiotlb!.stats.used).toBe(0);
    const list = ScatterTable.fromEntries(machine, [
      { pfn: 300, offset: 0, length: PAGE },
      { pfn: outside, offset: 0, length: PAGE },
    ]);
    expect(device.mapSg(list, DMA_TO_DEVICE)).toBe(2);
    expect(list.segments()[0].address).toBe(0x80000000 + 300 * PAGE);
    expect(machine.swiotlb!.stats.live).toBe(1);
    device.unmapSg(list, DMA_TO_DEVICE);
    expect(machine.swiotlb!.stats.used).toBe(0);
    expect(() => deviceRead(machine, device, 0x1000, 8)).toThrow(expect.objectContaining({ code: 'EFAULT' }));
    machine.check();
  });

  test('coherent memory is in a window, and the mask is one of the bus', () => {
    const options: MachineOptions = { iommu: 'off', swiotlb: false };
    const { machine, device } = deviceOf(options, { ranges, coherentMaskBits: 32 });
    const buffer = device.allocCoherent(3 * PAGE);
    expect(buffer.address).toBeGreaterThanOrEqual(0x80000000);
    deviceWrite(machine, device, buffer.address + PAGE, Uint8Array.of(5));
    expect(machine.ram.read(buffer.table.pfn(1) * PAGE, 1)[0]).toBe(5);
    buffer.free();
    expect(device.requiredMaskBits).toBe(32);
    // RAM between the windows is in neither.
    expect(device.addressingLimited).toBe(true);
    expect(() => device.setMask(24)).toThrow(eio);
    const all = machine.addDevice({ ranges: [{ cpu: 0, bus: 0x80000000, size: 64 * 2 ** 20 }] });
    expect(all.addressingLimited).toBe(false);
    machine.check();
  });

  test.each([
    [{ ranges: 5 }, TypeError],
    [{ ranges: [{ cpu: 0, bus: 0, size: 0 }] }, RangeError],
    [{ ranges: [{ cpu: 1, bus: 0, size: PAGE }] }, RangeError],
    [{ ranges: [{ cpu: 0, bus: 0, size: PAGE, dma: 1 }] }, TypeError],
    [{ ranges: Array.from({ length: 129 }, () => ({ cpu: 0, bus: 0, size: PAGE })) }, RangeError],
    [{ forcedac: 'yes' }, TypeError],
  ])('what cannot be is refused: %#', (options, error) => {
    const { machine } = deviceOf();
    expect(() => machine.addDevice(options as never)).toThrow(error);
  });

  test('goes with its device', () => {
    const { machine } = deviceOf();
    machine.addDevice({ ranges }).destroy();
    const before = machine.core.tools.blocksUsed(machine.context);
    for (let i = 0; i < 3; ++i) machine.addDevice({ ranges }).destroy();
    machine.check();
    expect(machine.core.tools.blocksUsed(machine.context)).toBe(before);
  });
});

describe('masks and limits that are not all ones', () => {
  test('a bus that lets 3 GiB through', () => {
    const options: MachineOptions = { ram: 5 * 1024 ** 3, iommu: 'off', swiotlb: '1MiB', memoryLimit: '512MiB' };
    const machine = new Machine(options);
    const device = machine.addDevice({ maskBits: 64, busLimit: 0x7fffffff, driver: 'xhci' });
    const low = machine.ram.allocBlock(0, 'dma');
    expect(device.mapPage(low, 0, 4096, DMA_TO_DEVICE)).toBe(low * 4096);
    const narrow = machine.addDevice({ maskBits: 64, busLimit: low * 4096 + 2047, driver: 'xhci' });
    expect(narrow.mapPage(low, 0, 2048, DMA_TO_DEVICE)).toBe(low * 4096);
    expect(narrow.mapPage(low, 0, 2049, DMA_TO_DEVICE)).toBe(-1);
    expect(machine.dmesg()).toEqual([
      `xhci 0000:00:03.0: swiotlb addr 0x${machine.swiotlb!.stats.start.toString(16).padStart(16, '0')}+2049 overflow (mask ffffffffffffffff, bus limit ${(low * 4096 + 2047).toString(16)}).`,
    ]);
    expect(device.limits.maxMapping).toBe(262144);
    expect(() => machine.addDevice({ busLimit: 0x7fffffff, busLimitBits: 31 })).toThrow(/busLimit/);
    expect(() => machine.addDevice({ busLimit: 100 })).toThrow(RangeError);
  });

  test('a mask bounds addresses behind an IOMMU, and what it reaches without', () => {
    const behind = new Machine({ ram: '64MiB' });
    const device = behind.addDevice();
    device.setMaskValue(0x2fffff);
    const [page] = behind.ram.alloc(1);
    expect(device.mapPage(page, 0, 4096, DMA_TO_DEVICE)).toBe(0x2ff000);
    expect(device.maskBits).toBe(22);
    device.setMaskValue(0x2fffff, 0x1fefff);
    expect(device.allocCoherent(4096).address).toBe(0x1fe000);
    const bare = new Machine({ ram: '64MiB', iommu: 'off', swiotlb: false }).addDevice();
    expect(() => bare.setMaskValue(0xfffffe)).toThrow(expect.objectContaining({ code: 'EIO' }));
    bare.setMaskValue(0x1000fff);
    expect(bare.mapPage(0x1000, 0, 4096, DMA_TO_DEVICE)).toBe(0x1000000);
    expect(bare.mapPage(0x1001, 0, 1, DMA_TO_DEVICE)).toBe(-1);
    expect(() => bare.setMaskValue(2 ** 53)).toThrow(RangeError);
  });
});
