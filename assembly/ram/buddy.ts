// The buddy lists of RAM. A block of order n is 2^n frames, aligned to its size in pfns; freeing merges it with its
// buddy as long as that is free and whole. Zones are told apart by the pfn, and no block crosses from one to the other.

import { HIGH_START, MAX_ORDER, Ram, STATE_FREE, STATE_ORDER, ZONE_DMA32, ZONE_NORMAL, frameOf, frameState, isFrame, isRam, stateOf } from './ram';

// @ts-ignore: decorator
@inline
function listOf(ram: Ram, zone: u32, order: u32): usize {
  return ram.lists + <usize>((zone * (MAX_ORDER + 1) + order) << 2);
}

// @ts-ignore: decorator
@inline
function linkOf(ram: Ram, pfn: u32): usize {
  return ram.links + (<usize>frameOf(ram, pfn) << 3);
}

// The contents bit is kept: a freed frame keeps its contents.
// @ts-ignore: decorator
@inline
function setState(ram: Ram, pfn: u32, state: u8): void {
  const at = stateOf(ram, pfn);
  store<u8>(at, (load<u8>(at) & 0x10) | state);
}

function push(ram: Ram, pfn: u32, order: u32): void {
  const head = listOf(ram, pfn < HIGH_START ? ZONE_DMA32 : ZONE_NORMAL, order);
  const next = load<u32>(head);
  const link = linkOf(ram, pfn);
  store<u32>(link, next);
  store<u32>(link, 0, 4);
  if (next != 0) store<u32>(linkOf(ram, next), pfn, 4);
  store<u32>(head, pfn);
  setState(ram, pfn, STATE_FREE | <u8>order);
}

function remove(ram: Ram, pfn: u32, order: u32): void {
  const link = linkOf(ram, pfn);
  const next = load<u32>(link);
  const previous = load<u32>(link, 4);
  if (previous != 0) store<u32>(linkOf(ram, previous), next);
  else store<u32>(listOf(ram, pfn < HIGH_START ? ZONE_DMA32 : ZONE_NORMAL, order), next);
  if (next != 0) store<u32>(linkOf(ram, next), previous, 4);
  setState(ram, pfn, 0);
}

/** Frees a block and merges it with free buddies. Its frames' states are 0 but for the contents bit. */
export function freeBlock(ram: Ram, pfn: u32, order: u32): void {
  ram.free += 1 << order;
  while (order < MAX_ORDER) {
    const buddy = pfn ^ (1 << order);
    if (!isFrame(ram, buddy)) break;
    if ((load<u8>(stateOf(ram, buddy)) & ~0x10) != (STATE_FREE | <u8>order)) break;
    remove(ram, buddy, order);
    pfn &= buddy;
    ++order;
  }
  push(ram, pfn, order);
}

/** Allocates a block of one zone; 0 when there is none. Its frames' states are 0. */
export function takeBlock(ram: Ram, zone: u32, order: u32): u32 {
  for (let from = order; from <= MAX_ORDER; ++from) {
    const pfn = load<u32>(listOf(ram, zone, from));
    if (pfn == 0) continue;
    remove(ram, pfn, from);
    ram.free -= 1 << order;
    while (from > order) {
      --from;
      push(ram, pfn + (1 << from), from);
    }
    return pfn;
  }
  return 0;
}

/** Takes a given free block off its list. Its frames' states are 0 but for the contents bit. */
export function takeBlockAt(ram: Ram, pfn: u32, order: u32): void {
  remove(ram, pfn, order);
  ram.free -= 1 << order;
}

/** Free blocks of an order in both zones (/proc/buddyinfo). */
export function freeBlocks(ram: Ram, order: u32): u32 {
  let count: u32 = 0;
  for (let zone: u32 = 0; zone <= ZONE_NORMAL; ++zone) {
    for (let pfn = load<u32>(listOf(ram, zone, order)); pfn != 0; pfn = load<u32>(linkOf(ram, pfn))) ++count;
  }
  return count;
}

/** Checks the free lists against states and counters. Returns 0, or 1 + the pfn of the block that is wrong. */
export function buddyCheck(ram: Ram): u32 {
  let free: u32 = 0;
  for (let zone: u32 = 0; zone <= ZONE_NORMAL; ++zone) {
    for (let order: u32 = 0; order <= MAX_ORDER; ++order) {
      let previous: u32 = 0;
      for (let pfn = load<u32>(listOf(ram, zone, order)); pfn != 0; pfn = load<u32>(linkOf(ram, pfn))) {
        if (!isRam(ram, pfn) || (pfn & ((1 << order) - 1)) != 0) return 1 + pfn;
        const state = frameState(ram, pfn);
        if ((state & STATE_FREE) == 0 || (state & STATE_ORDER) != <u8>order) return 1 + pfn;
        if (load<u32>(linkOf(ram, pfn), 4) != previous) return 1 + pfn;
        free += 1 << order;
        if (free > ram.managed) return 1 + pfn;
        previous = pfn;
      }
    }
  }
  return free == ram.free ? 0 : 1;
}
