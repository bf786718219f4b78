import { expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '../../src/dma/transfer.js';
import { formatEvent } from '../../src/events/events.js';
import { deviceRead } from '../../src/iommu/iommu.js';
import { Machine } from '../../src/machine-drivers/machine.js';

test("an object's life under a driver that maps at bind: who did what, and what dma-debug says", () => {
  const machine = new Machine({ ram: '64MiB', kernel: 'linux-4.2' });
  const gpu = machine.addI915({ gen: 8, ppgtt: 'none', policy: 'i915-4.1' });
  machine.events.start();
  const object = gpu.createObject('64KiB');
  const vma = object.bind(gpu.ggtt);
  machine.clock.advance(2);
  vma.unbind();
  object.release();
  const events = machine.events.drain();
  expect(events.map(({ kind }) => kind)).toEqual([
    'i915_gem_object_create',
    'i915_gem_object_get_pages',
    'iommu_map',
    'dma_map_sg',
    'i915_vma_bind',
    'i915_vma_unbind',
    'iommu_unmap',
    'dma_unmap_sg',
    'i915_gem_object_put_pages',
    'i915_gem_object_destroy',
  ]);
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, i) => i));
  const by = { object: 'object 1', vma: 'vma 1' };
  expect(events[3]).toEqual({
    ...{ kind: 'dma_map_sg', sequence: 3, time: 0, device: '0000:00:02.0', ...by, hook: 'bind' },
    ...{ address: 0xfffe0000, length: 16 * PAGE, direction: 'BIDIRECTIONAL', segments: 1 },
  });
  expect(events[5]).toEqual({
    ...{ kind: 'i915_vma_unbind', sequence: 5, time: 2, device: '0000:00:02.0', ...by },
    ...{ address: vma.start, length: 16 * PAGE },
  });
  expect(formatEvent(events[3])).toBe(
    '0.000000 0000:00:02.0 dma_map_sg: address=0xfffe0000 length=65536 direction=BIDIRECTIONAL segments=1 ' +
      '(object 1, vma 1, in bind)',
  );
});

test('mistakes are told as they happen: a finding, a fault, a mapping that failed', () => {
  const machine = new Machine({ ram: '64MiB' });
  const device = machine.addDevice({ name: 'nic' });
  const [pfn] = machine.ram.alloc(1);
  machine.events.start();
  const address = device.mapPage(pfn, 0, 100, DMA_TO_DEVICE);
  device.unmapPage(address, 200, DMA_TO_DEVICE);
  expect(() => deviceRead(machine, device, address, 4)).toThrow(/EFAULT/);
  machine.failAllocation('iova', 1);
  device.mapPage(pfn, 0, PAGE, DMA_TO_DEVICE);
  const events = machine.events.drain();
  expect(events).toContainEqual(expect.objectContaining({ kind: 'dma_debug', check: 'UNMAP_SIZE', device: 'nic' }));
  expect(events).toContainEqual(expect.objectContaining({ kind: 'dmar_fault', address, write: false, device: 'nic' }));
  expect(events.at(-1)).toMatchObject({ kind: 'dma_map_page', address: null, physical: pfn * PAGE, length: PAGE });
});

test('bounced bytes go in and come out', () => {
  const machine = new Machine({ ram: '64MiB', iommu: 'off', swiotlb: { size: '1MiB', force: true } });
  const device = machine.addDevice();
  const [pfn] = machine.ram.alloc(1);
  machine.events.start();
  const address = device.mapPage(pfn, 0, 500, DMA_BIDIRECTIONAL);
  device.unmapPage(address, 500, DMA_BIDIRECTIONAL);
  const bounced = machine.events.drain().filter(({ kind }) => kind === 'swiotlb_bounced');
  const copy = { kind: 'swiotlb_bounced', address, physical: pfn * PAGE, length: 500 };
  expect(bounced).toEqual([
    expect.objectContaining({ ...copy, copied: 'in' }),
    expect.objectContaining({ ...copy, copied: 'out' }),
  ]);
});

test('a full ring keeps the oldest events and counts the others', () => {
  const machine = new Machine({ ram: '64MiB', dmaDebug: false });
  const device = machine.addDevice();
  const table = ScatterTable.allocate(machine, 4);
  machine.events.start({ records: 3 });
  for (let i = 0; i < 5; ++i) {
    device.mapSg(table, DMA_FROM_DEVICE);
    device.unmapSg(table, DMA_FROM_DEVICE);
  }
  // Each call tells of itself and of the tables: 20 in all, of which a ring of four holds four.
  expect(machine.events.drain().map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3]);
  expect(machine.events.dropped).toBe(16);
  device.mapSg(table, DMA_FROM_DEVICE);
  const [next] = machine.events.drain();
  expect([next.sequence, machine.events.dropped]).toEqual([20, 0]);
});

test('nothing is recorded before start and after stop, and going back takes the recording along', () => {
  const machine = new Machine({ ram: '64MiB' });
  const gpu = machine.addI915();
  gpu.createObject(PAGE);
  expect(machine.events.drain()).toEqual([]);
  machine.events.start();
  const recording = machine.snapshot();
  gpu.createObject(PAGE);
  machine.events.stop();
  gpu.createObject(PAGE);
  expect([machine.events.recording, machine.events.drain()]).toEqual([false, []]);
  machine.restore(recording);
  gpu.createObject(PAGE);
  expect(machine.events.drain()).toHaveLength(1);
  machine.check();
  expect(() => machine.events.start({ records: 0 })).toThrow(/ERR_OUT_OF_RANGE|out of range/);
});
