import { PAGE_SIZE } from '../core/generated/constants.js';
import type { GemObject } from '../i915/object.js';
import type { OperationKind } from '../stress/engine/operation.js';
import { Contents } from '../stress/world/contents.js';
import { boOf, onObject } from './common.js';
import type { Bo, I915Part } from './part.js';
import type { Kind } from './types.js';

/** Objects of every kind come and go, get their pages and lose them. */

const CACHINGS = ['none', 'llc', 'l3-llc'] as const;
/** What attachPhys is asked for: as cursors of that time were. */
const PHYS_ALIGN = PAGE_SIZE;

const create: Kind<'create'> = {
  name: 'create',
  generate: (part, random) => {
    if (part.objects.size >= part.limits.objects) return null;
    return { op: 'create', id: part.newId(), gpu: random.below(part.gpus.length), pages: part.pages.draw(random) };
  },
  apply: (part, operation) => {
    const gpu = part.gpus[operation.gpu];
    const object = gpu.createObject(operation.pages * PAGE_SIZE);
    part.objects.add(operation.id, { object, contents: new Contents() });
    return true;
  },
  print: ({ id, gpu, pages }) => [`const bo${id} = gpu${gpu}.createObject(${pages * PAGE_SIZE});`],
  *simpler(operation) {
    if (operation.pages > 1) yield { ...operation, pages: 1 };
  },
};

const createStolen: Kind<'stolen'> = {
  name: 'stolen',
  generate: (part, random) => {
    if (part.objects.size >= part.limits.objects) return null;
    const gpu = random.below(part.gpus.length);
    if (part.gpus[gpu].stolen === undefined) return null;
    return { op: 'stolen', id: part.newId(), gpu, pages: part.pages.draw(random) };
  },
  apply: (part, operation) => {
    const gpu = part.gpus[operation.gpu];
    if (gpu.stolen === undefined) return false;
    const object = gpu.createStolen(operation.pages * PAGE_SIZE);
    const contents = new Contents();
    // Stolen memory is not cleared: the last object's bytes are still there.
    contents.forget();
    part.objects.add(operation.id, { object, contents });
    return true;
  },
  print: ({ id, gpu, pages }) => [`const bo${id} = gpu${gpu}.createStolen(${pages * PAGE_SIZE});`],
  *simpler(operation) {
    if (operation.pages > 1) yield { ...operation, pages: 1 };
  },
};

const close = onObject(
  'close',
  ({ object, userptr }, part, operation) => {
    part.objects.delete(operation.bo);
    object.release();
    if (userptr) userptr.process.munmap(userptr.address, object.size);
    return true;
  },
  'release()',
);

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
  // Sometimes on pinned pages: the refusal is part of the test.
  ({ object: { pages, pagesPinCount, id } }) => pages !== 0 && (pagesPinCount === 0 || id % 16 === 0),
);

const madvise: Kind<'madvise'> = {
  name: 'madvise',
  generate: (part, random) => {
    const bo = part.objects.pick(random);
    return bo === undefined ? null : { op: 'madvise', bo, needed: random.oneIn(2) };
  },
  apply: (part, operation) => {
    const bo = boOf(part, operation);
    if (!bo) return false;
    bo.object.madvise(operation.needed ? 'willneed' : 'dontneed');
    return true;
  },
  print: ({ bo, needed }) => [`bo${bo}.madvise('${needed ? 'willneed' : 'dontneed'}');`],
};

const caching: Kind<'caching'> = {
  name: 'caching',
  generate: (part, random) => {
    const bo = part.objects.pick(random);
    return bo === undefined ? null : { op: 'caching', bo, level: random.below(CACHINGS.length) };
  },
  apply: (part, operation) => {
    const bo = boOf(part, operation);
    if (!bo) return false;
    bo.object.setCacheLevel(CACHINGS[operation.level]);
    return true;
  },
  print: ({ bo, level }) => [`bo${bo}.setCacheLevel('${CACHINGS[level]}');`],
};

const userptr: Kind<'userptr'> = {
  name: 'userptr',
  generate: (part, random) => {
    if (part.objects.size >= part.limits.objects) return null;
    const populate = random.oneIn(2);
    const gpu = random.below(part.gpus.length);
    return { op: 'userptr', id: part.newId(), gpu, pages: part.pages.draw(random), populate };
  },
  apply: (part, operation) => {
    const { process } = part;
    const size = operation.pages * PAGE_SIZE;
    const address = process.mmap(size, { populate: operation.populate });
    let object: GemObject;
    try {
      object = part.gpus[operation.gpu].createUserptr(process, address, size);
    } catch (error) {
      process.munmap(address, size);
      throw error;
    }
    part.objects.add(operation.id, { object, contents: new Contents(), userptr: { process, address } });
    return true;
  },
  print: ({ id, gpu, pages, populate }) => [
    `const range${id} = process.mmap(${pages * PAGE_SIZE}, { populate: ${populate} });`,
    `const bo${id} = gpu${gpu}.createUserptr(process, range${id}, ${pages * PAGE_SIZE});`,
  ],
  *simpler(operation) {
    if (operation.pages > 1) yield { ...operation, pages: 1 };
    if (operation.populate === false) yield { ...operation, populate: true };
  },
};

const invalidate: Kind<'invalidate'> = {
  name: 'invalidate',
  generate: (part, random) => {
    for (let tries = 0; tries < 8; ++tries) {
      const bo = part.objects.pick(random);
      if (bo !== undefined && part.objects.get(bo)!.userptr) return { op: 'invalidate', bo };
    }
    return null;
  },
  apply: (part, operation) => {
    const bo = boOf(part, operation);
    if (!bo?.userptr) return false;
    bo.userptr.process.discard(bo.userptr.address, bo.object.size);
    bo.contents.clear();
    return true;
  },
  print: ({ bo }) => [`process.discard(range${bo}, bo${bo}.size);`],
};

/** What is lent to others stays as it is: the kernel would let its importers keep the pages of before. */
const attachable = ({ object }: Bo): boolean => object.backing.kind === 'shmem' && object.dmaBuf === null;

const attachPhys = onObject(
  'attachPhys',
  (bo) => {
    if (!attachable(bo)) return false;
    bo.object.attachPhys(PHYS_ALIGN);
    return true;
  },
  `attachPhys(${PHYS_ALIGN})`,
  attachable,
);

const importDmaBuf: Kind<'import'> = {
  name: 'import',
  generate: (part, random) => {
    if (part.objects.size >= part.limits.objects) return null;
    const bo = part.objects.pick(random);
    if (bo === undefined) return null;
    return { op: 'import', id: part.newId(), bo, gpu: random.below(part.gpus.length) };
  },
  apply: (part, operation) => {
    const bo = boOf(part, operation);
    // Only memory of the driver is lent: a userptr's pages go when their process unmaps them, whether or not they are in use.
    if (bo?.object.backing.kind !== 'shmem') return false;
    const dmaBuf = bo.object.export();
    try {
      const object = part.gpus[operation.gpu].importDmaBuf(dmaBuf);
      part.objects.add(operation.id, { object, contents: bo.contents });
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

const shrink: Kind<'shrink'> = {
  name: 'shrink',
  generate: (part, random) => ({
    op: 'shrink',
    gpu: random.below(part.gpus.length),
    pages: 1 << random.below(12),
  }),
  apply: (part, operation) => part.gpus[operation.gpu].shrinkerScan(operation.pages) > 0,
  print: ({ gpu, pages }) => [`gpu${gpu}.shrinkerScan(${pages});`],
};

export const objectOperations: readonly OperationKind<I915Part>[] = [
  create,
  createStolen,
  close,
  getPages,
  putPages,
  madvise,
  caching,
  userptr,
  invalidate,
  attachPhys,
  importDmaBuf,
  shrink,
];
