import { PAGE_SIZE } from '../core/generated/constants.js';
import type { CoreExports } from '../core/generated/exports.js';
import { held } from '../core/handle.js';
import { EINVAL, ENOSPC } from '../drm/errno.js';
import type { ListLink } from '../drm/list.js';
import type { AddressSpace } from './address-space.js';
import type { I915Device } from './device.js';
import { idle } from './retire.js';
import { vmaUnbind } from './unbind.js';
import type { Vma } from './vma.js';

/**
 * Making room in an address space (i915_gem_evict.c): the vmas that were used least recently go, as few as make one hole
 * that is large enough.
 */

/**
 * i915_gem_evict_something: unbinds unpinned vmas until the request fits, those first that the GPU does not use.
 * @returns 0 when something was evicted, else a negative errno: -ENOSPC when nothing helps
 */
export function evictSomething(
  vm: AddressSpace,
  size: number,
  alignment: number,
  color: number,
  start: number,
  end: number,
  nonblock: boolean,
): number {
  if (vm.makesRoom) return -ENOSPC;
  vm.makesRoom = true;
  try {
    return makeRoom(vm, size, alignment, color, start, end, nonblock);
  } finally {
    vm.makesRoom = false;
  }
}

function makeRoom(...request: Parameters<typeof evictSomething>): number {
  const [vm, size, alignment, color, start, end, nonblock] = request;
  const { exports } = vm.device.core;
  for (let waited = false; ; waited = true) {
    const rc = exports.mmScanInit(vm.mm, size, alignment, color, start, end, vm.device.mmInsertMode);
    if (rc !== 0) return rc;
    const scanned: Vma[] = [];
    const found = scan(exports, vm.inactiveList, scanned) || (!nonblock && scan(exports, vm.activeList, scanned));
    const victims = unwind(exports, scanned);
    if (found) return unbindAll(victims) || unbindColoured(vm);
    if (nonblock || waited) return -ENOSPC;
    // Retirement may free objects and drop pins of the display: scan again.
    idle(vm.device);
  }
}

// Adds vmas to the scan, head of the list first, until a hole would be large enough without them.
function scan(exports: CoreExports, list: ListLink<Vma>, scanned: Vma[]): boolean {
  for (let link = list.next; link.owner !== null; link = link.next) {
    const vma = link.owner;
    if (vma.pinCount !== 0 || vma.onExecList || vma.object.busy) continue;
    scanned.push(vma);
    if (exports.mmScanAdd(held(vma.node)) === 1) return true;
  }
  return false;
}

// The scan must be undone in reverse order; those that lie in the hole that was found say so as they leave it.
function unwind(exports: CoreExports, scanned: Vma[]): Vma[] {
  const victims: Vma[] = [];
  for (let i = scanned.length - 1; i >= 0; --i) {
    const vma = scanned[i];
    if (exports.mmScanRemove(held(vma.node)) !== 1) continue;
    vma.object.get();
    victims.push(vma);
  }
  return victims.reverse();
}

function unbindAll(victims: Vma[]): number {
  let rc = 0;
  for (const vma of victims) {
    if (rc === 0) rc = vmaUnbind(vma);
    vma.object.put();
  }
  return rc;
}

// The modern manager leaves neighbours of another colour to be evicted afterwards (drm_mm_scan_color_evict).
function unbindColoured(vm: AddressSpace): number {
  const { exports } = vm.device.core;
  for (let node = exports.mmScanColorEvict(vm.mm); node !== 0; node = exports.mmScanColorEvict(vm.mm)) {
    const vma = vm.vmas.find((candidate) => candidate.node === node);
    const rc = vma === undefined ? -ENOSPC : vmaUnbind(vma);
    if (rc !== 0) return rc;
  }
  return 0;
}

/**
 * i915_gem_evict_for_node: unbinds everything that lies in a range, and neighbours that may not touch it: those of another
 * colour, where colours are kept apart.
 * @returns 0, -EINVAL where another object of the same batch lies there, -ENOSPC where something is pinned or, with
 *   `nonblock`, in use
 */
export function evictRange(vm: AddressSpace, start: number, size: number, color: number, nonblock: boolean): number {
  if (vm.makesRoom) return -ENOSPC;
  const gap = vm.device.config.llc || !vm.isGgtt ? 0 : PAGE_SIZE;
  const victims: Vma[] = [];
  for (const vma of vm.vmas) {
    const apart = vma.object.cacheLevel === color ? 0 : gap;
    if (vma.start >= start + size + apart || vma.start + vma.size + apart <= start) continue;
    if (vma.onExecList && vma.pinCount > 0) return -EINVAL;
    if (vma.pinCount > 0 || vma.object.busy || (nonblock && vma.object.active > 0)) return -ENOSPC;
    victims.push(vma);
  }
  vm.makesRoom = true;
  for (const vma of victims) vma.object.get();
  try {
    return unbindAll(victims);
  } finally {
    vm.makesRoom = false;
  }
}

/** i915_gem_evict_vm: unbinds every unpinned vma that the GPU does not use; with `wait`, after it is done with all. */
export function evictVm(vm: AddressSpace, wait: boolean): number {
  if (wait) idle(vm.device);
  for (const vma of vm.inactiveList.toArray()) {
    if (vma.pinCount === 0) vmaUnbind(vma);
  }
  return 0;
}

/**
 * i915_gem_evict_everything. Whether there is anything to evict is decided, as in the kernel, by the lists of the
 * newest address space alone.
 * @returns 0 or -ENOSPC
 */
export function evictEverything(device: I915Device): number {
  const last = device.vmList[device.vmList.length - 1];
  if (last.inactiveList.empty && last.activeList.empty) return -ENOSPC;
  idle(device);
  for (const vm of device.vmList.slice()) evictVm(vm, false);
  return 0;
}
