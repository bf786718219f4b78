import { checkOptions, readRecord, type Shape } from '../core/arguments.js';
import { DIRECTIONS, type DirectionName } from '../core/dma-debug-records.js';
import { checkInteger, GemDmaError } from '../core/errors.js';
import { drainEvents, type RawEvent } from '../core/events.js';
import {
  EVENT_BOUNCE,
  EVENT_DMA_ALLOC,
  EVENT_DMA_FREE,
  EVENT_DMA_MAP_PAGE,
  EVENT_DMA_MAP_SG,
  EVENT_DMA_SYNC,
  EVENT_DMA_UNMAP_PAGE,
  EVENT_DMA_UNMAP_SG,
  EVENT_DRIVER,
  EVENT_FAULT,
  EVENT_FINDING,
  EVENT_IOMMU_MAP,
  EVENT_IOMMU_UNMAP,
  EVENT_SEARCH,
  EVENT_STALE_ACCESS,
} from '../core/generated/constants.js';
import type { ContextHandle } from '../core/generated/exports.js';
import { guard } from '../core/guard.js';
import type { Core } from '../core/instance.js';
import { checkMaker, type LIBRARY } from '../core/life.js';
import { type CheckId, checkOf } from '../dma-debug/checks.js';

/**
 * Events of a machine, as the kernel's tracepoints: calls of the DMA API, changes of IOMMU tables, faults, bounced bytes, and events
 * of drivers. The core writes records of fixed size into a ring; here they
 * get their names. Tracepoints of the same name: include/trace/events/dma.h, iommu.h, swiotlb.h.
 */

/**
 * The fields of each kind of event. A driver adds the kinds of its own tracepoints to this interface and names them to the log
 * with `addTracepoints`.
 */
export interface EventFields {
  /** A page was mapped, or could not be. */
  dma_map_page: {
    /** DMA address; null: the call failed. */
    address: number | null;
    /** Physical address of the first byte. */
    physical: number;
    /** Bytes. */
    length: number;
    /** Direction of the mapping. */
    direction: DirectionName;
    /** DMA_ATTR bits of the call. */
    attrs: number;
  };
  /** A mapping of a page has ended. */
  dma_unmap_page: {
    /** DMA address that the driver gave. */
    address: number;
    /** Bytes that the driver gave. */
    length: number;
    /** Direction that the driver gave. */
    direction: DirectionName;
    /** DMA_ATTR bits of the call. */
    attrs: number;
  };
  /** A list was mapped, or could not be. */
  dma_map_sg: {
    /** DMA address of the first segment; null: the call failed. */
    address: number | null;
    /** Bytes of all entries. */
    length: number;
    /** Direction of the mapping. */
    direction: DirectionName;
    /** Segments, as the call returned them; a negative errno when it failed. */
    segments: number;
  };
  /** A mapping of a list has ended. */
  dma_unmap_sg: {
    /** DMA address of the first segment; null when the list had none. */
    address: number | null;
    /** Bytes of all entries. */
    length: number;
    /** Direction that the driver gave. */
    direction: DirectionName;
    /** Entries that the driver gave; dma_map_sg's argument, not its result. */
    nents: number;
  };
  /** Coherent memory was allocated. */
  dma_alloc: {
    /** DMA address. */
    address: number;
    /** Physical address of the first page. */
    physical: number;
    /** Bytes. */
    length: number;
  };
  /** Coherent memory was freed. */
  dma_free: {
    /** DMA address. */
    address: number;
    /** Physical address of the first page. */
    physical: number;
    /** Bytes. */
    length: number;
  };
  /** A mapping was handed to the CPU or to the device. */
  dma_sync: {
    /** DMA address of the first byte. */
    address: number;
    /** Bytes. */
    length: number;
    /** Direction that the driver gave. */
    direction: DirectionName;
    /** The owner of the bytes afterwards: dma_sync_*_for_cpu or for_device. */
    for: 'cpu' | 'device';
  };
  /** Entries of an IOMMU table were written. */
  iommu_map: {
    /** First address of the range. */
    iova: number;
    /** Physical address that it leads to. */
    physical: number;
    /** Bytes. */
    length: number;
    /** IOMMU_READ 1, IOMMU_WRITE 2, OR-ed (include/linux/iommu.h). */
    prot: number;
    /** Number of the domain, as entries of context tables and IOTLB carry it. */
    domain: number;
  };
  /** Entries of an IOMMU table were cleared. */
  iommu_unmap: {
    /** First address of the range. */
    iova: number;
    /** Bytes that were to be unmapped. */
    length: number;
    /** Bytes that were mapped there. */
    unmapped: number;
    /** Number of the domain. */
    domain: number;
  };
  /** The IOMMU has blocked an access. */
  dmar_fault: {
    /** The address that the device used. */
    address: number;
    /** The fault reason of VT-d (5 no write, 6 no read permission), or flags of AMD's event. */
    reason: number;
    /** A write; otherwise a read. */
    write: boolean;
  };
  /** An access went through the IOTLB to what the tables no longer map. */
  stale_access: {
    /** The address that the device used. */
    address: number;
    /** Nanoseconds since the address was unmapped. */
    age: number;
    /** A write; otherwise a read. */
    write: boolean;
  };
  /** A finding of dma-debug; `machine.dmaDebug.findings` has it in words. */
  dma_debug: {
    /** Which check. */
    check: CheckId;
    /** DMA address that it is about. */
    address: number;
    /** Bytes. */
    length: number;
  };
  /**
   * How far the kernel's searches have walked in the call of the next event; only while `machine.countSearches()` counts. No
   * tracepoint of a kernel.
   */
  search_cost: {
    /** Nodes of the IOVA tree. */
    nodes: number;
    /** Slots of the bounce pool. */
    slots: number;
  };
  /** Bytes were copied between a buffer and its slot. */
  swiotlb_bounced: {
    /** DMA address of the slot. */
    address: number;
    /** Physical address of the buffer. */
    physical: number;
    /** Bytes. */
    length: number;
    /** `in`: from the buffer into the slot; `out`: back. */
    copied: 'in' | 'out';
  };
}

/** A kind of event, by the name of the kernel's tracepoint. */
export type EventKind = keyof EventFields;

/** What every event has. The ids are named as reports name them; absent where the event has no device, object or hook. */
export interface EventHeader {
  /** Counts all events of the machine from 0, those that found the ring full included. */
  sequence: number;
  /** Virtual time in ms. */
  time: number;
  /** Name of the device. */
  device?: string;
  /** The driver's object for which it happened. */
  object?: string;
  /** The object's vma. */
  vma?: string;
  /** The driver's moment in which it happened, such as `bind`. */
  hook?: string;
}

/** An event: what every event has, its kind, and the fields of that kind. */
export type MachineEvent = {
  [Kind in EventKind]: EventHeader & {
    /** The tracepoint. */
    kind: Kind;
  } & EventFields[Kind];
}[EventKind];

/** A driver's tracepoint: an object's event, with its length in bytes and, if it has one, an address. */
export interface Tracepoint {
  /** Its name, as events carry it. */
  readonly kind: EventKind;
  /** Whether its events have an address. Default false. */
  readonly address?: boolean;
}

type Reader = readonly [EventKind, (event: RawEvent) => EventFields[EventKind]];

function reader<Kind extends EventKind>(kind: Kind, read: (event: RawEvent) => EventFields[Kind]): Reader {
  return [kind, read];
}

const mapped = (address: number): number | null => (address < 0 ? null : address);
const direction = (d: number): DirectionName => DIRECTIONS[d] ?? 'NONE';

/** Kinds of record by the core's number. */
const READERS: Readonly<Record<number, Reader>> = {
  [EVENT_DMA_MAP_PAGE]: reader('dma_map_page', ({ a, b, c, d, e }) => ({
    address: mapped(a),
    physical: b,
    length: c,
    direction: direction(d),
    attrs: e,
  })),
  [EVENT_DMA_UNMAP_PAGE]: reader('dma_unmap_page', ({ a, c, d, e }) => ({
    address: a,
    length: c,
    direction: direction(d),
    attrs: e,
  })),
  [EVENT_DMA_MAP_SG]: reader('dma_map_sg', ({ a, c, d, e }) => ({
    address: mapped(a),
    length: c,
    direction: direction(d),
    segments: e | 0,
  })),
  [EVENT_DMA_UNMAP_SG]: reader('dma_unmap_sg', ({ a, c, d, e }) => ({
    address: mapped(a),
    length: c,
    direction: direction(d),
    nents: e,
  })),
  [EVENT_DMA_ALLOC]: reader('dma_alloc', ({ a, b, c }) => ({ address: a, physical: b, length: c })),
  [EVENT_DMA_FREE]: reader('dma_free', ({ a, b, c }) => ({ address: a, physical: b, length: c })),
  [EVENT_DMA_SYNC]: reader('dma_sync', ({ a, c, d, e }) => ({
    address: a,
    length: c,
    direction: direction(d),
    for: e ? 'device' : 'cpu',
  })),
  [EVENT_IOMMU_MAP]: reader('iommu_map', ({ a, b, c, d, e }) => ({
    iova: a,
    physical: b,
    length: c,
    prot: d,
    domain: e,
  })),
  [EVENT_IOMMU_UNMAP]: reader('iommu_unmap', ({ a, b, c, e }) => ({ iova: a, length: c, unmapped: b, domain: e })),
  [EVENT_FAULT]: reader('dmar_fault', ({ a, d, e }) => ({ address: a, reason: d, write: e !== 0 })),
  [EVENT_STALE_ACCESS]: reader('stale_access', ({ a, b, e }) => ({ address: a, age: b, write: e !== 0 })),
  [EVENT_FINDING]: reader('dma_debug', ({ a, b, d }) => ({ check: checkOf(d).id, address: a, length: b })),
  [EVENT_SEARCH]: reader('search_cost', ({ a, b }) => ({ nodes: a, slots: b })),
  [EVENT_BOUNCE]: reader('swiotlb_bounced', ({ a, b, c, e }) => ({
    address: a,
    physical: b,
    length: c,
    copied: e ? 'in' : 'out',
  })),
};

/** Who an event belongs to, by the core's numbers. */
export interface EventNames {
  device(id: number): string | undefined;
  caller(ids: { object: number; vma: number; hook: number }): Pick<EventHeader, 'object' | 'vma' | 'hook'>;
}

/** The machine's trace: a ring of records that is off until `start`. Read it as `machine.events`. */
export class EventLog {
  static {
    guard(EventLog, (one) => #core in one, ['tell', 'named']);
  }

  /** Whether events are recorded: a caller checks it before it writes one. */
  recording = false;
  /** Events that found the ring full since the last drain, and are missing from what it gives. */
  dropped = 0;
  readonly #core: Core;
  private readonly context: ContextHandle;
  private readonly names: EventNames;
  /** Tracepoints of the machine's drivers, by the number that their records carry. */
  private readonly tracepoints: Tracepoint[] = [];
  private next = 0;

  /** @internal */
  constructor(maker: typeof LIBRARY, core: Core, context: ContextHandle, names: EventNames) {
    checkMaker(maker, 'EventLog');
    this.#core = core;
    this.context = context;
    this.names = names;
  }

  /**
   * Begins to record; what was recorded before and not drained is dropped.
   * @param options.records how many events the ring holds between two drains, rounded up to a power of two; 64 bytes each
   * @throws GemDmaError ENOMEM
   */
  start(
    options: {
      /** Events that the ring holds between two drains, rounded up to a power of two; 64 bytes each. Default 65,536. */
      records?: number;
    } = {},
  ): void {
    const { records = 65536 } = checkOptions('options', options, ['records']);
    checkInteger('records', records, 1, 2 ** 20);
    this.#core.timeline.enter('events_start');
    const ring = this.#core.exports.eventsStart(this.context, Math.ceil(Math.log2(records)));
    if (ring === 0) throw new GemDmaError('ENOMEM', 'events_start', `no memory for a ring of ${records} events`);
    this.recording = true;
    this.next = 0;
  }

  /** Ends recording. What was not drained is dropped. */
  stop(): void {
    this.#core.timeline.enter('events_stop');
    this.#core.exports.eventsStop(this.context);
    this.recording = false;
  }

  /** Takes the events that were recorded since the last drain, oldest first. */
  drain(): MachineEvent[] {
    this.#core.timeline.enter('events_drain');
    const raws: RawEvent[] = [];
    if (this.recording) drainEvents(this.#core, this.context, (raw) => raws.push(raw));
    // Events that the ring had no room for are also numbered.
    const sequence = this.#core.exports.eventsSequence(this.context) >>> 0;
    this.dropped = this.recording ? sequence - this.next - raws.length : 0;
    this.next = sequence;
    return raws.map((raw) => this.named(raw));
  }

  /** @internal A driver's tracepoints. Returns the number of the first one; the others follow. */
  addTracepoints(points: readonly Tracepoint[]): number {
    return this.tracepoints.push(...points) - points.length;
  }

  /**
   * Writes a driver's event, by the number of its tracepoint. The caller has asked whether events are recorded.
   * @internal
   */
  tell(tracepoint: number, device: number, address: number, length: number): void {
    this.#core.exports.eventEmit(this.context, EVENT_DRIVER, device, address, 0, length, tracepoint, 0);
  }

  private named(raw: RawEvent): MachineEvent {
    const device = raw.device === 0 ? undefined : this.names.device(raw.device);
    const header = {
      ...{ sequence: raw.sequence, time: raw.time / 1e6 },
      ...(device !== undefined && { device }),
      ...this.names.caller(raw),
    };
    if (raw.kind === EVENT_DRIVER) {
      const { kind, address } = this.tracepoints[raw.d];
      return { kind, ...header, ...(address && { address: raw.a }), length: raw.c } as MachineEvent;
    }
    const [kind, read] = READERS[raw.kind]!;
    return { kind, ...header, ...read(raw) } as MachineEvent;
  }
}

/**
 * An event as one line, much as the kernel's trace file shows it.
 * @throws TypeError if the argument is not an object
 */
export function formatEvent(event: MachineEvent): string {
  return readRecord('event', event, EVENT_SHAPE, eventText);
}

/** What every event has. */
export const EVENT_SHAPE: Shape = { kind: 'string', time: 'number' };

function eventText(event: MachineEvent): string {
  const { kind, sequence: _, time, device, object, vma, hook, ...fields } = event;
  const text = Object.entries(fields).map(([name, value]) => `${name}=${fieldText(name, value)}`);
  const by = [object, vma, hook && `in ${hook}`].filter(Boolean).join(', ');
  return `${time.toFixed(6)} ${device ?? '-'} ${kind}: ${text.join(' ')}${by && ` (${by})`}`;
}

const ADDRESSES: ReadonlySet<string> = new Set(['address', 'physical', 'iova', 'attrs']);

function fieldText(name: string, value: unknown): string {
  return typeof value === 'number' && ADDRESSES.has(name) ? `0x${value.toString(16)}` : String(value);
}
