import { PAGE_SIZE } from '../core/generated/constants.js';
import type { ExecObject } from '../i915/execbuffer.js';
import type { GemObject } from '../i915/object.js';
import type { View } from '../i915/view.js';
import type { OperationKind } from '../stress/engine/operation.js';
import { boOf, pickSpace, pickView, printSpace, printView, printVma, spaceOf, viewArgument, viewOf } from './common.js';
import type { I915Part } from './part.js';
import type { Kind } from './types.js';

/** Objects find their places in address spaces, by binding and by batches, and lose them. */

/** Pages on a side of a rotated view, and of a partial one, at most. */
const SIDE = 16;
const PART = 64;
/** Vmas of one object, beyond which no further views are made: execbuf and the shrinker walk them all. */
const MANY_VMAS = 6;

const context: Kind<'context'> = {
  name: 'context',
  generate: (part, random) => {
    if (part.contexts.size >= part.limits.contexts) return null;
    return { op: 'context', id: part.newId(), gpu: random.below(part.gpus.length) };
  },
  apply: (part, operation) => {
    part.contexts.add(operation.id, part.gpus[operation.gpu].createContext());
    return true;
  },
  print: ({ id, gpu }) => [`const ctx${id} = gpu${gpu}.createContext();`],
};

const contextClose: Kind<'contextClose'> = {
  name: 'contextClose',
  generate: (part, random) => {
    const ctx = part.contexts.pick(random);
    return ctx === undefined ? null : { op: 'contextClose', ctx };
  },
  apply: (part, operation) => {
    const ctx = part.contexts.get(operation.ctx);
    if (!ctx) return false;
    part.contexts.delete(operation.ctx);
    ctx.release();
    return true;
  },
  print: ({ ctx }) => [`ctx${ctx}.release();`],
};

const bind: Kind<'bind'> = {
  name: 'bind',
  generate: (part, random) => {
    const id = part.objects.pick(random);
    if (id === undefined) return null;
    const bo = part.objects.get(id)!;
    return { op: 'bind', bo: id, gpu: part.gpus.indexOf(bo.object.device), ctx: pickSpace(part, bo, random) };
  },
  apply: (part, operation) => {
    const bo = boOf(part, operation);
    const vm = bo && spaceOf(part, bo, operation.ctx);
    if (!vm) return false;
    bo.object.bind(vm, operation.bias === undefined ? {} : { offsetBias: operation.bias });
    return true;
  },
  print: (operation) => {
    const options = operation.bias === undefined ? '' : `, { offsetBias: ${operation.bias} }`;
    return [`bo${operation.bo}.bind(${printSpace(operation)}${options});`];
  },
  *simpler(operation) {
    if (operation.ctx !== 0) yield { ...operation, ctx: 0 };
  },
};

const bindView: Kind<'bindView'> = {
  name: 'bindView',
  generate: (part, random) => {
    const id = part.objects.pick(random);
    if (id === undefined) return null;
    const { object } = part.objects.get(id)!;
    if (object.vmas.length >= MANY_VMAS) return null;
    const pages = object.size / PAGE_SIZE;
    const operation = { op: 'bindView', bo: id, gpu: part.gpus.indexOf(object.device), ctx: 0 } as const;
    if (random.oneIn(2)) {
      const width = 1 + random.below(Math.min(SIDE, pages));
      const height = 1 + random.below(Math.min(SIDE, Math.floor(pages / width)));
      return { ...operation, view: viewArgument({ type: 'rotated', width, height }) };
    }
    const offset = random.below(pages);
    const size = 1 + random.below(Math.min(PART, pages - offset));
    return { ...operation, view: viewArgument({ type: 'partial', offset, size }) };
  },
  apply: (part, operation) => {
    const bo = boOf(part, operation);
    const view = viewOf(operation)!;
    if (!bo || pagesNeeded(view) * PAGE_SIZE > bo.object.size) return false;
    bo.object.bind(bo.object.device.ggtt, { view });
    return true;
  },
  print: (operation) => [`bo${operation.bo}.bind(${printSpace(operation)}, { view: ${printView(operation)} });`],
  *simpler(operation) {
    const [type, a, b] = operation.view;
    const smallest = viewOf(operation)!.type === 'rotated' ? 1 : 0;
    if (a !== smallest || b !== 1) yield { ...operation, view: [type, smallest, 1] };
  },
};

/** Pages that an object must have for a view of it. */
function pagesNeeded(view: View): number {
  return view.type === 'rotated' ? view.width * view.height : view.offset + view.size;
}

const unbind: Kind<'unbind'> = {
  name: 'unbind',
  generate: (part, random) => {
    for (let tries = 0; tries < 8; ++tries) {
      const id = part.objects.pick(random);
      if (id === undefined) return null;
      const bo = part.objects.get(id)!;
      const ctx = pickSpace(part, bo, random);
      const vm = spaceOf(part, bo, ctx)!;
      const view = ctx === 0 && random.oneIn(2) ? pickView(bo, random) : undefined;
      const vma = bo.object.vma(vm, view);
      if (!vma || vma.node === 0) continue;
      const operation = { op: 'unbind', bo: id, gpu: part.gpus.indexOf(bo.object.device), ctx } as const;
      return view === undefined ? operation : { ...operation, view: viewArgument(view) };
    }
    return null;
  },
  apply: (part, operation) => {
    const bo = boOf(part, operation);
    const vm = bo && spaceOf(part, bo, operation.ctx);
    const vma = vm && bo.object.vma(vm, viewOf(operation));
    if (!vma || vma.node === 0) return false;
    vma.unbind();
    return true;
  },
  print: (operation) => [`${printVma(operation)}?.unbind();`],
};

const exec: Kind<'exec'> = {
  name: 'exec',
  generate: (part, random) => {
    const ctx = part.contexts.pick(random);
    if (ctx === undefined) return null;
    const gpu = part.contexts.get(ctx)!.device;
    const bos: number[] = [];
    const objects = new Set<GemObject>();
    for (let i = 1 + random.below(5); i > 0; --i) {
      const id = part.objects.pick(random);
      const object = id === undefined ? undefined : part.objects.get(id)!.object;
      if (object?.device !== gpu || objects.has(object)) continue;
      objects.add(object);
      bos.push(id!);
    }
    if (bos.length === 0) return null;
    return { op: 'exec', gpu: part.gpus.indexOf(gpu), ctx, bos, busy: random.below(5) };
  },
  apply: (part, operation) => {
    const context = part.contexts.get(operation.ctx);
    if (!context) return false;
    const list = new Map<GemObject, ExecObject>();
    operation.bos.forEach((id, i) => {
      const object = part.objects.get(id)?.object;
      const alignment = operation.aligns?.[i] ?? 0;
      if (object?.device === context.device && !list.has(object)) list.set(object, { object, alignment });
    });
    if (list.size === 0) return false;
    context.device.execbuffer(context, [...list.values()], { busy: operation.busy });
    return true;
  },
  print: ({ gpu, ctx, bos, aligns, busy }) => {
    const list = bos.map((bo, i) => {
      const alignment = aligns?.[i];
      return alignment ? `{ object: bo${bo}, alignment: ${alignment} }` : `{ object: bo${bo} }`;
    });
    return [`gpu${gpu}.execbuffer(ctx${ctx}, [${list.join(', ')}], { busy: ${busy} });`];
  },
  *simpler(operation) {
    const bos = operation.bos;
    if (operation.aligns === undefined && bos.length > 1)
      for (const bo of bos) yield { ...operation, bos: bos.filter((other) => other !== bo) };
    if (operation.busy > 0) yield { ...operation, busy: 0 };
  },
};

const evict: Kind<'evict'> = {
  name: 'evict',
  generate: (part, random) => {
    const ctx = part.contexts.pick(random) ?? 0;
    const gpu = ctx === 0 ? random.below(part.gpus.length) : part.gpus.indexOf(part.contexts.get(ctx)!.device);
    return { op: 'evict', gpu, ctx: random.oneIn(3) ? 0 : ctx };
  },
  apply: (part, operation) => {
    const gpu = part.gpus[operation.gpu];
    const ctx = operation.ctx;
    const vm = ctx === 0 ? gpu.ggtt : part.contexts.get(ctx)?.vm;
    if (!vm) return false;
    gpu.evictVm(vm);
    return true;
  },
  print: (operation) => [`gpu${operation.gpu}.evictVm(${printSpace(operation)});`],
};

export const bindingOperations: readonly OperationKind<I915Part>[] = [
  context,
  contextClose,
  bind,
  bindView,
  unbind,
  exec,
  evict,
];
