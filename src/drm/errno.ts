import { ERRNO, errnoName, GemDmaError } from '../core/errors.js';

/**
 * The driver's functions return 0 or a negative errno, as the kernel's do: its retry ladders decide by errno, and under
 * memory pressure failure is the common case. The public methods turn what is left over into a GemDmaError.
 */
export const { EAGAIN, E2BIG, EBUSY, EFAULT, EINVAL, ENODEV, ENOMEM, ENOSPC, EPERM, ERANGE } = ERRNO;

/** Throws the GemDmaError for a negative errno. A reason says which layer below refused and why. */
export function refuse(
  rc: number,
  syscall: string,
  message: string,
  details?: Record<string, unknown>,
  reason?: string,
): never {
  const whose = rc === -EBUSY ? 'exporter' : 'DMA API';
  const cause = reason === undefined ? '' : `: the ${whose} says ${reason}`;
  throw new GemDmaError(errnoName(rc) as keyof typeof ERRNO, syscall, message + cause, { details, reason });
}

/** A broken invariant of the driver itself: the kernel's BUG_ON. Never the caller's fault. */
export function bugOn(broken: boolean, what: string): void {
  if (broken) throw new Error(`driver invariant broken: ${what}`);
}
