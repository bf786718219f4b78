import { checkInteger, outOfRange } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import type { SgTableHandle } from '../core/generated/exports.js';
import type { Life } from '../core/life.js';
import { Living } from '../core/living.js';
import { DrmDevice } from './device.js';
import type { DmaBuf } from './dma-buf.js';
import { bugOn } from './errno.js';
import { ListLink } from './list.js';
import { Shared } from './shared.js';

/** Where an object's memory comes from. A driver has one for each kind of memory (struct drm_gem_object_funcs). */
export interface GemBacking<Object> {
  /** As reports name it, such as `shmem`. */
  readonly kind: string;
  /** Gets hold of the pages and sets `object.pages`. Returns 0 or a negative errno, and then has changed nothing. */
  getPages(object: Object): number;
  /** Drops the pages; the caller clears `object.pages`. */
  putPages(object: Object): void;
  /** The object is about to become a dma-buf. Refusing fails the export. */
  beforeExport?(object: Object): number;
  /** The object is being freed: gives back what is not pages. */
  release(object: Object): void;
}

/**
 * What the objects of all GEM drivers have (struct drm_gem_object): a number, a size, references, and pages that come from a
 * backing and stay while they are pinned.
 */
export abstract class DrmGemObject<Device extends DrmDevice = DrmDevice> extends Shared {
  static {
    Living.guard(DrmGemObject, ['change', 'use', 'enterChange', 'enterUse', 'freed']);
  }

  /** The GPU that it belongs to. */
  readonly device: Device;
  /** Numbers the objects of a device from 1, in the order in which they were made; reports name objects by it. */
  readonly id: number;
  /** Bytes, whole pages. */
  readonly size: number;
  /** @internal */
  abstract backing: GemBacking<never>;
  /** Handle of the sg table while the object holds its pages, else 0. @internal */
  pages: SgTableHandle | 0 = 0;
  /** How many users keep the pages: bound vmas, importers, copies in progress. @internal */
  pagesPinCount = 0;
  /** The dma-buf that it was exported as. @internal */
  dmaBuf: DmaBuf | null = null;
  /** Place among all objects of the device, from creation to release. @internal */
  readonly liveLink: ListLink<DrmGemObject>;

  /** @internal */
  constructor(device: Device, size: number) {
    const { timeline } = DrmDevice.deviceOf('device', device).core;
    if (checkInteger('size', size, 0, Number.MAX_SAFE_INTEGER) % PAGE_SIZE !== 0) {
      throw outOfRange('size', 'whole pages', size);
    }
    super(timeline, 'object', device.objectCount + 1);
    this.device = device;
    this.id = ++device.objectCount;
    this.size = size;
    this.liveLink = new ListLink<DrmGemObject>(this);
    device.liveList.moveTail(this.liveLink);
  }

  /** Gets the pages, if they are not there, and keeps them (drm_gem_pin). Returns 0 or a negative errno. @internal */
  abstract gemPin(): number;

  /** Ends one gemPin. @internal */
  abstract gemUnpin(): void;

  /**
   * Segments that its list of pages is mapped as (nents of the sg_table); 0 without pages. dma-debug has an entry for each.
   * For the parts of stress runs: an object that was released counts as long as it is mapped. @internal
   */
  get segments(): number {
    return this.pages === 0 ? 0 : this.device.core.exports.sgNents(this.pages);
  }

  /** A call from outside that changes the object. EBUSY from within a hook of another such call. */
  protected change<T>(syscall: string, work: () => T): T {
    const life = Shared.lifeOf(this, syscall);
    this.enterChange(life, syscall);
    return this.device.hooks.call(work, life);
  }

  /** @internal */
  protected enterChange(life: Life, syscall: string): void {
    life.enter(syscall);
    if (this.handles <= 0) this.refuseReleased(syscall);
    life.checkIdle(syscall);
  }

  /** A call from outside that needs its pages. A hook may also make it, once they exist. */
  protected use<T>(syscall: string, work: () => T): T {
    const life = Shared.lifeOf(this, syscall);
    this.enterUse(life, syscall);
    return this.device.hooks.call(work, life);
  }

  /** @internal */
  protected enterUse(life: Life, syscall: string): void {
    life.enter(syscall);
    if (this.handles <= 0) this.refuseReleased(syscall);
    if (this.pages === 0) life.checkIdle(syscall);
  }

  /** @internal Freeing the object is a call of the driver. */
  protected override freed(): void {
    const { hooks } = this.device;
    const began = hooks.begin(null);
    try {
      super.freed();
    } catch (error) {
      throw hooks.fail(began, null, error);
    }
    hooks.end(began, null);
  }

  override toString(): string {
    return `object ${this.id} (${this.backing.kind}, ${this.size / 1024} KiB)`;
  }
}

/** One more user keeps the pages. */
export function pinPages(object: DrmGemObject): void {
  bugOn(object.pages === 0, 'pinning pages that are not there');
  ++object.pagesPinCount;
}

export function unpinPages(object: DrmGemObject): void {
  bugOn(object.pagesPinCount === 0, 'unpinning pages that nobody pinned');
  --object.pagesPinCount;
}
