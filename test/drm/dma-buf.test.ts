import { describe, expect, test } from 'vitest';
import { GemDmaError } from '../../src/core/errors.js';
import type { ScatterTable } from '../../src/dma/sg-table.js';
import type { DmaBufAttachment, DmaBufExporter } from '../../src/drm/dma-buf.js';
import { DmaBuf } from '../../src/drm/dma-buf.js';
import { SystemHeap } from '../../src/drm/system-heap.js';
import { POLICY_NAMES } from '../../src/i915/policy/index.js';
import { gpuOn, iovaRanges, pattern } from '../i915/gpu.js';

describe('i915 as the exporter', () => {
  test('there is one dma-buf an object, and importing it on the same device is the object itself', () => {
    const { gpu } = gpuOn();
    const object = gpu.createObject('64KiB');
    const dmaBuf = object.export();
    expect(object.export()).toBe(dmaBuf);
    dmaBuf.release();
    expect(gpu.importDmaBuf(dmaBuf)).toBe(object);
    expect(object.refcount).toBe(3);
    object.release();
    object.release();
    object.release;
    dmaBuf.release();
    expect([object.refcount, object.dmaBuf, gpu.liveObjects]).toEqual([0, null, 0]);
  });

  test('an importer gets a copy of the list, mapped for its own device; the pages stay pinned meanwhile', () => {
    const { gpu, machine } = gpuOn();
    const other = machine.addDevice({ maskBits: 39 });
    const object = gpu.createObject('64KiB');
    object.pwrite(0, pattern(65536));
    using dmaBuf = object.export();
    const attachment = dmaBuf.attach(other);
    const before = other.counts.maps;
    const table = attachment.map();
    expect([other.counts.maps - before, object.pagesPinCount, object.maps]).toEqual([1, 1, 1]);
    expect(() => object.putPages()).toThrow(/EBUSY/);
    expect(() => attachment.map()).toThrow(/EBUSY/);
    expect(() => attachment.detach()).toThrow(/EBUSY/);
    const { sgDmaPage, deviceRead } = machine.core.exports;
    const staging = machine.core.staging(machine.context);
    expect(deviceRead(other.handle, sgDmaPage(table.handle, 1), staging, 16)).toBe(0);
    expect(machine.core.readBytes(staging, 16)).toEqual(pattern(16, 4096));
    attachment.unmap();
    expect([other.counts.unmaps, object.pagesPinCount]).toEqual([1, 0]);
    expect(() => attachment.unmap()).toThrow(/EINVAL/);
    attachment.detach();
    object.putPages();
  });

  test('what cannot be mapped for the importer is ENOMEM, and leaves no pin', () => {
    const { gpu, machine } = gpuOn();
    const other = machine.addDevice({ maskBits: 39 });
    const object = gpu.createObject('64KiB');
    using dmaBuf = object.export();
    const { domain } = other;
    if (domain !== undefined && domain !== 'passthrough') domain.reserve(0, 2 ** 27 - 1);
    const attachment = dmaBuf.attach(other);
    expect(() => attachment.map()).toThrow(/ENOMEM/);
    expect(object.pagesPinCount).toBe(0);
    attachment.detach();
  });
});

describe('i915 as the importer', () => {
  test.each(POLICY_NAMES)('%s: the exporter maps, for the GPU, once with the pages; i915 never does', (policy) => {
    const { gpu, machine } = gpuOn({ gen: 8, ppgtt: 'full', policy });
    const { vm } = gpu.createContext();
    gpu.createObject(4096).bind(vm);
    const before = iovaRanges(machine, gpu);
    using dmaBuf = new SystemHeap(machine).alloc('64KiB');
    const object = gpu.importDmaBuf(dmaBuf);
    expect([object.size, object.backing.kind, object.backing.mapping]).toEqual([65536, 'dma-buf', 'attachment']);
    expect(iovaRanges(machine, gpu)).toBe(before);
    const vmas = [object.bind(gpu.ggtt), object.bind(vm)];
    expect([object.maps, iovaRanges(machine, gpu) - before]).toEqual([0, 1]);
    gpu.write(vm, vmas[1].start + 4090, pattern(20));
    expect(gpu.read(gpu.ggtt, vmas[0].start + 4090, 20)).toEqual(pattern(20));
    expect(() => object.pread(0, 1)).toThrow(/EINVAL/);
    for (const vma of vmas) vma.unbind();
    expect(iovaRanges(machine, gpu) - before).toBe(1);
    object.putPages();
    expect(iovaRanges(machine, gpu)).toBe(before);
    object.release();
    expect(dmaBuf.attachments.size).toBe(0);
  });

  test('the buffer outlives its maker as long as it is imported', () => {
    const { gpu, machine } = gpuOn();
    const warm = new SystemHeap(machine).alloc('64KiB');
    gpu.importDmaBuf(warm).release();
    warm.release();
    const before = machine.core.tools.machineRecords(machine.context);
    const dmaBuf = new SystemHeap(machine).alloc('64KiB');
    const object = gpu.importDmaBuf(dmaBuf);
    dmaBuf.release();
    object.getPages();
    object.release();
    expect(machine.core.tools.machineRecords(machine.context)).toBe(before);
    expect(() => dmaBuf.release()).toThrow(/ENODEV/);
  });

  test("an exporter's errors are passed on", () => {
    const { gpu, machine } = gpuOn();
    const exporter: DmaBufExporter = {
      name: 'unwilling',
      map(_attachment: DmaBufAttachment): ScatterTable {
        throw new GemDmaError('EBUSY', 'dma_buf_map_attachment', 'not now');
      },
      unmap() {},
      release() {},
    };
    const object = gpu.importDmaBuf(new DmaBuf(machine, exporter, 65536));
    expect(() => object.getPages()).toThrow(/EBUSY/);
    expect([object.pages, gpu.unboundList.empty]).toEqual([0, true]);
  });
});
