import { PAGE_SIZE } from '../../core/generated/constants.js';
import { PURGED } from '../madvise.js';
import type { GemObject } from '../object.js';
import { retireDone } from '../retire.js';
import { E2BIG, EFAULT, EINVAL, ENODEV, ENOENT, ENOMEM, ENXIO, EPERM, ETIME } from './errno.js';
import type { DrmFile } from './file.js';
import { TASK_SIZE } from './memory.js';
import { classOf } from './params.js';
import { offsetsOf } from './structs.js';
import { high, NS_PER_MS, setU64, u64 } from './words.js';

/** Requests about one object (i915_gem.c, i915_gem_tiling.c, i915_gem_userptr.c). */

/** The object of a handle that stands first in the struct. */
function lookup(file: DrmFile, k: DataView): GemObject | undefined {
  return file.objects.get(k.getUint32(0, true));
}

const CREATE = offsetsOf('gem_create');
/** Beyond this the rounded size is 0. */
const WRAPS = 2 ** 64 - PAGE_SIZE;

/** i915_gem_create_ioctl. Linux 4.2 does not tell the rounded size. */
export function gemCreate(file: DrmFile, k: DataView): number {
  const size = u64(k, CREATE.size);
  const rc = sizeCheck(file, size);
  if (rc !== 0) return rc;
  const object = file.device.createObject(size);
  k.setUint32(CREATE.handle, file.addHandle(object), true);
  if (file.profile.canonical) setU64(k, CREATE.size, object.size);
  return 0;
}

/** i915_gem_create, and i915_gem_object_size_2big: 0 or what a size is refused with. */
export function sizeCheck(file: DrmFile, size: number): number {
  if (size === 0 || size > WRAPS) return -EINVAL;
  if (file.profile.canonical && size > 2 ** 31 * PAGE_SIZE) return -E2BIG;
  return size > Number.MAX_SAFE_INTEGER ? -ENOMEM : 0;
}

const PREAD = offsetsOf('gem_pread');

/** i915_gem_pread_ioctl: nothing to read is read from anything. */
export function gemPread(file: DrmFile, k: DataView): number {
  const size = u64(k, PREAD.size);
  if (size === 0) return 0;
  const to = u64(k, PREAD.data_ptr);
  if (to + size > TASK_SIZE) return -EFAULT;
  const object = lookup(file, k);
  if (object === undefined) return -ENOENT;
  const offset = u64(k, PREAD.offset);
  if (offset + size > object.size || !object.backing.filp) return -EINVAL;
  if (object.madv === PURGED) return -EFAULT;
  for (let done = 0; done < size; done += PIECE) {
    if (!file.copyTo(to + done, object.pread(offset + done, Math.min(PIECE, size - done)))) return -EFAULT;
  }
  return 0;
}

/** Bytes that are copied at a time. */
const PIECE = 2 ** 24;

/** i915_gem_pwrite_ioctl. */
export function gemPwrite(file: DrmFile, k: DataView): number {
  const size = u64(k, PREAD.size);
  if (size === 0) return 0;
  const from = u64(k, PREAD.data_ptr);
  if (from + size > TASK_SIZE) return -EFAULT;
  const object = lookup(file, k);
  const offset = u64(k, PREAD.offset);
  let refused = 0;
  if (object === undefined) refused = -ENOENT;
  else if (offset + size > object.size || !object.backing.filp) refused = -EINVAL;
  // Where it looks at the memory first, it touches every page of it; what is refused is not read whole.
  if (refused !== 0) return file.profile.prefault && !touches(file, from, size) ? -EFAULT : refused;
  for (let done = 0; done < size; done += PIECE) {
    const bytes = file.copyFrom(from + done, Math.min(PIECE, size - done));
    if (bytes === null || object!.madv === PURGED) return -EFAULT;
    object!.pwrite(offset + done, bytes);
  }
  return 0;
}

/** Most pages that are touched of a range that is not used. */
const MOST_TOUCHED = 1024;

function touches(file: DrmFile, from: number, size: number): boolean {
  const pages = Math.min(Math.ceil(size / PAGE_SIZE), MOST_TOUCHED);
  for (let page = 0; page < pages; ++page) if (file.copyFrom(from + page * PAGE_SIZE, 1) === null) return false;
  return file.copyFrom(from + size - 1, 1) !== null;
}

const MMAP = offsetsOf('gem_mmap');
const MMAP_WC = 1;

/** i915_gem_mmap_ioctl: the object's pages, not through the aperture. */
export function gemMmap(file: DrmFile, k: DataView): number {
  const flags = u64(k, MMAP.flags);
  if (flags !== 0 && flags !== MMAP_WC) return -EINVAL;
  const object = lookup(file, k);
  if (object === undefined) return -ENOENT;
  if (!object.backing.filp) return file.profile.noFile === 'ENXIO' ? -ENXIO : -EINVAL;
  const [offset, size] = [u64(k, MMAP.offset), u64(k, MMAP.size)];
  if (file.profile.noFile === 'ENXIO' && offset + size > object.size) return -EINVAL;
  if (size === 0 || offset % PAGE_SIZE !== 0) return -EINVAL;
  if (offset + size > TASK_SIZE) return -ENOMEM;
  setU64(k, MMAP.addr_ptr, file.map(object, flags === MMAP_WC ? 'wc' : 'wb', offset, size).address);
  return 0;
}

const MMAP_GTT = offsetsOf('gem_mmap_gtt');

/** i915_gem_mmap_gtt_ioctl: the offset at which mmap of the file shows it through the aperture. */
export function gemMmapGtt(file: DrmFile, k: DataView): number {
  const object = lookup(file, k);
  if (object === undefined) return -ENOENT;
  if (object.madv !== 0) return -EFAULT;
  setU64(k, MMAP_GTT.offset, file.offsetOf(object, 'gtt'));
  return 0;
}

const SET_DOMAIN = offsetsOf('gem_set_domain');
const DOMAIN_GTT = 0x40;

/** i915_gem_set_domain_ioctl. */
export function gemSetDomain(file: DrmFile, k: DataView): number {
  const { gpuDomains, domainPins } = file.profile;
  const read = k.getUint32(SET_DOMAIN.read_domains, true);
  const write = k.getUint32(SET_DOMAIN.write_domain, true);
  if (((read | write) & gpuDomains) !== 0) return -EINVAL;
  if (write !== 0 && read !== write) return -EINVAL;
  if (domainPins && read === 0) return 0;
  const object = lookup(file, k);
  if (object === undefined) return -ENOENT;
  const aperture = (read & DOMAIN_GTT) !== 0;
  if (aperture || domainPins) {
    if (object.pages === 0 && object.madv !== 0) return -EFAULT;
    if (domainPins) {
      if (object.backing.kind === 'dma-buf') return -ENXIO;
      object.getPages();
      if (object.backing.kind === 'userptr') return 0;
    }
  }
  object.setDomain(aperture ? 'gtt' : 'cpu', write !== 0);
  return 0;
}

/** i915_gem_sw_finish_ioctl: a flush for scanout, of which there is none here. */
export function gemSwFinish(file: DrmFile, k: DataView): number {
  return lookup(file, k) === undefined ? -ENOENT : 0;
}

/** i915_gem_busy_ioctl: the engines that use it above bit 16, the one that writes to it below. */
export function gemBusy(file: DrmFile, k: DataView): number {
  const object = lookup(file, k);
  if (object === undefined) return -ENOENT;
  retireDone(file.device);
  const { busyByClass } = file.profile;
  let busy = 0;
  if (object.active > 0) {
    for (const [engine, request] of object.lastRequests!.entries()) {
      if (request !== undefined && !request.retired) busy |= 0x10000 << (busyByClass ? classOf(engine) : engine);
    }
    const writer = object.lastWrite;
    if (writer !== undefined && !writer.retired) busy |= busyByClass ? classOf(writer.engine) + 1 : writer.engine;
  }
  k.setUint32(4, busy, true);
  return 0;
}

const WAIT = offsetsOf('gem_wait');

/** i915_gem_wait_ioctl: time passes until the object is idle, or the timeout is over. A negative timeout has no end. */
export function gemWait(file: DrmFile, k: DataView): number {
  if (k.getUint32(WAIT.flags, true) !== 0) return -EINVAL;
  const object = lookup(file, k);
  if (object === undefined) return -ENOENT;
  const { clock } = file.device;
  retireDone(file.device);
  if (object.active === 0) return 0;
  let due = clock.now;
  for (const request of object.lastRequests!) {
    if (request !== undefined && !request.retired) due = Math.max(due, request.due);
  }
  const endless = (high(k, WAIT.timeout_ns) & 0x80000000) !== 0;
  const timeout = u64(k, WAIT.timeout_ns);
  const wait = Math.round((due - clock.now) * NS_PER_MS);
  if (endless || wait <= timeout) {
    file.wait(wait / NS_PER_MS);
    if (!endless) setU64(k, WAIT.timeout_ns, timeout - wait);
    retireDone(file.device);
    return 0;
  }
  file.wait(timeout / NS_PER_MS);
  setU64(k, WAIT.timeout_ns, 0);
  return -ETIME;
}

/** i915_gem_throttle_ioctl: the client's batches of more than 20 ms ago are done. */
export function gemThrottle({ device }: DrmFile): number {
  retireDone(device);
  return 0;
}

const MADVISE = offsetsOf('gem_madvise');

/** i915_gem_madvise_ioctl. */
export function gemMadvise(file: DrmFile, k: DataView): number {
  const advice = k.getUint32(MADVISE.madv, true);
  if (advice > 1) return -EINVAL;
  const object = lookup(file, k);
  if (object === undefined) return -ENOENT;
  if (object.pinned) return -EINVAL;
  k.setUint32(MADVISE.retained, object.madvise(advice === 0 ? 'willneed' : 'dontneed') ? 1 : 0, true);
  return 0;
}

const TILING = offsetsOf('gem_set_tiling');

/** i915_gem_set_tiling_ioctl. */
export function gemSetTiling(file: DrmFile, k: DataView): number {
  const object = lookup(file, k);
  if (object === undefined) return -ENOENT;
  if (file.profile.noFile === 'ENXIO' && object.backing.kind === 'dma-buf') return -ENXIO;
  const mode = k.getUint32(TILING.tiling_mode, true);
  const stride = k.getUint32(TILING.stride, true);
  if (!object.tilingOk(mode, stride)) return -EINVAL;
  try {
    object.setTilingMode(mode, mode === 0 ? 0 : stride);
    k.setUint32(TILING.swizzle_mode, object.swizzle, true);
  } finally {
    k.setUint32(TILING.stride, object.stride, true);
    k.setUint32(TILING.tiling_mode, object.tilingMode, true);
  }
  return 0;
}

const GET_TILING = offsetsOf('gem_get_tiling');

/** i915_gem_get_tiling_ioctl. */
export function gemGetTiling(file: DrmFile, k: DataView): number {
  const object = lookup(file, k);
  if (object === undefined) return -ENOENT;
  k.setUint32(GET_TILING.tiling_mode, object.tilingMode, true);
  k.setUint32(GET_TILING.swizzle_mode, object.swizzle, true);
  k.setUint32(GET_TILING.phys_swizzle_mode, file.device.config.pinSwizzledPages ? 5 : object.swizzle, true);
  return 0;
}

/** Levels by I915_CACHING_*: none, cached; display is write-through where there is one. */
const CACHED = 1;
const DISPLAY = 2;

/** i915_gem_set_caching_ioctl. */
export function gemSetCaching(file: DrmFile, k: DataView): number {
  const caching = k.getUint32(4, true);
  if (caching > DISPLAY) return -EINVAL;
  const object = lookup(file, k);
  if (object === undefined) return -ENOENT;
  const { platform } = file.device.config;
  const wt = caching === DISPLAY && platform === 'hsw-ellc';
  object.setCacheLevel(caching === CACHED ? 'llc' : wt ? 'wt' : 'none');
  return 0;
}

const LEVEL_WT = 3;

/** i915_gem_get_caching_ioctl. */
export function gemGetCaching(file: DrmFile, k: DataView): number {
  const object = lookup(file, k);
  if (object === undefined) return -ENOENT;
  k.setUint32(4, object.cacheLevel === 0 ? 0 : object.cacheLevel === LEVEL_WT ? DISPLAY : CACHED, true);
  return 0;
}

/** i915_gem_get_aperture_ioctl: all of the GGTT, and what no pinned object takes of it. */
export function gemGetAperture({ device }: DrmFile, k: DataView): number {
  let pinned = 0;
  for (const vma of device.ggtt.vmas) if (vma.pinCount > 0) pinned += vma.size;
  setU64(k, 0, device.ggtt.total);
  setU64(k, 8, device.ggtt.total - pinned);
  return 0;
}

const USERPTR = offsetsOf('gem_userptr');
const USERPTR_READ_ONLY = 1;
const PROBE = 2;
const UNSYNCHRONIZED = 0x80000000;

/** i915_gem_userptr_ioctl: memory of the file's process. */
export function gemUserptr(file: DrmFile, k: DataView): number {
  const { device, process, profile, admin } = file;
  const flags = k.getUint32(USERPTR.flags, true);
  const known = profile.canonical ? USERPTR_READ_ONLY | PROBE | UNSYNCHRONIZED : USERPTR_READ_ONLY | UNSYNCHRONIZED;
  if ((flags & ~known) !== 0) return -EINVAL;
  const [address, size] = [u64(k, USERPTR.user_ptr), u64(k, USERPTR.user_size)];
  if (address % PAGE_SIZE !== 0 || size % PAGE_SIZE !== 0) return -EINVAL;
  if (size === 0 && !device.config.defects.emptyUserptr) return -EINVAL;
  if (size > device.config.ggtt && !profile.canonical) return -E2BIG;
  if (address + size > TASK_SIZE) return -EFAULT;
  if ((flags & USERPTR_READ_ONLY) !== 0) return -ENODEV;
  const unsynchronized = (flags & UNSYNCHRONIZED) !== 0;
  if (unsynchronized && (profile.canonical || !admin)) return profile.canonical ? -ENODEV : -EPERM;
  if (process === undefined) return -EFAULT;
  if ((flags & PROBE) !== 0 && file.copyFrom(address, 1) === null) return -EFAULT;
  const object = device.createUserptr(process, address, size, { unsynchronized, privileged: admin });
  k.setUint32(USERPTR.handle, file.addHandle(object), true);
  return 0;
}
