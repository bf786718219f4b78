import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { Machine, ScatterTable } from '../../src/index.js';
import { stateOf } from './state.js';

/**
 * Options and entries of lists are read once, before the life of an object is looked at: what a getter of the caller's does in
 * between, or says the second time, is of no effect.
 */

const made = (): Machine => new Machine({ ram: '64MiB', dmaDebug: true });
const gone = expect.objectContaining({ name: 'GemDmaError', code: 'ENODEV', reason: 'OBJECT_DESTROYED' });
const disposed = expect.objectContaining({ name: 'GemDmaError', code: 'ENODEV', reason: 'MACHINE_DISPOSED' });

/** An object whose properties each count their reads, and give the values in turn; the last one again and again. */
function counted<T extends object>(values: Record<string, unknown[]>): { object: T; reads: Record<string, number> } {
  const object = {};
  const reads: Record<string, number> = {};
  for (const [key, list] of Object.entries(values)) {
    reads[key] = 0;
    const get = (): unknown => {
      const value = list[Math.min(reads[key]++, list.length - 1)];
      if (value instanceof Error) throw value;
      return value;
    };
    Object.defineProperty(object, key, { get, enumerable: true });
  }
  return { object: object as T, reads };
}

const once = (reads: Record<string, number>): boolean => Object.values(reads).every((n) => n === 1);
const again = new Error('read again');

describe('each is read once', () => {
  test('entries of a table', () => {
    const machine = made();
    const { object, reads } = counted<{ pfn: number; offset: number; length: number }>({
      pfn: [300, again],
      offset: [0, -5],
      length: [PAGE, -5],
    });
    const table = ScatterTable.fromEntries(machine, [object]);
    expect(table.entries()).toEqual([{ pfn: 300, offset: 0, length: PAGE }]);
    expect(once(reads)).toBe(true);
    machine.check();
  });

  test('the length of a list', () => {
    const machine = made();
    const entry = { pfn: 300, offset: 0, length: PAGE };
    let reads = 0;
    const list = new Proxy([entry, entry], {
      get: (target, key) => (key === 'length' ? [1, 2, 50][Math.min(reads++, 2)] : Reflect.get(target, key)),
    });
    expect(ScatterTable.fromEntries(machine, list).origNents).toBe(1);
    expect(reads).toBe(1);
    const pfns = new (class extends Uint32Array {
      override get length(): number {
        return 1;
      }
    })([300, 500, 700]);
    expect(ScatterTable.fromPages(machine, pfns).pageCount).toBe(3);
    machine.check();
  });

  test('pfns', () => {
    const machine = made();
    const [a, b] = machine.ram.alloc(2);
    const { object, reads } = counted<ArrayLike<number>>({ length: [1, 2], 0: [a, b] });
    machine.ram.free(object);
    expect(once(reads)).toBe(true);
    expect(() => machine.ram.free([a])).toThrow(expect.objectContaining({ reason: 'RAM_NOT_IN_USE' }));
    machine.ram.free([b]);
    const pages = counted<ArrayLike<number>>({ length: [1, 2], 0: [300, 'x'] });
    expect(ScatterTable.fromPages(machine, pages.object).pfn(0)).toBe(300);
    expect(once(pages.reads)).toBe(true);
  });

  test('a getter that throws leaves nothing behind', () => {
    const machine = made();
    const gpu = machine.addI915();
    const context = gpu.createContext();
    const object = gpu.createObject(PAGE);
    const before = stateOf(machine);
    for (const key of ['object', 'alignment', 'write', 'needsGtt']) {
      const values = { object: [object], [key]: [again] };
      expect(() => gpu.execbuffer(context, [counted<{ object: typeof object }>(values).object])).toThrow(again);
    }
    expect(() => ScatterTable.fromEntries(machine, [counted<never>({ pfn: [again] }).object])).toThrow(again);
    expect(stateOf(machine)).toEqual(before);
    const { object: entry, reads } = counted<{ object: typeof object }>({
      object: [object, again],
      alignment: [PAGE, again],
      write: [true, again],
      needsGtt: [false, again],
    });
    const { vmas } = gpu.execbuffer(context, [entry]);
    expect(once(reads)).toBe(true);
    gpu.idle();
    vmas[0].unbind();
    object.release();
    context.release();
    expect(gpu.remove()).toBe(0);
  });

  test('options of a device, a domain, a GPU', () => {
    const machine = made();
    const device = counted<object>({ name: ['one', again], maskBits: [40, again], domain: ['own', 'passthrough'] });
    expect(machine.addDevice(device.object).name).toBe('one');
    expect(once(device.reads)).toBe(true);
    const gpu = counted<object>({ gen: [8, 6], defects: [{ emptyUserptr: true }, again] });
    expect(machine.addI915(gpu.object).config.defects.emptyUserptr).toBe(true);
    expect(once(gpu.reads)).toBe(true);
  });
});

describe('the object dies while its options are read', () => {
  test('the driver is unbound', () => {
    const gpu = made().addI915();
    const options = {
      get caching() {
        gpu.remove();
        return 'llc' as const;
      },
    };
    expect(() => gpu.createObject(PAGE, options)).toThrow(gone);
  });

  test('the GEM object, the context', () => {
    const gpu = made().addI915({ ppgtt: 'full' });
    const object = gpu.createObject(PAGE);
    const options = (end: () => void): { alignment: number } => ({
      get alignment() {
        end();
        return PAGE;
      },
    });
    const context = gpu.createContext();
    expect(() =>
      object.bind(
        context.vm,
        options(() => context.release()),
      ),
    ).toThrow(gone);
    const other = gpu.createContext();
    const entry = { object, ...{} };
    Object.defineProperty(entry, 'write', { enumerable: true, get: () => void other.release() });
    expect(() => gpu.execbuffer(other, [entry])).toThrow(gone);
    expect(() =>
      object.bind(
        gpu.ggtt,
        options(() => object.release()),
      ),
    ).toThrow(gone);
    gpu.idle();
    expect(gpu.remove()).toBe(0);
  });

  test('the machine is disposed', () => {
    const uses: ((machine: Machine, end: object) => unknown)[] = [
      (machine, end) => machine.addDevice(end),
      (machine, end) => machine.addI915(end),
      (machine, end) => machine.events.start(end),
      (machine, end) => machine.dmaDebug.set(end),
      (machine, end) => machine.dmaDebug.places(end),
      (machine, end) => ScatterTable.allocate(machine, 1, end),
      (machine, end) => ScatterTable.fromPages(machine, [300], end),
      (machine, end) => machine.ram.free(Object.assign(end, {}) as never),
    ];
    const keys = ['maskBits', 'gen', 'records', 'allErrors', 'text', 'coalesce', 'coalesce', 'length'];
    for (const [i, use] of uses.entries()) {
      const machine = made();
      const value = keys[i] === 'length' ? 0 : undefined;
      const end = Object.defineProperty({}, keys[i], {
        enumerable: true,
        get: () => {
          machine[Symbol.dispose]();
          return value;
        },
      });
      expect(() => use(machine, end), keys[i]).toThrow(disposed);
    }
  });
});

test('a linked range that was given back takes no call, and no range of another', () => {
  const machine = made();
  const device = machine.addDevice();
  const range = device.allocIova(PAGE);
  const snapshot = machine.snapshot();
  range.free();
  const next = device.allocIova(PAGE);
  for (const call of [() => range.free(), () => range.link(0, 0, PAGE, 0), () => range.sync()]) {
    expect(call).toThrow(gone);
  }
  next.link(0, 0x500000, PAGE, 0);
  machine.restore(snapshot);
  range.free();
  machine.check();
});
