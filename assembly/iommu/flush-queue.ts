// The flush queue of a lazy domain (queue_iova, drivers/iommu/dma-iommu.c): an unmap clears the tables at once; the
// IOTLB is flushed later, once for many unmaps, and the range is not allocated again before. Each CPU has a ring of waiting
// ranges, one place of which is always free:
//
//   head -> | range, pages, counter | ... | <- tail
//
// Two counters tell which ranges a flush covers. The start of a flush increments `started`, its end `finished`. A queued range
// has the value of `started`, and is freed when `finished` is greater. A full ring flushes at once; otherwise a timer does, which
// the first waiting range arms.

import { blockAlloc, blockFree, blockOrder } from '../memory/block';
import { TIMER_FLUSH_QUEUE, timerAdd, timerAfter, timerCancel } from '../memory/clock';
import { Context } from '../memory/context';
import { currentCpu } from '../memory/cpu';
import { lock, unlock } from '../memory/lock';
import { IovaDomain } from '../iova/iova-domain';
import { iovaFreeFast } from '../iova/iova';
import { addressOf, fieldOf } from '../memory/record';
import { IommuDomain } from './domain';
import { iotlbFlushDomain } from './iotlb';

// @ts-ignore: decorator
@unmanaged
export class FlushQueue {
  /** Taken around a flush and around arming the timer; a ring's own guard around its entries. */
  guard: u64;
  ctx: Context;
  /** The domain whose IOTLB entries are flushed, and the allocator that ranges are freed to. */
  iommu: IommuDomain;
  iova: IovaDomain;
  /** Places of a ring less one: a power of two less one. */
  mask: u32;
  started: u32;
  finished: u32;
  timerOn: u32;
  /** Flushes by a full ring and by the timer. */
  fullFlushes: u32;
  timerFlushes: u32;
  timeout: u64;
}

// @ts-ignore: decorator
@unmanaged
class FqRing {
  guard: u64;
  entries: usize; // vector of FqEntry
  head: u32;
  tail: u32;
  /** Ranges queued and freed so far. */
  queued: u32;
  freed: u32;
}

// @ts-ignore: decorator
@unmanaged
class FqEntry {
  pfn: u64;
  pages: u32;
  counter: u32;
}

const ENTRY_SIZE: usize = offsetof<FqEntry>();
const HEADER: usize = 64;
const ENTRIES_MIN: u32 = 2;
const ENTRIES_MAX: u32 = 65536;
// One cache line each, so that two CPUs never write to the same one.
const RING_SIZE: usize = 64;

// @ts-ignore: decorator
@inline
function ringAt(queue: FlushQueue, cpu: u32): FqRing {
  return changetype<FqRing>(fieldOf(queue, HEADER) + <usize>cpu * RING_SIZE);
}

// @ts-ignore: decorator
@inline
function entryAt(ring: FqRing, i: u32): FqEntry {
  return changetype<FqEntry>(ring.entries + <usize>i * ENTRY_SIZE);
}

/**
 * Makes a flush queue with a ring for each CPU.
 * @param entries places of a ring, a power of two, ENTRIES_MIN to ENTRIES_MAX; one of them stays free
 * @param timeout nanoseconds from the first queued range to the flush
 * @returns the queue, or null without memory or for a size that cannot be
 */
export function flushQueueCreate(ctx: Context, iommu: IommuDomain, iova: IovaDomain, entries: u32, timeout: u64): FlushQueue | null {
  if (entries < ENTRIES_MIN || entries > ENTRIES_MAX || (entries & (entries - 1)) != 0) return null;
  const size = HEADER + <usize>ctx.cpuCount * RING_SIZE;
  const at = blockAlloc(ctx, blockOrder(size));
  if (at == 0) return null;
  memory.fill(at, 0, size);
  const queue = changetype<FlushQueue>(at);
  queue.ctx = ctx;
  queue.iommu = iommu;
  queue.iova = iova;
  queue.mask = entries - 1;
  queue.timeout = timeout;
  for (let cpu: u32 = 0; cpu < ctx.cpuCount; ++cpu) {
    const ring = blockAlloc(ctx, blockOrder(<usize>entries * ENTRY_SIZE));
    if (ring == 0) {
      release(ctx, queue);
      return null;
    }
    ringAt(queue, cpu).entries = ring;
  }
  return queue;
}

function release(ctx: Context, queue: FlushQueue): void {
  for (let cpu: u32 = 0; cpu < ctx.cpuCount; ++cpu) {
    const entries = ringAt(queue, cpu).entries;
    if (entries != 0) blockFree(ctx, entries);
  }
  blockFree(ctx, addressOf(queue));
}

/** Flushes all waiting ranges and frees the queue. */
export function flushQueueDestroy(queue: FlushQueue): void {
  const ctx = queue.ctx;
  timerCancel(ctx, TIMER_FLUSH_QUEUE, addressOf(queue));
  flushQueueFlush(queue);
  release(ctx, queue);
}

/** Queues a range whose table entries are gone; it is freed after a flush of the IOTLB. */
export function flushQueueAdd(queue: FlushQueue, pfn: u64, pages: u32): void {
  const ring = ringAt(queue, currentCpu());
  lock(ring);
  // Ranges that a finished flush covers are freed first.
  if (ring.head != ring.tail) drain(queue, ring);
  if (((ring.tail + 1) & queue.mask) == ring.head) {
    flushIotlb(queue, 1, 0);
    drain(queue, ring);
  }
  const entry = entryAt(ring, ring.tail);
  entry.pfn = pfn;
  entry.pages = pages;
  entry.counter = queue.started;
  ring.tail = (ring.tail + 1) & queue.mask;
  ++ring.queued;
  unlock(ring);
  if (queue.timerOn == 0) armTimer(queue);
}

function armTimer(queue: FlushQueue): void {
  const ctx = queue.ctx;
  lock(queue);
  let armed = queue.timerOn != 0;
  if (!armed) armed = timerAdd(ctx, TIMER_FLUSH_QUEUE, addressOf(queue), timerAfter(ctx, queue.timeout));
  queue.timerOn = <u32>armed;
  unlock(queue);
  // Without memory for a timer it flushes at once.
  if (!armed) flushQueueFlush(queue);
}

/** The timer's work (fq_flush_timeout). */
export function flushQueueTimeout(queue: FlushQueue): void {
  queue.timerOn = 0;
  flushAll(queue, 1);
}

/** Flushes the domain's IOTLB entries and frees every range that waits, on all CPUs. */
export function flushQueueFlush(queue: FlushQueue): void {
  flushAll(queue, 0);
}

function flushAll(queue: FlushQueue, byTimer: u32): void {
  flushIotlb(queue, 0, byTimer);
  const cpus = queue.ctx.cpuCount;
  for (let cpu: u32 = 0; cpu < cpus; ++cpu) {
    const ring = ringAt(queue, cpu);
    lock(ring);
    drain(queue, ring);
    unlock(ring);
  }
}

function flushIotlb(queue: FlushQueue, byFullRing: u32, byTimer: u32): void {
  lock(queue);
  queue.fullFlushes += byFullRing;
  queue.timerFlushes += byTimer;
  ++queue.started;
  iotlbFlushDomain(queue.iommu);
  ++queue.finished;
  unlock(queue);
}

/** Frees the ranges of a ring that a finished flush covers. */
function drain(queue: FlushQueue, ring: FqRing): void {
  const finished = queue.finished;
  while (ring.head != ring.tail) {
    const entry = entryAt(ring, ring.head);
    if (<i32>(finished - entry.counter) <= 0) break;
    iovaFreeFast(queue.iova, entry.pfn, entry.pages);
    ++ring.freed;
    ring.head = (ring.head + 1) & queue.mask;
  }
}

/** Ranges that wait, over all CPUs. */
export function flushQueuePending(queue: FlushQueue): u32 {
  let pending: u32 = 0;
  const cpus = queue.ctx.cpuCount;
  for (let cpu: u32 = 0; cpu < cpus; ++cpu) {
    const ring = ringAt(queue, cpu);
    pending += (ring.tail - ring.head) & queue.mask;
  }
  return pending;
}

/** Flushes so far because a ring was full. */
export function flushQueueFullFlushes(queue: FlushQueue): u32 {
  return queue.fullFlushes;
}

/** Flushes so far by the timer. */
export function flushQueueTimerFlushes(queue: FlushQueue): u32 {
  return queue.timerFlushes;
}

/** Rings against counters. Returns 0, or 1 + the CPU whose ring is wrong. */
export function flushQueueCheck(queue: FlushQueue): u32 {
  if (queue.started != queue.finished) return 1;
  const cpus = queue.ctx.cpuCount;
  for (let cpu: u32 = 0; cpu < cpus; ++cpu) {
    const ring = ringAt(queue, cpu);
    if (ring.head > queue.mask || ring.tail > queue.mask) return cpu + 1;
    if (ring.queued - ring.freed != ((ring.tail - ring.head) & queue.mask)) return cpu + 1;
    if (ring.head != ring.tail && queue.timerOn == 0) return cpu + 1;
  }
  return 0;
}
