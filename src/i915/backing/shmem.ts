import { PAGE_SIZE } from '../../core/generated/constants.js';
import { ENOMEM, ENOSPC } from '../../drm/errno.js';
import { pinPages } from '../../drm/gem-object.js';
import { ShmemFile } from '../../drm/shmem-file.js';
import type { I915Device } from '../device.js';
import type { GemObject } from '../object.js';
import { quirkPins } from '../pages.js';
import { askPolicy, tellPolicy } from '../policy/run.js';
import { SHRINK_BOUND, SHRINK_UNBOUND, shrink } from '../shrinker.js';
import type { Backing } from './backing.js';

/** A shmem file, which is what most objects have. The policy maps its pages. */
export class ShmemBacking implements Backing {
  readonly file: ShmemFile;
  private readonly device: I915Device;

  get kind(): 'shmem' {
    return 'shmem';
  }

  get mapping(): 'sg' {
    return 'sg';
  }

  get filp(): boolean {
    return true;
  }

  constructor(device: I915Device, size: number) {
    this.device = device;
    this.file = new ShmemFile(device, size);
  }

  /** i915_gem_object_get_pages_gtt. */
  getPages(object: GemObject): number {
    const table = this.file.get();
    if (table === 0) return -ENOMEM;
    object.pages = table;
    let rc = askPolicy('getPages', object);
    if (rc === -ENOSPC && this.device.config.shrinkAndRemap) rc = this.shrinkAndRemap(object);
    if (rc === 0) {
      if (quirkPins(object)) pinPages(object);
      return 0;
    }
    // 4.2 to 4.4 leave obj.pages pointing to the table: the next get_pages takes it for pages.
    if (!this.device.config.defects.danglingPages) object.pages = 0;
    this.file.put();
    return rc === -ENOSPC ? -ENOMEM : rc;
  }

  /** i915_gem_object_put_pages_gtt. */
  putPages(object: GemObject): void {
    object.readDomains = object.writeDomain = 1;
    tellPolicy('putPages', object);
    object.dirty = false;
    this.file.put();
  }

  truncate(): void {
    this.file.truncate();
  }

  release(): void {
    this.file.truncate();
  }

  // Later kernels: room for the mapping is made by dropping the pages, hence mappings, of other objects.
  private shrinkAndRemap(object: GemObject): number {
    for (;;) {
      if (shrink(this.device, object.size / PAGE_SIZE, SHRINK_BOUND | SHRINK_UNBOUND) === 0) return -ENOSPC;
      const rc = askPolicy('getPages', object);
      if (rc !== -ENOSPC) return rc;
    }
  }
}
