// An area of frames that are given out in blocks, the first that is free and aligned. Large blocks that the page allocator may not
// have come from such areas: the contiguous memory area, and the atomic pools.

import { blockAllocZeroed, blockOrder } from '../memory/block';
import { Context } from '../memory/context';
import { Guarded, lock, unlock } from '../memory/lock';

// @ts-ignore: decorator
@unmanaged
export class Area extends Guarded {
  /** Its first frame, and how many; a byte for each is 1 where it is taken. */
  first: u32;
  pages: u32;
  taken: usize;
  next: Area | null;
}

const HEAD: usize = 64;

/** The record of an area whose frames were taken. Null without memory. */
export function areaMake(ctx: Context, first: u32, pages: u32): Area | null {
  const at = blockAllocZeroed(ctx, blockOrder(HEAD + pages));
  if (at == 0) return null;
  const area = changetype<Area>(at);
  area.first = first;
  area.pages = pages;
  area.taken = at + HEAD;
  return area;
}

/** The first block of n frames that is free, at a multiple of `step`. Returns its first pfn, 0 for none. */
export function areaTake(area: Area, n: u32, step: u32): u32 {
  lock(area);
  let found: u32 = 0;
  for (let at: u32 = 0; n <= area.pages && at <= area.pages - n && found == 0; ) {
    let free: u32 = 0;
    while (free < n && load<u8>(area.taken + <usize>(at + free)) == 0) ++free;
    if (free == n) found = area.first + at;
    else at = (at + free + step) & ~(step - 1);
  }
  if (found != 0) memory.fill(area.taken + <usize>(found - area.first), 1, n);
  unlock(area);
  return found;
}

/** Gives a block back. Returns false for one that is not of the area. */
export function areaGive(area: Area, pfn: u32, n: u32): bool {
  if (pfn < area.first || pfn - area.first >= area.pages) return false;
  lock(area);
  memory.fill(area.taken + <usize>(pfn - area.first), 0, n);
  unlock(area);
  return true;
}

/** Frames that are free. */
export function areaFree(area: Area): u32 {
  let free: u32 = 0;
  for (let i: u32 = 0; i < area.pages; ++i) free += 1 - load<u8>(area.taken + <usize>i);
  return free;
}
