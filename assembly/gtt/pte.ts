// What one entry of a GPU page table looks like, for each generation of the hardware.
//
//   gen6, gen7: 32 bits     31          12 11        4 3   1 0
//                          | phys 31:12   | 39:32     |cache|V|      Haswell: bits 10:4 = phys 38:32, bit 11 = cache bit 3
//
//   gen8: 64 bits           63   39 38        12  7   4   3   1  0
//                          |       | phys 38:12 |PAT|PCD|PWT|RW|V|
//
// A page directory's entries have the same address packing and bit 0; gen8's have bit 1 as well.

/** Hardware whose entries differ. */
export const PLATFORM_SNB: u32 = 0; // gen6, Sandy Bridge
export const PLATFORM_IVB: u32 = 1; // gen7, Ivy Bridge
export const PLATFORM_BYT: u32 = 2; // gen7, Bay Trail (Valley View)
export const PLATFORM_HSW: u32 = 3; // gen7.5, Haswell
export const PLATFORM_HSW_EDRAM: u32 = 4; // Haswell with eLLC
export const PLATFORM_GEN8: u32 = 5; // gen8 and later
export const PLATFORMS: u32 = 6;

/** enum i915_cache_level. */
export const CACHE_NONE: u32 = 0;
export const CACHE_LLC: u32 = 1;
export const CACHE_L3_LLC: u32 = 2;
export const CACHE_WT: u32 = 3;

/** Flag of an insert: the GPU may only read (Bay Trail alone can say so). */
export const PTE_READ_ONLY: u32 = 1;

const VALID: u32 = 1;
const BYT_WRITEABLE: u32 = 2;
const BYT_SNOOP: u32 = 4;
const GEN8_PRESENT_RW: u32 = 3;
const GEN8_UNCACHED: u32 = 0x18; // PWT | PCD
const GEN8_WRITE_THROUGH: u32 = 0x10; // PCD
const GEN8_CACHED: u32 = 0x80; // PAT

/** Haswell's cacheability control, four bits of which the highest lies apart. */
// @ts-ignore: decorator
@inline
function hswCacheability(code: u32): u32 {
  return ((code & 7) << 1) | ((code & 8) << 8);
}

/** Whether a platform's entries have 64 bits. */
// @ts-ignore: decorator
@inline
export function isWide(platform: u32): bool {
  return platform == PLATFORM_GEN8;
}

/** log2 of an entry's bytes. */
// @ts-ignore: decorator
@inline
export function entryShift(platform: u32): u32 {
  return platform == PLATFORM_GEN8 ? 3 : 2;
}

/** Where the address bits above 31 go in a 32-bit entry: bits 11:4, on Haswell 10:4. */
// @ts-ignore: decorator
@inline
export function highMask(platform: u32): u32 {
  return platform >= PLATFORM_HSW ? 0x7f0 : 0xff0;
}

/**
 * The bits of a valid entry apart from its address (snb_, ivb_, byt_, hsw_, iris_pte_encode, gen8_pte_encode).
 * A level that a platform does not have gives no cache bits, where the kernel warns.
 */
export function pteFlags(platform: u32, level: u32, flags: u32): u32 {
  switch (platform) {
    case PLATFORM_SNB:
      return VALID | (level == CACHE_NONE ? 2 : level == CACHE_WT ? 0 : 4);
    case PLATFORM_IVB:
      return VALID | (level == CACHE_NONE ? 2 : level == CACHE_LLC ? 4 : level == CACHE_L3_LLC ? 6 : 0);
    case PLATFORM_BYT:
      return VALID | ((flags & PTE_READ_ONLY) != 0 ? 0 : BYT_WRITEABLE) | (level == CACHE_NONE ? 0 : BYT_SNOOP);
    case PLATFORM_HSW:
      return VALID | (level == CACHE_NONE ? 0 : hswCacheability(2));
    case PLATFORM_HSW_EDRAM:
      return VALID | (level == CACHE_NONE ? 0 : hswCacheability(level == CACHE_WT ? 7 : 8));
    default:
      return GEN8_PRESENT_RW | (level == CACHE_NONE ? GEN8_UNCACHED : level == CACHE_WT ? GEN8_WRITE_THROUGH : GEN8_CACHED);
  }
}

/** A whole entry. */
export function pteEncode(platform: u32, address: u64, bits: u32): u64 {
  if (isWide(platform)) return address | bits;
  return <u64>(<u32>address & 0xfffff000) | ((<u32>(address >> 28)) & highMask(platform)) | bits;
}

/** The address in an entry. */
export function pteAddress(platform: u32, entry: u64): u64 {
  if (isWide(platform)) return entry & 0x000ffffffffff000;
  return (entry & 0xfffff000) | (<u64>(<u32>entry & highMask(platform)) << 28);
}

// @ts-ignore: decorator
@inline
export function pteValid(entry: u64): bool {
  return (entry & VALID) != 0;
}

/** An entry of a page directory, or of the levels above (gen6_write_pde, gen8_pde_encode with its cached, usual form). */
export function pdeEncode(platform: u32, address: u64): u64 {
  return pteEncode(platform, address, isWide(platform) ? GEN8_PRESENT_RW : VALID);
}
