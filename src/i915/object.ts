import { checkBoolean, checkBytes, oneOf } from '../core/arguments.js';
import { checkInteger, invalidType } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import { held } from '../core/handle.js';
import { checkMaker, type LIBRARY, type Life, notMade } from '../core/life.js';
import { Living } from '../core/living.js';
import type { DmaBuf } from '../drm/dma-buf.js';
import { bugOn, EBUSY, EINVAL, ENOSPC, refuse } from '../drm/errno.js';
import { exportObject } from '../drm/gem-export.js';
import { DrmGemObject, pinPages, unpinPages } from '../drm/gem-object.js';
import { ListLink } from '../drm/list.js';
import { Shared } from '../drm/shared.js';
import { AddressSpace } from './address-space.js';
import type { Backing } from './backing/backing.js';
import { attachPhys } from './backing/phys.js';
import { type BindOptions, bindObject, checkAlignment, findVma, readBindOptions } from './bind.js';
import {
  CACHE_LEVELS,
  type Caching,
  type Domain,
  objectRead,
  objectWrite,
  setCacheLevel,
  setDomain,
} from './cpu-access.js';
import { PageCursor } from './cursor.js';
import type { I915Device } from './device.js';
import { swizzleOf, TILING_NONE, TILING_X, tilingOk } from './fence.js';
import { DONTNEED, MADV_NAMES, type Madv, PURGED, WILLNEED } from './madvise.js';
import { getPages, putPages, quirkPins, setTiling, truncate } from './pages.js';
import type { Request } from './retire.js';
import type { CpuMapping } from './uapi/mapping.js';
import { vmaUnbind } from './unbind.js';
import { readView, type View } from './view.js';
import type { Vma } from './vma.js';

/** Members that look at `this` themselves (guard.ts), or that only the library calls. */
const HOT = [
  ...['getPages', 'putPages', 'pinPages', 'unpinPages', 'bind', 'vmas', 'pinned', 'mapSg', 'unmapSg'],
  ...['gemPin', 'gemUnpin', 'free'],
];

/**
 * A GEM object (struct drm_i915_gem_object): memory that the GPU can be shown. Sizes in bytes, always whole pages.
 *
 * The methods are the driver's operations under their kernel names. Each throws a GemDmaError with the kernel's errno
 * when the kernel would refuse, and then nothing has changed. From within a hook of the policy they work on other objects;
 * on those that the driver is in the middle of only mapSg and unmapSg do, export, and reading and writing while there are
 * pages: else EBUSY with the reason `OBJECT_BUSY`. Objects are made by the device: `gpu.createObject('4MiB')`.
 */
export class GemObject extends DrmGemObject<I915Device> {
  static {
    Living.guard(GemObject, HOT);
  }

  /** @throws GemDmaError ESTALE if the library did not make it */
  private static made(one: GemObject, call: string): Life {
    if (!(one instanceof GemObject)) throw notMade(call);
    return Shared.lifeOf(one, call);
  }

  // What follows is the driver's own state, for the driver and for policies to read; the methods change it.

  /** Where the memory comes from. attachPhys replaces it. @internal */
  backing: Backing;
  /** @internal */
  madv = WILLNEED;
  /** The pages were written since they were got. @internal */
  dirty = false;
  /** Cache domains, bits of I915_GEM_DOMAIN_*. @internal */
  readDomains: number;
  /** @internal */
  writeDomain: number;
  /** 0 uncached, 1 LLC, 2 L3 and LLC, 3 write-through. @internal */
  cacheLevel: number;
  /** How its contents lie in tiles: none 0, X 1, Y 2 (I915_TILING_*). @internal */
  tilingMode = TILING_NONE;
  /** Bytes of a row of its tiled surface. @internal */
  stride = 0;
  /** Number of the fence register that shows it as linear, or -1. @internal */
  fence = -1;
  /** Its normal GGTT vma lies where the CPU and the fence registers reach it. @internal */
  mapAndFenceable = false;
  /** Requests of the GPU that use it; each holds a reference. @internal */
  active = 0;
  /** The newest request of each engine that uses it, retired or not. @internal */
  lastRequests: (Request | undefined)[] | undefined;
  /** The newest request that writes to it. @internal */
  lastWrite: Request | undefined;
  /** dma_map_sg calls made for the object's list. */
  maps = 0;
  /** dma_unmap_sg calls made for the object's list. */
  unmaps = 0;
  /** pinPages that the user has not ended. */
  private userPins = 0;
  /** What clients have mapped of it. @internal */
  mappings: Set<CpuMapping> | undefined;
  /** Made at the first page lookup. @internal */
  cursor: PageCursor | undefined;
  /** Every vma, bound or only a placeholder. @internal */
  readonly vmaList = new ListLink<Vma>(null);
  /** The last scan of the shrinker that has looked at it; none before its creation will. @internal */
  scanned: number;
  /** Place in the device's unbound or bound list, while there are pages. @internal */
  readonly globalLink: ListLink<GemObject>;

  /** @internal */
  constructor(
    maker: typeof LIBRARY,
    device: I915Device,
    size: number,
    backing: Backing,
    domains: number,
    cacheLevel: number,
  ) {
    checkMaker(maker, 'GemObject');
    super(device, size);
    this.backing = backing;
    this.scanned = device.scans;
    this.readDomains = domains;
    this.writeDomain = domains;
    this.cacheLevel = cacheLevel;
    this.globalLink = new ListLink<GemObject>(this);
    if (device.config.defects.userptrCursor) this.cursor = new PageCursor(0);
    if (device.events.recording) device.tell('i915_gem_object_create', this.id, size);
  }

  /** Gets the backing pages, if they are not there (i915_gem_object_get_pages). EFAULT after madvise, ENOMEM ... */
  getPages(): void {
    const life = GemObject.made(this, 'gem_get_pages');
    this.enterUse(life, 'gem_get_pages');
    const { hooks } = this.device;
    const began = hooks.begin(life);
    try {
      needPages(this, 'gem_get_pages');
    } catch (error) {
      throw hooks.fail(began, life, error);
    }
    hooks.end(began, life);
  }

  /** Releases the backing pages (i915_gem_object_put_pages). EBUSY while they are pinned. */
  putPages(): void {
    const life = GemObject.made(this, 'gem_put_pages');
    this.enterChange(life, 'gem_put_pages');
    const { hooks } = this.device;
    const began = hooks.begin(life);
    try {
      const rc = putPages(this);
      if (rc !== 0) refuse(rc, 'gem_put_pages', `the pages of ${this} are pinned ${this.pagesPinCount} times`);
    } catch (error) {
      throw hooks.fail(began, life, error);
    }
    hooks.end(began, life);
  }

  /** Gets the pages and keeps them until unpinPages. */
  pinPages(): void {
    GemObject.made(this, 'gem_pin_pages');
    this.change('gem_pin_pages', () => {
      needPages(this, 'gem_pin_pages');
      ++this.userPins;
      pinPages(this);
    });
  }

  /**
   * Undoes one pinPages. EINVAL without one.
   * @throws GemDmaError EINVAL
   */
  unpinPages(): void {
    GemObject.made(this, 'gem_unpin_pages');
    this.enterIdle('gem_unpin_pages');
    if (this.userPins === 0) refuse(-EINVAL, 'gem_unpin_pages', `pinPages was not called for the pages of ${this}`);
    --this.userPins;
    unpinPages(this);
  }

  /**
   * The pfn of page n (i915_gem_object_get_page). Gets the pages first. EINVAL where there are no page frames.
   * @throws RangeError past the last page; GemDmaError EINVAL for a contiguous backing, EFAULT after madvise, ENOMEM
   */
  getPage(n: number): number {
    checkInteger('n', n, 0, this.size / PAGE_SIZE - 1);
    return this.use('gem_get_page', () => {
      if (this.backing.mapping === 'contiguous') {
        refuse(-EINVAL, 'gem_get_page', `the memory of ${this} is not made of page frames`);
      }
      needPages(this, 'gem_get_page');
      this.cursor ??= new PageCursor(this.pages);
      return this.cursor.lookup(this, n);
    });
  }

  /**
   * Says whether the contents are needed (i915_gem_madvise_ioctl). What is not needed may be thrown away at any time.
   * @returns whether the contents are still there. EINVAL while pinned in an address space
   * @throws TypeError for another advice; GemDmaError EINVAL while pinned
   */
  madvise(advice: 'willneed' | 'dontneed'): boolean {
    oneOf('advice', advice, ['willneed', 'dontneed']);
    return this.change('gem_madvise', () => {
      if (this.pinned) refuse(-EINVAL, 'gem_madvise', `${this} is pinned`);
      const wanted = advice === 'willneed' ? WILLNEED : DONTNEED;
      if (this.pages !== 0 && quirkPins(this)) {
        if (this.madv === WILLNEED) unpinPages(this);
        if (wanted === WILLNEED) pinPages(this);
      }
      if (this.madv !== PURGED) this.madv = wanted;
      if (this.madv === DONTNEED && this.pages === 0) truncate(this);
      return this.madv !== PURGED;
    });
  }

  /** What `madvise` last said of the contents. */
  get madvised(): Madv {
    return MADV_NAMES[this.madv];
  }

  /**
   * Copies bytes into the object, from the CPU (pwrite). EINVAL beyond its end and without a file, EFAULT if purged.
   * @throws GemDmaError EINVAL past the end or without a file, EFAULT for a purged object, ENOMEM; TypeError if the argument is not a
   *   Uint8Array
   */
  pwrite(offset: number, bytes: Uint8Array): void {
    checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
    bytes = checkBytes('bytes', bytes);
    this.use('gem_pwrite', () => objectWrite(this, offset, bytes));
  }

  /**
   * Copies n bytes out of the object, by the CPU (pread). Errors as pwrite.
   * @throws GemDmaError EINVAL past the end or without a file, EFAULT for a purged object, ENOMEM
   */
  pread(offset: number, n: number): Uint8Array {
    checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER);
    checkInteger('n', n, 0, 2 ** 31);
    return this.use('gem_pread', () => objectRead(this, offset, n));
  }

  /**
   * Moves the object to the CPU's or the aperture's domain, for writing or only reading (set_domain).
   * @throws TypeError for another domain; GemDmaError EFAULT for a purged object, ENOMEM
   */
  setDomain(domain: Domain, write = false): void {
    oneOf('domain', domain, ['cpu', 'gtt']);
    checkBoolean('write', write, false);
    this.use('gem_set_domain', () => setDomain(this, domain, write));
  }

  /** Changes how the GPU caches the object, rewriting entries or unbinding what may not stay. EBUSY while pinned. */
  setCacheLevel(caching: Caching): void {
    oneOf('caching', caching, CACHE_LEVELS);
    this.change('gem_set_caching', () => setCacheLevel(this, caching));
  }

  /**
   * Gives the object a place in an address space and writes its entries there; what is bound already stays where it is
   * if it fits the options. E2BIG if it can never fit, ENOSPC if eviction made no room, ENOMEM, EFAULT if purged, EBUSY;
   * EXDEV for an address space of another GPU, ENODEV for that of a released context.
   */
  bind(vm: AddressSpace, options?: BindOptions): Vma {
    const life = GemObject.made(this, 'gem_bind');
    const how = options === undefined ? undefined : readBindOptions(this, options);
    this.enterChange(life, 'gem_bind');
    const { hooks } = this.device;
    const began = hooks.begin(life);
    let vma: Vma;
    try {
      vma = bindIn(this, vm, how);
    } catch (error) {
      throw hooks.fail(began, life, error);
    }
    hooks.end(began, life, vma);
    return vma;
  }

  /**
   * The vma in an address space, bound or a placeholder (i915_gem_obj_to_vma): in the GGTT that of the normal view, or of
   * the one that is named. An object has one rotated view, whatever its geometry.
   */
  vma(vm: AddressSpace, view?: View): Vma | undefined {
    const shown = view === undefined ? undefined : readView(this, view);
    this.enter('gem_vma');
    this.device.checkVm(vm, 'gem_vma');
    return findVma(this, vm, shown) ?? undefined;
  }

  /**
   * Says whether the contents lie in tiles (set_tiling): X tiles of one tile's stride. On machines whose firmware swizzles by
   * physical address (`pinSwizzledPages`) a tiled object's pages may not move, so they are pinned while it is wanted. EBUSY while
   * pinned in an address space.
   */
  setTiling(tiled: boolean): void {
    if (typeof tiled !== 'boolean') throw invalidType('tiled', 'of type boolean', tiled);
    this.setTilingMode(tiled ? TILING_X : TILING_NONE, tiled ? 512 : 0);
  }

  /** i915_tiling_ok. @internal */
  tilingOk(mode: number, stride: number): boolean {
    return tilingOk(this.device.config.gen, mode, stride, this.size);
  }

  /** i915_gem_set_tiling, for a mode and a stride that are ok. @throws GemDmaError EBUSY @internal */
  setTilingMode(mode: number, stride: number): void {
    this.enterIdle('gem_set_tiling');
    if (this.tilingMode === mode && this.stride === stride) return;
    if (this.pinned) refuse(-EBUSY, 'gem_set_tiling', `${this} is pinned`);
    this.device.hooks.call(() => {
      const rc = this.work(() => setTiling(this, mode, stride));
      if (rc !== 0) refuse(rc, 'gem_set_tiling', `${this} cannot be unbound`);
    });
  }

  /** What bit 6 of its addresses is exclusive-ored with (I915_BIT_6_SWIZZLE_*). @internal */
  get swizzle(): number {
    const { gen, platform } = this.device.config;
    return swizzleOf(gen, platform, this.tilingMode);
  }

  /** All vmas, oldest first. */
  get vmas(): Vma[] {
    GemObject.made(this, 'vmas');
    return this.vmaList.toArray();
  }

  /** Whether any of its vmas is pinned. */
  get pinned(): boolean {
    GemObject.made(this, 'pinned');
    for (let link = this.vmaList.next; link.owner !== null; link = link.next) {
      if (link.owner.pinCount > 0) return true;
    }
    return false;
  }

  /**
   * Moves the contents to one contiguous buffer, for hardware that has no GTT for it (attach_phys).
   * @param align of its address in bytes: 0 or a power of two
   * @throws GemDmaError EBUSY while pinned, EFAULT after madvise, EINVAL for another backing, ENOMEM without one
   *   piece that large; RangeError if the alignment is not a power of two
   */
  attachPhys(align: number): void {
    checkAlignment('align', align);
    this.change('gem_attach_phys', () => {
      const rc = attachPhys(this, align);
      if (rc !== 0) refuse(rc, 'gem_attach_phys', `${this} cannot be made contiguous, aligned to ${align}`);
    });
  }

  /** The object as a dma-buf, for other devices; always the same one (prime handle to fd). */
  export(): DmaBuf {
    this.enter('gem_export');
    return this.device.hooks.call(() => exportObject(this));
  }

  /**
   * dma_map_sg for the object's list of pages (i915_gem_gtt_prepare_object), for policies. An object whose mapping is
   * not i915's to make is left alone. A mapping that is there already is forgotten by this, as in the kernel.
   * @returns 0, or -ENOSPC when the DMA API says no
   */
  mapSg(): number {
    const life = GemObject.made(this, 'dma_map_sg');
    if (!mayMap(this, life, 'dma_map_sg')) return 0;
    if (this.device.mapSg(held(this.pages)) <= 0) return -ENOSPC;
    ++this.maps;
    return 0;
  }

  /** dma_unmap_sg for the object's list of pages (i915_gem_gtt_finish_object), for policies. */
  unmapSg(): void {
    const life = GemObject.made(this, 'dma_unmap_sg');
    if (!mayMap(this, life, 'dma_unmap_sg')) return;
    this.device.unmapSg(held(this.pages));
    ++this.unmaps;
  }

  /** @internal */
  gemPin(): number {
    const rc = getPages(this);
    if (rc === 0) pinPages(this);
    return rc;
  }

  /** @internal */
  gemUnpin(): void {
    unpinPages(this);
  }

  // i915_gem_free_object
  protected free(): void {
    // As listed: a policy that looks at the list of vmas sees it shrink in this order.
    for (let vma = this.vmaList.first; vma !== null; vma = this.vmaList.first) {
      vma.pinCount = 0;
      bugOn(vmaUnbind(vma) !== 0 || !vma.vmaLink.empty, 'a vma of a dying object cannot be unbound');
    }
    this.pagesPinCount = 0;
    this.userPins = 0;
    // The contents are not read again: they need not be written back.
    if (this.madv === WILLNEED) this.madv = DONTNEED;
    putPages(this);
    this.backing.release(this);
    this.device.objectGone(this.id);
    this.liveLink.remove();
    if (this.device.events.recording) this.device.tell('i915_gem_object_destroy', this.id, this.size);
  }
}

// What methods do that are called often: functions without a closure.

function needPages(object: GemObject, syscall: string): void {
  const { device } = object;
  device.takeMapFailure();
  const rc = getPages(object);
  if (rc !== 0) refuse(rc, syscall, `no pages for ${object}`, undefined, device.takeMapFailure());
}

// A hook may be called for an object that its user has released.
function mayMap(object: GemObject, life: Life, syscall: string): boolean {
  life.enter(syscall);
  if (object.backing.mapping !== 'sg') return false;
  if (object.pages === 0) refuse(-EINVAL, syscall, `${object} has no pages (policy ${object.device.policy.name})`);
  return true;
}

function bindIn(object: GemObject, vm: AddressSpace, how: BindOptions | undefined): Vma {
  object.device.checkVm(vm, 'gem_bind');
  vm.checkRoom('gem_bind');
  const life = AddressSpace.lifeOf(vm, 'gem_bind');
  const outermost = life.begin();
  try {
    return bindObject(object, vm, how);
  } finally {
    life.finish(outermost);
  }
}
