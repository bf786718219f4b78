// A GPU address space, global or per process (struct i915_address_space).

import { PAGE_MASK, PAGE_SHIFT } from '../ram/ram';
import { EINVAL, ERANGE } from '../memory/errno';
import { Context } from '../memory/context';
import { DmaDevice } from '../device/device';
import { fieldOf } from '../memory/record';
import { SgTable } from '../sg/sg-table';
import { DevicePage } from './device-page';
import { Mm } from './drm-mm-node';
import { PteSource, sourcePages } from './fill';
import { pteFlags } from './pte';

export const VM_GGTT: u32 = 1;
export const VM_PPGTT: u32 = 2;

/** The record begins with the source of the insert that is under way. */
// @ts-ignore: decorator
@unmanaged
export class GpuVm extends PteSource {
  ctx: Context;
  kind: u32;
  /** The DmaDevice that walks the tables. */
  device: DmaDevice;
  /** Its range manager. */
  mm: Mm | null;
  /** Bytes of address space. */
  total: u64;
  /** Next address space of the same kind (gtt.ts). */
  next: GpuVm | null;
  /** The page that every unused entry leads to: the fields of a DevicePage. */
  scratchAddress: u64;
  scratchBytes: usize;
  scratchPfn: u32;
  /** A valid entry for it, cached (LLC), as clear writes it. */
  scratchEntry: u64;
}

// @ts-ignore: decorator
@inline
export function scratchPage(vm: GpuVm): DevicePage {
  assert(offsetof<GpuVm>('scratchPfn') - offsetof<GpuVm>('scratchAddress') == offsetof<DevicePage>('pfn'));
  return changetype<DevicePage>(fieldOf(vm, offsetof<GpuVm>('scratchAddress')));
}

/** Whether `count` pages fit from `start` on in `limit` bytes: 0, -EINVAL for an address inside a page, or -ERANGE. */
export function checkRange(start: u64, count: u64, limit: u64): i32 {
  if (start > limit) return ERANGE;
  if ((start & PAGE_MASK) != 0) return EINVAL;
  return count > (limit - start) >> PAGE_SHIFT ? ERANGE : 0;
}

/** Makes a table, or a view of it, the source of an insert. Returns entries to write, or -EINVAL when it is not mapped. */
export function sourceTable(vm: GpuVm, sgt: SgTable, pages: usize, count: u32, level: u32, flags: u32): i32 {
  const have = sourcePages(sgt);
  if (have == 0) return EINVAL;
  if (pages != 0) {
    if (sgt.pfns == 0 || sgt.offset != 0) return EINVAL;
    for (let i: usize = 0; i < <usize>count; ++i) {
      if (load<u32>(pages + (i << 2)) >= have) return EINVAL;
    }
  }
  vm.bits = pteFlags(vm.platform, level, flags);
  vm.sgt = sgt;
  vm.pages = pages;
  return <i32>(pages != 0 ? count : have);
}

/** Makes a range of DMA addresses the source. Returns 0, or -EINVAL for an address inside a page. */
export function sourceRange(vm: GpuVm, address: u64, level: u32, flags: u32): i32 {
  if ((address & PAGE_MASK) != 0) return EINVAL;
  vm.bits = pteFlags(vm.platform, level, flags);
  vm.sgt = null;
  vm.address = address;
  return 0;
}

/** The range manager of an address space. */
export function vmMm(vm: GpuVm): Mm {
  return vm.mm!;
}
