import type { Tracepoint } from '../events/events.js';

/** i915's tracepoints (i915_trace.h). */
declare module '../events/events.js' {
  interface EventFields {
    i915_gem_object_create: { length: number };
    i915_gem_object_destroy: { length: number };
    i915_gem_object_get_pages: { length: number };
    i915_gem_object_put_pages: { length: number };
    /** `address` in the vma's address space. */
    i915_vma_bind: { address: number; length: number };
    i915_vma_unbind: { address: number; length: number };
  }
}

export const TRACEPOINTS = [
  { kind: 'i915_gem_object_create' },
  { kind: 'i915_gem_object_destroy' },
  { kind: 'i915_gem_object_get_pages' },
  { kind: 'i915_gem_object_put_pages' },
  { kind: 'i915_vma_bind', address: true },
  { kind: 'i915_vma_unbind', address: true },
] as const satisfies readonly Tracepoint[];

export type I915Event = (typeof TRACEPOINTS)[number]['kind'];
