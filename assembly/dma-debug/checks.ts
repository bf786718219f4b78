// Every verdict of the checker by number; src/dma-debug/checks.ts has the names, in the same order. The numbers are
// stable: traces and reports hold them.

// The kernel's own checks (kernel/dma/debug.c).
export const CHECK_UNMAP_INVALID: u32 = 1;
export const CHECK_UNMAP_UNKNOWN: u32 = 2; // address, size
export const CHECK_UNMAP_SIZE: u32 = 3; // address, size = as mapped, a = as unmapped
export const CHECK_UNMAP_TYPE: u32 = 4; // address, size, d = mapped as, e = unmapped as
export const CHECK_UNMAP_CPUADDR: u32 = 5; // address, size, a = physical address allocated, b = freed
export const CHECK_UNMAP_SGCOUNT: u32 = 6; // d = map count, e = unmap count
export const CHECK_UNMAP_DIR: u32 = 7; // address, size, d = mapped, e = unmapped
export const CHECK_UNMAP_UNCHECKED: u32 = 8; // address, size, d = mapped as
export const CHECK_SYNC_UNKNOWN: u32 = 9; // address, size
export const CHECK_SYNC_RANGE: u32 = 10; // address and size of the mapping, a = size synced
export const CHECK_SYNC_DIR: u32 = 11; // address, size of the mapping, d = mapped, e = synced
export const CHECK_SYNC_RO_FOR_CPU: u32 = 12; // same
export const CHECK_SYNC_WO_FOR_DEV: u32 = 13; // same
export const CHECK_SYNC_SGCOUNT: u32 = 14; // d = map count, e = sync count
export const CHECK_MAP_STACK: u32 = 15; // address = physical
export const CHECK_MAP_TEXT: u32 = 16; // address = physical, size
export const CHECK_MAP_INVALID: u32 = 17; // address, size
export const CHECK_MAP_VMALLOC: u32 = 18; // address, size
export const CHECK_SEG_LEN: u32 = 19; // size = length, a = max
export const CHECK_SEG_BOUNDARY: u32 = 20; // address = start, size, a = end, b = boundary mask
export const CHECK_CACHELINE_OVERLAP: u32 = 21; // address, size; a = cacheline
export const CHECK_CACHELINE_OVERFLOW: u32 = 22; // a = cacheline, d = limit
export const CHECK_CPU_TOUCH: u32 = 23; // a = cacheline
export const CHECK_LEAK_ON_UNBIND: u32 = 24; // d = count; the example is the entry
export const CHECK_OOM_DISABLED: u32 = 25;
export const CHECK_CACHELINE_ENOMEM: u32 = 26;
export const CHECK_POOL_GROWN: u32 = 27; // d = total entries
export const CHECK_REJECT_VMALLOC: u32 = 28; // the DMA API's own refusal

// What the kernel cannot say: gemdma's own, all reported at the call that does the damage.
export const CHECK_DOUBLE_MAP: u32 = 64; // address, size = new range; entry = a live mapping of the same table
export const CHECK_ADDRESS_OVERWRITTEN: u32 = 65; // address, size = new range; entry = the mapping nobody can reach any more
export const CHECK_FREED_WHILE_MAPPED: u32 = 66; // address = physical, size; entry = the mapping that still reaches it
export const CHECK_OBJECT_GONE: u32 = 67; // d = object; entry = its mapping
export const CHECK_STALE_PTE: u32 = 68; // address, size unmapped; d = GPU bindings that still point there
export const CHECK_UNMAP_MAPPED_COUNT: u32 = 69; // d = original count, e = mapped count that was given
export const CHECK_LINK_OVERLAP: u32 = 70; // address, size linked; entry = a live link there
export const CHECK_LINK_OUTSIDE: u32 = 71; // address, size linked; entry = the reservation that is too short, if any
export const CHECK_LINKS_LEFT: u32 = 72; // address, size of the space given back; d = links; entry = the reservation
export const CHECK_RANGE_LEFT: u32 = 73; // size = bytes in all; d = reservations, e = links in them; entry = one of them

export const CHECK_OWN_FIRST: u32 = 64;
export const CHECK_LIMIT: u32 = 96;
