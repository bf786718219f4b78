import type { GemObject } from '../object.js';
import { IdTable } from './ids.js';

/** Names of objects (flink), for all clients of a device: numbers from 1, the lowest free one. */
export class ObjectNames {
  /** Objects by name. */
  readonly table = new IdTable<GemObject>(1);
  private readonly byObject = new Map<GemObject, number>();

  /** The object's name: always the same one. */
  nameOf(object: GemObject): number {
    let name = this.byObject.get(object);
    if (name === undefined) {
      name = this.table.add(object);
      this.byObject.set(object, name);
    }
    return name;
  }

  /** The object of a name. An object without a handle has lost its name. */
  object(name: number): GemObject | undefined {
    const object = this.table.get(name);
    if (object === undefined || object.alive) return object;
    this.forget(object);
    return undefined;
  }

  /** Its last handle goes (drm_gem_object_handle_free). */
  forget(object: GemObject): void {
    const name = this.byObject.get(object);
    if (name === undefined) return;
    this.byObject.delete(object);
    this.table.delete(name);
  }
}
