import { expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { Machine, ScatterTable, SystemHeap } from '../../src/index.js';
import { WorkerPool } from '../../src/threads/index.js';
import { stateOf } from './state.js';

/** Objects that only calls of the library return: nobody makes one of a number, or of a prototype. */

const illegal = expect.objectContaining({ name: 'TypeError', code: 'ERR_ILLEGAL_CONSTRUCTOR' });
const wrong = expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });

function rig() {
  const machine = new Machine({ ram: '64MiB' });
  const device = machine.addDevice();
  const gpu = machine.addI915({ ppgtt: 'full' });
  return { machine, device, gpu };
}

test('their constructors take no call from outside', () => {
  const { machine, device, gpu } = rig();
  const buffer = device.allocCoherent(PAGE);
  const dmaBuf = new SystemHeap(machine).alloc(PAGE);
  const made: [object, unknown[]][] = [
    [buffer, [device, PAGE, buffer.table]],
    [buffer.table, [machine, 0x7ffffff0]],
    [device.allocIova(PAGE), [device, 0x5000, PAGE]],
    [machine.createDmaPool(device, { name: 'mine', size: 64, align: 0 }), [device, machine.ram, () => {}, {}]],
    [machine.snapshot(), [machine, [], []]],
    [dmaBuf.attach(device), [machine, dmaBuf, device]],
    [gpu.createContext(), [gpu, 7, gpu.ggtt]],
  ];
  const before = stateOf(machine);
  for (const [one, args] of made) {
    const type = one.constructor as new (...args: unknown[]) => object;
    expect(() => new type(...args), type.name).toThrow(illegal);
    expect(() => new type(Symbol('made by the library'), ...args), type.name).toThrow(illegal);
  }
  expect(() => new (WorkerPool as never as new (...args: unknown[]) => object)(machine, [], new Int32Array(8))).toThrow(
    illegal,
  );
  const statics = ScatterTable as unknown as Record<'adopt' | 'lend', (...args: unknown[]) => unknown>;
  for (const name of ['adopt', 'lend'] as const) {
    expect(() => statics[name](machine, 0x7ffffff0)).toThrow(illegal);
    expect(() => statics[name](undefined, machine, 0x7ffffff0)).toThrow(illegal);
  }
  expect(stateOf(machine)).toEqual(before);
});

test('an object of a prototype, a copy or a Proxy is no argument', () => {
  const { machine, device } = rig();
  const buffer = device.allocCoherent(PAGE);
  const snapshot = machine.snapshot();
  const before = stateOf(machine);
  const copies = <T extends object>(one: T): T[] => [
    Object.assign(Object.create(Object.getPrototypeOf(one) as object), { ...one }),
    Object.create(one),
    new Proxy(one, {}),
  ];
  for (const copy of copies(buffer)) expect(() => device.freeCoherent(copy)).toThrow(wrong);
  for (const copy of copies(buffer.table)) expect(() => device.mapSg(copy, 0)).toThrow(wrong);
  for (const copy of copies(snapshot)) expect(() => machine.restore(copy)).toThrow(wrong);
  expect(stateOf(machine)).toEqual(before);
  expect(buffer.alive).toBe(true);
});

test('a method on a prototype, a copy or a Proxy', () => {
  const { machine, device, gpu } = rig();
  const object = gpu.createObject(PAGE);
  const stale = expect.objectContaining({ name: 'GemDmaError', code: 'ESTALE', reason: 'OBJECT_NOT_MADE' });
  const of = <T extends object>(one: T): T[] => [
    Object.create(Object.getPrototypeOf(one) as object) as T,
    Object.create(one) as T,
    new Proxy(one, {}),
  ];
  for (const one of of(object)) {
    expect(() => one.alive).toThrow(stale);
    expect(() => one.bind(gpu.ggtt)).toThrow(stale);
    expect(() => one.release()).toThrow(stale);
  }
  for (const one of of(gpu)) {
    expect(() => one.createObject(PAGE)).toThrow(stale);
    expect(() => one.remove()).toThrow(stale);
  }
  for (const one of of(device)) {
    expect(() => one.alive).toThrow(stale);
    expect(() => one.destroy()).toThrow(stale);
    expect(() => one.allocCoherent(PAGE)).toThrow(stale);
    expect(() => one.counts).toThrow(stale);
  }
  for (const one of of(ScatterTable.allocate(machine, 1))) {
    expect(() => one.alive).toThrow(stale);
    expect(() => one.release()).toThrow(stale);
  }
  expect(machine.devices).toContain(device);
  object.release();
  expect(gpu.remove()).toBe(0);
});

test('bytes of a class that says something else of them', () => {
  const { machine } = rig();
  const [pfn] = machine.ram.alloc(1);
  const bytes = new (class extends Uint8Array {
    override get length(): number {
      return 1 << 20;
    }
    override subarray(): never {
      return new Uint8Array(1 << 20).fill(255) as never;
    }
  })([1, 2, 3]);
  machine.ram.write(pfn * PAGE, bytes);
  expect([...machine.ram.read(pfn * PAGE, 4)]).toEqual([1, 2, 3, 0]);
  machine.check();
});
