// Streaming mappings as C made them: which bytes of the CPU's belong to a device. Map and sync_for_device give them to
// it, unmap and sync_for_cpu take them back. Between the two a device that may write them has them for itself; one that only
// reads them leaves reading to the CPU.
//
// A record is found by the device's address, which unmap and sync give, and by the frame, which an access or a free gives.
// Records exist only while the CPU's accesses are checked.

import { Context, cpuOf } from '../memory/context';
import { addressOf, fieldOf } from '../memory/record';
import { slabAlloc, slabCacheAt, slabFree } from '../memory/slab';
import { DmaDevice } from '../device/device';
import { DMA_ATTR_SKIP_CPU_SYNC, DMA_TO_DEVICE } from '../device/mapping';
import { contentsPeek } from '../ram/contents';
import { PAGE_SHIFT, PAGE_SIZE, PAGE_MASK } from '../ram/ram';
import { hostReport } from './host';
import { REPORT_FREE_MAPPED, shadowDisown, shadowOwn } from './shadow';
import { DriverState, HASH_SLOTS, UNIT_VMALLOC, driverState, ramOf, watching } from './state';

// @ts-ignore: decorator
@unmanaged
export class Mapping {
  addressNext: usize;
  frameNext: usize;
  /** Next of the same list; the list's record finds them by it, not by address. */
  listNext: usize;
  device: usize;
  dma: u64;
  phys: u64;
  /** C's address of the first byte, 0 where the frame has none. */
  cpu: usize;
  length: u32;
  dir: u32;
  /** MAPPING_ flags. */
  flags: u32;
  /** Where it was made: what C wrote to the CPU's register. */
  site: u32;
  pad: u32;
}

/** The device has it, all of it. */
const MAPPING_OWNED: u32 = 1;
/** Of a list: not in the table by address. */
const MAPPING_LISTED: u32 = 2;
/** Its memory was freed under it, which was told: what is allocated there next has nothing to do with it. */
const MAPPING_STALE: u32 = 4;

// @ts-ignore: decorator
@inline
function addressSlot(dma: u64): usize {
  return driverState().byAddress + (<usize>((dma >> PAGE_SHIFT) & <u64>(HASH_SLOTS - 1)) << 2);
}

// @ts-ignore: decorator
@inline
function frameSlot(pfn: u64): usize {
  return driverState().byFrame + (<usize>(pfn & <u64>(HASH_SLOTS - 1)) << 2);
}

/** Pages that a mapping touches. */
function span(phys: u64, length: u32): u32 {
  return <u32>(((phys & <u64>(PAGE_SIZE - 1)) + length + PAGE_SIZE - 1) >> PAGE_SHIFT);
}

/**
 * A mapping was made.
 * @param listed it belongs to a list
 * @returns its record, 0 when there is none
 */
export function mappingAdd(dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32, dma: u64, listed: bool): usize {
  const state = driverState();
  const ctx = changetype<Context>(dev.ctx);
  const cache = slabCacheAt<Mapping>(ctx, fieldOf(state, offsetof<DriverState>('mappingCache')), offsetof<Mapping>());
  const mapping: Mapping | null = cache == null ? null : slabAlloc(cache);
  if (mapping == null) return 0;
  const at = addressOf(mapping);
  mapping.device = changetype<usize>(dev);
  mapping.dma = dma;
  mapping.phys = phys;
  mapping.length = length;
  mapping.dir = dir;
  mapping.flags = listed ? MAPPING_LISTED : 0;
  mapping.site = cpuOf(ctx).site;
  mapping.listNext = 0;
  const bytes = contentsPeek(ramOf(), <u32>(phys >> PAGE_SHIFT));
  mapping.cpu = bytes == 0 ? 0 : bytes + <usize>(phys & <u64>(PAGE_SIZE - 1));
  state.widest = max(state.widest, span(phys, length));
  if (!listed) {
    const slot = addressSlot(dma);
    mapping.addressNext = load<u32>(slot);
    store<u32>(slot, <u32>at);
  }
  const slot = frameSlot(phys >> PAGE_SHIFT);
  mapping.frameNext = load<u32>(slot);
  store<u32>(slot, <u32>at);
  if ((attrs & DMA_ATTR_SKIP_CPU_SYNC) == 0) mappingGive(mapping, 0, length);
  return at;
}

function unlink(slot: usize, at: usize, next: usize): void {
  let link = slot;
  while (<usize>load<u32>(link) != at) link = <usize>load<u32>(link) + next;
  store<u32>(link, load<u32>(at + next));
}

/** A mapping has ended. */
export function mappingEnd(at: usize): void {
  const mapping = changetype<Mapping>(at);
  if ((mapping.flags & MAPPING_LISTED) == 0) unlink(addressSlot(mapping.dma), at, offsetof<Mapping>('addressNext'));
  unlink(frameSlot(mapping.phys >> PAGE_SHIFT), at, offsetof<Mapping>('frameNext'));
  mapping.flags &= ~MAPPING_OWNED;
  mappingTake(mapping, 0, mapping.length);
  slabFree(driverState().mappingCache!, mapping);
}

/** The mapping of a device that holds an address, the one that begins there first; 0 without. */
export function mappingFind(dev: DmaDevice, dma: u64): usize {
  for (let back: u64 = 0, most = <u64>driverState().widest; back < most; ++back) {
    let at: usize = load<u32>(addressSlot(dma - (back << PAGE_SHIFT)));
    let inside: usize = 0;
    for (; at != 0; at = changetype<Mapping>(at).addressNext) {
      const mapping = changetype<Mapping>(at);
      if (mapping.device != changetype<usize>(dev)) continue;
      if (mapping.dma == dma) return at;
      if (dma - mapping.dma < <u64>mapping.length) inside = at;
    }
    if (inside != 0) return inside;
  }
  return 0;
}

/** Gives a range of a mapping to the device. */
export function mappingGive(mapping: Mapping, offset: u32, length: u32): void {
  if (offset == 0 && length >= mapping.length) mapping.flags |= MAPPING_OWNED;
  walk(mapping, mapping.phys + offset, min(length, mapping.length - offset), true);
}

/** Takes a range of a mapping from the device. */
export function mappingTake(mapping: Mapping, offset: u32, length: u32): void {
  mapping.flags &= ~MAPPING_OWNED;
  walk(mapping, mapping.phys + offset, min(length, mapping.length - offset), false);
}

function walk(mapping: Mapping, phys: u64, n: u32, give: bool): void {
  const writes = mapping.dir != DMA_TO_DEVICE;
  const ram = ramOf();
  while (n != 0) {
    const offset = <u32>phys & (PAGE_SIZE - 1);
    const part = min(n, PAGE_SIZE - offset);
    const bytes = contentsPeek(ram, <u32>(phys >> PAGE_SHIFT));
    if (bytes != 0) {
      if (give) shadowOwn(bytes + offset, part, writes);
      else if (shadowDisown(bytes + offset, part)) restore(phys, part);
    }
    phys += part;
    n -= part;
  }
}

/** Other mappings that own bytes of granules that were just taken from one get them back. */
function restore(phys: u64, n: u32): void {
  const from = phys & ~7;
  const end = (phys + n + 7) & ~7;
  const ram = ramOf();
  for (let back: u64 = 0, most = <u64>driverState().widest; back < most; ++back) {
    let at: usize = load<u32>(frameSlot((phys >> PAGE_SHIFT) - back));
    for (; at != 0; at = changetype<Mapping>(at).frameNext) {
      const mapping = changetype<Mapping>(at);
      if ((mapping.flags & MAPPING_OWNED) == 0) continue;
      const lo = max(mapping.phys, from);
      const hi = min(mapping.phys + mapping.length, end);
      if (lo >= hi) continue;
      const bytes = contentsPeek(ram, <u32>(lo >> PAGE_SHIFT));
      shadowOwn(bytes + <usize>(lo & <u64>(PAGE_SIZE - 1)), <usize>(hi - lo), mapping.dir != DMA_TO_DEVICE);
    }
  }
}

// Physical address of a byte of C's, or 0.
function physOf(address: usize): u64 {
  const state = driverState();
  const pfn = load<u32>(state.unitFrames + (address >> PAGE_SHIFT << 2)) & ~UNIT_VMALLOC;
  return (<u64>pfn << PAGE_SHIFT) | <u64>(address & (PAGE_SIZE - 1));
}

function overlapping(phys: u64, n: u32, ownedOnly: bool, write: bool): usize {
  for (let back: u64 = 0, most = <u64>driverState().widest; back < most; ++back) {
    let at: usize = load<u32>(frameSlot((phys >> PAGE_SHIFT) - back));
    for (; at != 0; at = changetype<Mapping>(at).frameNext) {
      const mapping = changetype<Mapping>(at);
      if (mapping.phys >= phys + n || phys >= mapping.phys + mapping.length) continue;
      if ((mapping.flags & MAPPING_STALE) != 0) continue;
      if (!ownedOnly) return at;
      if (mapping.dir == DMA_TO_DEVICE && !write) continue;
      return at;
    }
  }
  return 0;
}

/** The mapping that forbids the CPU to read, or to write, bytes [at, stop) of one page; 0 without. */
export function mappingAt(at: usize, stop: usize, write: bool): usize {
  return overlapping(physOf(at), <u32>(stop - at), true, write);
}

/** Memory of C's is about to be freed: says so when a device still has a mapping of some of it. */
export function gd_check_free(address: usize, n: u32): void {
  if (!watching()) return;
  for (let end = address + n; address < end; ) {
    const part = min<usize>(end - address, <usize>PAGE_SIZE - (address & <usize>PAGE_MASK));
    const found = overlapping(physOf(address), <u32>part, false, false);
    if (found != 0) {
      const mapping = changetype<Mapping>(found);
      mapping.flags |= MAPPING_STALE;
      hostReport(
        REPORT_FREE_MAPPED, address, n, 0, mapping.cpu, mapping.length, mapping.dma, mapping.dir, mapping.site,
      );
      return;
    }
    address += part;
  }
}
