import type { AddressSpace } from '../../gem/address-space.js';
import type { GemObject } from '../../gem/object.js';
import type { Vma } from '../../gem/vma.js';
import { Contents, stamped } from './contents.js';
import type { Operation, OperationKind } from './operation.js';
import type { Random } from './random.js';
import type { Bo, World } from './world.js';

/**
 * What processes do with a GPU's objects. `bo`, `ctx` and `gpu` name things by the ids that the making operation gave
 * them; context 0 is the global GTT of the object's own GPU.
 */
type GemOperation = OperationKind<World>;

const PAGE = 4096;
/** vma.bound: entries for the driver in the GGTT, entries for batches. */
const GLOBAL_BIND = 1;
const LOCAL_BIND = 2;
const CACHINGS = ['none', 'llc', 'l3-llc'] as const;
/** Longest piece of memory that is read or written at once. */
const MAX_BYTES = 200;

const arg = (operation: Operation, name: string): number => operation[name] as number;

function boOf(world: World, operation: Operation): Bo | undefined {
  return world.objects.get(arg(operation, 'bo'));
}

/** An operation on a random object, nothing else. */
function onObject(
  name: string,
  act: (bo: Bo, world: World, operation: Operation) => boolean,
  code: string,
  possible?: (bo: Bo) => boolean,
): GemOperation {
  return {
    name,
    generate: (world, random) => {
      const bo = world.objects.pick(random);
      return bo === undefined || !(possible?.(world.objects.get(bo)!) ?? true) ? null : { op: name, bo };
    },
    apply: (world, operation) => {
      const bo = boOf(world, operation);
      return bo !== undefined && act(bo, world, operation);
    },
    print: ({ bo }) => [`bo${bo}.${code};`],
  };
}

/** The address space that an operation names for an object; undefined when the context is gone or another GPU's. */
function spaceOf(world: World, bo: Bo, ctx: number): AddressSpace | undefined {
  if (ctx === 0) return bo.object.device.ggtt;
  const context = world.contexts.get(ctx);
  return context?.device === bo.object.device ? context.vm : undefined;
}

function printSpace(operation: Operation): string {
  const { gpu, ctx } = operation;
  return ctx === 0 ? `gpu${gpu}.ggtt` : `ctx${ctx}.vm`;
}

/** A random context of the object's GPU, or 0 for its GGTT. */
function pickSpace(world: World, bo: Bo, random: Random): number {
  if (random.oneIn(3)) return 0;
  for (let tries = 0; tries < 4; ++tries) {
    const ctx = world.contexts.pick(random);
    if (ctx === undefined) return 0;
    if (world.contexts.get(ctx)!.device === bo.object.device) return ctx;
  }
  return 0;
}

/** The object's vma in a space when the GPU can really read through it: bound, the whole object, right kind of entries. */
function readable(bo: Bo, vm: AddressSpace): Vma | undefined {
  const vma = bo.object.vma(vm);
  if (vma === undefined || vma.node === 0 || vma.view !== undefined) return undefined;
  return (vma.bound & (vm.isGgtt ? GLOBAL_BIND : LOCAL_BIND)) !== 0 ? vma : undefined;
}

/** A random range within an object. */
function range(object: GemObject, random: Random): { offset: number; length: number } {
  const length = 1 + random.below(Math.min(MAX_BYTES, object.size));
  // Often at a page boundary, where mistakes are.
  const offset = random.oneIn(2)
    ? Math.max(0, Math.min(object.size - length, random.below(object.size / PAGE) * PAGE - (length >> 1)))
    : random.below(object.size - length + 1);
  return { offset, length };
}

function* smallerRange(operation: Operation): Iterable<Operation> {
  if (arg(operation, 'length') > 1) yield { ...operation, length: 1 };
  if (arg(operation, 'offset') > 0) yield { ...operation, offset: 0 };
}

const create: GemOperation = {
  name: 'create',
  generate: (world, random) => {
    if (world.objects.size >= world.config.limits.objects) return null;
    return { op: 'create', id: world.newId(), gpu: random.below(world.gpus.length), pages: world.pages.draw(random) };
  },
  apply: (world, operation) => {
    const gpu = world.gpus[arg(operation, 'gpu')];
    const object = gpu.createObject(arg(operation, 'pages') * PAGE);
    world.objects.add(arg(operation, 'id'), { object, contents: new Contents() });
    return true;
  },
  print: ({ id, gpu, pages }) => [`const bo${id} = gpu${gpu}.createObject(${(pages as number) * PAGE});`],
  *simpler(operation) {
    if (arg(operation, 'pages') > 1) yield { ...operation, pages: 1 };
  },
};

const close = onObject(
  'close',
  ({ object, userptr }, world, operation) => {
    world.objects.delete(arg(operation, 'bo'));
    object.release();
    if (userptr) userptr.process.munmap(userptr.address, object.size);
    return true;
  },
  'release()',
);

const bind: GemOperation = {
  name: 'bind',
  generate: (world, random) => {
    const id = world.objects.pick(random);
    if (id === undefined) return null;
    const bo = world.objects.get(id)!;
    return { op: 'bind', bo: id, gpu: world.gpus.indexOf(bo.object.device), ctx: pickSpace(world, bo, random) };
  },
  apply: (world, operation) => {
    const bo = boOf(world, operation);
    const vm = bo && spaceOf(world, bo, arg(operation, 'ctx'));
    if (!vm) return false;
    bo.object.bind(vm);
    return true;
  },
  print: (operation) => [`bo${operation.bo}.bind(${printSpace(operation)});`],
  *simpler(operation) {
    if (operation.ctx !== 0) yield { ...operation, ctx: 0 };
  },
};

const unbind: GemOperation = {
  name: 'unbind',
  generate: (world, random) => {
    for (let tries = 0; tries < 8; ++tries) {
      const id = world.objects.pick(random);
      if (id === undefined) return null;
      const bo = world.objects.get(id)!;
      const ctx = pickSpace(world, bo, random);
      const vm = spaceOf(world, bo, ctx)!;
      const vma = bo.object.vma(vm);
      if (vma && vma.node !== 0) return { op: 'unbind', bo: id, gpu: world.gpus.indexOf(bo.object.device), ctx };
    }
    return null;
  },
  apply: (world, operation) => {
    const bo = boOf(world, operation);
    const vm = bo && spaceOf(world, bo, arg(operation, 'ctx'));
    const vma = vm && bo.object.vma(vm);
    if (!vma || vma.node === 0) return false;
    vma.unbind();
    return true;
  },
  print: (operation) => [`bo${operation.bo}.vma(${printSpace(operation)})?.unbind();`],
};

const getPages = onObject(
  'getPages',
  ({ object }) => {
    object.getPages();
    return true;
  },
  'getPages()',
);

const putPages = onObject(
  'putPages',
  ({ object }) => {
    if (object.pages === 0) return false;
    object.putPages();
    return true;
  },
  'putPages()',
  // Now and then on pinned pages, too: to be refused is part of the work.
  ({ object: { pages, pagesPinCount, id } }) => pages !== 0 && (pagesPinCount === 0 || id % 16 === 0),
);

const pwrite: GemOperation = {
  name: 'pwrite',
  generate: (world, random) => {
    const id = world.objects.pick(random);
    if (id === undefined) return null;
    return { op: 'pwrite', bo: id, ...range(world.objects.get(id)!.object, random), stamp: random.u32() };
  },
  apply: (world, operation) => {
    const bo = boOf(world, operation);
    if (!bo) return false;
    const offset = arg(operation, 'offset');
    const bytes = stamped(arg(operation, 'stamp'), arg(operation, 'length'));
    if (offset + bytes.length > bo.object.size) return false;
    world.writing(bo, () => {
      if (bo.userptr) bo.userptr.process.write(bo.userptr.address + offset, bytes);
      else bo.object.pwrite(offset, bytes);
    });
    bo.contents.write(offset, bytes);
    return true;
  },
  print: ({ bo, offset, length, stamp }) => [`bo${bo}.pwrite(${offset}, stamped(${stamp}, ${length}));`],
  simpler: smallerRange,
};

const pread: GemOperation = {
  name: 'pread',
  generate: (world, random) => {
    const id = world.objects.pick(random);
    if (id === undefined) return null;
    return { op: 'pread', bo: id, ...range(world.objects.get(id)!.object, random) };
  },
  apply: (world, operation) => {
    const bo = boOf(world, operation);
    const offset = arg(operation, 'offset');
    const length = arg(operation, 'length');
    if (!bo || offset + length > bo.object.size) return false;
    const bytes = bo.userptr
      ? bo.userptr.process.read(bo.userptr.address + offset, length)
      : bo.object.pread(offset, length);
    world.compare('cpu', bo, offset, bytes);
    return true;
  },
  print: ({ bo, offset, length }) => [`bo${bo}.pread(${offset}, ${length});`],
  simpler: smallerRange,
};

/** A GPU access through an address space in which the object is bound. */
function gpuAccess(name: 'gpuRead' | 'gpuWrite'): GemOperation {
  const write = name === 'gpuWrite';
  return {
    name,
    generate: (world, random) => {
      for (let tries = 0; tries < 8; ++tries) {
        const id = world.objects.pick(random);
        if (id === undefined) return null;
        const bo = world.objects.get(id)!;
        const ctx = pickSpace(world, bo, random);
        if (!readable(bo, spaceOf(world, bo, ctx)!)) continue;
        const operation = {
          op: name,
          bo: id,
          gpu: world.gpus.indexOf(bo.object.device),
          ctx,
          ...range(bo.object, random),
        };
        return write ? { ...operation, stamp: random.u32() } : operation;
      }
      return null;
    },
    apply: (world, operation) => {
      const bo = boOf(world, operation);
      const vm = bo && spaceOf(world, bo, arg(operation, 'ctx'));
      const vma = vm && readable(bo, vm);
      const offset = arg(operation, 'offset');
      const length = arg(operation, 'length');
      if (!vma || offset + length > bo.object.size) return false;
      const gpu = bo.object.device;
      world.accessing(() => {
        if (write) {
          const bytes = stamped(arg(operation, 'stamp'), length);
          world.writing(bo, () => gpu.write(vm!, vma.start + offset, bytes));
          bo.object.dirty = true;
          bo.contents.write(offset, bytes);
        } else world.compare('gpu', bo, offset, gpu.read(vm!, vma.start + offset, length));
      });
      return true;
    },
    print: (operation) => {
      const { bo, gpu, offset, length, stamp } = operation;
      const space = printSpace(operation);
      const address = `bo${bo}.vma(${space}).start + ${offset}`;
      return write
        ? [`gpu${gpu}.write(${space}, ${address}, stamped(${stamp}, ${length}));`]
        : [`gpu${gpu}.read(${space}, ${address}, ${length});`];
    },
    simpler: smallerRange,
  };
}

const exec: GemOperation = {
  name: 'exec',
  generate: (world, random) => {
    const ctx = world.contexts.pick(random);
    if (ctx === undefined) return null;
    const gpu = world.contexts.get(ctx)!.device;
    const bos: number[] = [];
    const objects = new Set<GemObject>();
    for (let i = 1 + random.below(5); i > 0; --i) {
      const id = world.objects.pick(random);
      const object = id === undefined ? undefined : world.objects.get(id)!.object;
      if (object?.device !== gpu || objects.has(object)) continue;
      objects.add(object);
      bos.push(id!);
    }
    if (bos.length === 0) return null;
    return { op: 'exec', gpu: world.gpus.indexOf(gpu), ctx, bos, busy: random.below(5) };
  },
  apply: (world, operation) => {
    const context = world.contexts.get(arg(operation, 'ctx'));
    if (!context) return false;
    const objects = new Set<GemObject>();
    for (const id of operation.bos as readonly number[]) {
      const object = world.objects.get(id)?.object;
      if (object?.device === context.device) objects.add(object);
    }
    if (objects.size === 0) return false;
    context.device.execbuffer(
      context,
      [...objects].map((object) => ({ object })),
      { busy: arg(operation, 'busy') },
    );
    return true;
  },
  print: ({ gpu, ctx, bos, busy }) => [
    `gpu${gpu}.execbuffer(ctx${ctx}, [${(bos as number[]).map((bo) => `{ object: bo${bo} }`).join(', ')}], { busy: ${busy} });`,
  ],
  *simpler(operation) {
    const bos = operation.bos as readonly number[];
    if (bos.length > 1) for (const bo of bos) yield { ...operation, bos: bos.filter((other) => other !== bo) };
    if (arg(operation, 'busy') > 0) yield { ...operation, busy: 0 };
  },
};

const madvise: GemOperation = {
  name: 'madvise',
  generate: (world, random) => {
    const bo = world.objects.pick(random);
    return bo === undefined ? null : { op: 'madvise', bo, needed: random.oneIn(2) };
  },
  apply: (world, operation) => {
    const bo = boOf(world, operation);
    if (!bo) return false;
    bo.object.madvise(operation.needed ? 'willneed' : 'dontneed');
    return true;
  },
  print: ({ bo, needed }) => [`bo${bo}.madvise('${needed ? 'willneed' : 'dontneed'}');`],
};

const caching: GemOperation = {
  name: 'caching',
  generate: (world, random) => {
    const bo = world.objects.pick(random);
    return bo === undefined ? null : { op: 'caching', bo, level: random.below(CACHINGS.length) };
  },
  apply: (world, operation) => {
    const bo = boOf(world, operation);
    if (!bo) return false;
    bo.object.setCacheLevel(CACHINGS[arg(operation, 'level')]);
    return true;
  },
  print: ({ bo, level }) => [`bo${bo}.setCacheLevel('${CACHINGS[level as number]}');`],
};

const context: GemOperation = {
  name: 'context',
  generate: (world, random) => {
    if (world.contexts.size >= world.config.limits.contexts) return null;
    return { op: 'context', id: world.newId(), gpu: random.below(world.gpus.length) };
  },
  apply: (world, operation) => {
    world.contexts.add(arg(operation, 'id'), world.gpus[arg(operation, 'gpu')].createContext());
    return true;
  },
  print: ({ id, gpu }) => [`const ctx${id} = gpu${gpu}.createContext();`],
};

const contextClose: GemOperation = {
  name: 'contextClose',
  generate: (world, random) => {
    const ctx = world.contexts.pick(random);
    return ctx === undefined ? null : { op: 'contextClose', ctx };
  },
  apply: (world, operation) => {
    const ctx = world.contexts.get(arg(operation, 'ctx'));
    if (!ctx) return false;
    world.contexts.delete(arg(operation, 'ctx'));
    ctx.release();
    return true;
  },
  print: ({ ctx }) => [`ctx${ctx}.release();`],
};

const userptr: GemOperation = {
  name: 'userptr',
  generate: (world, random) => {
    if (world.objects.size >= world.config.limits.objects) return null;
    const populate = random.oneIn(2);
    const gpu = random.below(world.gpus.length);
    return { op: 'userptr', id: world.newId(), gpu, pages: world.pages.draw(random), populate };
  },
  apply: (world, operation) => {
    const { process } = world;
    const size = arg(operation, 'pages') * PAGE;
    const address = process.mmap(size, { populate: operation.populate as boolean });
    let object: GemObject;
    try {
      object = world.gpus[arg(operation, 'gpu')].createUserptr(process, address, size);
    } catch (error) {
      process.munmap(address, size);
      throw error;
    }
    world.objects.add(arg(operation, 'id'), { object, contents: new Contents(), userptr: { process, address } });
    return true;
  },
  print: ({ id, gpu, pages, populate }) => [
    `const range${id} = process.mmap(${(pages as number) * PAGE}, { populate: ${populate} });`,
    `const bo${id} = gpu${gpu}.createUserptr(process, range${id}, ${(pages as number) * PAGE});`,
  ],
  *simpler(operation) {
    if (arg(operation, 'pages') > 1) yield { ...operation, pages: 1 };
    if (operation.populate === false) yield { ...operation, populate: true };
  },
};

const invalidate: GemOperation = {
  name: 'invalidate',
  generate: (world, random) => {
    for (let tries = 0; tries < 8; ++tries) {
      const bo = world.objects.pick(random);
      if (bo !== undefined && world.objects.get(bo)!.userptr) return { op: 'invalidate', bo };
    }
    return null;
  },
  apply: (world, operation) => {
    const bo = boOf(world, operation);
    if (!bo?.userptr) return false;
    bo.userptr.process.discard(bo.userptr.address, bo.object.size);
    bo.contents.clear();
    return true;
  },
  print: ({ bo }) => [`process.discard(range${bo}, bo${bo}.size);`],
};

const importDmaBuf: GemOperation = {
  name: 'import',
  generate: (world, random) => {
    if (world.objects.size >= world.config.limits.objects) return null;
    const bo = world.objects.pick(random);
    if (bo === undefined) return null;
    return { op: 'import', id: world.newId(), bo, gpu: random.below(world.gpus.length) };
  },
  apply: (world, operation) => {
    const bo = boOf(world, operation);
    // Only what is the driver's own to lend: a userptr's pages go when their process says so, whoever uses them.
    if (bo?.object.backing.kind !== 'shmem') return false;
    const dmaBuf = bo.object.export();
    try {
      const object = world.gpus[arg(operation, 'gpu')].importDmaBuf(dmaBuf);
      world.objects.add(arg(operation, 'id'), { object, contents: bo.contents });
    } finally {
      dmaBuf.release();
    }
    return true;
  },
  print: ({ id, bo, gpu }) => [
    `const buf${id} = bo${bo}.export();`,
    `const bo${id} = gpu${gpu}.importDmaBuf(buf${id});`,
    `buf${id}.release();`,
  ],
};

const shrink: GemOperation = {
  name: 'shrink',
  generate: (world, random) => ({
    op: 'shrink',
    gpu: random.below(world.gpus.length),
    pages: 1 << random.below(12),
  }),
  apply: (world, operation) => world.gpus[arg(operation, 'gpu')].shrinkerScan(arg(operation, 'pages')) > 0,
  print: ({ gpu, pages }) => [`gpu${gpu}.shrinkerScan(${pages});`],
};

const evict: GemOperation = {
  name: 'evict',
  generate: (world, random) => {
    const ctx = world.contexts.pick(random) ?? 0;
    const gpu = ctx === 0 ? random.below(world.gpus.length) : world.gpus.indexOf(world.contexts.get(ctx)!.device);
    return { op: 'evict', gpu, ctx: random.oneIn(3) ? 0 : ctx };
  },
  apply: (world, operation) => {
    const gpu = world.gpus[arg(operation, 'gpu')];
    const ctx = arg(operation, 'ctx');
    const vm = ctx === 0 ? gpu.ggtt : world.contexts.get(ctx)?.vm;
    if (!vm) return false;
    gpu.evictVm(vm);
    return true;
  },
  print: (operation) => [`gpu${operation.gpu}.evictVm(${printSpace(operation)});`],
};

export const gemOperations: readonly GemOperation[] = [
  create,
  close,
  bind,
  unbind,
  getPages,
  putPages,
  pwrite,
  pread,
  gpuAccess('gpuRead'),
  gpuAccess('gpuWrite'),
  exec,
  madvise,
  caching,
  context,
  contextClose,
  userptr,
  invalidate,
  importDmaBuf,
  shrink,
  evict,
];
