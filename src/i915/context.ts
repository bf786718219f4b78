import { EINVAL, refuse } from '../drm/errno.js';
import type { AddressSpace } from './address-space.js';
import type { I915Device } from './device.js';

/**
 * A hardware context (struct intel_context): what a process runs its batches in. With full PPGTT it has an address space
 * of its own; otherwise all share the aliasing PPGTT or the global GTT.
 */
export class Context {
  readonly device: I915Device;
  readonly id: number;
  /** Where objects are bound for batches of this context. */
  readonly vm: AddressSpace;
  private alive = true;

  constructor(device: I915Device, id: number, vm: AddressSpace) {
    this.device = device;
    this.id = id;
    this.vm = vm;
  }

  /** Destroys the context. Its address space lives on until the last vma in it is gone. */
  release(): void {
    if (!this.alive) refuse(-EINVAL, 'gem_context_destroy', `context ${this.id} was released`);
    this.alive = false;
    this.device.contexts.delete(this);
    this.device.hooks.call(() => this.vm.release());
  }

  [Symbol.dispose](): void {
    if (this.alive) this.release();
  }
}
