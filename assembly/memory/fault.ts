// Fault injection. Every allocation of the core asks shouldFail first; with nothing armed that is one load and a
// branch that predicts. Armed, the n-th allocation of the kind from now on fails, once or from then on.
//
//   faultTable[kind]  byte 0..3  countdown to the failure, 1 = the next one
//                     byte 4..7  allocations of the kind that were made to fail

import { Context, FAULT_KINDS } from './context';

// @ts-ignore: decorator
@inline
export function shouldFail(ctx: Context, kind: u32): bool {
  return ctx.faultMask == 0 ? false : countDown(ctx, kind);
}

function countDown(ctx: Context, kind: u32): bool {
  if ((ctx.faultMask & (1 << kind)) == 0) return false;
  const slot = ctx.faultTable + (<usize>kind << 3);
  const left = load<u32>(slot) - 1;
  store<u32>(slot, left);
  if (left != 0) return false;
  ctx.faultMask &= ~(1 << kind);
  store<u32>(slot, load<u32>(slot, 4) + 1, 4);
  return true;
}

/** Makes the n-th allocation of a kind fail, counted from now, 1 = the next; 0 disarms the kind. */
export function faultArm(ctx: Context, kind: u32, nth: u32): void {
  if (kind >= FAULT_KINDS) return;
  store<u32>(ctx.faultTable + (<usize>kind << 3), nth);
  ctx.faultMask = nth == 0 ? ctx.faultMask & ~(1 << kind) : ctx.faultMask | (1 << kind);
}

/** Allocations that are still to come before an armed fault strikes; 0 when the kind is not armed. */
export function faultPending(ctx: Context, kind: u32): u32 {
  if (kind >= FAULT_KINDS || (ctx.faultMask & (1 << kind)) == 0) return 0;
  return load<u32>(ctx.faultTable + (<usize>kind << 3));
}

/** How many allocations of a kind were made to fail since the context was made. */
export function faultCount(ctx: Context, kind: u32): u32 {
  if (kind >= FAULT_KINDS) return 0;
  return load<u32>(ctx.faultTable + (<usize>kind << 3), 4);
}
