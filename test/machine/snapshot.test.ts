import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DMA_BIDIRECTIONAL } from '../../src/core/generated/constants.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { Process } from '../../src/drm/process.js';
import { Machine } from '../../src/machine-drivers/machine.js';

test.each(['strict', 'lazy', 'off'] as const)('after going back, the same calls have the same results: %s', (iommu) => {
  const step = fc.record({ map: fc.boolean(), pages: fc.integer({ min: 1, max: 40 }), which: fc.nat() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.array(step, { maxLength: 30 }), (first, second) => {
      const machine = new Machine({ ram: '16MiB', iommu, swiotlb: iommu === 'off' ? '1MiB' : false });
      const device = machine.addDevice();
      const run = (steps: typeof first, live: ScatterTable[]): unknown[] =>
        steps.map(({ map, pages, which }) => {
          machine.clock.advance(1);
          if (map || live.length === 0) {
            const table = ScatterTable.allocate(machine, pages);
            device.mapSgTable(table, DMA_BIDIRECTIONAL);
            live.push(table);
            return table.segments();
          }
          const [table] = live.splice(which % live.length, 1);
          device.unmapSg(table, DMA_BIDIRECTIONAL);
          table.release();
          return machine.clock.now;
        });
      const live: ScatterTable[] = [];
      run(first, live);
      const snapshot = machine.snapshot(...live);
      const counts = { ...device.counts };
      const once = run(second, [...live]);
      machine.restore(snapshot);
      expect({ ...device.counts }).toEqual(counts);
      machine.check();
      expect(run(second, [...live])).toEqual(once);
      machine.check();
    }),
    { numRuns: 30 },
  );
});

test('a GPU goes back with its objects, wherever they had got to', () => {
  const machine = new Machine({ ram: '32MiB', iommu: 'lazy' });
  const gpu = machine.addI915({ gen: 8, ppgtt: 'full' });
  const context = gpu.createContext();
  const object = gpu.createObject('64KiB');
  const bare = gpu.createObject('8KiB');
  object.pwrite(5000, Uint8Array.of(1, 2, 3));
  const vma = object.bind(context.vm);
  gpu.execbuffer(context, [{ object }], { busy: 5 });
  const snapshot = machine.snapshot();
  const state = () => [
    machine.clock.now,
    machine.clock.pending,
    { ...gpu.dmaDevice.counts },
    gpu.liveObjects,
    object.vmas,
  ];
  const before = state();
  for (let round = 0; round < 2; ++round) {
    object.pwrite(5000, Uint8Array.of(9));
    machine.clock.advance(10);
    expect(object.active).toBe(0);
    object.release();
    bare.release();
    context.release();
    gpu.remove();
    expect(() => object.getPages()).toThrow(/ENODEV/);
    machine.addDevice();
    machine.restore(snapshot);
    expect(state()).toEqual(before);
    expect(machine.devices.length).toBe(1);
    expect(object.active).toBe(1);
    expect([...gpu.read(context.vm, vma.start + 5000, 3)]).toEqual([1, 2, 3]);
    bare.bind(gpu.ggtt);
    machine.check();
  }
  machine.clock.advance(10);
  expect(object.active).toBe(0);
});

test('what the caller holds goes back when it is named', () => {
  const machine = new Machine({ ram: '32MiB' });
  const device = machine.addDevice();
  const gpu = machine.addI915();
  const table = ScatterTable.allocate(machine, 3);
  const process = new Process(machine.ram);
  const address = process.mmap('16KiB');
  const model = { seen: new Map([['a', [1]]]), bytes: Uint8Array.of(1), count: 1 } as Record<string, unknown>;
  const object = gpu.createUserptr(process, address, '16KiB');
  // The worker waits on the clock.
  expect(() => object.getPages()).toThrow(/EAGAIN/);
  const snapshot = machine.snapshot(table, process, model);
  for (let round = 0; round < 2; ++round) {
    device.mapSgTable(table, DMA_BIDIRECTIONAL);
    device.unmapSg(table, DMA_BIDIRECTIONAL);
    table.release();
    machine.clock.run();
    object.getPages();
    process.write(address, Uint8Array.of(7));
    (model.seen as Map<string, number[]>).get('a')!.push(2);
    (model.bytes as Uint8Array)[0] = 2;
    Object.assign(model, { count: 2, more: true });
    machine.restore(snapshot);
    expect(table.handle).not.toBe(0);
    expect(model).toEqual({ seen: new Map([['a', [1]]]), bytes: Uint8Array.of(1), count: 1 });
    expect([object.pages, machine.clock.pending, process.pfn(address)]).toEqual([0, 1, undefined]);
    machine.check();
  }
  machine.clock.run();
  object.getPages();
  expect(object.pages).not.toBe(0);
});

test("another machine's snapshot is refused", () => {
  const snapshot = new Machine({ ram: '16MiB' }).snapshot();
  expect(() => new Machine({ ram: '16MiB' }).restore(snapshot)).toThrow(/EXDEV: .*another machine's/);
});

test('memory that grew since is used again', () => {
  const machine = new Machine({ ram: '256MiB' });
  machine.addDevice();
  const snapshot = machine.snapshot();
  for (let round = 0; round < 3; ++round) {
    const pfns = machine.ram.alloc(2000);
    for (const pfn of pfns) machine.ram.write(pfn * 4096, Uint8Array.of(round));
    expect(machine.core.memoryBytes).toBeGreaterThan(snapshot.size);
    machine.check();
    machine.restore(snapshot);
    machine.check();
  }
});
