// Allocation of frames at given places, or of long runs, as by memblock at boot. Bounce pools and other regions that are larger than
// the largest buddy block are allocated here.

import { Context, FAULT_RAM } from '../memory/context';
import { shouldFail } from '../memory/fault';
import { lock, unlock } from '../memory/lock';
import { freeBlock, takeBlockAt } from './buddy';
import { contentsDrop } from './contents';
import {
  HIGH_START, MAX_ORDER, Ram, STATE_CONTENT, STATE_FREE, STATE_KEPT, STATE_USED, frameState, isRam, ramOf, stateOf,
} from './ram';

/** No free block holds the frame. */
const NOT_FREE: u32 = 0xff;

/** Order of the free block that holds a frame, or NOT_FREE. */
function freeOrderAt(ram: Ram, pfn: u32): u32 {
  for (let order: u32 = 0; order <= MAX_ORDER; ++order) {
    const head = pfn & ~((1 << order) - 1);
    if (!isRam(ram, head)) break;
    if ((frameState(ram, head) & ~STATE_CONTENT) == (STATE_FREE | <u8>order)) return order;
  }
  return NOT_FREE;
}

/** Frees [start, end) in the largest aligned blocks, from the top down: lists are stacks, so low addresses go first. */
export function freeRange(ram: Ram, start: u32, end: u32): void {
  let at = end;
  while (at > start) {
    let order = min<u32>(<u32>ctz(at), MAX_ORDER);
    while (at - (1 << order) < start || (1 << order) > <i32>(at - start)) --order;
    at -= 1 << order;
    freeBlock(ram, at, order);
  }
}

/** Highest frame of [start, end) that is not free, or end when all are. */
function lastTaken(ram: Ram, start: u32, end: u32): u32 {
  let at = end;
  while (at > start) {
    const order = freeOrderAt(ram, at - 1);
    if (order == NOT_FREE) return at - 1;
    at = (at - 1) & ~((1 << order) - 1);
  }
  return end;
}

/** Allocates [start, start + count), which is free. */
function claim(ctx: Context, ram: Ram, start: u32, count: u32): void {
  const end = start + count;
  let at = start;
  while (at < end) {
    const order = freeOrderAt(ram, at);
    const head = at & ~((1 << order) - 1);
    const next = head + (1 << order);
    takeBlockAt(ram, head, order);
    const last = min(next, end);
    for (let pfn = at; pfn < last; ++pfn) {
      const state = stateOf(ram, pfn);
      if ((load<u8>(state) & STATE_CONTENT) != 0) contentsDrop(ctx, ram, pfn);
      store<u8>(state, STATE_USED | STATE_KEPT);
    }
    if (next > last) freeRange(ram, last, next);
    if (head < at) freeRange(ram, head, at);
    at = last;
  }
}

/**
 * Allocates the frames [start, start + count).
 * @returns false, and nothing is changed, when one of them is not free or is no RAM
 */
export function rangeReserve(ctx: Context, start: u32, count: u32): bool {
  if (shouldFail(ctx, FAULT_RAM)) return false;
  const ram = ramOf(ctx);
  const end = start + count;
  if (count == 0 || end < start || !isRam(ram, start) || !isRam(ram, end - 1)) return false;
  if (start < HIGH_START && end > HIGH_START) return false;
  lock(ramOf(ctx));
  const free = lastTaken(ram, start, end) == end;
  if (free) claim(ctx, ram, start, count);
  unlock(ramOf(ctx));
  return free;
}

/**
 * Takes a block of 2^order frames, aligned to its size, that ends at or below a pfn: what ZONE_DMA is for.
 * @returns its first pfn, or 0
 */
export function blockBelow(ctx: Context, order: u32, end: u32): u32 {
  if (shouldFail(ctx, FAULT_RAM)) return 0;
  const ram = ramOf(ctx);
  const count: u32 = 1 << order;
  let found: u32 = 0;
  lock(ramOf(ctx));
  for (let at = end & ~(count - 1); at > count && found == 0; at -= count) {
    const start = at - count;
    if (!isRam(ram, start) || !isRam(ram, at - 1) || lastTaken(ram, start, at) != at) continue;
    claim(ctx, ram, start, count);
    for (let pfn = start; pfn < at; ++pfn) store<u8>(stateOf(ram, pfn), STATE_USED);
    found = start;
  }
  unlock(ramOf(ctx));
  return found;
}

/**
 * Takes `count` neighbouring frames below 4 GiB, as high as they are free (memblock allocates from the top down).
 * @returns the first pfn, or 0
 */
export function rangeAllocLow(ctx: Context, count: u32): u32 {
  if (count == 0 || shouldFail(ctx, FAULT_RAM)) return 0;
  const ram = ramOf(ctx);
  lock(ramOf(ctx));
  let end = ram.lowEnd;
  let start: u32 = 0;
  while (end > count) {
    const taken = lastTaken(ram, end - count, end);
    if (taken == end) {
      start = end - count;
      claim(ctx, ram, start, count);
      break;
    }
    end = taken;
  }
  unlock(ramOf(ctx));
  return start;
}

/** Frees frames of rangeReserve or rangeAllocLow. */
export function rangeFree(ctx: Context, start: u32, count: u32): void {
  const ram = ramOf(ctx);
  lock(ramOf(ctx));
  for (let pfn = start; pfn < start + count; ++pfn) {
    const state = stateOf(ram, pfn);
    assert((load<u8>(state) & STATE_USED) != 0);
    store<u8>(state, load<u8>(state) & STATE_CONTENT);
  }
  freeRange(ram, start, start + count);
  unlock(ramOf(ctx));
}
