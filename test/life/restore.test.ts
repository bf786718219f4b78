import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { DmaDevice } from '../../src/dma/device.js';
import { DmaDomain } from '../../src/dma/dma-domain.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { Process } from '../../src/drm/process.js';
import { SystemHeap } from '../../src/drm/system-heap.js';
import { POLICIES } from '../../src/i915/policy/index.js';
import type { MappingPolicy } from '../../src/i915/policy/policy.js';
import { IovaDomain } from '../../src/iova/iova-domain.js';
import { Machine } from '../../src/machine-drivers/machine.js';

/** A restore brings back all of it. */

const SOURCE = new URL('../../src/', import.meta.url);
/** Folders whose objects a snapshot holds. */
const ROOMS = ['core', 'machine', 'dma', 'dma-debug', 'events', 'iommu', 'iova', 'drm', 'i915'];
/** Caches of linear memory, which a restore leaves as they are, and objects that no machine refers to. */
const OUTSIDE = [
  'core/instance.ts',
  'core/cpu-registers.ts',
  'core/iova-steps.ts',
  'core/mm-batch.ts',
  'dma-debug/report.ts',
];

function sources(): string[] {
  return ROOMS.flatMap((room) =>
    readdirSync(new URL(room, SOURCE), { recursive: true })
      .map((file) => `${room}/${file}`)
      .filter((file) => file.endsWith('.ts') && !file.includes('generated') && !OUTSIDE.includes(file)),
  );
}

describe('the rule that makes it complete', () => {
  test.each(sources())('%s: what changes can be seen from outside', (file) => {
    const text = readFileSync(new URL(file, SOURCE), 'utf8');
    // Fields, static ones included; methods and accessors have a parenthesis after the name.
    for (const [line, readonly, initial] of text.matchAll(
      /^ {2}(?:static )?(readonly )?#\w+(?:[!?]?: [^=;]+)?( = [^;]+)?;/gm,
    )) {
      expect(readonly, `${line.trim()} changes, and no snapshot sees it`).toBe('readonly ');
      expect(initial ?? '', `${line.trim()} holds what changes`).not.toMatch(/\[|\{|new (?!Life\b)/);
    }
    expect(text.match(/^let .*/gm) ?? [], 'state of the module').toEqual([]);
  });
});

/** Everything that hangs off some objects, as text: identity as numbers in order of the first visit. */
function fingerprint(...roots: object[]): string {
  const numbers = new Map<object, number>();
  const lines: string[] = [];
  const outside = new Set<unknown>(
    roots.flatMap((root) => (root instanceof Machine ? [root.core, root.core.exports] : [])),
  );
  const waiting: object[] = [];
  const name = (value: unknown): string => {
    if (typeof value === 'function') return 'function';
    if (typeof value !== 'object' || value === null)
      return typeof value === 'string' ? JSON.stringify(value) : String(value);
    if (outside.has(value)) return 'core';
    let number = numbers.get(value);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(value, number);
      waiting.push(value);
    }
    return `#${number}`;
  };
  for (const root of roots) name(root);
  for (let object = waiting.shift(); object !== undefined; object = waiting.shift()) {
    const parts: string[] = [object.constructor?.name ?? 'null'];
    if (ArrayBuffer.isView(object))
      parts.push(new Uint8Array(object.buffer, object.byteOffset, object.byteLength).join());
    else {
      if (object instanceof Map) for (const [key, value] of object) parts.push(`${name(key)}=>${name(value)}`);
      if (object instanceof Set) for (const value of object) parts.push(name(value));
      for (const [key, value] of Object.entries(object)) parts.push(`${key}:${name(value)}`);
    }
    lines.push(`${name(object)} ${parts.join(' ')}`);
  }
  return lines.join('\n');
}

test('everything held comes back, whatever kind of thing it is', () => {
  const symbol = Symbol('added later');
  const machine = new Machine({ ram: '16MiB' });
  const inner = { n: 1 };
  const held = {
    set: new Set<unknown>([1, inner]),
    map: new Map<unknown, unknown>([['a', inner]]),
    list: [1, inner, 3],
    record: { a: 1 } as Record<string, unknown>,
    words: Uint32Array.of(1, 2),
    big: BigInt64Array.of(1n),
    buffer: Buffer.from('ab'),
    view: new DataView(new ArrayBuffer(4)),
    bytes: new ArrayBuffer(2),
    date: new Date(5),
    frozen: Object.freeze({ list: [1] }),
    frozenMap: Object.freeze(new Map([['a', 1]])),
    frozenSet: Object.freeze(new Set([1])),
    inherited: {} as Record<PropertyKey, unknown>,
    get computed() {
      return this.list.length;
    },
  };
  const look = (): string =>
    `${fingerprint(held)} ${new Uint8Array(held.bytes).join()} ${held.date.getTime()} ${held.view.getInt8(0)}`;
  const before = look();
  const snapshot = machine.snapshot(held);
  for (let round = 0; round < 2; ++round) {
    held.set.add(2).delete(1);
    held.map.set('b', 2).delete('a');
    held.list.push(4);
    held.list.shift();
    Object.assign(held.record, { a: 2, b: 3 });
    held.words[0] = 9;
    held.big[0] = 9n;
    held.buffer[0] = 9;
    held.view.setInt8(0, 9);
    new Uint8Array(held.bytes)[1] = 9;
    held.date.setTime(6);
    held.frozen.list.push(2);
    held.frozenMap.set('a', 2).set('b', 3);
    held.frozenSet.add(2).delete(1);
    Object.assign(held.inherited, { toString: 1, [symbol]: 2 });
    inner.n = 2;
    expect(look()).not.toBe(before);
    machine.restore(snapshot);
    expect(look()).toBe(before);
    expect(Reflect.ownKeys(held.inherited)).toEqual([]);
  }
});

test('a property that was made read-only since does not keep the rest from coming back', () => {
  const machine = new Machine({ ram: '16MiB' });
  const device = machine.addDevice();
  const first = { n: 1 };
  const last = { n: 1 };
  const snapshot = machine.snapshot(first, last);
  first.n = 2;
  last.n = 2;
  Object.freeze(first);
  device.destroy();
  expect(() => machine.restore(snapshot)).toThrow(TypeError);
  expect([last.n, device.alive, machine.devices.length]).toEqual([1, true, 1]);
  machine.check();
});

test('everything of an object comes back: symbols, hidden properties, fields of subclasses, contents of frozen ones', () => {
  const machine = new Machine({ ram: '16MiB' });
  const symbol = Symbol('mine');
  class Counted extends Map<string, number> {
    hits = 1;
  }
  class Marked extends Set<number> {
    hits = 1;
  }
  let hidden = 1;
  const pattern = /a/g;
  const held = {
    bySymbol: { [symbol]: 1 },
    hiddenProperty: Object.defineProperty({} as { n: number }, 'n', { value: 1, writable: true, configurable: true }),
    fixed: Object.defineProperty({} as { n: number }, 'n', { value: 1, configurable: true }),
    pattern,
    list: Object.assign([1, 2, 3], { extra: 1, [symbol]: 1 }),
    holes: Object.assign(new Array<number>(3), { 0: 1, 2: 3 }),
    map: new Counted([['a', 1]]),
    set: new Marked([1]),
    map2: Object.freeze(new Map([['a', 1]])),
    date: Object.freeze(new Date(1)),
    bytes: Object.freeze(new ArrayBuffer(2)),
    get pair() {
      return hidden;
    },
    set pair(value) {
      hidden = value;
    },
  };
  const look = (): unknown => [
    held.bySymbol[symbol],
    [held.hiddenProperty.n, Object.keys(held.hiddenProperty)],
    [held.fixed.n, Object.getOwnPropertyDescriptor(held.fixed, 'n')?.writable],
    held.pattern.lastIndex,
    [[...held.list], held.list.extra, held.list[symbol as never]],
    [held.holes.length, 1 in held.holes, held.holes[2]],
    [[...held.map], held.map.hits],
    [[...held.set], held.set.hits],
    [...held.map2],
    held.date.getTime(),
    [...new Uint8Array(held.bytes)],
    hidden,
    Reflect.ownKeys(held),
  ];
  const before = look();
  const snapshot = machine.snapshot(held);
  for (let round = 0; round < 2; ++round) {
    held.bySymbol[symbol] = 2;
    held.hiddenProperty.n = 2;
    Object.defineProperty(held.fixed, 'n', { value: 2, writable: true });
    pattern.test('ba');
    Object.assign(held.list, { extra: 2, [symbol]: 2, more: 3 }).splice(0, 2);
    held.holes.length = 7;
    held.holes[1] = 2;
    Object.assign(held.map.set('b', 2), { hits: 2 });
    Object.assign(held.set.add(2), { hits: 2 });
    held.map2.clear();
    held.date.setTime(2);
    new Uint8Array(held.bytes)[0] = 2;
    held.pair = 2;
    Object.defineProperty(held, 'late', { value: 1, configurable: true });
    machine.restore(snapshot);
    expect(look()).toEqual(before);
  }
});

test('a read-only property keeps no other property of its object from coming back', () => {
  const machine = new Machine({ ram: '16MiB' });
  const held = { a: 1, b: 1, c: 1 };
  const snapshot = machine.snapshot(held);
  Object.assign(held, { a: 2, b: 2, c: 2 });
  Object.defineProperty(held, 'b', { writable: false, configurable: false });
  expect(() => machine.restore(snapshot)).toThrow(
    expect.objectContaining({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_VALUE',
      message: expect.stringContaining('held.b'),
    }),
  );
  expect(held).toEqual({ a: 1, b: 2, c: 1 });
});

test.each<[string, object]>([
  ['a SharedArrayBuffer', new SharedArrayBuffer(8)],
  ['a view of one', new Int32Array(new SharedArrayBuffer(8))],
  [
    'a resizable ArrayBuffer',
    new (ArrayBuffer as never as new (n: number, o: object) => object)(8, { maxByteLength: 16 }),
  ],
  ['what only looks like a Map', Object.create(Map.prototype)],
])('%s cannot come back, and is refused', (_, value) => {
  const machine = new Machine({ ram: '16MiB' });
  const refused = expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
  expect(() => machine.snapshot(value)).toThrow(refused);
  expect(() => machine.snapshot({ deep: [value] })).toThrow(refused);
  machine.restore(machine.snapshot());
  expect(machine.ram.alloc(1)).toHaveLength(1);
});

describe("the caller's code while a snapshot is taken", () => {
  const busy = expect.objectContaining({ code: 'EBUSY', reason: 'CALL_UNDER_WAY' });

  test.each(['getter', 'accessor', 'proxy', 'hook'])(
    '%s that allocates: what it made is of the moment, or refused',
    (kind) => {
      const machine = new Machine({ ram: '16MiB' });
      const made: ScatterTable[] = [];
      const make = (): number => made.push(ScatterTable.allocate(machine, 1));
      const held: Record<string, object> = {
        getter: {
          get a() {
            return make();
          },
        },
        accessor: {
          get a() {
            return make();
          },
          set a(_) {},
        },
        proxy: new Proxy({}, { ownKeys: () => [String(make())] }),
        hook: { snapshot: make, restore() {} },
      };
      const before = machine.core.tools.machineRecords(machine.context);
      if (kind === 'accessor' || kind === 'proxy') {
        expect(() => machine.snapshot(held[kind])).toThrow(busy);
        expect([made.length, machine.core.tools.machineRecords(machine.context)]).toEqual([0, before]);
      }
      const snapshot = machine.snapshot(...(kind === 'getter' || kind === 'hook' ? [held[kind]] : []));
      const then = made.length;
      const late = ScatterTable.allocate(machine, 2);
      machine.restore(snapshot);
      for (const table of made.slice(0, then)) expect(table.pfn(0)).toBeGreaterThan(0);
      const fresh = ScatterTable.allocate(machine, 3);
      expect(() => late.pfn(0)).toThrow(expect.objectContaining({ code: 'ESTALE' }));
      expect(fresh.pfn(2)).toBeGreaterThan(0);
      machine.check();
    },
  );

  test('a hook may not end the machine or take it back', () => {
    const machine = new Machine({ ram: '16MiB' });
    const first = machine.snapshot();
    for (const call of [() => machine[Symbol.dispose](), () => machine.restore(first), () => machine.snapshot()]) {
      expect(() => machine.snapshot({ snapshot: call, restore() {} })).toThrow(busy);
      const snapshot = machine.snapshot({ snapshot: () => 1, restore: call });
      expect(() => machine.restore(snapshot)).toThrow(busy);
      expect(machine.ram.alloc(1)).toHaveLength(1);
    }
    const end = {
      get a() {
        return machine[Symbol.dispose]();
      },
      set a(_) {},
    };
    expect(() => machine.snapshot(end)).toThrow(busy);
    expect(machine.ram.alloc(1)).toHaveLength(1);
  });

  test('what a hook returns is no promise, nor what looks like one', () => {
    const machine = new Machine({ ram: '16MiB' });
    const invalid = expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_RETURN_VALUE' });
    const name = 'then';
    const raise = (): never => expect.fail('mine');
    const answers: object[] = [
      {
        get [name]() {
          return raise();
        },
      },
      { [name]: raise },
      Object.assign(() => {}, { [name]() {} }),
      {
        [name]() {},
        get constructor() {
          return raise();
        },
      },
    ];
    for (const answer of [...answers.map((it) => () => it), () => Promise.reject(new Error('nobody waits for it'))]) {
      expect(() => machine.snapshot({ snapshot: answer, restore() {} })).toThrow(invalid);
      const snapshot = machine.snapshot({ snapshot: () => 1, restore: answer });
      expect(() => machine.restore(snapshot)).toThrow(invalid);
    }
  });
});

test('an object with a snapshot and a restore of its own takes part by these', () => {
  const machine = new Machine({ ram: '16MiB' });
  class Model {
    #seen = 0;
    count(): number {
      return ++this.#seen;
    }
    snapshot(): number {
      return this.#seen;
    }
    restore(state: number): void {
      this.#seen = state;
    }
  }
  const model = new Model();
  model.count();
  const snapshot = machine.snapshot(model);
  expect(model.count()).toBe(2);
  machine.restore(snapshot);
  expect(model.count()).toBe(2);
  const failing = { snapshot: () => 1, restore: () => expect.fail('no') };
  const other = machine.snapshot(failing, model);
  model.count();
  expect(() => machine.restore(other)).toThrow(/no/);
  expect(model.count(), 'the others have their turn').toBe(3);
  machine.check();
  expect(() => machine.snapshot({ snapshot: async () => 1, restore: () => {} })).toThrow(TypeError);
  expect(() => machine.snapshot({ snapshot: () => expect.fail('mine'), restore: () => {} })).toThrow(/mine/);
});

test('a mapping policy has state of its own', () => {
  const machine = new Machine({ ram: '64MiB' });
  let binds = 0;
  const policy: MappingPolicy = {
    ...POLICIES['i915-4.1'],
    name: 'counting',
    bind: (object, vma) => {
      ++binds;
      return POLICIES['i915-4.1'].bind!(object, vma);
    },
    snapshot: () => binds,
    restore: (state: unknown) => {
      binds = state as number;
    },
  };
  const gpu = machine.addI915({ policy });
  const object = gpu.createObject(8192);
  const snapshot = machine.snapshot();
  object.bind(gpu.ggtt);
  expect(binds).toBe(1);
  machine.restore(snapshot);
  expect(binds).toBe(0);
});

test.each(['linux-4.2', 'linux-6.12'] as const)('%s: a machine at work is bit for bit what it was', (kernel) => {
  const machine = new Machine({ ram: '64MiB', kernel, swiotlb: '1MiB', iommu: 'lazy' });
  const gpu = machine.addI915({ gen: 8, policy: kernel === 'linux-4.2' ? 'i915-4.2' : 'i915-4.1' });
  const device = machine.addDevice();
  const bare = new DmaDevice(machine, { id: 100, sourceId: 0xff00 });
  const process = new Process(machine.ram);
  const heap = new SystemHeap(machine);
  const table = ScatterTable.allocate(machine, 9);
  const iova = new IovaDomain(machine, { allocator: 'rcache' });
  const held: object[] = [process, heap];
  machine.events.start({ records: 64 });
  let turn = 0;
  const work = (): void => {
    ++turn;
    const object = gpu.createObject(16384 * turn);
    object.bind(gpu.ggtt);
    gpu.createContext();
    device.mapSg(table, 0);
    device.mapPage(machine.ram.alloc(1)[0], 0, 64, 1);
    const fresh = machine.addDevice({ maskBits: 40 });
    fresh.allocCoherent(5000);
    if (bare.domain === undefined) bare.attach(new DmaDomain(machine));
    else bare.detach();
    process.write(process.mmap(65536), Uint8Array.of(turn));
    const dmaBuf = heap.alloc(8192);
    dmaBuf.attach(device).map();
    gpu.importDmaBuf(dmaBuf).getPages();
    iova.allocFast(turn);
    machine.clock.schedule(turn, () => {});
    machine.clock.advance(turn % 3);
    machine.dmaDebug.set({ numErrors: turn });
    machine.dmaDebug.count('DOUBLE_MAP');
    if (turn % 2 === 0) fresh.destroy();
    if (turn % 3 === 0) machine.events.drain();
  };
  work();
  work();
  const look = (): string => {
    const bytes = machine.core.readBytes(0, before.size);
    const sum = createHash('sha1').update(bytes).digest('hex');
    return `${sum}\n${fingerprint(machine, ...held)}`;
  };
  const before = machine.snapshot(...held);
  const then = look();
  for (let round = 0; round < 3; ++round) {
    for (let i = 0; i < 5; ++i) work();
    expect(fingerprint(machine, ...held)).not.toBe(then.slice(then.indexOf('\n') + 1));
    machine.restore(before);
    const [now, was] = [look().split('\n'), then.split('\n')];
    expect(now.filter((line, i) => line !== was[i])).toEqual(was.filter((line, i) => line !== now[i]));
    machine.check();
  }
});
