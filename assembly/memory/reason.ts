// The reason of a failure, where an errno is not precise: the function that fails writes a code to Cpu.reason. src/core/reasons.ts
// maps codes to the stable identifiers of errors. The high byte is the subsystem:
//
//   0x01 iova   0x02 iommu   0x03 dma   0x04 sg   0x05 gtt   0x06 swiotlb   0x07 ram

import { Context, cpuOf } from './context';

export const REASON_NONE: u32 = 0;

export const REASON_IOVA_FULL: u32 = 0x100; // fewer pages are free below the limit than were asked for
export const REASON_IOVA_FRAGMENTED: u32 = 0x101; // enough pages are free below the limit, but no gap holds the request
export const REASON_IOVA_LIMIT: u32 = 0x102; // would not fit below the limit in an empty domain
export const REASON_IOVA_NO_MEMORY: u32 = 0x103; // no memory for the allocator's own records
export const REASON_IOVA_SKIPPED: u32 = 0x104; // a gap holds the request, but the kernel's search does not look there
export const REASON_IOVA_BUSY: u32 = 0x105; // a reservation would cut through ranges that the fast allocator shares out
export const REASON_IOMMU_MISALIGNED: u32 = 0x200; // an address or size that is not a multiple of 4 KiB
export const REASON_IOMMU_NO_PERMISSION: u32 = 0x201; // neither read nor write was asked for
export const REASON_IOMMU_BEYOND_WIDTH: u32 = 0x202; // past the last address of the domain
export const REASON_IOMMU_NO_TABLE_MEMORY: u32 = 0x203; // no page for a table
export const REASON_IOMMU_FAULT: u32 = 0x204; // the unit blocked a device's access; the fault log has the reason
export const REASON_IOMMU_NO_RAM: u32 = 0x205; // a device's access ended where no RAM is, or no memory for its bytes
export const REASON_DMA_BAD_DIRECTION: u32 = 0x300; // a direction that is none
export const REASON_DMA_BAD_SIZE: u32 = 0x301; // no bytes, or an entry longer than 32 bits once rounded or padded
export const REASON_DMA_BEYOND_MASK: u32 = 0x302; // beyond the device's mask, and no bounce pool to help
export const REASON_DMA_NOT_MAPPED: u32 = 0x303; // nothing is mapped at the address
export const REASON_DMA_NO_SEGMENTS: u32 = 0x304; // no memory for the list of segments
export const REASON_DMA_NO_PAGES: u32 = 0x305; // no memory for a coherent buffer that the device's mask reaches
export const REASON_DMA_OFFSET_MISMATCH: u32 = 0x306; // address and memory begin at different places in their pages
export const REASON_DMA_NO_IOMMU: u32 = 0x307; // the call needs a domain that translates
export const REASON_DMA_VMALLOC: u32 = 0x308; // memory that has no one physical address: vmalloc, or a virtually mapped stack
export const REASON_DMA_ALIGNMENT: u32 = 0x309; // min_align_mask asks for more than the IOMMU's pages keep
export const REASON_DMA_NO_MASK: u32 = 0x30a; // the device has no mask
export const REASON_DMA_P2P: u32 = 0x30b; // no way over the bus leads to a peer's pages, or a list has these and others
export const REASON_DMA_MASK_TOO_SMALL: u32 = 0x30c; // a mask that reaches too little memory
export const REASON_DMA_DECLARED_FULL: u32 = 0x30d; // the memory that was declared for the device has no such piece

export const REASON_GPU_BEYOND_RANGE: u32 = 0x500; // beyond the GPU address space
export const REASON_GPU_NOT_PRESENT: u32 = 0x501; // no valid entry in a GPU table
export const REASON_GPU_READ_ONLY: u32 = 0x502; // a write through an entry that allows reading only
export const REASON_GPU_TABLE_UNREACHABLE: u32 = 0x503; // a page of the table cannot be read: blocked, or no RAM

export const REASON_SWIOTLB_FULL: u32 = 0x600; // no run of free slots that is long enough and aligned
export const REASON_SWIOTLB_TOO_LARGE: u32 = 0x601; // longer than one set of slots: no pool would ever serve it
export const REASON_SWIOTLB_UNREACHABLE: u32 = 0x602; // the slots found lie beyond the device's mask
export const REASON_SWIOTLB_NOT_MAPPED: u32 = 0x603; // no mapping starts (unmap) or lies (sync) there
export const REASON_SWIOTLB_NO_POOL: u32 = 0x604;
export const REASON_SWIOTLB_OVERFLOW: u32 = 0x605; // more bytes than the mapping holds were to be copied
export const REASON_SWIOTLB_COPY_FAILED: u32 = 0x606; // bytes could not be copied: no memory for them, or no RAM there
export const REASON_SWIOTLB_FRAGMENTED: u32 = 0x607; // enough slots are free, but no run of them is long enough and aligned

/** Notes why a call fails. A function of its own, as nothing that succeeds comes here. */
export function setReason(ctx: Context, reason: u32): void {
  cpuOf(ctx).reason = reason;
}

/** Why the last call on this CPU that failed did so. */
export function lastReason(ctx: Context): u32 {
  return cpuOf(ctx).reason;
}
