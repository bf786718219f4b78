import { GemDmaError } from '../core/errors.js';
import { DMA_BIDIRECTIONAL, PAGE_SIZE } from '../core/generated/constants.js';
import { held } from '../core/handle.js';
import { LIBRARY } from '../core/life.js';
import { Living } from '../core/living.js';
import { ScatterTable } from '../dma/sg-table.js';
import type { DrmDevice } from './device.js';
import { DmaBuf, type DmaBufAttachment, type DmaBufExporter } from './dma-buf.js';
import { ENOMEM, refuse } from './errno.js';
import { DrmGemObject } from './gem-object.js';
import { Shared } from './shared.js';

/** GEM objects as dma-bufs (drivers/gpu/drm/drm_prime.c). */

/**
 * A GEM driver as the exporter: the importer's table is a copy over the object's pages, which stay pinned while it is
 * mapped.
 */
class GemExporter implements DmaBufExporter {
  readonly name: string;
  readonly object: DrmGemObject;

  constructor(object: DrmGemObject) {
    this.name = object.device.dmaDevice.driver ?? 'gem';
    this.object = object;
  }

  map(attachment: DmaBufAttachment): ScatterTable {
    this.object.checkIdle('dma_buf_map_attachment');
    return this.object.device.hooks.call(
      () => this.mapFor(attachment),
      Shared.lifeOf(this.object, 'dma_buf_map_attachment'),
    );
  }

  private mapFor({ device }: DmaBufAttachment): ScatterTable {
    const { object } = this;
    const rc = object.gemPin();
    if (rc !== 0) refuse(rc, 'dma_buf_map_attachment', `no pages for ${object}`);
    const { core, context, hooks, sgFlags, maxEntry } = object.device;
    const pfns = core.exports.sgPfnVector(held(object.pages));
    const copy = core.exports.sgFromPages(context, object.size / PAGE_SIZE, pfns, sgFlags, maxEntry);
    if (copy === 0) {
      object.gemUnpin();
      refuse(-ENOMEM, 'dma_buf_map_attachment', `no memory for a copy of the table of ${object}`);
    }
    const table = ScatterTable.adopt(LIBRARY, object.device, copy);
    const nents = hooks.during(hooks.moments.export, object.id, 0, () => device.mapSg(table, DMA_BIDIRECTIONAL));
    if (nents > 0) return table;
    const { reason } = device;
    table.release();
    object.gemUnpin();
    const message = `${object} could not be mapped for the importer`;
    throw new GemDmaError('ENOMEM', 'dma_buf_map_attachment', message, { reason });
  }

  unmap({ device }: DmaBufAttachment, table: ScatterTable): void {
    // A mapping of a destroyed device was removed with it.
    if (device.alive) device.unmapSg(table, DMA_BIDIRECTIONAL);
    table.release();
    this.object.gemUnpin();
  }

  release(): void {
    const { object } = this;
    object.dmaBuf = null;
    object.put();
  }
}

/**
 * drm_gem_prime_export: the object's dma-buf, which holds a reference to it.
 * @throws GemDmaError of the driver, where it refuses
 */
export function exportObject(object: DrmGemObject): DmaBuf {
  Living.check(DrmGemObject, 'object', object).enter('gem_export');
  if (object.dmaBuf !== null) {
    object.dmaBuf.reopen();
    return object.dmaBuf;
  }
  const rc = object.backing.beforeExport?.(object as never) ?? 0;
  if (rc !== 0) refuse(rc, 'gem_export', `${object} may not be exported`);
  object.dmaBuf = new DmaBuf(object.device, new GemExporter(object), object.size, LIBRARY);
  object.get();
  return object.dmaBuf;
}

/** The object behind a dma-buf of this very device, or null: an object of the same device needs no attachment. */
export function ownObject<Object extends DrmGemObject>(device: DrmDevice, dmaBuf: DmaBuf): Object | null {
  const { exporter } = dmaBuf;
  return exporter instanceof GemExporter && exporter.object.device === device ? (exporter.object as Object) : null;
}
