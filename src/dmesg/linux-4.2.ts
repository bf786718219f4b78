import { LINUX_612 } from './linux-6.12.js';
import type { KernelWords, Message } from './words.js';

const SAYS = '{driver} {device}: DMA-API: device driver';

/** A row of 6.12 as 4.2 has it: the device comes before `DMA-API`, and the checker was in lib/. */
function older(row: Message): Message {
  const text = row.text.replace('DMA-API: {driver} {device}:', '{driver} {device}: DMA-API:');
  const where = row.where?.replace(/^kernel\/dma\/debug\.c:\d+/, 'lib/dma-debug.c');
  return { ...row, text, ...(where !== undefined && { where }) };
}

const {
  CACHELINE_OVERLAP: _overlap,
  SEG_LEN: _length,
  SEG_BOUNDARY: _boundary,
  SYNC_SGCOUNT: _count,
  POOL_GROWN: _grown,
  REJECT_VMALLOC: _vmalloc,
  MAP_INVALID: _invalid,
  MAP_VMALLOC: _area,
  ...shared
} = LINUX_612.findings;

/** Linux 4.2: lib/dma-debug.c, lib/swiotlb.c, arch/x86/kernel/pci-nommu.c. */
export const LINUX_42: KernelWords = {
  findings: {
    ...Object.fromEntries(Object.entries(shared).map(([id, row]) => [id, older(row)])),
    UNMAP_CPUADDR: {
      text: `${SAYS} frees DMA memory with different CPU address [device address=0x{address:016x}] [size={size} bytes] [cpu alloc address=0x{allocated:016x}] [cpu free address=0x{freed:016x}]`,
      where: 'lib/dma-debug.c check_unmap',
    },
    MAP_STACK: {
      text: `${SAYS} maps memory from stack [addr={phys:virt}]`,
      where: 'lib/dma-debug.c check_for_stack',
    },
    CPU_TOUCH: {
      text: '{driver} {device}: DMA-API: cpu touching an active dma mapped cacheline [cln={cacheline:pa}]',
      where: 'lib/dma-debug.c debug_dma_assert_idle',
    },
  },
  notices: {
    SWIOTLB_FULL: {
      text: '{driver} {device}: swiotlb buffer is full (sz: {size} bytes)\nDMA: Out of SW-IOMMU space for {size} bytes at device {device}',
    },
    DMA_OVERFLOW: { text: 'nommu_map_single: overflow {address:x}+{size} of device mask {mask:x}' },
    UNALIGNED_MAP: { text: 'iommu: unaligned: iova 0x{address:x} pa {a:pa} size 0x{size:x} min_pagesz 0x{d:x}' },
    UNALIGNED_UNMAP: { text: 'iommu: unaligned: iova 0x{address:x} size 0x{size:x} min_pagesz 0x{d:x}' },
    SUPPRESSED: { text: '{limited}: {e} callbacks suppressed' },
  },
  release: '4.2',
  faultsUnlimited: true,
  warningFirst: true,
};
