import type { DmaBuf, DmaBufAttachment } from '../../drm/dma-buf.js';
import type { GemObject } from '../object.js';
import type { Backing } from './backing.js';

/**
 * Another driver's memory, by dma-buf (i915_gem_dmabuf.c). The exporter maps it for this GPU when pages are got and ends
 * the mapping when they are put; i915 must never map it again.
 */
export class ImportBacking implements Backing {
  readonly kind = 'dma-buf';
  readonly mapping = 'attachment';
  readonly filp = false;
  private readonly attachment: DmaBufAttachment;

  constructor(attachment: DmaBufAttachment) {
    this.attachment = attachment;
  }

  /** What the object was imported from. */
  get dmaBuf(): DmaBuf {
    return this.attachment.dmaBuf;
  }

  /** i915_gem_object_get_pages_dmabuf: the pages as the exporter maps them. */
  getPages(object: GemObject): number {
    try {
      object.pages = object.device.hooks.during(
        object.device.hooks.moments.getPages,
        object.id,
        0,
        () => this.attachment.map().handle,
      );
      return 0;
    } catch (error) {
      object.device.noteMapFailure(error);
      return object.device.hooks.errnoOf(error);
    }
  }

  putPages(object: GemObject): void {
    const { hooks } = object.device;
    hooks.guard(() => hooks.during(hooks.moments.putPages, object.id, 0, () => this.attachment.unmap()));
  }

  truncate(): void {}

  /** drm_prime_gem_destroy. */
  release(object: GemObject): void {
    object.device.hooks.guard(() => this.attachment.detach());
  }
}
