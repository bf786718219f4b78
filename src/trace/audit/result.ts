import type { Percentiles } from './histogram.js';

/** What an audit found: plain data. Addresses are hexadecimal text, since 64 bits do not fit a number; times seconds. */

/** What one device has mapped. */
export interface DeviceSummary {
  /** Name of the device; `(iommu)` for mappings that only iommu:* events show. */
  device: string;
  /** Calls that mapped. */
  maps: number;
  /** Calls that unmapped. */
  unmaps: number;
  /** Calls that mapped, by what they map: `page`, `sg`, `coherent`, `resource`, `iommu`. */
  byKind: Record<string, number>;
  /** Bytes that were mapped, all mappings together. */
  bytes: number;
  /** Mappings live at the end of the trace. */
  live: number;
  /** Bytes of these. */
  liveBytes: number;
  /** Most bytes that were live at one time. */
  peakLiveBytes: number;
  /** Most mappings that were live at one time. */
  peakLive: number;
  /** Mappings a second, from the first to the last event of the device. */
  rate: number;
  /** Mappings in the busiest second of the trace's clock. */
  peakRate: number;
  /** Bytes of a mapping. */
  sizes: Percentiles;
  /** Nanoseconds from map to unmap, of mappings that ended. */
  lifetimes: Percentiles;
  /** Calls that failed. */
  errors: number;
}

/** Why a mapping is suspected to leak. */
export type Evidence =
  /** Live at the end, while most of the younger mappings of its device, kind, size and task have ended. */
  | 'overtaken'
  /** Its address was allocated again without an unmap between. */
  | 'address-reused'
  /** Its entries left the tables (iommu:unmap), and no dma_unmap_* was seen. */
  | 'iommu-only';

/** Leak suspects of one device, kind, size class and task. */
export interface SuspectGroup {
  /** Why they are suspect. */
  evidence: Evidence;
  /** Name of the device. */
  device: string;
  /** What they map: `page`, `sg`, `coherent`, `resource`, `iommu`. */
  kind: string;
  /** Smallest and largest size in bytes. */
  sizes: [number, number];
  /** Task that mapped them, as the trace names it. */
  task: string;
  /** How many. */
  count: number;
  /** Bytes that they map. */
  bytes: number;
  /** When the first of them was mapped, in seconds of trace time. */
  firstSeen: number;
  /** Some of them. */
  examples: {
    /** DMA address, hexadecimal. */
    address: string;
    /** Physical address, hexadecimal; empty where unknown. */
    physical: string;
    /** Bytes. */
    size: number;
    /** When it was mapped, in seconds. */
    time: number;
  }[];
}

/** Memory that is mapped twice at the same time, and that the device may write by one of the mappings. */
export interface Overlap {
  /** Name of the device that mapped second. */
  device: string;
  /** Physical address of the mapping that came second. */
  physical: string;
  /** The mapping that was there. */
  first: {
    /** DMA address, hexadecimal. */
    address: string;
    /** Bytes. */
    size: number;
    /** When it was mapped, in seconds. */
    time: number;
    /** Task that mapped it. */
    task: string;
    /** Direction, as the trace has it. */
    direction: string;
  };
  /** The mapping that came. */
  second: {
    /** DMA address, hexadecimal. */
    address: string;
    /** Bytes. */
    size: number;
    /** When it was mapped, in seconds. */
    time: number;
    /** Task that mapped it. */
    task: string;
    /** Direction, as the trace has it. */
    direction: string;
  };
}

/**
 * How an unmap differs from its map: size, direction, another function of the DMA API, an address inside of the
 * mapping, a mapping that had ended, or entries of the IOMMU's table.
 */
export type MismatchKind = 'size' | 'direction' | 'function' | 'address' | 'unmapped-twice' | 'iommu-size';

/** An unmap that does not fit what was mapped. */
export interface Mismatch {
  /** What differs. */
  kind: MismatchKind;
  /** Name of the device. */
  device: string;
  /** DMA address, hexadecimal. */
  address: string;
  /** When it was unmapped, in seconds. */
  time: number;
  /** Task that unmapped. */
  task: string;
  /** What was mapped, in words. */
  mapped: string;
  /** What the unmap said, in words. */
  unmapped: string;
}

/** An end of a mapping, or a mapping that is live, near an address. */
export interface Holder {
  /** Name of the device. */
  device: string;
  /** What it maps: `page`, `sg`, `coherent`, `resource`, `iommu`. */
  kind: string;
  /** DMA address, hexadecimal. */
  address: string;
  /** Bytes. */
  size: number;
  /** When it was mapped, in seconds. */
  mappedAt: number;
  /** Task that mapped it. */
  mappedBy: string;
  /** When it ended, in seconds; null while it is live. */
  unmappedAt: number | null;
  /** Task that ended it; empty while it is live. */
  unmappedBy: string;
}

/** A fault of the IOMMU, with the mapping that its address belonged to. */
export interface FaultReport {
  /** Seconds; null where the log has no time. */
  time: number | null;
  /** Name of the device. */
  device: string;
  /** The address that the device used, hexadecimal. */
  address: string;
  /** A write; otherwise a read. */
  write: boolean;
  /** The reason, as it was printed. */
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
  /** The mapping that the verdict is about; null for `never`. */
  holder: Holder | null;
}

/** A device's address space at one moment. */
export interface SpaceSample {
  /** Seconds. */
  time: number;
  /** Live mappings. */
  mappings: number;
  /** Bytes of address space that they hold. */
  bytes: number;
  /** Bytes of the largest hole between the lowest and the highest address of the device so far. */
  largestHole: number;
  /** 1 - largest hole / all that is free there; 0 when nothing is free. */
  fragmentation: number;
}

/** An event that touches the address that was asked for. */
export interface AddressEvent {
  /** Seconds; null where the input has none. */
  time: number | null;
  /** Name of the event, such as `dma_map_page`. */
  what: string;
  /** Name of the device. */
  device: string;
  /** First address of the event's range, hexadecimal. */
  address: string;
  /** Bytes. */
  size: number;
  /** Task, as the trace names it. */
  task: string;
  /** CPU; null where the input has none. */
  cpu: number | null;
}

/** Gaps of the audit. It is complete if all counts but `events` are 0 and `hasDevices` is true. */
export interface Completeness {
  /** Events that were taken. */
  events: number;
  /** Events that the tracer reports as lost. */
  lostEvents: number;
  /** Lists that the kernel cut ([TRUNCATED]). */
  truncatedLists: number;
  /** Ends of mappings that were live when the trace began. */
  startedInMidLife: number;
  /** Mappings whose end is in iommu:unmap alone, such as a dma_unmap_sg that did not fit the tracer's page. */
  endsFromIommu: number;
  /** dma_alloc whose physical address was taken from the iommu:map before it. */
  physicalFromIommu: number;
  /** Ends of lists that could belong to several mappings: distinguished by the iommu:unmap after, or the oldest taken. */
  ambiguousLists: number;
  /** Whether the trace names devices: false for a trace of iommu:* events alone. */
  hasDevices: boolean;
}

/** What an audit found: plain JSON. */
export interface AuditResult {
  /** Seconds of the first event; null for a trace without times. */
  from: number | null;
  /** Seconds of the last event; null for a trace without times. */
  to: number | null;
  /** What the audit could not see. */
  completeness: Completeness;
  /** Devices, the one that mapped most first. */
  devices: DeviceSummary[];
  /** Leak suspects, the largest group first. */
  suspects: SuspectGroup[];
  /** All suspects, those beyond the examples included. */
  suspectCount: number;
  /** Memory mapped more than once at the same time. */
  overlaps: {
    /** Pairs of such mappings. */
    count: number;
    /** Of these, pairs that the device only reads, which may be right: no example is kept. */
    readOnly: number;
    /** Some of the others, 20 at most. */
    examples: Overlap[];
  };
  /** Unmaps that do not fit what was mapped. */
  mismatches: {
    /** How many, by kind. */
    counts: Partial<Record<MismatchKind, number>>;
    /** Some of them, 20 of a kind at most. */
    examples: Mismatch[];
  };
  /** Faults of the IOMMU, in the order of their time. */
  faults: FaultReport[];
  /** Reports of the kernel's checker in the input, each sentence once, the most frequent first. */
  dmaDebug: {
    /** The sentence. */
    text: string;
    /** Name of the device. */
    device: string;
    /** How often it was printed. */
    count: number;
    /** DMA address of the first, hexadecimal; empty where it has none. */
    address: string;
    /** When it was printed first, in seconds; null where the log has no time. */
    time: number | null;
  }[];
  /** Devices that met a full bounce pool, the most frequent first. */
  swiotlbFull: {
    /** Name of the device. */
    device: string;
    /** How often. */
    count: number;
    /** Smallest and largest request in bytes. */
    sizes: [number, number];
    /** Most slots that were in use then. */
    mostUsed: number;
    /** When it was first, in seconds; null where the log has no time. */
    firstSeen: number | null;
  }[];
  /** Mappings listed by debugfs dma-api/dump, by device and kind. */
  dump: {
    /** Name of the device. */
    device: string;
    /** What they map, as the file names it. */
    kind: string;
    /** How many. */
    count: number;
    /** Bytes that they map. */
    bytes: number;
  }[];
  /** Samples of address space over time by device, 96 at most, at even distances in events. */
  space: Record<string, SpaceSample[]>;
  /** Events of the address that was asked for, 10,000 at most; null when none was. */
  history: AddressEvent[] | null;
  /** All such events. */
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
