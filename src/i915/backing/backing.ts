import type { GemBacking } from '../../drm/gem-object.js';
import type { GemObject } from '../object.js';

/**
 * Where an object's memory comes from: one file per kind in this folder, each with the driver's four callbacks
 * (drm_i915_gem_object_ops). The table of kinds, and of the three kinds of DMA mapping that i915 has:
 *
 *   kind     backing                        mapping       who maps, with what               lives as long as
 *   shmem    pages of a shmem file          sg            i915, dma_map_sg                  the policy says
 *   userptr  pages of a process             sg            i915, dma_map_sg                  the policy says
 *   phys     one coherent buffer            contiguous    the allocator, dma_alloc_coherent the buffer
 *   stolen   memory set aside by firmware   contiguous    no mapping: fixed addresses       the device
 *   dma-buf  another driver's pages         attachment    the exporter, on i915's behalf    the pages
 */
export interface Backing extends GemBacking<GemObject> {
  readonly kind: BackingKind;
  readonly mapping: MappingKind;

  /** Is there a shmem file behind it, which pread, pwrite and purging need? (obj.base.filp) */
  readonly filp: boolean;

  /** Throws away what the file holds (shmem_truncate_range). Called only with a filp. */
  truncate(object: GemObject): void;
}

/**
 * Where an object's pages come from: shmem, one contiguous piece, memory stolen by the firmware, another driver's
 * dma-buf, a process's memory.
 */
export type BackingKind = 'shmem' | 'phys' | 'stolen' | 'dma-buf' | 'userptr';

/** The three kinds of DMA mapping that the commit message distinguishes. */
export type MappingKind = 'sg' | 'contiguous' | 'attachment';
