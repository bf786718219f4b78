// A device that came over a cable (pci_dev.untrusted, Thunderbolt). An IOMMU protects whole pages only: a buffer that does not
// fill its pages would show the device what else is in them. Such a buffer goes through the bounce pool, in slots that fill
// their pages, zeroed around it, and the slots are what is mapped (iommu_dma_map_page); a list goes entry by entry (each.ts).

import { DEVICE_NO_MASK, DmaDevice } from '../device/device';
import { DMA_ATTR_SKIP_CPU_SYNC, DMA_MAPPING_ERROR } from '../device/mapping';
import { EIO } from '../memory/errno';
import { iommuIovaToPhys } from '../iommu/api/ops';
import { KMSG_NO_BOUNCE, ONCE_NO_BOUNCE, kmsg, kmsgOnce } from '../kmsg/kmsg';
import { cpuOf } from '../memory/context';
import { physZero } from '../ram/contents';
import { PAGE_MASK } from '../ram/ram';
import { REASON_SWIOTLB_NO_POOL, setReason } from '../memory/reason';
import { SgTable } from '../sg/sg-table';
import { isSwiotlb } from '../swiotlb/pool';
import { swiotlbMap, swiotlbUnmap } from '../swiotlb/swiotlb';
import { mapEach } from './each';
import { dmaDomainOf, mapRange, protOf, unmapPage } from './iommu';
import { NO_MASK_PAGE, NO_MASK_SG, refuseNoMask } from './no-mask';

/** Maps one buffer, through the pool where it does not fill its pages. */
export function mapUntrusted(dev: DmaDevice, phys: u64, length: u32, dir: u32, attrs: u32): u64 {
  if ((dev.flags & DEVICE_NO_MASK) != 0) return refuseNoMask(dev, NO_MASK_PAGE);
  if (((phys | length) & PAGE_MASK) == 0) return mapRange(dev, phys, length, protOf(dir), dev.mask);
  const ctx = dev.ctx;
  if (dev.swiotlb == 0) {
    if (kmsgOnce(ctx, ONCE_NO_BOUNCE)) kmsg(ctx, KMSG_NO_BOUNCE, dev.id, phys, length, 0, 0, 0, 0);
    setReason(ctx, REASON_SWIOTLB_NO_POOL);
    return DMA_MAPPING_ERROR;
  }
  const slot = swiotlbMap(dev, phys, length, dir, attrs, <u32>PAGE_MASK);
  if (slot == DMA_MAPPING_ERROR) return slot;
  const end = slot + length;
  physZero(ctx, slot & ~PAGE_MASK, <u32>(slot & PAGE_MASK));
  physZero(ctx, end, <u32>((0 - end) & PAGE_MASK));
  const address = mapRange(dev, slot, length, protOf(dir), dev.mask);
  if (address == DMA_MAPPING_ERROR) {
    const reason = cpuOf(ctx).reason;
    swiotlbUnmap(dev, slot, length, dir, attrs | DMA_ATTR_SKIP_CPU_SYNC);
    setReason(ctx, reason);
  }
  return address;
}

/** Maps a list, of a device behind a domain that is untrusted or has no mask. Contract of dmaMapSg. */
export function mapSgChecked(dev: DmaDevice, sgt: SgTable, dir: u32, attrs: u32): i32 {
  if ((dev.flags & DEVICE_NO_MASK) == 0) return mapEach(dev, sgt, dir, attrs);
  refuseNoMask(dev, NO_MASK_SG);
  return EIO;
}

/** Ends a mapping of mapUntrusted: what was bounced is known by where the address leads. */
export function unmapUntrusted(dev: DmaDevice, address: u64, length: u32, dir: u32, attrs: u32): void {
  const phys = iommuIovaToPhys(dmaDomainOf(dev), address);
  unmapPage(dev, address, length);
  if (isSwiotlb(dev, phys)) swiotlbUnmap(dev, phys, length, dir, attrs);
}
