// Checks when a driver is unbound (dma_debug_device_change), and when the CPU writes to a page (debug_dma_assert_idle, 2015).

import { DmaDevice } from '../../device/device';
import { Context } from '../../memory/context';
import { lineCount, lineOf } from '../entries/cacheline';
import { HASH_SHIFT, entryLose, firstEntry, nextEntry } from '../entries/chains';
import { ENTRY_LINE, Entry, isOwn } from '../entries/entry';
import { Payload, payload, report, reportOwn } from '../entries/log';
import { DEBUG_ASSERTS_IDLE, DEBUG_KERNEL, DEBUG_OWN, DebugState, debugOf } from '../entries/state';
import { Cacheline } from './map';

export const CHECK_CPU_TOUCH: u32 = 23;
export const CHECK_LEAK_ON_UNBIND: u32 = 24;

/** Mappings that the device still holds. */
// @ts-ignore: decorator
@unmanaged
export class LeakCount extends Payload {
  count: u32;
}

/**
 * The driver of a device was unbound: one report with the number of live mappings and one of them, the last in the order of
 * the kernel's buckets. Links are not counted.
 * @returns how many mappings
 */
export function driverUnbound(state: DebugState, dev: DmaDevice): u32 {
  let count: u32 = 0;
  let example: Entry | null = null;
  let bucket: u64 = 0;
  for (let entry = firstEntry(state); entry != null; entry = nextEntry(state, entry!)) {
    if (entry.device != dev || isOwn(entry)) continue;
    entryLose(state, entry);
    ++count;
    const mine = (entry.address >> HASH_SHIFT) & <u64>(state.kernelBuckets - 1);
    const later = example == null || mine > bucket
      || (mine == bucket && <i32>(entry.sequence - example.sequence) > 0);
    if (later) {
      example = entry;
      bucket = mine;
    }
  }
  if (count != 0) {
    const entry = example!;
    const told = payload<LeakCount>(state);
    told.count = count;
    report(state, CHECK_LEAK_ON_UNBIND, dev, entry, entry.address, entry.size, told);
  }
  return count;
}

/** The CPU writes to a page (debug_dma_assert_idle, 2015): no active cacheline may lie in it. */
export function debugCpuTouch(ctx: Context, pfn: u32): void {
  const state = debugOf(ctx);
  if (state == null || (state.flags & (DEBUG_KERNEL | DEBUG_OWN)) == 0) return;
  for (let line = <u64>pfn << 6; line < (<u64>pfn + 1) << 6; ++line) {
    if (lineCount(state, line) == 0) continue;
    for (let entry = firstEntry(state); entry != null; entry = nextEntry(state, entry!)) {
      if ((entry.flags & ENTRY_LINE) == 0 || lineOf(state, entry) != line) continue;
      const told = payload<Cacheline>(state);
      told.cacheline = line;
      if ((state.flags & DEBUG_ASSERTS_IDLE) != 0) {
        report(state, CHECK_CPU_TOUCH, entry.device, entry, entry.address, entry.size, told);
      } else if ((state.flags & DEBUG_OWN) != 0) {
        reportOwn(state, CHECK_CPU_TOUCH, entry.device, entry, entry.address, entry.size, told);
      }
      return;
    }
    return;
  }
}
