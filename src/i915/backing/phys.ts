import type { SgTableHandle } from '../../core/generated/exports.js';
import { EBUSY, EFAULT, EINVAL, ENOMEM } from '../../drm/errno.js';
import type { I915Device } from '../device.js';
import { DONTNEED, WILLNEED } from '../madvise.js';
import type { GemObject } from '../object.js';
import { getPages, putPages } from '../pages.js';
import { vmaUnbind } from '../unbind.js';
import type { Backing } from './backing.js';
import type { ShmemBacking } from './shmem.js';

/**
 * One contiguous buffer, for cursors and overlays of hardware that reads them past the GTT. The contents move between
 * the object's shmem file and a coherent buffer (drm_pci_alloc) with getting and putting pages. Nothing is mapped for
 * it: a coherent buffer has its device address from allocation to free.
 */
export class PhysBacking implements Backing {
  readonly kind = 'phys';
  readonly mapping = 'contiguous';
  readonly filp = true;
  private readonly device: I915Device;
  private readonly shmem: ShmemBacking;
  private readonly size: number;
  /** The coherent buffer: a table of its frames with its one device address. */
  private readonly buffer: SgTableHandle;
  /** Contents were not written back for lack of memory, and are lost. The kernel does not report it either. */
  lost = false;

  constructor(device: I915Device, shmem: ShmemBacking, size: number, buffer: SgTableHandle) {
    this.device = device;
    this.shmem = shmem;
    this.size = size;
    this.buffer = buffer;
  }

  /** Device address of the buffer. */
  get address(): number {
    return this.device.core.exports.sgDmaPage(this.buffer, 0);
  }

  /** i915_gem_object_get_pages_phys. */
  getPages(object: GemObject): number {
    const rc = this.shmem.file.copy(this.buffer, 'from file');
    if (rc === 0) object.pages = this.buffer;
    return rc;
  }

  /** i915_gem_object_put_pages_phys. */
  putPages(object: GemObject): void {
    if (object.madv === DONTNEED) object.dirty = false;
    if (object.dirty && this.shmem.file.copy(this.buffer, 'to file') !== 0) this.lost = true;
    object.dirty = false;
  }

  truncate(): void {
    this.shmem.truncate();
  }

  release(): void {
    this.shmem.release();
    this.device.freeCoherent(this.buffer, this.size);
  }
}

/**
 * i915_gem_object_attach_phys: makes a shmem object contiguous and gets its pages. The checks in the kernel's order.
 * @returns 0; -EBUSY when it is contiguous already and not so aligned, or when its pages are pinned; -EFAULT unless it is
 *   wanted; -EINVAL without a file; -ENOMEM
 */
export function attachPhys(object: GemObject, align: number): number {
  const { backing, device } = object;
  if (backing instanceof PhysBacking) return align > 0 && backing.address % align !== 0 ? -EBUSY : 0;
  if (object.madv !== WILLNEED) return -EFAULT;
  if (backing.kind !== 'shmem') return -EINVAL;
  for (const vma of object.vmas) {
    const rc = vmaUnbind(vma);
    if (rc !== 0) return rc;
  }
  let rc = putPages(object);
  if (rc !== 0) return rc;
  // drm_pci_alloc gives memory aligned to its size and takes a larger wish for a mistake.
  if (align > object.size) return -ENOMEM;
  const buffer = device.hooks.during(device.hooks.moments.attach, object.id, 0, () =>
    device.allocCoherent(object.size),
  );
  if (buffer === 0) return -ENOMEM;
  const file = backing as ShmemBacking;
  object.backing = new PhysBacking(device, file, object.size, buffer);
  rc = getPages(object);
  if (rc !== 0) {
    object.backing = file;
    device.freeCoherent(buffer, object.size);
  }
  return rc;
}
