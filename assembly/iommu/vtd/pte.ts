// Second-stage page-table entries as the hardware has them (Intel VT-d architecture specification, section 9.8), declared
// once for the core and, through src/iommu, for the host.
//
//    63  62..52   51..12          11   10..8  7   6..2  1  0
//   | - | ign.  | address / frame | SNP |  -  | PS |  -  | W | R |
//
// A table is 512 entries of 8 bytes. Level 1 holds 4 KiB leaves; PS at level 2 and 3 makes a leaf of 2 MiB and 1 GiB.

import { TABLE_WINDOW } from '../tables';

export const PTE_READ: u64 = 1;
export const PTE_WRITE: u64 = 2;
/** Either bit makes an entry present. */
export const PTE_PRESENT: u64 = 3;
export const PTE_LARGE: u64 = 0x80;
export const PTE_SNOOP: u64 = 0x800;
export const PTE_ADDRESS: u64 = 0x000ffffffffff000;

/** Bits of the pfn that each level decodes. */
export const LEVEL_STRIDE: u32 = 9;
export const TABLE_ENTRIES: u32 = 512;
export const TABLE_MASK: u32 = 511;

// @ts-ignore: decorator
@inline
export function tableEntry(table: usize): u64 {
  return TABLE_WINDOW | <u64>table | PTE_PRESENT;
}

/** The table that a pointer entry leads to. */
// @ts-ignore: decorator
@inline
export function tableOf(entry: u64): usize {
  return <usize>entry & 0xfffff000;
}

/** Pages that one entry of a level spans, as a shift: 0, 9, 18, 27, 36. */
// @ts-ignore: decorator
@inline
export function levelShift(level: u32): u32 {
  return (level - 1) * LEVEL_STRIDE;
}

// @ts-ignore: decorator
@inline
export function indexAt(pfn: u64, level: u32): u32 {
  return <u32>(pfn >> levelShift(level)) & TABLE_MASK;
}

// @ts-ignore: decorator
@inline
export function slotAt(table: usize, pfn: u64, level: u32): usize {
  return table + (<usize>indexAt(pfn, level) << 3);
}
