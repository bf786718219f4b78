import { describe, expect, test } from 'vitest';
import * as driverEntry from '../../src/driver/index.js';
import * as index from '../../src/index.js';
import * as recordings from '../../src/recordings/index.js';
import * as threadsEntry from '../../src/threads/index.js';
import * as trace from '../../src/trace/index.js';
import * as workload from '../../src/workload/index.js';

/**
 * Every call of the library that takes options refuses a key that it does not know. The calls are found by the names of their
 * parameters; each needs a row below with the arguments that it takes before its options.
 */

const mainEntry = { ...recordings, ...trace, ...workload, ...index };
const { Machine, ScatterTable } = mainEntry;
const machine = new Machine({ ram: '16MiB' });
const gpu = machine.addI915();

/** Parameters of a function, as its source has them. */
function parameters(fn: (...args: never[]) => unknown): string {
  const source = fn.toString();
  const from = source.startsWith('class') ? source.search(/\bconstructor\s*\(/) : source.indexOf('(');
  if (from < 0) return '';
  const open = source.indexOf('(', from);
  let depth = 0;
  for (let i = open; i < source.length; ++i) {
    if ('({['.includes(source[i])) ++depth;
    if (')}]'.includes(source[i]) && --depth === 0) return source.slice(open + 1, i);
  }
  return '';
}

const TAKES_OPTIONS = /\b(options|ranges|description)\b|\{[^}]*\}\s*(=|$)/;

/** Calls with options: functions, constructors as `new X`, static methods and methods of the classes. */
function calls(): Map<string, unknown> {
  const found = new Map<string, unknown>();
  const add = (name: string, fn: unknown): void => {
    if (TAKES_OPTIONS.test(parameters(fn as never))) found.set(name, fn);
  };
  const classes = new Set<{ name: string; prototype: object }>();
  for (const [name, value] of Object.entries({ ...mainEntry, ...threadsEntry, ...driverEntry })) {
    if (typeof value !== 'function') continue;
    if (value.toString().startsWith('class')) classes.add(value as never);
    else add(name, value);
  }
  // Classes that calls return.
  const { ram, clock, iommu, events, dmaDebug, dmesg } = machine;
  const object = gpu.createObject(4096);
  for (const one of [machine, gpu, ram, clock, iommu, events, dmaDebug, dmesg, object, gpu.createContext(), gpu.ggtt]) {
    if (one === undefined) continue;
    for (
      let type = one.constructor;
      type !== Object && type !== Function.prototype;
      type = Object.getPrototypeOf(type)
    ) {
      classes.add(type as never);
    }
  }
  for (const type of classes) {
    add(`new ${type.name}`, type);
    for (const [holder, prefix] of [
      [type, `${type.name}.`],
      [type.prototype, `${type.name}#`],
    ] as const) {
      for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(holder))) {
        if (typeof value === 'function' && key !== 'constructor') add(`${prefix}${key}`, value);
      }
    }
  }
  return found;
}

const OOPS = { oops: 1 } as never;
const WASM = new Uint8Array(8);
const scenario = mainEntry.FAIL_NTH_SCENARIOS[0];

/** The calls with an option that is unknown. */
const ROWS: Record<string, () => unknown> = {
  stress: () => mainEntry.stress(OOPS),
  bench: () => mainEntry.bench(OOPS),
  failNth: () => mainEntry.failNth(scenario, OOPS),
  failNthAsync: () => mainEntry.failNthAsync(scenario, OOPS),
  runScenario: () => mainEntry.runScenario('L1', OOPS),
  runScenarioAsync: () => mainEntry.runScenarioAsync('L1', OOPS),
  stressThreads: () => mainEntry.stressThreads(OOPS),
  verify: () => mainEntry.verify('test/golden/iova/c_full.txt.gz', OOPS),
  verifyAsync: () => mainEntry.verifyAsync('test/golden/iova/c_full.txt.gz', OOPS),
  readTrace: () => mainEntry.readTrace(mainEntry.inMemory(WASM), OOPS),
  formatFtrace: () => mainEntry.formatFtrace([], OOPS),
  whatIf: () => mainEntry.whatIf({} as never, OOPS),
  whatIfAsync: () => mainEntry.whatIfAsync({} as never, OOPS),
  verifyTraceAsync: () => mainEntry.verifyTraceAsync({} as never, OOPS),
  'IovaDomain.standalone': () => mainEntry.IovaDomain.standalone(OOPS),
  i915Vocabulary: () => mainEntry.i915Vocabulary(OOPS),
  'new Machine': () => new Machine(OOPS),
  'new Audit': () => new mainEntry.Audit(OOPS),
  'new FtraceWriter': () => new mainEntry.FtraceWriter(OOPS),
  'new DmaDevice': () => new mainEntry.DmaDevice(machine, OOPS),
  'new DmaDomain': () => new mainEntry.DmaDomain(machine, OOPS),
  'new IovaDomain': () => new mainEntry.IovaDomain(machine, OOPS),
  'Machine#addDevice': () => machine.addDevice(OOPS),
  'Machine#createDmaPool': () => machine.createDmaPool(machine.addDevice(), OOPS),
  'Machine#addI915': () => machine.addI915(OOPS),
  'Machine#addDriver': () => machine.addDriver(mainEntry.i915Driver, OOPS),
  'ScatterTable.fromPages': () => ScatterTable.fromPages(machine, [300], OOPS),
  'ScatterTable.allocate': () => ScatterTable.allocate(machine, 1, OOPS),
  'Process#mmap': () => new mainEntry.Process(machine.ram).mmap(4096, OOPS),
  'IovaDomain#alloc': () => new mainEntry.IovaDomain(machine).alloc(1, OOPS),
  'IovaDomain#allocFast': () => new mainEntry.IovaDomain(machine).allocFast(1, OOPS),
  'Machine#dmesg': () => machine.dmesg(OOPS),
  'EventLog#start': () => machine.events.start(OOPS),
  'DmaDebug#set': () => machine.dmaDebug.set(OOPS),
  'DmaDebug#places': () => machine.dmaDebug.places(OOPS),
  'I915Device#createObject': () => gpu.createObject(4096, OOPS),
  'I915Device#createUserptr': () => gpu.createUserptr(new mainEntry.Process(machine.ram), 0, 4096, OOPS),
  'I915Device#execbuffer': () => gpu.execbuffer(gpu.createContext(), [{ object: gpu.createObject(4096) }], OOPS),
  'GemObject#bind': () => gpu.createObject(4096).bind(gpu.ggtt, OOPS),
  'WorkerPool.create': () => threadsEntry.WorkerPool.create(1, OOPS),
  'WorkerPool#close': async () => {
    await using pool = await threadsEntry.WorkerPool.create(1, { ram: '16MiB' });
    await pool.close(OOPS);
  },
  buildDriver: () => driverEntry.buildDriver(OOPS),
  runDriver: () => driverEntry.runDriver(WASM, {} as never, OOPS),
  driverFailNth: () => driverEntry.driverFailNth(WASM, 'x', OOPS),
  driverStress: () => driverEntry.driverStress(WASM, 'x', OOPS),
  'new CDriver': () => new driverEntry.CDriver(machine, WASM, {}, OOPS),
};

/** Made by the library alone, or no options. */
const INNER = new Set([
  ...['formatAlreadySet', 'failNthText', 'findingsText', 'stressText', 'stressRound'],
  ...['new GemDmaError', 'new RecordingError', 'new StressFailure', 'new I915Device', 'new DmaDebug'],
  ...['DmaDebug#forecast', 'DmaDebug#mapping'],
]);

const found = [...calls().keys()].filter((name) => !INNER.has(name));

test('every call with options has a row', () => {
  expect(found.length).toBeGreaterThan(30);
  expect(found.filter((name) => !(name in ROWS))).toEqual([]);
});

describe.each(Object.keys(ROWS))('%s', (name) => {
  test('refuses an unknown option', async () => {
    const call = async (): Promise<unknown> => ROWS[name]();
    await expect(call()).rejects.toThrow(expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' }));
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
