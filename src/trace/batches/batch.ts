import { checkArray, checkObject } from '../../core/arguments.js';
import { checkInteger, invalidType } from '../../core/errors.js';
import { StringTable } from './strings.js';

/**
 * Events of a trace as columns: one typed array for each field, one row for each event, no object for any of them. A batch
 * is one ArrayBuffer, so that a worker hands it over without a copy; the strings that its rows name by number are beside it.
 */

/** Kinds of rows. The numbers are in no file: they may change between versions. */
export const EVENT = {
  /** iommu:map: entries of a table were written, without a device. */
  IOMMU_MAP: 1,
  /** iommu:unmap: entries of a table were cleared, `extra` bytes of them. */
  IOMMU_UNMAP: 2,
  /** dma_map_page, dma_map_phys of memory, intel_iommu:map_single, bounce_map_single. */
  MAP_PAGE: 3,
  /** The end of such a mapping. */
  UNMAP_PAGE: 4,
  /** dma_map_resource, dma_map_phys of a device's memory. */
  MAP_RESOURCE: 5,
  /** dma_unmap_resource. */
  UNMAP_RESOURCE: 6,
  /** dma_alloc: coherent memory. */
  ALLOC: 7,
  /** dma_free. */
  FREE: 8,
  /** dma_alloc_pages: memory that is not coherent. */
  ALLOC_PAGES: 9,
  /** dma_free_pages. */
  FREE_PAGES: 10,
  /** dma_alloc_sgt: memory in pieces that is not coherent. */
  ALLOC_SGT: 11,
  /** dma_free_sgt. */
  FREE_SGT: 12,
  /** dma_map_sg: the row's list has entries and segments. */
  MAP_SG: 13,
  /** dma_unmap_sg: the row's list has the entries' physical addresses. */
  UNMAP_SG: 14,
  /** A call that failed: dma_map_sg_err, and allocations without an address. */
  MAP_ERROR: 15,
  /** dma_sync_*: a mapping was handed to the CPU or to the device. */
  SYNC: 16,
  /** swiotlb:swiotlb_bounced: `physical` the buffer, `extra` the mask. */
  BOUNCED: 17,
  /** A fault of an IOMMU: `text` the reason as it was printed. */
  FAULT: 18,
  /** A report of dma-debug: `text` the sentence. */
  DMA_DEBUG: 19,
  /** A line of debugfs dma-api/dump: a mapping that is live then. */
  DUMP: 20,
  /** swiotlb is full: `size` asked for, `extra` the slots in use. */
  SWIOTLB_FULL: 21,
  /** add_device_to_group: `extra` the group. */
  GROUP: 22,
  /** A flush of the whole IOTLB of a domain (intel_iommu:qi_submit, cache_tag_flush_all). */
  FLUSH: 23,
  /** Events were lost here: `size` how many. */
  LOST: 24,
} as const;

export type EventNumber = (typeof EVENT)[keyof typeof EVENT];

/** How the kernel's tracepoints are called, by number; what the export writes. */
export const EVENT_NAMES: readonly string[] = [
  ...[
    '',
    'map',
    'unmap',
    'dma_map_page',
    'dma_unmap_page',
    'dma_map_resource',
    'dma_unmap_resource',
    'dma_alloc',
    'dma_free',
  ],
  ...[
    'dma_alloc_pages',
    'dma_free_pages',
    'dma_alloc_sgt',
    'dma_free_sgt',
    'dma_map_sg',
    'dma_unmap_sg',
    'dma_map_sg_err',
  ],
  ...[
    'dma_sync',
    'swiotlb_bounced',
    'fault',
    'dma_debug',
    'dma_api_dump',
    'swiotlb_full',
    'add_device_to_group',
    'flush',
  ],
  'lost',
];

/** Bits of `flags`. */
export const ROW = {
  /** The lists of the row are shorter than the mapping's. */
  TRUNCATED: 1,
  /** Further entry of the mapping that the row before began (intel_iommu:map_sg has one entry per event). */
  CONTINUES: 2,
  /** A write, for faults; FORCE, for bounces. */
  WRITE: 4,
  /** The row has an address. */
  ADDRESS: 8,
  /** From a log, not from a trace: its time may be of another clock. */
  LOG: 16,
  /** DUMP, DMA_DEBUG: coherent memory. */
  COHERENT: 32,
  /** The event was logged with a size of its own; without it `size` is 0. */
  SIZE: 64,
} as const;

export const NO_CPU = 0xffff;
export const NO_DIRECTION = 255;

/** The columns of a batch: element `i` of each is of row `i`. */
export interface Columns {
  /** Nanoseconds. NaN where the input has none. */
  time: Float64Array;
  /** Page of the device address, its low 12 bits in `offset`: exact for all 64 bits. */
  page: Float64Array;
  /** Physical address in bytes, NaN for none. */
  physical: Float64Array;
  /** Bytes; 0 where the event has none. */
  size: Float64Array;
  /** As the kind says: unmapped bytes, entries that the call was given, group, mask. */
  extra: Float64Array;
  /** Number of the task's name in `strings`, 0 for none. */
  task: Uint32Array;
  /** Number of the device's name in `strings`, 0 for none. */
  device: Uint32Array;
  /** Number of the row's text in `strings`, such as a fault's reason; 0 for none. */
  text: Uint32Array;
  /** DMA_ATTR bits of the call. */
  attrs: Uint32Array;
  /** First value in `values`: `entries` physical addresses, then `segments` device addresses, then as many lengths. */
  list: Uint32Array;
  /** Physical addresses in the row's list. */
  entries: Uint32Array;
  /** Device addresses in the row's list, and lengths after them. */
  segments: Uint32Array;
  /** Low 12 bits of the device address. */
  offset: Uint16Array;
  /** CPU that made the event; 65535 where the input has none. */
  cpu: Uint16Array;
  /** What the row is: a number of `EVENT`. */
  kind: Uint8Array;
  /** enum dma_data_direction; 255 where the trace has none. */
  direction: Uint8Array;
  /** Bits of `ROW`. */
  flags: Uint8Array;
}

/** A column of a batch. */
export type ColumnName = keyof Columns;

const COLUMNS = {
  ...{ time: Float64Array, page: Float64Array, physical: Float64Array, size: Float64Array, extra: Float64Array },
  ...{ task: Uint32Array, device: Uint32Array, text: Uint32Array, attrs: Uint32Array },
  ...{ list: Uint32Array, entries: Uint32Array, segments: Uint32Array },
  ...{ offset: Uint16Array, cpu: Uint16Array, kind: Uint8Array, direction: Uint8Array, flags: Uint8Array },
} as const;

const NAMES = Object.keys(COLUMNS) as ColumnName[];

/** Some events of one input, as columns. */
export interface TraceBatch extends Columns {
  /** Rows in use. */
  length: number;
  /** The lists of the rows, see `list`. */
  values: Float64Array;
  /** Strings that rows of this batch name and none before; the first of them is number `firstString`. */
  strings: string[];
  /** Number of `strings[0]`; batches before have the smaller numbers, and 0 is none. */
  firstString: number;
  /** The memory of all columns but `values`. */
  buffer: ArrayBuffer;
}

/** @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE if the argument is not a complete batch */
export function checkBatch(batch: TraceBatch, input = 0): void {
  checkObject('batch', batch);
  checkInteger('input', input, 0, MAX_INPUTS);
  const { length, strings, firstString, values } = batch;
  for (const name of NAMES) {
    const column: unknown = batch[name];
    if (!(column instanceof COLUMNS[name])) throw invalidType(`batch.${name}`, `a ${COLUMNS[name].name}`, column);
    checkInteger('batch.length', length, 0, column.length);
  }
  if (!(values instanceof Float64Array)) throw invalidType('batch.values', 'a Float64Array', values);
  checkArray('batch.strings', strings);
  for (const text of strings) if (typeof text !== 'string') throw invalidType('batch.strings', 'strings', text);
  checkInteger('batch.firstString', firstString, 0, MAX_STRINGS);
}

/** Readers whose batches one audit takes; strings of a reader. */
const MAX_INPUTS = 4095;
const MAX_STRINGS = 2 ** 26;

function layout(capacity: number): number {
  return NAMES.reduce((bytes, name) => bytes + COLUMNS[name].BYTES_PER_ELEMENT * capacity, 0);
}

/** The columns in a buffer. The capacity is a multiple of 8, so that each begins aligned. */
export function columnsOf(buffer: ArrayBuffer, capacity: number): Columns {
  let at = 0;
  const columns: Record<string, unknown> = {};
  for (const name of NAMES) {
    columns[name] = new COLUMNS[name](buffer, at, capacity);
    at += COLUMNS[name].BYTES_PER_ELEMENT * capacity;
  }
  return columns as unknown as Columns;
}

export const BATCH_ROWS = 8192;
/** Longest list of a row, in values; more is cut and the row says TRUNCATED. */
const MAX_LIST = 1 << 16;

/** Where format readers put their rows. */
export class BatchWriter {
  readonly strings = new StringTable();
  columns!: Columns;
  values = new Float64Array(0);
  valueCount = 0;
  length = 0;
  private buffer!: ArrayBuffer;
  private sentStrings = 1;
  private readonly full: TraceBatch[] = [];

  constructor() {
    this.fresh();
  }

  private fresh(): void {
    this.buffer = new ArrayBuffer(layout(BATCH_ROWS));
    this.columns = columnsOf(this.buffer, BATCH_ROWS);
    // A new array for each batch: the old one went with it.
    this.values = new Float64Array(BATCH_ROWS * 4);
    this.valueCount = 0;
    this.length = 0;
  }

  /** Begins a row; everything that is not set afterwards is absent. Returns its number. */
  row(kind: EventNumber, time: number, cpu: number, task: number): number {
    if (this.length === BATCH_ROWS) this.cut();
    const row = this.length++;
    const c = this.columns;
    c.kind[row] = kind;
    c.time[row] = time;
    c.cpu[row] = cpu;
    c.task[row] = task;
    c.physical[row] = Number.NaN;
    c.direction[row] = NO_DIRECTION;
    c.list[row] = this.valueCount;
    return row;
  }

  /** Removes the last row, unless its batch has been cut. */
  undo(): boolean {
    if (this.length === 0) return false;
    const row = --this.length;
    const c = this.columns;
    this.valueCount = c.list[row];
    for (const name of NAMES) c[name][row] = 0;
    return true;
  }

  /** A value of the last row's lists. Returns false when the list is full. */
  value(value: number): boolean {
    if (this.valueCount === this.values.length) {
      const larger = new Float64Array(this.values.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    if (this.valueCount - this.columns.list[this.length - 1] >= MAX_LIST * 3) return false;
    this.values[this.valueCount++] = value;
    return true;
  }

  /** Closes the batch that is being written. */
  cut(): void {
    if (this.length === 0 && this.strings.size === this.sentStrings) return;
    this.full.push({
      ...this.columns,
      length: this.length,
      values: this.values.slice(0, this.valueCount),
      strings: this.strings.since(this.sentStrings),
      firstString: this.sentStrings,
      buffer: this.buffer,
    });
    this.sentStrings = this.strings.size;
    this.fresh();
  }

  /** Batches that are complete. */
  take(): TraceBatch[] {
    return this.full.splice(0);
  }
}

/** The message of a worker: a batch without its views, which the receiver makes again. */
export interface PostedBatch {
  length: number;
  values: Float64Array;
  strings: string[];
  firstString: number;
  buffer: ArrayBuffer;
}

export function postable({ length, values, strings, firstString, buffer }: TraceBatch): PostedBatch {
  return { length, values, strings, firstString, buffer };
}

export function received(posted: PostedBatch): TraceBatch {
  return { ...posted, ...columnsOf(posted.buffer, BATCH_ROWS) };
}
