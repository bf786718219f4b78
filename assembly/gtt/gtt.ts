// gtt/ has the GPU's address spaces: their ranges and page tables.
//
//   drm-mm    ranges of an address space: placement, reservation, eviction scan
//   pte       the entries' bits, for each generation of hardware
//   ggtt      the global table: one array of entries in the device, shared by all contexts
//   ppgtt     a context's own tables: pages of RAM that the device reaches through DMA mappings like any other memory
//   translate the GPU's walk, from a GPU address to the byte
//   state     the room's record, made at the first use

import { Context } from '../memory/context';
import { addressOf } from '../memory/record';
import { mmCheck } from './drm-mm-check';
import { Ggtt } from './ggtt';
import { Ppgtt } from './ppgtt';
import { gttOf } from './state';
import { ggttCheck, ppgttCheck } from './tables-check';

/**
 * Walks every range manager and every table of the machine.
 * @returns 0, or what is wrong: the code of drm-mm-check.ts or tables-check.ts in bits 3..0, above them the offset of the
 *   manager or address space without its low byte
 */
export function gttCheck(ctx: Context): u32 {
  if (ctx.gtt == 0) return 0;
  const state = gttOf(ctx);
  for (let mm = state.mms; mm != null; mm = mm!.nextMm) {
    const wrong = mmCheck(mm);
    if (wrong != 0) return code(addressOf(mm), wrong);
  }
  for (let vm = state.ggtts; vm != null; vm = vm!.next) {
    const wrong = ggttCheck(changetype<Ggtt>(vm));
    if (wrong != 0) return code(addressOf(vm), wrong);
  }
  for (let vm = state.ppgtts; vm != null; vm = vm!.next) {
    const wrong = ppgttCheck(changetype<Ppgtt>(vm));
    if (wrong != 0) return code(addressOf(vm), wrong);
  }
  return 0;
}

function code(at: usize, wrong: u32): u32 {
  return ((<u32>at >> 4) & ~15) | wrong;
}
