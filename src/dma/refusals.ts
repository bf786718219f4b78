import { ERRNO, type ErrnoName, errnoName, GemDmaError } from '../core/errors.js';
import type { ContextHandle, CoreExports } from '../core/generated/exports.js';
import { reasonName } from '../core/reasons.js';

/** The errors of a device's calls. */

/** The narrowest mask of x86 before 4.17 (dma_supported of arch/x86/kernel/pci-dma.c). */
export const X86_LEAST_REACH = 2 ** 24;

/** The first address that a mask of so many bits does not reach; 0 for no mask. */
export function reachOf(bits: number): number {
  return bits === 0 ? 0 : 2 ** bits;
}

/** Bits that a mask has, by the first address that it does not reach. */
export function bitsOf(reach: number): number {
  return reach === 0 ? 0 : Math.ceil(Math.log2(reach));
}

/** A mask that reaches too little memory (dma_supported). */
export function maskRefused(call: string, device: number, reach: number): GemDmaError {
  return new GemDmaError('EIO', call, `${bitsOf(reach)} bits of address reach too little memory for device ${device}`, {
    reason: 'DMA_MASK_TOO_SMALL',
  });
}

/** The error of a call that returned a negative errno. `what` names the mapping; the reason is the core's last. */
export function callFailed(
  core: CoreExports,
  context: ContextHandle,
  device: number,
  syscall: string,
  rc: number,
  what: string,
): GemDmaError {
  const reason = reasonName(core.lastReason(context));
  const code = errnoName(rc) in ERRNO ? (errnoName(rc) as ErrnoName) : 'EINVAL';
  return new GemDmaError(code, syscall, `device ${device} cannot map ${what}${reason ? `: ${reason}` : ''}`, {
    reason,
    details: { device },
  });
}
