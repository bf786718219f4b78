import { type StructName, structSize } from './structs.js';

/**
 * The requests, by name: number, which way the struct goes (w: into the kernel, r: back; neither has no struct), the struct.
 * Facts of the interface (drm.h, i915_drm.h). Two names with one number are two lengths of one struct.
 */
const REQUESTS = {
  VERSION: [0x00, 'rw', 'version'],
  GET_UNIQUE: [0x01, 'rw', 'unique'],
  GET_MAGIC: [0x02, 'r', 'auth'],
  SET_VERSION: [0x07, 'rw', 'set_version'],
  GEM_CLOSE: [0x09, 'w', 'gem_close'],
  GEM_FLINK: [0x0a, 'rw', 'gem_flink'],
  GEM_OPEN: [0x0b, 'rw', 'gem_open'],
  GET_CAP: [0x0c, 'rw', 'get_cap'],
  SET_CLIENT_CAP: [0x0d, 'w', 'set_client_cap'],
  AUTH_MAGIC: [0x11, 'w', 'auth'],
  SET_MASTER: [0x1e, '', undefined],
  DROP_MASTER: [0x1f, '', undefined],
  PRIME_HANDLE_TO_FD: [0x2d, 'rw', 'prime_handle'],
  PRIME_FD_TO_HANDLE: [0x2e, 'rw', 'prime_handle'],
  I915_GETPARAM: [0x46, 'rw', 'getparam'],
  I915_GEM_BUSY: [0x57, 'rw', 'gem_busy'],
  I915_GEM_THROTTLE: [0x58, '', undefined],
  I915_GEM_CREATE: [0x5b, 'rw', 'gem_create'],
  I915_GEM_PREAD: [0x5c, 'w', 'gem_pread'],
  I915_GEM_PWRITE: [0x5d, 'w', 'gem_pread'],
  I915_GEM_MMAP: [0x5e, 'rw', 'gem_mmap'],
  I915_GEM_SET_DOMAIN: [0x5f, 'w', 'gem_set_domain'],
  I915_GEM_SW_FINISH: [0x60, 'w', 'gem_sw_finish'],
  I915_GEM_SET_TILING: [0x61, 'rw', 'gem_set_tiling'],
  I915_GEM_GET_TILING: [0x62, 'rw', 'gem_get_tiling'],
  I915_GEM_GET_APERTURE: [0x63, 'r', 'gem_get_aperture'],
  I915_GEM_MMAP_GTT: [0x64, 'rw', 'gem_mmap_gtt'],
  I915_GEM_MMAP_OFFSET: [0x64, 'rw', 'gem_mmap_offset'],
  I915_GEM_MADVISE: [0x66, 'rw', 'gem_madvise'],
  I915_GEM_EXECBUFFER2: [0x69, 'w', 'gem_execbuffer2'],
  I915_GEM_EXECBUFFER2_WR: [0x69, 'rw', 'gem_execbuffer2'],
  I915_GEM_WAIT: [0x6c, 'rw', 'gem_wait'],
  I915_GEM_CONTEXT_CREATE: [0x6d, 'rw', 'gem_context_create'],
  I915_GEM_CONTEXT_CREATE_EXT: [0x6d, 'rw', 'gem_context_create_ext'],
  I915_GEM_CONTEXT_DESTROY: [0x6e, 'w', 'gem_context_destroy'],
  I915_GEM_SET_CACHING: [0x6f, 'w', 'gem_caching'],
  I915_GEM_GET_CACHING: [0x70, 'rw', 'gem_caching'],
  I915_REG_READ: [0x71, 'rw', 'reg_read'],
  I915_GET_RESET_STATS: [0x72, 'rw', 'reset_stats'],
  I915_GEM_USERPTR: [0x73, 'rw', 'gem_userptr'],
  I915_GEM_CONTEXT_GETPARAM: [0x74, 'rw', 'gem_context_param'],
  I915_GEM_CONTEXT_SETPARAM: [0x75, 'rw', 'gem_context_param'],
  I915_QUERY: [0x79, 'rw', 'query'],
  I915_GEM_VM_CREATE: [0x7a, 'rw', 'gem_vm_control'],
  I915_GEM_VM_DESTROY: [0x7b, 'w', 'gem_vm_control'],
  I915_GEM_CREATE_EXT: [0x7c, 'rw', 'gem_create_ext'],
  SYNCOBJ_CREATE: [0xbf, 'rw', 'syncobj_create'],
  SYNCOBJ_DESTROY: [0xc0, 'rw', 'syncobj_destroy'],
  SYNCOBJ_HANDLE_TO_FD: [0xc1, 'rw', 'syncobj_handle'],
  SYNCOBJ_FD_TO_HANDLE: [0xc2, 'rw', 'syncobj_handle'],
  SYNCOBJ_WAIT: [0xc3, 'rw', 'syncobj_wait'],
  SYNCOBJ_RESET: [0xc4, 'rw', 'syncobj_array'],
  SYNCOBJ_SIGNAL: [0xc5, 'rw', 'syncobj_array'],
  SYNCOBJ_TIMELINE_WAIT: [0xca, 'rw', 'syncobj_timeline_wait'],
  SYNCOBJ_QUERY: [0xcb, 'rw', 'syncobj_timeline_array'],
  SYNCOBJ_TRANSFER: [0xcc, 'rw', 'syncobj_transfer'],
  SYNCOBJ_TIMELINE_SIGNAL: [0xcd, 'rw', 'syncobj_timeline_array'],
} as const satisfies Record<string, readonly [number, 'r' | 'w' | 'rw' | '', StructName | undefined]>;

/** A request, by its name without the prefix of DRM. */
export type IoctlName = keyof typeof REQUESTS;

/** The struct goes into the kernel, and comes back: the bits of the direction. */
export const IOC_IN = 0x40000000;
export const IOC_OUT = 0x80000000;
/** The type of all requests of DRM, the letter d. */
export const DRM_IOCTL_BASE = 0x64;

/** Bytes of the largest struct that a request can name (14 bits). */
export const MAX_STRUCT = 0x3fff;

/** One request as a kernel has it. */
export interface RequestInfo {
  readonly name: IoctlName;
  /** The whole number: direction, size, type, number. */
  readonly request: number;
  readonly nr: number;
  readonly size: number;
  readonly struct: StructName | undefined;
}

export function requestInfo(name: IoctlName): RequestInfo {
  const [nr, way, struct] = REQUESTS[name];
  const size = struct === undefined ? 0 : structSize(struct);
  const direction = (way.includes('w') ? IOC_IN : 0) + (way.includes('r') ? IOC_OUT : 0);
  return { name, nr, size, struct, request: direction + size * 0x10000 + DRM_IOCTL_BASE * 0x100 + nr };
}

/** Numbers of the requests, for `file.ioctl`: `IOCTL.I915_GEM_CREATE` is 0xc010645b. */
export const IOCTL: Readonly<Record<IoctlName, number>> = Object.freeze(
  Object.fromEntries((Object.keys(REQUESTS) as IoctlName[]).map((name) => [name, requestInfo(name).request])),
) as Record<IoctlName, number>;

export const IOCTL_NAMES = Object.keys(REQUESTS) as readonly IoctlName[];
