// Allocation of frames. Each CPU has a stack of free single frames; n of them are allocated by one copy of the top n entries, so that
// runs of neighbours stay in ascending order. An empty stack is refilled from a 4 MiB block. The fastest case writes one word per
// frame (loan.ts), the next one also the state byte.

import { ENOMEM } from '../memory/errno';
import { blockAlloc, blockOrder } from '../memory/block';
import { Context, FAULT_RAM, cpuAt, cpuOf } from '../memory/context';
import { Cpu } from '../memory/cpu';
import { shouldFail } from '../memory/fault';
import { lock, unlock } from '../memory/lock';
import { freeBlock, takeBlock } from './buddy';
import { contentsDrop } from './contents';
import { FLIP, FLIPPED_ALL_USED, FLIPPED_CONTENT, flip } from './flip';
import { ROW_MOST, flipAnywhere, lend, loansSettle, stackSettle, takeBack, topSet } from './loan';
import {
  MAX_ORDER, Ram, STATE_CONTENT, STATE_KEPT, STATE_STACK, STATE_USED, ZONE_DMA32, ZONE_NORMAL, frameState, isFrame, isRam,
  ramOf, ramRandom, stateOf,
} from './ram';

/**
 * Frames that a CPU's stack has room for: all of a small machine, 1 GiB of a large one. To free a frame to the buddy lists costs ten
 * times as much, so the stack should hold what a driver frees at once. An allocation of a block drains the stacks first.
 */
const STACK_LEAST: u32 = 2 * ROW_MOST;
const STACK_MOST: u32 = 0x40000;

// @ts-ignore: decorator
@inline
function stackFrames(ram: Ram): u32 {
  return min(max(ram.frames, STACK_LEAST), STACK_MOST);
}

/**
 * Allocates n single frames and writes their pfns to dest (u32 each): all of them or none. The frames read as zeros.
 * @returns 0 or -ENOMEM
 */
export function pagesAlloc(ctx: Context, n: u32, dest: usize): i32 {
  if (shouldFail(ctx, FAULT_RAM)) return ENOMEM;
  const ram = ramOf(ctx);
  lock(ramOf(ctx));
  let done: u32 = 0;
  while (done < n) {
    const cpu = cpuOf(ctx);
    const want = min(n - done, ROW_MOST);
    if (cpu.pageCount < want && !refill(ctx, ram, cpu, want)) {
      unlock(ramOf(ctx));
      pagesFree(ctx, done, dest);
      return ENOMEM;
    }
    const left = cpu.pageCount - want;
    const at = dest + (<usize>done << 2);
    memory.copy(at, cpu.pages + (<usize>left << 2), <usize>want << 2);
    ram.stacked -= want;
    if (left >= cpu.soiled) lend(ram, cpu, want);
    else {
      stackSettle(ram, cpu);
      claim(ctx, ram, at, want);
      topSet(cpu, left);
      cpu.soiled = left;
    }
    done += want;
  }
  unlock(ramOf(ctx));
  return 0;
}

function claim(ctx: Context, ram: Ram, from: usize, n: u32): void {
  const flipped = flip(ram, from, n);
  if (flipped == 0) flipAnywhere(ram, from, n);
  else if ((flipped & FLIPPED_CONTENT) == 0) return;
  for (let at = from, end = from + (<usize>n << 2); at < end; at += 4) {
    if ((load<u8>(stateOf(ram, load<u32>(at))) & STATE_CONTENT) != 0) contentsDrop(ctx, ram, load<u32>(at));
  }
}

/** Moves those of n frames that are in use to a stack that has room for them. Returns how many were. */
function release(ctx: Context, ram: Ram, cpu: Cpu, from: usize, n: u32): u32 {
  const top = cpu.pages + (<usize>cpu.pageCount << 2);
  let flipped = flip(ram, from, n);
  if ((flipped & FLIPPED_ALL_USED) == 0 && ram.onLoan != 0) {
    // Some may be on loan from another CPU's stack.
    if (flipped != 0) flip(ram, from, n);
    loansSettle(ctx, ram);
    flipped = flip(ram, from, n);
  }
  let count = n;
  let soiled = (flipped & FLIPPED_CONTENT) != 0;
  if ((flipped & FLIPPED_ALL_USED) != 0) memory.copy(top, from, <usize>n << 2);
  else {
    // Some frame was not in use, or is listed twice: a second flip undoes the first, then frames are freed one by one.
    if (flipped != 0) flip(ram, from, n);
    count = releaseEach(ram, from, n, top);
    soiled = true;
  }
  topSet(cpu, cpu.pageCount + count);
  if (soiled) cpu.soiled = cpu.pageCount;
  return count;
}

function releaseEach(ram: Ram, from: usize, n: u32, top: usize): u32 {
  let count: u32 = 0;
  for (let i: u32 = 0; i < n; ++i) {
    const pfn = load<u32>(from + (<usize>i << 2));
    if (!isFrame(ram, pfn)) continue;
    const state = stateOf(ram, pfn);
    const was = load<u8>(state);
    if ((was & STATE_USED) == 0) continue;
    store<u8>(state, was ^ FLIP);
    store<u32>(top + (<usize>count << 2), pfn);
    ++count;
  }
  return count;
}

/**
 * Frees n single frames. Their contents stay readable until they are allocated again. A frame that is not in use (a double free) is
 * skipped.
 * @returns frames that were freed
 */
export function pagesFree(ctx: Context, n: u32, src: usize): u32 {
  const ram = ramOf(ctx);
  lock(ramOf(ctx));
  let freed: u32 = 0;
  let done: u32 = 0;
  while (done < n) {
    const cpu = cpuOf(ctx);
    const part = min(n - done, ROW_MOST);
    if (cpu.pages == 0 && !stackCreate(ctx, ram, cpu)) break;
    const from = src + (<usize>done << 2);
    let count = part;
    if (!takeBack(ram, cpu, from, part)) {
      stackSettle(ram, cpu);
      if (cpu.pageCount + part > stackFrames(ram)) drain(ram, cpu, stackFrames(ram) >> 1);
      count = release(ctx, ram, cpu, from, part);
    }
    ram.stacked += count;
    freed += count;
    done += part;
  }
  unlock(ramOf(ctx));
  return freed;
}

/**
 * Allocates a block of 2^order frames, aligned to its size.
 * @param zone ZONE_DMA32: below 4 GiB; ZONE_NORMAL: anywhere, above 4 GiB first
 * @returns the first pfn, or 0
 */
export function blockOfPagesAlloc(ctx: Context, order: u32, zone: u32): u32 {
  if (order > MAX_ORDER || shouldFail(ctx, FAULT_RAM)) return 0;
  const ram = ramOf(ctx);
  lock(ramOf(ctx));
  let pfn = takeFrom(ram, zone, order);
  if (pfn == 0) {
    // Frames on the stacks may be missing for a block.
    drainAll(ctx, ram);
    pfn = takeFrom(ram, zone, order);
  }
  if (pfn != 0) {
    for (let i: u32 = 0; i < <u32>(1 << order); ++i) {
      const state = stateOf(ram, pfn + i);
      if ((load<u8>(state) & STATE_CONTENT) != 0) contentsDrop(ctx, ram, pfn + i);
      store<u8>(state, STATE_USED);
    }
  }
  unlock(ramOf(ctx));
  return pfn;
}

/** Frees a block of blockOfPagesAlloc. Returns false if one of its frames is not in use, or it is not a block. */
export function blockOfPagesFree(ctx: Context, pfn: u32, order: u32): bool {
  const ram = ramOf(ctx);
  const count: u32 = 1 << order;
  if (order > MAX_ORDER || (pfn & (count - 1)) != 0) return false;
  if (!isFrame(ram, pfn) || !isFrame(ram, pfn + count - 1)) return false;
  lock(ramOf(ctx));
  for (let i: u32 = 0; i < count; ++i) {
    const state = stateOf(ram, pfn + i);
    if ((load<u8>(state) & (STATE_USED | STATE_KEPT)) == STATE_USED) continue;
    loansSettle(ctx, ram);
    if ((load<u8>(state) & (STATE_USED | STATE_KEPT)) == STATE_USED) continue;
    unlock(ramOf(ctx));
    return false;
  }
  for (let i: u32 = 0; i < count; ++i) {
    const state = stateOf(ram, pfn + i);
    store<u8>(state, load<u8>(state) & STATE_CONTENT);
  }
  freeBlock(ram, pfn, order);
  unlock(ramOf(ctx));
  return true;
}

function takeFrom(ram: Ram, zone: u32, order: u32): u32 {
  const pfn = zone == ZONE_NORMAL ? takeBlock(ram, ZONE_NORMAL, order) : 0;
  return pfn != 0 ? pfn : takeBlock(ram, ZONE_DMA32, order);
}

function stackCreate(ctx: Context, ram: Ram, cpu: Cpu): bool {
  cpu.pages = blockAlloc(ctx, blockOrder(<usize>stackFrames(ram) << 2));
  return cpu.pages != 0;
}

/** Refills the stack to at least `want` frames, from the largest free blocks. */
function refill(ctx: Context, ram: Ram, cpu: Cpu, want: u32): bool {
  if (cpu.pages == 0 && !stackCreate(ctx, ram, cpu)) return false;
  stackSettle(ram, cpu);
  let drained = false;
  while (cpu.pageCount < want) {
    let order: u32 = MAX_ORDER;
    let pfn: u32 = 0;
    for (;;) {
      pfn = takeFrom(ram, ZONE_NORMAL, order);
      if (pfn != 0 || order == 0) break;
      --order;
    }
    if (pfn == 0) {
      // The buddy lists are empty: the last free frames are on other CPUs' stacks.
      if (drained) return false;
      drained = true;
      const mine = cpu.pageCount;
      drainOthers(ctx, ram, cpu);
      if (ram.free == 0 && cpu.pageCount == mine) return false;
      continue;
    }
    stackBlock(ram, cpu, pfn, order);
  }
  return true;
}

function stackBlock(ram: Ram, cpu: Cpu, pfn: u32, order: u32): void {
  const count: u32 = 1 << order;
  const mask = count - 1;
  // Any odd step reaches all frames of the block; step 1 from 0 is the ascending order.
  let step: u32 = 1;
  let first: u32 = 0;
  let skip: u32 = 0;
  if (ram.fragmentation != 0 && (ramRandom(ram) & 0xffff) < ram.fragmentation) {
    const random = ramRandom(ram);
    step = ((random >> 16) | 0x21) & mask;
    step = step > 1 ? step : 1;
    first = random & mask;
    if (order == MAX_ORDER) skip = 1;
  }
  let soiled: u8 = 0;
  let at = cpu.pages + (<usize>cpu.pageCount << 2);
  for (let i = skip; i < count; ++i) {
    const frame = pfn + ((first + i * step) & mask);
    const state = stateOf(ram, frame);
    const content = load<u8>(state) & STATE_CONTENT;
    store<u8>(state, content | STATE_STACK);
    soiled |= content;
    store<u32>(at, frame);
    at += 4;
  }
  if (skip != 0) {
    const state = stateOf(ram, pfn + first);
    store<u8>(state, (load<u8>(state) & STATE_CONTENT) | STATE_USED | STATE_KEPT);
    ++ram.held;
  }
  topSet(cpu, cpu.pageCount + count - skip);
  if (soiled != 0) cpu.soiled = cpu.pageCount;
  ram.stacked += count - skip;
}

/** Moves the oldest n frames of a stack to the buddy lists. None of it is on loan. */
function drain(ram: Ram, cpu: Cpu, n: u32): void {
  n = min(n, cpu.pageCount);
  for (let i: u32 = 0; i < n; ++i) {
    const pfn = load<u32>(cpu.pages + (<usize>i << 2));
    const state = stateOf(ram, pfn);
    store<u8>(state, load<u8>(state) & STATE_CONTENT);
    freeBlock(ram, pfn, 0);
  }
  memory.copy(cpu.pages, cpu.pages + (<usize>n << 2), <usize>(cpu.pageCount - n) << 2);
  topSet(cpu, cpu.pageCount - n);
  cpu.soiled -= min(cpu.soiled, n);
  ram.stacked -= n;
}

function drainAll(ctx: Context, ram: Ram): void {
  loansSettle(ctx, ram);
  for (let i: u32 = 0; i < ctx.cpuCount; ++i) {
    const cpu = cpuAt(ctx, i);
    drain(ram, cpu, cpu.pageCount);
  }
}

function drainOthers(ctx: Context, ram: Ram, mine: Cpu): void {
  loansSettle(ctx, ram);
  for (let i: u32 = 0; i < ctx.cpuCount; ++i) {
    const cpu = cpuAt(ctx, i);
    if (cpu != mine) drain(ram, cpu, cpu.pageCount);
  }
}

/** Frees all frames of the stacks to the buddy lists, where they merge (drain_all_pages). */
export function pagesDrain(ctx: Context): void {
  lock(ramOf(ctx));
  drainAll(ctx, ramOf(ctx));
  unlock(ramOf(ctx));
}

/** Every frame is in use, on one stack, in a free block or firmware's. Returns 0, or 1 + the first pfn that is wrong. */
export function stacksCheck(ctx: Context, ram: Ram): u32 {
  let stacked: u32 = 0;
  let onLoan: u32 = 0;
  for (let i: u32 = 0; i < ctx.cpuCount; ++i) {
    const cpu = cpuAt(ctx, i);
    if (cpu.loanEnd < cpu.pageCount || cpu.soiled > cpu.pageCount) return 1;
    for (let j: u32 = 0; j < cpu.loanEnd; ++j) {
      const pfn = load<u32>(cpu.pages + (<usize>j << 2));
      const clean = j < cpu.soiled ? STATE_CONTENT : 0;
      if (!isRam(ram, pfn) || (frameState(ram, pfn) & ~clean) != STATE_STACK) return 1 + pfn;
    }
    stacked += cpu.pageCount;
    onLoan += cpu.loanEnd - cpu.pageCount;
  }
  let waiting: u32 = 0;
  let used: u32 = 0;
  for (let at = ram.states, end = at + <usize>ram.frames; at < end; ++at) {
    const state = load<u8>(at);
    waiting += <u32>((state & STATE_STACK) != 0);
    used += <u32>((state & STATE_USED) != 0);
  }
  // If a frame were on stacks twice, the two counts would differ.
  const all = stacked == ram.stacked && onLoan == ram.onLoan && waiting == stacked + onLoan;
  return all && used + waiting + ram.free == ram.managed ? 0 : 1;
}
