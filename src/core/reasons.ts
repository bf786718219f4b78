/** Identifiers of the core's reason codes (assembly/reason.ts), as errors and reports carry them. They never change. */
const REASONS: Readonly<Record<number, string>> = {
  256: 'IOVA_FULL',
  257: 'IOVA_FRAGMENTED',
  258: 'IOVA_LIMIT',
  259: 'IOVA_NO_MEMORY',
  260: 'IOVA_SKIPPED',
  261: 'IOVA_BUSY',
  512: 'IOMMU_MISALIGNED',
  513: 'IOMMU_NO_PERMISSION',
  514: 'IOMMU_BEYOND_WIDTH',
  515: 'IOMMU_NO_TABLE_MEMORY',
  516: 'IOMMU_FAULT',
  517: 'IOMMU_NO_RAM',
  768: 'DMA_BAD_DIRECTION',
  769: 'DMA_BAD_SIZE',
  770: 'DMA_BEYOND_MASK',
  771: 'DMA_NOT_MAPPED',
  772: 'DMA_NO_SEGMENTS',
  773: 'DMA_NO_PAGES',
  774: 'DMA_OFFSET_MISMATCH',
  775: 'DMA_NO_IOMMU',
  776: 'DMA_VMALLOC',
  1280: 'GPU_BEYOND_RANGE',
  1281: 'GPU_NOT_PRESENT',
  1282: 'GPU_READ_ONLY',
  1283: 'GPU_TABLE_UNREACHABLE',
  1536: 'SWIOTLB_FULL',
  1537: 'SWIOTLB_TOO_LARGE',
  1538: 'SWIOTLB_UNREACHABLE',
  1539: 'SWIOTLB_NOT_MAPPED',
  1540: 'SWIOTLB_NO_POOL',
  1541: 'SWIOTLB_OVERFLOW',
  1542: 'SWIOTLB_COPY_FAILED',
};

/** The identifier of a reason code; undefined for 0, an unknown one is said by number. */
export function reasonName(code: number): string | undefined {
  return code === 0 ? undefined : (REASONS[code] ?? `REASON_0x${code.toString(16)}`);
}
