import { addressBits } from '../core/address.js';
import { DOMAIN_UNMAP_EXACT, DOMAIN_WRITE_IMPLIES_READ, FORMAT_VTD, PAGE_SIZE } from '../core/generated/constants.js';
import { formatSource, hex, type IommuFormat } from './format.js';

/** What Linux prints for each fault reason (drivers/iommu/intel/dmar.c). */
const REASONS = [
  'Software',
  'Present bit in root entry is clear',
  'Present bit in context entry is clear',
  'Invalid context entry',
  'Access beyond MGAW',
  'PTE Write access is not set',
  'PTE Read access is not set',
  'Next page table ptr is invalid',
];

const PAGE_SIZES = [0x40201000, 0x201000, 0x1000];
const ADDRESS = 0x000ffffffffff000n;

/** Intel VT-d, second-stage tables (assembly/iommu/vtd). */
export const vtd: IommuFormat = {
  name: 'vtd',
  number: FORMAT_VTD,
  levels: [4, 3, 5],
  pageSizes: PAGE_SIZES[0],
  pageSizesAllowed: '0x1000, 0x201000 or 0x40201000',
  isPageSizes: (pageSizes) => PAGE_SIZES.includes(pageSizes),
  width: (levels) => 12 + 9 * levels,
  domainFlags: ({ writeImpliesRead, exact }) =>
    (writeImpliesRead ? DOMAIN_WRITE_IMPLIES_READ : 0) | (exact ? DOMAIN_UNMAP_EXACT : 0),
  faultMessage: (reason) => REASONS[reason] ?? `reason 0x${reason.toString(16)}`,
  formatFault({ write, sourceId, address, reason, message }) {
    const page = hex(addressBits(address) & ~0xfffn);
    const kind = write ? 'Write' : 'Read';
    const source = formatSource(sourceId);
    return `DMAR: [DMA ${kind} NO_PASID] Request device [${source}] fault addr ${page} [fault reason ${hex(reason, 2)}] ${message}`;
  },
  address: (_level, raw) => raw & ADDRESS,
  access: (raw) => `${raw & 1n ? 'r' : '-'}${raw & 2n ? 'w' : '-'}${raw & 0x800n ? 's' : ''}`,
  page: (level) => ({ size: PAGE_SIZE * 512 ** (level - 1), slots: 1 }),
};
