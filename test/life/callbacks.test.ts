import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { DMA_BIDIRECTIONAL } from '../../src/dma/transfer.js';
import { DmaBuf, type DmaBufExporter } from '../../src/drm/dma-buf.js';
import type { DeviceDriver } from '../../src/drm/driver.js';
import { Process } from '../../src/drm/process.js';
import { Machine } from '../../src/machine-drivers/machine.js';

/** Functions of the caller's that return a promise, or what they may not: the error says which; nothing is left behind. */

const promised = expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_RETURN_VALUE' });
const rejected = async (): Promise<never> => {
  throw new Error('nobody waits for it');
};
const records = (machine: Machine): number => machine.core.tools.machineRecords(machine.context);

test('work of the clock', () => {
  const machine = new Machine({ ram: '16MiB' });
  machine.clock.schedule(1, rejected as never);
  expect(() => machine.clock.advance(2)).toThrow(promised);
  expect(machine.clock.pending).toBe(0);
});

test('onError', () => {
  const machine = new Machine({ ram: '16MiB' });
  const device = machine.addDevice();
  machine.dmaDebug.onError = rejected as never;
  expect(() => device.unmapPage(PAGE, PAGE, DMA_BIDIRECTIONAL)).toThrow(promised);
});

test('state of its own', () => {
  const machine = new Machine({ ram: '16MiB' });
  expect(() => machine.snapshot({ snapshot: rejected, restore() {} })).toThrow(promised);
  const held = { n: 1, snapshot: () => 1, restore: rejected };
  const snapshot = machine.snapshot(held);
  held.n = 2;
  expect(() => machine.restore(snapshot)).toThrow(promised);
  expect(held.n).toBe(1);
});

test('a notifier of a process', () => {
  const machine = new Machine({ ram: '16MiB' });
  const process = new Process(machine.ram);
  const at = process.mmap(PAGE, { populate: true });
  process.registerNotifier({ invalidate: rejected as never });
  expect(() => process.munmap(at, PAGE)).toThrow(promised);
  expect(process.pfn(at)).toBeGreaterThan(0);
  machine.check();
});

describe('a driver', () => {
  const drivers: [string, Partial<DeviceDriver<object, object>>][] = [
    ['whose probe is asynchronous', { probe: rejected as never }],
    ['whose probe returns nothing', { probe: (() => {}) as never }],
    ['whose check is asynchronous', { check: rejected as never }],
  ];
  test.each(drivers)('%s leaves no device', (_, part) => {
    const machine = new Machine({ ram: '16MiB' });
    machine.addDevice().destroy();
    const before = [records(machine), machine.devices.length];
    expect(() => machine.addDriver({ name: 'mine', probe: () => ({}), ...part }, {})).toThrow(promised);
    expect([records(machine), machine.devices.length]).toEqual(before);
    machine.check();
  });

  test('whose shrinker counts nonsense fails nothing but its own count', () => {
    const machine = new Machine({ ram: '16MiB' });
    for (const answer of [() => Number.NaN, () => -1, () => 'x', rejected]) {
      const shrinker = { count: answer as () => number, scan: answer as () => number };
      machine.reclaim.register(shrinker);
      expect(() => machine.reclaim.count()).toThrow(promised);
      expect(() => machine.reclaim.shrink(1)).toThrow(promised);
      machine.reclaim.unregister(shrinker);
    }
  });
});

describe('an exporter', () => {
  test.each(['map', 'unmap', 'release'] as const)('whose %s is asynchronous', (name) => {
    const machine = new Machine({ ram: '16MiB' });
    const device = machine.addDevice();
    const exporter: DmaBufExporter = {
      name: 'mine',
      map: ({ device: importer }) => {
        const table = ScatterTable.allocate(machine, 1);
        importer.mapSgTable(table, DMA_BIDIRECTIONAL);
        return table;
      },
      unmap: ({ device: importer }, table) => {
        importer.unmapSg(table, DMA_BIDIRECTIONAL);
        table.release();
      },
      release() {},
    };
    const dmaBuf = new DmaBuf(machine, { ...exporter, [name]: rejected }, PAGE);
    const attachment = dmaBuf.attach(device);
    const run = (): void => {
      attachment.map();
      attachment.unmap();
      attachment.detach();
      dmaBuf.release();
    };
    expect(run).toThrow(promised);
    machine.check();
  });
});
