// Contents of frames. A frame that was written has 4 KiB of linear memory, found through a page of offsets per 1,024 frames. Other
// frames read as zeros.

import { EFAULT, ENOMEM } from '../memory/errno';
import { BLOCK_SIZE, blockAllocZeroed, blockFree } from '../memory/block';
import { Context } from '../memory/context';
import { lock, unlock } from '../memory/lock';
import { loansSettle, stacksSoil } from './loan';
import { PAGE_SHIFT, PAGE_SIZE, Ram, STATE_CONTENT, STATE_STACK, frameOf, isRam, ramOf, stateOf, PAGE_MASK } from './ram';

/** Offset of a frame's contents, or 0 if it was never written. */
export function contentsPeek(ram: Ram, pfn: u32): usize {
  const frame = frameOf(ram, pfn);
  const page: usize = load<u32>(ram.contents + (<usize>(frame >> 10) << 2));
  return page == 0 ? 0 : load<u32>(page + (<usize>(frame & 1023) << 2));
}

/** Where the offset of a frame's contents is stored, or 0 without memory. */
// @ts-ignore: decorator
@inline
function entryMake(ctx: Context, ram: Ram, pfn: u32): usize {
  const frame = frameOf(ram, pfn);
  const slot = ram.contents + (<usize>(frame >> 10) << 2);
  let page: usize = load<u32>(slot);
  if (page == 0) {
    page = blockAllocZeroed(ctx, 0);
    if (page == 0) return 0;
    store<u32>(slot, <u32>page);
  }
  return page + (<usize>(frame & 1023) << 2);
}

/** Offset of a frame's contents for writing, or 0 without memory. */
export function contentsMake(ctx: Context, ram: Ram, pfn: u32): usize {
  const entry = entryMake(ctx, ram, pfn);
  if (entry == 0) return 0;
  let bytes: usize = load<u32>(entry);
  if (bytes == 0) {
    bytes = blockAllocZeroed(ctx, 0);
    if (bytes == 0) return 0;
    store<u32>(entry, <u32>bytes);
    soil(ctx, ram, stateOf(ram, pfn));
  }
  return bytes;
}

/** Makes a 4 KiB block of the caller's the contents of a frame without contents. Returns false without memory. */
export function contentsPlace(ctx: Context, ram: Ram, pfn: u32, bytes: usize): bool {
  const entry = entryMake(ctx, ram, pfn);
  if (entry == 0) return false;
  store<u32>(entry, <u32>bytes);
  soil(ctx, ram, stateOf(ram, pfn));
  return true;
}

/** Moves a frame's contents to another block of 4 KiB, to which the caller has copied them. */
export function contentsMove(ctx: Context, ram: Ram, pfn: u32, to: usize): void {
  const frame = frameOf(ram, pfn);
  const entry = <usize>load<u32>(ram.contents + (<usize>(frame >> 10) << 2)) + (<usize>(frame & 1023) << 2);
  const from: usize = load<u32>(entry);
  store<u32>(entry, <u32>to);
  blockFree(ctx, from);
}

/** Notes that a frame has contents: they must be dropped before a frame of a stack is allocated again. */
function soil(ctx: Context, ram: Ram, state: usize): void {
  lock(ramOf(ctx));
  if ((load<u8>(state) & STATE_STACK) != 0) loansSettle(ctx, ram);
  if ((load<u8>(state) & STATE_STACK) != 0) stacksSoil(ctx);
  store<u8>(state, load<u8>(state) | STATE_CONTENT);
  ++ram.written;
  unlock(ramOf(ctx));
}

/** Drops a frame's contents: it reads as zeros again. */
export function contentsDrop(ctx: Context, ram: Ram, pfn: u32): void {
  const frame = frameOf(ram, pfn);
  const page: usize = load<u32>(ram.contents + (<usize>(frame >> 10) << 2));
  if (page == 0) return;
  const entry = page + (<usize>(frame & 1023) << 2);
  const bytes: usize = load<u32>(entry);
  if (bytes == 0) return;
  store<u32>(entry, 0);
  const state = stateOf(ram, pfn);
  store<u8>(state, load<u8>(state) & ~STATE_CONTENT);
  --ram.written;
  blockFree(ctx, bytes);
}

/** Copies n bytes of physical memory to dest, across frames. Returns 0, or -EFAULT where there is no RAM. */
export function physRead(ctx: Context, address: u64, dest: usize, n: u32): i32 {
  let phys = address;
  const ram = ramOf(ctx);
  while (n != 0) {
    const pfn = phys >> PAGE_SHIFT;
    if (pfn > 0xffffffff || !isRam(ram, <u32>pfn)) return EFAULT;
    const offset = <u32>phys & (PAGE_SIZE - 1);
    const part = min(n, PAGE_SIZE - offset);
    const bytes = contentsPeek(ram, <u32>pfn);
    if (bytes == 0) memory.fill(dest, 0, part);
    else memory.copy(dest, bytes + offset, part);
    dest += part;
    phys += part;
    n -= part;
  }
  return 0;
}

/**
 * Copies n bytes from src to physical memory, across frames.
 * @returns 0; -EFAULT where there is no RAM, -ENOMEM without memory for a frame's contents; the bytes before are written
 */
export function physWrite(ctx: Context, address: u64, src: usize, n: u32): i32 {
  let phys = address;
  const ram = ramOf(ctx);
  while (n != 0) {
    const pfn = phys >> PAGE_SHIFT;
    if (pfn > 0xffffffff || !isRam(ram, <u32>pfn)) return EFAULT;
    const offset = <u32>phys & (PAGE_SIZE - 1);
    const part = min(n, PAGE_SIZE - offset);
    const bytes = contentsMake(ctx, ram, <u32>pfn);
    if (bytes == 0) return ENOMEM;
    memory.copy(bytes + offset, src, part);
    src += part;
    phys += part;
    n -= part;
  }
  return 0;
}

/**
 * Copies n bytes of physical memory to another place in it, across frames; the two do not overlap. Frames that were
 * never written on both sides are skipped: both read as zeros.
 * @returns 0; -EFAULT where there is no RAM, -ENOMEM without memory for a frame's contents; the bytes before are copied
 */
export function physCopy(ctx: Context, to: u64, from: u64, n: u32): i32 {
  const ram = ramOf(ctx);
  while (n != 0) {
    const source = from >> PAGE_SHIFT;
    const target = to >> PAGE_SHIFT;
    if (source > 0xffffffff || !isRam(ram, <u32>source)) return EFAULT;
    if (target > 0xffffffff || !isRam(ram, <u32>target)) return EFAULT;
    const sourceOffset = <u32>from & (PAGE_SIZE - 1);
    const targetOffset = <u32>to & (PAGE_SIZE - 1);
    const part = min(n, PAGE_SIZE - max(sourceOffset, targetOffset));
    const bytes = contentsPeek(ram, <u32>source);
    const dest = bytes == 0 ? contentsPeek(ram, <u32>target) : contentsMake(ctx, ram, <u32>target);
    if (bytes != 0) {
      if (dest == 0) return ENOMEM;
      memory.copy(dest + targetOffset, bytes + sourceOffset, part);
    } else if (dest != 0) memory.fill(dest + targetOffset, 0, part);
    to += part;
    from += part;
    n -= part;
  }
  return 0;
}

/** Writes n zeros at a physical address, where there is RAM: a frame that was never written has them already. */
export function physZero(ctx: Context, address: u64, n: u32): void {
  const ram = ramOf(ctx);
  const end = address + n;
  for (let at = address; at < end; ) {
    const pfn = <u32>(at >> PAGE_SHIFT);
    const next = min(end, (at | PAGE_MASK) + 1);
    const bytes: usize = isRam(ram, pfn) ? contentsPeek(ram, pfn) : 0;
    if (bytes != 0) memory.fill(bytes + <usize>(at & PAGE_MASK), 0, <usize>(next - at));
    at = next;
  }
}

/** Frames' states against the contents table. Returns 0, or 1 + the first pfn that disagrees. */
export function contentsCheck(ram: Ram): u32 {
  let written: u32 = 0;
  for (let frame: u32 = 0; frame < ram.frames; ++frame) {
    const page: usize = load<u32>(ram.contents + (<usize>(frame >> 10) << 2));
    const has = page != 0 && load<u32>(page + (<usize>(frame & 1023) << 2)) != 0;
    if (has != ((load<u8>(ram.states + <usize>frame) & STATE_CONTENT) != 0)) return 1 + frame;
    if (has) ++written;
  }
  assert(BLOCK_SIZE == PAGE_SIZE);
  return written == ram.written ? 0 : 1;
}
