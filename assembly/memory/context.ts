// memory/ is the lowest room of the core. It manages WebAssembly linear memory:
//
//   context  one record at the start of linear memory, which leads to all others; there are no module variables
//   block    a buddy allocator over linear memory, orders of 4 KiB (block.ts)
//   slab     fixed-size records in blocks, one cache per type (slab.ts)
//
// It also has locks, which exist in the threads build only (lock.ts), and fault injection, by which the host makes the n-th
// allocation of a kind fail (fault.ts).
//
//   0               __heap_base                       limit
//   | null record   | Context | Cpu[] | block states | blocks of 4 KiB << order ...                   |
//
// A handle is the u32 offset of a record in linear memory; 0 is none. The first 1,024 bytes (memoryBase, asconfig.json)
// are never written: fields that are read through handle 0 are zero, so that some tests for null are not needed.

import { CPU_SIZE, Cpu, currentCpu } from './cpu';
import { Guarded } from './lock';

/** Most virtual CPUs a context can have; the record array is laid out for the number asked for. */
export const MAX_CPUS: u32 = 64;

/** Kinds of allocation that can be made to fail, in the order of Context.faults (see fault.ts). */
export const FAULT_BLOCK: u32 = 0; // a block of linear memory
export const FAULT_SLAB: u32 = 1; // any record
export const FAULT_RAM: u32 = 2; // a page of emulated RAM
export const FAULT_IOVA: u32 = 3; // an IOVA range
export const FAULT_PAGE_TABLE: u32 = 4; // a page of an IOMMU's tables
export const FAULT_SG: u32 = 5; // a scatter-gather table
export const FAULT_SWIOTLB: u32 = 6; // bounce slots
export const FAULT_DMA_DEBUG: u32 = 7; // a dma-debug entry
export const FAULT_GTT: u32 = 8; // a drm_mm node or a GPU page table
export const FAULT_KINDS: u32 = 9;

/** Highest block order: 4 KiB << 20 is the whole of a 32-bit linear memory. */
export const MAX_BLOCK_ORDER: u32 = 20;

// @ts-ignore: decorator
@unmanaged
export class Context {
  /** First byte past the context's own records: blocks start at the next 4 KiB boundary. */
  end: usize;
  /** Bytes of linear memory handed to the block allocator so far (a high-water mark), and the most there may be. */
  grown: usize;
  limit: usize;
  /** One byte for each 4 KiB of linear memory up to the limit (block.ts). */
  blockStates: usize;
  /** Free 4 KiB units in blocks, for statistics and leak checks. */
  freeUnits: u32;
  usedUnits: u32;
  /** lock + contended, see lock.ts */
  blockLock: u64;
  /** Heads of the free lists, one for each block order. */
  freeBlocks0: u32; // MAX_BLOCK_ORDER + 1 words follow from here (FREE_BLOCKS_OFFSET)
  freeBlocks1: u32; freeBlocks2: u32; freeBlocks3: u32; freeBlocks4: u32; freeBlocks5: u32; freeBlocks6: u32;
  freeBlocks7: u32; freeBlocks8: u32; freeBlocks9: u32; freeBlocks10: u32; freeBlocks11: u32; freeBlocks12: u32;
  freeBlocks13: u32; freeBlocks14: u32; freeBlocks15: u32; freeBlocks16: u32; freeBlocks17: u32; freeBlocks18: u32;
  freeBlocks19: u32; freeBlocks20: u32;
  /** The newest page of slab caches (slab.ts). */
  caches: CachePage | null;
  cpus: usize;
  cpuCount: u32;
  /** Bit k set: fault injection is armed for kind k. Zero nearly always: the one test on an allocation's path. */
  faultMask: u32;
  /** Two words a kind: the countdown and the number of allocations failed (fault.ts). */
  faultTable: usize;
  /** The machine's virtual clock in nanoseconds, and its timers in order of time (clock.ts). */
  now: u64;
  timers: Timer | null;
  timerCache: CacheOf<Timer> | null;
  timerLock: u64;
  /** The event ring (events/events.ts); 0 while recording is off. */
  events: usize;
  /** What the kernel would print (kmsg/kmsg.ts). */
  kmsg: usize;
  /** State of each subsystem, made by machineCreate (machine.ts). */
  ram: usize;
  sg: usize;
  iova: usize;
  iommu: usize;
  device: usize;
  swiotlb: usize;
  /** The contiguous memory area (ram/cma.ts), 0 without one. */
  cma: usize;
  /** The atomic pools (dma/atomic.ts), 0 before a device needed them. */
  atomicPools: usize;
  /** Restricted pools (swiotlb/pools.ts). */
  swiotlbRestricted: usize;
  gtt: usize;
  dmaDebug: usize;
  /** C drivers (driver/state.ts); 0 while the machine has none. */
  driver: usize;
  /** search-cost.ts; 0 while nothing is counted. */
  searchCost: usize;
  /** Nanoseconds of a tick (1 / HZ), 0 for timers that fire at their time; ticks that a timer is late by (clock.ts). */
  tick: u64;
  tickLate: u32;
}

/** A cache of records of one size (slab.ts). */
// @ts-ignore: decorator
@unmanaged
export class SlabCache extends Guarded {
  ctx: Context;
  /** First free record; the next one's offset is its first word. */
  free: usize;
  /** The part of the newest block that no record was carved from yet. */
  fresh: usize;
  freshEnd: usize;
  objectSize: u32;
  /** Order of the blocks that records are carved from: at least 16 records a block. */
  order: u32;
  live: u32;
  total: u32;
}

/** A cache of records of class T. */
// @ts-ignore: decorator
@unmanaged
export class CacheOf<T> extends SlabCache {}

/** The first 64 bytes of a block of caches: how many there are in it, and the next such block. */
// @ts-ignore: decorator
@unmanaged
export class CachePage {
  used: u32;
  next: CachePage | null;
}

/** What refers to a timer: the timer before it, or the context. */
// @ts-ignore: decorator
@unmanaged
export class TimerLink {
  next: Timer | null;
}

/** A timer that is queued (clock.ts). */
// @ts-ignore: decorator
@unmanaged
export class Timer extends TimerLink {
  kind: u32;
  /** The record that it is for, by kind. */
  arg: usize;
  due: u64;
  /** The CPU that queued it. */
  cpu: u32;
}

export const FREE_BLOCKS_OFFSET: usize = offsetof<Context>('freeBlocks0');

/** A CPU's record, by number. */
// @ts-ignore: decorator
@inline
export function cpuAt(ctx: Context, index: u32): Cpu {
  return changetype<Cpu>(ctx.cpus + <usize>index * CPU_SIZE);
}

/** The record of the CPU that this instance runs as. */
// @ts-ignore: decorator
@inline
export function cpuOf(ctx: Context): Cpu {
  return cpuAt(ctx, currentCpu());
}

/** The same for the host: a CPU's registers are the host's to read and write (cpu.ts). */
export function cpuRecord(ctx: Context): Cpu {
  return cpuOf(ctx);
}
