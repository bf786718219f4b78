import { checkInteger } from '../core/errors.js';
import { PAGE_MASK } from '../core/generated/constants.js';
import type { Fields } from '../core/kernel-format.js';

/** A message of a kernel: text with fields (core/kernel-format.ts), and the place of a WARN. */
export interface FormatMessage {
  /** Empty for a WARN_ON, which has no text. */
  readonly text: string;
  /** File, line where it is known, function: it is then a WARN. */
  readonly where?: string;
}

/** What the driver of a kind of IOMMU prints. */
export interface FormatWords {
  /** The release that the words were read in, such as `4.2`: kernels from there on print them, up to the next such release. */
  readonly since: string;
  /** A fault of a device, with the fields of faultFields and the device's `driver` and `device`. */
  readonly fault: string;
  /** The same where the kernel has no device of the requester id; without it the text names none. */
  readonly unknownDevice?: string;
  /** The function whose faults are limited, as `callbacks suppressed` names it. */
  readonly limited: string;
  /** Other messages, by the name of the notice (src/dmesg/kinds.ts). */
  readonly notices: Readonly<Record<string, FormatMessage>>;
}

/** Options of a domain that depend on the format. */
export interface FormatOptions {
  /** VT-d: a mapping that the device may write may also be read, as in 6.12. Default true. */
  writeImpliesRead?: boolean;
}

/** Options of a unit that depend on the format. */
export interface UnitOptions {
  /**
   * The unit may cache non-present entries, as a hypervisor's does, so that a map is flushed like an unmap: VT-d's caching mode,
   * AMD's NpCache. Linux then does not defer flushes: no lazy mode. Default false.
   */
  npCache?: boolean;
}

/** A kind of IOMMU on the host: shapes of domains, options, entries, and texts of faults. */
export interface IommuFormat {
  /** As machine options name it. */
  readonly name: string;
  /** FORMAT_* of the core. */
  readonly number: number;
  /** Levels that a domain's tables may have, the default first. */
  readonly levels: readonly number[];
  /** Page sizes of a domain by default, bit s for 2^s bytes (iommu_domain.pgsize_bitmap). */
  readonly pageSizes: number;
  /** Sets of page sizes that there are, as an error names them. */
  readonly pageSizesAllowed: string;
  /** Whether the bits are sizes of pages that the format has. */
  isPageSizes(pageSizes: number): boolean;
  /** Most bits of an IOVA with tables of so many levels. */
  width(levels: number): number;
  /** The options that its domains have, with their defaults; others are refused. */
  readonly options: Readonly<FormatOptions>;
  /** The options that its units have, with their defaults; others are refused. */
  readonly unitOptions: Readonly<UnitOptions>;
  /** DOMAIN_* flags of the core for a domain with these options; `exact`: unmapping clears just the range given. */
  domainFlags(options: Readonly<FormatOptions>, exact: boolean): number;
  /** UNIT_* flags of the core for a unit with these options. */
  unitFlags(options: Readonly<UnitOptions>): number;
  /** Whether Linux defers flushes for a unit with these options; otherwise the machine has no lazy mode. */
  defersFlushes(options: Readonly<UnitOptions>): boolean;
  /** Linux's driver asks a domain's fault handler before it prints (report_iommu_fault). */
  readonly asksFaultHandler: boolean;
  /** What Linux prints for a fault's reason. */
  faultMessage(reason: number): string;
  /** What kernels print, oldest release first. A kernel older than all of them has the first. */
  readonly words: readonly [FormatWords, ...FormatWords[]];
  /** The address that a pointer to a table, or a leaf, leads to. */
  address(level: number, raw: bigint): bigint;
  /** What a leaf allows: r read, w write, and what else the format has. */
  access(raw: bigint): string;
  /** Bytes that a leaf maps, and slots of its table that it fills. */
  page(
    level: number,
    raw: bigint,
  ): {
    /** Bytes that the leaf maps. */
    size: number;
    /** Slots of its table that hold copies of it: more than 1 for AMD's sizes between the levels. */
    slots: number;
  };
}

/** What the words for a fault are filled with. */
export function faultFields(
  format: IommuFormat,
  { address, sourceId, write, reason }: { address: bigint; sourceId: number; write: boolean; reason: number },
): Fields {
  return {
    address,
    page: address & ~BigInt(PAGE_MASK),
    access: write ? 'Write' : 'Read',
    source: formatSource(sourceId),
    d: reason,
    reason: format.faultMessage(reason),
  };
}

/** bus:device.function of a requester id. */
export function formatSource(sourceId: number): string {
  checkInteger('sourceId', sourceId, 0, 0xffff);
  const digits = (value: number): string => value.toString(16).padStart(2, '0');
  return `${digits(sourceId >> 8)}:${digits((sourceId >> 3) & 31)}.${sourceId & 7}`;
}

/** 0x and at least so many digits. */
export function hex(value: number | bigint, digits = 0): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}
