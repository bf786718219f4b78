import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as driverEntry from '../../../src/driver/index.js';
import * as index from '../../../src/index.js';
import * as recordings from '../../../src/recordings/index.js';
import * as replayEntry from '../../../src/replay/index.js';
import * as threadsEntry from '../../../src/threads/index.js';
import * as trace from '../../../src/trace/index.js';
import * as workload from '../../../src/workload/index.js';
import { stateOf } from '../state.js';
import { declared, type Kind, type Member } from './declarations.js';
import { ENTRIES, NIC, nicDriver, others } from './others.js';
import { type Rig, rig, sampleOf } from './rig.js';

/**
 * Every function of every entry, and every member and constructor of the classes that belong to no machine (the others:
 * surface.test.ts), with arguments of the wrong type, one at a time. Each call is refused with an error of the library, which has
 * a code: never with the engine's own. A function that a new version adds needs a row in `GOOD` for what it takes.
 */

const entries = {
  ...recordings,
  ...replayEntry,
  ...trace,
  ...workload,
  ...threadsEntry,
  ...driverEntry,
  ...index,
} as unknown as Record<string, (...args: unknown[]) => unknown>;
const { classes, functions } = declared(ENTRIES);

/** Values that nothing takes, whatever it is said to take. */
const NEVER = [undefined, null, Symbol('wrong'), 5n, Number.NaN];
/** Values of the wrong type, by what a parameter takes. */
const WRONG: Record<Kind['kind'], readonly unknown[]> = {
  number: [...NEVER, '4096', '', true, {}, [], () => 1],
  size: [null, Symbol('wrong'), 5n, Number.NaN, -1, 1.5, true, {}, [], () => 1],
  boolean: [null, Symbol('wrong'), 0, 1, 'true', {}, []],
  string: [null, Symbol('wrong'), 5n, 0, true, {}, [], () => 'x'],
  names: [null, Symbol('wrong'), 0, 'nope', '', '__proto__', {}, []],
  bytes: [...NEVER, 0, 'x', {}, [1], new Uint16Array(2), new ArrayBuffer(2)],
  function: [null, Symbol('wrong'), 0, 'x', {}, []],
  list: [...NEVER, 0, 'x', {}, () => 1],
  plain: [null, Symbol('wrong'), 5n, 0, 'x', true, [], () => 1],
  object: [...NEVER, 0, 'x', {}, [], () => 1, Object.create(null)],
  any: [],
};
/** What is neither a name nor a record: for parameters whose type says nothing. */
const RECORDS = new Set(['event']);
/** May be anything, or any number. */
const FREE = new Set(['details', 'value', 'data', 'batch', '_bar']);

let one: Rig;
let objects: Record<string, object>;
let wasm: Uint8Array;
beforeAll(async () => {
  one = rig();
  objects = { ...one.objects, ...(await others(one)) };
  wasm = await nicDriver();
}, 120_000);
afterAll(() => (objects.WorkerPool as threadsEntry.WorkerPool).close());

/** Good arguments by function or parameter, where the kind does not say enough. */
const GOOD: Record<string, () => unknown> = {
  wasm: () => wasm,
  test: () => ({}),
  nic: () => NIC,
  scenario: () => workload.FAIL_NTH_SCENARIOS[0],
  findings: () => [],
  hardware: () => objects.ModelDevice,
  vocabularies: () => [],
  operation: () => ({ op: 'create', id: 1 }),
  maker: () => ({ op: 'create', id: 1 }),
  source: () => trace.inMemory(new Uint8Array(1)),
  text: () => '',
  seed: () => 1,
  stamp: () => 1,
  id: () => 1_000_000,
  size: () => 4,
  file: () => 'test/golden/iova/c_full.txt.gz',
  values: () => [1],
  weights: () => [1],
  from: () => [1],
  module: () => 'file:///x.mjs',
};

function good(name: string, takes: Kind): unknown {
  return name in GOOD ? GOOD[name]() : sampleOf(takes, objects);
}

async function thrownBy(call: () => unknown): Promise<unknown> {
  try {
    const result = await call();
    if (typeof (result as Iterator<unknown> | undefined)?.next === 'function') [...(result as Iterable<unknown>)];
  } catch (error) {
    return error ?? new Error('nothing');
  }
  return undefined;
}

/** Calls with each argument wrong in turn. Returns what was accepted, or refused by the engine. */
async function refusals({ parameters }: Member, call: (args: unknown[]) => unknown): Promise<string[]> {
  const wrong: string[] = [];
  for (const [i, { name, takes, optional }] of parameters.entries()) {
    const list = RECORDS.has(name) ? [...NEVER, 0, 'x', [], {}] : FREE.has(name) ? [] : WRONG[takes.kind];
    for (const value of list) {
      if ((value === undefined && optional) || (value === null && name === 'other')) continue;
      // A path of a module that is not there is an error of the module's.
      if (name === 'test' && typeof value === 'string') continue;
      // What a dictionary of the caller's holds, and an empty one, may be.
      const args = parameters.map((each, j) => (i === j ? value : good(each.name, each.takes)));
      const error = await thrownBy(() => call(args));
      if (typeof (error as { code?: unknown } | undefined)?.code === 'string') continue;
      wrong.push(`${name} = ${typeof value === 'object' ? JSON.stringify(value) : String(value)}: ${String(error)}`);
    }
  }
  return wrong;
}

describe('functions', () => {
  test.each(functions.map(({ name }) => name))('%s', async (name) => {
    const member = functions.find((each) => each.name === name)!;
    const before = stateOf(one.machine);
    expect(await refusals(member, (args) => entries[name](...args))).toEqual([]);
    expect(stateOf(one.machine)).toEqual(before);
  });
});

/** Classes whose members surface.test.ts looks at, and errors, which are values. */
const APART = [
  ...[
    'WorkerPool',
    'Audit',
    'Gaps',
    'FtraceWriter',
    'Operations',
    'Rebuild',
    'Request',
    'Contents',
    'Entities',
    'Random',
  ],
  ...[
    'Weighted',
    'World',
    'Repertoire',
    'CDriver',
    'ModelDevice',
    'Findings',
    'RingNicModel',
    'DriverScenario',
    'StressFailure',
    'UserBlock',
  ],
];

describe.each(APART)('%s', (type) => {
  const members = classes.get(type)!.filter(({ what, parameters }) => what !== 'getter' && parameters.length > 0);

  test.skipIf(members.length === 0)('its members and its constructor', async () => {
    const wrong: string[] = [];
    for (const member of members) {
      const { what, name } = member;
      const real = objects[type] as Record<string, (...args: unknown[]) => unknown>;
      const made = real.constructor as unknown as Record<string, (...args: unknown[]) => unknown>;
      const call = (args: unknown[]): unknown => {
        if (what === 'new') return Reflect.construct(made as never, args);
        if (what === 'static') return made[name](...args);
        if (what === 'setter') return Reflect.set(real, name, args[0]);
        return real[name](...args);
      };
      if (type === 'StressFailure' && what === 'new') continue;
      wrong.push(...(await refusals(member, call)).map((text) => `${name}: ${text}`));
    }
    expect(wrong).toEqual([]);
  });
});

test('every class is looked at, here or on a machine', () => {
  const errors = ['GemDmaError', 'RecordingError', 'TraceError', 'DriverStopped'];
  const parts = ['WorldPart', 'DmaPart', 'I915Part'];
  const known = new Set([...APART, ...errors, ...parts, 'Reclaim', 'ShmemFile', ...Object.keys(one.objects)]);
  expect([...classes.keys()].filter((name) => !known.has(name))).toEqual([]);
});
