// Lazy unmapping of intel-iommu.c in 2015: one list per machine of ranges that are unmapped but not flushed. The 251st range
// flushes the list first; otherwise a timer does, 10 ms after the first range was added. A flush invalidates the whole IOTLB
// once. A range is freed by its first pfn: after a double unmap it is freed twice, and the second time frees the mapping that
// has the range by then.

import { blockAlloc, blockOrder } from '../memory/block';
import { TIMER_DEFERRED_LIST, timerAdd, timerAfter } from '../memory/clock';
import { Context } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { IovaDomain } from '../iova/iova-domain';
import { iovaFree } from '../iova/iova';
import { addressOf, fieldOf, recordAt } from '../memory/record';
import { iotlbFlushGlobal } from './iotlb';
import { unitIn } from './unit';

/** HIGH_WATER_MARK of intel-iommu.c. */
const HIGH_WATER_MARK: u32 = 250;
/** Nanoseconds from the first range on the list to the flush. */
const TIMEOUT: u64 = 10_000_000;

// @ts-ignore: decorator
@unmanaged
export class DeferredList {
  guard: u64;
  count: u32;
  timerOn: u32;
  flushes: u32;
  pad: u32;
}

// @ts-ignore: decorator
@unmanaged
class DeferredRange {
  pfn: u64;
  space: IovaDomain;
  pad: u32;
}

const HEADER: usize = 32;
const RANGE_SIZE: usize = offsetof<DeferredRange>();

// @ts-ignore: decorator
@inline
function rangeAt(list: DeferredList, i: u32): DeferredRange {
  return recordAt<DeferredRange>(fieldOf(list, HEADER), i);
}

/** Adds a range to the list, which is allocated with the first one. Without memory for list or timer the range is freed at once. */
export function deferredAdd(ctx: Context, space: IovaDomain, pfn: u64): void {
  const unit = unitIn(ctx)!;
  if (unit.deferred == null) {
    const at = blockAlloc(ctx, blockOrder(HEADER + <usize>HIGH_WATER_MARK * RANGE_SIZE));
    if (at == 0) {
      iotlbFlushGlobal(ctx);
      iovaFree(space, pfn);
      return;
    }
    memory.fill(at, 0, HEADER);
    unit.deferred = changetype<DeferredList>(at);
  }
  const list = unit.deferred!;
  lock(list);
  if (list.count == HIGH_WATER_MARK) flushList(ctx, list);
  const range = rangeAt(list, list.count);
  range.pfn = pfn;
  range.space = space;
  ++list.count;
  if (list.timerOn == 0) {
    list.timerOn = <u32>timerAdd(ctx, TIMER_DEFERRED_LIST, addressOf(list), timerAfter(ctx, TIMEOUT));
    if (list.timerOn == 0) flushList(ctx, list);
  }
  unlock(list);
}

/** The timer's work (flush_unmaps_timeout). */
export function deferredTimeout(ctx: Context): void {
  unitIn(ctx)!.deferred!.timerOn = 0;
  deferredFlush(ctx);
}

/** Flushes the IOTLB and frees every range on the list (flush_unmaps). */
export function deferredFlush(ctx: Context): void {
  const unit = unitIn(ctx);
  if (unit == null || unit.deferred == null) return;
  const list = unit.deferred!;
  lock(list);
  flushList(ctx, list);
  unlock(list);
}

function flushList(ctx: Context, list: DeferredList): void {
  if (list.count == 0) return;
  iotlbFlushGlobal(ctx);
  ++list.flushes;
  const first = fieldOf(list, HEADER);
  const end = first + <usize>list.count * RANGE_SIZE;
  list.count = 0;
  for (let at = first; at < end; at += RANGE_SIZE) {
    const range = changetype<DeferredRange>(at);
    iovaFree(range.space, range.pfn);
  }
}

/** Ranges on the list. */
export function deferredPending(ctx: Context): u32 {
  const unit = unitIn(ctx);
  return unit == null || unit.deferred == null ? 0 : unit.deferred!.count;
}
