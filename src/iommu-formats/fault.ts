import { addressBits } from '../core/address.js';
import { oneOf, readRecord, type Shape } from '../core/arguments.js';
import { fill } from '../core/kernel-format.js';
import { faultFields } from './format.js';
import { FORMAT_NAMES, type IommuFormatName, iommuFormat, wordsOf } from './index.js';

/** An access that the unit blocked. */
export interface IommuFault {
  /** Virtual time in nanoseconds. */
  time: number;
  /** Number of the device, `DmaDevice.id`. */
  device: number;
  /** PCI requester id, bus << 8 | devfn. */
  sourceId: number;
  /** What was accessed, -1 for DMA_MAPPING_ERROR. */
  address: number;
  /** A write; otherwise a read. */
  write: boolean;
  /** The kind of IOMMU, which says how to read the reason. */
  unit: IommuFormatName;
  /** VT-d's fault reason, or AMD's flags of the event. */
  reason: number;
  /** What Linux prints for the reason, such as `PTE Write access is not set`. */
  message: string;
  /** Domain id in the device's entry of the unit's table, 0 without an entry. */
  domain: number;
  /** The GEM object that the access is attributed to; 0 for none. */
  object: number;
  /** The vma that the access is attributed to; 0 for none. */
  vma: number;
  /** The hook in which the access was made; 0 for none. */
  hook: number;
}

/** A live 4 KiB entry that was mapped over: the old one stays (`DMA PTE for vPFN ... already set`). */
export interface AlreadySet {
  /** Virtual time in nanoseconds. */
  time: number;
  /** Number of the domain. */
  domain: number;
  /** The kind of IOMMU, which says how to read the entries. */
  unit: IommuFormatName;
  /** Page frame number of the IOVA, address / 4096. */
  pfn: number;
  /** The entry that stays. */
  kept: number;
  /** The entry that was to be written, and is lost. */
  entry: number;
  /** The GEM object that the mapping call was attributed to; 0 for none. */
  object: number;
  /** The vma that it was attributed to; 0 for none. */
  vma: number;
  /** The hook in which it was made; 0 for none. */
  hook: number;
}

const FAULT: Shape = { address: 'number', sourceId: 'number', write: 'boolean', reason: 'number', unit: 'string' };
const FOUND: Shape = { pfn: 'number', kept: 'number', entry: 'number', unit: 'string' };
/** Kinds of IOMMU whose driver prints that an entry was already set. */
const TELLS_ALREADY_SET = FORMAT_NAMES.filter((name) => 'ALREADY_SET' in wordsOf(iommuFormat(name)).notices);

/**
 * A fault in the words of the newest kernel, which has no device of the requester id.
 * @throws TypeError if the argument is not a fault; RangeError if its requester id is beyond 16 bits
 */
export function formatFault(fault: IommuFault): string {
  return readRecord('fault', fault, FAULT, ({ unit, sourceId, address, write, reason, domain }) => {
    const format = iommuFormat(oneOf('fault.unit', unit, FORMAT_NAMES));
    const { fault: known, unknownDevice = known } = wordsOf(format);
    const fields = faultFields(format, { address: addressBits(address), sourceId, write, reason });
    return fill(unknownDevice, { ...fields, a: domain });
  });
}

/**
 * An entry found already set in the words of the newest kernel.
 * @throws TypeError if the argument is not such a record, or its kind of IOMMU does not print it
 */
export function formatAlreadySet(found: AlreadySet): string {
  return readRecord('found', found, FOUND, ({ unit, pfn, kept, entry }) => {
    const { notices } = wordsOf(iommuFormat(oneOf('found.unit', unit, TELLS_ALREADY_SET)));
    return fill(notices.ALREADY_SET.text, { address: pfn, a: kept, b: entry });
  });
}
