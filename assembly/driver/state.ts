// driver/ is the core's side of C drivers: what a driver that was compiled to WebAssembly calls, wasm to wasm, on the linear
// memory of its machine. It is a module of its own, which a machine without such a driver never loads. The DMA API behind
// it is the core's own code, compiled into this module as well; both work on the same records.
//
//   state.ts    the record, and this instance's registers
//   frames.ts   frames of RAM with an address that C can use: pages, blocks of pages, vmalloc areas
//   shadow.ts   which bytes of linear memory C may touch (KASAN)
//   owner.ts    streaming mappings: which bytes belong to a device now
//   dma.ts      the DMA API with 64-bit addresses;  sg.ts  lists;  coherent.ts  coherent memory
//
// A pointer of C is an offset in linear memory. A frame's contents are 4 KiB of it (ram/contents.ts), so page_address needs
// no copy, and what a device writes through the IOMMU is what C reads. Two tables have a u32 for each 4 KiB of linear
// memory: the frame whose contents lie there, and the shadow.
//
// Exports carry the names that C uses, gd_ for gemdma's and __asan_ for those that clang's instrumentation calls.

import { BLOCK_SHIFT, blockAllocZeroed, blockOrder } from '../memory/block';
import { CacheOf, Context, cpuOf } from '../memory/context';
import { Cpu } from '../memory/cpu';
import { Ram } from '../ram/ram';
import { Mapping } from './owner';
import { SglRecord } from './sg';

// @ts-ignore: decorator
@unmanaged
export class DriverState {
  /** u32 for each 4 KiB of linear memory: pfn of the frame there, with UNIT_VMALLOC; 0 for none. */
  unitFrames: usize;
  /** u32 for each 4 KiB: see shadow.ts. */
  unitShadow: usize;
  units: u32;
  /** STATE_ flags. */
  flags: u32;
  /** struct page of C, 32 bytes a frame. */
  pages: usize;
  /** Hash tables of Mapping by dma address and by frame (owner.ts), lists of sgl (sg.ts). */
  byAddress: usize;
  byFrame: usize;
  bySgl: usize;
  mappingCache: CacheOf<Mapping> | null;
  sglCache: CacheOf<SglRecord> | null;
  shadowCache: CacheOf<usize> | null;
  /** Most frames that one mapping has spanned. */
  widest: u32;
  /** Address that dma_map_single refused last: its area is the reason. */
  refused: usize;
  /** A word in which a single pfn is passed. */
  scratch: u32;
  pad: u32;
}

/** The CPU's accesses are checked. */
export const STATE_KASAN: u32 = 1;

/** The frame is part of a vmalloc or vmap area: virt_to_page of its address is a mistake. */
export const UNIT_VMALLOC: u32 = 0x80000000;
export const PAGE_STRUCT: usize = 32;
export const HASH_BITS: u32 = 10;
export const HASH_SLOTS: u32 = 1 << HASH_BITS;

// Registers of this instance, set once by gd_attach: the context's record says the same.
let context: usize = 0;
let driver: usize = 0;
let plain: bool = false;
let kasan: bool = false;
let findings: usize = 0;

// @ts-ignore: decorator
@inline
export function ctxOf(): Context {
  return changetype<Context>(context);
}

/** The CPU's accesses are checked. */
// @ts-ignore: decorator
@inline
export function watching(): bool {
  return kasan;
}

/** Where the checker counts its findings: C runs on the CPU that the machine was on when it was loaded. */
// @ts-ignore: decorator
@inline
export function findingsAt(): usize {
  return findings;
}

/** Neither the checker nor the shadow is there: calls go straight to the core. */
// @ts-ignore: decorator
@inline
export function unwatched(): bool {
  return plain;
}

// @ts-ignore: decorator
@inline
export function driverState(): DriverState {
  return changetype<DriverState>(driver);
}

// @ts-ignore: decorator
@inline
export function ramOf(): Ram {
  return changetype<Ram>(ctxOf().ram);
}

/**
 * Attaches this instance to a machine, and makes the machine's record of C drivers when it has none.
 * @param flags STATE_
 * @returns whether there was memory for it
 */
export function gd_attach(ctxAt: usize, flags: u32): bool {
  const ctx = changetype<Context>(ctxAt);
  context = ctxAt;
  if (ctx.driver == 0) {
    const at = blockAllocZeroed(ctx, 0);
    if (at == 0) return false;
    const state = changetype<DriverState>(at);
    state.units = <u32>(ctx.limit >> BLOCK_SHIFT);
    state.flags = flags;
    const table = blockOrder(<usize>state.units << 2);
    state.unitFrames = blockAllocZeroed(ctx, table);
    state.unitShadow = blockAllocZeroed(ctx, table);
    state.pages = blockAllocZeroed(ctx, blockOrder(<usize>changetype<Ram>(ctx.ram).frames * PAGE_STRUCT));
    const hashes = blockAllocZeroed(ctx, blockOrder(3 * HASH_SLOTS << 2));
    if (state.unitFrames == 0 || state.unitShadow == 0 || state.pages == 0 || hashes == 0) return false;
    state.byAddress = hashes;
    state.byFrame = hashes + (HASH_SLOTS << 2);
    state.bySgl = hashes + (2 * HASH_SLOTS << 2);
    ctx.driver = at;
  }
  driver = ctx.driver;
  kasan = (driverState().flags & STATE_KASAN) != 0;
  plain = changetype<usize>(ctx.dmaDebug) == 0 && !kasan;
  findings = changetype<usize>(cpuOf(ctx)) + offsetof<Cpu>('findings');
  return true;
}

/** First of C's struct page; the frame's number, not its pfn, is the index. */
export function gd_pages(): usize {
  return driverState().pages;
}

/** Address that dma_map_single refused last. */
export function gd_refused(): usize {
  return driverState().refused;
}
