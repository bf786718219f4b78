// A machine: one context with the state of every subsystem, and its virtual clock.

import { Depot, iovaDepotWork } from './iova/rcache';
import {
  TIMER_ATOMIC_GROW, TIMER_DEFERRED_LIST, TIMER_FLUSH_QUEUE, TIMER_IOVA_DEPOT, TIMER_SWIOTLB_GROW, timerArg, timerCpu, timerDue, timerKind, timerPop,
} from './memory/clock';
import { Context } from './memory/context';
import { cpuGet, cpuSet } from './memory/cpu';
import { contextCreate } from './memory/create';
import { AtomicPools, atomicPoolsGrow } from './dma/atomic';
import { deviceState } from './device/state';
import { ENOMEM, Made } from './memory/errno';
import { deferredTimeout } from './iommu/deferred-list';
import { kmsgState } from './kmsg/kmsg';
import { FlushQueue, flushQueueTimeout } from './iommu/flush-queue';
import { addressOf } from './memory/record';
import { ramCreate } from './ram/create';
import { sgState } from './sg/sg-table';
import { Swiotlb } from './swiotlb/pool';
import { swiotlbGrow } from './swiotlb/pools';

/**
 * Makes a machine at the start of linear memory.
 * @param limitBytes most bytes of linear memory that it may use
 * @param cpus virtual CPUs, 1 to 64
 * @param pages frames of emulated RAM
 * @param fragmentation share of 4 MiB blocks of RAM that are handed out shuffled, 0 to 65536
 * @param seed of the RAM's placement
 * @returns the context's handle, or a negative errno
 */
export function machineCreate(limitBytes: u64, cpus: u32, pages: u32, fragmentation: u32, seed: u32): Made<Context> {
  const ctx = contextCreate(limitBytes, cpus);
  if (ctx == null) return ENOMEM;
  // State that every machine uses is made here, so that a later call that fails leaves no new records.
  if (sgState(ctx) == null || deviceState(ctx) == null || kmsgState(ctx) == null) return ENOMEM;
  const rc = ramCreate(ctx, pages, fragmentation, seed);
  return rc < 0 ? rc : <i32>addressOf(ctx);
}

/** Moves the clock forward, firing every timer that falls due on the way, in order. Returns how many fired. */
export function clockAdvance(ctx: Context, nanoseconds: u64): u32 {
  const until = ctx.now + nanoseconds;
  let fired: u32 = 0;
  for (let timer = timerDue(ctx, until); timer != null; timer = timerDue(ctx, until)) {
    const kind = timerKind(timer);
    const arg = timerArg(timer);
    const cpu = timerCpu(timer);
    timerPop(ctx);
    // With ticks a timer runs on the CPU that queued it, as the kernel's does.
    const was = cpuGet();
    if (ctx.tick != 0) cpuSet(cpu);
    fire(ctx, kind, arg);
    cpuSet(was);
    ++fired;
  }
  ctx.now = until;
  return fired;
}

function fire(ctx: Context, kind: u32, arg: usize): void {
  assert(kind != 0 && arg != 0);
  if (kind == TIMER_FLUSH_QUEUE) flushQueueTimeout(changetype<FlushQueue>(arg));
  if (kind == TIMER_IOVA_DEPOT) iovaDepotWork(changetype<Depot>(arg));
  if (kind == TIMER_DEFERRED_LIST) deferredTimeout(ctx);
  if (kind == TIMER_ATOMIC_GROW) atomicPoolsGrow(changetype<AtomicPools>(arg));
  if (kind == TIMER_SWIOTLB_GROW) swiotlbGrow(changetype<Swiotlb>(arg));
}
