import { type ErrnoName, errnoName, GemDmaError } from './errors.js';
import type { Failure } from './generated/exports.js';

/**
 * What a call of the core that makes a record returns: its handle, or a negative errno (`Made<T>` of assembly/memory/errno.ts), or
 * 0 where there is one reason only. Neither is a handle before it was checked; the types of src/core/generated/exports.ts
 * enforce that.
 */

/** The largest errno, as the kernel's IS_ERR has it: a handle above 2 GiB is also negative. */
const MAX_ERRNO = 4095;

/** Whether a call that makes a record failed (IS_ERR of include/linux/err.h). */
export function failed(made: number): made is Failure {
  return made < 0 && made >= -MAX_ERRNO;
}

/**
 * The handle that a call gave.
 * @param what could not be made, for the message
 * @throws GemDmaError ENOMEM for 0, else with the errno
 */
export function made<H extends number>(result: H, syscall = 'core', what = 'record'): Exclude<H, Failure | 0> {
  if (result === 0 || failed(result)) {
    const code = result === 0 ? 'ENOMEM' : (errnoName(result) as ErrnoName);
    throw new GemDmaError(code, syscall, `no ${what}`);
  }
  return result as Exclude<H, Failure | 0>;
}

/** A handle that cannot be 0 here: 0 is a bug of this library, like a BUG_ON of the kernel. */
export function held<H extends number>(handle: H): Exclude<H, 0> {
  if (handle === 0) throw new Error('invariant broken: a record that is not there');
  return handle as Exclude<H, 0>;
}
