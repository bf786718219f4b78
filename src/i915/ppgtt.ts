import { checkSynchronous } from '../core/arguments.js';
import { checkInteger, invalidReturn } from '../core/errors.js';
import { PAGE_SIZE, PPGTT_GEN6, PPGTT_GEN8, PPGTT_GEN8_48BIT, PPGTT_PREALLOCATE } from '../core/generated/constants.js';
import type { Failure, PpgttHandle } from '../core/generated/exports.js';
import { failed, held } from '../core/handle.js';
import { checkMaker, type LIBRARY } from '../core/life.js';
import { Living } from '../core/living.js';
import { ENOSPC, refuse } from '../drm/errno.js';
import { AddressSpace } from './address-space.js';
import type { I915Device } from './device.js';
import { evictSomething } from './evict.js';
import type { Vma } from './vma.js';

/** A gen6 directory lies in the global GTT: 512 entries of it, in the space of as many pages. */
const GEN6_PD_SIZE = 512 * PAGE_SIZE;
const GEN6_PD_ALIGN = 65536;

/**
 * A per-process GTT: tables of its own in RAM, each page of them mapped for the device. They come with the first bind
 * that needs them, or all at once where the policy's driver did that, and go with the address space: unbinding only
 * points entries to the scratch page.
 */
export class Ppgtt extends AddressSpace {
  static {
    Living.guard(Ppgtt, ['allocateVaRange', 'bindVma', 'clearVma', 'entryAt']);
  }

  declare readonly handle: PpgttHandle;

  /** @internal */
  constructor(maker: typeof LIBRARY, device: I915Device, name: string, kind: 'aliasing' | 'ppgtt') {
    checkMaker(maker, 'AddressSpace');
    super(device, name, kind, create(device, name, kind === 'aliasing'));
    if (kind === 'ppgtt') device.vmList.push(this);
  }

  /** @internal */
  allocateVaRange(vma: Vma): number {
    const { device } = this;
    // Tables belong to the address space and outlive the object that they were made for.
    const rc = device.hooks.during(device.hooks.moments.pageTables, 0, vma.id, allocateTables, this, vma);
    return rc < 0 ? rc : 0;
  }

  /** ppgtt_bind_vma: there is one set of entries, whatever is wanted. @internal */
  bindVma(vma: Vma): number {
    const { object } = vma;
    const rc = this.device.core.exports.ppgttInsert(this.handle, vma.start, held(object.pages), object.cacheLevel, 0);
    return rc < 0 ? rc : 0;
  }

  /** @internal */
  clearVma(vma: Vma): void {
    this.device.core.exports.ppgttClear(this.handle, vma.start, vma.size / PAGE_SIZE);
  }

  protected entryAt(address: number): number {
    checkInteger('address', address, 0, this.total - 1);
    return this.device.core.tools.ppgttEntry(this.handle, address);
  }

  /** Page tables and directories in use. */
  get tables(): number {
    this.enter('ppgtt_tables');
    return this.device.core.tools.ppgttTables(this.handle);
  }

  /** Pages of it that are mapped for the device: tables, scratch tables, a scratch page of its own. */
  get mappedPages(): number {
    return this.device.core.tools.ppgttPages(this.handle);
  }

  protected destroy(): void {
    const { vmList } = this.device;
    const index = vmList.indexOf(this);
    if (index >= 0) vmList.splice(index, 1);
    this.device.core.exports.ppgttDestroy(this.handle);
  }
}

function allocateTables({ device, handle }: Ppgtt, { start, size }: Vma): number {
  return device.core.exports.ppgttAllocRange(handle, start, size);
}

function create(device: I915Device, name: string, aliasing: boolean): PpgttHandle {
  const { gen, ppgtt } = device.config;
  const levels = gen < 8 ? PPGTT_GEN6 : ppgtt === 'full-48bit' ? PPGTT_GEN8_48BIT : PPGTT_GEN8;
  const atOnce = levels !== PPGTT_GEN8_48BIT && (aliasing || tablesAtCreation(device));
  const handle = device.hooks.during(device.hooks.moments.pageTables, 0, 0, () => createTables(device, levels, atOnce));
  if (failed(handle)) refuse(handle, 'i915_ppgtt_init', `no page tables for ${name}`);
  return handle;
}

function tablesAtCreation({ policy, config, hooks }: I915Device): boolean {
  const when = hooks.query(hooks.moments.pageTables, () => policy.pageTables?.(config.gen)) ?? 'bind';
  checkSynchronous('policy.pageTables', when);
  if (when !== 'creation' && when !== 'bind') throw invalidReturn('policy.pageTables', "'creation' or 'bind'", when);
  return when === 'creation';
}

// i915_ppgtt_init. A directory that lies in the global GTT may need room made there, once.
function createTables(device: I915Device, levels: number, atOnce: boolean): PpgttHandle | Failure {
  const { exports } = device.core;
  const flags = atOnce && levels === PPGTT_GEN8 ? PPGTT_PREALLOCATE : 0;
  let handle = exports.ppgttCreate(device.ggtt.handle, levels, 0, flags, device.mmFlavour);
  if (handle === -ENOSPC) {
    const rc = evictSomething(device.ggtt, GEN6_PD_SIZE, GEN6_PD_ALIGN, 0, 0, device.ggtt.total, false);
    if (rc === 0) handle = exports.ppgttCreate(device.ggtt.handle, levels, 0, flags, device.mmFlavour);
  }
  if (!failed(handle) && atOnce && levels === PPGTT_GEN6) {
    const rc = exports.ppgttAllocRange(handle, 0, exports.vmTotal(handle));
    if (failed(rc)) {
      exports.ppgttDestroy(handle);
      return rc;
    }
  }
  return handle;
}
