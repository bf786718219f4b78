import {
  DOMAIN_UNMAP_EXACT,
  DOMAIN_WRITE_IMPLIES_READ,
  FORMAT_VTD,
  PAGE_SIZE,
  UNIT_NP_CACHE,
} from '../core/generated/constants.js';
import type { FormatWords, IommuFormat } from './format.js';

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

const PAGE_SIZES = [0x40201000, 0x201000, PAGE_SIZE];
const ADDRESS = 0x000ffffffffff000n;

const FAULT_STATUS = { text: 'DMAR: DRHD: handling fault status reg {d:x}' };
const IOMMU_WIDTH = {
  text: 'DMAR: intel_iommu_map: iommu width ({d}) is not sufficient for the mapped address ({address:x})',
};
const ALREADY_SET = 'DMAR: ERROR: DMA PTE for vPFN 0x{address:x} already set (to {a:x} not {b:x})';

/** Linux 6.12: drivers/iommu/intel/dmar.c and iommu.c. */
const IN_612: FormatWords = {
  since: '6.12',
  fault:
    'DMAR: [DMA {access} NO_PASID] Request device [{source}] fault addr 0x{page:x} [fault reason 0x{d:02x}] {reason}',
  limited: 'dmar_fault',
  notices: {
    FAULT_STATUS,
    IOMMU_WIDTH,
    ALREADY_SET: { text: ALREADY_SET, where: 'drivers/iommu/intel/iommu.c:1884 __domain_mapping' },
  },
};

/** Linux 4.2: drivers/iommu/dmar.c and intel-iommu.c, which had dma ops of its own. */
const IN_42: FormatWords = {
  since: '4.2',
  // Of the two lines only the first gets the prefix of the file.
  fault:
    'DMAR: DMAR:[DMA {access}] Request device [{source}] fault addr {page:x} \nDMAR:[fault reason {d:02}] {reason}',
  limited: IN_612.limited,
  notices: {
    FAULT_STATUS,
    IOMMU_WIDTH,
    ALREADY_SET: { text: ALREADY_SET, where: 'drivers/iommu/intel-iommu.c __domain_mapping' },
    IOVA_FAILED: { text: 'DMAR: Allocating {size}-page iova for {device} failed' },
    UNMAP_NOTHING: {
      text: 'Driver unmaps unmatched page at PFN {address:x}',
      where: 'drivers/iommu/intel-iommu.c intel_unmap',
    },
  },
};

/** Intel VT-d, second-stage tables (assembly/iommu/vtd). */
export const vtd = {
  name: 'vtd',
  number: FORMAT_VTD,
  levels: [4, 3, 5],
  pageSizes: PAGE_SIZES[0],
  pageSizesAllowed: '0x1000, 0x201000 or 0x40201000',
  isPageSizes: (pageSizes) => PAGE_SIZES.includes(pageSizes),
  width: (levels) => 12 + 9 * levels,
  options: { writeImpliesRead: true },
  unitOptions: { npCache: false },
  domainFlags: ({ writeImpliesRead }, exact) =>
    (writeImpliesRead ? DOMAIN_WRITE_IMPLIES_READ : 0) | (exact ? DOMAIN_UNMAP_EXACT : 0),
  unitFlags: ({ npCache }) => (npCache ? UNIT_NP_CACHE : 0),
  defersFlushes: ({ npCache }) => !npCache,
  asksFaultHandler: false,
  faultMessage: (reason) => REASONS[reason] ?? `reason 0x${reason.toString(16)}`,
  words: [IN_42, IN_612],
  address: (_level, raw) => raw & ADDRESS,
  access: (raw) => `${raw & 1n ? 'r' : '-'}${raw & 2n ? 'w' : '-'}${raw & 0x800n ? 's' : ''}`,
  page: (level) => ({ size: PAGE_SIZE * 512 ** (level - 1), slots: 1 }),
} as const satisfies IommuFormat;
