import { PAGE_SIZE } from '../../core/generated/constants.js';
import { stamped } from './contents.js';
import {
  arg,
  boOf,
  type GemOperation,
  pageShown,
  pickSpace,
  pickView,
  printSpace,
  printVma,
  range,
  rangeInPage,
  readable,
  smallerRange,
  spaceOf,
  viewArgument,
  viewOf,
} from './gem-common.js';

/**
 * The CPU and the GPU read and write objects, and must see each other's bytes. A process reads and writes its own memory
 * (`user`) without the driver.
 */

const pwrite: GemOperation = {
  name: 'pwrite',
  generate: (world, random) => {
    const id = world.objects.pick(random);
    if (id === undefined) return null;
    const { object, userptr } = world.objects.get(id)!;
    return { op: 'pwrite', bo: id, user: !!userptr, ...range(object.size, random), stamp: random.u32() };
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
  print: ({ bo, user, offset, length, stamp }) => {
    const bytes = `stamped(${stamp}, ${length})`;
    return [user ? `process.write(range${bo} + ${offset}, ${bytes});` : `bo${bo}.pwrite(${offset}, ${bytes});`];
  },
  simpler: smallerRange,
};

const pread: GemOperation = {
  name: 'pread',
  generate: (world, random) => {
    const id = world.objects.pick(random);
    if (id === undefined) return null;
    const { object, userptr } = world.objects.get(id)!;
    return { op: 'pread', bo: id, user: !!userptr, ...range(object.size, random) };
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
  print: ({ bo, user, offset, length }) => [
    user ? `process.read(range${bo} + ${offset}, ${length});` : `bo${bo}.pread(${offset}, ${length});`,
  ],
  simpler: smallerRange,
};

/** A GPU access through an address space in which the object is bound, or through a view of it. */
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
        const view = ctx === 0 ? pickView(bo, random) : undefined;
        const vma = readable(bo, spaceOf(world, bo, ctx)!, view);
        if (vma === undefined) continue;
        const operation = {
          op: name,
          bo: id,
          gpu: world.gpus.indexOf(bo.object.device),
          ctx,
          ...(view === undefined
            ? range(bo.object.size, random)
            : { view: viewArgument(view), ...rangeInPage(vma.size, random) }),
        };
        return write ? { ...operation, stamp: random.u32() } : operation;
      }
      return null;
    },
    apply: (world, operation) => {
      const bo = boOf(world, operation);
      const vm = bo && spaceOf(world, bo, arg(operation, 'ctx'));
      const vma = vm && readable(bo, vm, viewOf(operation));
      const offset = arg(operation, 'offset');
      const length = arg(operation, 'length');
      if (!vma || offset + length > vma.size) return false;
      // There is one rotated view, and its geometry is that of the first bind.
      const at = pageShown(vma.view, Math.floor(offset / PAGE_SIZE)) * PAGE_SIZE + (offset % PAGE_SIZE);
      const gpu = bo.object.device;
      world.accessing(() => {
        if (write) {
          const bytes = stamped(arg(operation, 'stamp'), length);
          world.writing(bo, () => gpu.write(vm!, vma.start + offset, bytes));
          bo.object.dirty = true;
          bo.contents.write(at, bytes);
        } else world.compare('gpu', bo, at, gpu.read(vm!, vma.start + offset, length));
      });
      return true;
    },
    print: (operation) => {
      const { gpu, offset, length, stamp } = operation;
      const space = printSpace(operation);
      const address = `${printVma(operation)}.start + ${offset}`;
      return write
        ? [`gpu${gpu}.write(${space}, ${address}, stamped(${stamp}, ${length}));`]
        : [`gpu${gpu}.read(${space}, ${address}, ${length});`];
    },
    simpler: smallerRange,
  };
}

export const accessOperations: readonly GemOperation[] = [pwrite, pread, gpuAccess('gpuRead'), gpuAccess('gpuWrite')];
