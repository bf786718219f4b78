import type { GemObject } from './object.js';
import { revokeMappings } from './pages.js';

/**
 * The fence registers of a device: each shows the CPU one tiled object as if it were linear (i915_gem_fence.c). There are fewer
 * than objects: the one that was used least recently is stolen, and its object's clients fault again.
 */
export class FenceRegisters {
  /** Fences that were taken from another object. */
  steals = 0;
  private readonly objects: (GemObject | undefined)[];
  /** Registers, least recently used first. */
  private readonly order: number[];

  constructor(count: number) {
    this.objects = new Array<GemObject | undefined>(count).fill(undefined);
    this.order = this.objects.map((_, i) => i);
  }

  /** i915_gem_object_get_fence. @returns the number of the register */
  get(object: GemObject): number {
    let fence = object.fence;
    if (fence < 0) {
      const free = this.order.find((number) => this.objects[number] === undefined);
      fence = free ?? this.steal();
      this.objects[fence] = object;
      object.fence = fence;
    }
    this.order.push(...this.order.splice(this.order.indexOf(fence), 1));
    return fence;
  }

  /** i915_gem_object_put_fence: the object is unbound, or lies in other tiles. */
  put(object: GemObject): void {
    if (object.fence < 0) return;
    this.objects[object.fence] = undefined;
    object.fence = -1;
  }

  private steal(): number {
    const fence = this.order[0];
    const loser = this.objects[fence]!;
    loser.fence = -1;
    revokeMappings(loser);
    ++this.steals;
    return fence;
  }
}
