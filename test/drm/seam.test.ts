import { expect, test } from 'vitest';
import { held } from '../../src/core/handle.js';
import { deviceRead } from '../../src/iommu/iommu.js';
import { Machine } from '../../src/machine-drivers/machine.js';
import { pattern } from '../i915/gpu.js';
import { tiny } from './tiny-driver.js';

/** A second driver that the library does not know: what it gets from the seam, and that i915 lives beside it. */

test('its objects map, the device reaches them, and all is given back', () => {
  const machine = new Machine({ ram: '32MiB' });
  const dev = machine.addDriver(tiny, {});
  const object = dev.create(4);
  expect(object.gemPin()).toBe(0);
  const { sgDmaPage, sgPfnVector } = machine.core.exports;
  const pfn = machine.core.readWord(sgPfnVector(held(object.pages)));
  machine.ram.write(pfn * 4096, pattern(100));
  expect(deviceRead(machine, dev.dmaDevice, sgDmaPage(held(object.pages), 0), 100)).toEqual(pattern(100));
  expect(machine.dmaDebug.report().live.count).toBeGreaterThan(0);
  object.gemUnpin();
  object.release();
  expect([dev.liveObjects, machine.dmaDebug.report().live.count, machine.dmaDebug.findings]).toEqual([0, 0, []]);
  machine.check();
});

test('its state goes back with a snapshot', () => {
  const machine = new Machine({ ram: '32MiB' });
  const dev = machine.addDriver(tiny, {});
  const object = dev.create(4);
  object.gemPin();
  const before = machine.snapshot();
  const count = dev.objectCount;
  const other = dev.create(2);
  other.gemPin();
  object.gemUnpin();
  object.release();
  expect([dev.liveObjects, object.pages]).toEqual([1, 0]);
  machine.restore(before);
  expect([dev.objectCount, dev.liveList.toArray(), object.refcount, object.pagesPinCount]).toEqual([
    count,
    [object],
    1,
    1,
  ]);
  expect(object.pages).toBeGreaterThan(0);
  object.gemUnpin();
  object.release();
  expect([dev.liveObjects, machine.dmaDebug.findings]).toEqual([0, []]);
  machine.check();
});

test('its tracepoints are events beside those of i915', () => {
  const machine = new Machine({ ram: '32MiB' });
  const gpu = machine.addI915({ gen: 8 });
  const dev = machine.addDriver(tiny, {});
  machine.events.start();
  const object = dev.create(3);
  object.gemPin();
  gpu.createObject(4096);
  const told = machine.events.drain().filter(({ kind }) => kind.startsWith('tiny') || kind.startsWith('i915'));
  expect(told).toEqual([
    expect.objectContaining({ kind: 'tiny_pin', length: 3 * 4096, object: 'object 1', device: dev.dmaDevice.name }),
    expect.objectContaining({ kind: 'i915_gem_object_create', length: 4096, device: gpu.dmaDevice.name }),
  ]);
});

test('under pressure of i915 its idle objects are shrunk and swapped, pinned ones stay, contents come back', () => {
  const machine = new Machine({ ram: '16MiB', iommu: 'strict', kernel: 'linux-4.2' });
  const gpu = machine.addI915({ gen: 8 });
  const dev = machine.addDriver(tiny, {});
  const idle = dev.create(1024);
  const kept = dev.create(512);
  for (const object of [idle, kept]) expect(object.gemPin()).toBe(0);
  const { sgPfnVector } = machine.core.exports;
  const first = (): number => machine.core.readWord(sgPfnVector(held(idle.pages)));
  machine.ram.write(first() * 4096, pattern(64));
  idle.gemUnpin();
  expect(machine.reclaim.count()).toBe(1);

  // More than is left, less than there is with the idle object swapped.
  const left = machine.ram.stats.usable - machine.ram.stats.inUse;
  const big = gpu.createObject((left + 300) * 4096);
  big.getPages();
  expect([idle.pages, kept.pagesPinCount, kept.pages !== 0]).toEqual([0, 1, true]);
  big.release();

  expect(idle.gemPin()).toBe(0);
  expect(machine.ram.read(first() * 4096, 64)).toEqual(pattern(64));
  expect(machine.dmaDebug.findings).toEqual([]);
});

test('i915 imports what it exports', () => {
  const machine = new Machine({ ram: '32MiB' });
  const gpu = machine.addI915({ gen: 8 });
  const tables = gpu.dmaDevice.counts.maps;
  const dev = machine.addDriver(tiny, {});
  const lent = dev.create(2);
  const dmaBuf = lent.export();
  expect(dmaBuf.exporter.name).toBe('tiny');
  const object = gpu.importDmaBuf(dmaBuf);
  object.bind(gpu.ggtt);
  expect([lent.pagesPinCount, dev.dmaDevice.counts.maps, object.size]).toEqual([1, 1, 8192]);
  object.release();
  dmaBuf.release();
  lent.release();
  expect([dev.liveObjects, gpu.liveObjects, dev.dmaDevice.counts.unmaps]).toEqual([0, 0, 1]);
  expect(gpu.dmaDevice.counts.maps - gpu.dmaDevice.counts.unmaps).toBe(tables);
});
