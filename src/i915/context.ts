import { checkMaker, type LIBRARY } from '../core/life.js';
import { Living } from '../core/living.js';
import type { AddressSpace } from './address-space.js';
import type { I915Device } from './device.js';

/**
 * A hardware context (struct intel_context): what a process runs its batches in. With full PPGTT it has an address space
 * of its own; otherwise all share the aliasing PPGTT or the global GTT.
 */
export class GpuContext extends Living {
  static {
    Living.guard(GpuContext);
  }

  /** The GPU that it belongs to. */
  readonly device: I915Device;
  /** Counts from 1 over the contexts of a GPU. */
  readonly id: number;
  /** Where objects are bound for batches of this context. */
  readonly vm: AddressSpace;

  /** @internal */
  constructor(maker: typeof LIBRARY, device: I915Device, id: number, vm: AddressSpace) {
    checkMaker(maker, 'GpuContext');
    super(device.core.timeline, 'context', id);
    this.device = device;
    this.id = id;
    this.vm = vm;
  }

  /**
   * Destroys the context. Its address space lives on until the last vma in it is gone, and nothing new can be bound in it.
   * @throws GemDmaError ENODEV when it was released before; EBUSY from within a hook of a call that binds in it
   */
  release(): void {
    this.enterIdle('gem_context_destroy');
    const { device, vm } = this;
    if (vm !== device.ggtt) vm.checkIdle('gem_context_destroy');
    device.hooks.call(() => {
      device.contexts.delete(this);
      this.end();
      if (vm === device.ggtt) vm.put();
      else vm.close();
    });
  }

  /** Drops the context, as `release()`. */
  [Symbol.dispose](): void {
    if (this.alive) this.release();
  }
}
