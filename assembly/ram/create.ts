import { EINVAL, ENOMEM } from '../memory/errno';
import { blockAlloc, blockAllocZeroed, blockOrder } from '../memory/block';
import { Context } from '../memory/context';
import { FIRMWARE_END, FRAGMENTATION_WHOLE, FRAMES_MAX, FRAMES_MIN, HIGH_START, LOW_END_MAX, Ram } from './ram';
import { freeRange } from './range';

/**
 * Makes the machine's RAM.
 * @param pages FRAMES_MIN to FRAMES_MAX frames of 4 KiB; those beyond 3 GiB are above 4 GiB
 * @param fragmentation share of 4 MiB blocks handed out shuffled, 0 to FRAGMENTATION_WHOLE
 * @returns 0, -EINVAL for an invalid size, -ENOMEM
 */
export function ramCreate(ctx: Context, pages: u32, fragmentation: u32, seed: u32): i32 {
  if (pages < FRAMES_MIN || pages > FRAMES_MAX || fragmentation > FRAGMENTATION_WHOLE) return EINVAL;
  const at = blockAllocZeroed(ctx, 0);
  if (at == 0) return ENOMEM;
  const ram = changetype<Ram>(at);
  ram.lowEnd = min(pages, LOW_END_MAX);
  ram.highEnd = HIGH_START + (pages - ram.lowEnd);
  ram.hole = HIGH_START - ram.lowEnd;
  ram.frames = pages;
  ram.fragmentation = fragmentation;
  ram.random = seed == 0 ? 0x9e3779b9 : seed;
  ram.lists = at + 256;
  ram.states = blockAllocZeroed(ctx, blockOrder(pages));
  ram.links = blockAlloc(ctx, blockOrder(<usize>pages << 3));
  ram.contents = blockAllocZeroed(ctx, blockOrder(((<usize>pages >> 10) + 1) << 2));
  if (ram.states == 0 || ram.links == 0 || ram.contents == 0) return ENOMEM;
  ctx.ram = at;
  ram.managed = pages - FIRMWARE_END;
  freeRange(ram, FIRMWARE_END, ram.lowEnd);
  freeRange(ram, HIGH_START, ram.highEnd);
  return 0;
}
