// Error numbers of Linux (include/uapi/asm-generic/errno-base.h and errno.h), negative as the kernel's
// functions return them. An export of the core that can fail returns one of these or a value >= 0.

/**
 * What a call that makes a record returns: its handle, or one of these. The host has the handle's type for it
 * (scripts/contract-transform.mjs reads the declaration).
 */
export type Made<T> = i32;

export const EPERM: i32 = -1;
export const ENOENT: i32 = -2;
export const EINTR: i32 = -4;
export const EIO: i32 = -5;
export const ENXIO: i32 = -6;
export const E2BIG: i32 = -7;
export const EBADF: i32 = -9;
export const EAGAIN: i32 = -11;
export const ENOMEM: i32 = -12;
export const EACCES: i32 = -13;
export const EFAULT: i32 = -14;
export const EBUSY: i32 = -16;
export const EEXIST: i32 = -17;
export const EXDEV: i32 = -18;
export const ENODEV: i32 = -19;
export const EINVAL: i32 = -22;
export const ENOSPC: i32 = -28;
export const ERANGE: i32 = -34;
export const EOVERFLOW: i32 = -75;
export const ESTALE: i32 = -116;
export const EREMOTEIO: i32 = -121;
