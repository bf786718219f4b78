// A device as the DMA API sees it: which dma ops serve it, what it can address, and what a scatter-gather segment of it
// may look like (struct device, struct device_dma_parameters).

// @ts-ignore: decorator
@unmanaged
export class DmaDevice {
  ctx: usize;
  /** The host's number for this device, from 1; in every event, finding and fault. */
  id: u32;
  /** OPS_DIRECT or OPS_IOMMU; with OPS_DIRECT the bounce pool serves what the mask cannot reach. */
  ops: u32;
  /** PCI requester id: bus << 8 | devfn. */
  sourceId: u32;
  /** The IommuDomain that translates this device's accesses, 0 without an IOMMU. May be shared. */
  domain: usize;
  flags: u32;
  mask: u64;
  coherentMask: u64;
  segmentBoundary: u64;
  maxSegment: u32;
  minAlignMask: u32;
  /** dma_map_* that succeeded and dma_unmap_*, counted always: calls, and pages over all of them. */
  maps: u32;
  unmaps: u32;
  pagesMapped: u64;
  pagesUnmapped: u64;
}

export const OPS_DIRECT: u32 = 0;
export const OPS_IOMMU: u32 = 1;

/** A 64-bit device still tries below 4 GiB first (dev->iommu->pci_32bit_workaround). */
export const DEVICE_TRY_32BIT: u32 = 1;
/** Every streaming mapping bounces (swiotlb=force). */
export const DEVICE_FORCE_BOUNCE: u32 = 2;
/** Accesses pass the IOMMU untranslated (an identity domain). */
export const DEVICE_PASSTHROUGH: u32 = 4;
/** The driver's name passes dma-debug's driver filter; kept by the host, which knows names. */
export const DEVICE_FILTER_MATCH: u32 = 8;

export const DMA_BIDIRECTIONAL: u32 = 0;
export const DMA_TO_DEVICE: u32 = 1;
export const DMA_FROM_DEVICE: u32 = 2;
export const DMA_NONE: u32 = 3;

/** include/linux/dma-mapping.h: the attributes that matter to an emulated device. */
export const DMA_ATTR_WEAK_ORDERING: u32 = 1 << 1;
export const DMA_ATTR_WRITE_COMBINE: u32 = 1 << 2;
export const DMA_ATTR_NO_KERNEL_MAPPING: u32 = 1 << 4;
export const DMA_ATTR_SKIP_CPU_SYNC: u32 = 1 << 5;
export const DMA_ATTR_FORCE_CONTIGUOUS: u32 = 1 << 6;
export const DMA_ATTR_ALLOC_SINGLE_PAGES: u32 = 1 << 7;
export const DMA_ATTR_NO_WARN: u32 = 1 << 8;
export const DMA_ATTR_PRIVILEGED: u32 = 1 << 9;

/** What a failed mapping returns (include/linux/dma-mapping.h); the host sees -1. */
export const DMA_MAPPING_ERROR: u64 = 0xffffffffffffffff;
