import type { GemObject } from '../object.js';
import type { Vma } from '../vma.js';

/**
 * When a driver makes and ends the DMA mapping of an object's pages.
 *
 * i915 has three kinds of mapping (see backing/backing.ts). For contiguous memory and dma-buf imports the mapping lives
 * as long as the pages, whatever the policy. For lists of pages (shmem, userptr) the driver calls dma_map_sg and
 * dma_unmap_sg itself, and the policy says at which of the moments below. `object.mapSg()` and `object.unmapSg()` are
 * the two calls; both do nothing for the other kinds, so a policy need not ask.
 *
 * Every hook is optional. A hook that can refuse returns 0 or a negative errno (`return object.mapSg()`); returning
 * nothing counts as 0. Kernel functions named below are where i915 would call it.
 *
 * A hook that throws counts as one that refuses (EINVAL), where it can, or that is done: the driver undoes or completes its
 * work, and the call of the library that led to the hook throws the error. So it is with a hook that returns a promise, or
 * NaN (TypeError ERR_INVALID_RETURN_VALUE).
 *
 * A hook runs in the middle of a call. It may use other objects as it likes. What would change or end the object, vma,
 * address space or process that a call is in the middle of is refused with EBUSY, before any effect, and reclaim passes
 * those by. `gpu.remove()`, snapshots, and the end of the machine are refused as well. Hooks are synchronous; async functions are refused when the GPU is added.
 */
export interface MappingPolicy {
  /** Shown in reports. */
  readonly name: string;

  /**
   * Whether a full PPGTT of this hardware generation gets all its page tables when it is made, or each at the first
   * bind that needs it (allocate_va_range). Default `'bind'`.
   */
  pageTables?(gen: number): 'creation' | 'bind';

  /** The object has just got its backing pages (end of the get_pages callback). Refusing fails getPages. */
  getPages?(object: GemObject): number | undefined;

  /** A vma has its place in an address space and no entries yet (i915_gem_object_bind_to_vm). Refusing fails the bind. */
  bind?(object: GemObject, vma: Vma): number | undefined;

  /** A bind failed after the `bind` hook: page tables could not be had, or the view's own list of pages. */
  bindFailed?(object: GemObject, vma: Vma, stage: BindStage): void;

  /** A vma's entries are gone (i915_vma_unbind). */
  unbind?(object: GemObject, vma: Vma): void;

  /** After `unbind`, when the object's list of vmas has become empty. */
  lastVma?(object: GemObject, vma: Vma): void;

  /** The object is about to lose its backing pages (start of the put_pages callback). */
  putPages?(object: GemObject): void;

  /** The contents are about to be thrown away for good: DONTNEED and under pressure, or being freed. */
  purge?(object: GemObject): void;

  /** The process changes the memory under a userptr object; unbinding and putPages follow. */
  invalidate?(object: GemObject): void;

  /**
   * A policy with state takes part in snapshots of the machine with this pair: one makes a copy of the state, the other restores it,
   * as often as needed.
   */
  snapshot?(): unknown;
  /** Goes back to what `snapshot` returned. */
  restore?(state: unknown): void;
}

/** Names of the hooks above. */
export const POLICY_HOOKS = [
  'getPages',
  'bind',
  'bindFailed',
  'unbind',
  'lastVma',
  'putPages',
  'purge',
  'invalidate',
  'pageTables',
] as const satisfies readonly (keyof MappingPolicy)[];

/** The step at which a bind failed: allocating page tables, or making the entries. */
export type BindStage = 'page-tables' | 'entries';

/** Hooks of a policy and other work of the driver: every mapping and event has one, beside object and vma. */
export const HOOKS = ['none', ...POLICY_HOOKS, 'attach', 'export'] as const;

/** A moment at which a policy is called, by the driver's function: `bind`, `get_pages`, ... */
export type HookName = (typeof HOOKS)[number];
