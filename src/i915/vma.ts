import type { MmNodeHandle, SgTableHandle } from '../core/generated/exports.js';
import { guard } from '../core/guard.js';
import { checkMaker, type LIBRARY, Life, notMade } from '../core/life.js';
import { EINVAL, refuse } from '../drm/errno.js';
import { ListLink } from '../drm/list.js';
import { Shared } from '../drm/shared.js';
import type { AddressSpace } from './address-space.js';
import type { GemObject } from './object.js';
import { vmaUnbind } from './unbind.js';
import type { View } from './view.js';

/** vma.bound: where entries are written. In the GGTT of an aliasing PPGTT both can be. */
export const GLOBAL_BIND = 1;
export const LOCAL_BIND = 2;

/** vma.pin_count has four bits (DRM_I915_GEM_OBJECT_MAX_PIN_COUNT). */
export const MAX_PIN_COUNT = 15;

/**
 * An object's place in one address space (struct i915_vma). There is one a PPGTT, and in the GGTT one a view. It exists
 * before it is bound, as a placeholder that execbuf looks up and binds later, and in the driver before the fix the mere
 * existence of one kept a mapping alive.
 */
export class Vma {
  static {
    guard(Vma, Vma.made, ['unbind', 'allocated', 'destroy', 'forget']);
  }

  /** Whether it is an object of this class that the library made. */
  private static made(one: unknown): one is Vma {
    return typeof one === 'object' && one !== null && #life in one;
  }

  readonly #life: Life;

  /** The object that it places. */
  readonly object: GemObject;
  /** The address space. */
  readonly vm: AddressSpace;
  /** What it shows of the object; undefined for all of it. Only in the GGTT. */
  readonly view: View | undefined;
  /** Numbers the vmas of a device from 1. @internal */
  readonly id: number;
  /** Handle of the drm_mm node, 0 while unbound. @internal */
  node: MmNodeHandle | 0 = 0;
  /** Address in the vm, in bytes; meaningful while bound. */
  start = 0;
  /** Bytes of address space that it takes. */
  readonly size: number;
  /** GLOBAL_BIND, LOCAL_BIND or both; 0 while unbound. @internal */
  bound = 0;
  /** DMA address that the first entry led to when it was written. @internal */
  dmaAddress = -1;
  /** Users that need it where it is, at most 15. */
  pinCount = 0;
  /** On the list of an execbuf that is being worked on, which keeps the vma when it is unbound. @internal */
  onExecList = false;
  /** The view's own sg table, 0 for the normal view. @internal */
  viewPages: SgTableHandle | 0 = 0;
  /** Place in the vm's active or inactive list. @internal */
  readonly mmLink: ListLink<Vma>;
  /** Place in the object's list. @internal */
  readonly vmaLink: ListLink<Vma>;

  /** i915_gem_vma_create: joins the object's list at the end. @internal */
  constructor(maker: typeof LIBRARY, object: GemObject, vm: AddressSpace, view: View | undefined, size: number) {
    checkMaker(maker, 'Vma');
    this.#life = new Life(object.device.core.timeline, 'vma');
    this.object = object;
    this.vm = vm;
    this.view = view;
    this.size = size;
    this.id = ++object.device.vmaCount;
    this.mmLink = new ListLink<Vma>(this);
    this.vmaLink = new ListLink<Vma>(this);
    object.vmaList.moveTail(this.vmaLink);
    vm.get();
  }

  /** Whether it can be used. */
  get alive(): boolean {
    return this.#life.alive;
  }

  /** Has a place in the address space (drm_mm_node_allocated). */
  get allocated(): boolean {
    if (!Vma.made(this)) throw notMade('allocated');
    return this.node !== 0;
  }

  /**
   * Takes it out of the address space (i915_vma_unbind). Harmless when it is unbound already.
   * @throws GemDmaError EBUSY while pinned, and from within a hook of a call that works on its object
   */
  unbind(): void {
    if (!Vma.made(this)) throw notMade('vma_unbind');
    if (!this.#life.ending('vma_unbind')) return;
    const { object } = this;
    Shared.lifeOf(object, 'vma_unbind').checkIdle('vma_unbind');
    const { hooks } = object.device;
    const began = hooks.begin(null);
    try {
      const rc = vmaUnbind(this);
      if (rc !== 0) refuse(rc, 'vma_unbind', `${this} is pinned ${this.pinCount} times`);
    } catch (error) {
      throw hooks.fail(began, null, error);
    }
    hooks.end(began, null);
  }

  /** Ends one pin. EINVAL when there is none; EBUSY from within a hook of a call that works on its object. */
  unpin(): void {
    this.#life.enter('vma_unpin');
    this.object.checkIdle('vma_unpin');
    if (this.pinCount === 0) refuse(-EINVAL, 'vma_unpin', `${this} is not pinned`);
    --this.pinCount;
  }

  /** i915_gem_vma_destroy: the struct goes, unless an execbuf has it on its list. @internal */
  destroy(): void {
    if (!this.onExecList) this.forget();
  }

  /** Leaves the object's list for good. @internal */
  forget(): void {
    if (this.vmaLink.empty) return;
    this.vmaLink.remove();
    this.#life.end();
    this.vm.put();
  }

  /** Unbinds it, if it is bound. */
  [Symbol.dispose](): void {
    if (this.alive) this.unbind();
  }

  /** With its number, object and address, as messages say it. */
  toString(): string {
    const view = this.view === undefined ? '' : `${this.view.type} view, `;
    return `vma ${this.id} (${view}object ${this.object.id} in ${this.vm.name} at 0x${this.start.toString(16)})`;
  }
}
