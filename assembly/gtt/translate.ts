// Translation of GPU addresses.
//
// The global GTT's entries are in the device. A PPGTT's tables are in RAM: the device reads each entry by an access that the IOMMU
// translates, or blocks and records. A directory of gen6 is in the device, in the global GTT's table; gen8 begins at the PDP
// registers.
//
//   GPU address -> entry (each level through the IOMMU) -> DMA address -> IOMMU -> frame -> byte

import { noteFailure } from '../device/failure';
import { EFAULT } from '../memory/errno';
import { DmaDevice } from '../device/device';
import { TRANSLATE_FAULT, deviceRead, deviceWrite, translate } from '../iommu/api/access';
import { fieldOf } from '../memory/record';
import { contentsPeek } from '../ram/contents';
import { PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, isRam, ramOf } from '../ram/ram';
import {
  REASON_GPU_BEYOND_RANGE, REASON_GPU_NOT_PRESENT, REASON_GPU_READ_ONLY, REASON_GPU_TABLE_UNREACHABLE, setReason,
} from '../memory/reason';
import { Ggtt, ggttSlot } from './ggtt';
import { levelEntries, levelShift } from './page-table';
import { PPGTT_GEN6, PPGTT_GEN8, Ppgtt, REGISTERS } from './ppgtt';
import { PLATFORM_BYT, isWide, pteAddress, pteValid } from './pte';
import { GpuVm, VM_GGTT } from './vm';

/** Bit 1 of an entry: may be written, where the platform has such a bit. */
const WRITEABLE: u64 = 2;
/** The result of a failed read of an entry. No entry has all bits set. */
const NO_ENTRY: u64 = 0xffffffffffffffff;

/** An entry of a table in RAM, as the device reads it: 8 bytes, or 4 of them. */
function fetch(vm: GpuVm, table: u64, index: u32): u64 {
  const wide = isWide(vm.platform);
  const phys = translate(vm.device, table + (<u64>index << (wide ? 3 : 2)), false);
  const ram = ramOf(vm.ctx);
  if (phys == TRANSLATE_FAULT || phys >> 44 != 0 || !isRam(ram, <u32>(phys >> PAGE_SHIFT))) return NO_ENTRY;
  const bytes = contentsPeek(ram, <u32>(phys >> PAGE_SHIFT));
  if (bytes == 0) return 0;
  const at = bytes + (<usize>phys & <usize>PAGE_MASK);
  return wide ? load<u64>(at) : <u64>load<u32>(at);
}

function fail(vm: GpuVm, reason: u32): u64 {
  setReason(vm.ctx, reason);
  noteFailure(vm.device);
  return TRANSLATE_FAULT;
}

/** The entry that maps an address, fetched level by level; NO_ENTRY with the reason set where that ends early. */
function walk(ppgtt: Ppgtt, address: u64): u64 {
  const platform = ppgtt.platform;
  let level: u32;
  let entry: u64;
  if (ppgtt.levels == PPGTT_GEN6) {
    level = 1;
    entry = load<u32>(ppgtt.root!.bytes + (<usize>(address >> levelShift(platform, 2)) << 2));
    if (!pteValid(entry)) return fail(ppgtt, REASON_GPU_NOT_PRESENT);
  } else if (ppgtt.levels == PPGTT_GEN8) {
    level = 2;
    entry = load<u64>(fieldOf(ppgtt, REGISTERS) + (<usize>(address >> 30) << 3));
  } else {
    level = 4;
    entry = ppgtt.registers0;
  }
  do {
    const index = <u32>(address >> levelShift(platform, level)) & (levelEntries(platform, level) - 1);
    entry = fetch(ppgtt, pteAddress(platform, entry), index);
    if (entry == NO_ENTRY) return fail(ppgtt, REASON_GPU_TABLE_UNREACHABLE);
    if (!pteValid(entry)) return fail(ppgtt, REASON_GPU_NOT_PRESENT);
  } while (--level != 0);
  return entry;
}

export function translateGpu(vm: GpuVm, address: u64, write: bool): u64 {
  if (address >= vm.total) return fail(vm, REASON_GPU_BEYOND_RANGE);
  const platform = vm.platform;
  let entry: u64;
  if (vm.kind == VM_GGTT) {
    const at = ggttSlot(changetype<Ggtt>(vm), address);
    entry = isWide(platform) ? load<u64>(at) : <u64>load<u32>(at);
    if (!pteValid(entry)) return fail(vm, REASON_GPU_NOT_PRESENT);
  } else {
    entry = walk(changetype<Ppgtt>(vm), address);
    if (entry == NO_ENTRY) return TRANSLATE_FAULT;
  }
  if (write && (isWide(platform) || platform == PLATFORM_BYT) && (entry & WRITEABLE) == 0) {
    return fail(vm, REASON_GPU_READ_ONLY);
  }
  return pteAddress(platform, entry) | (address & PAGE_MASK);
}

/**
 * The GPU reads n bytes at an address into linear memory.
 * @returns 0, or -EFAULT at the first page that it could not read; the pages before are read
 */
export function gpuRead(vm: GpuVm, address: u64, buffer: usize, n: u32): i32 {
  return access(vm, address, buffer, n, false);
}

/**
 * The GPU writes n bytes of linear memory to an address.
 * @returns 0; -EFAULT as gpuRead; -ENOMEM without memory for a frame's contents
 */
export function gpuWrite(vm: GpuVm, address: u64, buffer: usize, n: u32): i32 {
  return access(vm, address, buffer, n, true);
}

function access(vm: GpuVm, address: u64, buffer: usize, n: u32, write: bool): i32 {
  const device: DmaDevice = vm.device;
  while (n != 0) {
    const part = min(n, PAGE_SIZE - (<u32>address & <u32>PAGE_MASK));
    const dma = translateGpu(vm, address, write);
    if (dma == TRANSLATE_FAULT) return EFAULT;
    const rc = write ? deviceWrite(device, dma, buffer, part) : deviceRead(device, dma, buffer, part);
    if (rc < 0) return rc;
    address += part;
    buffer += part;
    n -= part;
  }
  return 0;
}
