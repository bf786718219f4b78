import { checkBoolean, checkOptions, oneOf } from '../core/arguments.js';
import { checkInteger, outOfRange } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { failed, held } from '../core/handle.js';
import { LIBRARY } from '../core/life.js';
import { bugOn, E2BIG, EBUSY, EINVAL, ENODEV, ENOSPC, refuse } from '../drm/errno.js';
import { pinPages, unpinPages } from '../drm/gem-object.js';
import type { AddressSpace } from './address-space.js';
import { evictRange, evictSomething } from './evict.js';
import type { GemObject } from './object.js';
import { getPages } from './pages.js';
import type { BindStage } from './policy/policy.js';
import { askPolicy, tellPolicy } from './policy/run.js';
import { vmaUnbind } from './unbind.js';
import { readView, sameView, type View, viewSize } from './view.js';
import { GLOBAL_BIND, LOCAL_BIND, MAX_PIN_COUNT, Vma } from './vma.js';

/** Flags of a pin, as the driver has them (PIN_*). PIN_OFFSET_BIAS goes with an offset of its own. */
export const PIN_MAPPABLE = 1;
export const PIN_NONBLOCK = 2;
export const PIN_GLOBAL = 4;
export const PIN_OFFSET_BIAS = 8;
export const PIN_USER = 16;
export const PIN_UPDATE = 32;
/** Goes with the address, in the place of the offset. */
export const PIN_OFFSET_FIXED = 64;

/** How `bo.bind` may place an object. */
export interface BindOptions {
  /** Of the address, in bytes: a power of two, at least 4096. */
  alignment?: number;
  /** In the part of the GGTT that the CPU reaches. */
  mappable?: boolean;
  /** Evict only what the GPU does not use. */
  nonblock?: boolean;
  /** Not below this address, in bytes (PIN_OFFSET_BIAS). */
  offsetBias?: number;
  /** In the GGTT: entries for the driver itself (the default), for batches, or both. Matters with an aliasing PPGTT. */
  as?: 'global' | 'user' | 'both';
  /** What the GGTT shows of the object. Default all of it, in order. */
  view?: View;
  /** Keep it there until `vma.unpin()`. */
  pin?: boolean;
}

const BIND_OPTIONS: readonly (keyof BindOptions)[] = [
  'alignment',
  'mappable',
  'nonblock',
  'offsetBias',
  'as',
  'view',
  'pin',
];

/** Checks an alignment in bytes: 0 for none, or a power of two. Throws ERR_INVALID_ARG_TYPE or ERR_OUT_OF_RANGE. */
export function checkAlignment(name: string, value: number): number {
  checkInteger(name, value, 0, 2 ** 48);
  if (!isAlignment(value)) throw outOfRange(name, '0 or a power of two', value);
  return value;
}

/** Whether a number of bytes is 0 or a power of two. */
export function isAlignment(value: number): boolean {
  return value === 0 || 2 ** Math.round(Math.log2(value)) === value;
}

/** The options of GemObject.bind as plain values. */
export function readBindOptions(object: GemObject, options: BindOptions): BindOptions {
  const plain = checkOptions('options', options, BIND_OPTIONS);
  return plain.view === undefined ? plain : { ...plain, view: readView(object, plain.view) };
}

/** The work of GemObject.bind, whose options were read: checks arguments, pins and, unless it was asked for, drops the pin again. */
export function bindObject(object: GemObject, vm: AddressSpace, options: BindOptions | undefined): Vma {
  let flags = vm.isGgtt ? PIN_GLOBAL : PIN_USER;
  let pin = false;
  let alignment = 0;
  let bias = 0;
  let view: View | undefined;
  if (options !== undefined) {
    flags = flagsOf(vm, options);
    pin = checkBoolean('pin', options.pin, false);
    alignment = checkAlignment('alignment', options.alignment ?? 0);
    bias = checkInteger('offsetBias', options.offsetBias ?? 0, 0, 2 ** 48);
    view = options.view;
  }
  object.device.takeMapFailure(); // A refusal that a retry has overcome is not the cause of later ones.
  const vma = doPin(object, vm, view, alignment, flags, bias);
  if (typeof vma === 'number') return refuseBind(vma, object, vm);
  if (!pin) --vma.pinCount;
  return vma;
}

function flagsOf(vm: AddressSpace, options: BindOptions): number {
  const as = oneOf('as', options.as ?? (vm.isGgtt ? 'global' : 'user'), ['global', 'user', 'both']);
  let flags = as === 'global' ? PIN_GLOBAL : as === 'user' ? PIN_USER : PIN_GLOBAL | PIN_USER;
  if (checkBoolean('mappable', options.mappable, false)) flags |= PIN_MAPPABLE | PIN_GLOBAL;
  if (checkBoolean('nonblock', options.nonblock, false)) flags |= PIN_NONBLOCK;
  if (options.offsetBias !== undefined) flags |= PIN_OFFSET_BIAS;
  return flags;
}

function refuseBind(rc: number, object: GemObject, vm: AddressSpace): never {
  if (rc === -E2BIG) {
    refuse(rc, 'gem_bind', `${object} can never fit into ${vm.name} (${vm.total} bytes) as asked`);
  }
  const details = { object: object.id, vm: vm.name };
  refuse(rc, 'gem_bind', `${object} could not be bound in ${vm.name}`, details, object.device.takeMapFailure());
}

/**
 * i915_gem_object_do_pin: the vma of an object in an address space, bound and pinned once more.
 * @returns the vma or a negative errno
 */
export function doPin(
  object: GemObject,
  vm: AddressSpace,
  view: View | undefined,
  alignment: number,
  flags: number,
  bias: number,
): Vma | number {
  if (vm.isAliasing) return -ENODEV;
  if ((flags & (PIN_GLOBAL | PIN_MAPPABLE)) !== 0 && !vm.isGgtt) return -EINVAL;
  if ((flags & (PIN_GLOBAL | PIN_MAPPABLE)) === PIN_MAPPABLE) return -EINVAL;
  if (view !== undefined && !vm.isGgtt) return -EINVAL;

  let vma = findVma(object, vm, view);
  if (vma !== null) {
    if (vma.pinCount === MAX_PIN_COUNT) return -EBUSY;
    if (misplaced(vma, alignment, flags, bias)) {
      const rc = vmaUnbind(vma);
      if (rc !== 0) return rc;
      vma = null;
    }
  }
  const before = vma === null ? 0 : vma.bound;
  if (vma === null || vma.node === 0) {
    const made = bindToVm(object, vm, view, alignment, flags, bias);
    if (typeof made === 'number') return made;
    vma = made;
  } else {
    const rc = vmaBind(vma, flags);
    if (rc !== 0) return rc;
  }
  if (view === undefined && ((before ^ vma.bound) & GLOBAL_BIND) !== 0) {
    object.mapAndFenceable = vma.start + vma.size <= object.device.config.mappable;
  }
  ++vma.pinCount;
  return vma;
}

/** i915_gem_obj_to_vma and i915_gem_obj_to_ggtt_view: the vma of a view in an address space, bound or not. */
export function findVma(object: GemObject, vm: AddressSpace, view: View | undefined): Vma | null {
  for (let link = object.vmaList.next; link.owner !== null; link = link.next) {
    const vma = link.owner;
    if (vma.vm === vm && (vma.view === view || sameView(vma.view, view))) return vma;
  }
  return null;
}

/** i915_gem_obj_lookup_or_create_vma: a placeholder, if there is none yet. */
export function lookupOrCreateVma(object: GemObject, vm: AddressSpace, view: View | undefined): Vma {
  return findVma(object, vm, view) ?? new Vma(LIBRARY, object, vm, view, viewSize(object, view));
}

/** i915_vma_misplaced: bound where the new request may not have it. */
export function misplaced(vma: Vma, alignment: number, flags: number, bias: number): boolean {
  if (vma.node === 0) return false;
  if (alignment !== 0 && vma.start % alignment !== 0) return true;
  if ((flags & PIN_OFFSET_FIXED) !== 0 && vma.start !== bias) return true;
  if ((flags & PIN_MAPPABLE) !== 0 && !vma.object.mapAndFenceable) return true;
  return (flags & PIN_OFFSET_BIAS) !== 0 && vma.start < bias;
}

// i915_gem_object_bind_to_vm: pages, a vma, a place, the policy's mapping, page tables, entries, in this order; failing
// anywhere undoes what went before, in reverse.
function bindToVm(
  object: GemObject,
  vm: AddressSpace,
  view: View | undefined,
  alignment: number,
  flags: number,
  bias: number,
): Vma | number {
  const { device } = object;
  const end = (flags & PIN_MAPPABLE) !== 0 ? device.config.mappable : vm.total;
  let size = viewSize(object, view);
  if (device.config.defects.truncatedSize) size %= 2 ** 32;
  if (size > end) return -E2BIG;
  let rc = getPages(object);
  if (rc !== 0) return rc;
  pinPages(object);
  const vma = lookupOrCreateVma(object, vm, view);
  rc = insertNode(vma, size, alignment === 0 ? PAGE_SIZE : alignment, bias, end, flags);
  if (rc === 0) {
    rc = mapAndBind(vma, flags);
    if (rc === 0) {
      device.boundList.moveTail(object.globalLink);
      vm.inactiveList.moveTail(vma.mmLink);
      if (device.events.recording) device.tell('i915_vma_bind', object.id, size, vma.id, vma.start);
      return vma;
    }
    device.core.exports.mmRemove(held(vma.node));
    vma.node = 0;
  }
  vma.destroy();
  unpinPages(object);
  return rc;
}

// A place for the vma, evicting others while that makes room.
function insertNode(vma: Vma, size: number, alignment: number, start: number, end: number, flags: number): number {
  const { vm } = vma;
  const { exports } = vm.device.core;
  const color = vma.object.cacheLevel;
  const fixed = (flags & PIN_OFFSET_FIXED) !== 0;
  if (fixed && (start % alignment !== 0 || start + size > end)) return -EINVAL;
  for (let evicted = false; ; evicted = true) {
    const node = fixed
      ? exports.mmReserve(vm.mm, start, size, color)
      : exports.mmInsert(vm.mm, size, alignment, color, start, end, vm.device.mmInsertMode);
    if (!failed(node)) {
      vma.node = node;
      vma.start = exports.mmNodeStart(node);
      return 0;
    }
    if (node !== -ENOSPC) return node;
    if (fixed) {
      const rc = evicted ? -ENOSPC : evictRange(vm, start, size, color, (flags & PIN_NONBLOCK) !== 0);
      if (rc !== 0) return rc;
      continue;
    }
    const rc = evictSomething(vm, size, alignment, color, start, end, (flags & PIN_NONBLOCK) !== 0);
    if (rc !== 0) return rc;
  }
}

function mapAndBind(vma: Vma, flags: number): number {
  const { object, vm } = vma;
  let rc = askPolicy('bind', object, vma);
  if (rc !== 0) return rc;
  let stage: BindStage = 'page-tables';
  rc = vm.allocateVaRange(vma);
  if (rc === 0) {
    stage = 'entries';
    rc = vmaBind(vma, flags);
  }
  if (rc !== 0) tellPolicy('bindFailed', object, vma, stage);
  return rc;
}

/** i915_vma_bind: writes the entries that the flags ask for and that are not there; with PIN_UPDATE, those that are. */
export function vmaBind(vma: Vma, flags: number): number {
  let wanted = ((flags & PIN_GLOBAL) !== 0 ? GLOBAL_BIND : 0) | ((flags & PIN_USER) !== 0 ? LOCAL_BIND : 0);
  bugOn(wanted === 0 && (flags & PIN_UPDATE) === 0, 'binding for nobody');
  if ((flags & PIN_UPDATE) !== 0) wanted |= vma.bound;
  else wanted &= ~vma.bound;
  if (wanted === 0) return 0;
  const rc = vma.vm.bindVma(vma, wanted);
  if (rc < 0) return rc;
  vma.bound |= wanted | rc;
  const { device, pages } = vma.object;
  if (device.checked) {
    if (vma.dmaAddress >= 0) device.binding(vma.dmaAddress, -1);
    vma.dmaAddress = device.core.exports.sgDmaPage(held(pages), 0);
    device.binding(vma.dmaAddress, 1);
  }
  return 0;
}
