import { FORMAT_AMDV1, PAGE_SIZE, UNIT_NP_CACHE } from '../core/generated/constants.js';
import type { FormatWords, IommuFormat } from './format.js';

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

const EVENT = 'domain=0x{a:04x} address=0x{address:x} flags=0x{d:04x}]';

/** amd_iommu_report_page_fault of drivers/iommu/amd/iommu.c. */
const WORDS: FormatWords = {
  since: '6.12',
  fault: `{driver} {device}: AMD-Vi: Event logged [IO_PAGE_FAULT ${EVENT}`,
  unknownDevice: `AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:{source} ${EVENT}`,
  limited: 'amd_iommu_report_page_fault',
  notices: {},
};

/** AMD's I/O page tables of version 1, as 6.12 fills them (assembly/iommu/amdv1). */
export const amdv1 = {
  name: 'amdv1',
  number: FORMAT_AMDV1,
  // A domain begins with three levels and grows by itself.
  levels: [3],
  pageSizes: PAGE_SIZES,
  pageSizesAllowed: 'bits 12 to 51, 12 among them',
  isPageSizes: (pageSizes) => {
    const bits = BigInt(pageSizes);
    return (bits & BigInt(PAGE_SIZE)) !== 0n && (bits & ~ADDRESS) === 0n;
  },
  width: () => 64,
  options: {},
  unitOptions: { npCache: false },
  domainFlags: () => 0,
  unitFlags: ({ npCache }) => (npCache ? UNIT_NP_CACHE : 0),
  defersFlushes: ({ npCache }) => !npCache,
  asksFaultHandler: true,
  faultMessage: () => 'IO_PAGE_FAULT',
  words: [WORDS],
  address(level, raw) {
    const shift = BigInt(pageShift(level, raw));
    return nextLevel(raw) === SIZED ? ((raw & ADDRESS) >> shift) << shift : raw & ADDRESS;
  },
  access: (raw) => `${raw & READ ? 'r' : '-'}${raw & WRITE ? 'w' : '-'}`,
  page(level, raw) {
    const shift = pageShift(level, raw);
    return { size: 2 ** shift, slots: 2 ** ((shift - 12) % 9) };
  },
} as const satisfies IommuFormat;
