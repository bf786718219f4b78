import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { WorkerPool } from '../../../src/threads/index.js';
import { stateOf } from '../state.js';
import { declared, type Member } from './declarations.js';
import { ENTRIES, others } from './others.js';
import { rig, valueFor } from './rig.js';

/**
 * Every member of every public class of every entry, on a `this` that is not an object of the class: its prototype, what has an object as
 * prototype, a Proxy, an object of another class, nothing. The call is refused with an error that has a code, and nothing has
 * changed.
 */

const { classes } = declared(ENTRIES);
// It has the members of a device, in its own way.
const subjects = [...classes, ['NonCoherentDevice', classes.get('DmaDevice')!] as const];

function memberOf(object: object, { name, what }: Member): ((...args: unknown[]) => unknown) | undefined {
  const key = /^\[Symbol\.(\w+)\]$/.exec(name)?.[1];
  const property = key === undefined ? name : (Symbol[key as never] as symbol);
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertyDescriptor(at, property);
    if (found !== undefined) return what === 'getter' ? found.get : what === 'setter' ? found.set : found.value;
  }
  return undefined;
}

let more: Record<string, object> = {};
beforeAll(async () => {
  more = await others(rig());
}, 120_000);
afterAll(() => (more.WorkerPool as WorkerPool).close());

const documented = (error: unknown): boolean => typeof (error as { code?: unknown } | undefined)?.code === 'string';

describe.each(subjects)('%s', (type, members) => {
  const own = members.filter(({ what }) => what !== 'static' && what !== 'new');

  test.runIf(own.length > 0)('on what is no object of the class', async () => {
    const one = rig();
    const real = { ...one.objects, ...more }[type];
    expect(real, `an object of ${type}`).toBeDefined();
    const foreign = Object.entries(one.objects).filter(([, object]) => !shares(object, real));
    const receivers: [string, unknown][] = [
      ['the prototype', Object.getPrototypeOf(real)],
      ['Object.create of the prototype', Object.create(Object.getPrototypeOf(real) as object)],
      ['Object.create of an object', Object.create(real)],
      ['a Proxy', new Proxy(real, {})],
      ['a copy', Object.setPrototypeOf({ ...real }, Object.getPrototypeOf(real) as object)],
      ['an empty object', {}],
      ...['undefined', 'null', 'a number'].map((what, i): [string, unknown] => [what, [undefined, null, 5][i]]),
      ...foreign.map(([name, object]): [string, unknown] => [`a ${name}`, object]),
    ];
    const before = stateOf(one.machine);
    const wrong: string[] = [];
    for (const member of own) {
      const call = memberOf(real, member);
      // Of a pair of a getter and a setter one may be missing.
      if (call === undefined && member.what === 'getter') continue;
      expect(call, member.name).toBeTypeOf('function');
      const args = member.parameters.map((parameter) => valueFor(one, parameter));
      for (const [what, receiver] of receivers) {
        try {
          const result: unknown = await Reflect.apply(call!, receiver, args);
          if (typeof (result as Iterator<unknown> | undefined)?.next === 'function') [...(result as Iterable<unknown>)];
          wrong.push(`${member.name} on ${what}: returned`);
        } catch (error) {
          if (!documented(error)) wrong.push(`${member.name} on ${what}: ${String(error)}`);
        }
      }
    }
    expect(wrong.slice(0, 40)).toEqual([]);
    expect(stateOf(one.machine)).toEqual(before);
    one.machine.check();
  });
});

/** Classes that anybody may make objects of, without arguments: what they hold is their own. */
const OPEN = new Set(['Findings', 'Contents', 'Entities', 'Operations', 'Rebuild', 'DriverStopped']);
/** Extended by drivers and vocabularies of one's own: their constructors look at what they are given. */
const EXTENDED = new Set(['Living', 'Shared', 'DrmDevice', 'DrmGemObject', 'WorldPart']);

describe('constructors', () => {
  test.each([...classes].filter(([, members]) => !members.some(({ what }) => what === 'new')).map(([type]) => type))(
    '%s',
    (type) => {
      const one = rig();
      const real = { ...one.objects, ...more }[type];
      if (OPEN.has(type)) return;
      expect(real, type).toBeDefined();
      let made = real.constructor as new (...args: unknown[]) => object;
      while (EXTENDED.has(type) && made.name !== type) made = Object.getPrototypeOf(made) as typeof made;
      const before = stateOf(one.machine);
      const wrong: string[] = [];
      const { machine } = one;
      const gpu = one.objects.I915Device;
      const device = one.objects.DmaDevice;
      const lists = [
        [],
        [undefined],
        [null],
        [5],
        [{}],
        [Symbol('made by the library')],
        [machine],
        [machine, device],
        [gpu, 4096],
      ];
      const own = class extends made {};
      for (const args of [
        ...lists,
        [machine.core, machine.context],
        [device, 4096, 4096],
        [machine.core.timeline, 'x'],
      ]) {
        // Living and Shared are extended by classes of the library alone, which check their arguments.
        if (EXTENDED.has(type) && args[0] === machine.core.timeline) continue;
        for (const each of [made, own]) {
          try {
            new each(...args);
            if (type !== 'DrmGemObject')
              wrong.push(`${each === made ? 'new' : 'extended'} (${args.map(String)}): made`);
          } catch (error) {
            const { code } = error as { code?: string };
            if (EXTENDED.has(type) ? code === undefined : code !== 'ERR_ILLEGAL_CONSTRUCTOR') wrong.push(String(error));
          }
        }
      }
      expect(wrong).toEqual([]);
      if (type !== 'DrmGemObject') expect(stateOf(one.machine)).toEqual(before);
    },
  );
});

/** Whether an object is of a class of which the other one is, too, so that members of that class are its own. */
function shares(a: object, b: object): boolean {
  const chain = (one: object): object[] => {
    const all: object[] = [];
    for (let at = Object.getPrototypeOf(one) as object; at !== Object.prototype; ) {
      all.push(at);
      at = Object.getPrototypeOf(at) as object;
    }
    return all;
  };
  const those = new Set(chain(b));
  return chain(a).some((prototype) => those.has(prototype));
}
