// Frames of RAM with an address. What C allocates has contents from the start, in one piece of linear memory for a block of
// pages, so that neighbouring frames are neighbours for the CPU, too. A vmalloc area is one piece of linear memory over
// frames that may lie anywhere. A frame has one address at a time: vmap moves the contents.

import { debugBlockFree, debugPagesFree } from '../dma-debug/freed';
import { BLOCK_SHIFT, BLOCK_SIZE, blockAllocZeroed, blockFree, blockOrder, blockSplit } from '../memory/block';
import { contentsMake, contentsMove, contentsPeek, contentsPlace } from '../ram/contents';
import { frameForget } from '../ram/numbered';
import { blockOfPagesAlloc, pagesAlloc } from '../ram/pages';
import { MAX_ORDER, PAGE_SHIFT, ZONE_DMA32, ZONE_NORMAL, isRam } from '../ram/ram';
import { SHADOW_FREED, SHADOW_OPEN, shadowMove, shadowPages } from './shadow';
import { DriverState, UNIT_VMALLOC, ctxOf, driverState, ramOf } from './state';

const NO_FRAME: u32 = 0;

function place(pfn: u32, at: usize, flag: u32): bool {
  if (!contentsPlace(ctxOf(), ramOf(), pfn, at)) return false;
  store<u32>(driverState().unitFrames + (at >> BLOCK_SHIFT << 2), pfn | flag);
  return true;
}

/**
 * Takes a block of 2^order neighbouring frames with one address.
 * @param low only below 4 GiB
 * @returns the first pfn, 0 without memory
 */
export function gd_pages_alloc(order: u32, low: u32): u32 {
  if (order > MAX_ORDER) return NO_FRAME;
  const ctx = ctxOf();
  const count: u32 = 1 << order;
  let pfn: u32;
  if (order == 0 && low == 0) {
    const scratch = changetype<usize>(driverState()) + offsetof<DriverState>('scratch');
    pfn = pagesAlloc(ctx, 1, scratch) < 0 ? NO_FRAME : load<u32>(scratch);
  } else pfn = blockOfPagesAlloc(ctx, order, low != 0 ? ZONE_DMA32 : ZONE_NORMAL);
  if (pfn == NO_FRAME) return NO_FRAME;
  const at = blockAllocZeroed(ctx, order);
  if (at != 0) {
    blockSplit(ctx, at);
    let placed: u32 = 0;
    while (placed < count && place(pfn + placed, at + (<usize>placed << BLOCK_SHIFT), 0)) ++placed;
    if (placed == count) {
      shadowPages(at, count, SHADOW_OPEN);
      return pfn;
    }
    for (let i = placed; i < count; ++i) blockFree(ctx, at + (<usize>i << BLOCK_SHIFT));
  }
  gd_pages_free(pfn, order);
  return NO_FRAME;
}

/** Gives frames back. Their bytes stay until the frames are handed out again, and C may not touch them. */
export function gd_pages_free(pfn: u32, order: u32): void {
  const ctx = ctxOf();
  const count: u32 = 1 << order;
  for (let i: u32 = 0; i < count; ++i) {
    const at = contentsPeek(ramOf(), pfn + i);
    if (at != 0) shadowPages(at, 1, SHADOW_FREED);
    frameForget(ctx, pfn + i);
  }
  if (order != 0) {
    debugBlockFree(ctx, pfn, order);
    return;
  }
  const scratch = changetype<usize>(driverState()) + offsetof<DriverState>('scratch');
  store<u32>(scratch, pfn);
  debugPagesFree(ctx, 1, scratch);
}

/** pfn of the frame at an address of C, with UNIT_VMALLOC; 0 where there is none. */
export function gd_virt_pfn(address: usize): u32 {
  const state = driverState();
  const unit = address >> BLOCK_SHIFT;
  if (unit >= <usize>state.units) return NO_FRAME;
  const pfn = load<u32>(state.unitFrames + (unit << 2));
  if (pfn == NO_FRAME) return NO_FRAME;
  // The entry is stale when the frame's contents have gone elsewhere.
  const here = contentsPeek(ramOf(), pfn & ~UNIT_VMALLOC) == (address & ~(BLOCK_SIZE - 1));
  return here ? pfn : NO_FRAME;
}

/** Address of a frame's bytes, which it gets if it has none; 0 where there is no RAM, or no memory. */
export function gd_pfn_virt(pfn: u32): usize {
  const ram = ramOf();
  if (!isRam(ram, pfn)) return 0;
  const state = driverState();
  let at = contentsPeek(ram, pfn);
  const fresh = at == 0;
  if (fresh) at = contentsMake(ctxOf(), ram, pfn);
  if (at == 0) return 0;
  const slot = state.unitFrames + (at >> BLOCK_SHIFT << 2);
  if ((load<u32>(slot) & ~UNIT_VMALLOC) != pfn) {
    store<u32>(slot, pfn);
    shadowPages(at, 1, SHADOW_OPEN);
  }
  return at;
}

/** Frames below 4 GiB: the number of such a frame is its pfn. */
export function gd_low_frames(): u32 {
  return ramOf().lowEnd;
}

/** The pfn of a frame above 4 GiB minus its number. */
export function gd_hole(): u32 {
  return ramOf().hole;
}

/** Frames of RAM. */
export function gd_frames(): u32 {
  return ramOf().frames;
}

/**
 * Takes n frames from anywhere and gives them one address (vmalloc).
 * @returns the address, 0 without memory
 */
export function gd_vmalloc(n: u32): usize {
  const ctx = ctxOf();
  const order = blockOrder(<usize>n << PAGE_SHIFT);
  const at = blockAllocZeroed(ctx, order);
  if (at == 0) return 0;
  blockSplit(ctx, at);
  let done: u32 = 0;
  const scratch = changetype<usize>(driverState()) + offsetof<DriverState>('scratch');
  while (done < n) {
    if (pagesAlloc(ctx, 1, scratch) < 0) break;
    const pfn = load<u32>(scratch);
    if (!place(pfn, at + (<usize>done << BLOCK_SHIFT), UNIT_VMALLOC)) {
      debugPagesFree(ctx, 1, scratch);
      break;
    }
    ++done;
  }
  for (let i = done; i < <u32>(1 << order); ++i) blockFree(ctx, at + (<usize>i << BLOCK_SHIFT));
  shadowPages(at, done, SHADOW_OPEN);
  if (done == n) return at;
  gd_vfree(at, done);
  return 0;
}

/** Gives the frames of a vmalloc area back. */
export function gd_vfree(at: usize, n: u32): void {
  for (let i: u32 = 0; i < n; ++i) {
    const pfn = gd_virt_pfn(at + (<usize>i << BLOCK_SHIFT)) & ~UNIT_VMALLOC;
    if (pfn != NO_FRAME) gd_pages_free(pfn, 0);
  }
}

/**
 * Gives n frames one address (vmap): their bytes move there.
 * @param pfns vector of u32
 * @returns the address, 0 without memory
 */
export function gd_vmap(pfns: usize, n: u32): usize {
  const ctx = ctxOf();
  const state = driverState();
  const order = blockOrder(<usize>n << PAGE_SHIFT);
  const at = blockAllocZeroed(ctx, order);
  if (at == 0) return 0;
  blockSplit(ctx, at);
  for (let i: u32 = 0; i < n; ++i) {
    const pfn = load<u32>(pfns + (<usize>i << 2));
    const from = gd_pfn_virt(pfn);
    const to = at + (<usize>i << BLOCK_SHIFT);
    store<u32>(state.unitFrames + (to >> BLOCK_SHIFT << 2), pfn | UNIT_VMALLOC);
    if (from != 0) {
      shadowMove(from, to);
      memory.copy(to, from, BLOCK_SIZE);
      contentsMove(ctx, ramOf(), pfn, to);
    }
  }
  for (let i = n; i < <u32>(1 << order); ++i) blockFree(ctx, at + (<usize>i << BLOCK_SHIFT));
  return at;
}

/** A vmap area ends: its frames keep the address, which is theirs alone again. */
export function gd_vunmap(at: usize, n: u32): void {
  for (let i: u32 = 0; i < n; ++i) {
    const slot = driverState().unitFrames + ((at >> BLOCK_SHIFT) + i << 2);
    store<u32>(slot, load<u32>(slot) & ~UNIT_VMALLOC);
  }
}
