import { GemDmaError } from '../../core/errors.js';
import { ListLink } from '../../drm/list.js';
import type { I915Device } from '../device.js';
import { ENOMEM, ENOSPC } from '../errno.js';
import type { GemObject } from '../object.js';
import { pinPages, quirkPins } from '../pages.js';
import { askPolicy, tellPolicy } from '../policy/run.js';
import { SHRINK_BOUND, SHRINK_PURGEABLE, SHRINK_UNBOUND, shrink, shrinkAll } from '../shrinker.js';
import type { Backing } from './backing.js';

const PAGE_SIZE = 4096;
/** Most pages of a scatter-gather table (assembly/sg/build.ts): 1 TiB, more than any machine here has. */
const MAX_PAGES = 2 ** 28;

/**
 * A shmem file: memory of the page cache that the system may swap out while nobody holds it. This is what most objects
 * have. The file's pages are kept as the scatter-gather table that the object gets, so that holding them again costs
 * nothing; under pressure, files that no object holds are written to swap, oldest first, and come back with the same
 * contents.
 */
export class ShmemBacking implements Backing {
  private readonly device: I915Device;
  private readonly pages: number;
  /** Place among the files that may be swapped out: in that list while there are pages that no object holds. */
  private readonly idle: ListLink<ShmemBacking> = new ListLink<ShmemBacking>(this);
  /** The table of resident pages, 0 when none are. */
  private table = 0;
  /** Contents in swap by page number: only pages that were ever written. */
  private swap: Map<number, Uint8Array> | undefined;

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
    this.pages = size / PAGE_SIZE;
  }

  /** i915_gem_object_get_pages_gtt. */
  getPages(object: GemObject): number {
    if (this.table === 0) {
      const rc = this.populate();
      if (rc !== 0) return rc;
    }
    this.idle.remove();
    object.pages = this.table;
    let rc = askPolicy('getPages', object);
    if (rc === -ENOSPC && this.device.config.shrinkAndRemap) rc = this.shrinkAndRemap(object);
    if (rc === 0) {
      if (quirkPins(object)) pinPages(object);
      return 0;
    }
    // 4.2 to 4.4 leave obj.pages pointing to the table: the next get_pages takes it for pages.
    if (!this.device.config.defects.danglingPages) object.pages = 0;
    this.device.idleFiles.moveTail(this.idle);
    return rc === -ENOSPC ? -ENOMEM : rc;
  }

  /** i915_gem_object_put_pages_gtt. */
  putPages(object: GemObject): void {
    object.readDomains = object.writeDomain = 1;
    tellPolicy('putPages', object);
    object.dirty = false;
    this.device.idleFiles.moveTail(this.idle);
  }

  truncate(): void {
    this.swap = undefined;
    if (this.table === 0) return;
    this.idle.remove();
    this.device.core.exports.sgDestroy(this.table);
    this.table = 0;
  }

  release(): void {
    this.truncate();
  }

  // A light attempt; then without what nobody needs; then without anything of the GPU's that is not pinned, and with
  // the system reclaiming, which means swapping files out.
  private populate(): number {
    const device = this.device;
    if (this.pages > MAX_PAGES) return -ENOMEM;
    if (this.allocate()) return 0;
    shrink(device, this.pages, SHRINK_BOUND | SHRINK_UNBOUND | SHRINK_PURGEABLE);
    if (this.allocate()) return 0;
    shrinkAll(device);
    while (!this.allocate()) {
      const victim = device.idleFiles.first;
      if (victim === null) return -ENOMEM;
      victim.swapOut();
    }
    return 0;
  }

  private allocate(): boolean {
    const { core, context, ram } = this.device;
    this.table = core.exports.sgAllocPages(context, this.pages, this.device.sgFlags, this.device.maxEntry);
    if (this.table === 0) return false;
    if (this.swap === undefined) return true;
    const first = core.exports.sgPfnVector(this.table) >>> 2;
    try {
      for (const [page, bytes] of this.swap) ram.write(core.u32[first + page] * PAGE_SIZE, bytes);
    } catch (error) {
      // What is in swap stays there until all of it is back.
      core.exports.sgDestroy(this.table);
      this.table = 0;
      if (!GemDmaError.is(error, 'ENOMEM')) throw error;
      return false;
    }
    this.swap = undefined;
    return true;
  }

  /** Copies the file's pages into those of another table of the same size, or back. Returns 0 or -ENOMEM. */
  copy(other: number, direction: 'from file' | 'to file'): number {
    if (this.table === 0) {
      const rc = this.populate();
      if (rc !== 0) return rc;
      this.device.idleFiles.moveTail(this.idle);
    }
    const { core, ram } = this.device;
    const mine = core.exports.sgPfnVector(this.table) >>> 2;
    const others = core.exports.sgPfnVector(other) >>> 2;
    try {
      for (let page = 0; page < this.pages; ++page) {
        const here = core.u32[mine + page] * PAGE_SIZE;
        const there = core.u32[others + page] * PAGE_SIZE;
        if (direction === 'from file') ram.write(there, ram.read(here, PAGE_SIZE));
        else ram.write(here, ram.read(there, PAGE_SIZE));
      }
    } catch (error) {
      if (!GemDmaError.is(error, 'ENOMEM')) throw error;
      return -ENOMEM;
    }
    return 0;
  }

  /** Writes the contents to swap and gives the frames back. The file is idle. */
  swapOut(): void {
    const { core, ram } = this.device;
    const { sgNextWritten, sgPfnVector } = core.exports;
    const first = sgPfnVector(this.table) >>> 2;
    const swap = new Map<number, Uint8Array>();
    for (let page = sgNextWritten(this.table, 0); page < this.pages; page = sgNextWritten(this.table, page + 1)) {
      swap.set(page, ram.read(core.u32[first + page] * PAGE_SIZE, PAGE_SIZE));
    }
    this.truncate();
    this.swap = swap;
  }

  // Later kernels: room for the mapping is made by dropping the pages, hence mappings, of other objects.
  private shrinkAndRemap(object: GemObject): number {
    for (;;) {
      if (shrink(this.device, this.pages, SHRINK_BOUND | SHRINK_UNBOUND) === 0) return -ENOSPC;
      const rc = askPolicy('getPages', object);
      if (rc !== -ENOSPC) return rc;
    }
  }
}
