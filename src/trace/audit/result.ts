import type { Percentiles } from './histogram.js';

/** What an audit found: plain data. Addresses are hexadecimal text, since 64 bits do not fit a number; times seconds. */

export interface DeviceSummary {
  device: string;
  /** Calls that mapped and that unmapped, by what they map. */
  maps: number;
  unmaps: number;
  byKind: Record<string, number>;
  /** Bytes that were mapped, all mappings together. */
  bytes: number;
  live: number;
  liveBytes: number;
  peakLiveBytes: number;
  peakLive: number;
  /** Mappings a second from the first to the last event of the device, and in the busiest second. */
  rate: number;
  peakRate: number;
  /** Bytes of a mapping, and nanoseconds from map to unmap of those that ended. */
  sizes: Percentiles;
  lifetimes: Percentiles;
  /** Calls that failed. */
  errors: number;
}

/** Why a mapping is suspected to leak. */
export type Evidence =
  /** Live at the end, while most of the younger mappings of its device, kind, size and task have ended. */
  | 'overtaken'
  /** Its address was handed out again, and no unmap was seen. */
  | 'address-reused'
  /** Its entries left the tables (iommu:unmap), and no dma_unmap_* was seen. */
  | 'iommu-only';

export interface SuspectGroup {
  evidence: Evidence;
  device: string;
  kind: string;
  /** Smallest and largest size in bytes. */
  sizes: [number, number];
  task: string;
  count: number;
  bytes: number;
  /** When the first of them was mapped. */
  firstSeen: number;
  /** Some of them: address, physical address (empty where unknown), time. */
  examples: { address: string; physical: string; size: number; time: number }[];
}

export interface Overlap {
  device: string;
  /** Physical address of the mapping that came second. */
  physical: string;
  first: { address: string; size: number; time: number; task: string; direction: string };
  second: { address: string; size: number; time: number; task: string; direction: string };
}

export type MismatchKind = 'size' | 'direction' | 'function' | 'address' | 'unmapped-twice' | 'iommu-size';

export interface Mismatch {
  kind: MismatchKind;
  device: string;
  address: string;
  time: number;
  task: string;
  mapped: string;
  unmapped: string;
}

/** An end of a mapping, or a mapping that is live, near an address. */
export interface Holder {
  device: string;
  kind: string;
  address: string;
  size: number;
  mappedAt: number;
  mappedBy: string;
  /** null while it is live. */
  unmappedAt: number | null;
  unmappedBy: string;
}

export interface FaultReport {
  time: number | null;
  device: string;
  address: string;
  write: boolean;
  reason: string;
  /** How often the same device faulted in the same page. */
  times: number;
  /**
   * `unmapped`: the last mapping of the address had ended; `live`: one is live; `neighbour`: it is the page after or before a
   * mapping's; `never`: no mapping of the trace had it.
   */
  verdict: 'unmapped' | 'live' | 'neighbour' | 'never';
  /** Milliseconds from the unmap to the fault, null where there was none or the clocks are not the same. */
  age: number | null;
  holder: Holder | null;
}

export interface SpaceSample {
  time: number;
  mappings: number;
  bytes: number;
  /** Between the lowest and the highest address of the device so far. */
  largestHole: number;
  /** 1 - largest hole / all that is free there; 0 when nothing is free. */
  fragmentation: number;
}

export interface AddressEvent {
  time: number | null;
  what: string;
  device: string;
  address: string;
  size: number;
  task: string;
  cpu: number | null;
}

export interface Completeness {
  events: number;
  lostEvents: number;
  truncatedLists: number;
  /** Ends of mappings that were live when the trace began. */
  startedInMidLife: number;
  /** Mappings whose end was seen in iommu:unmap alone, as when a dma_unmap_sg did not fit the tracer's page. */
  endsFromIommu: number;
  /** dma_alloc whose physical address was taken from the iommu:map before it. */
  physicalFromIommu: number;
  /** Ends of lists that could belong to several mappings: distinguished by the iommu:unmap after, or the oldest taken. */
  ambiguousLists: number;
  /** Whether the trace names devices: false for a trace of iommu:* events alone. */
  hasDevices: boolean;
}

export interface AuditResult {
  /** Seconds of the first and last event, null for none with a time. */
  from: number | null;
  to: number | null;
  completeness: Completeness;
  devices: DeviceSummary[];
  suspects: SuspectGroup[];
  /** All suspects, those beyond the examples included. */
  suspectCount: number;
  overlaps: { count: number; readOnly: number; examples: Overlap[] };
  mismatches: { counts: Partial<Record<MismatchKind, number>>; examples: Mismatch[] };
  faults: FaultReport[];
  /** Reports of the kernel's checker, by sentence. */
  dmaDebug: { text: string; device: string; count: number; address: string; time: number | null }[];
  swiotlbFull: { device: string; count: number; sizes: [number, number]; mostUsed: number; firstSeen: number | null }[];
  /** Mappings listed by dma-api/dump: by device, kind. */
  dump: { device: string; kind: string; count: number; bytes: number }[];
  space: Record<string, SpaceSample[]>;
  /** Of the address that was asked for. */
  history: AddressEvent[] | null;
  historyCount: number;
}

/** A device address as text: page and offset, exact for 64 bits. */
export function addressText(page: number, offset: number): string {
  return page === 0 ? `0x${offset.toString(16)}` : `0x${page.toString(16)}${offset.toString(16).padStart(3, '0')}`;
}

export function physicalText(physical: number): string {
  return Number.isNaN(physical) ? '' : `0x${physical.toString(16)}`;
}

export function seconds(nanoseconds: number): number | null {
  return Number.isNaN(nanoseconds) ? null : nanoseconds / 1e9;
}

export const DIRECTION_NAMES: readonly string[] = ['BIDIRECTIONAL', 'TO_DEVICE', 'FROM_DEVICE', 'NONE'];
