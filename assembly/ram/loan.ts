// Frames on loan: in use, while their states still are STACK. Frames that a caller takes from a stack stay in its vector above the
// top. When the same frames are freed in the same order, as those of an object are, the top moves up over them again. The two rows
// of pfns are compared then, and no state is written: the state bytes of scattered frames would be the largest cost.
//
//   0                      pageCount                      loanEnd
//   | wait on the stack     | on loan, as they were taken  | anything
//
// Objects seldom go in the reverse of the order in which they came. So that the last one need not be the first to
// return, a row is also looked for at some multiples of its length above the top, and changes places with the row there.
//
// A caller that kept a ticket of the row need not compare, if nothing else has changed.
//
// Code that reads states calls loansSettle first, which writes USED for all frames on loan. This is also needed before other frames
// are put on a stack, since they would overwrite the row, and before a frame gets contents. Frames on loan have no contents.

import { Context, cpuAt, cpuOf } from '../memory/context';
import { Cpu } from '../memory/cpu';
import { lock, unlock } from '../memory/lock';
import { FLIP, flip } from './flip';
import { Ram, STATE_STACK, STATE_USED, frameState, ramOf, stateOf } from './ram';

/** Frames that move at a time at most: more of them are several rows. */
export const ROW_MOST: u32 = 2048;
/** How many rows above the top are looked at for one that comes back. */
const ROWS: u32 = 64;
/** Rows shorter than this are looked for at the top only. */
const ROW_LEAST: u32 = 16;

/** Writes down that all frames on loan are in use. The caller holds the lock. */
// @ts-ignore: decorator
@inline
export function loansSettle(ctx: Context, ram: Ram): void {
  if (ram.onLoan != 0) settle(ctx, ram);
}

function settle(ctx: Context, ram: Ram): void {
  for (let i: u32 = 0; i < ctx.cpuCount; ++i) stackSettle(ram, cpuAt(ctx, i));
}

/** The same for the frames of one stack, which is about to change. */
export function stackSettle(ram: Ram, cpu: Cpu): void {
  const n = cpu.loanEnd - cpu.pageCount;
  if (n == 0) return;
  const from = cpu.pages + (<usize>cpu.pageCount << 2);
  if (flip(ram, from, n) == 0) flipAnywhere(ram, from, n);
  topSet(cpu, cpu.pageCount);
  ram.onLoan -= n;
}

/** Sets where a stack ends that has no frames on loan. */
// @ts-ignore: decorator
@inline
export function topSet(cpu: Cpu, count: u32): void {
  cpu.pageCount = count;
  cpu.loanEnd = count;
  ++cpu.stackChanges;
}

/** Whether a frame of RAM is in use, for those who do not ask it of every page. */
export function frameInUse(ctx: Context, pfn: u32): bool {
  const ram = ramOf(ctx);
  lock(ramOf(ctx));
  if ((frameState(ram, pfn) & STATE_STACK) != 0) loansSettle(ctx, ram);
  const used = (frameState(ram, pfn) & STATE_USED) != 0;
  unlock(ramOf(ctx));
  return used;
}

/** Some frame that waits on a stack was given contents: a device still reaches it. */
export function stacksSoil(ctx: Context): void {
  for (let i: u32 = 0; i < ctx.cpuCount; ++i) {
    const cpu = cpuAt(ctx, i);
    cpu.soiled = cpu.pageCount;
  }
}

/** flip for frames of both zones. */
export function flipAnywhere(ram: Ram, from: usize, n: u32): void {
  for (let at = from, end = from + (<usize>n << 2); at < end; at += 4) {
    const state = stateOf(ram, load<u32>(at));
    store<u8>(state, load<u8>(state) ^ FLIP);
  }
}

/** Takes the top n frames of a stack, none of which has contents, on loan. */
// @ts-ignore: decorator
@inline
export function lend(ram: Ram, cpu: Cpu, n: u32): void {
  cpu.pageCount -= n;
  ram.onLoan += n;
}

/** Puts n frames back on the stack that they are on loan from. Returns false where they are not, or no longer in order. */
export function takeBack(ram: Ram, cpu: Cpu, from: usize, n: u32): bool {
  const top = cpu.pages + (<usize>cpu.pageCount << 2);
  const bytes = <usize>n << 2;
  const last = cpu.pages + (<usize>cpu.loanEnd << 2) - bytes;
  let row = top;
  if (row > last) return false;
  const first = load<u32>(from);
  if (load<u32>(row) != first) {
    if (n < ROW_LEAST) return false;
    const stop = min(last, top + bytes * <usize>(ROWS - 1));
    do {
      row += bytes;
      if (row > stop) return false;
    } while (load<u32>(row) != first);
  }
  if (!same(row, from, n)) return false;
  if (row != top) {
    memory.copy(row, top, bytes);
    memory.copy(top, from, bytes);
    ++cpu.stackChanges;
  }
  cpu.pageCount += n;
  ram.onLoan -= n;
  return true;
}

/**
 * For the n frames that this CPU handed out last: what loanReturn needs to find them again.
 * @returns their place in the stack, and the stack's changes << 32; 0 when they are not on loan as one row
 */
export function loanTicket(ctx: Context, n: u32): u64 {
  const cpu = cpuOf(ctx);
  if (n > ROW_MOST || cpu.loanEnd - cpu.pageCount < n) return 0;
  return (<u64>cpu.stackChanges << 32) | (cpu.pages + (<usize>cpu.pageCount << 2));
}

/** Puts n frames back where loanTicket said they lie. Returns false where that cannot be known without looking. */
export function loanReturn(ctx: Context, ticket: u64, n: u32): bool {
  const cpu = cpuOf(ctx);
  lock(ramOf(ctx));
  const row = cpu.pages + (<usize>cpu.pageCount << 2);
  const there = ticket == ((<u64>cpu.stackChanges << 32) | row) && cpu.loanEnd - cpu.pageCount >= n;
  if (there) {
    const ram = ramOf(ctx);
    cpu.pageCount += n;
    ram.onLoan -= n;
    ram.stacked += n;
  }
  unlock(ramOf(ctx));
  return there;
}

/** Whether two rows of pfns are the same. */
function same(a: usize, b: usize, n: u32): bool {
  let differ = i32x4.splat(0);
  const end = a + (<usize>n << 2);
  for (const stop = a + ((<usize>n & ~15) << 2); a < stop; a += 64, b += 64) {
    const low = v128.or(v128.xor(v128.load(a), v128.load(b)), v128.xor(v128.load(a, 16), v128.load(b, 16)));
    const high = v128.or(v128.xor(v128.load(a, 32), v128.load(b, 32)), v128.xor(v128.load(a, 48), v128.load(b, 48)));
    differ = v128.or(differ, v128.or(low, high));
  }
  if (v128.any_true(differ)) return false;
  for (; a < end; a += 4, b += 4) {
    if (load<u32>(a) != load<u32>(b)) return false;
  }
  return true;
}
