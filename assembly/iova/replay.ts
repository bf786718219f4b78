// Many operations in one call: a recording's steps packed into linear memory, for measuring without the host's share.
//
//   step   +0 u64   bits 63..56 the operation, 52..0 its first operand
//          +8 u64   bit 63 the flag, 52..0 its second operand
//
// Operations bear the recording's letters. What each returned is not compared here: the replay by the host does that.

import { IovaDomain } from './domain';
import { iovaAlloc, iovaAllocFast, iovaFind, iovaFree, iovaFreeFast, iovaReserve } from './iova';
import { rcacheTrim } from './rcache';

export const STEP_ALLOC: u32 = 1; // limit, size, aligned
export const STEP_FREE: u32 = 2; // pfn
export const STEP_ALLOC_FAST: u32 = 3; // limit, size, flush
export const STEP_FREE_FAST: u32 = 4; // pfn, size
export const STEP_RESERVE: u32 = 5; // lo, hi
export const STEP_FIND: u32 = 6; // pfn
export const STEP_WAIT: u32 = 7; // online CPUs

const OPERAND: u64 = (1 << 53) - 1;

/** Performs `count` steps on a domain. Returns how many allocations failed. */
export function iovaReplay(domain: IovaDomain, steps: usize, count: u32): u32 {
  let failed: u32 = 0;
  const end = steps + (<usize>count << 4);
  for (let at = steps; at < end; at += 16) {
    const first = load<u64>(at);
    const second = load<u64>(at, 8);
    const operation = <u32>(first >> 56);
    const a = first & OPERAND;
    const b = second & OPERAND;
    // The two whose own time is a few nanoseconds come before the jump table.
    if (operation == STEP_ALLOC_FAST) {
      if (iovaAllocFast(domain, b, a, second >> 63 != 0) == 0) ++failed;
    } else if (operation == STEP_FREE_FAST) {
      iovaFreeFast(domain, a, b);
    } else {
      failed += perform(domain, operation, a, b, second >> 63 != 0);
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
