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
  type MachineDeviceOptions,
  type MachineOptions,
} from '../../src/index.js';

/** Memory that the DMA API allocates, other than plain coherent buffers. */

const WAYS: [string, MachineOptions][] = [
  ['behind an IOMMU', {}],
  ['without one', { iommu: 'off', swiotlb: false }],
];

function deviceOf(options: MachineOptions = {}, device: MachineDeviceOptions = {}) {
  const machine = new Machine({ ram: '64MiB', dmaDebug: { allErrors: true }, ...options });
  return { machine, device: machine.addDevice(device) };
}

const bytes = (n: number, value: number): Uint8Array => new Uint8Array(n).fill(value);
const findings = (machine: Machine): string[] => machine.dmaDebug.findings.map(({ check }) => check);

describe.each(WAYS)('%s', (_, options) => {
  test('dma_alloc_pages: neighbours, mapped in one direction, told to dma-debug as noncoherent', () => {
    const { machine, device } = deviceOf(options);
    const pages = device.allocPages(3 * PAGE - 5, DMA_FROM_DEVICE);
    const pfns = [...pages.table.pfns()];
    expect(pfns).toEqual([0, 1, 2].map((i) => pfns[0] + i));
    expect(machine.dmaDebug.entries().map(({ type, size, direction }) => [type, size, direction])).toEqual([
      ['noncoherent', 3 * PAGE, 'FROM_DEVICE'],
    ]);
    deviceWrite(machine, device, pages.address + PAGE, bytes(8, 3));
    expect(pages.read(PAGE, 8)).toEqual(bytes(8, 3));
    pages.write(2, bytes(2, 4));
    expect(machine.ram.read(pfns[0] * PAGE, 4)).toEqual(Uint8Array.of(0, 0, 4, 4));
    expect([...device.mmap(pages, 1)]).toEqual(pfns.slice(1));
    const { inUse } = machine.ram.stats;
    pages.free();
    pages.free();
    expect(machine.ram.stats.inUse).toBe(inUse - 3);
    expect(findings(machine)).toEqual([]);
    expect(machine.dmaDebug.poll().live).toBe(0);
    expect(() => pages.read(0, 1)).toThrow(expect.objectContaining({ code: 'ENODEV' }));
    machine.check();
  });

  test('dma_free_pages with the wrong size and direction', () => {
    const { machine, device } = deviceOf(options);
    device.freePages(device.allocPages(2 * PAGE, DMA_TO_DEVICE), PAGE, DMA_FROM_DEVICE);
    expect(findings(machine).slice(0, 2)).toEqual(['UNMAP_SIZE', 'UNMAP_DIR']);
    expect(machine.dmesg()[0]).toMatch(
      /frees DMA memory with different size .*\[map size=8192 bytes\] \[unmap size=4096/,
    );
  });

  test('dma_alloc_noncontiguous: one segment; vmap puts it together for a CPU', () => {
    const { machine, device } = deviceOf(options);
    const pages = device.allocNoncontiguous(5 * PAGE, DMA_BIDIRECTIONAL, DMA_ATTR.ALLOC_SINGLE_PAGES);
    expect(pages.table.segments()).toEqual([{ address: pages.address, length: 5 * PAGE }]);
    expect(machine.dmaDebug.entries().map(({ type, size }) => [type, size])).toEqual([['scatter-gather', 5 * PAGE]]);
    if (options.iommu === undefined) {
      expect(() => pages.read(0, 1)).toThrow(expect.objectContaining({ code: 'EFAULT', reason: 'NOT_VMAPPED' }));
      pages.vmap();
    }
    const data = Uint8Array.from({ length: 2 * PAGE }, (_, i) => i % 251);
    pages.write(PAGE + 7, data);
    expect(deviceRead(machine, device, pages.address + PAGE + 7, data.length)).toEqual(data);
    expect(pages.read(PAGE + 7, data.length)).toEqual(data);
    pages.vunmap();
    if (options.iommu === undefined)
      expect(() => pages.write(0, data)).toThrow(expect.objectContaining({ code: 'EFAULT' }));
    expect(() => pages.write(4 * PAGE, data)).toThrow(RangeError);
    pages.free();
    expect([findings(machine), machine.dmaDebug.poll().live]).toEqual([[], 0]);
    machine.check();
  });

  test('the whole call fails where memory is short, and nothing has changed', () => {
    const { machine, device } = deviceOf(options);
    const { inUse } = machine.ram.stats;
    for (const work of [
      () => device.allocPages(64 * 2 ** 20, DMA_TO_DEVICE),
      () => device.allocNoncontiguous(65 * 2 ** 20, DMA_TO_DEVICE),
      () => device.allocManaged(65 * 2 ** 20),
    ]) {
      expect(work).toThrow(expect.objectContaining({ code: 'ENOMEM', reason: 'DMA_NO_PAGES' }));
      expect([machine.ram.stats.inUse, machine.dmaDebug.poll().live]).toEqual([inUse, 0]);
    }
    const bad = () => device.allocNoncontiguous(PAGE, DMA_TO_DEVICE, DMA_ATTR.WRITE_COMBINE);
    expect(bad).toThrow(expect.objectContaining({ code: 'EINVAL', reason: 'DMA_BAD_ATTRIBUTE' }));
    expect(() => device.allocPages(PAGE, 3 as never)).toThrow(RangeError);
    expect(() => device.allocPages(0, DMA_TO_DEVICE)).toThrow(RangeError);
    expect(() => device.freePages({} as never)).toThrow(TypeError);
    machine.check();
  });

  test('dma_mmap_attrs and dma_get_sgtable', () => {
    const { machine, device } = deviceOf(options);
    const buffer = device.allocCoherent(3 * PAGE - 100);
    const pfns = [...buffer.table.pfns()];
    expect([...device.mmap(buffer)]).toEqual(pfns);
    expect([...device.mmap(buffer, 1, 1)]).toEqual([pfns[1]]);
    const enxio = expect.objectContaining({ code: 'ENXIO' });
    expect(() => device.mmap(buffer, 3)).toThrow(enxio);
    expect(() => device.mmap(buffer, 1, 3)).toThrow(enxio);
    using table = device.sgTable(buffer);
    const total = table.entries().reduce((sum, { length }) => sum + length, 0);
    // A block is one entry of whole pages; an array of pages ends where the buffer does.
    expect(total).toBe(options.iommu === undefined ? 3 * PAGE - 100 : 3 * PAGE);
    expect(table.entries()[0]).toMatchObject({ pfn: pfns[0], offset: 0 });
    using part = device.sgTable(buffer, PAGE);
    expect(part.entries()).toEqual([{ pfn: pfns[0], offset: 0, length: PAGE }]);
    expect(() => device.sgTable(buffer, 4 * PAGE)).toThrow(RangeError);
    expect(() => device.mmap({} as never)).toThrow(TypeError);
    machine.check();
  });

  test('dmam_alloc_coherent goes with the driver, before dma-debug looks', () => {
    const { machine, device } = deviceOf(options);
    const { inUse } = machine.ram.stats;
    const first = device.allocManaged(PAGE);
    const second = device.allocManaged(2 * PAGE);
    device.freeManaged(first);
    const error = expect.objectContaining({ code: 'ENOENT', reason: 'NOT_MANAGED' });
    const plain = device.allocCoherent(PAGE);
    expect(() => device.freeManaged(plain)).toThrow(error);
    plain.free();
    expect(machine.dmaDebug.driverUnbound(device)).toBe(0);
    expect([second.alive, machine.ram.stats.inUse, findings(machine)]).toEqual([false, inUse, []]);
    const third = device.allocManaged(PAGE);
    device.destroy();
    expect([third.alive, machine.ram.stats.inUse, findings(machine)]).toEqual([false, inUse, []]);
    machine.check();
  });

  test('a managed pool goes with the driver, after what was made later', () => {
    const { machine, device } = deviceOf(options);
    const options_ = { name: 'td', size: 64, align: 64, managed: true };
    const early = machine.createDmaPool(device, options_);
    const pool = machine.createDmaPool(device, options_);
    early.destroy();
    const block = pool.alloc();
    const buffer = device.allocManaged(PAGE);
    pool.free(block);
    expect(machine.dmaDebug.driverUnbound(device)).toBe(0);
    expect([early.alive, pool.alive, buffer.alive]).toEqual([false, false, false]);
    expect([findings(machine), machine.dmesg()]).toEqual([[], []]);
    machine.check();
  });

  test('what a driver frees by the plain call, devres frees again', () => {
    const { machine, device } = deviceOf(options);
    device.allocManaged(PAGE).free();
    machine.dmaDebug.driverUnbound(device);
    expect(findings(machine)).toEqual(['UNMAP_UNKNOWN']);
  });

  test('a restored machine has the list as it was', () => {
    const { machine, device } = deviceOf(options);
    const first = device.allocManaged(PAGE);
    const snapshot = machine.snapshot();
    device.freeManaged(first);
    device.allocManaged(PAGE);
    machine.restore(snapshot);
    machine.dmaDebug.driverUnbound(device);
    expect([first.alive, findings(machine), machine.dmaDebug.poll().live]).toEqual([false, [], 0]);
  });

  test('declared memory: aligned blocks of a BAR, and nothing else', () => {
    const { machine, device } = deviceOf(options);
    const bar = machine.addBar(device, 8 * PAGE);
    device.declareCoherentMemory(bar.address, 0x4000_0000, 8 * PAGE);
    const { inUse } = machine.ram.stats;
    const one = device.allocCoherent(PAGE);
    const three = device.allocCoherent(3 * PAGE);
    expect([one.address, three.address]).toEqual([0x4000_0000, 0x4000_4000]);
    expect([three.table.pfn(0) * PAGE, three.table.pfns().length]).toEqual([bar.address + 4 * PAGE, 3]);
    deviceWrite(machine, device, three.address + 5, bytes(4, 9));
    expect(bar.read(4 * PAGE + 5, 4)).toEqual(bytes(4, 9));
    expect([machine.ram.stats.inUse, machine.dmaDebug.poll().live]).toEqual([inUse, 0]);
    expect(() => device.allocCoherent(4 * PAGE)).toThrow(expect.objectContaining({ reason: 'DMA_DECLARED_FULL' }));
    expect(() => device.allocCoherent(PAGE * 16)).toThrow(expect.objectContaining({ reason: 'DMA_DECLARED_FULL' }));
    three.free();
    const again = device.allocCoherent(4 * PAGE);
    expect(again.address).toBe(0x4000_4000);
    expect(bar.read(4 * PAGE + 5, 4)).toEqual(bytes(4, 0));
    const busy = expect.objectContaining({ code: 'EBUSY' });
    expect(() => device.declareCoherentMemory(bar.address, 0, PAGE)).toThrow(busy);
    device.releaseCoherentMemory();
    expect([one.alive, again.alive]).toEqual([false, false]);
    expect(device.allocCoherent(PAGE).address).not.toBe(0x4000_0000);
    expect(findings(machine)).toEqual([]);
    machine.check();
  });

  test('memory that is in no BAR cannot be declared', () => {
    const { machine, device } = deviceOf(options);
    const bar = machine.addBar(device, 2 * PAGE);
    const einval = expect.objectContaining({ code: 'EINVAL' });
    for (const [physical, size] of [
      [0x100000, PAGE],
      [bar.address, 3 * PAGE],
      [bar.address + 8, PAGE],
    ]) {
      expect(() => device.declareCoherentMemory(physical, 0, size)).toThrow(einval);
    }
    expect(() => device.declareCoherentMemory(bar.address, 0, 0)).toThrow(RangeError);
    device.declareCoherentMemory(bar.address, 0, 2 * PAGE);
    expect(device.allocCoherent(PAGE).address).toBe(0);
  });

  test('a device that is not coherent sees what was synced', () => {
    const { machine, device } = deviceOf(options, { coherent: false });
    const pages = device.allocPages(PAGE, DMA_FROM_DEVICE);
    deviceWrite(machine, device, pages.address, bytes(64, 5));
    expect(pages.read(0, 64)).toEqual(bytes(64, 0));
    device.syncForCpu(pages.address, 64, DMA_FROM_DEVICE);
    expect(pages.read(0, 64)).toEqual(bytes(64, 5));
  });
});

test('NO_KERNEL_MAPPING: without an IOMMU dma-debug is not told, behind one it is', () => {
  for (const [options, live] of [
    [{}, 1],
    [{ iommu: 'off' }, 0],
  ] as const) {
    const { machine, device } = deviceOf(options);
    const buffer = device.allocCoherent(PAGE, DMA_ATTR.NO_KERNEL_MAPPING);
    expect(machine.dmaDebug.poll().live).toBe(live);
    buffer.free();
    expect([machine.dmaDebug.poll().live, findings(machine)]).toEqual([0, []]);
  }
});

test('behind an IOMMU pages are mapped below the streaming mask, with one permission', () => {
  const { machine, device } = deviceOf({}, { maskBits: 30, coherentMaskBits: 31 });
  expect(device.allocNoncontiguous(PAGE, DMA_TO_DEVICE).address).toBeGreaterThanOrEqual(2 ** 30);
  const pages = device.allocPages(PAGE, DMA_TO_DEVICE);
  expect(pages.address).toBeLessThan(2 ** 30);
  expect(() => deviceWrite(machine, device, pages.address, bytes(1, 1))).toThrow(
    expect.objectContaining({ reason: 'IOMMU_FAULT' }),
  );
});
