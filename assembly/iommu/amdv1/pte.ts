import { PAGE_SHIFT } from '../../ram/ram';
// Entries of AMD's v1 page tables (AMD I/O Virtualization Technology Specification, section 2.2.3), host page tables of
// 512 entries of 8 bytes. Levels count from 1, the level of 4 KiB entries; the manual calls the level of the table that an
// entry leads to "next level".
//
//    63  62   61   60   59   58..52   51..12           11..9       8..1   0
//   | - | IW | IR | FC | U  |   -    | address / page | next level |  -  | PR |
//
// Next level 0 is a page of the level's default size, 1 to 6 a table of that level, 7 a page of another size. Such a page
// of 2^s bytes fills 2^((s - 12) mod 9) slots in sequence with the same entry. Its size is in the address: below the page
// size all bits are ones but the uppermost of them. So the lowest zero bit from bit 12 on is bit s - 1.
//
//   8 KiB   ...0        64 KiB  ...0111      4 MiB (level 2)  ...0 1 1111 1111

export const PTE_PRESENT: u64 = 1;
export const PTE_FORCE_COHERENT: u64 = (<u64>1) << 60;
export const PTE_READ: u64 = (<u64>1) << 61;
export const PTE_WRITE: u64 = (<u64>1) << 62;
export const PTE_ADDRESS: u64 = 0x000ffffffffff000;

const NEXT_LEVEL_SHIFT: u64 = 9;
/** Next level of a page whose size is not its level's. */
export const NEXT_LEVEL_SIZED: u32 = 7;

/** Most levels (PAGE_MODE_6_LEVEL) and those of a new domain. */
export const MAX_MODE: u32 = 6;
export const FIRST_MODE: u32 = 3;
const LEVEL_STRIDE: u32 = 9;
export const TABLE_ENTRIES: u32 = 512;

// @ts-ignore: decorator
@inline
export function isPresent(entry: u64): bool {
  return (entry & PTE_PRESENT) != 0;
}

// @ts-ignore: decorator
@inline
export function nextLevel(entry: u64): u32 {
  return <u32>(entry >> NEXT_LEVEL_SHIFT) & 7;
}

/** The table that a pointer entry leads to: the window of tables begins at a multiple of 4 GiB. */
// @ts-ignore: decorator
@inline
export function tableOf(entry: u64): usize {
  return <usize>entry & 0xfffff000;
}

/** Whether an entry leads to a table. */
// @ts-ignore: decorator
@inline
export function isPointer(entry: u64): bool {
  const next = nextLevel(entry);
  return isPresent(entry) && next != 0 && next != NEXT_LEVEL_SIZED;
}

/** The entry that leads to a table of a level at a device address. */
// @ts-ignore: decorator
@inline
export function pointerEntry(address: u64, level: u32): u64 {
  return address | (<u64>level << NEXT_LEVEL_SHIFT) | PTE_PRESENT | PTE_READ | PTE_WRITE;
}

/** Bytes that an entry of a level spans, as a shift: 12, 21, 30, 39, 48, 57. */
// @ts-ignore: decorator
@inline
export function slotShift(level: u32): u32 {
  return 12 + (level - 1) * LEVEL_STRIDE;
}

// @ts-ignore: decorator
@inline
export function slotAt(table: usize, iova: u64, level: u32): usize {
  return table + (<usize>(<u32>(iova >> slotShift(level)) & (TABLE_ENTRIES - 1)) << 3);
}

/** Highest address below a root of a level: 39, 48, 57 bits, all 64 with six levels. */
// @ts-ignore: decorator
@inline
export function topOf(mode: u32): u64 {
  return mode == MAX_MODE ? 0xffffffffffffffff : ((<u64>1) << slotShift(mode + 1)) - 1;
}

/** Level whose entries hold pages of 2^shift bytes, and how many of them such a page fills, as a shift. */
// @ts-ignore: decorator
@inline
export function levelOfPage(shift: u32): u32 {
  return 1 + (shift - PAGE_SHIFT) / LEVEL_STRIDE;
}

// @ts-ignore: decorator
@inline
export function slotsShift(shift: u32): u32 {
  return (shift - PAGE_SHIFT) % LEVEL_STRIDE;
}

/** The entry of a page of 2^shift bytes (PAGE_SIZE_PTE). An address above bit 51 stays in an entry of the default size. */
// @ts-ignore: decorator
@inline
export function leafEntry(phys: u64, shift: u32, flags: u64): u64 {
  if (slotsShift(shift) == 0) return phys | flags;
  const below = ((<u64>1) << shift) - 1;
  const address = (phys | below) & ~((<u64>1) << (shift - 1));
  return (address & PTE_ADDRESS) | (<u64>NEXT_LEVEL_SIZED << NEXT_LEVEL_SHIFT) | flags;
}

/** Size of the page that an entry of a level maps, as a shift (PTE_PAGE_SIZE). */
// @ts-ignore: decorator
@inline
export function leafShift(entry: u64, level: u32): u32 {
  return nextLevel(entry) == NEXT_LEVEL_SIZED ? 1 + <u32>ctz(~(entry & PTE_ADDRESS) >> PAGE_SHIFT << PAGE_SHIFT) : slotShift(level);
}

/** First slot of the aligned set that a page of 2^shift bytes fills. */
// @ts-ignore: decorator
@inline
export function firstSlot(slot: usize, shift: u32): usize {
  return slot & ~((<usize>8 << slotsShift(shift)) - 1);
}
