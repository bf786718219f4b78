import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { Machine } from '../../src/machine/machine.js';

const BIDIRECTIONAL = 0;

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
            device.mapSgTable(table, BIDIRECTIONAL);
            live.push(table);
            return table.segments();
          }
          const [table] = live.splice(which % live.length, 1);
          device.unmapSg(table, BIDIRECTIONAL);
          table.release();
          return machine.clock.now;
        });
      const live: ScatterTable[] = [];
      run(first, live);
      const snapshot = machine.snapshot();
      const counts = { ...device.counts };
      const once = run(second, [...live]);
      machine.restore(snapshot);
      expect({ ...device.counts }).toEqual(counts);
      machine.check();
      // Tables of the first part were freed in the second, whose objects know; their handles are good again.
      expect(live.every(({ handle }) => handle !== 0) ? run(second, [...live]) : once).toEqual(once);
      machine.check();
    }),
    { numRuns: 30 },
  );
});

test('what a snapshot cannot hold, it refuses', () => {
  const machine = new Machine({ ram: '16MiB' });
  const snapshot = machine.snapshot();
  machine.addDevice();
  expect(() => machine.restore(snapshot)).toThrow(/EINVAL: there were 0 devices, now there are 1/);
  expect(() => new Machine({ ram: '16MiB' }).restore(snapshot)).toThrow(/another machine's/);
  machine.addI915();
  expect(() => machine.snapshot()).toThrow(/ENODEV/);
});

test('memory that grew since is used again', () => {
  const machine = new Machine({ ram: '256MiB' });
  machine.addDevice();
  const snapshot = machine.snapshot();
  for (let round = 0; round < 3; ++round) {
    const pfns = machine.ram.alloc(2000);
    for (const pfn of pfns) machine.ram.write(pfn * 4096, Uint8Array.of(round));
    expect(machine.core.memory.buffer.byteLength).toBeGreaterThan(snapshot.size);
    machine.check();
    machine.restore(snapshot);
    machine.check();
  }
});
