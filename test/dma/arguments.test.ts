import { describe, expect, test } from 'vitest';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { IovaDomain } from '../../src/iova/iova-domain.js';
import { Machine } from '../../src/machine-drivers/machine.js';

/** Arithmetic throws for a BigInt or a Symbol: on the hot paths, too, the type is looked at first. */

const machine = new Machine({ ram: '32MiB' });
const device = machine.addDevice();
const table = ScatterTable.allocate(machine, 2);
const iova = new IovaDomain(machine);
const { ggtt } = machine.addI915();
const raise = { valueOf: (): never => expect.fail('its code ran') };

describe.each<[string, unknown]>([
  ['a BigInt', 5n],
  ['a Symbol', Symbol('mine')],
  ['a text', '0'],
  ['null', null],
  ['an object with code of its own', raise],
])('%s is no number', (_, value) => {
  const junk = value as never;
  test.each<[string, () => unknown]>([
    ['pfn', () => device.mapPage(junk, 0, 64, 0)],
    ['offset', () => device.mapPage(300, junk, 64, 0)],
    ['length', () => device.mapPage(300, 0, junk, 0)],
    ['direction', () => device.mapPage(300, 0, 64, junk)],
    ['attributes', () => device.mapPage(300, 0, 64, 0, junk)],
    ['address', () => device.unmapPage(junk, 64, 0)],
    ['length of an unmap', () => device.unmapPage(4096, junk, 0)],
    ['direction of an unmap', () => device.unmapPage(4096, 64, junk)],
    ['direction of a table', () => device.mapSg(table, junk)],
    ['direction of a single', () => device.mapSingle(4096, 64, junk)],
    ['page of a table', () => table.pfn(junk)],
    ['size of a range', () => iova.alloc(junk)],
    ['pfn of a range', () => iova.freeFast(junk, 1)],
    ['address in the GGTT', () => ggtt.entry(junk)],
    ['raw address in the GGTT', () => (ggtt as unknown as { entryAt(address: number): number }).entryAt(junk)],
  ])('%s', (name, call) => {
    expect(call, name).toThrow(expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }));
    machine.check();
  });
});
