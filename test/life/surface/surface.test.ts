import { describe, expect, test } from 'vitest';
import { GemDmaError } from '../../../src/core/errors.js';
import * as library from '../../../src/index.js';
import * as threads from '../../../src/threads/index.js';
import { stateOf } from '../state.js';
import { declared, type Member, type Parameter } from './declarations.js';
import { bare, DEATHS, type Rig, rig, valueFor } from './rig.js';

/**
 * Every member of every public class, found in the declarations: on objects that are dead, restored away, made up or of a
 * machine that was disposed, and with arguments that are each in turn of the wrong type, dead, made up, another machine's.
 * All of it is refused, and nothing has changed.
 */

const { classes, functions } = declared(['dist/index.d.ts', 'dist/threads/index.d.ts']);

/** No object of a machine: plain values, readers of traces, errors; workers (test/threads). */
const APART = new Set([
  ...['GemDmaError', 'RecordingError', 'TraceError', 'StressFailure', 'WorkerPool'],
  // A block of bytes as a client's memory, which it finds its errors in: test/uapi.
  'UserBlock',
  ...['Audit', 'Gaps', 'FtraceWriter', 'Operations', 'Rebuild', 'Request'],
  // What a vocabulary of a stress run is made with: test/stress.
  ...['Contents', 'Entities', 'Random', 'Weighted', 'WorldPart', 'World', 'Repertoire', 'I915Part', 'DmaPart'],
]);
/** A driver's inside, which the types of others lead to: nobody is given one. */
const INNER = new Set(['ShmemFile', 'Reclaim', 'ModelDevice']);

/** What may be asked of the dead: plain facts, and what does nothing. */
const FACTS = new Set([
  'alive',
  'coherent',
  'toString',
  'vmas',
  'pinned',
  'madvised',
  'allocated',
  'liveObjects',
  'size',
  'devices',
  'pending',
  'domain',
  'onError',
  'strict',
  'dmaDebug',
  // A closed file says so: EBADF.
  'ioctl',
]);
const ENDS = new Set([
  'close',
  'unmap',
  'destroy',
  'release',
  'exit',
  'free',
  'detach',
  'unbind',
  'remove',
  '[Symbol.dispose]',
]);

const subjects = [...classes].filter(([name]) => !APART.has(name) && !INNER.has(name));
// It has the members of a device, in its own way.
subjects.push(['NonCoherentDevice', classes.get('DmaDevice')!.filter(({ what }) => what !== 'new')]);

function use(receiver: object, { name, what }: Member, args: readonly unknown[]): unknown {
  const key = name === '[Symbol.dispose]' ? Symbol.dispose : name;
  const holder = receiver as Record<PropertyKey, unknown>;
  if (what === 'getter') return drained(holder[key]);
  if (what === 'setter') return (holder[key] = args[0]);
  return drained((holder[key] as (...given: unknown[]) => unknown).apply(receiver, [...args]));
}

// Generators begin when they are asked.
function drained(value: unknown): unknown {
  return typeof (value as Iterator<unknown> | undefined)?.next === 'function'
    ? [...(value as Iterable<unknown>)]
    : value;
}

/** What a call threw, undefined for nothing. */
async function thrownBy(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error ?? new Error('nothing was thrown');
  }
}

const argumentsFor = (one: Rig, member: Member): unknown[] =>
  member.parameters.map((parameter) => valueFor(one, parameter));

function named(type: string, { what, name }: Member): string {
  return what === 'new'
    ? `new ${type}`
    : `${type}.${name}${what === 'getter' || what === 'setter' ? ` (${what})` : ''}`;
}

describe.each(subjects)('%s', (type, members) => {
  const own = members.filter(({ what }) => what !== 'static' && what !== 'new');

  test('has an object in the rig', () => {
    expect(rig().objects[type], type).toBeDefined();
  });

  test.runIf(type in DEATHS)('dead', async () => {
    const one = rig();
    const other = rig(one.machine);
    const receiver = one.objects[type];
    DEATHS[type](receiver as never, one);
    const before = stateOf(one.machine);
    for (const member of own) {
      const error = await thrownBy(() => use(receiver, member, argumentsFor(other, member)));
      if (FACTS.has(member.name)) continue;
      const gone = error instanceof GemDmaError && error.reason === 'OBJECT_DESTROYED';
      if (!gone && !(ENDS.has(member.name) && error === undefined)) {
        expect.fail(`${named(type, member)} on what is dead: ${error}`);
      }
    }
    expect(stateOf(one.machine)).toEqual(before);
  });

  test.runIf(type in DEATHS)('made after the snapshot that the machine went back to', async () => {
    const machine = bare();
    const snapshot = machine.snapshot();
    const receiver = rig(machine).objects[type];
    machine.restore(snapshot);
    const other = rig(machine);
    const before = stateOf(machine);
    for (const member of own) {
      const error = await thrownBy(() => use(receiver, member, argumentsFor(other, member)));
      if (FACTS.has(member.name)) continue;
      const gone = error instanceof GemDmaError && error.reason === 'OBJECT_RESTORED_AWAY';
      if (!gone && !(member.name === '[Symbol.dispose]' && error === undefined)) {
        expect.fail(`${named(type, member)} on what was restored away: ${error}`);
      }
    }
    expect(stateOf(machine)).toEqual(before);
  });

  test('of a machine that was disposed', async () => {
    const one = rig();
    const { pending } = one.machine.clock;
    const receiver = one.objects[type];
    one.machine[Symbol.dispose]();
    expect(one.machine.clock.pending).toBe(pending);
    for (const member of own) {
      const error = await thrownBy(() => use(receiver, member, argumentsFor(one, member)));
      if (FACTS.has(member.name)) continue;
      const gone = error instanceof GemDmaError && error.reason === 'MACHINE_DISPOSED';
      if (!gone && !(member.name === '[Symbol.dispose]' && error === undefined)) {
        expect.fail(`${named(type, member)} of a disposed machine: ${error}`);
      }
    }
  });
});

/** Values that a parameter may not have, by what it takes. */
const OTHER: Record<string, readonly unknown[]> = {
  number: ['4096', '', null, true, {}, [], [1], () => 1, 5n, Symbol('wrong'), Number.NaN, { valueOf: () => 1 }],
  size: [null, true, {}, [], () => 1, 5n, Symbol('wrong'), Number.NaN, 'x', '-1', 1.5, -1],
  boolean: [null, 0, 1, 'true', {}, [], () => true],
  string: [null, 0, true, {}, [], () => 'x', Symbol('wrong')],
  names: [null, 0, 1, true, {}, [], 'nope', '', 'toString', '__proto__'],
  bytes: [null, 0, 'x', true, {}, [1], new Uint16Array(2), new DataView(new ArrayBuffer(2)), new ArrayBuffer(2)],
  function: [null, 0, 'x', true, {}, []],
  list: [
    null,
    0,
    'x',
    true,
    () => 1,
    Symbol('wrong'),
    { length: -1 },
    { length: 1.5 },
    { length: 'x' },
    [undefined],
    [Number.NaN],
    [{}],
    ['1'],
  ],
  plain: [null, 0, 'x', true, [], () => 1, Symbol('wrong'), { oops: 1 }],
  object: [null, 0, 4096, 'x', true, {}, [], () => 1, { handle: 4096, alive: true, core: {}, context: 1024 }],
};
/** Numbers that need not be whole. */
const FRACTIONS = new Set(['delay', 'milliseconds', 'target']);
/** Any machine's will do; what makes a machine is its core, which a copy has, too. */
const HOSTS = new Set(['Machine', 'PhysicalMemory']);
/** What takes anything, or nothing that could be wrong: dictionaries, data, what a shrinker is known by. */
const ANY = new Set(['data', 'ErrorOptions']);

interface Wrong {
  value: unknown;
  what: string;
  expected: RegExp;
}

function wrongs(one: Rig, elsewhere: Rig, dead: Rig, { name, takes, optional }: Parameter): Wrong[] {
  const bad: Wrong[] = [];
  if (takes.kind === 'any' || ANY.has(name)) return bad;
  const expected = takes.kind === 'object' ? /TypeError|EXDEV/ : /TypeError|RangeError/;
  for (const value of OTHER[takes.kind]) bad.push({ value, what: show(value), expected });
  if (!optional) bad.push({ value: undefined, what: 'undefined', expected: /TypeError|RangeError/ });
  if (takes.kind === 'number' && !FRACTIONS.has(name))
    bad.push({ value: 1.5, what: '1.5', expected: /RangeError|TypeError/ });
  if (takes.kind === 'object') {
    const real = one.objects[takes.type];
    const copies: object[] = takes.type === 'Machine' ? [] : [Object.create(real), { ...real }];
    for (const value of [Object.create(Object.getPrototypeOf(real)), ...copies] as object[]) {
      bad.push({ value, what: 'made up', expected: /TypeError|EXDEV/ });
    }
    if (!HOSTS.has(takes.type) && takes.type !== 'DrmGemObject')
      bad.push({ value: elsewhere.objects[takes.type], what: "another machine's", expected: /EXDEV/ });
    if (takes.type in DEATHS) bad.push({ value: dead.objects[takes.type], what: 'dead', expected: /ENODEV/ });
  }
  return bad;
}

/** Errors of the library have a code; the engine's own have none. */
function documented(error: unknown): boolean {
  return typeof (error as { code?: unknown } | undefined)?.code === 'string';
}

function show(value: unknown): string {
  return typeof value === 'object' && value !== null
    ? JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}n` : v))
    : String(value);
}

/** Everything that takes arguments: [title, how it is called, its parameters, whose object it is called on]. */
function callsWithArguments(): [string, (one: Rig, args: unknown[]) => unknown, Parameter[]][] {
  const all: [string, (one: Rig, args: unknown[]) => unknown, Parameter[]][] = [];
  const values = { ...library, ...threads } as unknown as Record<string, never>;
  for (const [type, members] of subjects) {
    for (const member of members) {
      if (member.parameters.length === 0) continue;
      const { what, name, parameters } = member;
      const value = values[type] as unknown as Record<string, (...args: unknown[]) => unknown> | undefined;
      if (what === 'new') {
        if (typeof value === 'function') {
          all.push([named(type, member), (_, args) => Reflect.construct(value as never, args), parameters]);
        }
      } else if (what === 'static') {
        if (value !== undefined) all.push([named(type, member), (_, args) => value[name](...args), parameters]);
      } else all.push([named(type, member), (one, args) => use(one.objects[type], member, args), parameters]);
    }
  }
  for (const { name, parameters } of functions) {
    const fn = values[name] as unknown as (...args: unknown[]) => unknown;
    if (ON_MACHINES.has(name)) all.push([name, (_, args) => fn(...args), parameters]);
  }
  return all;
}

/** Functions of machines. What takes options is walked by options.test.ts; the rest is text and traces. */
const ON_MACHINES = new Set(['deviceRead', 'deviceWrite', 'exportObject', 'contention']);
const ELSEWHERE =
  /^(format|report|verify|readTrace|parse|whatIf|inMemory|bench|run|failNth|stress|i915Vocabulary|stamped|packStruct|unpackStruct|structSize)/;

test('every function is looked at', () => {
  const names = functions.map(({ name }) => name).filter((name) => !ON_MACHINES.has(name) && !ELSEWHERE.test(name));
  expect(names).toEqual([]);
});

describe('arguments', () => {
  test.each(callsWithArguments())('%s', async (title, call, parameters) => {
    const one = rig();
    const elsewhere = rig();
    const dead = rig(one.machine);
    for (const [type, kill] of Object.entries(DEATHS)) {
      // Devices go last: what lives in one goes with it.
      if (!['DmaDevice', 'StreamingDevice', 'LinkedRange', 'Living', 'DrmGemObject', 'Shared'].includes(type))
        await thrownBy(() => kill(dead.objects[type] as never, dead));
    }
    await thrownBy(() => DEATHS.DmaDevice(dead.objects.DmaDevice as never, dead));
    const before = stateOf(one.machine);
    const accepted: string[] = [];
    for (const [i, parameter] of parameters.entries()) {
      for (const { value, what, expected } of wrongs(one, elsewhere, dead, parameter)) {
        const args = parameters.map((each, j) => (i === j ? value : valueFor(one, each)));
        const error = await thrownBy(() => call(one, args));
        const text = String(error);
        if (!documented(error) || !expected.test(`${(error as Error).name} ${text}`))
          accepted.push(`${parameter.name} = ${what}: ${text}`);
      }
    }
    expect(accepted, title).toEqual([]);
    expect(stateOf(one.machine)).toEqual(before);
    one.machine.check();
  });
});
