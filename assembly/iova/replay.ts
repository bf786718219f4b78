// Many operations in one call: a recording's steps packed into linear memory, for measuring without the host's share.
//
// What each step returned is not compared here: the replay by the host does that.

import { IovaDomain } from './iova-domain';
import { iovaAlloc, iovaAllocFast, iovaFind, iovaFree, iovaFreeFast, iovaReserve } from './iova';
import { rcacheTrim } from './rcache';

export const STEP_ALLOC: u32 = 1; // limit, size, aligned
export const STEP_FREE: u32 = 2; // pfn
export const STEP_ALLOC_FAST: u32 = 3; // limit, size, flush
export const STEP_FREE_FAST: u32 = 4; // pfn, size
export const STEP_RESERVE: u32 = 5; // lo, hi
export const STEP_FIND: u32 = 6; // pfn
export const STEP_WAIT: u32 = 7; // online CPUs

/** One step, written by the host. */
// @ts-ignore: decorator
@unmanaged
export class IovaStep {
  /** Operands, as told beside the operations. */
  first: u64;
  second: u64;
  /** STEP_* */
  operation: u32;
  /** The third operand where there is one, 0 or 1. A word: records lie one behind the other. */
  flag: u32;
}

/** Performs `count` steps on a domain. Returns how many allocations failed. */
export function iovaReplay(domain: IovaDomain, steps: usize, count: u32): u32 {
  let failed: u32 = 0;
  const end = steps + <usize>count * offsetof<IovaStep>();
  for (let at = steps; at < end; at += offsetof<IovaStep>()) {
    const step = changetype<IovaStep>(at);
    const operation = step.operation;
    // The two whose own time is a few nanoseconds come before the jump table.
    if (operation == STEP_ALLOC_FAST) {
      if (iovaAllocFast(domain, step.second, step.first, step.flag != 0) == 0) ++failed;
    } else if (operation == STEP_FREE_FAST) {
      iovaFreeFast(domain, step.first, step.second);
    } else {
      failed += perform(domain, operation, step.first, step.second, step.flag != 0);
    }
  }
  return failed;
}

function perform(domain: IovaDomain, operation: u32, a: u64, b: u64, flag: bool): u32 {
  switch (operation) {
    case STEP_ALLOC: return iovaAlloc(domain, b, a, flag) == 0 ? 1 : 0;
    case STEP_FREE: {
      iovaFree(domain, a);
      return 0;
    }
    case STEP_RESERVE: {
      iovaReserve(domain, a, b);
      return 0;
    }
    case STEP_FIND: {
      iovaFind(domain, a);
      return 0;
    }
    case STEP_WAIT: {
      domain.cpus = <u32>a;
      rcacheTrim(domain);
      return 0;
    }
  }
  return 0;
}
