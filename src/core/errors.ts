import {
  E2BIG,
  EACCES,
  EAGAIN,
  EBADF,
  EBUSY,
  EEXIST,
  EFAULT,
  EINTR,
  EINVAL,
  EIO,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOSPC,
  ENXIO,
  EOVERFLOW,
  EPERM,
  ERANGE,
  EREMOTEIO,
  ESTALE,
  EXDEV,
} from './generated/constants.js';

/**
 * Errors of the library. A refusal of the emulated kernel is a GemDmaError in the shape of Node's system errors. A wrong argument is
 * a TypeError or RangeError with a Node-style code, thrown before any effect.
 */

/** Error numbers that the emulated kernel returns, by name, as positive values (uapi/asm-generic/errno*.h). */
export const ERRNO = {
  /** A right is missing, such as CAP_SYS_ADMIN for an unsynchronized userptr. */
  EPERM: -EPERM,
  /** No such handle, file or context. */
  ENOENT: -ENOENT,
  /** Interrupted before anything was done. */
  EINTR: -EINTR,
  /** The device does not answer, or the machine itself is broken, such as by a worker that ended with a lock held. */
  EIO: -EIO,
  /** Larger than the address space that it is for. */
  E2BIG: -E2BIG,
  /** No open file. */
  EBADF: -EBADF,
  /** Try again, as when pages of a userptr are still being fetched. */
  EAGAIN: -EAGAIN,
  /** No memory, no frame, no range of device address space. */
  ENOMEM: -ENOMEM,
  /** The mapping does not allow that access. */
  EACCES: -EACCES,
  /** An address at which nothing is, or a purged object. */
  EFAULT: -EFAULT,
  /** In use: pinned, bound, or waiting for the GPU. */
  EBUSY: -EBUSY,
  /** It is there already. */
  EEXIST: -EEXIST,
  /** The object is of another machine or another GPU. */
  EXDEV: -EXDEV,
  /** The device cannot do that, or the machine was disposed. */
  ENODEV: -ENODEV,
  /** An argument that the kernel refuses. */
  EINVAL: -EINVAL,
  /** No hole in the GPU's address space is large enough (drm_mm). */
  ENOSPC: -ENOSPC,
  /** Past the end of a table. */
  ERANGE: -ERANGE,
  /** A size or count does not fit the field that holds it. */
  EOVERFLOW: -EOVERFLOW,
  /** The object was destroyed or freed, or was made after the snapshot that has been restored. */
  ESTALE: -ESTALE,
  /** Past the end of the buffer that is to be mapped into a process. */
  ENXIO: -ENXIO,
  /** A P2PDMA page that the mapping device cannot reach; no call returns it, as that is not modelled. */
  EREMOTEIO: -EREMOTEIO,
} as const;

/** An error number by its name in the kernel. */
export type ErrnoName = keyof typeof ERRNO;

const names = new Map<number, ErrnoName>(Object.entries(ERRNO).map(([name, value]) => [value, name as ErrnoName]));

/** Name of a negative errno as the core returns it; an unknown one as a number. */
export function errnoName(rc: number): ErrnoName | `E${number}` {
  return names.get(-rc) ?? `E${-rc}`;
}

/**
 * An operation that the emulated kernel refused.
 *
 * - `code`: errno name, such as `'ENOSPC'`; `errno`: its negative number, such as -28
 * - `syscall`: the operation, such as `'gem_bind'` or `'dma_map_sg'`
 * - `reason`: a stable identifier of the cause where an errno is too coarse, such as `'IOVA_FRAGMENTED'`
 * - `details`: plain values about what was asked and what was there
 * - `result`: only in the error of a finding (dma-debug with `strict`), what the call has returned. dma-debug refuses nothing:
 *   such a call has been done
 */
export class GemDmaError extends Error {
  /** Always `GemDmaError`; `GemDmaError.is(error)` works across several copies of the package. */
  override readonly name = 'GemDmaError';
  /** Name of the error number, such as `ENOMEM`, as in Node's system errors. */
  readonly code: string;
  /** The negative error number that the emulated kernel returned, such as -12. */
  readonly errno: number;
  /** The kernel function or ioctl that refused, such as `dma_map_sg`. */
  readonly syscall: string;
  /**
   * The cause, where an errno has several, such as `IOVA_FULL`. Stable over versions, see `REASONS`. Undefined if the errno has one cause.
   */
  readonly reason: string | undefined;
  /** Figures of the refusal, such as sizes, limits and free space. Keys depend on `syscall` and `reason`. */
  readonly details: Readonly<Record<string, unknown>>;
  /** Only in the error of a finding (dma-debug with `strict`): what the call has returned. It has been done. */
  declare readonly result?: unknown;

  constructor(
    code: ErrnoName,
    syscall: string,
    message: string,
    extra: { reason?: string; details?: Record<string, unknown>; cause?: unknown; result?: unknown } = {},
  ) {
    super(`${code}: ${message}`, extra.cause === undefined ? undefined : { cause: extra.cause });
    this.code = code;
    this.errno = -ERRNO[code];
    this.syscall = syscall;
    this.reason = extra.reason;
    this.details = extra.details ?? {};
    if (extra.result !== undefined) this.result = extra.result;
  }

  /** True for a GemDmaError of any copy of this package, with that code when one is given. */
  static is(error: unknown, code?: ErrnoName): error is GemDmaError {
    return error instanceof Error && error.name === 'GemDmaError' && (!code || (error as GemDmaError).code === code);
  }
}

type Coded<T extends Error> = T & { code: string };

/** A TypeError for an argument of the wrong type (ERR_INVALID_ARG_TYPE). */
export function invalidType(name: string, expected: string, got: unknown): Coded<TypeError> {
  const error = new TypeError(`The "${name}" argument must be ${expected}. Received ${show(got)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}

/** A TypeError for a value that is of the right type but means nothing here (ERR_INVALID_ARG_VALUE). */
export function invalidValue(name: string, expected: string, got: unknown): Coded<TypeError> {
  const error = new TypeError(`The "${name}" argument must be ${expected}. Received ${show(got)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' });
}

/** The same with a message of its own, where the argument is a part of a text. */
export function badValue(message: string): Coded<TypeError> {
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_VALUE' });
}

/** A TypeError for the constructor of a class whose objects the library makes (ERR_ILLEGAL_CONSTRUCTOR). */
export function illegalConstructor(name: string): Coded<TypeError> {
  const error = new TypeError(`A ${name} is not made with new: a call of the library returns it`);
  return Object.assign(error, { code: 'ERR_ILLEGAL_CONSTRUCTOR' });
}

/** A TypeError for what a function of the caller returned (ERR_INVALID_RETURN_VALUE). */
export function invalidReturn(name: string, expected: string, got: unknown): Coded<TypeError> {
  const error = new TypeError(`The "${name}" function must return ${expected}. It returned ${show(got)}`);
  return Object.assign(error, { code: 'ERR_INVALID_RETURN_VALUE' });
}

/** A RangeError for a number outside what is allowed (ERR_OUT_OF_RANGE). */
export function outOfRange(name: string, expected: string, got: unknown): Coded<RangeError> {
  const error = new RangeError(`The value of "${name}" is out of range. It must be ${expected}. Received ${show(got)}`);
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' });
}

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 60)}\u2026` : value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'function' && (typeof value !== 'object' || value === null)) return String(value);
  try {
    if (typeof value === 'function') return `function ${String(value.name) || '(anonymous)'}`;
    return `an instance of ${String(value.constructor?.name ?? 'Object')}`;
  } catch {
    return `an ${typeof value} that cannot be looked at`;
  }
}

/** Checks an integer argument; returns it. Throws ERR_INVALID_ARG_TYPE or ERR_OUT_OF_RANGE. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
  if (value < min || value > max) throw outOfRange(name, `>= ${min} && <= ${max}`, value);
  return value;
}

const SIZE = /^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|K|M|G|T)?$/i;
const UNITS: Record<string, number> = { B: 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 };

/**
 * Reads a size in bytes: a number, or text such as `'4MiB'`, `'64K'`, `'1.5GiB'` (units are powers of 1,024).
 * Throws ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE for anything else, ERR_OUT_OF_RANGE for a number that is not a
 * non-negative safe integer.
 */
export function parseSize(name: string, value: number | string): number {
  let bytes: unknown = value;
  if (typeof value === 'string') {
    const match = SIZE.exec(value.trim());
    if (!match) throw invalidValue(name, "a size in bytes such as 4096, '64KiB' or '4MiB'", value);
    bytes = Number(match[1]) * UNITS[(match[2] ?? 'B')[0].toUpperCase()];
  }
  return checkInteger(name, bytes, 0, Number.MAX_SAFE_INTEGER);
}
