import { checkBoolean, checkOptions, readList } from '../core/arguments.js';
import { checkInteger, invalidType, outOfRange } from '../core/errors.js';
import { EINVAL, ENOSPC, refuse } from '../drm/errno.js';
import { Shared } from '../drm/shared.js';
import {
  doPin,
  isAlignment,
  lookupOrCreateVma,
  misplaced,
  PIN_GLOBAL,
  PIN_MAPPABLE,
  PIN_OFFSET_BIAS,
  PIN_USER,
} from './bind.js';
import { GpuContext } from './context.js';
import { type I915Device, otherDevice } from './device.js';
import { evictVm } from './evict.js';
import { GemObject } from './object.js';
import { addRequest, type Request } from './retire.js';
import { vmaUnbind } from './unbind.js';
import type { Vma } from './vma.js';

/** The batch may not lie at the very start: relocations with negative deltas must not wrap (BATCH_OFFSET_BIAS). */
const BATCH_OFFSET_BIAS = 256 * 1024;

/** One object of a batch (struct drm_i915_gem_exec_object2). */
export interface ExecObject {
  /** The object. */
  object: GemObject;
  /** Of its address, in bytes: 0 or a power of two. */
  alignment?: number;
  /** The GPU writes to it. */
  write?: boolean;
  /** It must be reachable by the CPU: NEEDS_GTT, refused with full PPGTT. */
  needsGtt?: boolean;
}

/** Options of a batch. */
export interface ExecOptions {
  /** How long the GPU is busy with it, in ms of virtual time. Default 1. */
  busy?: number;
}

/**
 * i915_gem_do_execbuffer, as far as memory goes: every object is bound in the context's address space and stays there
 * while the GPU uses it. The batch is the last object. With relocations left out, addresses come back as the vmas'.
 * Errors, in the kernel's order: EINVAL for no objects, NEEDS_GTT with full PPGTT, an object listed twice; then what
 * binding says: E2BIG, EBUSY from within a hook of a call that works on one of them, ENOSPC (after everything else in the address space was evicted once), ENOMEM, EFAULT, EAGAIN.
 */
export function execbuffer(
  device: I915Device,
  context: GpuContext,
  { list, busy }: Batch,
): { vmas: Vma[]; request: Request } {
  check(device, context, list);
  const objects = list.map(({ object }) => object);
  for (const object of objects) object.checkIdle('gem_execbuffer');
  context.vm.checkRoom('gem_execbuffer');
  return context.work(() => context.vm.work(() => working(objects, () => run(device, context, list, busy))));
}

// A call that works on all of them.
function working<T>(objects: readonly GemObject[], work: () => T): T {
  const lives = objects.map((object) => Shared.lifeOf(object, 'gem_execbuffer'));
  const outermost = lives.map((life) => life.begin());
  try {
    return work();
  } finally {
    for (const [i, life] of lives.entries()) life.finish(outermost[i]);
  }
}

function run(
  device: I915Device,
  { vm }: GpuContext,
  list: readonly ExecObject[],
  busy: number,
): { vmas: Vma[]; request: Request } {
  // eb_lookup_vmas: from here on every object has a vma, bound or not, that unbinding does not destroy.
  const vmas = list.map(({ object }) => lookupOrCreateVma(object, vm, undefined));
  for (const vma of vmas) {
    vma.onExecList = true;
    vma.object.get();
  }
  const rc = reserve(list, vmas);
  let request: Request | undefined;
  if (rc === 0) {
    for (let i = 0; i < list.length; ++i) {
      const { object } = list[i];
      if (list[i].write) object.dirty = true;
      object.readDomains = 2;
      object.writeDomain = list[i].write ? 2 : 0;
    }
    const objects = list.map(({ object }) => object);
    request = addRequest(device, objects, busy);
  }
  // eb_destroy. A vma that was looked up and not bound stays as a placeholder.
  for (const vma of vmas) {
    vma.onExecList = false;
    vma.object.put();
  }
  if (rc !== 0) refuse(rc, 'gem_execbuffer', `${list.length} objects could not be bound in ${vm.name}`);
  return { vmas, request: request! };
}

/** What a call of execbuffer was given, as plain values. */
export interface Batch {
  readonly list: readonly ExecObject[];
  readonly busy: number;
}

export function readBatch(list: readonly ExecObject[], options: ExecOptions = {}): Batch {
  const { busy = 1 } = checkOptions('options', options, ['busy']);
  if (typeof busy !== 'number') throw invalidType('busy', 'of type number', busy);
  if (!(busy >= 0 && busy < 2 ** 40)) throw outOfRange('busy', '>= 0 milliseconds', busy);
  return { list: readList('list', list, [0, 2 ** 32 - 1], readEntry), busy };
}

function readEntry(entry: ExecObject): ExecObject {
  const plain = checkOptions('list', entry, EXEC_OBJECT);
  checkInteger('alignment', plain.alignment ?? 0, 0, 2 ** 48);
  checkBoolean('write', plain.write, false);
  checkBoolean('needsGtt', plain.needsGtt, false);
  return plain;
}

const EXEC_OBJECT: readonly (keyof ExecObject)[] = ['object', 'alignment', 'write', 'needsGtt'];

function check(device: I915Device, context: GpuContext, list: readonly ExecObject[]): void {
  const call = 'gem_execbuffer';
  device.accept(GpuContext, 'context', context, call);
  if (context.device !== device) otherDevice(call, `context ${context.id}`);
  for (const entry of list) {
    device.accept(GemObject, 'object', entry.object, call);
    if (entry.object.device !== device) otherDevice(call, `${entry.object}`);
  }
  if (list.length === 0) refuse(-EINVAL, 'gem_execbuffer', 'a batch needs at least one object');
  const full = device.config.ppgtt === 'full' || device.config.ppgtt === 'full-48bit';
  const seen = new Set<GemObject>();
  for (const { object, alignment = 0, needsGtt = false } of list) {
    if (!isAlignment(alignment)) refuse(-EINVAL, 'gem_execbuffer', `alignment ${alignment}`);
    if (needsGtt && full) refuse(-EINVAL, 'gem_execbuffer', 'NEEDS_GTT means nothing with full PPGTT');
    if (seen.has(object)) refuse(-EINVAL, 'gem_execbuffer', `${object} is listed twice`);
    seen.add(object);
  }
}

// i915_gem_execbuffer_reserve: those that lie wrong go first, then all are pinned. When there is no room, once,
// everything is unpinned and the whole address space evicted.
function reserve(list: readonly ExecObject[], vmas: Vma[]): number {
  for (let evicted = false; ; evicted = true) {
    const rc = reserveOnce(list, vmas);
    for (const vma of vmas) {
      if (vma.pinCount > 0) --vma.pinCount;
    }
    if (rc !== -ENOSPC || evicted) return rc;
    evictVm(vmas[0].vm, true);
  }
}

function reserveOnce(list: readonly ExecObject[], vmas: Vma[]): number {
  for (let i = 0; i < vmas.length; ++i) {
    if (vmas[i].node === 0) continue;
    const rc = wrongPlace(list, vmas, i) ? vmaUnbind(vmas[i]) : pin(list, vmas, i);
    if (rc !== 0) return rc;
  }
  for (let i = 0; i < vmas.length; ++i) {
    if (vmas[i].node !== 0) continue;
    const rc = pin(list, vmas, i);
    if (rc !== 0) return rc;
  }
  return 0;
}

function flagsOf(list: readonly ExecObject[], vmas: Vma[], i: number): number {
  let flags = PIN_USER;
  if (list[i].needsGtt) flags |= PIN_GLOBAL | PIN_MAPPABLE;
  if (i === vmas.length - 1) flags |= PIN_OFFSET_BIAS;
  return flags;
}

function wrongPlace(list: readonly ExecObject[], vmas: Vma[], i: number): boolean {
  return misplaced(vmas[i], list[i].alignment ?? 0, flagsOf(list, vmas, i), BATCH_OFFSET_BIAS);
}

function pin(list: readonly ExecObject[], vmas: Vma[], i: number): number {
  const { object, vm } = vmas[i];
  const flags = flagsOf(list, vmas, i);
  const bias = (flags & PIN_OFFSET_BIAS) !== 0 ? BATCH_OFFSET_BIAS : 0;
  const vma = doPin(object, vm, undefined, list[i].alignment ?? 0, flags, bias);
  return typeof vma === 'number' ? vma : 0;
}
