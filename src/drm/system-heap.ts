import { hostTimeline } from '../core/arguments.js';
import { GemDmaError, parseSize } from '../core/errors.js';
import { DMA_BIDIRECTIONAL, PAGE_SIZE, SG_MAX_ENTRY } from '../core/generated/constants.js';
import type { SgTableHandle } from '../core/generated/exports.js';
import { guard } from '../core/guard.js';
import { LIBRARY } from '../core/life.js';
import { type DmaHost, ScatterTable } from '../dma/sg-table.js';
import { DmaBuf, type DmaBufAttachment, type DmaBufExporter } from './dma-buf.js';

/**
 * A dma-buf heap: pages of the system that belong to no device (drivers/dma-buf/heaps/system_heap.c), the simplest
 * exporter there is. Each attachment gets a table of its own over the same pages, mapped for its device.
 */
export class SystemHeap {
  static {
    guard(SystemHeap, (one) => #host in one);
  }

  readonly #host: DmaHost;

  constructor(host: DmaHost) {
    hostTimeline(host, 'dma_heap');
    this.#host = host;
  }

  /** Allocates a dma-buf; bytes or text such as `'1MiB'`, rounded up to whole pages. Throws ENOMEM, EINVAL for nothing. */
  alloc(size: number | string): DmaBuf {
    hostTimeline(this.#host, 'dma_heap_alloc');
    const pages = Math.ceil(parseSize('size', size) / PAGE_SIZE);
    if (pages > 2 ** 24) throw new GemDmaError('ENOMEM', 'dma_heap_alloc', `no machine has ${pages} pages`);
    if (pages === 0) throw new GemDmaError('EINVAL', 'dma_heap_alloc', 'a dma-buf of no bytes');
    const { core, context } = this.#host;
    const table = core.exports.sgAllocPages(context, pages, 0, SG_MAX_ENTRY);
    if (table === 0) throw new GemDmaError('ENOMEM', 'dma_heap_alloc', `no memory for ${pages} pages`);
    return new DmaBuf(this.#host, new HeapExporter(this.#host, table, pages), pages * PAGE_SIZE, LIBRARY);
  }
}

class HeapExporter implements DmaBufExporter {
  readonly name = 'system heap';
  private readonly host: DmaHost;
  private readonly pages: number;
  /** The table that owns the pages. */
  private readonly table: SgTableHandle;

  constructor(host: DmaHost, table: SgTableHandle, pages: number) {
    this.host = host;
    this.table = table;
    this.pages = pages;
  }

  map({ device }: DmaBufAttachment): ScatterTable {
    const { core, context } = this.host;
    const { sgFromPages, sgPfnVector } = core.exports;
    const copy = sgFromPages(context, this.pages, sgPfnVector(this.table), 0, SG_MAX_ENTRY);
    if (copy === 0) throw new GemDmaError('ENOMEM', 'dma_buf_map_attachment', 'no memory for a table');
    const table = ScatterTable.adopt(LIBRARY, this.host, copy);
    if (device.mapSg(table, DMA_BIDIRECTIONAL) > 0) return table;
    const { reason } = device;
    table.release();
    throw new GemDmaError('ENOMEM', 'dma_buf_map_attachment', `${this.pages} pages could not be mapped`, { reason });
  }

  unmap({ device }: DmaBufAttachment, table: ScatterTable): void {
    // A mapping of a destroyed device was removed with it.
    if (device.alive) device.unmapSg(table, DMA_BIDIRECTIONAL);
    table.release();
  }

  release(): void {
    this.host.core.exports.sgDestroy(this.table);
  }
}
