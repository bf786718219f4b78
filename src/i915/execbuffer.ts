import { checkBoolean, checkOptions, oneOf, readList } from '../core/arguments.js';
import { checkInteger, invalidType, outOfRange } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
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
  PIN_OFFSET_FIXED,
  PIN_USER,
} from './bind.js';
import { GpuContext } from './context.js';
import { type I915Device, otherDevice } from './device.js';
import { evictVm } from './evict.js';
import { GemObject } from './object.js';
import { addRequest, ENGINES, type EngineName, type Request } from './retire.js';
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
  /**
   * The address that it must have (EXEC_OBJECT_PINNED), whole pages: what lies there is evicted. EINVAL past the end of the
   * address space and where two objects of the batch overlap.
   */
  offset?: number;
}

/** Options of a batch. */
export interface ExecOptions {
  /** How long the GPU is busy with it, in ms of virtual time; it starts when its engine is free. Default 1. */
  busy?: number;
  /** What runs it. Default `render`. */
  engine?: EngineName;
  /** The batch is the first object, not the last (I915_EXEC_BATCH_FIRST). Default false. */
  batchFirst?: boolean;
}

/**
 * i915_gem_do_execbuffer, as far as memory goes: every object is bound in the context's address space and stays there
 * while the GPU uses it. The batch is the last object. With relocations left out, addresses come back as the vmas'.
 * Errors, in the kernel's order: EINVAL for no objects, NEEDS_GTT with full PPGTT, an object listed twice; then what
 * binding says: E2BIG, EBUSY from within a hook of a call that works on one of them, ENOSPC (after everything else in the address space was evicted once), ENOMEM, EFAULT, EAGAIN.
 */
export function execbuffer(device: I915Device, context: GpuContext, batch: Batch): { vmas: Vma[]; request: Request } {
  check(device, context, batch.list);
  const result = submit(device, context, batch);
  if (typeof result === 'number') {
    refuse(result, 'gem_execbuffer', `${batch.list.length} objects could not be bound in ${context.vm.name}`);
  }
  return result;
}

/** Does what the list asks for, which was checked. Returns what was made, or a negative errno. */
export function submit(
  device: I915Device,
  context: GpuContext,
  batch: Batch,
): { vmas: Vma[]; request: Request } | number {
  const objects = batch.list.map(({ object }) => object);
  for (const object of objects) object.checkIdle('gem_execbuffer');
  context.vm.checkRoom('gem_execbuffer');
  return context.work(() => context.vm.work(() => working(objects, () => run(device, context, batch))));
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

function run(device: I915Device, { vm }: GpuContext, batch: Batch): { vmas: Vma[]; request: Request } | number {
  const { list, busy } = batch;
  // eb_lookup_vmas: from here on every object has a vma, bound or not, that unbinding does not destroy.
  const vmas = list.map(({ object }) => lookupOrCreateVma(object, vm, undefined));
  for (const vma of vmas) {
    vma.onExecList = true;
    vma.object.get();
  }
  let rc = reserve(batch, vmas);
  if (rc === 0 && batch.bound !== undefined) rc = batch.bound(vmas);
  let request: Request | undefined;
  if (rc === 0) {
    for (const { object, write = false } of list) {
      if (write) object.dirty = true;
      object.readDomains = 2;
      object.writeDomain = write ? 2 : 0;
    }
    request = addRequest(
      device,
      list.map(({ object }) => object),
      busy,
      batch.engine,
    );
    for (const { object, write = false } of list) if (write) object.lastWrite = request;
  }
  // eb_destroy. A vma that was looked up and not bound stays as a placeholder.
  for (const vma of vmas) {
    vma.onExecList = false;
    vma.object.put();
  }
  return request === undefined ? rc : { vmas, request };
}

/** What a call of execbuffer was given, as plain values. */
export interface Batch {
  readonly list: readonly ExecObject[];
  readonly busy: number;
  /** Number of the engine. */
  readonly engine: number;
  /** Place of the batch itself in the list. */
  readonly batch: number;
  /**
   * All objects have their places: relocations are done now. Returns 0 or a negative errno, and then nothing is run.
   */
  readonly bound?: (vmas: readonly Vma[]) => number;
}

export function readBatch(list: readonly ExecObject[], options: ExecOptions = {}): Batch {
  const { busy = 1, engine = 'render', batchFirst } = checkOptions('options', options, EXEC_OPTIONS);
  if (typeof busy !== 'number') throw invalidType('busy', 'of type number', busy);
  if (!(busy >= 0 && busy < 2 ** 40)) throw outOfRange('busy', '>= 0 milliseconds', busy);
  oneOf('engine', engine, ENGINES);
  const first = checkBoolean('batchFirst', batchFirst, false);
  const entries = readList('list', list, [0, 2 ** 32 - 1], readEntry);
  return { list: entries, busy, engine: ENGINES.indexOf(engine), batch: first ? 0 : entries.length - 1 };
}

function readEntry(entry: ExecObject): ExecObject {
  const plain = checkOptions('list', entry, EXEC_OBJECT);
  checkInteger('alignment', plain.alignment ?? 0, 0, 2 ** 48);
  checkBoolean('write', plain.write, false);
  checkBoolean('needsGtt', plain.needsGtt, false);
  checkInteger('offset', plain.offset ?? 0, 0, 2 ** 48);
  return plain;
}

const EXEC_OPTIONS: readonly (keyof ExecOptions)[] = ['busy', 'engine', 'batchFirst'];
const EXEC_OBJECT: readonly (keyof ExecObject)[] = ['object', 'alignment', 'write', 'needsGtt', 'offset'];

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
  for (const { object, alignment = 0, needsGtt = false, offset = 0 } of list) {
    if (!isAlignment(alignment)) refuse(-EINVAL, 'gem_execbuffer', `alignment ${alignment}`);
    if (offset % PAGE_SIZE !== 0) refuse(-EINVAL, 'gem_execbuffer', `offset ${offset} is no multiple of the page size`);
    if (needsGtt && full) refuse(-EINVAL, 'gem_execbuffer', 'NEEDS_GTT means nothing with full PPGTT');
    if (seen.has(object)) refuse(-EINVAL, 'gem_execbuffer', `${object} is listed twice`);
    seen.add(object);
  }
}

// i915_gem_execbuffer_reserve: those that lie wrong go first, then all are pinned, those with an address of their own before
// the others. When there is no room, once, everything is unpinned and the whole address space evicted.
function reserve(batch: Batch, vmas: Vma[]): number {
  for (let evicted = false; ; evicted = true) {
    // Others may have pinned these objects, too: only what was pinned here is unpinned (__EXEC_OBJECT_HAS_PIN).
    const pinned: Vma[] = [];
    const rc = reserveOnce(batch, vmas, pinned);
    for (const vma of pinned) --vma.pinCount;
    if (rc !== -ENOSPC || evicted) return rc;
    evictVm(vmas[0].vm, true);
  }
}

function reserveOnce(batch: Batch, vmas: Vma[], pinned: Vma[]): number {
  let fixed = false;
  for (let i = 0; i < vmas.length; ++i) {
    if (batch.list[i].offset !== undefined) fixed = true;
    if (vmas[i].node === 0) continue;
    const rc = wrongPlace(batch, vmas, i) ? vmaUnbind(vmas[i]) : pin(batch, vmas, i, pinned);
    if (rc !== 0) return rc;
  }
  if (fixed) {
    const rc = place(batch, vmas, true, pinned);
    if (rc !== 0) return rc;
  }
  return place(batch, vmas, false, pinned);
}

function place(batch: Batch, vmas: Vma[], fixed: boolean, pinned: Vma[]): number {
  for (let i = 0; i < vmas.length; ++i) {
    if (vmas[i].node !== 0 || (batch.list[i].offset !== undefined) !== fixed) continue;
    const rc = pin(batch, vmas, i, pinned);
    if (rc !== 0) return rc;
  }
  return 0;
}

function flagsOf({ list, batch }: Batch, i: number): number {
  let flags = PIN_USER;
  if (list[i].needsGtt) flags |= PIN_GLOBAL | PIN_MAPPABLE;
  if (list[i].offset !== undefined) flags |= PIN_OFFSET_FIXED;
  else if (i === batch) flags |= PIN_OFFSET_BIAS;
  return flags;
}

function wrongPlace(batch: Batch, vmas: Vma[], i: number): boolean {
  const { alignment = 0, offset = BATCH_OFFSET_BIAS } = batch.list[i];
  return misplaced(vmas[i], alignment, flagsOf(batch, i), offset);
}

function pin(batch: Batch, vmas: Vma[], i: number, pinned: Vma[]): number {
  const { object, vm } = vmas[i];
  const flags = flagsOf(batch, i);
  const { alignment = 0, offset = (flags & PIN_OFFSET_BIAS) !== 0 ? BATCH_OFFSET_BIAS : 0 } = batch.list[i];
  const vma = doPin(object, vm, undefined, alignment, flags, offset);
  if (typeof vma === 'number') return vma;
  pinned.push(vma);
  return 0;
}
