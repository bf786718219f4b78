import { badAddress, checkBytes, isAddress, isTransfer } from '../core/arguments.js';
import { checkInteger, ERRNO, GemDmaError, invalidType } from '../core/errors.js';
import {
  ALLOC_DIRECTION,
  ALLOC_STREAMING,
  ALLOC_UNTRACKED,
  DMA_ATTR_ALLOC_SINGLE_PAGES,
  DMA_ATTR_FORCE_CONTIGUOUS,
  PAGE_SIZE,
  TYPE_NONCOHERENT,
} from '../core/generated/constants.js';
import { guard } from '../core/guard.js';
import { checkMaker, LIBRARY } from '../core/life.js';
import type { DmaDevice } from './device.js';
import { DmaDomain } from './dma-domain.js';
import { ScatterTable } from './sg-table.js';
import { type Direction, DMA_FROM_DEVICE } from './transfer.js';

/** Pages that the DMA API allocates and a driver syncs (dma_alloc_pages, dma_alloc_noncontiguous). */

const MAX_BYTES = 0xfffff000;

type Kind = 'pages' | 'noncontiguous';

const ALLOC = { pages: 'dma_alloc_pages', noncontiguous: 'dma_alloc_noncontiguous' } as const;
const FREE = { pages: 'dma_free_pages', noncontiguous: 'dma_free_noncontiguous' } as const;

/** What `device.allocPages` and `device.allocNoncontiguous` give; `table` has the frames. */
export class DmaPages {
  static {
    guard(DmaPages, (one) => #table in one);
  }

  /** The device that they are mapped for. */
  readonly device: DmaDevice;
  /** Bytes asked for; whole pages are there and mapped. */
  readonly length: number;
  /** Which way data moves, for syncs. */
  readonly direction: Direction;
  /** The device's address of the first byte. */
  readonly address: number;
  /** The frames. */
  readonly table: ScatterTable;
  /** Which call gave them. */
  readonly kind: 'pages' | 'noncontiguous';
  readonly #table: ScatterTable;
  /** Whether a CPU sees them in one piece. */
  private readonly view = { mapped: false };

  /** @internal The device makes them. */
  constructor(
    maker: typeof LIBRARY,
    device: DmaDevice,
    kind: Kind,
    length: number,
    direction: Direction,
    table: ScatterTable,
  ) {
    checkMaker(maker, 'DmaPages');
    this.device = device;
    this.kind = kind;
    this.length = length;
    this.direction = direction;
    this.table = table;
    this.#table = table;
    this.address = table.dmaAddress(0);
    this.view.mapped = kind === 'pages' || !(device.domain instanceof DmaDomain);
    Object.freeze(this);
  }

  /** @internal Whether it is an object of this class that the library made. */
  static is(value: unknown): value is DmaPages {
    return typeof value === 'object' && value !== null && #table in value;
  }

  /** Whether they can be used: they were not freed, and no restore went back to a time before they were allocated. */
  get alive(): boolean {
    return this.#table.alive;
  }

  /**
   * Puts noncontiguous pages side by side for a CPU (dma_vmap_noncontiguous): read and write need that. Nothing for pages that
   * are neighbours.
   */
  vmap(): void {
    this.#enter('dma_vmap_noncontiguous');
    this.view.mapped = true;
  }

  /** Ends that (dma_vunmap_noncontiguous). */
  vunmap(): void {
    this.#enter('dma_vunmap_noncontiguous');
    this.view.mapped = this.kind === 'pages' || !(this.device.domain instanceof DmaDomain);
  }

  /** Bytes as a CPU sees them. @throws GemDmaError EFAULT for noncontiguous pages without a vmap */
  read(offset: number, n: number): Uint8Array {
    checkInteger('offset', offset, 0, this.length);
    checkInteger('n', n, 0, this.length - offset);
    const bytes = new Uint8Array(n);
    this.#each('read', offset, n, (at, from, part) => bytes.set(this.device.host.ram!.read(at, part), from));
    return bytes;
  }

  /**
   * Writes bytes as a CPU does. Errors as read.
   * @throws RangeError past the end; TypeError if the argument is not a Uint8Array
   */
  write(offset: number, bytes: Uint8Array): void {
    const given = checkBytes('bytes', bytes);
    checkInteger('offset', offset, 0, this.length - given.length);
    this.#each('write', offset, given.length, (at, from, part) =>
      this.device.host.ram!.write(at, given.subarray(from, from + part)),
    );
  }

  /** Frees the pages as a correct driver does. A second call does nothing. */
  free(): void {
    if (this.#table.ending(FREE[this.kind])) this.device.freePages(this);
  }

  /** Frees the pages, as `free()`. */
  [Symbol.dispose](): void {
    if (this.alive && this.device.alive) this.free();
  }

  #enter(call: string): void {
    this.device.enter(call);
    this.device.tableRecord(this.#table, call);
  }

  #each(what: string, offset: number, n: number, visit: (at: number, from: number, part: number) => void): void {
    this.#enter(`dma_pages_${what}`);
    if (!this.view.mapped) {
      throw new GemDmaError('EFAULT', `dma_pages_${what}`, 'the pages are in no one piece: vmap them first', {
        reason: 'NOT_VMAPPED',
      });
    }
    for (let from = 0; from < n; ) {
      const at = offset + from;
      const part = Math.min(n - from, PAGE_SIZE - (at % PAGE_SIZE));
      visit(this.#table.pfn(Math.floor(at / PAGE_SIZE)) * PAGE_SIZE + (at % PAGE_SIZE), from, part);
      from += part;
    }
  }
}

/** @internal The bodies of `device.allocPages` and `device.allocNoncontiguous`. */
export function allocPages(device: DmaDevice, kind: Kind, length: number, dir: Direction, attrs: number): DmaPages {
  const call = ALLOC[kind];
  checkInteger('length', length, 1, MAX_BYTES);
  checkInteger('dir', dir, 0, DMA_FROM_DEVICE);
  if (!isTransfer(dir, attrs)) checkInteger('attrs', attrs, 0, 0);
  const record = device.begin(call);
  if ((attrs & ~DMA_ATTR_ALLOC_SINGLE_PAGES) !== 0) {
    throw new GemDmaError('EINVAL', call, 'of the attributes only ALLOC_SINGLE_PAGES', { reason: 'DMA_BAD_ATTRIBUTE' });
  }
  const { exports } = device.host.core;
  const bytes = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  const single = kind === 'pages' || !(device.domain instanceof DmaDomain);
  const how = single ? ALLOC_STREAMING | DMA_ATTR_FORCE_CONTIGUOUS | (dir << ALLOC_DIRECTION) : attrs;
  const handle = exports.dmaAllocCoherent(record, bytes, how | ALLOC_UNTRACKED);
  if (handle === 0) throw device.failed(call, -ERRNO.ENOMEM, `${length} bytes of pages`);
  const table = ScatterTable.lend(LIBRARY, device.host, handle);
  const pages = new DmaPages(LIBRARY, device, kind, length, dir, table);
  device.cached(table);
  if (kind === 'pages') {
    exports.debugFeedMap(record, table.pfn(0) * PAGE_SIZE, bytes, dir, pages.address, 0, TYPE_NONCOHERENT);
  } else exports.debugFeedMapSg(record, handle, table.origNents, 1, dir, attrs);
  try {
    device.settle(pages);
  } catch (error) {
    if ((error as { result?: unknown } | undefined)?.result === pages) throw error;
    // A callback's error: the caller gets no pages.
    end(device, pages, bytes, dir, pages.address);
    throw error;
  }
  return pages;
}

/** @internal The body of `device.freePages`. */
export function freePages(
  device: DmaDevice,
  pages: DmaPages,
  claimed: { length?: number; dir?: Direction; address?: number },
): void {
  device.enter('dma_free_pages');
  if (!DmaPages.is(pages)) throw invalidType('pages', 'pages of the DMA API', pages);
  device.tableRecord(pages.table, FREE[pages.kind]);
  const { length = pages.length, dir = pages.direction, address = pages.address } = claimed;
  checkInteger('length', length, 0, MAX_BYTES);
  checkInteger('dir', dir, 0, DMA_FROM_DEVICE);
  if (!isAddress(address)) badAddress(address);
  end(device, pages, Math.ceil(length / PAGE_SIZE) * PAGE_SIZE, dir, address);
  device.settle();
}

function end(device: DmaDevice, { table, kind }: DmaPages, bytes: number, dir: Direction, address: number): void {
  const { exports } = device.host.core;
  const record = device.handle;
  if (kind === 'pages') exports.debugFeedUnmap(record, TYPE_NONCOHERENT, address, bytes, dir, 0);
  else exports.debugFeedUnmapSg(record, table.handle, table.origNents, dir);
  exports.dmaFreeCoherent(record, table.handle, bytes, address, ALLOC_UNTRACKED);
  table.forget();
}
