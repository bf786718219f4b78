import type { DmaDevice } from '../dma/device.js';
import { EBUSY, EINVAL, refuse } from './errno.js';

/**
 * dma-buf: memory that one driver lends to others (drivers/dma-buf). The exporter owns it; each importer attaches its
 * device, and asks for a table that is mapped for that device. Making and ending that mapping is the exporter's work, on
 * the importer's device: this is the second of the three kinds of DMA mapping.
 */

/** What an exporter does (struct dma_buf_ops). */
export interface DmaBufExporter {
  readonly name: string;
  /** A table of the memory's pages, mapped for the attachment's device. Throws GemDmaError. */
  map(attachment: DmaBufAttachment): number;
  /** Ends that mapping and frees the table. */
  unmap(attachment: DmaBufAttachment, table: number): void;
  /** Nobody holds the dma-buf any more. */
  release(): void;
}

/** A dma-buf, with as many holders as its reference count says. */
export class DmaBuf {
  readonly exporter: DmaBufExporter;
  /** Bytes, whole pages. */
  readonly size: number;
  readonly attachments = new Set<DmaBufAttachment>();
  private refcount = 1;

  constructor(exporter: DmaBufExporter, size: number) {
    this.exporter = exporter;
    this.size = size;
  }

  /** dma_buf_attach. */
  attach(device: DmaDevice): DmaBufAttachment {
    const attachment = new DmaBufAttachment(this, device);
    this.attachments.add(attachment);
    ++this.refcount;
    return attachment;
  }

  reference(): void {
    ++this.refcount;
  }

  /** dma_buf_put. EINVAL when nobody holds it. */
  release(): void {
    if (this.refcount === 0) refuse(-EINVAL, 'dma_buf_put', 'the dma-buf was released');
    if (--this.refcount === 0) this.exporter.release();
  }

  [Symbol.dispose](): void {
    if (this.refcount > 0) this.release();
  }
}

/** One device's use of a dma-buf. */
export class DmaBufAttachment {
  readonly dmaBuf: DmaBuf;
  readonly device: DmaDevice;
  private table = 0;

  constructor(dmaBuf: DmaBuf, device: DmaDevice) {
    this.dmaBuf = dmaBuf;
    this.device = device;
  }

  /** dma_buf_map_attachment: a table (handle) mapped for the device. What the exporter throws; EBUSY when it has one. */
  map(): number {
    if (this.table !== 0) refuse(-EBUSY, 'dma_buf_map_attachment', 'the attachment is mapped already');
    this.table = this.dmaBuf.exporter.map(this);
    return this.table;
  }

  /** dma_buf_unmap_attachment. EINVAL when it is not mapped. */
  unmap(): void {
    if (this.table === 0) refuse(-EINVAL, 'dma_buf_unmap_attachment', 'the attachment is not mapped');
    const { table } = this;
    this.table = 0;
    this.dmaBuf.exporter.unmap(this, table);
  }

  /** dma_buf_detach. EBUSY while mapped. */
  detach(): void {
    if (this.table !== 0) refuse(-EBUSY, 'dma_buf_detach', 'the attachment is still mapped');
    if (this.dmaBuf.attachments.delete(this)) this.dmaBuf.release();
  }
}
