import { contextCreate, contextDestroy, contextGetParam, contextSetParam, resetStats } from './contexts.js';
import {
  authMagic,
  dropMaster,
  gemClose,
  gemFlink,
  gemOpen,
  getCap,
  getMagic,
  getUnique,
  primeFdToHandle,
  primeHandleToFd,
  setClientCap,
  setMaster,
  setVersion,
  version,
} from './core.js';
import { execbuffer2 } from './exec.js';
import type { DrmFile } from './file.js';
import {
  gemBusy,
  gemCreate,
  gemGetAperture,
  gemGetCaching,
  gemGetTiling,
  gemMadvise,
  gemMmap,
  gemMmapGtt,
  gemPread,
  gemPwrite,
  gemSetCaching,
  gemSetDomain,
  gemSetTiling,
  gemSwFinish,
  gemThrottle,
  gemUserptr,
  gemWait,
} from './gem.js';
import { gemCreateExt, gemMmapOffset, query, vmCreate, vmDestroy } from './modern.js';
import { getParam, regRead } from './params.js';
import { type IoctlName, requestInfo } from './requests.js';
import {
  syncobjCreate,
  syncobjDestroy,
  syncobjFdToHandle,
  syncobjHandleToFd,
  syncobjQuery,
  syncobjReset,
  syncobjSignal,
  syncobjTimelineSignal,
  syncobjTimelineWait,
  syncobjTransfer,
  syncobjWait,
} from './syncobj-calls.js';

/** What does a request: reads and writes the kernel's copy of its struct. Returns 0 or a negative errno, or throws a GemDmaError. */
export type Handler = (file: DrmFile, k: DataView) => number;

/** A request as a kernel's table has it (struct drm_ioctl_desc). */
export interface RequestEntry {
  readonly name: IoctlName;
  readonly request: number;
  readonly size: number;
  /** Render nodes may make it (DRM_RENDER_ALLOW). */
  readonly render: boolean;
  readonly run: Handler;
}

/** A kernel's interface, property by property. */
export interface Profile {
  /** Entries by number. */
  readonly requests: readonly (RequestEntry | undefined)[];
  /** Date of the driver, as VERSION tells it. */
  readonly date: string;
  /** Newest parameter of GETPARAM. */
  readonly lastParam: number;
  /** Newest capability of GET_CAP. */
  readonly lastCap: number;
  /** Flags of a batch that are known. */
  readonly execFlags: number;
  /** Flags of an object of a batch that are known. */
  readonly objectFlags: number;
  /** Ring numbers that a batch may name, as a mask. */
  readonly ringMask: number;
  /** GPU domains that set_domain refuses. */
  readonly gpuDomains: number;
  /** Copies from the client are tried before the handle is looked at (fault_in_pages_readable). */
  readonly prefault: boolean;
  /** set_domain gets the pages also for the CPU's domain, as its first step. */
  readonly domainPins: boolean;
  /** An object without a file: what mmap says. */
  readonly noFile: 'EINVAL' | 'ENXIO';
  /** Only the render engine runs batches of a context of the client's (before execlists for all). */
  readonly renderOnly: boolean;
  /** GEM_BUSY names engines by class (bit 0 render, 1 copy, 2 video, 3 enhance), not by ring. */
  readonly busyByClass: boolean;
  /** The copy of a batch's addresses: after a failure, too, and in canonical form. */
  readonly canonical: boolean;
  /** Parameters of contexts that are known. */
  readonly contextParams: readonly number[];
}

const CORE: Readonly<Partial<Record<IoctlName, Handler>>> = {
  VERSION: version,
  GET_UNIQUE: getUnique,
  GET_MAGIC: getMagic,
  SET_VERSION: setVersion,
  GEM_CLOSE: gemClose,
  GEM_FLINK: gemFlink,
  GEM_OPEN: gemOpen,
  GET_CAP: getCap,
  SET_CLIENT_CAP: setClientCap,
  AUTH_MAGIC: authMagic,
  SET_MASTER: setMaster,
  DROP_MASTER: dropMaster,
  PRIME_HANDLE_TO_FD: primeHandleToFd,
  PRIME_FD_TO_HANDLE: primeFdToHandle,
  I915_GETPARAM: getParam,
  I915_GEM_BUSY: gemBusy,
  I915_GEM_THROTTLE: gemThrottle,
  I915_GEM_CREATE: gemCreate,
  I915_GEM_PREAD: gemPread,
  I915_GEM_PWRITE: gemPwrite,
  I915_GEM_MMAP: gemMmap,
  I915_GEM_SET_DOMAIN: gemSetDomain,
  I915_GEM_SW_FINISH: gemSwFinish,
  I915_GEM_SET_TILING: gemSetTiling,
  I915_GEM_GET_TILING: gemGetTiling,
  I915_GEM_GET_APERTURE: gemGetAperture,
  I915_GEM_MADVISE: gemMadvise,
  I915_GEM_WAIT: gemWait,
  I915_GEM_CONTEXT_DESTROY: contextDestroy,
  I915_GEM_SET_CACHING: gemSetCaching,
  I915_GEM_GET_CACHING: gemGetCaching,
  I915_REG_READ: regRead,
  I915_GET_RESET_STATS: resetStats,
  I915_GEM_USERPTR: gemUserptr,
  I915_GEM_CONTEXT_GETPARAM: contextGetParam,
  I915_GEM_CONTEXT_SETPARAM: contextSetParam,
};

const LINUX_4_2: Readonly<Partial<Record<IoctlName, Handler>>> = {
  ...CORE,
  I915_GEM_MMAP_GTT: gemMmapGtt,
  I915_GEM_EXECBUFFER2: execbuffer2,
  I915_GEM_CONTEXT_CREATE: contextCreate,
};

const MODERN: Readonly<Partial<Record<IoctlName, Handler>>> = {
  ...CORE,
  I915_GEM_MMAP_OFFSET: gemMmapOffset,
  I915_GEM_EXECBUFFER2_WR: execbuffer2,
  I915_GEM_CONTEXT_CREATE_EXT: contextCreate,
  I915_QUERY: query,
  I915_GEM_VM_CREATE: vmCreate,
  I915_GEM_VM_DESTROY: vmDestroy,
  I915_GEM_CREATE_EXT: gemCreateExt,
  SYNCOBJ_CREATE: syncobjCreate,
  SYNCOBJ_DESTROY: syncobjDestroy,
  SYNCOBJ_HANDLE_TO_FD: syncobjHandleToFd,
  SYNCOBJ_FD_TO_HANDLE: syncobjFdToHandle,
  SYNCOBJ_WAIT: syncobjWait,
  SYNCOBJ_RESET: syncobjReset,
  SYNCOBJ_SIGNAL: syncobjSignal,
  SYNCOBJ_TIMELINE_WAIT: syncobjTimelineWait,
  SYNCOBJ_QUERY: syncobjQuery,
  SYNCOBJ_TRANSFER: syncobjTransfer,
  SYNCOBJ_TIMELINE_SIGNAL: syncobjTimelineSignal,
};

/** Requests that render nodes may not make. */
const CARD_ONLY: readonly IoctlName[] = [
  ...(['GET_UNIQUE', 'GET_MAGIC', 'SET_VERSION', 'GEM_FLINK', 'GEM_OPEN', 'AUTH_MAGIC'] as const),
  ...(['SET_MASTER', 'DROP_MASTER', 'SET_CLIENT_CAP'] as const),
];

function table(handlers: Readonly<Partial<Record<IoctlName, Handler>>>): (RequestEntry | undefined)[] {
  const entries: (RequestEntry | undefined)[] = new Array(256).fill(undefined);
  for (const [name, run] of Object.entries(handlers) as [IoctlName, Handler][]) {
    const { nr, size, request } = requestInfo(name);
    entries[nr] = { name, request: request >>> 0, size, render: !CARD_ONLY.includes(name), run };
  }
  return entries;
}

/** Profiles by name. */
const PROFILES = {
  'linux-4.2': (): Profile => ({
    requests: table(LINUX_4_2),
    date: '20150522',
    lastParam: 34,
    lastCap: 0x10,
    execFlags: 0x7fff,
    objectFlags: 0x7,
    ringMask: 0x7,
    gpuDomains: ~0x41,
    prefault: true,
    domainPins: false,
    noFile: 'EINVAL',
    renderOnly: true,
    busyByClass: false,
    canonical: false,
    contextParams: [1, 2],
  }),
  modern: (): Profile => ({
    requests: table(MODERN),
    date: '20230929',
    lastParam: 58,
    lastCap: 0x15,
    execFlags: 0x3fffff,
    objectFlags: 0xff,
    ringMask: 0x3f,
    gpuDomains: 0x3e,
    prefault: false,
    domainPins: true,
    noFile: 'ENXIO',
    renderOnly: false,
    busyByClass: true,
    canonical: true,
    contextParams: [3, 4, 5, 6, 7, 8, 9, 10, 11],
  }),
} as const;

/** Whose interface a file has. */
export type UapiProfile = keyof typeof PROFILES;
export const PROFILE_NAMES = Object.keys(PROFILES) as readonly UapiProfile[];
/** Of a file that is opened without one: the oldest. */
export const DEFAULT_PROFILE = PROFILE_NAMES[0];
/** What has the requests that the oldest has not. */
export const NEWEST_PROFILE = PROFILE_NAMES[PROFILE_NAMES.length - 1];

const made = new Map<UapiProfile, Profile>();

export function profileOf(name: UapiProfile): Profile {
  let profile = made.get(name);
  if (profile === undefined) made.set(name, (profile = PROFILES[name]()));
  return profile;
}
