// The pool of entries: records in linear memory, and the accounting of the kernel's pool (dma_entry_alloc, dma_entry_free).

import { BLOCK_SIZE, blockAlloc } from '../../memory/block';
import { FAULT_DMA_DEBUG, FAULT_SLAB } from '../../memory/context';
import { shouldFail } from '../../memory/fault';
import { rehash } from './chains';
import { ENTRY_SIZE, Entry } from './entry';
import { Payload, payload, reportPool } from './log';
import { DEBUG_GROWS, DEBUG_KERNEL, DEBUG_OWN, DEBUG_POOL_FIXED, DYNAMIC_ENTRIES, DebugState } from './state';
import { fieldOf } from '../../memory/record';
import { slabAllocZeroed, slabCacheAt, slabFree } from '../../memory/slab';

export const CHECK_OOM_DISABLED: u32 = 25;
export const CHECK_POOL_GROWN: u32 = 27;

/** nr_total_entries. */
// @ts-ignore: decorator
@unmanaged
export class PoolSize extends Payload {
  total: u32;
}

/** Entries are carved from blocks of 32 KiB. */
const ENTRY_BLOCK_ORDER: u32 = 3;

/**
 * Takes an entry from the pool.
 *
 * The pool grows or is exhausted, a block of entries is allocated and the table is doubled only when the number of live entries
 * reaches a new maximum. One comparison separates these cases.
 * @returns the entry, or null if the mapping is not tracked
 */
// @ts-ignore: decorator
@inline
export function entryAlloc(state: DebugState): Entry | null {
  if (state.live >= state.peak) return allocPeak(state);
  const entry = state.free!;
  state.free = entry.next;
  return entry;
}

function allocPeak(state: DebugState): Entry | null {
  if ((state.flags & DEBUG_KERNEL) != 0 && state.live == state.pool) grow(state);
  if ((state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return null;
  const ctx = state.ctx;
  let entry: Entry | null = null;
  if (!shouldFail(ctx, FAULT_SLAB) && !shouldFail(ctx, FAULT_DMA_DEBUG)) {
    entry = state.free != null ? state.free : carve(state);
  }
  if (entry == null) {
    // Without an entry the kernel's checker is disabled, as when its pool cannot grow.
    if ((state.flags & DEBUG_KERNEL) != 0) disable(state, CHECK_OOM_DISABLED);
    if ((state.flags & DEBUG_OWN) != 0) ++state.missed;
    return null;
  }
  state.free = entry.next;
  state.peak = state.live + 1;
  if (state.live > state.bucketMask) rehash(state);
  return entry;
}

function carve(state: DebugState): Entry | null {
  const block = blockAlloc(state.ctx, ENTRY_BLOCK_ORDER);
  if (block == 0) return null;
  let at = block + ((BLOCK_SIZE << ENTRY_BLOCK_ORDER) / ENTRY_SIZE - 1) * ENTRY_SIZE;
  let next: Entry | null = null;
  for (; at >= block; at -= ENTRY_SIZE) {
    const entry = changetype<Entry>(at);
    entry.next = next;
    next = entry;
  }
  state.free = next;
  return next;
}

// dma_entry_alloc: adds a page of entries, or disables the checker (the pool of 2015 never grows).
function grow(state: DebugState): void {
  state.minFree = 0;
  const fixed = (state.flags & DEBUG_GROWS) == 0 || (state.flags & DEBUG_POOL_FIXED) != 0;
  if (fixed || shouldFail(state.ctx, FAULT_DMA_DEBUG)) {
    disable(state, CHECK_OOM_DISABLED);
    return;
  }
  state.total += DYNAMIC_ENTRIES;
  state.pool += DYNAMIC_ENTRIES;
  if (state.total % state.prealloc < DYNAMIC_ENTRIES) reportSize(state, CHECK_POOL_GROWN);
}

function reportSize(state: DebugState, check: u32): void {
  const told = payload<PoolSize>(state);
  told.total = state.total;
  reportPool(state, check, told);
}

/** Disables the kernel's checker for good; its counters keep their values. Ours goes on with the same entries. */
export function disable(state: DebugState, check: u32): void {
  reportSize(state, check);
  state.minFree = minFree(state);
  state.numFree = numFree(state);
  state.flags &= ~DEBUG_KERNEL;
}

/** num_free_entries. */
export function numFree(state: DebugState): u32 {
  return (state.flags & DEBUG_KERNEL) != 0 ? state.pool - state.live : state.numFree;
}

/** min_free_entries. */
export function minFree(state: DebugState): u32 {
  return (state.flags & DEBUG_KERNEL) != 0 ? min(state.minFree, state.pool - state.peak) : state.minFree;
}

/** A zeroed record of ours, which no kernel has (isOwn); null without memory, which is counted in ownMissed. */
export function ownAlloc<T>(state: DebugState): T | null {
  const ctx = state.ctx;
  const cache = slabCacheAt<T>(ctx, fieldOf(state, offsetof<DebugState>('ownCache')), ENTRY_SIZE);
  const entry: T | null = cache == null || shouldFail(ctx, FAULT_DMA_DEBUG) ? null : slabAllocZeroed(cache);
  if (entry == null) ++state.ownMissed;
  return entry;
}

/** Frees a record of ours that is in no chain and no list. */
export function ownFree(state: DebugState, entry: Entry): void {
  slabFree<Entry>(state.ownCache!, entry);
}

/** Returns an entry that is in no chain to the pool. */
// @ts-ignore: decorator
@inline
export function entryFree(state: DebugState, entry: Entry): void {
  entry.next = state.free;
  state.free = entry;
  --state.live;
}
