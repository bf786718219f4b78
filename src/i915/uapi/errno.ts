import { ERRNO, errnoName, GemDmaError } from '../../core/errors.js';

/** Results of requests: 0, or a negative errno. What the core does not return is here by number (asm-generic/errno.h). */
export const { EACCES, EAGAIN, E2BIG, EBADF, EBUSY, EFAULT, EINVAL, ENODEV, ENOENT, ENOMEM, ENOSPC, ENXIO, EPERM } =
  ERRNO;
export const ENOTTY = 25;
export const ETIME = 62;
export const EOPNOTSUPP = 95;

const NAMES: Readonly<Record<number, string>> = { [ENOTTY]: 'ENOTTY', [ETIME]: 'ETIME', [EOPNOTSUPP]: 'EOPNOTSUPP' };

/** A result in words: 0, or the errno's name. */
export function resultName(rc: number): string {
  return rc === 0 ? '0' : (NAMES[-rc] ?? errnoName(rc));
}

/**
 * The errno of a refusal, for the one place where errors of the library become results of a request. What is no refusal goes on:
 * a finding of dma-debug with `strict`, an error of a policy's hook, a bug.
 */
export function resultOf(error: unknown): number {
  if (GemDmaError.is(error) && error.result === undefined && errnoName(error.errno) in ERRNO && !closed(error)) {
    return error.errno;
  }
  throw error;
}

// A machine that was disposed is no client's mistake.
function closed({ reason }: GemDmaError): boolean {
  return reason === 'MACHINE_DISPOSED' || reason === 'MACHINE_BROKEN' || reason === 'OBJECT_NOT_MADE';
}
