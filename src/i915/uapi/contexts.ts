import { E2BIG, EFAULT, EINVAL, ENODEV, ENOENT, EPERM } from './errno.js';
import type { DrmFile, FileContext } from './file.js';
import { contextEngines, useVm, vmOf } from './modern.js';
import { offsetsOf } from './structs.js';
import { high, setU64, u64, viewOf } from './words.js';

/** Contexts (i915_gem_context.c). Id 0 is the file's own, which is always there. */

const CREATE = offsetsOf('gem_context_create_ext');
const PARAM = offsetsOf('gem_context_param');
const USE_EXTENSIONS = 1;

/** i915_gem_context_create_ioctl, with extensions where the profile has them. */
export function contextCreate(file: DrmFile, k: DataView): number {
  const { device, profile } = file;
  if (device.config.gen < 6) return -ENODEV;
  // Before flags existed, the same 4 bytes were padding that was ignored.
  const flags = profile.canonical ? k.getUint32(CREATE.flags, true) : 0;
  if ((flags & ~3) !== 0) return -EINVAL;
  const made: FileContext = { context: device.createContext(), params: new Map(), batches: 0, hangs: 0 };
  const rc =
    (flags & USE_EXTENSIONS) !== 0
      ? userExtensions(file, u64(k, CREATE.extensions), (name, at) => (name === 0 ? setParam(file, made, at) : -EINVAL))
      : 0;
  if (rc !== 0) {
    made.context.release();
    return rc;
  }
  k.setUint32(CREATE.ctx_id, file.contexts.add(made), true);
  return 0;
}

/** Most links of a chain of extensions. */
const MAX_EXTENSIONS = 512;

/**
 * i915_user_extensions: a chain of structs in the client's memory.
 * @param take what an extension does, by name and address: 0 or a negative errno
 */
export function userExtensions(file: DrmFile, first: number, take: (name: number, at: number) => number): number {
  let at = first;
  for (let depth = 0; at !== 0; ++depth) {
    if (depth === MAX_EXTENSIONS) return -E2BIG;
    const bytes = file.copyFrom(at, 32);
    if (bytes === null) return -EFAULT;
    const link = viewOf(bytes);
    for (let word = 12; word < 32; word += 4) if (link.getUint32(word, true) !== 0) return -EINVAL;
    const next = u64(link, 0);
    const rc = take(link.getUint32(8, true), at);
    if (rc !== 0) return rc;
    at = next;
  }
  return 0;
}

// create_setparam: the parameter stands behind the link.
function setParam(file: DrmFile, made: FileContext, at: number): number {
  const bytes = file.copyFrom(at + 32, 24);
  if (bytes === null) return -EFAULT;
  const param = viewOf(Uint8Array.from(bytes));
  if (param.getUint32(PARAM.ctx_id, true) !== 0) return -EINVAL;
  return setContextParam(file, made, param, true);
}

/** i915_gem_context_destroy_ioctl. */
export function contextDestroy(file: DrmFile, k: DataView): number {
  const id = k.getUint32(0, true);
  if (file.profile.canonical && k.getUint32(4, true) !== 0) return -EINVAL;
  const found = id === 0 ? undefined : file.contexts.get(id);
  if (found === undefined) return -ENOENT;
  found.context.release();
  file.contexts.delete(id);
  return 0;
}

const BAN_PERIOD = 1;
/** Seconds: eight periods of the hang check. */
const DEFAULT_BAN_PERIOD = 12;
const NO_ZEROMAP = 2;
const GTT_SIZE = 3;
const NO_ERROR_CAPTURE = 4;
const BANNABLE = 5;
const PRIORITY = 6;
const SSEU = 7;
const RECOVERABLE = 8;
const VM = 9;
const CONTEXT_ENGINES = 10;
const PERSISTENCE = 11;

const DEFAULTS: Readonly<Record<number, number>> = {
  [BAN_PERIOD]: DEFAULT_BAN_PERIOD,
  [BANNABLE]: 1,
  [RECOVERABLE]: 1,
  [PERSISTENCE]: 1,
};

/** i915_gem_context_getparam_ioctl. */
export function contextGetParam(file: DrmFile, k: DataView): number {
  const found = file.contexts.get(k.getUint32(PARAM.ctx_id, true));
  if (found === undefined) return -ENOENT;
  if (!file.profile.canonical) k.setUint32(PARAM.size, 0, true);
  const param = high(k, PARAM.param) === 0 ? k.getUint32(PARAM.param, true) : -1;
  if (!file.profile.contextParams.includes(param) || param === CONTEXT_ENGINES) return -EINVAL;
  let value = found.params.get(param) ?? DEFAULTS[param] ?? 0;
  if (param === GTT_SIZE) value = found.context.vm.total;
  if (param === VM) value = vmOf(file, found);
  if (value < 0 && param === VM) return value;
  if (param === SSEU) return getSseu(file, k);
  k.setUint32(PARAM.size, 0, true);
  setU64(k, PARAM.value, value);
  return 0;
}

// get_sseu: slices, subslices and execution units of the render engine, all powered. Without a size: which one it has.
function getSseu(file: DrmFile, k: DataView): number {
  const size = k.getUint32(PARAM.size, true);
  k.setUint32(PARAM.size, 32, true);
  if (size === 0) return 0;
  if (size < 32) return -EINVAL;
  const at = u64(k, PARAM.value);
  const asked = file.copyFrom(at, 32);
  if (asked === null) return -EFAULT;
  const sseu = viewOf(Uint8Array.from(asked));
  if ((sseu.getUint32(4, true) & ~1) !== 0 || sseu.getUint32(28, true) !== 0) return -EINVAL;
  setU64(sseu, 8, 1);
  setU64(sseu, 16, 7);
  sseu.setUint16(24, 8, true);
  sseu.setUint16(26, 8, true);
  return file.copyTo(at, new Uint8Array(sseu.buffer)) ? 0 : -EFAULT;
}

/** i915_gem_context_setparam_ioctl. */
export function contextSetParam(file: DrmFile, k: DataView): number {
  const found = file.contexts.get(k.getUint32(PARAM.ctx_id, true));
  return found === undefined ? -ENOENT : setContextParam(file, found, k, found.batches === 0);
}

function setContextParam(file: DrmFile, found: FileContext, k: DataView, young: boolean): number {
  const param = high(k, PARAM.param) === 0 ? k.getUint32(PARAM.param, true) : -1;
  if (!file.profile.contextParams.includes(param)) return -EINVAL;
  const size = k.getUint32(PARAM.size, true);
  const value = u64(k, PARAM.value);
  switch (param) {
    case CONTEXT_ENGINES:
      return young ? contextEngines(file, found, value, size) : -EINVAL;
    case VM:
      return young && size === 0 ? useVm(file, found, value) : -EINVAL;
    case GTT_SIZE:
      return -EINVAL;
    case SSEU:
      return size < 32
        ? -EINVAL
        : file.device.config.gen === 8
          ? -ENODEV
          : file.copyFrom(value, 32) === null
            ? -EFAULT
            : 0;
    case PRIORITY: {
      if (size !== 0) return -EINVAL;
      const priority = k.getInt32(PARAM.value, true);
      if (file.device.config.gen < 8) return -ENODEV;
      if (priority > 1023 || priority < -1023 || high(k, PARAM.value) !== (priority < 0 ? 0xffffffff : 0))
        return -EINVAL;
      if (priority > 0 && !file.admin) return -EPERM;
      found.params.set(param, priority);
      return 0;
    }
    default:
      if (size !== 0) return -EINVAL;
  }
  if (param === BAN_PERIOD && value < (found.params.get(param) ?? DEFAULT_BAN_PERIOD) && !file.admin) return -EPERM;
  if (param === BANNABLE && value === 0 && !file.admin) return -EPERM;
  const boolean = [NO_ZEROMAP, NO_ERROR_CAPTURE, BANNABLE, RECOVERABLE, PERSISTENCE].includes(param);
  found.params.set(param, boolean ? Number(value !== 0) : value);
  return 0;
}

const STATS = offsetsOf('reset_stats');

/** i915_get_reset_stats_ioctl: a batch that hangs is the only one that is lost. */
export function resetStats(file: DrmFile, k: DataView): number {
  if (k.getUint32(STATS.flags, true) !== 0 || k.getUint32(STATS.batch_pending + 4, true) !== 0) return -EINVAL;
  const id = k.getUint32(STATS.ctx_id, true);
  if (!file.profile.canonical && id === 0 && !file.admin) return -EPERM;
  const found = file.contexts.get(id);
  if (found === undefined) return -ENOENT;
  k.setUint32(STATS.reset_count, file.admin ? file.device.resets : 0, true);
  k.setUint32(STATS.batch_active, found.hangs, true);
  k.setUint32(STATS.batch_pending, 0, true);
  return 0;
}
