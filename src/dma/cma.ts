import { GemDmaError } from '../core/errors.js';
import { PAGE_SIZE } from '../core/generated/constants.js';
import type { ContextHandle } from '../core/generated/exports.js';
import type { Core } from '../core/instance.js';

/** A pool of memory for coherent buffers of callers that must not sleep (kernel/dma/pool.c). */
export interface AtomicPoolStats {
  /** Frames of 4 KiB. */
  pages: number;
  /** Of these such as are free. */
  free: number;
}

/** A machine's contiguous memory area (struct cma): blocks that need more than a page come from it first (assembly/ram/cma.ts). */
export class ContiguousArea {
  private readonly core: Core;
  private readonly context: ContextHandle;

  private constructor(core: Core, context: ContextHandle) {
    this.core = core;
    this.context = context;
  }

  /**
   * Sets the area aside, whole units of 2 MiB.
   * @throws GemDmaError ENOMEM
   * @internal
   */
  static reserve(core: Core, context: ContextHandle, size: number): ContiguousArea {
    if (core.exports.cmaReserve(context, Math.ceil(size / PAGE_SIZE))) return new ContiguousArea(core, context);
    throw new GemDmaError('ENOMEM', 'cma_declare_contiguous', `no ${size} bytes of RAM are free in one piece`);
  }

  /** pfn of its first frame. */
  get first(): number {
    return this.core.exports.cmaFirst(this.context);
  }

  /** Frames of 4 KiB, a multiple of 512. */
  get pages(): number {
    return this.core.exports.cmaPages(this.context);
  }

  /** Pages that are free. */
  get free(): number {
    return this.core.exports.cmaFree(this.context);
  }
}
