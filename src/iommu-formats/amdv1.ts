import { addressBits } from '../core/address.js';
import { AMD_NP_CACHE, FORMAT_AMDV1 } from '../core/generated/constants.js';
import { formatSource, hex, type IommuFormat } from './format.js';

const ADDRESS = 0x000ffffffffff000n;
const READ = 1n << 61n;
const WRITE = 1n << 62n;
/** Next level of a page whose size is in its address. */
const SIZED = 7n;

/** Every power of two from 4 KiB to 2 PiB but 512 GiB, which the hardware gets wrong (AMD_IOMMU_PGSIZES). */
const PAGE_SIZES = 0x000fff7ffffff000;

function nextLevel(raw: bigint): bigint {
  return (raw >> 9n) & 7n;
}

function pageShift(level: number, raw: bigint): number {
  const slot = 12 + 9 * (level - 1);
  if (nextLevel(raw) !== SIZED) return slot;
  let shift = 12;
  while ((raw >> BigInt(shift)) & 1n) ++shift;
  return shift + 1;
}

/** AMD's I/O page tables of version 1, as 6.12 fills them (assembly/iommu/amdv1). */
export const amdv1: IommuFormat = {
  name: 'amdv1',
  number: FORMAT_AMDV1,
  // A domain begins with three levels and grows by itself.
  levels: [3],
  pageSizes: PAGE_SIZES,
  pageSizesAllowed: 'bits 12 to 51, 12 among them',
  isPageSizes: (pageSizes) => {
    const bits = BigInt(pageSizes);
    return (bits & 0x1000n) !== 0n && (bits & ~ADDRESS) === 0n;
  },
  width: () => 64,
  domainFlags: ({ npCache }) => (npCache ? AMD_NP_CACHE : 0),
  faultMessage: () => 'IO_PAGE_FAULT',
  formatFault({ sourceId, address, reason, message, domain }) {
    const where = `device=0000:${formatSource(sourceId)} domain=${hex(domain, 4)}`;
    return `AMD-Vi: Event logged [${message} ${where} address=${hex(addressBits(address))} flags=${hex(reason, 4)}]`;
  },
  address(level, raw) {
    const shift = BigInt(pageShift(level, raw));
    return nextLevel(raw) === SIZED ? ((raw & ADDRESS) >> shift) << shift : raw & ADDRESS;
  },
  access: (raw) => `${raw & READ ? 'r' : '-'}${raw & WRITE ? 'w' : '-'}`,
  page(level, raw) {
    const shift = pageShift(level, raw);
    return { size: 2 ** shift, slots: 2 ** ((shift - 12) % 9) };
  },
};
