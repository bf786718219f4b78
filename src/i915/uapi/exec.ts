import { PAGE_SIZE } from '../../core/generated/constants.js';
import { held } from '../../core/handle.js';
import { type ExecObject, submit } from '../execbuffer.js';
import type { GemObject } from '../object.js';
import { retireUpTo } from '../retire.js';
import type { Vma } from '../vma.js';
import { userExtensions } from './contexts.js';
import { EBADF, EFAULT, EINVAL, ENOENT, EPERM } from './errno.js';
import { runBatch } from './executor.js';
import type { DrmFile, FileContext } from './file.js';
import { enginesOf } from './params.js';
import { offsetsOf, structSize } from './structs.js';
import type { Syncobj } from './syncobj.js';
import { high, setU64, u64, viewOf } from './words.js';

/** Batches (i915_gem_execbuffer.c): everything that the client says is checked before anything is done. */

const EXEC = offsetsOf('gem_execbuffer2');
const OBJECT = offsetsOf('gem_exec_object2');
const OBJECT_SIZE = structSize('gem_exec_object2');
const RELOC = offsetsOf('gem_relocation_entry');
const RELOC_SIZE = structSize('gem_relocation_entry');

// Flags of a batch (I915_EXEC_*).
const BSD_MASK = 3 << 13;
const BSD_SHIFT = 13;
const SECURE = 1 << 9;
const NO_RELOC = 1 << 11;
const HANDLE_LUT = 1 << 12;
const CONSTANTS_MASK = 3 << 6;
const SOL_RESET = 1 << 8;
const FENCE_IN = 1 << 16;
const FENCE_OUT = 1 << 17;
const BATCH_FIRST = 1 << 18;
const FENCE_ARRAY = 1 << 19;
const FENCE_SUBMIT = 1 << 20;
const USE_EXTENSIONS = 1 << 21;

// Flags of an object (EXEC_OBJECT_*).
const NEEDS_GTT = 2;
const OBJECT_WRITE = 4;
const PINNED = 16;
const PAD_TO_SIZE = 32;

/** Rings by their number in the flags: default, render, bsd, blt, vebox; values are engines. */
const RINGS = [0, 0, 1, 2, 3];
const BSD = 2;
const RING_VEBOX = 4;
/** Most batches that an engine takes before the client waits: what its ring holds. */
const RING_BATCHES = 256;
const MAX_COUNT = Math.floor(0x7fffffff / OBJECT_SIZE);
const GPU_DOMAINS = 0x3e;

/** What a batch waits for or signals besides. */
interface Fence {
  readonly syncobj: Syncobj;
  readonly flags: number;
  readonly point: number;
}

const FENCE_WAIT = 1;
const FENCE_SIGNAL = 2;

/** i915_gem_execbuffer2. */
export function execbuffer2(file: DrmFile, k: DataView): number {
  const { device, profile } = file;
  const count = k.getUint32(EXEC.buffer_count, true);
  if (count === 0 || count > MAX_COUNT) return -EINVAL;
  const flags = k.getUint32(EXEC.flags, true);
  const rc = checkHead(file, k, flags);
  if (rc !== 0) return rc;
  const at = u64(k, EXEC.buffers_ptr);
  const given = file.copyFrom(at, count * OBJECT_SIZE);
  if (given === null) return -EFAULT;
  const entries = viewOf(count === 1 ? given : Uint8Array.from(given));
  if ((flags & SECURE) !== 0 && (!file.admin || file.render)) return -EPERM;
  const found = file.contexts.get(k.getUint32(EXEC.rsvd1, true));
  if (profile.renderOnly) {
    const engine = ringOf(file, flags);
    if (engine < 0) return engine;
    if (engine !== 0 && k.getUint32(EXEC.rsvd1, true) !== 0) return -EINVAL;
  }
  if (found === undefined) return -ENOENT;
  const engine = found.engines === undefined ? ringOf(file, flags) : mapped(found.engines, flags & profile.ringMask);
  if (engine < 0) return engine;
  if (profile.renderOnly && engine !== 0 && (flags & CONSTANTS_MASK) !== 0) return -EINVAL;
  if (profile.renderOnly && (flags & SOL_RESET) !== 0 && (device.config.gen !== 7 || engine !== 0)) return -EINVAL;

  const list: ExecObject[] = [];
  const handles: number[] = [];
  const bad = readObjects(file, found, entries, count, list, handles);
  if (bad !== 0) return bad;
  const relocated = checkRelocations(file, entries, count);
  if (relocated < 0) return relocated;
  const fences = readFences(file, k, flags);
  if (typeof fences === 'number') return fences;

  const queue = device.engines[engine];
  if (queue.length >= RING_BATCHES) {
    const oldest = queue[RING_BATCHES / 2];
    file.wait(oldest.due - device.clock.now);
    retireUpTo(device, oldest);
  }
  const { now } = device.clock;
  let busy = file.batchTime;
  for (const { syncobj, flags: how, point } of fences) {
    if ((how & FENCE_WAIT) !== 0) busy = Math.max(busy, (syncobj.at(point) ?? 0) - now + file.batchTime);
  }
  if ((flags & FENCE_IN) !== 0) {
    const target = file.fds.get(k.getInt32(EXEC.rsvd2, true));
    if (target === undefined || !('due' in target)) return -EINVAL;
    busy = Math.max(busy, (target.due ?? 0) - now + file.batchTime);
  }
  const batch = (flags & BATCH_FIRST) !== 0 ? 0 : count - 1;
  const bound = (vmas: readonly Vma[]): number => {
    const rc = relocate(file, entries, list, handles, vmas, flags, relocated);
    if (rc === 0 && list[batch].write === true && profile.renderOnly) return -EINVAL;
    return rc;
  };
  const result = device.hooks.call(() => submit(device, found.context, { list, busy, engine, batch, bound }));
  if (typeof result === 'number') return result;
  ++found.batches;
  if (file.execute) {
    const run = runBatch(result.vmas[batch], k.getUint32(EXEC.batch_start_offset, true));
    file.lastRun = run;
    if (run.ended !== 'end') {
      ++found.hangs;
      ++device.resets;
    }
  }
  for (const { syncobj, flags: how, point } of fences) {
    if ((how & FENCE_SIGNAL) !== 0) syncobj.add(point, result.request.due);
  }
  if ((flags & FENCE_OUT) !== 0) k.setInt32(EXEC.rsvd2 + 4, file.fds.add({ due: result.request.due }), true);
  for (let i = 0; i < count; ++i) {
    const { start } = result.vmas[i];
    if (same(entries, i * OBJECT_SIZE + OBJECT.offset, start)) continue;
    if (!file.copyTo(at + i * OBJECT_SIZE + OBJECT.offset, canonical(start)) && !profile.canonical) return -EFAULT;
  }
  return 0;
}

// i915_gem_check_execbuffer.
function checkHead({ profile, device }: DrmFile, k: DataView, flags: number): number {
  if (high(k, EXEC.flags) !== 0 || (flags & ~profile.execFlags) !== 0) return -EINVAL;
  if (((k.getUint32(EXEC.batch_start_offset, true) | k.getUint32(EXEC.batch_len, true)) & 7) !== 0) return -EINVAL;
  const fences = flags & (FENCE_ARRAY | USE_EXTENSIONS);
  if (fences === 0) {
    const cliprects = k.getUint32(EXEC.num_cliprects, true);
    if (cliprects !== 0 && (device.config.gen >= 5 || profile.canonical)) return -EINVAL;
    if (cliprects === 0 && u64(k, EXEC.cliprects_ptr) !== 0) return -EINVAL;
  } else if (fences === (FENCE_ARRAY | USE_EXTENSIONS)) return -EINVAL;
  const dr4 = k.getUint32(EXEC.DR4, true);
  if (k.getUint32(EXEC.DR1, true) !== 0 || (dr4 !== 0 && dr4 !== 0xffffffff)) return -EINVAL;
  if ((flags & (FENCE_IN | FENCE_OUT | FENCE_SUBMIT)) === 0 && !profile.canonical && u64(k, EXEC.rsvd2) !== 0)
    return -EINVAL;
  if ((flags & FENCE_IN) !== 0 && (flags & FENCE_SUBMIT) !== 0) return -EINVAL;
  return 0;
}

// eb_select_legacy_ring: the engine that flags name, or -EINVAL.
function ringOf({ device, profile }: DrmFile, flags: number): number {
  const ring = flags & profile.ringMask;
  if (ring > RING_VEBOX) return -EINVAL;
  if (ring !== BSD && (flags & BSD_MASK) !== 0) return -EINVAL;
  let engine = RINGS[ring];
  const engines = enginesOf(device);
  if (ring === BSD && (engines & 16) !== 0) {
    const select = (flags & BSD_MASK) >> BSD_SHIFT;
    if (select === 3) return -EINVAL;
    if (select === 2) engine = 4;
  }
  return ((engines >> engine) & 1) === 0 ? -EINVAL : engine;
}

function mapped(engines: readonly number[], index: number): number {
  return index < engines.length && engines[index] >= 0 ? engines[index] : -EINVAL;
}

// eb_validate_vma and eb_lookup_vmas.
function readObjects(
  file: DrmFile,
  { context }: FileContext,
  entries: DataView,
  count: number,
  list: ExecObject[],
  handles: number[],
): number {
  const { profile, device } = file;
  const full = context.vm !== device.ggtt;
  const seen = count > 1 ? new Set<GemObject>() : undefined;
  // All flags are looked at before the first handle.
  for (let i = 0; i < count; ++i) {
    const at = i * OBJECT_SIZE;
    const flags = entries.getUint32(at + OBJECT.flags, true);
    if (high(entries, at + OBJECT.flags) !== 0 || (flags & ~profile.objectFlags) !== 0) return -EINVAL;
    if (full && (flags & NEEDS_GTT) !== 0) return -EINVAL;
    if (!powerOfTwo(entries, at + OBJECT.alignment)) return -EINVAL;
    if ((flags & PINNED) !== 0 && !isPlace(entries, at + OBJECT.offset)) return -EINVAL;
    if ((flags & PAD_TO_SIZE) !== 0 && u64(entries, at + OBJECT.rsvd1) % PAGE_SIZE !== 0) return -EINVAL;
  }
  for (let i = 0; i < count; ++i) {
    const at = i * OBJECT_SIZE;
    const handle = entries.getUint32(at + OBJECT.handle, true);
    const object = file.objects.get(handle);
    if (object === undefined) return -ENOENT;
    if (seen !== undefined) {
      if (seen.has(object)) return -EINVAL;
      seen.add(object);
    }
    const flags = entries.getUint32(at + OBJECT.flags, true);
    handles.push(handle);
    list.push({
      object,
      alignment: u64(entries, at + OBJECT.alignment),
      write: (flags & OBJECT_WRITE) !== 0,
      needsGtt: (flags & NEEDS_GTT) !== 0,
      offset: (flags & PINNED) !== 0 ? place(entries, at + OBJECT.offset) : undefined,
    });
  }
  return 0;
}

function powerOfTwo(entries: DataView, at: number): boolean {
  const [lo, hi] = [entries.getUint32(at, true), entries.getUint32(at + 4, true)];
  return (lo === 0 || hi === 0) && (lo & (lo - 1)) === 0 && (hi & (hi - 1)) === 0;
}

// Canonical: bits 63 to 48 as bit 47.
function isPlace(entries: DataView, at: number): boolean {
  const top = entries.getUint16(at + 6, true);
  return (
    entries.getUint32(at, true) % PAGE_SIZE === 0 &&
    top === ((entries.getUint16(at + 4, true) & 0x8000) === 0 ? 0 : 0xffff)
  );
}

function place(entries: DataView, at: number): number {
  return entries.getUint32(at, true) + entries.getUint16(at + 4, true) * 2 ** 32;
}

const words = new DataView(new ArrayBuffer(8));
const address = new Uint8Array(words.buffer);

// gen8_canonical_addr.
function canonical(start: number): Uint8Array {
  setU64(words, 0, start);
  if (start >= 2 ** 47) words.setUint16(6, 0xffff, true);
  return address;
}

function same(view: DataView, at: number, start: number): boolean {
  canonical(start);
  return view.getUint32(at, true) === words.getUint32(0, true) && high(view, at) === words.getUint32(4, true);
}

// validate_exec_list: how many relocations there are, or a negative errno.
function checkRelocations(file: DrmFile, entries: DataView, count: number): number {
  let total = 0;
  for (let i = 0; i < count; ++i) {
    const n = entries.getUint32(i * OBJECT_SIZE + OBJECT.relocation_count, true);
    if (n === 0) continue;
    total += n;
    if (total > MOST_RELOCATIONS) return -EINVAL;
    // Whether they can be read is seen before anything is done.
    const at = u64(entries, i * OBJECT_SIZE + OBJECT.relocs_ptr);
    if (file.copyFrom(at, n * RELOC_SIZE) === null) return -EFAULT;
  }
  return total;
}

const MOST_RELOCATIONS = Math.floor(0x7fffffff / RELOC_SIZE);

// i915_gem_execbuffer_relocate: unless the client says that all is in place, and it is.
function relocate(
  file: DrmFile,
  entries: DataView,
  list: readonly ExecObject[],
  handles: readonly number[],
  vmas: readonly Vma[],
  flags: number,
  total: number,
): number {
  if (total === 0) return 0;
  const moved = vmas.some(({ start }, i) => !same(entries, i * OBJECT_SIZE + OBJECT.offset, start));
  if ((flags & NO_RELOC) !== 0 && !moved) return 0;
  for (let i = 0; i < vmas.length; ++i) {
    const count = entries.getUint32(i * OBJECT_SIZE + OBJECT.relocation_count, true);
    if (count === 0) continue;
    const at = u64(entries, i * OBJECT_SIZE + OBJECT.relocs_ptr);
    const bytes = file.copyFrom(at, count * RELOC_SIZE);
    if (bytes === null) return -EFAULT;
    const relocations = viewOf(Uint8Array.from(bytes));
    for (let j = 0; j < count; ++j) {
      const reloc = j * RELOC_SIZE;
      const name = relocations.getUint32(reloc + RELOC.target_handle, true);
      const target = (flags & HANDLE_LUT) !== 0 ? name : handles.indexOf(name);
      if (target < 0 || target >= vmas.length) return -ENOENT;
      const rc = relocateEntry(file, vmas[i], vmas[target], list[target], relocations, reloc);
      if (rc < 0) return rc;
      if (rc > 0 && !file.copyTo(at + reloc + RELOC.presumed_offset, canonical(vmas[target].start))) return -EFAULT;
    }
  }
  return 0;
}

// eb_relocate_entry: 1 when it wrote, 0 when the value was in place, or a negative errno.
function relocateEntry(
  { profile, device }: DrmFile,
  vma: Vma,
  target: Vma,
  entry: ExecObject,
  relocations: DataView,
  at: number,
): number {
  const write = relocations.getUint32(at + RELOC.write_domain, true);
  const domains = write | relocations.getUint32(at + RELOC.read_domains, true);
  if ((write & (write - 1)) !== 0) return -EINVAL;
  if ((domains & ~GPU_DOMAINS) !== 0) return -EINVAL;
  if (write !== 0) entry.write = true;
  if (same(relocations, at + RELOC.presumed_offset, target.start)) return 0;
  const width = device.config.gen >= 8 ? 8 : 4;
  const offset = u64(relocations, at + RELOC.offset);
  if (offset > vma.object.size - width || (offset & 3) !== 0) return -EINVAL;
  const delta = profile.canonical
    ? relocations.getInt32(at + RELOC.delta, true)
    : relocations.getUint32(at + RELOC.delta, true);
  const { core, context } = device;
  const staging = core.staging(context);
  core.writeBytes(staging, canonical(target.start + delta).subarray(0, width));
  const rc = core.exports.sgWrite(held(vma.object.pages), offset, staging, width);
  if (rc < 0) return rc;
  vma.object.dirty = true;
  return 1;
}

const EXT_TIMELINE_FENCES = 0;

// add_fence_array and add_timeline_fence_array.
function readFences(file: DrmFile, k: DataView, flags: number): Fence[] | number {
  const fences: Fence[] = [];
  if ((flags & FENCE_ARRAY) !== 0) {
    const rc = fenceArray(file, u64(k, EXEC.cliprects_ptr), k.getUint32(EXEC.num_cliprects, true), 0, fences);
    if (rc !== 0) return rc;
  } else if ((flags & USE_EXTENSIONS) !== 0) {
    if (k.getUint32(EXEC.num_cliprects, true) !== 0) return -EINVAL;
    const rc = userExtensions(file, u64(k, EXEC.cliprects_ptr), (name, at) => {
      if (name !== EXT_TIMELINE_FENCES) return -EINVAL;
      const bytes = file.copyFrom(at + 32, 24);
      if (bytes === null) return -EFAULT;
      const view = viewOf(bytes);
      return fenceArray(file, u64(view, 8), u64(view, 0), u64(view, 16), fences);
    });
    if (rc !== 0) return rc;
  }
  if ((flags & FENCE_SUBMIT) !== 0 && file.fds.get(k.getInt32(EXEC.rsvd2, true)) === undefined) return -EBADF;
  return fences;
}

const MOST_FENCES = 2 ** 20;

function fenceArray(file: DrmFile, at: number, count: number, pointsAt: number, fences: Fence[]): number {
  if (count === 0) return 0;
  if (count > MOST_FENCES) return -EFAULT;
  const bytes = file.copyFrom(at, count * 8);
  if (bytes === null) return -EFAULT;
  const view = viewOf(Uint8Array.from(bytes));
  const values = pointsAt === 0 ? undefined : file.copyFrom(pointsAt, count * 8);
  if (values === null) return -EFAULT;
  const points = values === undefined ? undefined : viewOf(values);
  for (let i = 0; i < count; ++i) {
    const how = view.getUint32(i * 8 + 4, true);
    if ((how & ~(FENCE_WAIT | FENCE_SIGNAL)) !== 0) return -EINVAL;
    const syncobj = file.syncobjs.get(view.getUint32(i * 8, true));
    if (syncobj === undefined) return -ENOENT;
    const point = points === undefined ? 0 : u64(points, i * 8);
    if ((how & FENCE_WAIT) !== 0 && syncobj.at(point) === undefined) return -EINVAL;
    if (point !== 0 && how === (FENCE_WAIT | FENCE_SIGNAL)) return -EINVAL;
    fences.push({ syncobj, flags: how, point });
  }
  return 0;
}
