// How far the kernel's own searches would have walked: over ranges of IOVA (rb_prev by rb_prev), over slots of a bounce pool. Counted
// only while the host asks for it: the counting walks as far as the kernel would.

import { blockAllocZeroed, blockFree } from './block';
import { Context } from './context';

// @ts-ignore: decorator
@unmanaged
export class SearchCost {
  /** Searches for a range; nodes visited over all of them, and by the longest. */
  iovaSearches: u32;
  iovaMost: u32;
  iovaNodes: u64;
  /** Searches for slots; slots looked at over all of them, and by the longest. */
  slotSearches: u32;
  slotMost: u32;
  slots: u64;
  /** Of the call that runs: nodes and slots that no event has told yet. */
  nodesNow: u32;
  slotsNow: u32;
}

/** Starts counting, from zero. Returns false without memory. */
export function searchCostStart(ctx: Context): bool {
  searchCostStop(ctx);
  ctx.searchCost = blockAllocZeroed(ctx, 0);
  return ctx.searchCost != 0;
}

/** Ends counting. */
export function searchCostStop(ctx: Context): void {
  if (ctx.searchCost != 0) blockFree(ctx, ctx.searchCost);
  ctx.searchCost = 0;
}

/** The counters, 0 while nothing counts. */
export function searchCost(ctx: Context): usize {
  return ctx.searchCost;
}

/** A search for a range has visited nodes. */
export function noteNodes(ctx: Context, nodes: u32): void {
  const cost = changetype<SearchCost>(ctx.searchCost);
  ++cost.iovaSearches;
  cost.iovaNodes += nodes;
  cost.nodesNow += nodes;
  cost.iovaMost = max(cost.iovaMost, nodes);
}

/** A search for slots has looked at slots. */
export function noteSlots(ctx: Context, slots: u32): void {
  const cost = changetype<SearchCost>(ctx.searchCost);
  ++cost.slotSearches;
  cost.slots += slots;
  cost.slotsNow += slots;
  cost.slotMost = max(cost.slotMost, slots);
}
