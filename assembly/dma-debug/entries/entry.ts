// The record of a mapped element (struct dma_debug_entry).

import { DmaDevice } from '../../device/device';
import { cpuOf } from '../../memory/context';
import { addressOf } from '../../memory/record';
import { SgTable } from '../../sg/sg-table';
import { DebugState } from './state';

export const TYPE_SINGLE: u32 = 0;
export const TYPE_SG: u32 = 1;
export const TYPE_COHERENT: u32 = 2;
export const TYPE_RESOURCE: u32 = 3;
export const TYPE_PAGE: u32 = 4; // 2015; later kernels have single only
export const TYPE_NONCOHERENT: u32 = 5;
// Types from here on are ours: no kernel counts, finds or prints their entries (isOwn).
const FIRST_OWN_TYPE: u32 = 6;
/** Memory linked into reserved address space, and the reservation (links/records.ts). */
export const TYPE_LINK: u32 = 6;
export const TYPE_RANGE: u32 = 7;
/** Pages that an unmap with too small a size has left mapped (remainder.ts). */
export const TYPE_REMAINDER: u32 = 8;

// Entry.unmapFlags: what an unmap has to know of an entry besides its fields. An unmap of an entry that has none of these, or
// UNMAP_CHECKED alone, needs no check that its fields do not decide (unlike).
/** Its map_err_type: dma_mapping_error was not called yet, or was. Neither where that does not apply. */
export const UNMAP_UNCHECKED: u32 = 1;
export const UNMAP_CHECKED: u32 = 2;
/** It is coherent memory, whose CPU address is compared when it is freed. */
export const UNMAP_COHERENT: u32 = 4;
/** GPU bindings point at it. */
export const UNMAP_BOUND: u32 = 8;

// The positions of ENTRY_LINE and ENTRY_COUNTED: linesIn and countedIn compute what they add to the two counts of a frame.
export const LINE_BIT: u32 = 2;
export const COUNTED_BIT: u32 = 1;
/** Its address is lost: it was overwritten in its table, or its object or driver is gone. */
export const ENTRY_LOST: u32 = 1;
/** Its one frame is counted in DebugState.frames, together with its cacheline (cacheline.ts). */
export const ENTRY_COUNTED: u32 = 1 << COUNTED_BIT;
/** Its first cacheline is active (not a to-device mapping). */
export const ENTRY_LINE: u32 = 1 << LINE_BIT;
/** Its frames are counted from its table; the entry is the whole table. */
export const ENTRY_SCATTERED: u32 = 8;
/** It is on the list of entries whose frames are counted when pages are freed (frames.ts). */
export const ENTRY_UNINDEXED: u32 = 16;
/** Its frames are counted from the IOMMU's page tables. */
export const ENTRY_WALKED: u32 = 32;
/** It is counted with its object (DebugState.objects). */
export const ENTRY_OBJECT: u32 = 64;
/** It is on its table's list. */
export const ENTRY_LISTED: u32 = 128;
/** Its frames are one run of RAM and counted (frames.ts). */
export const ENTRY_RUN: u32 = 256;
/** Its pages may be anywhere, and only the IOMMU's page tables tell where. */
export const ENTRY_TABLES_TELL: u32 = 512;
/** Its frames are counted, or are on that list. */
export const ENTRY_PAGES: u32 = ENTRY_COUNTED | ENTRY_RUN | ENTRY_SCATTERED | ENTRY_UNINDEXED | ENTRY_WALKED;

// @ts-ignore: decorator
@unmanaged
export class Entry {
  next: Entry | null;
  /** In the first entry of a chain: the last one. */
  tail: Entry;
  address: u64;
  size: u64;
  phys: u64;
  /** type | direction << 8. This and the next three words are stored and compared as two pairs. */
  kind: u32;
  device: DmaDevice;
  sgCallEnts: u32;
  /** UNMAP_* */
  unmapFlags: u32;
  sgMappedEnts: u32;
  /** ENTRY_* */
  flags: u32;
  sequence: u32;
  /** The pair of counts of its first frame if it has raised them by one store (cacheline.ts), else 0. */
  pair: usize;
  // The second cache line begins here.
  /** The caller that mapped it, from the CPU's registers. */
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

/** Entry.kind */
// @ts-ignore: decorator
@inline
export function kindOf(type: u32, direction: u32): u32 {
  return type | (direction << 8);
}

/** TYPE_* of a kind. */
// @ts-ignore: decorator
@inline
export function typeIn(kind: u32): u32 {
  return kind & 0xff;
}

/** DMA_* direction of a kind. */
// @ts-ignore: decorator
@inline
export function directionIn(kind: u32): u32 {
  return kind >> 8;
}

/** Whether an entry is ours: a link, a reservation, a remainder. The kernel's checks pass it over. */
// @ts-ignore: decorator
@inline
export function isOwn(entry: Entry): bool {
  return typeIn(entry.kind) >= FIRST_OWN_TYPE;
}

/**
 * Fills in the fields of every entry, and the caller.
 * @param unmapFlags UNMAP_*
 * @param pair Entry.pair
 */
// @ts-ignore: decorator
@inline
export function entryFill(
  state: DebugState, entry: Entry, device: DmaDevice, address: u64, size: u64, phys: u64, kind: u32, ents: u32, mapped: u32,
  unmapFlags: u32, pair: usize,
): void {
  const at = addressOf(entry);
  const ctx = state.ctx;
  entry.address = address;
  entry.size = size;
  entry.phys = phys;
  store<u64>(at, <u64>kind | (<u64>addressOf(device) << 32), offsetof<Entry>('kind'));
  store<u64>(at, <u64>ents | (<u64>unmapFlags << 32), offsetof<Entry>('sgCallEnts'));
  entry.sgMappedEnts = mapped;
  entry.pair = pair;
  entry.sequence = ++state.sequence;
  entry.time = ctx.now;
  // object, vma, hook and site are four adjacent words in both records.
  v128.store(at, v128.load(addressOf(cpuOf(ctx))), offsetof<Entry>('object'));
}

/** 0 if an entry agrees in all fields and needs no further check, which is the usual case. */
// @ts-ignore: decorator
@inline
export function unlike(entry: Entry, device: DmaDevice, address: u64, size: u64, kind: u32, ents: u32): u64 {
  const at = addressOf(entry);
  const asked = <u64>kind | (<u64>addressOf(device) << 32);
  return (load<u64>(at, offsetof<Entry>('address')) ^ address) | (load<u64>(at, offsetof<Entry>('size')) ^ size)
    | (load<u64>(at, offsetof<Entry>('kind')) ^ asked)
    | ((load<u64>(at, offsetof<Entry>('sgCallEnts')) ^ <u64>ents) & ~(<u64>UNMAP_CHECKED << 32));
}

/** The type that this kernel gives an entry: since 4.20 a page is a single mapping. */
// @ts-ignore: decorator
@inline
export function typeOf(state: DebugState, type: u32): u32 {
  return type == TYPE_PAGE ? state.pageType : type;
}
