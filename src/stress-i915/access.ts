import { PAGE_SIZE } from '../core/generated/constants.js';
import { type OperationKind, smallerRange } from '../stress/engine/operation.js';
import type { Random } from '../stress/engine/random.js';
import { stamped } from '../stress/world/contents.js';
import {
  boOf,
  pageShown,
  pickSpace,
  pickView,
  printSpace,
  printVma,
  range,
  rangeInPage,
  readable,
  spaceOf,
  viewArgument,
  viewOf,
} from './common.js';
import type { I915Part } from './part.js';
import type { Kind, OperationOf } from './types.js';

/**
 * The CPU and the GPU read and write objects, and must see each other's bytes. A process reads and writes its own memory
 * (`user`) without the driver.
 */

const pwrite: Kind<'pwrite'> = {
  name: 'pwrite',
  generate: (part, random) => {
    const id = part.objects.pick(random);
    if (id === undefined) return null;
    const { object, userptr } = part.objects.get(id)!;
    return { op: 'pwrite', bo: id, user: !!userptr, ...range(object.size, random), stamp: random.u32() };
  },
  apply: (part, operation) => {
    const bo = boOf(part, operation);
    if (!bo) return false;
    const offset = operation.offset;
    const bytes = stamped(operation.stamp, operation.length);
    if (offset + bytes.length > bo.object.size) return false;
    part.writing(bo, () => {
      if (bo.userptr) bo.userptr.process.write(bo.userptr.address + offset, bytes);
      else bo.object.pwrite(offset, bytes);
    });
    bo.contents.write(offset, bytes);
    return true;
  },
  print: ({ bo, user, offset, length, stamp }) => {
    const bytes = `stamped(${stamp}, ${length})`;
    return [user ? `process.write(range${bo} + ${offset}, ${bytes});` : `bo${bo}.pwrite(${offset}, ${bytes});`];
  },
  simpler: smallerRange,
};

const pread: Kind<'pread'> = {
  name: 'pread',
  generate: (part, random) => {
    const id = part.objects.pick(random);
    if (id === undefined) return null;
    const { object, userptr } = part.objects.get(id)!;
    return { op: 'pread', bo: id, user: !!userptr, ...range(object.size, random) };
  },
  apply: (part, operation) => {
    const bo = boOf(part, operation);
    const offset = operation.offset;
    const length = operation.length;
    if (!bo || offset + length > bo.object.size) return false;
    const bytes = bo.userptr
      ? bo.userptr.process.read(bo.userptr.address + offset, length)
      : bo.object.pread(offset, length);
    part.compare('cpu', bo, offset, bytes);
    return true;
  },
  print: ({ bo, user, offset, length }) => [
    user ? `process.read(range${bo} + ${offset}, ${length});` : `bo${bo}.pread(${offset}, ${length});`,
  ],
  simpler: smallerRange,
};

type GpuAccess = OperationOf<'gpuRead'> | OperationOf<'gpuWrite'>;

/** A random range of an object that the GPU reaches: through an address space, or a view of it. */
function pickAccess(part: I915Part, random: Random): OperationOf<'gpuRead'> | null {
  for (let tries = 0; tries < 8; ++tries) {
    const id = part.objects.pick(random);
    if (id === undefined) return null;
    const bo = part.objects.get(id)!;
    const ctx = pickSpace(part, bo, random);
    const view = ctx === 0 ? pickView(bo, random) : undefined;
    const vma = readable(bo, spaceOf(part, bo, ctx)!, view);
    if (vma === undefined) continue;
    const where = { bo: id, gpu: part.gpus.indexOf(bo.object.device), ctx };
    return view === undefined
      ? { op: 'gpuRead', ...where, ...range(bo.object.size, random) }
      : { op: 'gpuRead', ...where, view: viewArgument(view), ...rangeInPage(vma.size, random) };
  }
  return null;
}

/** What an access is about: the object, the GPU's address, and the byte of the object that lies there. */
function accessed(part: I915Part, operation: GpuAccess) {
  const bo = boOf(part, operation);
  const vm = bo && spaceOf(part, bo, operation.ctx);
  const vma = vm && readable(bo, vm, viewOf(operation));
  const { offset, length } = operation;
  if (!vma || offset + length > vma.size) return undefined;
  // There is one rotated view, and its geometry is that of the first bind.
  const at = pageShown(vma.view, Math.floor(offset / PAGE_SIZE)) * PAGE_SIZE + (offset % PAGE_SIZE);
  return { bo, vm: vm!, address: vma.start + offset, at };
}

const gpuRead: Kind<'gpuRead'> = {
  name: 'gpuRead',
  generate: pickAccess,
  apply: (part, operation) => {
    const found = accessed(part, operation);
    if (!found) return false;
    const { bo, vm, address, at } = found;
    part.world.accessing(() => part.compare('gpu', bo, at, bo.object.device.read(vm, address, operation.length)));
    return true;
  },
  print: (operation) => {
    const { gpu, offset, length } = operation;
    return [`gpu${gpu}.read(${printSpace(operation)}, ${printVma(operation)}.start + ${offset}, ${length});`];
  },
  simpler: smallerRange,
};

const gpuWrite: Kind<'gpuWrite'> = {
  name: 'gpuWrite',
  generate: (part, random) => {
    const picked = pickAccess(part, random);
    return picked && { ...picked, op: 'gpuWrite', stamp: random.u32() };
  },
  apply: (part, operation) => {
    const found = accessed(part, operation);
    if (!found) return false;
    const { bo, vm, address, at } = found;
    part.world.accessing(() => {
      const bytes = stamped(operation.stamp, operation.length);
      part.writing(bo, () => bo.object.device.write(vm, address, bytes));
      bo.object.dirty = true;
      bo.contents.write(at, bytes);
    });
    return true;
  },
  print: (operation) => {
    const { gpu, offset, length, stamp } = operation;
    const address = `${printVma(operation)}.start + ${offset}`;
    return [`gpu${gpu}.write(${printSpace(operation)}, ${address}, stamped(${stamp}, ${length}));`];
  },
  simpler: smallerRange,
};

export const accessOperations: readonly OperationKind<I915Part>[] = [pwrite, pread, gpuRead, gpuWrite];
