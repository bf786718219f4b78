// A machine: one context with the state of every subsystem, its virtual clock, and the check that walks everything.

import { iommuCheck } from './iommu/check';
import { iovaCheck } from './iova/check';
import { iovaDepotWork } from './iova/rcache';
import {
  TIMER_DEFERRED_LIST, TIMER_FLUSH_QUEUE, TIMER_IOVA_DEPOT, timerArg, timerDue, timerKind, timerPop,
} from './memory/clock';
import { blocksCheck } from './memory/block';
import { Context, contextCreate } from './memory/context';
import { slabLive, slabsCheck } from './memory/slab';
import { dmaCheck } from './dma/check';
import { dmaState } from './dma/state';
import { gttCheck } from './gtt/gtt';
import { debugCheck } from './dma-debug/query';
import { ENOMEM } from './errno';
import { deferredTimeout } from './iommu/deferred-list';
import { FlushQueue, flushQueueTimeout } from './iommu/flush-queue';
import { buddyCheck } from './ram/buddy';
import { stacksCheck } from './ram/pages';
import { contentsCheck } from './ram/contents';
import { Ram, ramCreate } from './ram/ram';
import { sgState } from './sg/sg-table';
import { slotsCheck } from './swiotlb/slots';
import { Swiotlb } from './swiotlb/swiotlb';

/**
 * Makes a machine at the start of linear memory.
 * @param limitBytes most bytes of linear memory that it may use
 * @param cpus virtual CPUs, 1 to 64
 * @param pages frames of emulated RAM
 * @param fragmentation share of 4 MiB blocks of RAM that are handed out shuffled, 0 to 65536
 * @param seed of the RAM's placement
 * @returns the context's handle, or a negative errno
 */
export function machineCreate(limitBytes: f64, cpus: u32, pages: u32, fragmentation: u32, seed: u32): i32 {
  const at = contextCreate(limitBytes, cpus);
  if (at == 0) return ENOMEM;
  const ctx = changetype<Context>(at);
  // What every machine uses is there from the start, so that a call that fails leaves not even that behind.
  if (sgState(ctx) == 0 || dmaState(ctx) == 0) return ENOMEM;
  const rc = ramCreate(ctx, pages, fragmentation, seed);
  return rc < 0 ? rc : <i32>at;
}

/** The virtual clock, in nanoseconds since the machine was made. */
export function clockNow(ctx: Context): f64 {
  return <f64>ctx.now;
}

/** Moves the clock forward, firing every timer that falls due on the way, in order. Returns how many fired. */
export function clockAdvance(ctx: Context, nanoseconds: f64): u32 {
  const until = ctx.now + <u64>nanoseconds;
  let fired: u32 = 0;
  for (let at = timerDue(ctx, until); at != 0; at = timerDue(ctx, until)) {
    const kind = timerKind(at);
    const arg = timerArg(at);
    timerPop(ctx);
    fire(ctx, kind, arg);
    ++fired;
  }
  ctx.now = until;
  return fired;
}

function fire(ctx: Context, kind: u32, arg: usize): void {
  assert(kind != 0 && arg != 0 && changetype<usize>(ctx) != 0);
  if (kind == TIMER_FLUSH_QUEUE) flushQueueTimeout(changetype<FlushQueue>(arg));
  if (kind == TIMER_IOVA_DEPOT) iovaDepotWork(arg);
  if (kind == TIMER_DEFERRED_LIST) deferredTimeout(ctx);
}

/** Records live in all slab caches and 4 KiB units in use: what must be as before when everything was given back. */
export function machineRecords(ctx: Context): u32 {
  return slabLive(ctx);
}

/**
 * Walks every structure of the machine.
 * @returns 0, or a code: the subsystem in bits 31..28 (1 blocks, 2 slabs, 3 buddy, 4 contents,
 *     5 iova, 7 iommu, 8 dma, 9 swiotlb, 10 GPU tables, 11 dma-debug), where in the rest
 */
export function machineCheck(ctx: Context): u32 {
  let wrong = <u32>blocksCheck(ctx);
  if (wrong != 0) return 0x10000000 | (wrong >> 4);
  wrong = <u32>slabsCheck(ctx);
  if (wrong != 0) return 0x20000000 | (wrong >> 4);
  const ram = changetype<Ram>(ctx.ram);
  wrong = buddyCheck(ram);
  if (wrong == 0) wrong = stacksCheck(ctx, ram);
  if (wrong != 0) return 0x30000000 | wrong;
  wrong = contentsCheck(ram);
  if (wrong != 0) return 0x40000000 | wrong;
  if (ctx.iommu != 0) {
    wrong = iommuCheck(ctx);
    if (wrong != 0) return 0x70000000 | wrong;
  }
  wrong = iovaCheck(ctx);
  if (wrong != 0) return 0x50000000 | wrong;
  if (ctx.swiotlb != 0) {
    wrong = slotsCheck(changetype<Swiotlb>(ctx.swiotlb));
    if (wrong != 0) return 0x90000000 | wrong;
  }
  wrong = dmaCheck(ctx);
  if (wrong != 0) return 0x80000000 | (wrong & 0x0fffffff);
  wrong = gttCheck(ctx);
  if (wrong != 0) return 0xa0000000 | wrong;
  wrong = debugCheck(ctx);
  return wrong != 0 ? 0xb0000000 | wrong : 0;
}
