import { expect, test } from 'vitest';
import { ALLOCATORS, DMA_ATTR, KERNELS, Machine, POLICIES } from '../../src/index.js';

/** What a machine was made with, and the tables that all machines read, cannot be changed under them. */

function changeable(value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const parts = Object.entries(value).flatMap(([name, part]) => changeable(part, `${path}.${name}`));
  return Object.isFrozen(value) ? parts : [path, ...parts];
}

test('configurations and tables', () => {
  const machine = new Machine({ ram: '16MiB', cpus: 2, iommu: { reserved: [[1, 2]] } });
  const gpu = machine.addI915();
  for (const [name, table] of Object.entries({ ALLOCATORS, DMA_ATTR, KERNELS, POLICIES })) {
    expect(changeable(table, name)).toEqual([]);
  }
  expect(changeable(machine.config, 'config')).toEqual([]);
  expect(changeable(gpu.config, 'gpu.config')).toEqual([]);
  expect(() => Object.assign(machine.config, { cpus: 64 })).toThrow(TypeError);
  expect(() => {
    machine.cpu = 63;
  }).toThrow(RangeError);
});

test('what the caller gave stays with the caller', () => {
  const reserved: [number, number][] = [[1, 2]];
  const options = { ram: '16MiB', iommu: { reserved } };
  const machine = new Machine(options);
  reserved.push([5, 6]);
  expect(machine.config.iommu.reserved).toEqual([[1, 2]]);
});

test('the list of devices is a copy', () => {
  const machine = new Machine({ ram: '16MiB' });
  const device = machine.addDevice();
  (machine.devices as unknown[]).length = 0;
  expect(machine.devices).toEqual([device]);
});
