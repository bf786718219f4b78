import { GemDmaError } from '../../core/errors.js';
import { COLOR_NONE, PAGE_SIZE, PROT_READ, PROT_WRITE } from '../../core/generated/constants.js';
import type { MmHandle, MmNodeHandle } from '../../core/generated/exports.js';
import { failed, held } from '../../core/handle.js';
import { LIBRARY } from '../../core/life.js';
import { bugOn, ENOMEM, refuse } from '../../drm/errno.js';
import { pinPages } from '../../drm/gem-object.js';
import type { I915Device } from '../device.js';
import { GemObject } from '../object.js';
import type { Backing } from './backing.js';

/** The top that firmware reserves: 1 MiB, the usual value of its field since gen7. */
const FIRMWARE_KEEPS = 1024 ** 2;

/**
 * Memory that firmware took from the system for graphics: one row of frames below 4 GiB with a range manager of its own
 * (i915_gem_stolen.c). Objects from it are contiguous, and the GPU sees them at their physical addresses.
 */
export class StolenMemory {
  private readonly device: I915Device;
  /** Bytes for objects, without the part that firmware reserves. */
  readonly size: number;
  private readonly firstPfn: number;
  private readonly pages: number;
  private readonly mm: MmHandle;

  /** Takes `bytes` from the machine's memory, of which the firmware keeps the top. Throws ENOMEM when there is no row. */
  constructor(device: I915Device, bytes: number) {
    const { core, context } = device;
    this.device = device;
    this.pages = bytes / PAGE_SIZE;
    this.size = bytes - FIRMWARE_KEEPS;
    this.firstPfn = core.exports.rangeAllocLow(context, this.pages);
    if (this.firstPfn === 0) {
      throw new GemDmaError('ENOMEM', 'stolen_init', `no row of ${bytes} bytes of RAM below 4 GiB`);
    }
    const mm = core.exports.mmCreate(context, 0, this.size, device.mmFlavour, COLOR_NONE);
    if (failed(mm)) {
      core.exports.rangeFree(context, this.firstPfn, this.pages);
      refuse(mm, 'stolen_init', 'no memory for the range manager of stolen memory');
    }
    this.mm = mm;
    try {
      this.mapIdentity();
    } catch (error) {
      core.exports.mmDestroy(mm);
      core.exports.rangeFree(context, this.firstPfn, this.pages);
      throw error;
    }
  }

  /** Physical address of the first byte. */
  get base(): number {
    return this.firstPfn * PAGE_SIZE;
  }

  // Firmware tells the IOMMU's driver that the GPU uses this memory at its physical addresses (an RMRR of the DMAR table),
  // which reserves them in the allocator and maps them one to one, permanently.
  private mapIdentity(): void {
    const { domain } = this.device.dmaDevice;
    if (domain === undefined || domain === 'passthrough') return;
    domain.reserve(this.firstPfn, this.firstPfn + this.pages - 1);
    const { exports } = this.device.core;
    const rc = exports.domainMap(domain.handle, this.base, this.base, this.pages * PAGE_SIZE, PROT_READ | PROT_WRITE);
    if (rc < 0) refuse(rc, 'stolen_init', 'no memory for the identity mapping of stolen memory');
  }

  /** i915_gem_object_create_stolen: an object at the first place that is free. Throws ENOMEM when there is none. */
  create(size: number): GemObject {
    const { core } = this.device;
    const node = core.exports.mmInsert(this.mm, size, PAGE_SIZE, 0, 0, this.size, this.device.mmInsertMode);
    if (failed(node)) refuse(-ENOMEM, 'gem_create_stolen', `no ${size} bytes of stolen memory left (of ${this.size})`);
    return this.object(node, size);
  }

  /** i915_gem_object_create_stolen_for_preallocated: an object over an exact range, such as what firmware shows. */
  createAt(offset: number, size: number): GemObject {
    const node = this.device.core.exports.mmReserve(this.mm, offset, size, 0);
    if (failed(node)) refuse(-ENOMEM, 'gem_create_stolen', `stolen memory at ${offset} is not free for ${size} bytes`);
    return this.object(node, size);
  }

  // The pages are there from the start and pinned for good; on no list until the object is bound.
  private object(node: MmNodeHandle, size: number): GemObject {
    const device = this.device;
    const { exports } = device.core;
    const start = this.base + exports.mmNodeStart(node);
    const table = exports.sgContiguous(device.context, start / PAGE_SIZE, size / PAGE_SIZE, start);
    if (table === 0) {
      exports.mmRemove(node);
      refuse(-ENOMEM, 'gem_create_stolen', 'no memory for its table');
    }
    const object = new GemObject(
      LIBRARY,
      device,
      size,
      new StolenBacking(device, node),
      0x41,
      device.config.llc ? 1 : 0,
    );
    object.writeDomain = 0;
    object.pages = table;
    pinPages(object);
    return object;
  }

  /** Gives the memory back to the system, as no real machine can; no object of it is left. */
  release(): void {
    const { core, context, dmaDevice } = this.device;
    core.exports.mmDestroy(this.mm);
    const { domain } = dmaDevice;
    if (domain !== undefined && domain !== 'passthrough') {
      core.exports.domainUnmap(domain.handle, this.base, this.pages * PAGE_SIZE);
    }
    core.exports.rangeFree(context, this.firstPfn, this.pages);
  }
}

class StolenBacking implements Backing {
  readonly kind = 'stolen';
  readonly mapping = 'contiguous';
  readonly filp = false;
  private readonly device: I915Device;
  private readonly node: MmNodeHandle;

  constructor(device: I915Device, node: MmNodeHandle) {
    this.device = device;
    this.node = node;
  }

  getPages(): number {
    bugOn(true, 'getting pages of a stolen object, which always has them');
    return 0;
  }

  putPages(object: GemObject): void {
    this.device.core.exports.sgDestroy(held(object.pages));
  }

  truncate(): void {}

  release(): void {
    this.device.core.exports.mmRemove(this.node);
  }
}
