// Active cachelines: the number of live mappings that begin in each (active_cacheline_insert). Only the first cacheline of an
// entry is tracked, only for mappings that the device may write, and up to eight mappings per line.
//
// The kernel's key is pfn * 64 + offset / 64. The first line of a frame, where nearly all mappings begin, has a byte in a table
// by frame. All other lines are in an open-addressed table of words
//
//   63                               8 7        0
//   | cacheline + 1                    | count 1-8 |      0 is a free slot

import { blockAllocZeroed, blockFree, blockOrder } from '../../memory/block';
import { FAULT_DMA_DEBUG } from '../../memory/context';
import { shouldFail } from '../../memory/fault';
import { HIGH_SHIFT } from '../../ram/ram';
import { Entry, TYPE_COHERENT, typeIn } from './entry';
import { DEBUG_COHERENT_QUIRK, DebugState } from './state';

/** Most mappings that are counted per cacheline: one and ACTIVE_CACHELINE_MAX_OVERLAP (7). */
export const LINE_MAX: u32 = 8;

export const LINE_FRESH: u32 = 0; // the line was not active
export const LINE_ACTIVE: u32 = 1; // it was
export const LINE_OVERFLOW: u32 = 2; // it was, and the count is at its limit
export const LINE_ENOMEM: u32 = 3;

/** In 4.2 the key of a coherent entry differs from that of any page. */
const COHERENT_LINE: u64 = 1 << 50;

const FIRST_LINES: usize = 512;

/** Key of an entry's first cacheline. */
// @ts-ignore: decorator
@inline
export function lineOf(state: DebugState, entry: Entry): u64 {
  const line = entry.phys >> 6;
  const quirk = typeIn(entry.kind) == TYPE_COHERENT && (state.flags & DEBUG_COHERENT_QUIRK) != 0;
  return quirk ? line | COHERENT_LINE : line;
}

/** The byte of a frame's first cacheline, 0 when the line has none. The next byte counts our mappings of the frame. */
// @ts-ignore: decorator
@inline
export function frameSlot(state: DebugState, line: u64): usize {
  return (line & 63) != 0 ? 0 : pageSlot(state, line >> 6);
}

// @ts-ignore: decorator
@inline
export function pageSlot(state: DebugState, pfn: u64): usize {
  if (pfn < <u64>state.lowEnd) return state.frames + (<usize>pfn << 1);
  if (pfn >> HIGH_SHIFT == 0 || pfn >= <u64>state.highEnd) return 0;
  return state.highFrames + (<usize>pfn << 1);
}

// A mapping raises the two counts of a frame by one store, by `lines` (0 or 1) and `counted` (0 or 0x100), if its first
// cacheline is the frame's first and not active. pairFree tells whether the store is possible, pairSound whether it can be
// undone by one store: both are 0 when a count is at its limit, or was changed otherwise and must be handled alone.

// @ts-ignore: decorator
@inline
export function pairFree(counts: u32, lines: u32, counted: u32): u32 {
  return <u32>((counts & (0 - lines) & 0xff) == 0) & <u32>(counts < 0x10000 - counted);
}

// @ts-ignore: decorator
@inline
export function pairSound(counts: u32, lines: u32, counted: u32): u32 {
  return <u32>((counts & 0xff) >= lines) & <u32>(counts - counted < 0x10000 - (counted << 1));
}

// @ts-ignore: decorator
@inline
function home(state: DebugState, line: u64): u32 {
  return <u32>((line * 0x9e3779b97f4a7c15) >> 40) & state.lineMask;
}

function find(state: DebugState, line: u64): usize {
  let i = home(state, line);
  const key = (line + 1) << 8;
  do {
    const slot = state.lines + (<usize>i << 3);
    const word = load<u64>(slot);
    if (word == 0 || (word & ~0xff) == key) return slot;
    i = (i + 1) & state.lineMask;
  } while (true);
}

/** One more mapping begins in the cacheline. Returns LINE_*. */
export function lineInsert(state: DebugState, line: u64): u32 {
  const frame = frameSlot(state, line);
  if (frame != 0) {
    const count = load<u8>(frame);
    if (count == 0) {
      store<u8>(frame, 1);
      return LINE_FRESH;
    }
    if (count == <u8>LINE_MAX) return LINE_OVERFLOW;
    store<u8>(frame, count + 1);
    return LINE_ACTIVE;
  }
  if (state.lineCount * 2 >= state.lineMask && !resize(state)) return LINE_ENOMEM;
  const slot = find(state, line);
  const word = load<u64>(slot);
  if (word == 0) {
    store<u64>(slot, ((line + 1) << 8) | 1);
    ++state.lineCount;
    return LINE_FRESH;
  }
  if ((word & 0xff) == <u64>LINE_MAX) return LINE_OVERFLOW;
  store<u64>(slot, word + 1);
  return LINE_ACTIVE;
}

/** One mapping less begins in the cacheline. A count of 0, which an overflow can leave, stays 0. */
export function lineRemove(state: DebugState, line: u64): void {
  const frame = frameSlot(state, line);
  if (frame != 0) {
    const count = load<u8>(frame);
    if (count != 0) store<u8>(frame, count - 1);
    return;
  }
  if (state.lines == 0) return;
  let slot = find(state, line);
  const word = load<u64>(slot);
  if (word == 0) return;
  if ((word & 0xff) > 1) {
    store<u64>(slot, word - 1);
    return;
  }
  --state.lineCount;
  // Backward shift: entries that were displaced past this slot move up, so that no lookup stops at a gap.
  let hole = <u32>((slot - state.lines) >> 3);
  let i = hole;
  do {
    i = (i + 1) & state.lineMask;
    const other = load<u64>(state.lines + (<usize>i << 3));
    if (other == 0) break;
    const wants = home(state, (other >> 8) - 1);
    if (((i - wants) & state.lineMask) < ((i - hole) & state.lineMask)) continue;
    store<u64>(state.lines + (<usize>hole << 3), other);
    hole = i;
  } while (true);
  slot = state.lines + (<usize>hole << 3);
  store<u64>(slot, 0);
}

/** Live mappings that begin in the cacheline, 0 to 8. */
export function lineCount(state: DebugState, line: u64): u32 {
  const frame = frameSlot(state, line);
  if (frame != 0) return load<u8>(frame);
  return state.lines == 0 ? 0 : <u32>(load<u64>(find(state, line)) & 0xff);
}

function resize(state: DebugState): bool {
  const ctx = state.ctx;
  const old = state.lines;
  const count: usize = old == 0 ? 0 : <usize>state.lineMask + 1;
  const want = max<usize>(count * 2, FIRST_LINES);
  if (shouldFail(ctx, FAULT_DMA_DEBUG)) return false;
  const fresh = blockAllocZeroed(ctx, blockOrder(want << 3));
  if (fresh == 0) return false;
  state.lines = fresh;
  state.lineMask = <u32>want - 1;
  for (let i: usize = 0; i < count; ++i) {
    const word = load<u64>(old + (i << 3));
    if (word != 0) store<u64>(find(state, (word >> 8) - 1), word);
  }
  if (old != 0) blockFree(ctx, old);
  return true;
}
