// An entry: one mapped element (struct dma_debug_entry), and what is told of it.

import { DmaDevice } from '../../device/device';
import { cpuOf } from '../../memory/context';
import { addressOf } from '../../memory/record';
import { SgTable } from '../../sg/sg-table';
import { DebugState } from './state';

export const TYPE_SINGLE: u32 = 0;
export const TYPE_SG: u32 = 1;
export const TYPE_COHERENT: u32 = 2;
export const TYPE_RESOURCE: u32 = 3;
export const TYPE_PAGE: u32 = 4; // 2015; later kernels know single only
export const TYPE_NONCOHERENT: u32 = 5;
/** From here on no kernel's: what was linked into reserved address space, and such space itself (links.ts). */
export const TYPE_LINK: u32 = 6;
export const TYPE_RANGE: u32 = 7;

// map_err_type, in Entry.checked; 0 does not apply.
export const UNCHECKED: u32 = 1;
export const CHECKED: u32 = 2;
/** Besides: unmapping it takes a look at more than every entry has (coherent memory). */
export const LOOK_COHERENT: u32 = 4;
/** Besides: GPU bindings point at it. */
export const LOOK_BOUND: u32 = 8;

// What ENTRY_LINE and ENTRY_COUNTED add to the two counts of a frame follows from where they are.
export const LINE_BIT: u32 = 2;
export const COUNTED_BIT: u32 = 1;
/** Its address is in nobody's hands any more: overwritten in its table, or its object or owner is gone. */
export const ENTRY_LOST: u32 = 1;
/** Its one frame is counted in DebugState.frames, together with its cacheline (cacheline.ts). */
export const ENTRY_COUNTED: u32 = 1 << COUNTED_BIT;
/** Its first cacheline is active (not a to-device mapping). */
export const ENTRY_LINE: u32 = 1 << LINE_BIT;
/** Its frames are counted, as the table that it is all of has them. */
export const ENTRY_SCATTERED: u32 = 8;
/** It is on the list of entries whose pages are counted only when somebody frees pages (pages.ts). */
export const ENTRY_UNINDEXED: u32 = 16;
/** Its frames are counted, as the IOMMU's page tables have them. */
export const ENTRY_WALKED: u32 = 32;
/** It is counted with its object (DebugState.objects). */
export const ENTRY_OBJECT: u32 = 64;
/** It is on its table's list. */
export const ENTRY_LISTED: u32 = 128;
/** Its frames, one piece of RAM, are counted (pages.ts). */
export const ENTRY_RUN: u32 = 256;
/** Its frames are known in any of the ways above. */
export const ENTRY_PAGES: u32 = ENTRY_COUNTED | ENTRY_RUN | ENTRY_SCATTERED | ENTRY_UNINDEXED | ENTRY_WALKED;

// @ts-ignore: decorator
@unmanaged
export class Entry {
  next: Entry | null;
  /** Of the first of a chain: the last. */
  tail: Entry;
  address: u64;
  size: u64;
  phys: u64;
  /** type | direction << 8: what a best match compares in one go. Four words that lie in pairs, each pair one store. */
  kind: u32;
  device: DmaDevice;
  sgCallEnts: u32;
  /** UNCHECKED, CHECKED, LOOK_* */
  checked: u32;
  sgMappedEnts: u32;
  /** ENTRY_* */
  flags: u32;
  sequence: u32;
  /** Where the counts of its first frame are if it has raised them in one go (cacheline.ts), else 0. */
  pair: usize;
  // What follows is in the second cache line.
  /** Who mapped it, from the Cpu's registers. */
  object: u32;
  vma: u32;
  hook: u32;
  site: u32;
  time: u64;
  /** GPU bindings whose PTEs point here. */
  bindings: u32;
  sgt: SgTable | null;
  sgNext: Entry | null;
  sgPrevious: Entry | null;
  lazyNext: Entry | null;
  lazyPrevious: Entry | null;
}

export const ENTRY_SIZE: usize = 128;
// @ts-ignore: decorator
@inline
export function kindOf(type: u32, direction: u32): u32 {
  return type | (direction << 8);
}

/**
 * Fills in what every entry has, and who is calling.
 * @param checked UNCHECKED, CHECKED, LOOK_*; pair Entry.pair
 */
// @ts-ignore: decorator
@inline
export function entryFill(
  state: DebugState, entry: Entry, device: DmaDevice, address: u64, size: u64, phys: u64, kind: u32, ents: u32, mapped: u32,
  checked: u32, pair: usize,
): void {
  const at = addressOf(entry);
  const ctx = state.ctx;
  entry.address = address;
  entry.size = size;
  entry.phys = phys;
  store<u64>(at, <u64>kind | (<u64>addressOf(device) << 32), offsetof<Entry>('kind'));
  store<u64>(at, <u64>ents | (<u64>checked << 32), offsetof<Entry>('sgCallEnts'));
  entry.sgMappedEnts = mapped;
  entry.pair = pair;
  entry.sequence = ++state.sequence;
  entry.time = ctx.now;
  // object, vma, hook and site lie side by side in both records.
  v128.store(at, v128.load(addressOf(cpuOf(ctx))), offsetof<Entry>('object'));
}

/** What of an entry is not as asked for, or wants more than a look; 0 for nearly every entry that is looked up. */
// @ts-ignore: decorator
@inline
export function unlike(entry: Entry, device: DmaDevice, address: u64, size: u64, kind: u32, ents: u32): u64 {
  const at = addressOf(entry);
  const asked = <u64>kind | (<u64>addressOf(device) << 32);
  return (load<u64>(at, offsetof<Entry>('address')) ^ address) | (load<u64>(at, offsetof<Entry>('size')) ^ size)
    | (load<u64>(at, offsetof<Entry>('kind')) ^ asked)
    | ((load<u64>(at, offsetof<Entry>('sgCallEnts')) ^ <u64>ents) & ~(<u64>CHECKED << 32));
}

/** Type of an entry as this kernel has it: since 4.20 a page is a single mapping. */
// @ts-ignore: decorator
@inline
export function typeOf(state: DebugState, type: u32): u32 {
  return type == TYPE_PAGE ? state.pageType : type;
}
