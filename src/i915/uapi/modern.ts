import { PAGE_SIZE } from '../../core/generated/constants.js';
import { userExtensions } from './contexts.js';
import { EFAULT, EINVAL, ENODEV, ENOENT } from './errno.js';
import type { DrmFile, FileContext } from './file.js';
import { sizeCheck } from './gem.js';
import type { CpuMappingType } from './mapping.js';
import { CLASS_INSTANCE, enginesOf } from './params.js';
import { offsetsOf, structSize } from './structs.js';
import { setU64, u64, viewOf, word } from './words.js';

/** Requests that came after Linux 4.2: queries, address spaces, extensions (i915_query.c, i915_gem_context.c, i915_gem_create.c). */

const ITEM = offsetsOf('query_item');
const ITEM_SIZE = structSize('query_item');

/** i915_query_ioctl: each item has a result of its own, in its length. */
export function query(file: DrmFile, k: DataView): number {
  if (k.getUint32(4, true) !== 0) return -EINVAL;
  const count = k.getUint32(0, true);
  const items = u64(k, 8);
  for (let i = 0; i < count; ++i) {
    const at = items + i * ITEM_SIZE;
    const bytes = file.copyFrom(at, ITEM_SIZE);
    if (bytes === null) return -EFAULT;
    const item = viewOf(Uint8Array.from(bytes));
    const id = u64(item, ITEM.query_id);
    if (id === 0) return -EINVAL;
    const rc = queryItem(file, id, item);
    if (rc !== item.getInt32(ITEM.length, true) && !file.copyTo(at + ITEM.length, word(rc))) return -EFAULT;
  }
  return 0;
}

const TOPOLOGY = 1;
const ENGINES = 2;
const MEMORY_REGIONS = 4;

function queryItem(file: DrmFile, id: number, item: DataView): number {
  const flags = item.getUint32(ITEM.flags, true);
  if (id === TOPOLOGY) return flags === 0 ? give(file, item, topology(file), 0) : -EINVAL;
  if (id === ENGINES) return flags === 0 ? give(file, item, engineInfo(file), 16) : -EINVAL;
  if (id === MEMORY_REGIONS) return flags === 0 ? give(file, item, memoryRegions(file), 16) : -EINVAL;
  // No metrics, no table of the hardware's configuration, no geometry pipelines, no GuC.
  return id <= 7 ? (id === 3 ? -EINVAL : -ENODEV) : -EINVAL;
}

// copy_query_item: the length, where none was given; else the data, whose head the client must have zeroed.
function give(file: DrmFile, item: DataView, data: Uint8Array | null, head: number): number {
  if (data === null) return -ENODEV;
  const length = item.getInt32(ITEM.length, true);
  if (length === 0) return data.length;
  if (length < data.length) return -EINVAL;
  const to = u64(item, ITEM.data_ptr);
  const given = file.copyFrom(to, 16);
  if (given === null) return -EFAULT;
  if (head > 0 && given.subarray(0, head).some((byte) => byte !== 0)) return -EINVAL;
  return file.copyTo(to, data) ? data.length : -EFAULT;
}

// One slice of three subslices with eight units each, as the smallest parts have (GT2).
function topology({ device }: DrmFile): Uint8Array | null {
  if (device.config.gen < 8) return null;
  const data = new Uint8Array(16 + 1 + 1 + 3);
  const view = viewOf(data);
  for (const [i, value] of [0, 1, 3, 8, 1, 1, 2, 1].entries()) view.setUint16(i * 2, value, true);
  data.set([1, 7, 0xff, 0xff, 0xff], 16);
  return data;
}

function engineInfo({ device }: DrmFile): Uint8Array {
  const mask = enginesOf(device);
  // By class, then by instance.
  const present = [0, 2, 1, 4, 3].filter((engine) => ((mask >> engine) & 1) === 1);
  const data = new Uint8Array(16 + present.length * 56);
  const view = viewOf(data);
  view.setUint32(0, present.length, true);
  for (const [i, engine] of present.entries()) {
    const at = 16 + i * 56;
    const [kind, instance] = CLASS_INSTANCE[engine];
    view.setUint16(at, kind, true);
    view.setUint16(at + 2, instance, true);
    setU64(view, at + 8, 1); // has a logical instance
    view.setUint16(at + 24, instance, true);
  }
  return data;
}

function memoryRegions({ device }: DrmFile): Uint8Array {
  const data = new Uint8Array(16 + 88);
  const view = viewOf(data);
  view.setUint32(0, 1, true);
  const total = device.ram.stats.usable * PAGE_SIZE;
  for (const field of [8, 16, 24, 32]) setU64(view, 16 + field, total);
  return data;
}

const OFFSET = offsetsOf('gem_mmap_offset');
const GTT = 0;
const FIXED = 4;
const TYPES: readonly CpuMappingType[] = ['gtt', 'wc', 'wb', 'wc'];

/** i915_gem_mmap_offset_ioctl; a struct of 16 bytes is MMAP_GTT. */
export function gemMmapOffset(file: DrmFile, k: DataView): number {
  const rc = userExtensions(file, u64(k, OFFSET.extensions), () => -EINVAL);
  if (rc !== 0) return rc;
  const flags = u64(k, OFFSET.flags);
  if (flags > FIXED) return -EINVAL;
  const object = file.objects.get(k.getUint32(OFFSET.handle, true));
  if (object === undefined) return -ENOENT;
  if (flags === FIXED || (flags !== GTT && !object.backing.filp) || object.backing.kind === 'userptr') return -ENODEV;
  setU64(k, OFFSET.offset, file.offsetOf(object, TYPES[flags]));
  return 0;
}

const CREATE_EXT = offsetsOf('gem_create_ext');
const EXT_MEMORY_REGIONS = 0;
const EXT_PROTECTED = 1;
const NEEDS_CPU_ACCESS = 1;

/** i915_gem_create_ext_ioctl, for parts whose only memory is the system's. */
export function gemCreateExt(file: DrmFile, k: DataView): number {
  const flags = k.getUint32(CREATE_EXT.flags, true);
  if ((flags & ~NEEDS_CPU_ACCESS) !== 0) return -EINVAL;
  let placed = false;
  const rc = userExtensions(file, u64(k, CREATE_EXT.extensions), (name, at) => {
    if (name === EXT_PROTECTED) return -ENODEV;
    if (name !== EXT_MEMORY_REGIONS) return -EINVAL;
    const bytes = file.copyFrom(at + 32, 16);
    if (bytes === null) return -EFAULT;
    const ext = viewOf(bytes);
    const count = ext.getUint32(4, true);
    if (ext.getUint32(0, true) !== 0 || count !== 1) return -EINVAL;
    const region = file.copyFrom(u64(ext, 8), 4);
    if (region === null) return -EFAULT;
    if (placed || region.subarray(0, 4).some((byte) => byte !== 0)) return -EINVAL;
    placed = true;
    return 0;
  });
  if (rc !== 0) return rc;
  if (flags !== 0) return -EINVAL; // There is only one place.
  const size = u64(k, CREATE_EXT.size);
  const bad = sizeCheck(file, size);
  if (bad !== 0) return bad;
  const object = file.device.createObject(size);
  k.setUint32(CREATE_EXT.handle, file.addHandle(object), true);
  setU64(k, CREATE_EXT.size, object.size);
  return 0;
}

const VM = offsetsOf('gem_vm_control');

/** i915_gem_vm_create_ioctl. */
export function vmCreate(file: DrmFile, k: DataView): number {
  if (!file.device.fullPpgtt) return -ENODEV;
  if (k.getUint32(VM.flags, true) !== 0) return -EINVAL;
  const rc = userExtensions(file, u64(k, VM.extensions), () => -EINVAL);
  if (rc !== 0) return rc;
  k.setUint32(VM.vm_id, file.vms.add(file.device.createPpgtt()), true);
  return 0;
}

/** i915_gem_vm_destroy_ioctl. */
export function vmDestroy(file: DrmFile, k: DataView): number {
  if (k.getUint32(VM.flags, true) !== 0 || u64(k, VM.extensions) !== 0) return -EINVAL;
  const vm = file.vms.delete(k.getUint32(VM.vm_id, true));
  if (vm === undefined) return -ENOENT;
  vm.close();
  return 0;
}

/** get_ppgtt: an id of the context's address space, or a negative errno. */
export function vmOf(file: DrmFile, { context }: FileContext): number {
  if (!file.device.fullPpgtt) return -ENODEV;
  context.vm.hold();
  return file.vms.add(context.vm);
}

/** set_proto_ctx_vm: the context, which has run nothing yet, gets another address space. */
export function useVm(file: DrmFile, found: FileContext, id: number): number {
  const vm = file.vms.get(id);
  if (vm === undefined) return -ENOENT;
  const before = found.context;
  found.context = file.device.createContextIn(vm);
  before.release();
  return 0;
}

const MAX_ENGINES = 64;
const INVALID = 0xffff;

/** set_proto_ctx_engines: what the numbers of rings mean in batches of the context. */
export function contextEngines(file: DrmFile, found: FileContext, at: number, size: number): number {
  if (found.engines !== undefined) return -EINVAL;
  if (size < 8 || (size - 8) % 4 !== 0 || (size - 8) / 4 > MAX_ENGINES) return -EINVAL;
  const bytes = file.copyFrom(at, size);
  if (bytes === null) return -EFAULT;
  const view = viewOf(Uint8Array.from(bytes));
  const mask = enginesOf(file.device);
  const engines: number[] = [];
  for (let i = 8; i < size; i += 4) {
    const [kind, instance] = [view.getUint16(i, true), view.getUint16(i + 2, true)];
    if (kind === INVALID && instance === INVALID) {
      engines.push(-1);
      continue;
    }
    const engine = CLASS_INSTANCE.findIndex(([itsKind, its]) => itsKind === kind && its === instance);
    if (engine < 0 || ((mask >> engine) & 1) === 0) return -ENOENT;
    engines.push(engine);
  }
  // Balanced and bonded engines are for parts with several of a kind.
  const rc = userExtensions(file, u64(view, 0), () => -EINVAL);
  if (rc !== 0) return rc;
  found.engines = engines;
  return 0;
}
