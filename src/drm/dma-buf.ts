import { GemDmaError } from '../core/errors.js';
import type { DmaDevice } from '../dma/device.js';
import type { I915Device } from '../i915/device.js';
import { EBUSY, EINVAL, ENOMEM, refuse } from '../i915/errno.js';
import type { GemObject } from '../i915/object.js';
import { getPages, pinPages, unpinPages } from '../i915/pages.js';

/**
 * dma-buf: memory that one driver lends to others (drivers/dma-buf). The exporter owns it; each importer attaches its
 * device, and asks for a table that is mapped for that device. Making and ending that mapping is the exporter's work, on
 * the importer's device: this is the second of the three kinds of DMA mapping.
 */

const BIDIRECTIONAL = 0;

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
    this.dmaBuf.exporter.unmap(this, this.table);
    this.table = 0;
  }

  /** dma_buf_detach. EBUSY while mapped. */
  detach(): void {
    if (this.table !== 0) refuse(-EBUSY, 'dma_buf_detach', 'the attachment is still mapped');
    if (this.dmaBuf.attachments.delete(this)) this.dmaBuf.release();
  }
}

/** i915 as the exporter: the importer's table is a copy over the object's pages, which stay pinned while it is mapped. */
class ObjectExporter implements DmaBufExporter {
  readonly name = 'i915';
  private readonly exported: GemObject;

  constructor(object: GemObject) {
    this.exported = object;
  }

  get object(): GemObject {
    return this.exported;
  }

  /** i915_gem_map_dma_buf. */
  map(attachment: DmaBufAttachment): number {
    return this.exported.device.hooks.call(() => this.mapFor(attachment));
  }

  private mapFor(attachment: DmaBufAttachment): number {
    const object = this.exported;
    const rc = getPages(object);
    if (rc !== 0) refuse(rc, 'dma_buf_map_attachment', `no pages for ${object}`);
    pinPages(object);
    const { core, context, sgFlags, maxEntry } = object.device;
    const pfns = core.exports.sgPfnVector(object.pages);
    const copy = core.exports.sgFromPages(context, object.size / 4096, pfns, sgFlags, maxEntry);
    if (copy === 0) {
      unpinPages(object);
      refuse(-ENOMEM, 'dma_buf_map_attachment', `no memory for a copy of the table of ${object}`);
    }
    const { handle } = attachment.device;
    const nents = object.device.hooks.during('export', object.id, 0, () =>
      core.exports.dmaMapSg(handle, copy, BIDIRECTIONAL, 0),
    );
    if (nents <= 0) {
      core.exports.sgDestroy(copy);
      unpinPages(object);
      throw new GemDmaError('ENOMEM', 'dma_buf_map_attachment', `${object} could not be mapped for the importer`);
    }
    return copy;
  }

  /** i915_gem_unmap_dma_buf. */
  unmap(attachment: DmaBufAttachment, table: number): void {
    const { exports } = this.exported.device.core;
    exports.dmaUnmapSg(attachment.device.handle, table, exports.sgOrigNents(table), BIDIRECTIONAL, 0);
    exports.sgDestroy(table);
    unpinPages(this.exported);
  }

  release(): void {
    const object = this.exported;
    object.dmaBuf = null;
    object.release();
  }
}

/** i915_gem_prime_export: the object's dma-buf, which holds a reference to it. */
export function exportObject(object: GemObject): DmaBuf {
  if (object.dmaBuf !== null) {
    object.dmaBuf.reference();
    return object.dmaBuf;
  }
  const rc = object.backing.beforeExport?.(object) ?? 0;
  if (rc !== 0) refuse(rc, 'gem_export', `${object} may not be exported`);
  object.reference();
  object.dmaBuf = new DmaBuf(new ObjectExporter(object), object.size);
  return object.dmaBuf;
}

/** The object behind a dma-buf of this very device, or null: importing one's own needs no attachment. */
export function ownObject(device: I915Device, dmaBuf: DmaBuf): GemObject | null {
  const { exporter } = dmaBuf;
  return exporter instanceof ObjectExporter && exporter.object.device === device ? exporter.object : null;
}
