import type { GemObject } from '../object.js';

/** Names of objects (flink), for all clients of a device: numbers from 1, the lowest free one. */
export class ObjectNames {
  private readonly byName = new Map<number, GemObject>();
  private readonly byObject = new Map<GemObject, number>();

  /** The name that the next object is to have, if it is free: a replay gives those of its recording. */
  wanted: number | undefined;

  /** The object's name: always the same one. */
  nameOf(object: GemObject): number {
    let name = this.byObject.get(object);
    if (name === undefined) {
      name = this.wanted ?? 1;
      this.wanted = undefined;
      if (this.byName.has(name)) name = 1;
      while (this.byName.has(name)) ++name;
      this.byName.set(name, object);
      this.byObject.set(object, name);
    }
    return name;
  }

  /** The object of a name. An object without a handle has lost its name. */
  object(name: number): GemObject | undefined {
    const object = this.byName.get(name);
    if (object === undefined || object.alive) return object;
    this.forget(object);
    return undefined;
  }

  /** Its last handle goes (drm_gem_object_handle_free). */
  forget(object: GemObject): void {
    const name = this.byObject.get(object);
    if (name === undefined) return;
    this.byObject.delete(object);
    this.byName.delete(name);
  }
}
