// events/ is how the core tells the host what happened: any change of state is one record in a ring in linear memory.
// Recording is off unless the host made a ring; then every emit is one load and a branch that predicts.
// The host drains in batches. A full ring keeps the oldest records; what it has to drop is numbered all the same, so that
// a gap in the sequence says how many are missing.

import { blockAlloc, blockFree, blockOrder } from '../memory/block';
import { Context, cpuOf } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { addressOf } from '../memory/record';

export const EVENT_DMA_MAP_PAGE: u32 = 1; // a dma address (-1 failed), b physical address, c length, d direction, e attrs
export const EVENT_DMA_UNMAP_PAGE: u32 = 2; // a dma address, c length, d direction, e attrs
export const EVENT_DMA_MAP_SG: u32 = 3; // a first dma address, b sg handle, c bytes, d direction, e nents or errno
export const EVENT_DMA_UNMAP_SG: u32 = 4; // a first dma address, b sg handle, c bytes, d direction, e nents given
export const EVENT_DMA_ALLOC: u32 = 5; // coherent: a dma address, b physical address, c length
export const EVENT_DMA_FREE: u32 = 6; // coherent: a dma address, b physical address, c length
export const EVENT_DMA_SYNC: u32 = 7; // a dma address, c length, d direction, e 0 for cpu, 1 for device
export const EVENT_IOMMU_MAP: u32 = 8; // a iova, b physical address, c size
export const EVENT_IOMMU_UNMAP: u32 = 9; // a iova, b bytes unmapped, c size asked
export const EVENT_FAULT: u32 = 10; // a address, d fault reason, e 1 for a write
export const EVENT_STALE_ACCESS: u32 = 11; // a address, b age in ns, e 1 for a write
export const EVENT_FINDING: u32 = 12; // a address, b size, d check identifier
export const EVENT_BOUNCE: u32 = 13; // a slot address, b physical address, c length, d direction, e 1 in, 0 out
/** The host's own: what a driver does. a address, c length, d which (src/events/events.ts). */
export const EVENT_DRIVER: u32 = 14;
export const EVENT_SEARCH: u32 = 15; // a nodes of the IOVA tree, b slots of the bounce pool, that the kernel's search visits

// @ts-ignore: decorator
@unmanaged
class Ring {
  guard: u64;
  head: u32; // next record to write, counted without wrapping
  tail: u32; // next record to drain
  mask: u32;
  sequence: u32;
}

/** One event. Its number counts those that were dropped, too. What a to e mean is told beside the kinds above; all ones is -1. */
// @ts-ignore: decorator
@unmanaged
export class Event {
  /** EVENT_* */
  kind: u32;
  sequence: u32;
  /** Virtual time in nanoseconds. */
  time: u64;
  device: u32;
  /** Who made the call, as the host's ids. */
  object: u32;
  vma: u32;
  hook: u32;
  a: i64;
  b: i64;
  c: i64;
  d: u32;
  e: u32;
}

const HEADER: usize = 64;

/** The ring, null while recording is off. */
// @ts-ignore: decorator
@inline
function ringOf(ctx: Context): Ring | null {
  return changetype<Ring | null>(ctx.events);
}

/** Starts recording into a ring of 2^order records, in place of the one that there is. Returns 0 without memory for it. */
export function eventsStart(ctx: Context, order: u32): usize {
  const ring = blockAlloc(ctx, blockOrder(HEADER + (offsetof<Event>() << order)));
  if (ring == 0) return 0;
  eventsStop(ctx);
  memory.fill(ring, 0, HEADER);
  changetype<Ring>(ring).mask = (1 << order) - 1;
  ctx.events = ring;
  return ring;
}

/** Ends recording. */
export function eventsStop(ctx: Context): void {
  if (ctx.events != 0) blockFree(ctx, ctx.events);
  ctx.events = 0;
}

/** Records that wait to be drained. */
export function eventsPending(ctx: Context): u32 {
  const ring = ringOf(ctx);
  return ring == null ? 0 : ring.head - ring.tail;
}

/** Events so far, those that found the ring full included: the number of the next one. */
export function eventsSequence(ctx: Context): u32 {
  const ring = ringOf(ctx);
  return ring == null ? 0 : ring.sequence;
}

/** Offset of the oldest undrained record; the host reads up to eventsRun of them from there, then calls eventsDrained. */
export function eventsFirst(ctx: Context): usize {
  const ring = changetype<Ring>(ctx.events);
  return addressOf(ring) + HEADER + <usize>(ring.tail & ring.mask) * offsetof<Event>();
}

/** Undrained records that lie in one piece. */
export function eventsRun(ctx: Context): u32 {
  const ring = changetype<Ring>(ctx.events);
  return min(ring.head - ring.tail, ring.mask + 1 - (ring.tail & ring.mask));
}

export function eventsDrained(ctx: Context, count: u32): void {
  ringOf(ctx)!.tail += count;
}

/** Writes a record while recording is on. Hot paths ask for ctx.events themselves, before they make up the arguments. */
export function emit(ctx: Context, kind: u32, device: u32, a: u64, b: u64, c: u64, d: u32, e: u32): void {
  const at = ctx.events;
  if (at == 0) return;
  const ring = changetype<Ring>(at);
  lock(at);
  const sequence = ring.sequence++;
  if (ring.head - ring.tail > ring.mask) {
    unlock(at);
    return;
  }
  const event = changetype<Event>(at + HEADER + <usize>(ring.head & ring.mask) * offsetof<Event>());
  const cpu = cpuOf(ctx);
  event.kind = kind;
  event.sequence = sequence;
  event.time = ctx.now;
  event.device = device;
  event.object = cpu.object;
  event.vma = cpu.vma;
  event.hook = cpu.hook;
  event.a = a;
  event.b = b;
  event.c = c;
  event.d = d;
  event.e = e;
  ++ring.head;
  unlock(at);
}
