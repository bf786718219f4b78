import { bugOn, EBUSY } from '../drm/errno.js';
import { unpinPages } from '../drm/gem-object.js';
import { Shared } from '../drm/shared.js';
import { revokeMappings } from './pages.js';
import { tellPolicy } from './policy/run.js';
import { retireObject } from './retire.js';
import type { Vma } from './vma.js';

/**
 * i915_vma_unbind: takes a vma out of its address space. Whether the object's DMA mapping goes too is the policy's
 * matter. Note what decides that a vma was the last: the object's list of vmas is empty, placeholders included.
 * @returns 0, or -EBUSY while it is pinned or its object busy
 */
export function vmaUnbind(vma: Vma): number {
  if (vma.vmaLink.empty) return 0;
  const { object } = vma;
  const life = Shared.lifeOf(object, 'vma_unbind');
  if (life.busy) return -EBUSY;
  const outermost = life.begin();
  try {
    return unbind(vma);
  } finally {
    life.finish(outermost);
  }
}

function unbind(vma: Vma): number {
  const { object, vm } = vma;
  if (vma.node === 0) {
    vma.destroy();
    return 0;
  }
  if (vma.pinCount !== 0) return -EBUSY;
  bugOn(object.pages === 0, 'a bound vma of an object without pages');
  retireObject(object);
  if (vm.isGgtt) {
    revokeMappings(object);
    if (vma.view === undefined) object.device.fences.put(object);
  }
  vm.clearVma(vma);
  vma.bound = 0;
  if (vma.dmaAddress >= 0) {
    object.device.binding(vma.dmaAddress, -1);
    vma.dmaAddress = -1;
  }
  vma.mmLink.remove();
  if (vma.viewPages !== 0) {
    object.device.core.exports.sgDestroy(vma.viewPages);
    vma.viewPages = 0;
  } else if (vm.isGgtt) {
    object.mapAndFenceable = false;
  }
  object.device.core.exports.mmRemove(vma.node);
  vma.node = 0;
  const { device } = object;
  if (device.events.recording) device.tell('i915_vma_unbind', object.id, vma.size, vma.id, vma.start);
  vma.destroy();

  tellPolicy('unbind', object, vma);
  if (object.vmaList.empty) {
    tellPolicy('lastVma', object, vma);
    device.unboundList.moveTail(object.globalLink);
  }
  unpinPages(object);
  return 0;
}
