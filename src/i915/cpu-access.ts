import { CACHE_L3_LLC, CACHE_LLC, CACHE_NONE, CACHE_WT } from '../core/generated/constants.js';
import { held } from '../core/handle.js';
import { EBUSY, EINVAL, refuse } from '../drm/errno.js';
import { pinPages, unpinPages } from '../drm/gem-object.js';
import { PIN_UPDATE, vmaBind } from './bind.js';
import type { GemObject } from './object.js';
import { getPages } from './pages.js';
import { retireObject } from './retire.js';
import { vmaUnbind } from './unbind.js';

/**
 * Accesses of the CPU to an object, and moves between cache domains (i915_gem.c). Contents are coherent here, so a domain is only
 * bookkeeping; the accesses matter because they get the pages.
 */

export type Domain = 'cpu' | 'gtt';
export const DOMAIN_CPU = 1;
export const DOMAIN_GTT = 0x40;

/** Cache levels by name (enum i915_cache_level). */
const LEVELS = { none: CACHE_NONE, llc: CACHE_LLC, 'l3-llc': CACHE_L3_LLC, wt: CACHE_WT } as const;
/** How the GPU's accesses meet the CPU's caches (enum i915_cache_level). */
export type Caching = keyof typeof LEVELS;
export const CACHE_LEVELS = Object.keys(LEVELS) as readonly Caching[];

/** The core's number of a cache level. */
export function cacheLevelOf(caching: Caching): number {
  return LEVELS[caching];
}

/** i915_gem_pwrite_ioctl. */
export function objectWrite(object: GemObject, offset: number, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  const { core, context } = object.device;
  // Before the pages are pinned: it may be refused.
  const staging = core.staging(context);
  access(object, 'gem_pwrite', offset, bytes.length);
  const step = 65536;
  for (let done = 0; done < bytes.length; done += step) {
    const part = bytes.subarray(done, done + step);
    core.writeBytes(staging, part);
    const rc = core.exports.sgWrite(held(object.pages), offset + done, staging, part.length);
    if (rc < 0) {
      unpinPages(object);
      refuse(rc, 'gem_pwrite', `no memory for the contents of ${object}`);
    }
  }
  object.dirty = true;
  object.readDomains = object.writeDomain = DOMAIN_CPU;
  unpinPages(object);
}

/** i915_gem_pread_ioctl. */
export function objectRead(object: GemObject, offset: number, n: number): Uint8Array {
  const bytes = new Uint8Array(n);
  if (n === 0) return bytes;
  const { core, context } = object.device;
  const staging = core.staging(context);
  access(object, 'gem_pread', offset, n);
  const step = 65536;
  for (let done = 0; done < n; done += step) {
    const part = Math.min(step, n - done);
    core.exports.sgRead(held(object.pages), offset + done, staging, part);
    bytes.set(core.readBytes(staging, part), done);
  }
  unpinPages(object);
  return bytes;
}

// The checks of both, in the kernel's order: range, file, pages. Leaves the pages pinned.
function access(object: GemObject, syscall: string, offset: number, n: number): void {
  if (offset + n > object.size) {
    refuse(-EINVAL, syscall, `bytes ${offset} to ${offset + n} are not all within ${object}`);
  }
  if (!object.backing.filp) refuse(-EINVAL, syscall, `${object} has no file that the CPU could go through`);
  retireObject(object);
  const rc = getPages(object);
  if (rc !== 0) refuse(rc, syscall, `no pages for ${object}`);
  pinPages(object);
}

/** i915_gem_set_domain_ioctl: the aperture's domain needs the pages, the CPU's does not. */
export function setDomain(object: GemObject, domain: Domain, write: boolean): void {
  retireObject(object);
  const bit = domain === 'cpu' ? DOMAIN_CPU : DOMAIN_GTT;
  if (domain === 'gtt') {
    const rc = getPages(object);
    if (rc !== 0) refuse(rc, 'gem_set_domain', `no pages for ${object}`);
  }
  object.readDomains |= bit;
  if (write) {
    object.readDomains = object.writeDomain = bit;
    if (domain === 'gtt') object.dirty = true;
  }
}

/**
 * i915_gem_object_set_cache_level: vmas that may not stay beside their neighbours with the new colour are unbound, the
 * entries of the others are written again.
 */
export function setCacheLevel(object: GemObject, caching: Caching): void {
  const level = cacheLevelOf(caching);
  if (object.cacheLevel === level) return;
  if (object.pinned) refuse(-EBUSY, 'gem_set_caching', `${object} is pinned`);
  const { exports } = object.device.core;
  for (const vma of object.vmas) {
    if (vma.node !== 0 && exports.mmBadNeighbours(vma.node, level)) {
      const rc = vmaUnbind(vma);
      if (rc !== 0) refuse(rc, 'gem_set_caching', `${vma} cannot be unbound`);
    }
  }
  retireObject(object);
  object.cacheLevel = level;
  for (const vma of object.vmas) {
    if (vma.node === 0) continue;
    const rc = vmaBind(vma, PIN_UPDATE);
    if (rc !== 0) refuse(rc, 'gem_set_caching', `the entries of ${vma} cannot be written`);
    exports.mmNodeSetColor(vma.node, level);
  }
}
