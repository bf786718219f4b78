import { GemDmaError } from './errors.js';
import {
  DMA_BIDIRECTIONAL,
  DMA_FROM_DEVICE,
  DMA_NONE,
  DMA_TO_DEVICE,
  ENTRY_LOST,
  OPTION_ALL_ERRORS,
  OPTION_FILTER,
  PAGE_SIZE,
  REPORT_ENTRY,
  TYPE_COHERENT,
  TYPE_LINK,
  TYPE_NONCOHERENT,
  TYPE_PAGE,
  TYPE_RANGE,
  TYPE_REMAINDER,
  TYPE_RESOURCE,
  TYPE_SG,
  TYPE_SINGLE,
  UNMAP_CHECKED,
  UNMAP_UNCHECKED,
  VALUE_DISABLED,
  VALUE_ERROR_COUNT,
  VALUE_INSERTS,
  VALUE_LIVE,
  VALUE_LIVE_BYTES,
  VALUE_LIVE_PAGES,
  VALUE_LOST,
  VALUE_LOST_PAGES,
  VALUE_MIN_FREE,
  VALUE_MISSED,
  VALUE_NUM_ERRORS,
  VALUE_NUM_FREE,
  VALUE_TOTAL,
  VERDICT_PAYLOAD,
} from './generated/constants.js';
import type { ContextHandle } from './generated/exports.js';
import { DmaDeviceView, EntryView, VerdictView } from './generated/records.js';
import type { Core } from './instance.js';
import type { MemoryViews } from './records/record-view.js';

const PAGE_MASK = PAGE_SIZE - 1;

/**
 * The core's dma-debug as records: the verdict log, the live entries, the counters (assembly/dma-debug). What the numbers
 * mean is documented in src/dma-debug/checks.ts.
 */

const TYPES = {
  [TYPE_SINGLE]: 'single',
  [TYPE_SG]: 'scatter-gather',
  [TYPE_COHERENT]: 'coherent',
  [TYPE_RESOURCE]: 'resource',
  [TYPE_PAGE]: 'page',
  [TYPE_NONCOHERENT]: 'noncoherent',
  [TYPE_LINK]: 'link',
  [TYPE_RANGE]: 'reservation',
  [TYPE_REMAINDER]: 'remainder',
} as const;
/** What a mapping is of: the kernel's type2name (kernel/dma/debug.c) in words. */
export type MappingType = (typeof TYPES)[keyof typeof TYPES];
/** Types of mappings, by the number that the core gives them. */
export const MAPPING_TYPES: Readonly<Record<number, MappingType>> = TYPES;

const DIRECTION_NAMES = {
  [DMA_BIDIRECTIONAL]: 'BIDIRECTIONAL',
  [DMA_TO_DEVICE]: 'TO_DEVICE',
  [DMA_FROM_DEVICE]: 'FROM_DEVICE',
  [DMA_NONE]: 'NONE',
} as const;
/** A direction by its name in enum dma_data_direction, without `DMA_`. */
export type DirectionName = (typeof DIRECTION_NAMES)[keyof typeof DIRECTION_NAMES];
/** Directions (enum dma_data_direction), by number. */
export const DIRECTIONS: Readonly<Record<number, DirectionName>> = DIRECTION_NAMES;

/** Host-side ids of the caller; 0 is none. */
export interface CallerIds {
  /** The GEM object for which the call was made. */
  object: number;
  /** The vma of the object. */
  vma: number;
  /** The driver's hook in which the call was made, such as `bind`. */
  hook: number;
  /** The call site in JavaScript; only with the option `callSites`. */
  site: number;
}

/** One record of the verdict log. Addresses are -1 for DMA_MAPPING_ERROR. */
export interface VerdictRecord {
  check: number;
  sequence: number;
  /** Virtual time in nanoseconds. */
  time: number;
  device: number;
  flags: number;
  address: number;
  size: number;
  /** The payload of the check; null for a check without one. */
  payload: object | null;
  caller: CallerIds;
  /** The mapping that the verdict is about, null where none is known. */
  mapping: EntryRecord | null;
}

/** Reads the payload of a check: a class of generated/records.ts. */
export type PayloadView<P extends object = object> = new (
  views: MemoryViews,
  at: number,
) => { payload(): P; exact(): Readonly<Record<keyof P, number | bigint>> };

/** A mapping in the records of dma-debug. */
export interface EntryRecord {
  /** Number of the device, `DmaDevice.id`. */
  device: number;
  /** DMA address in bytes (dev_addr). */
  address: number;
  /** Bytes mapped. */
  size: number;
  /** What was mapped: one page, a list, coherent memory, a resource. */
  type: MappingType;
  /** Direction of the mapping. */
  direction: DirectionName;
  /** Virtual time at which it was made, in nanoseconds. */
  time: number;
  /** Number of the entry in the order in which entries were made. */
  sequence: number;
  /** Who made it. */
  by: CallerIds;
}

/** A live entry: the fields that a verdict has of one, and the rest of its record. */
export interface LiveEntryRecord extends EntryRecord {
  /** Physical address of the first byte; for a list, that of this segment. */
  phys: number;
  /** Entries given to dma_map_sg (sg_call_ents); 0 for anything but a list. */
  callEnts: number;
  /** Segments that dma_map_sg returned for these (sg_mapped_ents); 0 for anything but a list. */
  mappedEnts: number;
  /**
   * Whether the driver has asked dma_mapping_error() about the address (enum map_err_types); a list and coherent
   * memory need no check.
   */
  checked: 'not applicable' | 'not checked' | 'checked';
  /** The driver has lost the address. */
  lost: boolean;
}

/** What a report needs of a live entry: codes and host-side ids as they are. */
export interface EntryNumbers {
  device: number;
  address: number;
  size: number;
  /** Whole pages of the device's address space that it holds, in bytes. */
  iovaBytes: number;
  type: number;
  direction: number;
  lost: boolean;
  object: number;
  hook: number;
  site: number;
  time: number;
}

/** debugfs dma-api/, and the counters of our checker. */
export interface DmaDebugCounters {
  /** The kernel's checker is off: never enabled, or disabled when its pool was empty. */
  disabled: boolean;
  /** debugfs error_count: errors that the kernel's checker has found. */
  errorCount: number;
  /** debugfs num_errors: reports that it still prints; 0 prints no more, unless all_errors is set. */
  numErrors: number;
  /** debugfs num_free_entries: entries of the kernel's pool that are free. */
  numFreeEntries: number;
  /** debugfs min_free_entries: the fewest that were ever free. */
  minFreeEntries: number;
  /** debugfs nr_total_entries: entries of the pool, those included by which it has grown. */
  nrTotalEntries: number;
  /** Live entries of our own checker, which has no pool to run out. */
  live: number;
  /** Bytes that the live entries map. */
  liveBytes: number;
  /** Pages of device address space that the live entries hold, 4 KiB each. */
  livePages: number;
  /** Of these, entries whose address the driver has lost. */
  lost: number;
  /** Pages of device address space that lost entries hold; nothing can give them back. */
  lostPages: number;
  /** Entries made since the machine was. */
  inserts: number;
  /** Mappings that were not tracked because linear memory was full. */
  missed: number;
}

export class DmaDebugRecords {
  readonly #core: Core;
  readonly #context: ContextHandle;

  private constructor(core: Core, context: ContextHandle) {
    this.#core = core;
    this.#context = context;
  }

  /**
   * Switches dma-debug of a context on.
   * @param flags DEBUG_*
   * @param buckets of the kernel's hash: 1,024 or 16,384
   * @param entries of its pool
   * @throws GemDmaError ENOMEM
   */
  static create(core: Core, context: ContextHandle, flags: number, buckets: number, entries: number): DmaDebugRecords {
    const rc = core.exports.debugCreate(context, flags, buckets, entries);
    if (rc < 0) throw new GemDmaError('ENOMEM', 'dma_debug_init', 'no linear memory for the tables of dma-debug');
    return new DmaDebugRecords(core, context);
  }

  /** @param filter a driver filter is set; which devices pass it their flags say */
  setOptions(allErrors: boolean, numErrors: number, filter: boolean, poolFixed = false): void {
    const options = (allErrors ? OPTION_ALL_ERRORS : 0) | (filter ? OPTION_FILTER : 0);
    this.#core.exports.debugOptions(this.#context, options, numErrors, poolFixed);
  }

  /** Sets the counters to where a recorded kernel was. */
  setCounters(errorCount: number, numFree: number, minFree: number, total: number): void {
    this.#core.exports.debugCountersSet(this.#context, errorCount, numFree, minFree, total);
  }

  /** One counter by its number (VALUE_*), for polling. */
  value(which: number): number {
    return this.#core.tools.debugValue(this.#context, which);
  }

  /** @param sums false leaves liveBytes and livePages 0: each takes a walk over the live entries */
  counters(sums = true): DmaDebugCounters {
    return {
      disabled: this.value(VALUE_DISABLED) === 1,
      errorCount: this.value(VALUE_ERROR_COUNT),
      numErrors: this.value(VALUE_NUM_ERRORS),
      numFreeEntries: this.value(VALUE_NUM_FREE),
      minFreeEntries: this.value(VALUE_MIN_FREE),
      nrTotalEntries: this.value(VALUE_TOTAL),
      live: this.value(VALUE_LIVE),
      liveBytes: sums ? this.value(VALUE_LIVE_BYTES) : 0,
      livePages: sums ? this.value(VALUE_LIVE_PAGES) : 0,
      lost: this.value(VALUE_LOST),
      lostPages: this.value(VALUE_LOST_PAGES),
      inserts: this.value(VALUE_INSERTS),
      missed: this.value(VALUE_MISSED),
    };
  }

  /** Verdicts of one check so far, overwritten records included. */
  count(check: number): number {
    return this.#core.tools.debugCount(this.#context, check);
  }

  /**
   * Takes every waiting record out of the log, oldest first.
   * @param viewOf what reads a check's payload, null for a check without one
   */
  drain(viewOf: (check: number) => PayloadView | null): VerdictRecord[] {
    const { exports } = this.#core;
    const records: VerdictRecord[] = [];
    for (let run = exports.debugLogRun(this.#context); run > 0; run = exports.debugLogRun(this.#context)) {
      const first = exports.debugLogFirst(this.#context);
      const verdict = new VerdictView(this.#core);
      for (let i = 0; i < run; ++i) {
        const at = first + i * VerdictView.SIZE;
        const View = viewOf(verdict.moveTo(at).check);
        records.push(verdictRecord(verdict, View ? new View(this.#core, at + VERDICT_PAYLOAD).payload() : null));
      }
      exports.debugLogDrained(this.#context, run);
    }
    return records;
  }

  /** Records lost since the last call because the log was not drained in time. */
  dropped(): number {
    return this.#core.exports.debugLogDropped(this.#context);
  }

  /** Every live entry. */
  entries(): LiveEntryRecord[] {
    const { tools } = this.#core;
    const records: LiveEntryRecord[] = [];
    for (let at = tools.debugEntryFirst(this.#context); at !== 0; at = tools.debugEntryNext(this.#context, at)) {
      const entry = new EntryView(this.#core, at);
      records.push(entryRecord(entry, new DmaDeviceView(this.#core, entry.device).id));
    }
    return records;
  }

  /**
   * Calls a visitor for every live entry, with its numbers in one object that is reused for the next entry.
   * No mapping may be made or ended meanwhile.
   */
  visit(visitor: (entry: Readonly<EntryNumbers>) => void): void {
    const { tools } = this.#core;
    const entry = new EntryView(this.#core);
    const device = new DmaDeviceView(this.#core);
    const seen: EntryNumbers = {
      device: 0,
      address: 0,
      size: 0,
      iovaBytes: 0,
      type: 0,
      direction: 0,
      lost: false,
      object: 0,
      hook: 0,
      site: 0,
      time: 0,
    };
    for (let at = tools.debugEntryFirst(this.#context); at !== 0; at = tools.debugEntryNext(this.#context, at)) {
      entry.moveTo(at);
      const { address, size, kind } = entry;
      seen.device = device.moveTo(entry.device).id;
      seen.address = address;
      seen.size = size;
      // The offset in the page as an integer: a remainder of doubles would cost more than all the rest.
      seen.iovaBytes = Math.ceil(((address & PAGE_MASK) + size) / PAGE_SIZE) * PAGE_SIZE;
      seen.type = kind & 0xff;
      seen.direction = (kind >>> 8) & 0xff;
      seen.lost = (entry.flags & ENTRY_LOST) !== 0;
      seen.object = entry.object;
      seen.hook = entry.hook;
      seen.site = entry.site;
      seen.time = entry.time;
      visitor(seen);
    }
  }
}

function verdictRecord(verdict: VerdictView, payload: object | null): VerdictRecord {
  const { check, sequence, time, device, flags, address, size, object, vma, hook, site } = verdict;
  return {
    ...{ check, sequence, time, device, flags, address, size, payload },
    caller: { object, vma, hook, site },
    mapping: (flags & REPORT_ENTRY) === 0 ? null : verdictMapping(verdict),
  };
}

function verdictMapping(verdict: VerdictView): EntryRecord {
  return {
    device: verdict.entryDevice,
    address: verdict.entryAddress,
    size: verdict.entrySize,
    type: MAPPING_TYPES[verdict.entryType],
    direction: DIRECTIONS[verdict.entryDirection],
    time: verdict.entryTime,
    sequence: verdict.entrySequence,
    by: {
      object: verdict.entryObject,
      vma: verdict.entryVma,
      hook: verdict.entryHook,
      site: verdict.entrySite,
    },
  };
}

/** Sizes and addresses of an entry are below 2^53, or all ones. */
function entryRecord(entry: EntryView, device: number): LiveEntryRecord {
  const { address, size, phys, sgCallEnts, sgMappedEnts, kind, object, vma, hook, site, sequence, time } = entry;
  return {
    ...{ device, address, size, phys, sequence, time },
    callEnts: sgCallEnts,
    mappedEnts: sgMappedEnts,
    type: MAPPING_TYPES[kind & 0xff],
    direction: DIRECTIONS[(kind >>> 8) & 0xff],
    checked:
      (entry.unmapFlags & UNMAP_UNCHECKED) !== 0
        ? 'not checked'
        : (entry.unmapFlags & UNMAP_CHECKED) !== 0
          ? 'checked'
          : 'not applicable',
    lost: (entry.flags & ENTRY_LOST) !== 0,
    by: { object, vma, hook, site },
  };
}
