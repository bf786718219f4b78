import { PAGE_SIZE } from '../core/generated/constants.js';
import { ListLink } from '../drm/list.js';
import { Shared } from '../drm/shared.js';
import type { I915Device } from './device.js';
import { evictEverything } from './evict.js';
import { DONTNEED } from './madvise.js';
import type { GemObject } from './object.js';
import { putPages } from './pages.js';
import { vmaUnbind } from './unbind.js';

/**
 * Giving memory back under pressure (i915_gem_shrinker.c): objects that userspace does not need first, unbound ones
 * before bound ones, the oldest of each first. Nothing pinned is touched.
 */
export const SHRINK_PURGEABLE = 1;
/** Objects that have pages and are bound nowhere. */
export const SHRINK_UNBOUND = 2;
/** Objects that are bound: they are unbound first. */
export const SHRINK_BOUND = 4;

/**
 * i915_gem_shrink: drops the pages of objects until `target` pages are released.
 * @param flags which lists, and whether only objects that are not needed
 * @returns pages released, by the size of the objects, whatever the machine regains of it
 */
export function shrink(device: I915Device, target: number, flags: number): number {
  let released = 0;
  if ((flags & SHRINK_UNBOUND) !== 0) released = shrinkList(device, device.unboundList, target, released, flags);
  if ((flags & SHRINK_BOUND) !== 0) released = shrinkList(device, device.boundList, target, released, flags);
  return released;
}

function shrinkList(
  device: I915Device,
  list: ListLink<GemObject>,
  target: number,
  released: number,
  flags: number,
): number {
  // Objects are parked here during the scan: releasing one may move others between the lists.
  const stillInList = new ListLink<GemObject>(null);
  const scan = ++device.scans;
  while (released < target) {
    const object = list.first;
    if (object === null) break;
    stillInList.moveTail(object.globalLink);
    // Looked at already, and back on the list by a hook; or a call is in the middle of it.
    if (object.scanned >= scan || object.busy) continue;
    object.scanned = scan;
    if ((flags & SHRINK_PURGEABLE) !== 0 && object.madv !== DONTNEED) continue;
    object.get();
    const life = Shared.lifeOf(object, 'gem_shrink');
    const outermost = life.begin();
    for (const vma of object.vmas) {
      if (vmaUnbind(vma) !== 0) break;
    }
    if (putPages(object) === 0) released += object.size / PAGE_SIZE;
    life.finish(outermost);
    object.put();
  }
  list.splice(stillInList);
  return released;
}

/** i915_gem_shrink_all: unbinds everything that can be, then drops the pages of everything that can be. */
export function shrinkAll(device: I915Device): number {
  evictEverything(device);
  return shrink(device, Number.POSITIVE_INFINITY, SHRINK_BOUND | SHRINK_UNBOUND);
}

/** i915_gem_shrinker_count: pages that a scan could release. */
export function shrinkerCount(device: I915Device): number {
  let pages = 0;
  for (const object of device.unboundList.toArray()) {
    if (object.pagesPinCount === 0) pages += object.size / PAGE_SIZE;
  }
  for (const object of device.boundList.toArray()) {
    if (object.pagesPinCount === boundVmas(object)) pages += object.size / PAGE_SIZE;
  }
  return pages;
}

// num_vma_bound: a pinned vma counts twice, so that an object with one never looks shrinkable.
function boundVmas(object: GemObject): number {
  let count = 0;
  for (let link = object.vmaList.next; link.owner !== null; link = link.next) {
    if (link.owner.node !== 0) ++count;
    if (link.owner.pinCount > 0) ++count;
  }
  return count;
}

/** i915_gem_shrinker_scan: what the memory manager calls. Returns pages released. */
export function shrinkerScan(device: I915Device, target: number): number {
  const released = shrink(device, target, SHRINK_BOUND | SHRINK_UNBOUND | SHRINK_PURGEABLE);
  return released < target ? released + shrink(device, target - released, SHRINK_BOUND | SHRINK_UNBOUND) : released;
}
