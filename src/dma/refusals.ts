import { ERRNO, type ErrnoName, errnoName, GemDmaError } from '../core/errors.js';
import type { ContextHandle, CoreExports } from '../core/generated/exports.js';
import { reasonName } from '../core/reasons.js';

/** The errors of a device's calls. */

/** The narrowest mask of x86 before 4.17 (dma_supported of arch/x86/kernel/pci-dma.c). */
export const X86_LEAST_BITS = 24;

/** A mask that reaches too little memory (dma_supported). */
export function maskRefused(call: string, device: number, bits: number): GemDmaError {
  return new GemDmaError('EIO', call, `${bits} bits of address reach too little memory for device ${device}`, {
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
