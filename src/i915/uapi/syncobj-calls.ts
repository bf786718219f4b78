import { EBADF, EFAULT, EINVAL, ENOENT, ETIME } from './errno.js';
import type { DrmFile } from './file.js';
import { offsetsOf } from './structs.js';
import { Syncobj } from './syncobj.js';
import { bytes8, high, NS_PER_MS, u64, viewOf } from './words.js';

/** Requests about syncobjs (drm_syncobj.c). */

const CREATE_SIGNALED = 1;

/** drm_syncobj_create_ioctl. */
export function syncobjCreate(file: DrmFile, k: DataView): number {
  const flags = k.getUint32(4, true);
  if ((flags & ~CREATE_SIGNALED) !== 0) return -EINVAL;
  k.setUint32(0, file.syncobjs.add(new Syncobj(flags === CREATE_SIGNALED ? 0 : undefined)), true);
  return 0;
}

/** drm_syncobj_destroy_ioctl. */
export function syncobjDestroy(file: DrmFile, k: DataView): number {
  if (k.getUint32(4, true) !== 0) return -EINVAL;
  return file.syncobjs.delete(k.getUint32(0, true)) === undefined ? -EINVAL : 0;
}

const HANDLE = offsetsOf('syncobj_handle');
const SYNC_FILE = 1;

/** drm_syncobj_handle_to_fd_ioctl: the syncobj itself, or its fence as it is now. */
export function syncobjHandleToFd(file: DrmFile, k: DataView): number {
  const flags = k.getUint32(HANDLE.flags, true);
  if (k.getUint32(HANDLE.fd + 4, true) !== 0 || flags > SYNC_FILE) return -EINVAL;
  const syncobj = file.syncobjs.get(k.getUint32(HANDLE.handle, true));
  if (syncobj === undefined) return flags === SYNC_FILE ? -ENOENT : -EINVAL;
  if (flags === SYNC_FILE && syncobj.due === undefined) return -EINVAL;
  k.setInt32(HANDLE.fd, file.fds.add(flags === SYNC_FILE ? { due: syncobj.due! } : syncobj), true);
  return 0;
}

/** drm_syncobj_fd_to_handle_ioctl. */
export function syncobjFdToHandle(file: DrmFile, k: DataView): number {
  const flags = k.getUint32(HANDLE.flags, true);
  if (k.getUint32(HANDLE.fd + 4, true) !== 0 || flags > SYNC_FILE) return -EINVAL;
  const target = file.fds.get(k.getInt32(HANDLE.fd, true));
  if (flags === SYNC_FILE) {
    if (target === undefined || target instanceof Syncobj || !('due' in target)) return -EINVAL;
    const syncobj = file.syncobjs.get(k.getUint32(HANDLE.handle, true));
    if (syncobj === undefined) return -ENOENT;
    syncobj.replace(target.due);
    return 0;
  }
  if (target === undefined) return -EBADF;
  if (!(target instanceof Syncobj)) return -EINVAL;
  k.setUint32(HANDLE.handle, file.syncobjs.add(target), true);
  return 0;
}

/** drm_syncobj_array_find: the syncobjs of an array of handles, or a negative errno. */
function find(file: DrmFile, at: number, count: number): Syncobj[] | number {
  if (count > MOST) return -EFAULT;
  const bytes = file.copyFrom(at, count * 4);
  if (bytes === null) return -EFAULT;
  const handles = viewOf(bytes);
  const found: Syncobj[] = [];
  for (let i = 0; i < count; ++i) {
    const syncobj = file.syncobjs.get(handles.getUint32(i * 4, true));
    if (syncobj === undefined) return -ENOENT;
    found.push(syncobj);
  }
  return found;
}

/** Most handles that an array may have here; no client's memory holds more. */
const MOST = 2 ** 20;

/** copy_from_user of an array of points; without one all of them are 0. */
function pointsOf(file: DrmFile, at: number, count: number): number[] | number {
  if (at === 0) return new Array<number>(count).fill(0);
  const bytes = file.copyFrom(at, count * 8);
  if (bytes === null) return -EFAULT;
  const view = viewOf(bytes);
  return Array.from({ length: count }, (_, i) => u64(view, i * 8));
}

const WAIT = offsetsOf('syncobj_wait');
const TIMELINE_WAIT = offsetsOf('syncobj_timeline_wait');
const WAIT_ALL = 1;
const WAIT_FOR_SUBMIT = 2;
const WAIT_AVAILABLE = 4;
const WAIT_DEADLINE = 8;

/** drm_syncobj_wait_ioctl. */
export function syncobjWait(file: DrmFile, k: DataView): number {
  const flags = k.getUint32(WAIT.flags, true);
  if ((flags & ~(WAIT_ALL | WAIT_FOR_SUBMIT | WAIT_DEADLINE)) !== 0) return -EINVAL;
  return wait(file, k, WAIT, flags, 0);
}

/** drm_syncobj_timeline_wait_ioctl. */
export function syncobjTimelineWait(file: DrmFile, k: DataView): number {
  const flags = k.getUint32(TIMELINE_WAIT.flags, true);
  if ((flags & ~(WAIT_ALL | WAIT_FOR_SUBMIT | WAIT_AVAILABLE | WAIT_DEADLINE)) !== 0) return -EINVAL;
  return wait(file, k, TIMELINE_WAIT, flags, u64(k, TIMELINE_WAIT.points));
}

// drm_syncobj_array_wait_timeout. The timeout is a time of the clock.
function wait(file: DrmFile, k: DataView, at: typeof WAIT, flags: number, pointsAt: number): number {
  const count = k.getUint32(at.count_handles, true);
  if (count === 0) return 0;
  const syncobjs = find(file, u64(k, at.handles), count);
  if (typeof syncobjs === 'number') return syncobjs;
  const points = pointsOf(file, pointsAt, count);
  if (typeof points === 'number') return points;
  const { clock } = file.device;
  const forSubmit = (flags & (WAIT_FOR_SUBMIT | WAIT_AVAILABLE)) !== 0;
  const times: number[] = [];
  for (const [i, syncobj] of syncobjs.entries()) {
    const due = syncobj.at(points[i]);
    if (due === undefined && !forSubmit) return -EINVAL;
    times.push(due === undefined ? Number.POSITIVE_INFINITY : (flags & WAIT_AVAILABLE) !== 0 ? 0 : due);
  }
  const all = (flags & WAIT_ALL) !== 0;
  const first = Math.min(...times);
  const done = all ? Math.max(...times) : first;
  const negative = (high(k, at.timeout_nsec) & 0x80000000) !== 0;
  const until = negative ? 0 : u64(k, at.timeout_nsec) / NS_PER_MS;
  if (done > Math.max(until, clock.now)) {
    // An endless wait for a fence that is never submitted would not end: no time passes.
    if (until > clock.now && until < FAR) file.wait(until - clock.now);
    return -ETIME;
  }
  if (done > clock.now) file.wait(done - clock.now);
  k.setUint32(at.first_signaled, times.indexOf(first), true);
  return 0;
}

/** A time that stands for no end: 2^62 ns and more, a century. */
const FAR = 2 ** 62 / NS_PER_MS;

const ARRAY = offsetsOf('syncobj_array');

function each(file: DrmFile, k: DataView, work: (syncobj: Syncobj) => void): number {
  if (k.getUint32(ARRAY.count_handles + 4, true) !== 0) return -EINVAL;
  const count = k.getUint32(ARRAY.count_handles, true);
  if (count === 0) return -EINVAL;
  const syncobjs = find(file, u64(k, ARRAY.handles), count);
  if (typeof syncobjs === 'number') return syncobjs;
  for (const syncobj of syncobjs) work(syncobj);
  return 0;
}

/** drm_syncobj_reset_ioctl. */
export function syncobjReset(file: DrmFile, k: DataView): number {
  return each(file, k, (syncobj) => syncobj.replace(undefined));
}

/** drm_syncobj_signal_ioctl. */
export function syncobjSignal(file: DrmFile, k: DataView): number {
  return each(file, k, (syncobj) => syncobj.replace(0));
}

const TIMELINE = offsetsOf('syncobj_timeline_array');
const LAST_SUBMITTED = 1;

/** drm_syncobj_query_ioctl: the newest point of each that is done, or was submitted. */
export function syncobjQuery(file: DrmFile, k: DataView): number {
  const flags = k.getUint32(TIMELINE.flags, true);
  if (flags > LAST_SUBMITTED) return -EINVAL;
  const count = k.getUint32(TIMELINE.count_handles, true);
  if (count === 0) return -EINVAL;
  const syncobjs = find(file, u64(k, TIMELINE.handles), count);
  if (typeof syncobjs === 'number') return syncobjs;
  const to = u64(k, TIMELINE.points);
  for (const [i, syncobj] of syncobjs.entries()) {
    const value = flags === LAST_SUBMITTED ? syncobj.last : syncobj.value(file.device.clock.now);
    if (!file.copyTo(to + i * 8, bytes8(value))) return -EFAULT;
  }
  return 0;
}

/** drm_syncobj_timeline_signal_ioctl. */
export function syncobjTimelineSignal(file: DrmFile, k: DataView): number {
  if (k.getUint32(TIMELINE.flags, true) !== 0) return -EINVAL;
  const count = k.getUint32(TIMELINE.count_handles, true);
  if (count === 0) return -EINVAL;
  const syncobjs = find(file, u64(k, TIMELINE.handles), count);
  if (typeof syncobjs === 'number') return syncobjs;
  const points = pointsOf(file, u64(k, TIMELINE.points), count);
  if (typeof points === 'number') return points;
  for (const [i, syncobj] of syncobjs.entries()) syncobj.add(points[i], 0);
  return 0;
}

const TRANSFER = offsetsOf('syncobj_transfer');

/** drm_syncobj_transfer_ioctl: the fence of a point of one becomes a point of the other. */
export function syncobjTransfer(file: DrmFile, k: DataView): number {
  if (k.getUint32(TRANSFER.flags + 4, true) !== 0) return -EINVAL;
  const flags = k.getUint32(TRANSFER.flags, true);
  if ((flags & ~WAIT_FOR_SUBMIT) !== 0) return -EINVAL;
  const to = file.syncobjs.get(k.getUint32(TRANSFER.dst_handle, true));
  const from = file.syncobjs.get(k.getUint32(TRANSFER.src_handle, true));
  if (to === undefined || from === undefined) return -ENOENT;
  const due = from.at(u64(k, TRANSFER.src_point));
  if (due === undefined) return flags === WAIT_FOR_SUBMIT ? -ETIME : -EINVAL;
  to.add(u64(k, TRANSFER.dst_point), due);
  return 0;
}
