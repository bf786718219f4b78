// Batches for benchmarks: many mappings are made or ended in one call from the host. A single operation takes less time than reading
// a clock, so the host times a batch and divides. A batch has nothing but calls of the DMA API.
//
// A bench is a vector of slots, each with memory of its own: single mode a buffer of physically adjacent pages, as the
// kernel's dma_map_benchmark has it, sg mode a table. Distinct memory matters: dma-debug reports overlapping mappings.

import { ALL_ENTRIES, dmaMapPage, dmaMapSg, dmaUnmapPage, dmaUnmapSg } from '../dma/map';
import { DmaDevice, isMappingError } from '../device/device';
import { debugBlockFree, debugPagesFree, debugSgDestroy } from '../dma-debug/freed';
import { EINVAL, ENOMEM, Made } from '../memory/errno';
import { blockAllocZeroed, blockFree, blockOrder } from '../memory/block';
import { Context } from '../memory/context';
import { addressOf, recordAt } from '../memory/record';
import { blockOfPagesAlloc, pagesAlloc } from '../ram/pages';
import { MAX_ORDER, PAGE_SHIFT, ZONE_NORMAL } from '../ram/ram';
import { SG_MAX_ENTRY, sgAllocPages } from '../sg/build';
import { SgTable } from '../sg/sg-table';

export const BENCH_SINGLE: u32 = 0;
export const BENCH_SG: u32 = 1;

// @ts-ignore: decorator
@unmanaged
export class Bench {
  ctx: Context;
  dev: DmaDevice;
  mode: u32;
  /** Pages of a mapping (the kernel's granule). */
  pages: u32;
  dir: u32;
  attrs: u32;
  capacity: u32;
  slots: usize;
}

// @ts-ignore: decorator
@unmanaged
class Slot {
  /** First pfn of the buffer, or the SgTable. */
  what: u32;
  /** 1 while mapped. */
  mapped: u32;
  /** DMA address (single mode). */
  address: u64;
}
const SLOT_SIZE: usize = 16;

/** Memory of a slot in sg mode. */
// @ts-ignore: decorator
@inline
function tableOf(slot: Slot): SgTable {
  return changetype<SgTable>(slot.what);
}

// @ts-ignore: decorator
@inline
function slotAt(bench: Bench, index: u32): Slot {
  return recordAt<Slot>(bench.slots, index);
}

/**
 * Makes a bench with memory for `capacity` mappings of `pages` pages each.
 * @param mode BENCH_SINGLE: up to 1,024 pages, rounded up to a power of two in memory; BENCH_SG: any number
 * @returns the bench, -EINVAL, or -ENOMEM with nothing left behind
 */
export function benchCreate(dev: DmaDevice, mode: u32, pages: u32, capacity: u32, dir: u32, attrs: u32): Made<Bench> {
  if (pages == 0 || capacity == 0 || mode > BENCH_SG || (mode == BENCH_SINGLE && pages > <u32>(1 << MAX_ORDER))) return EINVAL;
  const ctx = dev.ctx;
  const at = blockAllocZeroed(ctx, blockOrder(offsetof<Bench>() + <usize>capacity * SLOT_SIZE));
  if (at == 0) return ENOMEM;
  const bench = changetype<Bench>(at);
  bench.ctx = dev.ctx;
  bench.dev = dev;
  bench.mode = mode;
  bench.pages = pages;
  bench.dir = dir;
  bench.attrs = attrs;
  bench.capacity = capacity;
  bench.slots = at + ((offsetof<Bench>() + 15) & ~15);
  for (let i: u32 = 0; i < capacity; ++i) {
    const what = memoryTake(ctx, bench);
    if (what == 0) {
      benchDestroy(bench);
      return ENOMEM;
    }
    slotAt(bench, i).what = what;
  }
  return <i32>at;
}

function memoryTake(ctx: Context, bench: Bench): u32 {
  if (bench.mode == BENCH_SG) return <u32>addressOf(sgAllocPages(ctx, bench.pages, 0, SG_MAX_ENTRY));
  if (bench.pages != 1) return blockOfPagesAlloc(ctx, orderOf(bench), ZONE_NORMAL);
  // One page: from the CPU's stack, so that fragmented RAM shows. The slot vector's first word serves as the buffer.
  const buffer = bench.slots;
  const first = load<u32>(buffer);
  const pfn: u32 = pagesAlloc(ctx, 1, buffer) < 0 ? 0 : load<u32>(buffer);
  store<u32>(buffer, first);
  return pfn;
}

function orderOf(bench: Bench): u32 {
  return blockOrder(<usize>bench.pages << PAGE_SHIFT);
}

/** Ends live mappings and frees the bench. */
export function benchDestroy(bench: Bench): void {
  const ctx = bench.ctx;
  benchUnmap(bench, 0, bench.capacity);
  for (let i: u32 = 0; i < bench.capacity; ++i) {
    const slot = slotAt(bench, i);
    if (slot.what == 0) continue;
    if (bench.mode == BENCH_SG) debugSgDestroy(tableOf(slot));
    else if (bench.pages != 1) debugBlockFree(ctx, slot.what, orderOf(bench));
    else debugPagesFree(ctx, 1, addressOf(slot));
  }
  blockFree(ctx, addressOf(bench));
}

// @ts-ignore: decorator
@inline
function map(bench: Bench, dev: DmaDevice, slot: Slot): bool {
  if (bench.mode == BENCH_SG) {
    slot.mapped = <u32>(dmaMapSg(dev, tableOf(slot), bench.dir, bench.attrs) > 0);
  } else {
    const address = dmaMapPage(dev, slot.what, 0, bench.pages << PAGE_SHIFT, bench.dir, bench.attrs);
    slot.address = address;
    slot.mapped = <u32>!isMappingError(dev, address);
  }
  return slot.mapped != 0;
}

// @ts-ignore: decorator
@inline
function unmap(bench: Bench, dev: DmaDevice, slot: Slot): void {
  slot.mapped = 0;
  if (bench.mode == BENCH_SG) {
    const sgt = tableOf(slot);
    dmaUnmapSg(dev, sgt, ALL_ENTRIES, bench.dir, bench.attrs);
  } else dmaUnmapPage(dev, slot.address, bench.pages << PAGE_SHIFT, bench.dir, bench.attrs);
}

/** Maps n slots from `first` on. Returns how many of the calls succeeded; a slot that is mapped already is left alone. */
export function benchMap(bench: Bench, first: u32, n: u32): u32 {
  const dev = bench.dev;
  const end = min(first + n, bench.capacity);
  let done: u32 = 0;
  for (let i = first; i < end; ++i) {
    const slot = slotAt(bench, i);
    if (slot.mapped == 0 && map(bench, dev, slot)) ++done;
  }
  return done;
}

/** Ends the mappings of n slots from `first` on. Returns how many there were. */
export function benchUnmap(bench: Bench, first: u32, n: u32): u32 {
  const dev = bench.dev;
  const end = min(first + n, bench.capacity);
  let done: u32 = 0;
  for (let i = first; i < end; ++i) {
    const slot = slotAt(bench, i);
    if (slot.mapped == 0) continue;
    unmap(bench, dev, slot);
    ++done;
  }
  return done;
}

/** Ends n mappings at random places, so that holes are left between the others. Returns how many were ended. */
export function benchPunch(bench: Bench, n: u32, seed: u32): u32 {
  const dev = bench.dev;
  let x = seed == 0 ? 0x9e3779b9 : seed;
  let done: u32 = 0;
  for (let tries: u32 = 0; done < n && tries < 64 * bench.capacity; ++tries) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    const slot = slotAt(bench, x % bench.capacity);
    if (slot.mapped == 0) continue;
    unmap(bench, dev, slot);
    ++done;
  }
  return done;
}
