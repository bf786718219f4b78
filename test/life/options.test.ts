import { readdirSync, readFileSync } from 'node:fs';
// Its worker is a file of the bundle.
import * as built from 'gemdma/driver';
import { describe, expect, test } from 'vitest';
import * as driverEntry from '../../src/driver/index.js';
import { DriverScenario } from '../../src/driver/scenario.js';
import * as index from '../../src/index.js';
import * as recordings from '../../src/recordings/index.js';
import * as replayEntry from '../../src/replay/index.js';
import * as threadsEntry from '../../src/threads/index.js';
import * as trace from '../../src/trace/index.js';
import * as workload from '../../src/workload/index.js';
import { declared, type Member } from './surface/declarations.js';
import { ENTRIES, NIC, nicDriver } from './surface/others.js';

/**
 * Every call of the library that takes options refuses a key that it does not know. The calls are found by the names of their
 * parameters; each needs a row below with the arguments that it takes before its options.
 */

const { GemDmaError } = index;
const mainEntry = { ...recordings, ...replayEntry, ...trace, ...workload, ...index };
const { Machine, ScatterTable } = mainEntry;
const machine = new Machine({ ram: '16MiB' });
const gpu = machine.addI915();

/** Names of parameters that are options. */
const OPTIONS = new Set(['options', 'ranges', 'description', 'call', 'packet']);

/** Calls with options: functions, constructors as `new X`, static methods and methods of the classes. */
function calls(): string[] {
  const { classes, functions } = declared(ENTRIES);
  const takes = ({ parameters }: Member): boolean =>
    parameters.some(({ name, takes: { kind } }) => kind === 'plain' && (OPTIONS.has(name) || name.startsWith('__')));
  const names = functions.filter(takes).map(({ name }) => name);
  for (const [type, members] of classes) {
    for (const member of members.filter(takes)) {
      const { what, name } = member;
      names.push(what === 'new' ? `new ${type}` : `${type}${what === 'static' ? '.' : '#'}${name}`);
    }
  }
  // What BaseMachine has, Machine has.
  return [...new Set(names.map((name) => name.replace(/\bBase(?=Machine\b)/, '')))];
}

const OOPS = { oops: 1 } as never;
const WASM = new Uint8Array(8);
const scenario = mainEntry.FAIL_NTH_SCENARIOS[0];

/** The calls, with the options that a test gives. */
const ROWS: Record<string, (o: never) => unknown> = {
  stress: (o) => mainEntry.stress(o),
  bench: (o) => mainEntry.bench(o),
  failNth: (o) => mainEntry.failNth(scenario, o),
  failNthAsync: (o) => mainEntry.failNthAsync(scenario, o),
  runScenario: (o) => mainEntry.runScenario('L1', o),
  runScenarioAsync: (o) => mainEntry.runScenarioAsync('L1', o),
  stressThreads: (o) => mainEntry.stressThreads(o),
  verify: (o) => mainEntry.verify('test/golden/iova/c_full.txt.gz', o),
  verifyAsync: (o) => mainEntry.verifyAsync('test/golden/iova/c_full.txt.gz', o),
  replayStream: (o) => mainEntry.replayStream('test/golden/uapi/va.jsonl.gz', o),
  replayStreamAsync: (o) => mainEntry.replayStreamAsync('test/golden/uapi/va.jsonl.gz', o),
  readTrace: (o) => mainEntry.readTrace(mainEntry.inMemory(WASM), o),
  formatFtrace: (o) => mainEntry.formatFtrace([], o),
  whatIf: (o) => mainEntry.whatIf(new mainEntry.Rebuild().operations, o),
  whatIfAsync: (o) => mainEntry.whatIfAsync(new mainEntry.Rebuild().operations, o),
  verifyTraceAsync: (o) => mainEntry.verifyTraceAsync(new mainEntry.Rebuild().operations, o),
  'IovaDomain.standalone': (o) => mainEntry.IovaDomain.standalone(o),
  i915Vocabulary: (o) => mainEntry.i915Vocabulary(o),
  'new Machine': (o) => new Machine(o),
  'new Audit': (o) => new mainEntry.Audit(o),
  'new FtraceWriter': (o) => new mainEntry.FtraceWriter(o),
  'new DmaDevice': (o) => new mainEntry.DmaDevice(machine, o),
  'new DmaDomain': (o) => new mainEntry.DmaDomain(machine, o),
  'new UnmanagedDomain': (o) => new mainEntry.UnmanagedDomain(machine, o),
  'new IovaDomain': (o) => new mainEntry.IovaDomain(machine, o),
  'Machine#addDevice': (o) => machine.addDevice(o),
  'Machine#createDmaPool': (o) => machine.createDmaPool(machine.addDevice(), o),
  'DmaDevice#allocCoherent': (o) => machine.addDevice().allocCoherent(1, 0, o),
  'Machine#createRestrictedPool': (o) => machine.createRestrictedPool(o),
  'Machine#addI915': (o) => machine.addI915(o),
  'Machine#addDriver': (o) => machine.addDriver(mainEntry.i915Driver, o),
  'ScatterTable.fromPages': (o) => ScatterTable.fromPages(machine, [300], o),
  'ScatterTable.allocate': (o) => ScatterTable.allocate(machine, 1, o),
  'DmaPool#alloc': (o) => machine.createDmaPool(machine.addDevice(), { name: 'x', size: 32, align: 0 }).alloc(o),
  'DriverScenario#send': async (o) => {
    const host = new Machine({ ram: '64MiB', memoryLimit: '256MiB' });
    return new DriverScenario(new driverEntry.CDriver(host, await nicDriver(), { ids: NIC.ids, bars: NIC.bars })).send(
      o,
    );
  },
  'Process#mmap': (o) => new mainEntry.Process(machine.ram).mmap(4096, o),
  'IovaDomain#alloc': (o) => new mainEntry.IovaDomain(machine).alloc(1, o),
  'IovaDomain#allocFast': (o) => new mainEntry.IovaDomain(machine).allocFast(1, o),
  'Machine#dmesg': (o) => machine.dmesg(o),
  'EventLog#start': (o) => machine.events.start(o),
  'DmaDebug#set': (o) => machine.dmaDebug.set(o),
  'DmaDebug#places': (o) => machine.dmaDebug.places(o),
  'I915Device#open': (o) => gpu.open(o),
  'I915Device#createObject': (o) => gpu.createObject(4096, o),
  'I915Device#createUserptr': (o) => gpu.createUserptr(new mainEntry.Process(machine.ram), 0, 4096, o),
  'I915Device#execbuffer': (o) => gpu.execbuffer(gpu.createContext(), [{ object: gpu.createObject(4096) }], o),
  'GemObject#bind': (o) => gpu.createObject(4096).bind(gpu.ggtt, o),
  'WorkerPool.create': (o) => threadsEntry.WorkerPool.create(1, o),
  'WorkerPool#close': async (o) => {
    await using pool = await threadsEntry.WorkerPool.create(1, { ram: '16MiB' });
    await pool.close(o);
  },
  buildDriver: (o) => driverEntry.buildDriver(o),
  runDriver: (o) => driverEntry.runDriver(WASM, {} as never, o),
  driverFailNth: (o) => built.driverFailNth(WASM, 'x', o),
  driverStress: (o) => built.driverStress(WASM, 'x', o),
  'new CDriver': (o) => new driverEntry.CDriver(machine, WASM, {}, o),
};

/** Made by the library alone, or no options. */
const INNER = new Set([
  ...['formatAlreadySet', 'failNthText', 'findingsText', 'stressText', 'stressRound'],
  ...['new GemDmaError', 'new RecordingError', 'new StressFailure', 'new I915Device', 'new DmaDebug'],
  // Of vocabularies: plain data of a run.
  ...['new DmaPart', 'new I915Part', 'new StreamingDevice', 'I915Part#rewind'],
]);

const found = calls().filter((name) => !INNER.has(name));

test('every call with options has a row', () => {
  expect(found.length).toBeGreaterThan(30);
  expect(found.filter((name) => !(name in ROWS))).toEqual([]);
  expect(Object.keys(ROWS).filter((name) => !found.includes(name))).toEqual([]);
});

describe.each(Object.keys(ROWS))('%s', (name) => {
  test('refuses an unknown option', async () => {
    const call = async (): Promise<unknown> => ROWS[name](OOPS);
    await expect(call()).rejects.toThrow(expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' }));
  });
});

/** Options with which the call does its work, where none will not do; what is in them is counted, too. */
const WORKING: Record<string, () => object> = {
  stress: () => ({
    ...{ operations: 20, shrink: false, machine: { ram: '16MiB', iommu: { mode: 'strict' } }, limits: { objects: 3 } },
    ...{ weights: { create: 5 }, pages: [[1, 1]], seed: 1, seconds: 5, checkEvery: 10, faults: 0 },
  }),
  bench: () => ({ seconds: 0.01, batch: 1, dmaDebug: false, live: 0, granule: 1, mode: 'single', transfer: 0 }),
  failNth: () => ({ machine: { ram: '64MiB' } }),
  failNthAsync: () => ({ machine: { ram: '64MiB' } }),
  stressThreads: () => ({ threads: 1, operations: 10, seed: 1, machine: { ram: '64MiB' } }),
  runScenario: () => ({ policy: 'i915-4.1', seed: 2, onStep: () => {} }),
  runScenarioAsync: () => ({ policy: 'i915-4.1', seed: 2, onStep: () => {} }),
  readTrace: () => ({ name: 'x', codecs: { zstd: () => new Uint8Array(1) } }),
  i915Vocabulary: () => ({ policy: 'i915-4.1' }),
  whatIf: () => ({ mode: 'lazy', mask: 32, queue: 16, timeout: 5, kernel: 'linux-6.12', magazine: 5, swiotlb: '1MiB' }),
  'new Audit': () => ({ at: '1000', device: 'x' }),
  'new FtraceWriter': () => ({ task: 'x-1' }),
  formatFtrace: () => ({ task: 'x-1' }),
  'new Machine': () => ({
    ...{ ram: { size: '16MiB', fragmentation: 0 }, iommu: { mode: 'lazy', flushQueue: { entries: 8 } }, cpus: 2 },
    ...{ swiotlb: { size: '1MiB', force: false }, dmaDebug: { enabled: true }, kernel: 'linux-6.12', seed: 3 },
  }),
  'new UnmanagedDomain': () => ({ levels: 4, width: 39, pageSizes: 0x1000 }),
  'new DmaDomain': () => ({ mode: 'lazy', flushQueue: { entries: 8, milliseconds: 2 }, reserved: [[1, 2]] }),
  'Machine#createDmaPool': () => ({ name: 'x', size: 32, align: 0, boundary: 0 }),
  'DmaDevice#allocCoherent': () => ({ atomic: true }),
  'Machine#createRestrictedPool': () => ({ size: '256KiB', base: 0 }),
  'DmaDebug#places': () => ({ text: { start: 0x1000000, length: 4096 } }),
  'I915Device#createUserptr': () => ({ unsynchronized: true, readOnly: false, privileged: true }),
  'Machine#addI915': () => ({ gen: 8, defects: { emptyUserptr: true }, policy: 'i915-4.1' }),
  'GemObject#bind': () => ({ alignment: 4096, view: { type: 'partial', offset: 0, size: 1 } }),
  'WorkerPool.create': () => ({ ram: { size: '16MiB' }, iommu: { mode: 'strict' } }),
  'WorkerPool#close': () => ({ timeout: 100 }),
  runDriver: () => ({
    machine: { ram: { size: '64MiB' } },
    random: { seed: 1, rate: 0 },
    nth: 0,
    survey: true,
    kasan: true,
  }),
  'new CDriver': () => ({ kasan: true, dmaBits: 64 }),
  buildDriver: () => ({ files: ['/nowhere.c'], define: ['X'], include: ['/nowhere'], cache: '/tmp/gemdma-none' }),
  driverFailNth: () => ({ all: true, timeLimit: 1000, machine: { ram: '64MiB' } }),
  driverStress: () => ({ rounds: 1, seed: 1, timeLimit: 1000, machine: { ram: '64MiB' } }),
};
/** An object that notes what is read of it, and of what is in it, more than once. */
function watched<T>(value: T, path: string, twice: string[]): T {
  if (typeof value !== 'object' || value === null) return value;
  const seen = new Set<PropertyKey>();
  return new Proxy(value, {
    get(target, key) {
      const part = Reflect.get(target, key) as unknown;
      if (typeof key === 'symbol' || (Array.isArray(target) && typeof part === 'function')) return part;
      if (seen.has(key)) twice.push(`${path}.${key}`);
      seen.add(key);
      return watched(part, `${path}.${key}`, twice);
    },
  });
}

describe.each(found)('%s', (name) => {
  test('reads each option once, and what is in it', async () => {
    const twice: string[] = [];
    const options = watched(WORKING[name]?.() ?? {}, 'options', twice);
    try {
      await ROWS[name](options as never);
    } catch (error) {
      // Some have no working arguments before their options.
      if (!GemDmaError.is(error) && (error as { code?: string }).code === undefined) throw error;
    }
    expect(twice).toEqual([]);
  });
});

test.each([
  ['a profile', () => mainEntry.stress({ profile: { oops: 1 } as never })],
  ['limits', () => mainEntry.stress({ limits: { oops: 1 } as never })],
  ['weights', () => mainEntry.stress({ weights: { oops: 1 } })],
  ['a machine', () => mainEntry.stress({ machine: { oops: 1 } as never })],
  ['a machine of a scenario', () => mainEntry.failNth(scenario, { machine: { oops: 1 } as never })],
  ['a machine of threads', () => mainEntry.stressThreads({ machine: { oops: 1 } as never })],
  ['codecs', () => mainEntry.readTrace(mainEntry.inMemory(WASM), { codecs: { oops: 1 } as never })],
  [
    'a view',
    () => gpu.createObject(4096).bind(gpu.ggtt, { view: { type: 'rotated', width: 1, height: 1, oops: 1 } as never }),
  ],
  [
    'an object of an execbuffer',
    () => gpu.execbuffer(gpu.createContext(), [{ object: gpu.createObject(4096), oops: 1 } as never]),
  ],
  ['an iommu', () => new Machine({ iommu: { oops: 1 } as never })],
  ['ram', () => new Machine({ ram: { oops: 1 } as never })],
  ['swiotlb', () => new Machine({ swiotlb: { oops: 1 } as never })],
  ['dma-debug', () => new Machine({ dmaDebug: { oops: 1 } as never })],
  ['a flush queue', () => new mainEntry.DmaDomain(machine, { flushQueue: { oops: 1 } as never })],
  ['a device of a driver', () => new driverEntry.CDriver(machine, WASM, OOPS)],
])('an unknown key inside %s is refused', async (_, call) => {
  await expect((async () => call())()).rejects.toThrow(expect.objectContaining({ name: 'TypeError' }));
});

test.each([null, 5, 'x', [], () => 1])('options that are no object are refused: %o', async (wrong) => {
  const options = wrong as never;
  for (const call of [
    () => mainEntry.stress(options),
    () => mainEntry.bench(options),
    () => mainEntry.failNth(scenario, options),
    () => mainEntry.runScenario('L1', options),
    () => mainEntry.verify('x', options),
    () => mainEntry.whatIf({} as never, options),
    () => new mainEntry.Audit(options),
    () => machine.addDevice(options),
    () => gpu.createObject(4096).bind(gpu.ggtt, options),
    () => gpu.execbuffer(gpu.createContext(), [], options),
  ]) {
    await expect((async () => call())(), String(call)).rejects.toThrow(expect.objectContaining({ name: 'TypeError' }));
  }
});

test('what a check of options has read is what is used', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  const dropped = sources.flatMap((path) =>
    readFileSync(`src/${path}`, 'utf8')
      .split('\n')
      .filter((line) =>
        /^\s*(check(Options|LongCall|RunnerOptions|WhatIf|Replay|Limits|Weights|Pages)|readData|readList|readPfnList)\(/.test(
          line,
        ),
      )
      .map((line) => `${path}: ${line.trim()}`),
  );
  expect(sources.length).toBeGreaterThan(200);
  expect(dropped).toEqual([]);
});
