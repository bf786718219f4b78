// A buddy allocator of linear memory, in units of 4 KiB. All memory of the core is allocated here, directly (page tables, arrays) or
// through a slab. A block of order n is 4 KiB << n, aligned to its own size.
//
// One byte per unit tells what starts there:
//
//   0x00          nothing: the inside of a block
//   0x80 | order  a free block, linked into the list of its order (next at +0, previous at +4)
//   0x40 | order  a block in use
//
// Linear memory grows in steps: growing is a system call and the first touch of each page a fault, so a step is an
// eighth of what is there, at least 1 MiB.

import { FAULT_BLOCK, FREE_BLOCKS_OFFSET, MAX_BLOCK_ORDER, Context, cpuAt } from './context';
import { shouldFail } from './fault';
import { guardAt, lock, unlock } from './lock';
import { fieldOf } from './record';

export const BLOCK_SHIFT: u32 = 12;
export const BLOCK_SIZE: usize = 4096;

const FREE: u8 = 0x80;
const USED: u8 = 0x40;
const MIN_GROWTH: usize = 1 << 20;

// @ts-ignore: decorator
@inline
function listHead(ctx: Context, order: u32): usize {
  return fieldOf(ctx, FREE_BLOCKS_OFFSET) + (<usize>order << 2);
}

// @ts-ignore: decorator
@inline
function stateAt(ctx: Context, block: usize): usize {
  return ctx.blockStates + (block >> BLOCK_SHIFT);
}

function push(ctx: Context, block: usize, order: u32): void {
  const head = listHead(ctx, order);
  const next = load<u32>(head);
  store<u32>(block, next);
  store<u32>(block, 0, 4);
  if (next != 0) store<u32>(next, <u32>block, 4);
  store<u32>(head, <u32>block);
  store<u8>(stateAt(ctx, block), FREE | <u8>order);
}

function remove(ctx: Context, block: usize, order: u32): void {
  const next = load<u32>(block);
  const previous = load<u32>(block, 4);
  if (previous != 0) store<u32>(previous, next);
  else store<u32>(listHead(ctx, order), next);
  if (next != 0) store<u32>(next, previous, 4);
  store<u8>(stateAt(ctx, block), 0);
}

/** Smallest order whose block holds that many bytes. */
export function blockOrder(bytes: usize): u32 {
  return bytes <= BLOCK_SIZE ? 0 : 32 - <u32>clz<u32>(<u32>((bytes - 1) >> BLOCK_SHIFT));
}

export function blocksInit(ctx: Context): void {
  ctx.grown = ctx.end;
  const have: usize = <usize>memory.size() << 16;
  if (have > ctx.end) addRange(ctx, min(have, ctx.limit));
}

/** Hands [grown, end) to the allocator, in the largest aligned blocks that fit. */
function addRange(ctx: Context, end: usize): void {
  let at = ctx.grown;
  ctx.grown = end;
  while (at < end) {
    let order = min<u32>(<u32>ctz<u32>(<u32>(at >> BLOCK_SHIFT)), MAX_BLOCK_ORDER);
    while ((BLOCK_SIZE << order) > end - at) --order;
    ctx.freeUnits += 1 << order;
    freeMerged(ctx, at, order);
    at += BLOCK_SIZE << order;
  }
}

function grow(ctx: Context, order: u32): bool {
  const want: usize = BLOCK_SIZE << order;
  // A block is aligned to its size: twice the size always holds one, wherever the growth begins.
  let step = max<usize>(max<usize>(ctx.grown >> 3, MIN_GROWTH), order > 8 ? want << 1 : want);
  const room = ctx.limit - ctx.grown;
  if (step > room) step = room;
  step = (step + 0xffff) & ~0xffff;
  const have: usize = <usize>memory.size() << 16;
  const end = min(ctx.grown + step, ctx.limit) & ~0xffff;
  if (end <= ctx.grown) return false;
  if (end > have && memory.grow(<i32>((end - have) >> 16)) < 0) return false;
  addRange(ctx, end);
  return true;
}

/**
 * Takes a block of 4 KiB << order. Its contents are whatever was there: blockAllocZeroed clears.
 * @returns its offset, or 0 when the limit is reached or a fault was injected
 */
export function blockAlloc(ctx: Context, order: u32): usize {
  if (order > MAX_BLOCK_ORDER || shouldFail(ctx, FAULT_BLOCK)) return 0;
  const guard = guardAt(ctx, offsetof<Context>('blockLock'));
  lock(guard);
  const block = take(ctx, order);
  unlock(guard);
  return block;
}

function take(ctx: Context, order: u32): usize {
  do {
    for (let from = order; from <= MAX_BLOCK_ORDER; ++from) {
      const block: usize = load<u32>(listHead(ctx, from));
      if (block == 0) continue;
      remove(ctx, block, from);
      while (from > order) {
        --from;
        push(ctx, block + (BLOCK_SIZE << from), from);
      }
      store<u8>(stateAt(ctx, block), USED | <u8>order);
      ctx.freeUnits -= 1 << order;
      ctx.usedUnits += 1 << order;
      return block;
    }
  } while (grow(ctx, order));
  return 0;
}

export function blockAllocZeroed(ctx: Context, order: u32): usize {
  const block = blockAlloc(ctx, order);
  if (block != 0) memory.fill(block, 0, BLOCK_SIZE << order);
  return block;
}

/** Gives a block back; its order is known from the state byte. */
export function blockFree(ctx: Context, block: usize): void {
  const guard = guardAt(ctx, offsetof<Context>('blockLock'));
  lock(guard);
  const state = load<u8>(stateAt(ctx, block));
  assert((state & 0xc0) == USED);
  const order = <u32>(state & 0x3f);
  ctx.freeUnits += 1 << order;
  ctx.usedUnits -= 1 << order;
  freeMerged(ctx, block, order);
  unlock(guard);
}

/** Makes a block in use 2^order blocks of 4 KiB, each of which is given back by itself. */
export function blockSplit(ctx: Context, block: usize): void {
  const first = stateAt(ctx, block);
  const order = load<u8>(first) & 0x3f;
  memory.fill(first, USED, <usize>1 << order);
}

function freeMerged(ctx: Context, block: usize, order: u32): void {
  while (order < MAX_BLOCK_ORDER) {
    const buddy = block ^ (BLOCK_SIZE << order);
    if (buddy < ctx.end || buddy + (BLOCK_SIZE << order) > ctx.grown) break;
    if (load<u8>(stateAt(ctx, buddy)) != (FREE | <u8>order)) break;
    remove(ctx, buddy, order);
    store<u8>(stateAt(ctx, block), 0);
    block = min(block, buddy);
    ++order;
  }
  push(ctx, block, order);
}

/** 4 KiB units of linear memory in use: what a machine holds for itself, pages that wait for their next use left out. */
export function blocksUsed(ctx: Context): u32 {
  let pooled: u32 = 0;
  for (let i: u32 = 0; i < ctx.cpuCount; ++i) pooled += cpuAt(ctx, i).pooledUnits;
  return ctx.usedUnits - pooled;
}

/**
 * Walks every block: states and lists agree, buddies of one order are not both free, the counters add up.
 * @returns 0, or the offset of the first block that is wrong
 */
export function blocksCheck(ctx: Context): usize {
  let free: u32 = 0;
  let used: u32 = 0;
  let at = ctx.end;
  while (at < ctx.grown) {
    const state = load<u8>(stateAt(ctx, at));
    const order = <u32>(state & 0x3f);
    const kind = state & 0xc0;
    if ((kind != FREE && kind != USED) || order > MAX_BLOCK_ORDER) return at;
    const size = BLOCK_SIZE << order;
    if ((at & (size - 1)) != 0 || at + size > ctx.grown) return at;
    if (kind == FREE) {
      free += 1 << order;
      const buddy = at ^ size;
      if (order < MAX_BLOCK_ORDER && buddy >= ctx.end && buddy + size <= ctx.grown && load<u8>(stateAt(ctx, buddy)) == state) return at;
      const next: usize = load<u32>(at);
      if (next != 0 && (load<u8>(stateAt(ctx, next)) != state || load<u32>(next, 4) != <u32>at)) return at;
    } else used += 1 << order;
    at += size;
  }
  return free == ctx.freeUnits && used == ctx.usedUnits ? 0 : ctx.end;
}
