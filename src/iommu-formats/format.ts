/** An access that the unit blocked. */
export interface IommuFault {
  /** Virtual time in nanoseconds. */
  time: number;
  device: number;
  /** PCI requester id, bus << 8 | devfn. */
  sourceId: number;
  /** What was accessed, -1 for DMA_MAPPING_ERROR. */
  address: number;
  write: boolean;
  /** The kind of IOMMU, which says how to read the reason. */
  unit: IommuFormat['name'];
  /** VT-d's fault reason, AMD's flags of the event; and what Linux prints for it. */
  reason: number;
  message: string;
  /** Domain id of the context entry, 0 without one. */
  domain: number;
  /** The caller: the attribution of the access, 0 for none. */
  object: number;
  vma: number;
  hook: number;
}

/** What the host must know of a kind of IOMMU: the shapes of its domains, its entries and its faults in words. */
export interface IommuFormat {
  /** As machine options name it. */
  readonly name: 'vtd' | 'amdv1';
  /** FORMAT_* of the core. */
  readonly number: number;
  /** Levels that a domain's tables may have, the default first. */
  readonly levels: readonly (3 | 4 | 5)[];
  /** Page sizes of a domain by default, bit s for 2^s bytes (iommu_domain.pgsize_bitmap). */
  readonly pageSizes: number;
  /** Sets of page sizes that there are, as an error names them. */
  readonly pageSizesAllowed: string;
  /** Whether the bits are sizes of pages that the format has. */
  isPageSizes(pageSizes: number): boolean;
  /** Most bits of an IOVA with tables of so many levels. */
  width(levels: number): number;
  /** DOMAIN_* flags of the core for a domain that does these things; what the format cannot do is left out. */
  domainFlags(habits: { writeImpliesRead: boolean; exact: boolean; npCache: boolean }): number;
  /** What Linux prints for a fault's reason. */
  faultMessage(reason: number): string;
  /** A fault in the words of the kernel log. */
  formatFault(fault: IommuFault): string;
  /** The address that a pointer to a table, or a leaf, leads to. */
  address(level: number, raw: bigint): bigint;
  /** What a leaf allows: r read, w write, and what else the format has. */
  access(raw: bigint): string;
  /** Bytes that a leaf maps, and slots of its table that it fills. */
  page(level: number, raw: bigint): { size: number; slots: number };
}

/** bus:device.function of a requester id. */
export function formatSource(sourceId: number): string {
  const digits = (value: number): string => value.toString(16).padStart(2, '0');
  return `${digits(sourceId >> 8)}:${digits((sourceId >> 3) & 31)}.${sourceId & 7}`;
}

/** 0x and at least so many digits. */
export function hex(value: number | bigint, digits = 0): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}
