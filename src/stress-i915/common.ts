import { PAGE_SIZE } from '../core/generated/constants.js';
import type { AddressSpace } from '../i915/address-space.js';
import type { View } from '../i915/view.js';
import { GLOBAL_BIND, LOCAL_BIND, type Vma } from '../i915/vma.js';
import type { OperationKind } from '../stress/engine/operation.js';
import type { Random } from '../stress/engine/random.js';
import type { Bo, I915Part } from './part.js';
import type { OperationOf, ViewArgument } from './types.js';

/** What the operations on objects share: how they name address spaces and views, and draw them. */

/** Longest piece of memory that is read or written at once. */
export const MAX_BYTES = 200;
const ROTATED = 0;
const PARTIAL = 1;

export function boOf(part: I915Part, operation: { readonly bo: number }): Bo | undefined {
  return part.objects.get(operation.bo);
}

/** An operation on a random object, nothing else. */
export function onObject<Name extends 'close' | 'getPages' | 'putPages' | 'attachPhys'>(
  name: Name,
  act: (bo: Bo, part: I915Part, operation: { readonly bo: number }) => boolean,
  code: string,
  possible?: (bo: Bo) => boolean,
): OperationKind<I915Part, { readonly op: Name; readonly bo: number }> {
  return {
    name,
    generate: (part, random) => {
      const bo = part.objects.pick(random);
      return bo === undefined || !(possible?.(part.objects.get(bo)!) ?? true) ? null : { op: name, bo };
    },
    apply: (part, operation) => {
      const bo = boOf(part, operation);
      return bo !== undefined && act(bo, part, operation);
    },
    print: ({ bo }) => [`bo${bo}.${code};`],
  };
}

/** The address space that an operation names for an object; undefined when the context is gone or another GPU's. */
export function spaceOf(part: I915Part, bo: Bo, ctx: number): AddressSpace | undefined {
  if (ctx === 0) return bo.object.device.ggtt;
  const context = part.contexts.get(ctx);
  return context?.device === bo.object.device ? context.vm : undefined;
}

export function printSpace(operation: { readonly gpu: number; readonly ctx: number }): string {
  const { gpu, ctx } = operation;
  return ctx === 0 ? `gpu${gpu}.ggtt` : `ctx${ctx}.vm`;
}

/** A random context of the object's GPU, or 0 for its GGTT. */
export function pickSpace(part: I915Part, bo: Bo, random: Random): number {
  if (random.oneIn(3)) return 0;
  for (let tries = 0; tries < 4; ++tries) {
    const ctx = part.contexts.pick(random);
    if (ctx === undefined) return 0;
    if (part.contexts.get(ctx)!.device === bo.object.device) return ctx;
  }
  return 0;
}

/** The view that an operation names; undefined for the normal one. */
export function viewOf(operation: { readonly view?: ViewArgument }): View | undefined {
  if (operation.view === undefined) return undefined;
  const [type, a, b] = operation.view;
  return type === ROTATED ? { type: 'rotated', width: a, height: b } : { type: 'partial', offset: a, size: b };
}

/** A view as an operation holds it. */
export function viewArgument(view: View): ViewArgument {
  return view.type === 'rotated' ? [ROTATED, view.width, view.height] : [PARTIAL, view.offset, view.size];
}

export function printView(operation: { readonly view?: ViewArgument }): string {
  const view = viewOf(operation);
  if (view === undefined) return '';
  return view.type === 'rotated'
    ? `{ type: 'rotated', width: ${view.width}, height: ${view.height} }`
    : `{ type: 'partial', offset: ${view.offset}, size: ${view.size} }`;
}

/** The vma that an operation names, as an expression. */
export function printVma(operation: OperationOf<'unbind'> | OperationOf<'gpuRead'> | OperationOf<'gpuWrite'>): string {
  const view = printView(operation);
  return `bo${operation.bo}.vma(${printSpace(operation)}${view === '' ? '' : `, ${view}`})`;
}

/** One of the views under which the object is bound in the GGTT. */
export function pickView({ object }: Bo, random: Random): View | undefined {
  let picked: View | undefined;
  let seen = 0;
  for (let link = object.vmaList.next; link.owner !== null; link = link.next) {
    const { node, view } = link.owner;
    if (view !== undefined && node !== 0 && random.oneIn(++seen)) picked = view;
  }
  return picked;
}

/** The page of the object that a page of a view shows. */
export function pageShown(view: View | undefined, page: number): number {
  if (view === undefined) return page;
  if (view.type === 'partial') return view.offset + page;
  // Column by column, the bottom row of each first.
  const { width, height } = view;
  return (height - 1 - (page % height)) * width + Math.floor(page / height);
}

/** The object's vma in a space when the GPU can really read through it: bound, with the right kind of entries. */
export function readable(bo: Bo, vm: AddressSpace, view: View | undefined): Vma | undefined {
  const vma = bo.object.vma(vm, view);
  if (vma === undefined || vma.node === 0) return undefined;
  return (vma.bound & (vm.isGgtt ? GLOBAL_BIND : LOCAL_BIND)) !== 0 ? vma : undefined;
}

/** A random range within `size` bytes. */
export function range(size: number, random: Random): { offset: number; length: number } {
  const length = 1 + random.below(Math.min(MAX_BYTES, size));
  // Often at a page boundary, where mistakes are.
  const offset = random.oneIn(2)
    ? Math.max(0, Math.min(size - length, random.below(size / PAGE_SIZE) * PAGE_SIZE - (length >> 1)))
    : random.below(size - length + 1);
  return { offset, length };
}

/** A random range within one of the pages of `size` bytes. */
export function rangeInPage(size: number, random: Random): { offset: number; length: number } {
  const length = 1 + random.below(MAX_BYTES);
  return { offset: random.below(size / PAGE_SIZE) * PAGE_SIZE + random.below(PAGE_SIZE - length + 1), length };
}
