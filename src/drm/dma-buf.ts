import { type CoreHost, hostTimeline } from '../core/arguments.js';
import { checkInteger, invalidReturn, invalidType } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import type { SgTableHandle } from '../core/generated/exports.js';
import { Living } from '../core/living.js';
import { DmaDevice } from '../dma/device.js';
import { EBUSY, EINVAL, refuse } from './errno.js';
import { Shared } from './shared.js';

/**
 * dma-buf: memory that one driver lends to others (drivers/dma-buf). The exporter owns it; each importer attaches its
 * device, and asks for a table that is mapped for that device. Making and ending that mapping is the exporter's work, on
 * the importer's device: this is the second of the three kinds of DMA mapping.
 */

/** What an exporter does (struct dma_buf_ops). */
export interface DmaBufExporter {
  readonly name: string;
  /** A table of the memory's pages, mapped for the attachment's device. Throws GemDmaError. */
  map(attachment: DmaBufAttachment): SgTableHandle;
  /** Ends that mapping and frees the table. */
  unmap(attachment: DmaBufAttachment, table: SgTableHandle): void;
  /** The last reference to the dma-buf was dropped. */
  release(): void;
}

/** A dma-buf, counted by references. */
export class DmaBuf extends Shared {
  readonly exporter: DmaBufExporter;
  /** Bytes, whole pages. */
  readonly size: number;
  readonly attachments = new Set<DmaBufAttachment>();
  private readonly host: CoreHost;

  /**
   * @param host the machine that the memory belongs to
   * @param size bytes, whole pages
   */
  constructor(host: CoreHost, exporter: DmaBufExporter, size: number) {
    const timeline = hostTimeline(host, 'dma_buf_export');
    for (const name of ['map', 'unmap', 'release'] as const) {
      if (typeof exporter?.[name] !== 'function')
        throw invalidType('exporter', `a DmaBufExporter with ${name}()`, exporter);
    }
    if (checkInteger('size', size, PAGE_SIZE, Number.MAX_SAFE_INTEGER) % PAGE_SIZE !== 0) {
      throw invalidType('size', 'a multiple of 4096', size);
    }
    super(timeline, 'dma-buf');
    this.host = host;
    this.exporter = exporter;
    this.size = size;
    timeline.members.add(this);
  }

  /** dma_buf_attach. EXDEV for a device of another machine, ENODEV or ESTALE for one that was destroyed. */
  attach(device: DmaDevice): DmaBufAttachment {
    this.enter('dma_buf_attach');
    DmaDevice.recordIn(this.host, device, 'dma_buf_attach');
    const attachment = new DmaBufAttachment(this.host, this, device);
    this.attachments.add(attachment);
    this.get();
    return attachment;
  }

  /** dma_buf_put. ENODEV when it was released before. */
  override release(): void {
    super.release();
  }

  protected free(): void {
    const { calls, timeline } = this.host.core;
    timeline.members.delete(this);
    calls.run(() => this.exporter.release());
  }
}

/** One device's use of a dma-buf. */
export class DmaBufAttachment extends Living {
  readonly dmaBuf: DmaBuf;
  readonly device: DmaDevice;
  private readonly host: CoreHost;
  private table: SgTableHandle | 0 = 0;

  constructor(host: CoreHost, dmaBuf: DmaBuf, device: DmaDevice) {
    super(hostTimeline(host, 'dma_buf_attach'), 'attachment');
    this.host = host;
    this.dmaBuf = dmaBuf;
    this.device = device;
  }

  /** dma_buf_map_attachment: a table (handle) mapped for the device. What the exporter throws; EBUSY when it has one. */
  map(): SgTableHandle {
    this.enter('dma_buf_map_attachment');
    this.device.handle; // Throws for a device that is gone.
    if (this.table !== 0) refuse(-EBUSY, 'dma_buf_map_attachment', 'the attachment is mapped already');
    return this.host.core.calls.run(() => {
      const table: unknown = this.dmaBuf.exporter.map(this);
      if (typeof table !== 'number' || table <= 0 || table >>> 0 !== table) {
        throw invalidReturn('exporter.map', 'the handle of a table', table);
      }
      this.table = table as SgTableHandle;
      return this.table;
    });
  }

  /** dma_buf_unmap_attachment. EINVAL when it is not mapped. */
  unmap(): void {
    this.enter('dma_buf_unmap_attachment');
    if (this.table === 0) refuse(-EINVAL, 'dma_buf_unmap_attachment', 'the attachment is not mapped');
    const { table } = this;
    this.host.core.calls.run(() => {
      this.table = 0;
      this.dmaBuf.exporter.unmap(this, table);
    });
  }

  /** dma_buf_detach. EBUSY while mapped. */
  detach(): void {
    this.enter('dma_buf_detach');
    if (this.table !== 0) refuse(-EBUSY, 'dma_buf_detach', 'the attachment is still mapped');
    this.dmaBuf.attachments.delete(this);
    this.end();
    this.dmaBuf.put();
  }
}
