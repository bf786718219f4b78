import { checkInteger } from '../core/errors.js';
import {
  COLOR_I915,
  COLOR_NONE,
  PAGE_SIZE,
  PLATFORM_BYT,
  PLATFORM_GEN8,
  PLATFORM_HSW,
  PLATFORM_HSW_EDRAM,
  PLATFORM_IVB,
  PLATFORM_SNB,
} from '../core/generated/constants.js';
import type { GgttHandle, SgTableHandle } from '../core/generated/exports.js';
import { failed, held } from '../core/handle.js';
import { checkMaker, type LIBRARY } from '../core/life.js';
import { Living } from '../core/living.js';
import { ENOMEM, refuse } from '../drm/errno.js';
import { AddressSpace } from './address-space.js';
import type { Platform } from './config.js';
import type { I915Device } from './device.js';
import type { Ppgtt } from './ppgtt.js';
import { GLOBAL_BIND, LOCAL_BIND, type Vma } from './vma.js';

/** The core's platforms (assembly/gtt/pte.ts): each writes its entries differently. */
const PLATFORMS: Readonly<Record<Platform, number>> = {
  snb: PLATFORM_SNB,
  ivb: PLATFORM_IVB,
  vlv: PLATFORM_BYT,
  hsw: PLATFORM_HSW,
  'hsw-ellc': PLATFORM_HSW_EDRAM,
  bdw: PLATFORM_GEN8,
  chv: PLATFORM_GEN8,
  skl: PLATFORM_GEN8,
};

/**
 * The global GTT: one table for all contexts, of which the CPU reaches the first part. On machines whose GPU does not share
 * the CPU's cache, neighbours of different cache levels are kept a page apart.
 */
export class Ggtt extends AddressSpace {
  static {
    Living.guard(Ggtt, ['allocateVaRange', 'bindVma', 'clearVma', 'entryAt', 'viewPages']);
  }

  /** @internal */
  declare readonly handle: GgttHandle;
  /** The PPGTT that batches use in its place, in that mode. @internal */
  aliasing: Ppgtt | undefined;

  /** @internal */
  constructor(maker: typeof LIBRARY, device: I915Device) {
    checkMaker(maker, 'Ggtt');
    const { platform, ggtt, mappable, llc } = device.config;
    const { exports } = device.core;
    const handle = exports.ggttCreate(
      device.dma,
      PLATFORMS[platform],
      ggtt,
      mappable,
      device.mmFlavour,
      llc ? COLOR_NONE : COLOR_I915,
    );
    if (failed(handle)) refuse(handle, 'i915_gem_init_global_gtt', `no memory for a global GTT of ${ggtt} bytes`);
    super(device, 'GGTT', 'ggtt', handle);
  }

  /** The table is all there. @internal */
  allocateVaRange(): number {
    return 0;
  }

  /** ggtt_bind_vma: global entries unless only local ones are wanted and there is a PPGTT to have them. @internal */
  bindVma(vma: Vma, wanted: number): number {
    const { exports } = this.device.core;
    const { object } = vma;
    let table = held(object.pages);
    if (vma.view !== undefined) {
      if (vma.viewPages === 0) vma.viewPages = this.viewPages(vma);
      if (vma.viewPages === 0) return -ENOMEM;
      table = vma.viewPages;
    }
    let bound = wanted;
    if (this.aliasing === undefined || (wanted & GLOBAL_BIND) !== 0) {
      const rc = exports.ggttInsert(this.handle, vma.start, table, object.cacheLevel, 0);
      if (rc < 0) return rc;
      bound |= GLOBAL_BIND;
    }
    if (this.aliasing !== undefined && (wanted & LOCAL_BIND) !== 0) {
      const rc = exports.ppgttInsert(this.aliasing.handle, vma.start, table, object.cacheLevel, 0);
      if (rc < 0) return rc;
    }
    return bound;
  }

  /** @internal */
  clearVma(vma: Vma): void {
    const { exports } = this.device.core;
    const pages = vma.size / PAGE_SIZE;
    if ((vma.bound & GLOBAL_BIND) !== 0) exports.ggttClear(this.handle, vma.start, pages);
    if (this.aliasing !== undefined && (vma.bound & LOCAL_BIND) !== 0) {
      exports.ppgttClear(this.aliasing.handle, vma.start, pages);
    }
  }

  /**
   * The raw page table entry for an address of this space.
   * @throws RangeError past the last entry
   */
  protected entryAt(address: number): number {
    checkInteger('address', address, 0, this.total - 1);
    return this.device.core.tools.ggttEntry(this.handle, Math.floor(address / PAGE_SIZE));
  }

  // i915_get_ggtt_vma_pages: a list of its own, with the DMA addresses that the object has at this moment.
  private viewPages(vma: Vma): SgTableHandle | 0 {
    const { exports } = this.device.core;
    const { view, object } = vma;
    if (view === undefined) return 0;
    if (view.type === 'rotated') return exports.sgRotate(held(object.pages), view.width, view.height);
    return exports.sgPartial(held(object.pages), view.offset, view.size);
  }

  protected destroy(): void {
    this.device.core.exports.ggttDestroy(this.handle);
  }
}
