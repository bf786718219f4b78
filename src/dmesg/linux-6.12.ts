import type { KernelWords } from './words.js';

const DEBUG = 'kernel/dma/debug.c';
const AT = '[device address=0x{address:016x}] [size={size} bytes]';
const MAPPED_AT = '[device address=0x{address:016x}] [size={entrySize} bytes]';
const SAYS = 'DMA-API: {driver} {device}: device driver';
const SYNCS = '[mapped with {mappedDir:dir}] [synced with {givenDir:dir}]';

/** Linux 6.12: kernel/dma/debug.c, kernel/dma/direct.h, kernel/dma/swiotlb.c, drivers/iommu/dma-iommu.c, .../intel. */
export const LINUX_612: KernelWords = {
  findings: {
    UNMAP_INVALID: {
      text: `${SAYS} tries to free an invalid DMA memory address`,
      where: `${DEBUG}:973 check_unmap`,
    },
    UNMAP_UNKNOWN: {
      text: `${SAYS} tries to free DMA memory it has not allocated ${AT}`,
      where: `${DEBUG}:977 check_unmap`,
    },
    UNMAP_SIZE: {
      text: `${SAYS} frees DMA memory with different size [device address=0x{address:016x}] [map size={entrySize} bytes] [unmap size={size} bytes]`,
      where: `${DEBUG}:987 check_unmap`,
    },
    UNMAP_TYPE: {
      text: `${SAYS} frees DMA memory with wrong function ${AT} [mapped as {mappedAs}] [unmapped as {unmappedAs}]`,
      where: `${DEBUG}:995 check_unmap`,
    },
    UNMAP_CPUADDR: {
      // The format has a 0x of its own before %pa.
      text: `${SAYS} frees DMA memory with different CPU address ${AT} [cpu alloc address=0x{allocated:pa}] [cpu free address=0x{freed:pa}]`,
      where: `${DEBUG}:1004 check_unmap`,
    },
    UNMAP_SGCOUNT: {
      text: `${SAYS} frees DMA sg list with different entry count [map count={mapCount}] [unmap count={unmapCount}]`,
      where: `${DEBUG}:1016 check_unmap`,
    },
    UNMAP_DIR: {
      text: `${SAYS} frees DMA memory with different direction ${AT} [mapped with {mappedDir:dir}] [unmapped with {givenDir:dir}]`,
      where: `${DEBUG}:1027 check_unmap`,
    },
    UNMAP_UNCHECKED: {
      text: `${SAYS} failed to check map error${AT} [mapped as {mappedAs}]`,
      where: `${DEBUG}:1042 check_unmap`,
    },
    MAP_STACK: {
      text: `${SAYS} maps memory from stack [probable addr={phys:virt}]`,
      where: `${DEBUG}:1082 check_for_stack`,
    },
    MAP_TEXT: {
      text: `${SAYS} maps memory from kernel text or rodata [addr={phys:virt}] [len={length}]`,
      where: `${DEBUG}:1092 check_for_illegal_area`,
    },
    SYNC_UNKNOWN: {
      text: `${SAYS} tries to sync DMA memory it has not allocated ${AT}`,
      where: `${DEBUG}:1108 check_sync`,
    },
    SYNC_RANGE: {
      text: `${SAYS} syncs DMA memory outside allocated range [device address=0x{entryAddress:016x}] [allocation size={entrySize} bytes] [sync offset+size={size}]`,
      where: `${DEBUG}:1116 check_sync`,
    },
    SYNC_DIR: {
      text: `${SAYS} syncs DMA memory with different direction ${MAPPED_AT} ${SYNCS}`,
      where: `${DEBUG}:1129 check_sync`,
    },
    SYNC_RO_FOR_CPU: {
      text: `${SAYS} syncs device read-only DMA memory for cpu ${MAPPED_AT} ${SYNCS}`,
      where: `${DEBUG}:1140 check_sync`,
    },
    SYNC_WO_FOR_DEV: {
      text: `${SAYS} syncs device write-only DMA memory to device ${MAPPED_AT} ${SYNCS}`,
      where: `${DEBUG}:1150 check_sync`,
    },
    SYNC_SGCOUNT: {
      text: `${SAYS} syncs DMA sg list with different entry count [map count={mapCount}] [sync count={syncCount}]`,
      where: `${DEBUG}:1160 check_sync`,
    },
    SEG_LEN: {
      text: 'DMA-API: {driver} {device}: mapping sg segment longer than device claims to support [len={length}] [max={most}]',
      where: `${DEBUG}:1181 debug_dma_map_sg`,
    },
    SEG_BOUNDARY: {
      text: 'DMA-API: {driver} {device}: mapping sg segment across boundary [start=0x{address:016x}] [end=0x{last:016x}] [boundary=0x{boundary:016x}]',
      where: `${DEBUG}:1191 debug_dma_map_sg`,
    },
    MAP_INVALID: {
      text: `${SAYS} maps memory from invalid area [addr={phys:virt}] [len={length}]`,
      where: `${DEBUG}:1203 debug_dma_map_single`,
    },
    MAP_VMALLOC: {
      text: `${SAYS} maps memory from vmalloc area [addr={phys:virt}] [len={length}]`,
      where: `${DEBUG}:1207 debug_dma_map_single`,
    },
    CACHELINE_OVERLAP: {
      text: "DMA-API: {driver} {device}: cacheline tracking EEXIST, overlapping mappings aren't supported",
      where: `${DEBUG}:601 add_dma_entry`,
    },
    CACHELINE_OVERFLOW: {
      text: 'DMA-API: exceeded {limit} overlapping mappings of cacheline {cacheline:pa}',
      where: `${DEBUG}:463 active_cacheline_inc_overlap`,
    },
    LEAK_ON_UNBIND: {
      text: `${SAYS} has pending DMA allocations while released from device [count={count}]\nOne of leaked entries details: ${AT} [mapped with {entryDir:dir}] [mapped as {entryType}]`,
      where: `${DEBUG}:862 dma_debug_device_change`,
      bus: true,
    },
    OOM_DISABLED: { text: 'DMA-API: debugging out of memory - disabling' },
    CACHELINE_ENOMEM: { text: 'DMA-API: cacheline tracking ENOMEM, dma-debug disabled' },
    POOL_GROWN: { text: 'DMA-API: dma_debug_entry pool grown to {total} ({times}00%)' },
    REJECT_VMALLOC: {
      text: '{driver} {device}: rejecting DMA map of vmalloc memory',
      where: 'include/linux/dma-mapping.h:381 dma_map_single_attrs.constprop.0',
    },
  },
  notices: {
    SWIOTLB_FULL: {
      text: '{driver} {device}: swiotlb buffer is full (sz: {size} bytes), total {a} (slots), used {b} (slots)',
    },
    UNALIGNED_MAP: { text: 'iommu: unaligned: iova 0x{address:x} pa {a:pa} size 0x{size:x} min_pagesz 0x{d:x}' },
    UNALIGNED_UNMAP: { text: 'iommu: unaligned: iova 0x{address:x} size 0x{size:x} min_pagesz 0x{d:x}' },
    ATOMIC_EXHAUSTED: {
      text: 'DMA pool exhausted for {device}',
      where: 'kernel/dma/pool.c:282 dma_alloc_from_pool',
    },
    NO_NEW_POOL: { text: 'software IO TLB: Failed to allocate new pool' },
    SWIOTLB_CUT: {
      text: '{driver} {device}: Buffer overflow detected. Allocation size: {a}. Mapping size: {size}.',
      where: 'kernel/dma/swiotlb.c:895 swiotlb_bounce',
    },
    SWIOTLB_OVERFLOW: {
      text: '{driver} {device}: swiotlb addr {address:pa}+{size} overflow (mask {mask:x}, bus limit {busLimit:x}).',
      where: 'kernel/dma/swiotlb.c:1617 swiotlb_map',
    },
    DMA_OVERFLOW: {
      text: '{driver} {device}: DMA addr {address:pa}+{size} overflow (mask {mask:x}, bus limit {busLimit:x}).',
      where: 'kernel/dma/direct.h:103 dma_direct_map_page',
    },
    RESOURCE_OVERFLOW: {
      text: '{driver} {device}: DMA addr {address:pa}+{size} overflow (mask {mask:x}, bus limit {busLimit:x}).',
      where: 'kernel/dma/direct.c:516 dma_direct_map_resource',
      apart: true,
    },
    NO_MASK: { text: '', where: 'kernel/dma/mapping.c:{line} {function}' },
    DMA_BITS: { text: '{driver} {device}: Using {d}-bit DMA addresses' },
    ALIGNMENT: {
      text: '{driver} {device}: Unsupported alignment constraint',
      where: 'drivers/iommu/dma-iommu.c:862 __iommu_dma_map',
    },
    NO_BOUNCE: {
      text: '{driver} {device}: DMA bounce buffers are inactive, unable to map unaligned transaction.',
    },
    UNMAP_NOTHING: { text: '', where: 'drivers/iommu/dma-iommu.c:1230 iommu_dma_unmap_page' },
    UNMAPPED_SIZE: { text: '', where: 'drivers/iommu/dma-iommu.c:841 __iommu_dma_unmap' },
    SUPPRESSED: { text: '{limited}: {e} callbacks suppressed' },
  },
  release: '6.12',
  faultsUnlimited: false,
  warningFirst: false,
};
