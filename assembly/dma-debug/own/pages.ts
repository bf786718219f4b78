// Frames that are freed while a device can still reach them. RAM and tables lie below dma-debug; what lies above it frees
// frames through freed.ts.

import { PAGE_SHIFT } from '../../ram/ram';
import { Context } from '../../memory/context';
import { lock, unlock } from '../../memory/lock';
import { frameInUse } from '../../ram/loan';
import { pageSlot } from '../entries/cacheline';
import { entryLose, firstEntry, nextEntry } from '../entries/chains';
import { ENTRY_PAGES, Entry } from '../entries/entry';
import { covers, forgetPages, indexFrames } from '../entries/frames';
import { Payload, payload, reportOwn } from '../entries/log';
import { DEBUG_OWN, DebugState, debugOf } from '../entries/state';

/** Entry: the mapping that still reaches the frame. */
export const CHECK_FREED_WHILE_MAPPED: u32 = 66;

/** Physical address of the first frame that is freed. */
// @ts-ignore: decorator
@unmanaged
export class FreedFrame extends Payload {
  phys: u64;
}

/**
 * Frames are about to be freed; those of them that are not in use are passed over.
 * @param pfns vector of n of them; 0 for the n from `first` on
 */
// @ts-ignore: decorator
@inline
export function debugPagesFreed(ctx: Context, n: u32, pfns: usize, first: u32): void {
  if (ctx.dmaDebug == 0) return;
  const state = debugOf(ctx)!;
  if ((state.live | state.ownLive) != 0) pagesFreed(ctx, n, pfns, first);
}

function pagesFreed(ctx: Context, n: u32, pfns: usize, first: u32): void {
  const state = debugOf(ctx)!;
  if ((state.flags & DEBUG_OWN) == 0) return;
  lock(debugOf(ctx));
  if (state.unindexed != null) indexFrames(state);
  // Nearly always none of them is mapped: the counts are first tested together.
  const from: u32 = pfns != 0 ? uncounted(state, n, pfns) : 0;
  for (let i = from; i < n; ++i) {
    const pfn = pfns != 0 ? load<u32>(pfns + (<usize>i << 2)) : first + i;
    const slot = pageSlot(state, pfn);
    if (slot == 0 || load<u8>(slot, 1) == 0) continue;
    if (frameInUse(ctx, pfn)) stillMapped(state, pfn, slot);
  }
  unlock(debugOf(ctx));
}

/** Frames from the start of a vector that no mapping covers, in groups of eight; 0 if one of the vector is not low RAM. */
function uncounted(state: DebugState, n: u32, pfns: usize): u32 {
  const end = pfns + (<usize>(n & ~7) << 2);
  let most = i32x4.splat(0);
  for (let at = pfns; at < end; at += 16) most = i32x4.max_u(most, v128.load(at));
  const limit = i32x4.splat(<i32>state.lowEnd);
  if (!i32x4.all_true(i32x4.lt_u(most, limit))) return 0;
  const counts = state.frames + 1;
  for (let at = pfns; at < end; at += 32) {
    const a = counted(counts, at) | counted(counts, at + 4) | counted(counts, at + 8) | counted(counts, at + 12);
    const b = counted(counts, at + 16) | counted(counts, at + 20) | counted(counts, at + 24) | counted(counts, at + 28);
    if ((a | b) != 0) return <u32>((at - pfns) >> 2);
  }
  return n & ~7;
}

// @ts-ignore: decorator
@inline
function counted(counts: usize, at: usize): u32 {
  return load<u8>(counts + (<usize>load<u32>(at) << 1));
}

/** Reports each mapping that covers the frame. A mapping is reported once: its frames are uncounted then. */
function stillMapped(state: DebugState, pfn: u32, slot: usize): void {
  for (let entry = firstEntry(state); entry != null; entry = nextEntry(state, entry!)) {
    if ((entry.flags & ENTRY_PAGES) == 0 || !covers(entry, pfn)) continue;
    freedWhileMapped(state, entry, <u64>pfn << PAGE_SHIFT);
    if (load<u8>(slot, 1) == 0) return;
  }
  // No mapping covers it: the count had reached 255, or tables were changed under a mapping.
  store<u8>(slot, 0, 1);
}

/** Reports an entry whose frames are freed, the first of them at phys. */
export function freedWhileMapped(state: DebugState, entry: Entry, phys: u64): void {
  const dev = entry.device;
  const told = payload<FreedFrame>(state);
  told.phys = phys;
  reportOwn(state, CHECK_FREED_WHILE_MAPPED, dev, entry, entry.address, entry.size, told);
  forgetPages(state, entry);
  entryLose(state, entry);
}
