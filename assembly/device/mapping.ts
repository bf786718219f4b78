// Directions, attributes and the error value of mappings (include/linux/dma-mapping.h).

export const DMA_BIDIRECTIONAL: u32 = 0;
export const DMA_TO_DEVICE: u32 = 1;
export const DMA_FROM_DEVICE: u32 = 2;
export const DMA_NONE: u32 = 3;

/** The attributes that matter to an emulated device. */
export const DMA_ATTR_WEAK_ORDERING: u32 = 1 << 1;
export const DMA_ATTR_WRITE_COMBINE: u32 = 1 << 2;
export const DMA_ATTR_NO_KERNEL_MAPPING: u32 = 1 << 4;
export const DMA_ATTR_SKIP_CPU_SYNC: u32 = 1 << 5;
export const DMA_ATTR_FORCE_CONTIGUOUS: u32 = 1 << 6;
export const DMA_ATTR_ALLOC_SINGLE_PAGES: u32 = 1 << 7;
export const DMA_ATTR_NO_WARN: u32 = 1 << 8;
export const DMA_ATTR_PRIVILEGED: u32 = 1 << 9;

/** What a failed mapping returns; the host sees -1. */
export const DMA_MAPPING_ERROR: u64 = 0xffffffffffffffff;
