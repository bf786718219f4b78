import {
  type CoreHost,
  checkBoolean,
  checkOptions,
  hostTimeline,
  isU32,
  readList,
  readPfnList,
} from '../core/arguments.js';
import { checkInteger, GemDmaError, invalidType } from '../core/errors.js';
import {
  MAX_ORDER,
  PAGE_SIZE,
  SG_MAPPED,
  SG_MAX_ENTRY,
  SG_MAX_PAGES,
  SG_NO_COALESCE,
  ZONE_DMA32,
  ZONE_NORMAL,
} from '../core/generated/constants.js';
import type { SgTableHandle } from '../core/generated/exports.js';
import { guard } from '../core/guard.js';
import { checkMaker, LIBRARY, Life } from '../core/life.js';
import type { PhysicalMemory } from '../core/physical-memory.js';
import { pfnOf, readPfns, writePfns, writeRuns } from '../core/sg-vectors.js';
import type { DmaDebug } from '../dma-debug/dma-debug.js';
import type { DmaDevice } from './device.js';
import type { P2pConfig } from './p2p.js';

/**
 * Scatter-gather tables: the list of pages that one dma_map_sg call maps, and after that call the list of segments under
 * which a device sees them (struct sg_table; assembly/sg).
 */

/** Memory of devices on the bus, found by its physical address. */
export interface BusMemory {
  /** Whether there is no region at all. */
  readonly empty: boolean;
  /** The region that holds a physical address; undefined for none. */
  at(physical: number): BusRegion | undefined;
}

/** Memory of a device on the bus, such as a BAR. */
export interface BusRegion {
  /** Physical address of the first byte. */
  readonly address: number;
  /** Bytes. */
  readonly size: number;
  /** Whose it is, where that is a device of the machine. */
  readonly device?: DmaDevice;
  /** `n` bytes from `offset` on. */
  read(offset: number, n: number): Uint8Array;
  /** Stores bytes from `offset` on. */
  write(offset: number, bytes: Uint8Array): void;
}

/** What a table lives in. A Machine is one. */
export interface DmaHost extends CoreHost {
  /** The machine's dma-debug, if it has one. */
  readonly dmaDebugOrNull?: DmaDebug | null;
  /** Whether the machine has a bounce pool. */
  readonly bounces?: boolean;
  /** Memory of devices on the bus. */
  readonly bars?: BusMemory;
  /** What the kernel does. */
  readonly kernel?: {
    /** Whether x86 checks masks itself (arch/x86/kernel/pci-dma.c, dma_supported). */
    readonly checksMasks: boolean;
    /** Whether behind an IOMMU neighbours become one segment; before that coherent memory was one block, too. */
    readonly mergeSegments?: boolean;
  };
  /** RAM as its CPUs see it. */
  readonly ram?: PhysicalMemory;
  /** What the bus does with transactions from device to device. @internal */
  readonly p2p?: P2pConfig;
  /** Devices that are there. */
  readonly devices?: readonly DmaDevice[];
  /** A device has read what it was given to write. @internal */
  tellReadOfWriteOnly?(device: DmaDevice, address: number): void;
  /** Puts in words what the kernel's log has so far: a device is about to change. @internal */
  keepWords?(): void;
  /** Removes the last fault from the kernel's log: a handler has handled it. @internal */
  forgetFault?(): void;
}

/** One entry of a table: `length` bytes from `offset` on in page `pfn`; lengths past the page go on in its neighbours. */
export interface SgEntry {
  /** Page frame number of the first page. */
  pfn: number;
  /** Bytes from the begin of that page; less than 4096. */
  offset: number;
  /** Bytes, at least 1. */
  length: number;
}

/** One mapped segment, as sg_dma_address and sg_dma_len give it. */
export interface SgSegment {
  /** DMA address in bytes. */
  address: number;
  /** Bytes. */
  length: number;
}

/** How `ScatterTable.fromPages` makes entries of pages (sg_alloc_table_from_pages_segment). */
export interface PagesOptions {
  /** Offset of the first byte in the first page. Default 0. */
  offset?: number;
  /** Length in bytes; ends in the last page. Default: all of it. */
  size?: number;
  /** Longest entry in bytes, rounded down to 4 KiB. Default: 0xfffff000, the longest there can be. */
  maxSegment?: number;
  /** False: one entry per page, as drivers do when mappings may bounce. Default true. */
  coalesce?: boolean;
}

/** A scatter-gather table (struct sg_table): entries of physical memory, and the segments that a mapping made of them. */
export class ScatterTable {
  static {
    guard(ScatterTable, (one) => #life in one, ['handle']);
  }

  /** @internal */
  readonly host: DmaHost;
  readonly #record: SgTableHandle;
  readonly #life: Life;
  /** Belongs to a coherent buffer, which frees it. */
  readonly #lent: boolean;

  /** An attachment of a dma-buf has it: it may not be freed. @internal */
  inUse = false;

  private constructor(maker: typeof LIBRARY, host: DmaHost, record: SgTableHandle, lent = false) {
    checkMaker(maker, 'ScatterTable');
    this.host = host;
    this.#record = record;
    this.#lent = lent;
    this.#life = new Life(host.core.timeline, 'scatter table');
  }

  /**
   * A table over pages of another owner, merged as sg_alloc_table_from_pages_segment does (lib/scatterlist.c).
   * Throws GemDmaError EINVAL for a maxSegment below a page or a size that does not end in the last page, ENOMEM.
   */
  static fromPages(host: DmaHost, pfns: ArrayLike<number>, options: PagesOptions = {}): ScatterTable {
    const given = checkOptions('options', options, ['offset', 'size', 'maxSegment', 'coalesce']);
    const list = readPfnList(pfns, 1, SG_MAX_PAGES);
    const count = list.length;
    const offset = checkInteger('offset', given.offset ?? 0, 0, PAGE_SIZE - 1);
    const size = checkInteger('size', given.size ?? count * PAGE_SIZE - offset, 1, count * PAGE_SIZE - offset);
    const maxSegment = checkInteger('maxSegment', given.maxSegment ?? SG_MAX_ENTRY, 0, 0xffffffff);
    const flags = checkBoolean('coalesce', given.coalesce, true) ? 0 : SG_NO_COALESCE;
    hostTimeline(host, 'sg_alloc_table_from_pages');
    const { exports } = host.core;
    const handle = exports.sgReserve(host.context, count);
    if (handle === 0) throw noMemory(`no memory for a table of ${count} pages`);
    writePfns(host.core, handle, list);
    const rc = exports.sgFinish(handle, offset, size, maxSegment, flags);
    if (rc < 0) {
      exports.sgDestroy(handle);
      const message = `${count} pages cannot hold ${size} bytes from offset ${offset} in entries of at most ${maxSegment} bytes`;
      throw new GemDmaError('EINVAL', 'sg_alloc_table_from_pages', message, {
        details: { pages: count, offset, size, maxSegment },
      });
    }
    return new ScatterTable(LIBRARY, host, handle);
  }

  /** A table with frames of its own, handed out by the machine's RAM and given back with it. Throws ENOMEM. */
  static allocate(
    host: DmaHost,
    pages: number,
    options: Pick<PagesOptions, 'maxSegment' | 'coalesce'> = {},
  ): ScatterTable {
    const given = checkOptions('options', options, ['maxSegment', 'coalesce']);
    checkInteger('pages', pages, 1, SG_MAX_PAGES);
    const maxSegment = checkInteger('maxSegment', given.maxSegment ?? SG_MAX_ENTRY, PAGE_SIZE, 0xffffffff);
    const flags = checkBoolean('coalesce', given.coalesce, true) ? 0 : SG_NO_COALESCE;
    hostTimeline(host, 'sg_alloc_table');
    const handle = host.core.exports.sgAllocPages(host.context, pages, flags, maxSegment);
    if (handle === 0) throw noMemory(`no memory for a table with ${pages} pages of its own`);
    return new ScatterTable(LIBRARY, host, handle);
  }

  /** A table of one block of 2^order neighbouring frames of its own. Throws ENOMEM. */
  static allocateBlock(host: DmaHost, order: number, below4GiB = false): ScatterTable {
    hostTimeline(host, 'sg_alloc_table');
    checkInteger('order', order, 0, MAX_ORDER);
    checkBoolean('below4GiB', below4GiB, false);
    const handle = host.core.exports.sgAllocBlock(host.context, order, below4GiB ? ZONE_DMA32 : ZONE_NORMAL);
    if (handle === 0) throw noMemory(`no memory for a table with a block of order ${order} of its own`);
    return new ScatterTable(LIBRARY, host, handle);
  }

  /** A table of exactly these entries (sg_init_table and sg_set_page). Throws ENOMEM. */
  static fromEntries(host: DmaHost, entries: readonly SgEntry[]): ScatterTable {
    const runs = readList('entries', entries, [1, SG_MAX_PAGES / 4], checkEntry);
    hostTimeline(host, 'sg_alloc_table');
    const count = runs.length;
    const { exports } = host.core;
    const handle = exports.sgReserveRuns(host.context, count);
    if (handle === 0) throw noMemory(`no memory for a table of ${count} entries`);
    writeRuns(host.core, handle, runs);
    exports.sgFinishRuns(handle);
    return new ScatterTable(LIBRARY, host, handle);
  }

  /** @internal A table that the core made, with a reference for the caller. */
  static adopt(maker: typeof LIBRARY, host: DmaHost, handle: SgTableHandle): ScatterTable {
    return new ScatterTable(maker, host, handle);
  }

  /** @internal The table of a coherent buffer, which the core made: `forget` ends it, `release` does not. */
  static lend(maker: typeof LIBRARY, host: DmaHost, handle: SgTableHandle): ScatterTable {
    return new ScatterTable(maker, host, handle, true);
  }

  /** @internal The same over neighbouring frames, which need not be RAM. Throws ENOMEM. */
  static lendRun(maker: typeof LIBRARY, host: DmaHost, pfn: number, pages: number): ScatterTable {
    const { exports } = host.core;
    const handle = exports.sgReserve(host.context, pages);
    if (handle === 0) throw noMemory(`no memory for a table of ${pages} pages`);
    writePfns(
      host.core,
      handle,
      Uint32Array.from({ length: pages }, (_, i) => pfn + i),
    );
    exports.sgFinish(handle, 0, pages * PAGE_SIZE, SG_MAX_ENTRY, 0);
    return new ScatterTable(maker, host, handle, true);
  }

  /**
   * @internal The record of a table that a call takes beside an object that has entered.
   * @throws ERR_INVALID_ARG_TYPE if the argument is not a table; GemDmaError EXDEV, ESTALE, ENODEV
   */
  static recordFor(table: ScatterTable, user: Life, call: string): SgTableHandle {
    if (typeof table !== 'object' || table === null || !(#life in table)) {
      throw invalidType('table', 'a ScatterTable', table);
    }
    user.join(table.#life, call);
    return table.#record;
  }

  /** @internal For calls of a machine's own objects. Errors as recordFor. */
  static recordIn(host: CoreHost, table: ScatterTable, call: string): SgTableHandle {
    if (typeof table !== 'object' || table === null || !(#life in table)) {
      throw invalidType('table', 'a ScatterTable', table);
    }
    table.#life.enterIn(hostTimeline(host, call), call);
    return table.#record;
  }

  /** @internal Handle in the core. Throws for a table that is dead. */
  get handle(): SgTableHandle {
    return this.#enter('sg_table');
  }

  #enter(call: string): SgTableHandle {
    this.#life.enter(call);
    return this.#record;
  }

  /** Bytes of all entries. */
  get bytes(): number {
    return this.host.core.exports.sgBytes(this.#enter('sg_table'));
  }

  /** Pages of a table made from pages, 0 for one made from entries. */
  get pageCount(): number {
    return this.host.core.exports.sgPageCount(this.#enter('sg_table'));
  }

  /** Entries as they were built (sgt->orig_nents). */
  get origNents(): number {
    return this.host.core.exports.sgOrigNents(this.#enter('sg_table'));
  }

  /** Segments after mapping, entries before (sgt->nents). */
  get nents(): number {
    return this.host.core.exports.sgNents(this.#enter('sg_table'));
  }

  /** Whether the last thing done with the table was mapping it. */
  get mapped(): boolean {
    return (this.host.core.exports.sgFlags(this.#enter('sg_table')) & SG_MAPPED) !== 0;
  }

  /**
   * pfn of page n of a table made from pages.
   * @throws RangeError past the last page
   */
  pfn(page: number): number {
    checkInteger('page', page, 0, this.pageCount - 1);
    return pfnOf(this.host.core, this.#enter('sg_table'), page);
  }

  /** A copy of all pfns of a table made from pages. */
  pfns(): Uint32Array {
    return readPfns(this.host.core, this.#enter('sg_table'), this.pageCount);
  }

  /**
   * DMA address of page n of a mapped table made from pages, -1 while it was never mapped and past its last page.
   * @throws RangeError if the argument is not a page number
   */
  dmaAddress(page: number): number {
    if (!isU32(page)) checkInteger('page', page, 0, SG_MAX_PAGES);
    return this.host.core.exports.sgDmaPage(this.#enter('sg_dma_address'), page);
  }

  /** The entries, in order, as Linux has them. */
  entries(): SgEntry[] {
    const record = this.#enter('sg_table');
    const { sgEntryAddress, sgEntryOffset, sgEntrySize } = this.host.core.exports;
    return Array.from({ length: this.origNents }, (_, i) => {
      const offset = sgEntryOffset(record, i) >>> 0;
      return {
        pfn: (sgEntryAddress(record, i) - offset) / PAGE_SIZE,
        offset,
        length: sgEntrySize(record, i) >>> 0,
      };
    });
  }

  /** The mapped segments, in order; empty while the table was never mapped. */
  segments(): SgSegment[] {
    const record = this.#enter('sg_table');
    const { sgDmaSegmentAddress, sgDmaSegmentLength } = this.host.core.exports;
    if (sgDmaSegmentLength(record, 0) === 0) return [];
    return Array.from({ length: this.nents }, (_, i) => ({
      address: sgDmaSegmentAddress(record, i),
      length: sgDmaSegmentLength(record, i),
    }));
  }

  /**
   * Frees the table, and its frames if it owns them (sg_free_table). A mapping that still exists is leaked. A second call does nothing.
   * @throws GemDmaError EBUSY for the table of a coherent buffer, which is freed with the buffer, and while an importer uses it (dma-buf);
   *   ESTALE, ENODEV
   */
  release(): void {
    if (!this.#life.ending('sg_free_table')) return;
    if (this.#lent) {
      throw new GemDmaError('EBUSY', 'sg_free_table', 'the table belongs to a coherent buffer', {
        reason: 'TABLE_OF_BUFFER',
      });
    }
    if (this.inUse) {
      throw new GemDmaError('EBUSY', 'sg_free_table', 'an importer uses the table', { reason: 'TABLE_OF_ATTACHMENT' });
    }
    this.#life.end();
    this.host.core.exports.sgDestroy(this.#record);
    this.host.dmaDebugOrNull?.settle();
  }

  /** @internal Whether a lent table is still there to be freed with its buffer. Errors as release. */
  ending(call: string): boolean {
    return this.#life.ending(call);
  }

  /** @internal The core has freed the table. */
  forget(): void {
    this.#life.end();
  }

  /** Whether it can be used: it was not released, and no restore went back to a time before it was made. */
  get alive(): boolean {
    return this.#life.alive;
  }

  /** Frees the table, with pages that it owns. */
  [Symbol.dispose](): void {
    if (this.alive && !this.#lent && !this.inUse) this.release();
  }
}

function checkEntry(entry: SgEntry): SgEntry {
  const plain = checkOptions('entry', entry, ['pfn', 'offset', 'length']);
  checkInteger('pfn', plain.pfn, 0, 0xffffffff);
  checkInteger('offset', plain.offset, 0, 0xffffffff);
  checkInteger('length', plain.length, 1, 0xffffffff);
  return plain;
}

function noMemory(message: string): GemDmaError {
  return new GemDmaError('ENOMEM', 'sg_alloc_table', message);
}
