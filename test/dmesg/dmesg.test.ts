import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, test } from 'vitest';
import {
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_TO_DEVICE,
  DMESG_CHANNEL,
  deviceRead,
  type KernelMessage,
  type KernelName,
  type Machine,
} from '../../src/index.js';
import { machineOf } from '../machine-of.js';

function page(machine: Machine): number {
  return machine.ram.alloc(1)[0];
}

test.each<[KernelName, string]>([
  ['linux-6.12', 'DMA-API: e1000 0000:00:02.0: device driver'],
  ['linux-4.2', 'e1000 0000:00:02.0: DMA-API: device driver'],
])('%s: a wrong size is told in its words', (kernel, prefix) => {
  const { machine, device } = machineOf({ kernel });
  const address = device.mapPage(page(machine), 0, 4096, DMA_TO_DEVICE);
  device.mappingError(address);
  device.unmapPage(address, 2048, DMA_TO_DEVICE);
  const at = address.toString(16).padStart(16, '0');
  expect(machine.dmesg()).toEqual([
    `${prefix} frees DMA memory with different size [device address=0x${at}] [map size=4096 bytes] [unmap size=2048 bytes]`,
  ]);
});

test('a frame of WARN has the place, and time stamps are of the virtual clock', () => {
  const { machine, device } = machineOf();
  machine.clock.advance(1500);
  device.unmapPage(0x1000, 4096, DMA_TO_DEVICE);
  const lines = machine.dmesg({ timestamps: true, warnings: true });
  // The IOMMU code warns first, with no text; then dma-debug.
  expect(lines).toEqual(
    [
      '------------[ cut here ]------------',
      'WARNING: CPU: 0 PID: 0 at drivers/iommu/dma-iommu.c:1230 iommu_dma_unmap_page',
      '---[ end trace 0000000000000000 ]---',
      '------------[ cut here ]------------',
      'DMA-API: e1000 0000:00:02.0: device driver tries to free DMA memory it has not allocated [device address=0x0000000000001000] [size=4096 bytes]',
      'WARNING: CPU: 0 PID: 0 at kernel/dma/debug.c:977 check_unmap',
      '---[ end trace 0000000000000000 ]---',
    ].map((line) => `[    1.500000] ${line}`),
  );
});

test('what the limits hide is left out with `printed`, and what only we tell is marked', () => {
  const { machine, device } = machineOf({ iommu: 'off', swiotlb: false, dmaDebug: true });
  device.unmapPage(0x1000, 4096, DMA_TO_DEVICE);
  device.unmapPage(0x2000, 4096, DMA_TO_DEVICE);
  const first = machine.ram.alloc(1);
  device.mapPage(first[0], 0, 4096, DMA_FROM_DEVICE);
  machine.ram.free(first);
  expect(machine.dmesg().map((line) => line.replace(/0x[0-9a-f]+/g, '0x'))).toEqual([
    'DMA-API: e1000 0000:00:02.0: device driver tries to free DMA memory it has not allocated [device address=0x] [size=4096 bytes]',
    'DMA-API: e1000 0000:00:02.0: device driver tries to free DMA memory it has not allocated [device address=0x] [size=4096 bytes]',
    'gemdma: e1000 0000:00:02.0: FREED_WHILE_MAPPED: frees physical 0x while the device reaches it through 0x',
  ]);
  expect(machine.dmesg({ printed: true })).toHaveLength(1);
});

test.each<[KernelName, string[]]>([
  [
    'linux-6.12',
    [
      'DMAR: DRHD: handling fault status reg 2',
      'DMAR: [DMA Read NO_PASID] Request device [00:02.0] fault addr 0x123000 [fault reason 0x06] PTE Read access is not set',
    ],
  ],
  [
    'linux-4.2',
    [
      'DMAR: DRHD: handling fault status reg 2',
      'DMAR: DMAR:[DMA Read] Request device [00:02.0] fault addr 123000 ',
      'DMAR:[fault reason 06] PTE Read access is not set',
    ],
  ],
])('%s: a fault', (kernel, lines) => {
  const { machine, device } = machineOf({ kernel });
  expect(() => deviceRead(machine, device, 0x123456, 4)).toThrow();
  expect(machine.dmesg()).toEqual(lines);
});

test('faults are limited: three of them use the ten messages of five seconds up', () => {
  const { machine, device } = machineOf();
  const fault = () => expect(() => deviceRead(machine, device, 0x123456, 4)).toThrow();
  for (let i = 0; i < 20; ++i) fault();
  const faults = () => machine.dmesg().filter((line) => line.includes('fault addr')).length;
  expect(faults()).toBe(3);
  machine.clock.advance(6000);
  fault();
  expect(faults()).toBe(4);
  expect(machine.dmesg()).toContain('dmar_fault: 50 callbacks suppressed');
  const { machine: old, device: card } = machineOf({ kernel: 'linux-4.2' });
  for (let i = 0; i < 20; ++i) expect(() => deviceRead(old, card, 0x123456, 4)).toThrow();
  expect(old.dmesg().filter((line) => line.includes('fault addr'))).toHaveLength(20);
});

test('a full bounce pool', () => {
  const { machine, device } = machineOf({ iommu: 'off', swiotlb: { size: '256KiB', force: true } });
  for (let i = 0; i < 2; ++i) device.mapPage(machine.ram.allocBlock(5), 0, 131072, DMA_TO_DEVICE);
  expect(device.mapPage(page(machine), 0, 2048, DMA_TO_DEVICE)).toBe(-1);
  expect(machine.dmesg()).toEqual([
    'e1000 0000:00:02.0: swiotlb buffer is full (sz: 2048 bytes), total 128 (slots), used 128 (slots)',
  ]);
});

test('an address beyond the mask, once', () => {
  const { machine, device } = machineOf({ iommu: 'off', swiotlb: false });
  device.setMask(24);
  for (let i = 0; i < 2; ++i) expect(device.mapPage(0x2000, 0, 4096, DMA_TO_DEVICE)).toBe(-1);
  expect(machine.dmesg()).toEqual([
    'e1000 0000:00:02.0: DMA addr 0x0000000002000000+4096 overflow (mask ffffff, bus limit 0).',
  ]);
});

test('a device that gives up staying below 4 GiB says how many bits it uses', () => {
  const { machine } = machineOf({ iommu: { reserved: [[1, 0xfffff]] } });
  const device = machine.addDevice({ maskBits: 64, driver: 'nvme', name: '0000:00:04.0' });
  device.mapPage(page(machine), 0, 4096, DMA_TO_DEVICE);
  expect(machine.dmesg()).toEqual(['nvme 0000:00:04.0: Using 48-bit DMA addresses']);
});

test('a leak names the bus, as the driver is gone', () => {
  const { machine, device } = machineOf();
  const address = device.mapPage(page(machine), 128, 100, DMA_TO_DEVICE);
  device.mappingError(address);
  expect(machine.dmaDebug.dump()).toEqual([
    expect.stringMatching(
      /^e1000 0000:00:02\.0 single idx 16383 P=0x[0-9a-f]{16} D=fffff080 L=64 cln=0x[0-9a-f]{16} DMA_TO_DEVICE dma map error checked$/,
    ),
  ]);
  machine.dmaDebug.driverUnbound(device);
  expect(machine.dmesg()).toEqual([
    'DMA-API: pci 0000:00:02.0: device driver has pending DMA allocations while released from device [count=1]',
    'One of leaked entries details: [device address=0x00000000fffff080] [size=100 bytes] [mapped with DMA_TO_DEVICE] [mapped as single]',
  ]);
  expect(machine.dmaDebug.dump()[0]).toMatch(/^pci 0000:00:02\.0 /);
});

test('the channel carries each message at the call, and a snapshot takes the log back', () => {
  const heard: KernelMessage[] = [];
  const take = (message: unknown) => void heard.push(message as KernelMessage);
  subscribe(DMESG_CHANNEL, take);
  try {
    const { machine, device } = machineOf();
    const before = machine.snapshot();
    const address = device.mapPage(page(machine), 0, 4096, DMA_BIDIRECTIONAL);
    device.mappingError(address);
    device.unmapPage(address, 4096, DMA_TO_DEVICE);
    expect(heard.map(({ id, device: name, kernel }) => [id, name, kernel])).toEqual([
      ['UNMAP_DIR', '0000:00:02.0', true],
    ]);
    expect(machine.dmesg()).toHaveLength(1);
    machine.restore(before);
    expect(machine.dmesg()).toEqual([]);
  } finally {
    unsubscribe(DMESG_CHANNEL, take);
  }
});

test('of very many messages the newest stay, and what is missing is said', () => {
  const { machine, device } = machineOf({ iommu: 'off', swiotlb: false });
  for (let i = 0; i < 600; ++i) device.unmapPage(i * 4096, 4096, DMA_TO_DEVICE);
  const lines = machine.dmesg();
  expect(lines[0]).toBe('** 88 printk messages dropped **');
  expect(lines).toHaveLength(513);
  expect(lines.at(-1)).toContain(`[device address=0x${(599 * 4096).toString(16).padStart(16, '0')}]`);
});

test('a line has the names and masks of when it was said', () => {
  const { machine, device } = machineOf({ iommu: 'off', swiotlb: false }, { maskBits: 24 });
  device.mapPage(0x2000, 0, 4096, DMA_TO_DEVICE);
  device.setMask(32);
  device.unmapPage(0x1000, 4096, DMA_TO_DEVICE);
  const managed = device.allocManaged(4096);
  device.freeCoherent(managed);
  machine.dmaDebug.driverUnbound(device);
  device.unmapPage(0x3000, 4096, DMA_TO_DEVICE);
  device.destroy();
  expect(machine.dmesg().map((line) => line.replace(/ \[device address.*/, ''))).toEqual([
    'e1000 0000:00:02.0: DMA addr 0x0000000002000000+4096 overflow (mask ffffff, bus limit 0).',
    'DMA-API: e1000 0000:00:02.0: device driver tries to free DMA memory it has not allocated',
    'DMA-API: e1000 0000:00:02.0: device driver tries to free DMA memory it has not allocated',
    'DMA-API: pci 0000:00:02.0: device driver tries to free DMA memory it has not allocated',
  ]);
});
