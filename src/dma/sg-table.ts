import { checkInteger, GemDmaError, invalidType } from '../core/errors.js';
import type { Core } from '../core/instance.js';
import type { DmaDebug } from '../dma-debug/dma-debug.js';

/**
 * Scatter-gather tables: the list of pages that one dma_map_sg call maps, and after that call the list of segments under
 * which a device sees them (struct sg_table; assembly/sg).
 */

/** What a table lives in: an instance of the core and a context in it. A Machine is one. */
export interface DmaHost {
  readonly core: Core;
  /** Handle of the core's context. */
  readonly context: number;
  /** The machine's checker, if it has one. */
  readonly checker?: DmaDebug | null;
}

/** One entry of a table: `length` bytes from `offset` on in page `pfn`; lengths past the page go on in its neighbours. */
export interface SgEntry {
  pfn: number;
  offset: number;
  length: number;
}

/** One mapped segment, as sg_dma_address and sg_dma_len give it. */
export interface SgSegment {
  address: number;
  length: number;
}

export interface PagesOptions {
  /** Offset of the first byte in the first page. Default 0. */
  offset?: number;
  /** Length in bytes; ends in the last page. Default: all of it. */
  size?: number;
  /** Longest entry in bytes, rounded down to 4 KiB. Default: 0xfffff000, the longest there can be. */
  maxSegment?: number;
  /** False: each page is an entry of its own, as drivers do when swiotlb may be behind. Default true. */
  coalesce?: boolean;
}

const PAGE_SIZE = 4096;
const MAX_ENTRY = 0xfffff000;
const MAX_PAGES = 2 ** 28;
const NO_COALESCE = 1;
const MAPPED = 2;
const RUN_WORDS = 4;

export class ScatterTable {
  readonly host: DmaHost;
  private record: number;

  private constructor(host: DmaHost, handle: number) {
    this.host = host;
    this.record = handle;
  }

  /**
   * A table over pages that somebody else owns, merged as sg_alloc_table_from_pages_segment does (lib/scatterlist.c).
   * Throws GemDmaError EINVAL for a maxSegment below a page or a size that does not end in the last page, ENOMEM.
   */
  static fromPages(host: DmaHost, pfns: ArrayLike<number>, options: PagesOptions = {}): ScatterTable {
    const count = checkInteger('pfns.length', pfns.length, 1, MAX_PAGES);
    const offset = checkInteger('offset', options.offset ?? 0, 0, PAGE_SIZE - 1);
    const size = checkInteger('size', options.size ?? count * PAGE_SIZE - offset, 1, count * PAGE_SIZE - offset);
    const { exports } = host.core;
    const handle = exports.sgReserve(host.context, count);
    if (handle === 0) throw noMemory(`no memory for a table of ${count} pages`);
    host.core.u32.set(pfns, exports.sgPfnVector(handle) >>> 2);
    const maxSegment = checkInteger('maxSegment', options.maxSegment ?? MAX_ENTRY, 0, 0xffffffff);
    const rc = exports.sgFinish(handle, offset, size, maxSegment, options.coalesce === false ? NO_COALESCE : 0);
    if (rc < 0) {
      exports.sgDestroy(handle);
      const message = `${count} pages cannot hold ${size} bytes from offset ${offset} in entries of at most ${maxSegment} bytes`;
      throw new GemDmaError('EINVAL', 'sg_alloc_table_from_pages', message, {
        details: { pages: count, offset, size, maxSegment },
      });
    }
    return new ScatterTable(host, handle);
  }

  /** A table with frames of its own, handed out by the machine's RAM and given back with it. Throws ENOMEM. */
  static allocate(
    host: DmaHost,
    pages: number,
    options: Pick<PagesOptions, 'maxSegment' | 'coalesce'> = {},
  ): ScatterTable {
    checkInteger('pages', pages, 1, MAX_PAGES);
    const maxSegment = checkInteger('maxSegment', options.maxSegment ?? MAX_ENTRY, PAGE_SIZE, 0xffffffff);
    const flags = options.coalesce === false ? NO_COALESCE : 0;
    const handle = host.core.exports.sgAllocPages(host.context, pages, flags, maxSegment);
    if (handle === 0) throw noMemory(`no memory for a table with ${pages} pages of its own`);
    return new ScatterTable(host, handle);
  }

  /** A table of one block of 2^order neighbouring frames of its own. Throws ENOMEM. */
  static allocateBlock(host: DmaHost, order: number, below4GiB = false): ScatterTable {
    checkInteger('order', order, 0, 10);
    const handle = host.core.exports.sgAllocBlock(host.context, order, below4GiB ? 0 : 1);
    if (handle === 0) throw noMemory(`no memory for a table with a block of order ${order} of its own`);
    return new ScatterTable(host, handle);
  }

  /** A table of exactly these entries (sg_init_table and sg_set_page). Throws ENOMEM. */
  static fromEntries(host: DmaHost, entries: readonly SgEntry[]): ScatterTable {
    if (!Array.isArray(entries)) throw invalidType('entries', 'an array', entries);
    const count = checkInteger('entries.length', entries.length, 1, MAX_PAGES / 4);
    for (const { pfn, offset, length } of entries) {
      checkInteger('pfn', pfn, 0, 0xffffffff);
      checkInteger('offset', offset, 0, 0xffffffff);
      checkInteger('length', length, 1, 0xffffffff);
    }
    const { exports } = host.core;
    const handle = exports.sgReserveRuns(host.context, count);
    if (handle === 0) throw noMemory(`no memory for a table of ${count} entries`);
    const words = host.core.u32;
    let at = exports.sgRunVector(handle) >>> 2;
    for (const { pfn, offset, length } of entries) {
      words[at] = pfn;
      words[at + 1] = offset;
      words[at + 2] = length;
      at += RUN_WORDS;
    }
    exports.sgFinishRuns(handle);
    return new ScatterTable(host, handle);
  }

  /** A table that the core has made. */
  static adopt(host: DmaHost, handle: number): ScatterTable {
    return new ScatterTable(host, handle);
  }

  /** Handle in the core; 0 after release. */
  get handle(): number {
    return this.record;
  }

  /** Bytes of all entries. */
  get bytes(): number {
    return this.host.core.exports.sgBytes(this.record);
  }

  /** Pages of a table made from pages, 0 for one made from entries. */
  get pageCount(): number {
    return this.host.core.exports.sgPageCount(this.record);
  }

  /** Entries as they were built (sgt->orig_nents). */
  get origNents(): number {
    return this.host.core.exports.sgOrigNents(this.record);
  }

  /** Segments after mapping, entries before (sgt->nents). */
  get nents(): number {
    return this.host.core.exports.sgNents(this.record);
  }

  /** Whether the last thing done with the table was mapping it. */
  get mapped(): boolean {
    return (this.host.core.exports.sgFlags(this.record) & MAPPED) !== 0;
  }

  /** pfn of page n of a table made from pages. */
  pfn(page: number): number {
    checkInteger('page', page, 0, this.pageCount - 1);
    return this.host.core.u32[(this.host.core.exports.sgPfnVector(this.record) >>> 2) + page];
  }

  /** A copy of all pfns of a table made from pages. */
  pfns(): Uint32Array {
    const at = this.host.core.exports.sgPfnVector(this.record) >>> 2;
    return this.host.core.u32.slice(at, at + this.pageCount);
  }

  /** DMA address of page n of a mapped table made from pages, -1 while it was never mapped. */
  dmaAddress(page: number): number {
    return this.host.core.exports.sgDmaPage(this.record, page);
  }

  /** The entries, in order, as Linux has them. */
  entries(): SgEntry[] {
    const { sgEntryAddress, sgEntryOffset, sgEntrySize } = this.host.core.exports;
    return Array.from({ length: this.origNents }, (_, i) => {
      const offset = sgEntryOffset(this.record, i) >>> 0;
      return {
        pfn: (sgEntryAddress(this.record, i) - offset) / PAGE_SIZE,
        offset,
        length: sgEntrySize(this.record, i) >>> 0,
      };
    });
  }

  /** The mapped segments, in order; empty while the table was never mapped. */
  segments(): SgSegment[] {
    const { sgDmaSegmentAddress, sgDmaSegmentLength } = this.host.core.exports;
    if (sgDmaSegmentLength(this.record, 0) === 0) return [];
    return Array.from({ length: this.nents }, (_, i) => ({
      address: sgDmaSegmentAddress(this.record, i),
      length: sgDmaSegmentLength(this.record, i),
    }));
  }

  /**
   * Frees the table, and its frames where it owns them (sg_free_table). A mapping that is still there stays: nobody knows
   * it any more.
   */
  release(): void {
    if (this.record === 0) return;
    this.host.core.exports.sgDestroy(this.record);
    this.record = 0;
    this.host.checker?.settle();
  }

  /** The core has freed the table. */
  forget(): void {
    this.record = 0;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

function noMemory(message: string): GemDmaError {
  return new GemDmaError('ENOMEM', 'sg_alloc_table', message);
}
