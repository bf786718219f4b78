import { bugOn, EBUSY, EFAULT } from '../drm/errno.js';
import { pinPages, unpinPages } from '../drm/gem-object.js';
import { Shared } from '../drm/shared.js';
import { fenceOk, TILING_NONE } from './fence.js';
import { DONTNEED, PURGED, WILLNEED } from './madvise.js';
import type { GemObject } from './object.js';
import { tellPolicy } from './policy/run.js';
import { vmaUnbind } from './unbind.js';

/**
 * How an object gets its backing pages and puts them (i915_gem.c). Getting nests: it does nothing while the pages are
 * there, and a count of pins says for how many users they must stay.
 */

/** i915_gem_object_get_pages: 0; -EBUSY while it is busy, -EFAULT for an object that is not wanted any more, or what the backing says. */
export function getPages(object: GemObject): number {
  if (object.pages !== 0) {
    ++object.device.nestedGetPages;
    return 0;
  }
  if (Shared.lifeOf(object, 'gem_get_pages').busy) return -EBUSY;
  if (object.madv !== WILLNEED) return -EFAULT;
  bugOn(object.pagesPinCount !== 0, 'pins on an object without pages');
  const rc = object.backing.getPages(object);
  if (rc !== 0) return rc;
  object.device.unboundList.moveTail(object.globalLink);
  object.cursor?.reset(object.pages);
  const { device } = object;
  if (device.events.recording) device.tell('i915_gem_object_get_pages', object.id, object.size);
  return 0;
}

/** i915_gem_object_put_pages: 0, or -EBUSY while the pages are pinned or the object busy. */
export function putPages(object: GemObject): number {
  if (object.pages === 0) return 0;
  const life = Shared.lifeOf(object, 'gem_put_pages');
  if (object.pagesPinCount !== 0 || life.busy) return -EBUSY;
  const outermost = life.begin();
  try {
    drop(object);
  } finally {
    life.finish(outermost);
  }
  return 0;
}

function drop(object: GemObject): void {
  // Off the lists first: what the backing does may come back to them through the shrinker.
  object.globalLink.remove();
  object.backing.putPages(object);
  object.pages = 0;
  const { device } = object;
  if (device.events.recording) device.tell('i915_gem_object_put_pages', object.id, object.size);
  invalidate(object);
}

// i915_gem_object_invalidate: contents that are not needed are dropped as soon as the pages are put. (For a wanted
// object the kernel drops clean pages from its cache, which changes no contents.)
function invalidate(object: GemObject): void {
  if (object.madv === DONTNEED) truncate(object);
}

/**
 * i915_gem_object_truncate: without a file there is nothing to throw away, and the object stays DONTNEED for ever.
 */
export function truncate(object: GemObject): void {
  if (!object.backing.filp) return;
  revokeMappings(object);
  tellPolicy('purge', object);
  object.backing.truncate(object);
  object.madv = PURGED;
}

/** i915_gem_release_mmap: accesses of clients through the aperture fault again. */
export function revokeMappings(object: GemObject): void {
  if (object.mappings !== undefined) for (const mapping of object.mappings) mapping.revoke();
}

/**
 * Whether an object's pages must not move while it is wanted: the firmware swizzles tiles by physical address, so that
 * other frames would show other contents (QUIRK_PIN_SWIZZLED_PAGES).
 */
export function quirkPins(object: GemObject): boolean {
  return object.tilingMode !== TILING_NONE && object.device.config.pinSwizzledPages;
}

/**
 * i915_gem_set_tiling: what lies where a fence register could not show it is unbound first; clients' mappings through the
 * aperture fault again.
 * @returns 0 or the errno of unbinding it
 */
export function setTiling(object: GemObject, mode: number, stride: number): number {
  const { config } = object.device;
  const vma = object.vmas.find(({ vm, view, node }) => vm.isGgtt && view === undefined && node !== 0);
  if (vma !== undefined && object.mapAndFenceable && !fenceOk(config.gen, mode, vma.start, vma.size, object.size)) {
    const rc = vmaUnbind(vma);
    if (rc !== 0) return rc;
  }
  const [before, after] = [object.tilingMode !== TILING_NONE, mode !== TILING_NONE];
  if (before !== after && object.pages !== 0 && object.madv === WILLNEED && config.pinSwizzledPages) {
    if (after) pinPages(object);
    else unpinPages(object);
  }
  object.tilingMode = mode;
  object.stride = stride;
  object.device.fences.put(object);
  revokeMappings(object);
  return 0;
}
