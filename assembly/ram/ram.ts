// ram/ is the machine's physical memory: page frames, their allocation, and the contents of those that were written.
//
// Layout, in pfns of 4 KiB, as on a PC: frames from 0 up to 3 GiB at most, a hole for devices, the rest from 4 GiB up.
// The first MiB belongs to firmware and is never allocated, so that pfn 0 means "none". Two zones: DMA32 below 4 GiB,
// NORMAL above; a request takes NORMAL first.
//
//   buddy      blocks of order 0 to 10 (4 MiB), one set of free lists per zone (buddy.ts)
//   stacks     a stack of free single frames per CPU, allocated and freed by one copy (pages.ts), or by moving the stack's top
//              (loan.ts)
//   contents   a frame gets 4 KiB of linear memory when it is first written; others read as zeros (contents.ts)
//
// Allocation uses one byte per frame:
//
//   bit 7      head of a free buddy block, bits 3..0 its order
//   bit 6      in use
//   bit 5      on a CPU's stack, or in use on loan from one
//   bit 4      has contents (kept when the frame is freed: a device that still reaches it sees the old bytes;
//              dropped when it is handed out again)
//   bit 1      of a frame in use: it was handed out by number, and may be freed by number (numbered.ts)
//   bit 0      of a frame in use: the machine's own (a bounce pool, memory set aside for graphics, what fragmentation keeps)
//   0x00       inside a free block, or firmware's
//
// Fragmentation is a number from 0 to 1 and a seed: that share of the 4 MiB blocks is allocated in a shuffled order, and one frame of
// each is kept by "the rest of the system", so that the block never merges again.

import { Context } from '../memory/context';
import { Guarded } from '../memory/lock';

export const PAGE_SHIFT: u32 = 12;
export const PAGE_SIZE: u32 = 4096;
/** Offset in a page. */
export const PAGE_MASK: u64 = 0xfff;

export const STATE_FREE: u8 = 0x80;
export const STATE_USED: u8 = 0x40;
export const STATE_STACK: u8 = 0x20;
export const STATE_CONTENT: u8 = 0x10;
export const STATE_ORDER: u8 = 0x0f;
export const STATE_NUMBERED: u8 = 0x02;
export const STATE_KEPT: u8 = 0x01;

export const MAX_ORDER: u32 = 10;
export const ZONE_DMA32: u32 = 0;
export const ZONE_NORMAL: u32 = 1;

/** First pfn of the hole below 4 GiB at the latest, and first pfn above it. */
export const LOW_END_MAX: u32 = 0xc0000; // 3 GiB
export const HIGH_START: u32 = 0x100000; // 4 GiB
export const HIGH_SHIFT: u32 = 20;
/** First pfn above ZONE_DMA, and the last address in it (zone_dma_limit). */
export const DMA_ZONE_END: u32 = 0x1000; // 16 MiB
export const DMA_ZONE_MASK: u64 = (<u64>DMA_ZONE_END << PAGE_SHIFT) - 1;
/** Frames of a machine, at least and at most: 4 MiB to 256 GiB. */
export const FRAMES_MIN: u32 = 1024;
export const FRAMES_MAX: u32 = 0x4000000;
/** Ram.fragmentation of which every block is shuffled. */
export const FRAGMENTATION_WHOLE: u32 = 65536;
/** Frames below 1 MiB belong to firmware. */
export const FIRMWARE_END: u32 = 0x100;

// @ts-ignore: decorator
@unmanaged
export class Ram extends Guarded {
  /** Hot bytes, links and contents are indexed by frame: the pfn, less the hole for frames above 4 GiB. */
  states: usize;
  links: usize; // next, previous: two u32 a frame, used only in heads of free blocks
  contents: usize; // a u32 for each 1,024 frames: a page of 1,024 offsets
  lowEnd: u32; // pfn
  highEnd: u32; // pfn, HIGH_START when there is nothing above 4 GiB
  hole: u32; // pfns from lowEnd to HIGH_START: what a frame above it has less than its pfn
  frames: u32;
  /** Frames in use, on stacks or in buddy lists add up to `managed`. */
  managed: u32;
  free: u32; // buddy lists only
  stacked: u32;
  onLoan: u32; // in use, their states still those of the stack that they are from
  held: u32; // kept by the rest of the system
  written: u32; // frames with contents
  fragmentation: u32; // of FRAGMENTATION_WHOLE
  random: u32;
  lists: usize; // (MAX_ORDER + 1) heads a zone
}

/** The machine's RAM, made with the machine (create.ts). */
// @ts-ignore: decorator
@inline
export function ramOf(ctx: Context): Ram {
  return changetype<Ram>(ctx.ram);
}

// @ts-ignore: decorator
@inline
export function frameOf(ram: Ram, pfn: u32): u32 {
  return pfn >> HIGH_SHIFT == 0 ? pfn : pfn - ram.hole;
}

// @ts-ignore: decorator
@inline
export function pfnOf(ram: Ram, frame: u32): u32 {
  return frame < ram.lowEnd ? frame : frame + ram.hole;
}

/** isRam, inlined for loops over pages. */
// @ts-ignore: decorator
@inline
export function isFrame(ram: Ram, pfn: u32): bool {
  return pfn < ram.lowEnd || (pfn >> HIGH_SHIFT != 0 && pfn < ram.highEnd);
}

/** Whether a pfn is a frame of RAM (firmware's included). */
export function isRam(ram: Ram, pfn: u32): bool {
  return isFrame(ram, pfn);
}

// @ts-ignore: decorator
@inline
export function stateOf(ram: Ram, pfn: u32): usize {
  return ram.states + <usize>frameOf(ram, pfn);
}

/** A frame's state byte. */
export function frameState(ram: Ram, pfn: u32): u8 {
  return load<u8>(stateOf(ram, pfn));
}

/** The seeded generator of this machine's RAM (xorshift32): placement depends on nothing else. */
export function ramRandom(ram: Ram): u32 {
  let x = ram.random;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  ram.random = x;
  return x;
}

/** Frames in use: neither free, nor on a stack, nor kept by the rest of the system. */
export function ramInUse(ctx: Context): u32 {
  const ram = ramOf(ctx);
  return ram.managed - ram.free - ram.stacked - ram.held;
}
