import type { Member, Parameter } from '../surface/declarations.js';
import { valueFor } from '../surface/rig.js';
import { type Focus, receivers, type Stage } from './stage.js';

/** What hooks do besides their work. */

/** A call within a hook. Returns what is to be given back at the end. */
export type Act = (stage: Stage, focus: Focus) => unknown;

/** What acts throw. */
export class Thrown extends Error {}

function argument(stage: Stage, focus: Focus, parameter: Parameter): unknown {
  const objects = receivers(stage, focus);
  const { name, takes } = parameter;
  if (name === 'address' && objects.Process) return stage.address;
  if (name === 'snapshot') return stage.before;
  if (name === 'options') return undefined;
  if (takes.kind === 'object' && takes.type === 'ScatterTable') return stage.table();
  return valueFor({ machine: stage.machine, objects: objects as Record<string, object> } as never, parameter);
}

/** A call of a member with its required arguments. */
export function acting(type: string, { name, what, parameters }: Member): Act {
  return (stage, focus) => {
    const holder = receivers(stage, focus)[type] as Record<PropertyKey, unknown> | undefined;
    if (holder === undefined) return;
    const key = name === '[Symbol.dispose]' ? Symbol.dispose : name;
    if (what === 'getter') return void drained(holder[key]);
    const args = parameters.filter(({ optional }) => !optional).map((one) => argument(stage, focus, one));
    if (what === 'setter') return void (holder[key] = args[0]);
    return drained((holder[key] as (...given: unknown[]) => unknown).apply(holder, args));
  };
}

function drained(value: unknown): unknown {
  return typeof (value as Iterator<unknown> | undefined)?.next === 'function'
    ? [...(value as Iterable<unknown>)]
    : value;
}

/** Calls with more to them than their required arguments, and calls in a row. */
export const MORE: Record<string, Act> = {
  'bind, pinned': ({ gpu }, { object }) => object.bind(gpu.ggtt, { pin: true }),
  'bind in the context': ({ contexts }, { object }) => object.bind(contexts[0].vm),
  'bind a view': ({ gpu }, { object }) => object.bind(gpu.ggtt, { view: { type: 'partial', offset: 0, size: 1 } }),
  'unbind and bind again': (_, { object, vma }) => {
    vma?.unbind();
    return object.bind(vma?.vm ?? object.device.ggtt);
  },
  'everything evicted, bound again': ({ gpu, bo, user }) => {
    gpu.evictVm(gpu.ggtt);
    gpu.evictEverything();
    bo.bind(gpu.ggtt);
    user.bind(gpu.ggtt);
  },
  'shrunk, pages again': ({ gpu, bo, user, spare }) => {
    gpu.shrinkAll();
    for (const object of [bo, user, spare]) object.getPages();
  },
  'a batch of all': ({ gpu, contexts, bo, user, spare }) =>
    gpu.execbuffer(contexts[1], [{ object: bo }, { object: user }, { object: spare }], { busy: 3 }),
  'a batch, and time': ({ gpu, contexts, machine }, { object }) => {
    gpu.execbuffer(contexts[1], [{ object }], { busy: 3 });
    machine.clock.advance(5);
  },
  'all released': ({ bo, user, spare, phys, imported }) => {
    for (const object of [bo, user, spare, phys, imported]) object[Symbol.dispose]();
  },
  'contexts released': ({ contexts }) => {
    for (const context of contexts) context[Symbol.dispose]();
  },
  'the memory of the process': ({ process, address }) => process.munmap(address, 4096),
  'the memory of the process, discarded': ({ process, address }) => process.discard(address, 8192),
  'an object made, bound, released': ({ gpu, contexts }) => {
    const object = gpu.createObject(4096);
    object.bind(contexts[0].vm);
    gpu.execbuffer(contexts[1], [{ object }]);
    object.release();
  },
  purged: ({ bo, spare }) => {
    bo.madvise('dontneed');
    spare.madvise('dontneed');
    bo.madvise('willneed');
  },
  'pages of others dropped': ({ bo, user, spare }) => {
    for (const object of [bo, user, spare]) object.putPages();
  },
  'mapped and unmapped over and over': (_, { object }) => {
    object.unmapSg();
    object.unmapSg();
    object.mapSg();
  },
  'another import, mapped': ({ dmaBuf, card, gpu }) => {
    const attachment = dmaBuf.attach(card);
    attachment.map();
    gpu.importDmaBuf(dmaBuf).release();
    return attachment;
  },
  'exported, imported by the other GPU': ({ other }, { object }) => {
    const mine = other.importDmaBuf(object.export());
    mine.bind(other.ggtt);
    return mine;
  },
  'a GPU added, and removed if it may be': ({ machine }) => {
    const gpu = machine.addI915({ gen: 8, ggtt: 2 ** 30 });
    machine.clock.schedule(1000, () => gpu.remove());
    gpu.remove();
  },
  'the device detached': ({ gpu }) => gpu.dmaDevice.detach(),
  'no memory': ({ machine }) => machine.failAllocation('ram', 1),
};

/** Answers and ends of a hook that are none. */
export const ANSWERS: Record<string, Act> = {
  'throws an error': () => {
    throw new Thrown('by a hook');
  },
  'throws undefined': () => {
    throw undefined;
  },
  'throws null': () => {
    throw null;
  },
  'throws a number': () => {
    throw 5;
  },
  'throws what looks like an error': () => {
    throw Object.assign(new Error('made up'), { name: 'GemDmaError', errno: 0, code: 'OK' });
  },
  'throws what cannot be looked at': () => {
    throw Object.defineProperty(new Error('made up'), 'name', {
      get: () => {
        throw new Thrown('name');
      },
    });
  },
  'is asynchronous': async () => {},
  'is rejected': async () => {
    throw new Thrown('later');
  },
  'has a then that throws': () =>
    Object.defineProperty({}, ['th', 'en'].join(''), {
      get: () => {
        throw new Thrown('then');
      },
    }),
  'returns NaN': () => Number.NaN,
  'returns 1': () => 1,
  'returns no errno': () => -1e9,
  'returns an errno': () => -12,
  'returns a BigInt': () => 1n,
  'returns a Symbol': () => Symbol('x'),
  'returns text': () => '0',
  'returns an object': () => ({}),
};
