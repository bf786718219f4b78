import { DmaBuf } from '../../drm/dma-buf.js';
import { exportObject } from '../../drm/gem-export.js';
import { ImportBacking } from '../backing/import.js';
import type { GemObject } from '../object.js';
import { EBADF, EFAULT, EINVAL, ENOENT } from './errno.js';
import type { DrmFile } from './file.js';
import { offsetsOf } from './structs.js';
import { setU64, u64 } from './words.js';

/** Requests that every DRM driver has (drivers/gpu/drm: drm_ioctl.c, drm_gem.c, drm_prime.c, drm_auth.c). */

const VERSION = offsetsOf('version');

/** drm_version: the numbers, and of each text as much as there is room for, with its whole length. */
export function version(file: DrmFile, k: DataView): number {
  k.setUint32(VERSION.version_major, 1, true);
  k.setUint32(VERSION.version_minor, 6, true);
  k.setUint32(VERSION.version_patchlevel, 0, true);
  return (
    copyField(file, k, VERSION.name_len, 'i915') ||
    copyField(file, k, VERSION.date_len, file.profile.date) ||
    copyField(file, k, VERSION.desc_len, 'Intel Graphics')
  );
}

function copyField(file: DrmFile, k: DataView, at: number, text: string): number {
  const bytes = new TextEncoder().encode(text);
  const room = Math.min(bytes.length, u64(k, at));
  const to = u64(k, at + 8);
  setU64(k, at, bytes.length);
  return room === 0 || to === 0 || file.copyTo(to, bytes.subarray(0, room)) ? 0 : -EFAULT;
}

/** drm_getunique: a driver that no master has named. */
export function getUnique(_file: DrmFile, k: DataView): number {
  setU64(k, offsetsOf('unique').unique_len, 0);
  return 0;
}

/** drm_getmagic. */
export function getMagic(_file: DrmFile, k: DataView): number {
  k.setUint32(0, 1, true);
  return 0;
}

/** drm_authmagic: the one magic that get_magic gives. */
export function authMagic(_file: DrmFile, k: DataView): number {
  return k.getUint32(0, true) === 1 ? 0 : -EINVAL;
}

const SET_VERSION = offsetsOf('set_version');

/** drm_setversion: interface 1.4, driver 1.6; -1 asks for neither. */
export function setVersion(_file: DrmFile, k: DataView): number {
  const [major, minor] = [k.getInt32(SET_VERSION.drm_di_major, true), k.getInt32(SET_VERSION.drm_di_minor, true)];
  const [own, ownMinor] = [k.getInt32(SET_VERSION.drm_dd_major, true), k.getInt32(SET_VERSION.drm_dd_minor, true)];
  const di = major === -1 || (major === 1 && minor >= 0 && minor <= 4);
  const dd = own === -1 || (own === 1 && ownMinor >= 0 && ownMinor <= 6);
  for (const [i, value] of [1, 4, 1, 6].entries()) k.setUint32(i * 4, value, true);
  return di && dd ? 0 : -EINVAL;
}

/** Values of GET_CAP by capability; what is left out is not known (DRM_CAP_*). */
const CAPS: Readonly<Record<number, number>> = {
  ...{ 1: 1, 2: 1, 3: 24, 4: 1, 5: 3, 6: 1, 7: 1, 8: 256, 9: 256, 16: 1, 17: 0, 18: 1, 19: 1, 20: 1, 21: 1 },
};

/** drm_getcap. */
export function getCap(file: DrmFile, k: DataView): number {
  const capability = u64(k, 0);
  setU64(k, 8, 0);
  const value = capability <= file.profile.lastCap ? CAPS[capability] : undefined;
  if (value === undefined) return -EINVAL;
  setU64(k, 8, value);
  return 0;
}

/** drm_setclientcap: stereo 3D and universal planes. */
export function setClientCap(_file: DrmFile, k: DataView): number {
  const capability = u64(k, 0);
  if (capability !== 1 && capability !== 2) return -EINVAL;
  return u64(k, 8) > 1 ? -EINVAL : 0;
}

/** drm_setmaster_ioctl: every file may be master. */
export function setMaster(): number {
  return 0;
}

/** drm_dropmaster_ioctl. */
export function dropMaster(): number {
  return 0;
}

/** drm_gem_close_ioctl. */
export function gemClose(file: DrmFile, k: DataView): number {
  const handle = k.getUint32(0, true);
  const object = file.objects.get(handle);
  if (object === undefined) return -EINVAL;
  file.dropHandle(object);
  file.objects.delete(handle);
  for (const [dmaBuf, own] of file.primeHandles) {
    if (own === handle) file.primeHandles.delete(dmaBuf);
  }
  return 0;
}

/** drm_gem_flink_ioctl. */
export function gemFlink(file: DrmFile, k: DataView): number {
  const object = file.objects.get(k.getUint32(0, true));
  if (object === undefined) return -ENOENT;
  k.setUint32(4, file.device.names.nameOf(object), true);
  return 0;
}

const OPEN = offsetsOf('gem_open');

/** drm_gem_open_ioctl: a new handle, though the file may have another one of the same object. */
export function gemOpen(file: DrmFile, k: DataView): number {
  const object = file.device.names.object(k.getUint32(OPEN.name, true));
  if (object === undefined) return -ENOENT;
  object.reopen();
  k.setUint32(OPEN.handle, file.addHandle(object), true);
  setU64(k, OPEN.size, object.size);
  return 0;
}

const PRIME = offsetsOf('prime_handle');
/** DRM_CLOEXEC, and what newer kernels take besides (DRM_RDWR). */
const CLOEXEC = 0x80000;
const RDWR = 2;

/** drm_prime_handle_to_fd_ioctl: an import is given on as what it was imported from. */
export function primeHandleToFd(file: DrmFile, k: DataView): number {
  const flags = k.getUint32(PRIME.flags, true);
  const known = file.profile.canonical ? CLOEXEC | RDWR : CLOEXEC;
  if ((flags & ~known) !== 0) return -EINVAL;
  const handle = k.getUint32(PRIME.handle, true);
  const object = file.objects.get(handle);
  if (object === undefined) return -ENOENT;
  const dmaBuf = exported(object);
  if (!file.primeHandles.has(dmaBuf)) file.primeHandles.set(dmaBuf, handle);
  k.setInt32(PRIME.fd, file.fds.add(dmaBuf), true);
  return 0;
}

function exported(object: GemObject): DmaBuf {
  const { backing } = object;
  if (!(backing instanceof ImportBacking)) return object.device.hooks.call(() => exportObject(object));
  backing.dmaBuf.reopen();
  return backing.dmaBuf;
}

/** drm_prime_fd_to_handle_ioctl: the same dma-buf is the same handle of the file. */
export function primeFdToHandle(file: DrmFile, k: DataView): number {
  const target = file.fds.get(k.getInt32(PRIME.fd, true));
  if (target === undefined) return -EBADF;
  if (!(target instanceof DmaBuf)) return -EINVAL;
  let handle = file.primeHandles.get(target);
  if (handle === undefined) {
    handle = file.addHandle(file.device.importDmaBuf(target));
    file.primeHandles.set(target, handle);
  }
  k.setUint32(PRIME.handle, handle, true);
  return 0;
}
