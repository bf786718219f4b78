import { describe, expect, test } from 'vitest';
import { PAGE_SIZE as PAGE } from '../../src/core/generated/constants.js';
import { PhysicalMemory } from '../../src/core/physical-memory.js';
import { CoherentBuffer } from '../../src/dma/coherent.js';
import { DmaDevice } from '../../src/dma/device.js';
import { DmaDomain } from '../../src/dma/dma-domain.js';
import { LinkedRange } from '../../src/dma/linked-range.js';
import { ScatterTable } from '../../src/dma/sg-table.js';
import { StreamingDevice } from '../../src/dma/streaming-device.js';
import { EventLog } from '../../src/events/events.js';
import { Iommu } from '../../src/iommu/iommu.js';
import { IovaDomain } from '../../src/iova/iova-domain.js';
import { VirtualClock } from '../../src/machine/clock.js';
import { Machine } from '../../src/machine-drivers/machine.js';
import { tracked } from './state.js';

/**
 * Every method and getter of every class of the DMA side, on an object that is dead. The members are read from the
 * prototypes; one that takes arguments needs a row in the tables below.
 */

interface Rig {
  machine: Machine;
  device: DmaDevice;
  domain: DmaDomain;
  table: ScatterTable;
  buffer: CoherentBuffer;
  range: LinkedRange;
  iova: IovaDomain;
}

function rig(): Rig {
  const machine = new Machine({ ram: '64MiB', swiotlb: '1MiB' });
  return { machine, ...objects(machine) };
}

function objects(machine: Machine): Omit<Rig, 'machine'> {
  const domain = new DmaDomain(machine);
  const device = new DmaDevice(machine, {
    id: 40 + machine.devices.length,
    sourceId: 0xff00 + 8 * machine.devices.length,
    domain,
  });
  return {
    domain,
    device,
    table: ScatterTable.allocate(machine, 2),
    buffer: device.allocCoherent(PAGE),
    range: device.allocIova(PAGE),
    iova: new IovaDomain(machine),
  };
}

/** What may be asked of a dead object: plain facts, and what does nothing. */
const HARMLESS = new Set([
  'constructor',
  'alive',
  'domain',
  'destroyUnused',
  'forget',
  'failure',
  'ending',
  'occupy',
  'vacate',
]);
/** Ends of a life: the second does nothing. */
const ENDS = new Set(['release', 'destroy', 'free']);

/** Arguments that a living object takes, by class and member; [] where there are none. */
const ARGUMENTS: Record<string, Record<string, (rig: Rig) => unknown[]>> = {
  DmaDevice: {
    setMask: () => [32],
    setStreamingMask: () => [32],
    setCoherentMask: () => [32],
    coerceMask: () => [32],
    needSync: () => [PAGE],
    setSegments: () => [PAGE],
    setMaxSegment: () => [PAGE],
    setSegmentBoundary: () => [32],
    setMinAlignMask: () => [0],
    segmentBoundaryPages: () => [12],
    mapPageAt: () => [PAGE, 300 * PAGE, PAGE, 0],
    allocCoherent: () => [PAGE],
    freeCoherent: ({ buffer }) => [buffer],
    allocManaged: () => [PAGE],
    freeManaged: ({ buffer }) => [buffer],
    allocPages: () => [PAGE, 0],
    allocNoncontiguous: () => [PAGE, 0],
    freePages: ({ buffer }) => [buffer],
    mmap: ({ buffer }) => [buffer],
    sgTable: ({ buffer }) => [buffer],
    declareCoherentMemory: () => [0xe0000000, 0, PAGE],
    allocIova: () => [PAGE],
  },
  StreamingDevice: {
    enter: () => ['device'],
    begin: () => ['device'],
    attach: ({ domain }) => [domain],
    mapPage: () => [300, 0, PAGE, 0],
    unmapPage: () => [PAGE, PAGE, 0],
    mapSingle: () => [300 * PAGE, PAGE, 0],
    unmapSingle: () => [PAGE, PAGE, 0],
    mapSg: ({ table }) => [table, 0],
    mapSgTable: ({ table }) => [table, 0],
    mapTable: ({ table }) => [table, 0, 0],
    unmapSg: ({ table }) => [table, 0],
    mapResource: () => [0xfe000000, PAGE, 0],
    unmapResource: () => [PAGE, PAGE, 0],
    mappingError: () => [PAGE],
    syncForCpu: () => [PAGE, PAGE, 0],
    syncForDevice: () => [PAGE, PAGE, 0],
    syncSingle: () => [PAGE, PAGE, 0, true],
    syncSgForCpu: ({ table }) => [table, 0],
    syncSgForDevice: ({ table }) => [table, 0],
    syncTable: ({ table }) => [table, 0, undefined, true],
  },
  DmaDomain: {
    iovaStats: () => [],
    reserve: () => [1, 2],
    attach: ({ device }) => [device],
    cacheRange: () => [5, 1],
    claimRange: () => [5, 1, 'reserve_iova'],
  },
  ScatterTable: { pfn: () => [0], dmaAddress: () => [0] },
  CoherentBuffer: {},
  LinkedRange: {
    link: () => [0, 300 * PAGE, PAGE, 0],
    unlink: () => [0, PAGE, 0],
    sync: () => [],
  },
  IovaDomain: {
    alloc: () => [1],
    allocFast: () => [1],
    free: () => [1],
    freeFast: () => [1, 1],
    find: () => [1],
    reserve: () => [1, 2],
  },
};

/** Members of the device that only prepare or finish a call of another. */
const INNER = new Set([
  'forgetCore',
  'settle',
  'tableRecord',
  'checkPiece',
  'canAttach',
  'setDriven',
  'masks',
  'applyMask',
  'checkMask',
  'requireMask',
  'releaseManaged',
  'unmanaged',
  'setUnmanaged',
  'setPeers',
  'declaredMemory',
  'devres',
  'cached',
  'coherent',
]);

const CLASSES = [
  [DmaDevice, 'device'],
  [StreamingDevice, 'device'],
  [DmaDomain, 'domain'],
  [ScatterTable, 'table'],
  [CoherentBuffer, 'buffer'],
  [LinkedRange, 'range'],
  [IovaDomain, 'iova'],
] as const;

/** Uses every member that must refuse. Generators are run. */
function members(type: { name: string; prototype: object }, object: object, others: Rig): [string, () => unknown][] {
  const uses: [string, () => unknown][] = [];
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(type.prototype))) {
    // A linked range is given back once: a second time would take what is another's by then.
    const ends = ENDS.has(name) && !(type === IovaDomain && name === 'free') && type !== LinkedRange;
    if (HARMLESS.has(name) || INNER.has(name) || ends) continue;
    const get = property.get;
    if (get) uses.push([name, () => get.call(object)]);
    else {
      const call = property.value as (...args: unknown[]) => unknown;
      const given = ARGUMENTS[type.name][name];
      if (given === undefined && call.length > 0) {
        missing.push(`${type.name}.${name}`);
        continue;
      }
      uses.push([
        name,
        () => {
          const result = call.apply(object, given?.(others) ?? []);
          return typeof (result as Iterator<unknown>)?.next === 'function'
            ? [...(result as Iterable<unknown>)]
            : result;
        },
      ]);
    }
  }
  return uses;
}

/** Members that the tables have no arguments for. */
const missing: string[] = [];

const gone = expect.objectContaining({ name: 'GemDmaError', code: 'ENODEV', reason: 'OBJECT_DESTROYED' });
const stale = expect.objectContaining({ name: 'GemDmaError', code: 'ESTALE', reason: 'OBJECT_RESTORED_AWAY' });
const disposed = expect.objectContaining({ name: 'GemDmaError', code: 'ENODEV', reason: 'MACHINE_DISPOSED' });

function refuses(uses: [string, () => unknown][], error: unknown): void {
  for (const [name, use] of uses) expect(use, name).toThrow(error as Error);
}

describe.each(CLASSES)('%o', (type, key) => {
  test('destroyed: every member throws, a second end and dispose do nothing', () => {
    const all = rig();
    const { machine } = all;
    const living = objects.call(null, machine.addDevice() && machine);
    const dead = all[key];
    if (key === 'domain') {
      all.device.detach();
      all.domain.destroy();
    } else if ('release' in dead) dead.release();
    else if ('destroy' in dead) dead.destroy();
    else dead.free();
    tracked(machine, () => {
      refuses(members(type, dead, { machine, ...living }), gone);
      if (Symbol.dispose in dead) (dead as Disposable)[Symbol.dispose]();
      if (key !== 'range') {
        if ('release' in dead) dead.release();
        else if ('destroy' in dead) dead.destroy();
        else (dead as CoherentBuffer).free();
      }
    });
  });

  test('restored away: every member throws, dispose does nothing', () => {
    const machine = new Machine({ ram: '64MiB', swiotlb: '1MiB' });
    const snapshot = machine.snapshot();
    const dead = objects(machine)[key];
    machine.restore(snapshot);
    const living = objects(machine);
    tracked(machine, () => {
      refuses(members(type, dead, { machine, ...living }), stale);
      if (Symbol.dispose in dead) (dead as Disposable)[Symbol.dispose]();
      for (const end of ENDS) {
        const call = (dead as unknown as Record<string, (() => void) | undefined>)[end];
        if (call !== undefined && type !== IovaDomain) expect(() => call.call(dead), end).toThrow(stale);
      }
    });
  });

  test('of a machine that was disposed: every member throws', () => {
    const all = rig();
    all.machine[Symbol.dispose]();
    refuses(members(type, all[key], all), disposed);
    if (Symbol.dispose in all[key]) (all[key] as Disposable)[Symbol.dispose]();
    expect((all[key] as { alive?: boolean }).alive ?? false).toBe(false);
  });
});

test('the parts of a machine that was disposed refuse every call', () => {
  const { machine, device, domain } = rig();
  const snapshot = machine.snapshot();
  const { ram, clock, iommu, events, swiotlb, dmaDebug } = machine;
  machine[Symbol.dispose]();
  machine[Symbol.dispose]();
  const parts: [object, { prototype: object }, Record<string, unknown[]>][] = [
    [
      ram,
      PhysicalMemory,
      { alloc: [1], allocBlock: [0], free: [[300]], freeBlock: [300, 0], read: [0, 1], write: [0, new Uint8Array(1)] },
    ],
    [clock, VirtualClock, { schedule: [1, () => {}], advance: [1] }],
    [
      iommu,
      Iommu,
      { tables: [domain], leaves: [domain, 0, PAGE], iovaToPhys: [domain, 0], dump: [domain], group: [device] },
    ],
    [events, EventLog, {}],
  ];
  const inner = new Set(['constructor', 'backing', 'pending', 'named', 'addTracepoints', 'tell', 'take', 'put']);
  for (const [part, { prototype }, given] of parts) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (inner.has(name)) continue;
      const use = property.get ?? (property.value as () => unknown);
      expect(() => use.apply(part, (given[name] ?? []) as never), name).toThrow(disposed);
    }
  }
  for (const use of [
    () => swiotlb!.stats,
    () => [...swiotlb!.mappings()],
    () => swiotlb!.resetHighWater(),
    () => dmaDebug.findings,
    () => dmaDebug.counters(),
    () => dmaDebug.poll(),
    () => dmaDebug.entries(),
    () => dmaDebug.report(),
    () => dmaDebug.count('DOUBLE_MAP'),
    () => dmaDebug.cpuTouch(300),
    () => dmaDebug.set({}),
    () => dmaDebug.places({}),
    () => machine.addDevice(),
    () => machine.addI915(),
    () => machine.snapshot(),
    () => machine.restore(snapshot),
    () => machine.check(),
    () => machine.failAllocation('ram', 1),
    () => new DmaDevice(machine),
    () => new DmaDomain(machine),
    () => new IovaDomain(machine),
    () => ScatterTable.allocate(machine, 1),
    () => ScatterTable.fromPages(machine, [1]),
    () => device.mapPage(300, 0, 1, 0),
  ]) {
    expect(use, String(use)).toThrow(disposed);
  }
});

test('the tables have all but a few members', () => {
  expect(new Set(missing).size, [...new Set(missing)].join()).toBeLessThan(6);
});
