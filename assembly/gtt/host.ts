// GPU address spaces and range managers for the host (memory/host.ts). An address that is none lies beyond all of them.

import { PAGE_SHIFT } from '../ram/ram';
import { DmaDevice } from '../device/device';
import { ERANGE, Made } from '../memory/errno';
import { Context } from '../memory/context';
import { fromHost, placeFromHost, toHost } from '../memory/host';
import { SgTable } from '../sg/sg-table';
import * as mm from './drm-mm';
import { Mm, MmNode } from './drm-mm-node';
import * as scan from './drm-mm-scan';
import * as ggtt from './ggtt';
import { Ggtt } from './ggtt';
import * as ppgtt from './ppgtt';
import { Ppgtt } from './ppgtt';
import { pteAddress, pteEncode, pteFlags } from './pte';
import * as gpu from './translate';
import { GpuVm } from './vm';

// ---- range managers

/** mmCreate. */
export function mmCreate(ctx: Context, start: f64, size: f64, flavour: u32, colorRule: u32): Made<Mm> {
  return mm.mmCreate(ctx, placeFromHost(start), placeFromHost(size), flavour, colorRule);
}

/** mmInsert. */
export function mmInsert(at: Mm, size: f64, alignment: f64, color: u32, lo: f64, hi: f64, mode: u32): Made<MmNode> {
  return mm.mmInsert(at, fromHost(size), fromHost(alignment), color, fromHost(lo), fromHost(hi), mode);
}

/** mmReserve. */
export function mmReserve(at: Mm, start: f64, size: f64, color: u32): Made<MmNode> {
  return mm.mmReserve(at, fromHost(start), fromHost(size), color);
}

/** mmScanInit. */
export function mmScanInit(at: Mm, size: f64, alignment: f64, color: u32, lo: f64, hi: f64, mode: u32): i32 {
  return scan.mmScanInit(at, fromHost(size), fromHost(alignment), color, fromHost(lo), fromHost(hi), mode);
}

export function mmNodeStart(node: MmNode): f64 {
  return toHost(node.start);
}

export function mmNodeSize(node: MmNode): f64 {
  return toHost(node.size);
}

/** Size of the hole behind a node, 0 for none. */
export function mmNodeHole(node: MmNode): f64 {
  return toHost(node.holeSize);
}

/** Size of the hole in front of the first node. */
export function mmHeadHole(at: Mm): f64 {
  return toHost(at.head.holeSize);
}

// ---- the global GTT

/** ggttCreate. */
export function ggttCreate(
  device: DmaDevice, platform: u32, total: f64, mappable: f64, flavour: u32, colorRule: u32,
): Made<Ggtt> {
  return ggtt.ggttCreate(device, platform, placeFromHost(total), placeFromHost(mappable), flavour, colorRule);
}

/** ggttInsert. */
export function ggttInsert(vm: Ggtt, start: f64, sgt: SgTable, level: u32, flags: u32): i32 {
  return ggtt.ggttInsert(vm, placeFromHost(start), sgt, level, flags);
}

/** ggttInsertPages. */
export function ggttInsertPages(
  vm: Ggtt, start: f64, sgt: SgTable, pages: usize, count: u32, level: u32, flags: u32,
): i32 {
  return ggtt.ggttInsertPages(vm, placeFromHost(start), sgt, pages, count, level, flags);
}

/** ggttInsertRange. */
export function ggttInsertRange(vm: Ggtt, start: f64, address: f64, count: u32, level: u32, flags: u32): i32 {
  return ggtt.ggttInsertRange(vm, placeFromHost(start), placeFromHost(address), count, level, flags);
}

/** ggttClear. */
export function ggttClear(vm: Ggtt, start: f64, count: u32): i32 {
  return ggtt.ggttClear(vm, placeFromHost(start), count);
}

/** ggttEntry; -ERANGE for a number beyond the table. */
export function ggttEntry(vm: Ggtt, index: u32): f64 {
  return <u64>index < vm.total >> PAGE_SHIFT ? toHost(ggtt.ggttEntry(vm, index)) : <f64>ERANGE;
}

export function ggttMappable(vm: Ggtt): f64 {
  return toHost(vm.mappable);
}

// ---- per-process GTTs

/** ppgttCreate. */
export function ppgttCreate(on: Ggtt, levels: u32, total: f64, flags: u32, flavour: u32): Made<Ppgtt> {
  return ppgtt.ppgttCreate(on, levels, placeFromHost(total), flags, flavour);
}

/** ppgttAllocRange. */
export function ppgttAllocRange(vm: Ppgtt, start: f64, length: f64): i32 {
  return ppgtt.ppgttAllocRange(vm, placeFromHost(start), placeFromHost(length));
}

/** ppgttInsert. */
export function ppgttInsert(vm: Ppgtt, start: f64, sgt: SgTable, level: u32, flags: u32): i32 {
  return ppgtt.ppgttInsert(vm, placeFromHost(start), sgt, level, flags);
}

/** ppgttInsertRange. */
export function ppgttInsertRange(vm: Ppgtt, start: f64, address: f64, count: u32, level: u32, flags: u32): i32 {
  return ppgtt.ppgttInsertRange(vm, placeFromHost(start), placeFromHost(address), count, level, flags);
}

/** ppgttClear. */
export function ppgttClear(vm: Ppgtt, start: f64, count: u32): i32 {
  return ppgtt.ppgttClear(vm, placeFromHost(start), count);
}

/** ppgttEntry; -ERANGE outside. */
export function ppgttEntry(vm: Ppgtt, address: f64): f64 {
  const at = placeFromHost(address);
  return at < vm.total ? toHost(ppgtt.ppgttEntry(vm, at)) : <f64>ERANGE;
}

/** ppgttRegister. */
export function ppgttRegister(vm: Ppgtt, index: u32): f64 {
  return toHost(ppgtt.ppgttRegister(vm, index));
}

// ---- any address space

export function vmTotal(vm: GpuVm): f64 {
  return toHost(vm.total);
}

/** DMA address of the scratch page. */
export function vmScratch(vm: GpuVm): f64 {
  return toHost(vm.scratchAddress);
}

/** The entry that stands for nothing bound. */
export function vmScratchEntry(vm: GpuVm): f64 {
  return toHost(vm.scratchEntry);
}

/**
 * What a GPU address leads to: the DMA address that the device will use for it.
 * @param vm a global GTT or a PPGTT
 * @returns the DMA address; -1 when there is none: beyond the address space, no valid entry, read-only, or a table that
 *   the IOMMU did not let the device read (lastReason tells, and the fault log)
 */
export function gpuTranslate(vm: GpuVm, address: f64, write: bool): f64 {
  return toHost(gpu.translateGpu(vm, placeFromHost(address), write));
}

/** gpuRead. */
export function gpuRead(vm: GpuVm, address: f64, buffer: usize, n: u32): i32 {
  return gpu.gpuRead(vm, placeFromHost(address), buffer, n);
}

/** gpuWrite. */
export function gpuWrite(vm: GpuVm, address: f64, buffer: usize, n: u32): i32 {
  return gpu.gpuWrite(vm, placeFromHost(address), buffer, n);
}

// ---- entries, which the host shows and checks

/** pteEncode with the flags of a cache level. */
export function gpuPteEncode(platform: u32, address: f64, level: u32, flags: u32): f64 {
  return toHost(pteEncode(platform, fromHost(address), pteFlags(platform, level, flags)));
}

/** pteAddress. */
export function gpuPteAddress(platform: u32, entry: f64): f64 {
  return toHost(pteAddress(platform, fromHost(entry)));
}
