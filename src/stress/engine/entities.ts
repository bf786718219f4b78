import { badValue, invalidType } from '../../core/errors.js';
import { guard } from '../../core/guard.js';
import { notMade } from '../../core/life.js';
import { Random } from './random.js';

/**
 * Live things of a run by their id, with a random one in constant time. Ids are given by the operation that makes the
 * thing, not by counting, so that an operation means the same thing when others before it are left out.
 */
export class Entities<T> {
  static {
    guard(Entities, (one) => #made in one, ['get', 'add', 'delete', 'pick']);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  private readonly places = new Map<number, number>();
  private readonly ids: number[] = [];
  private readonly things: T[] = [];

  /** @internal Whether it is an object of this class that the library made. */
  static is(this: void, one: unknown): boolean {
    return typeof one === 'object' && one !== null && #made in one;
  }

  /** How many there are. */
  get size(): number {
    return this.ids.length;
  }

  /** The thing of an id; undefined when there is none. */
  get(id: number): T | undefined {
    if (!Entities.is(this)) throw notMade('Entities.get');
    if (typeof id !== 'number' || Number.isNaN(id)) throw invalidType('id', 'of type number', id);
    const place = this.places.get(id);
    return place === undefined ? undefined : this.things[place];
  }

  /** Adds a thing under an id that is not taken. */
  add(id: number, value: T): void {
    if (!Entities.is(this)) throw notMade('Entities.add');
    if (typeof id !== 'number' || Number.isNaN(id)) throw invalidType('id', 'of type number', id);
    if (this.places.has(id)) throw badValue(`id ${id} is taken`);
    this.places.set(id, this.ids.length);
    this.ids.push(id);
    this.things.push(value);
  }

  /** Takes a thing away; false when there was none. */
  delete(id: number): boolean {
    if (!Entities.is(this)) throw notMade('Entities.delete');
    if (typeof id !== 'number' || Number.isNaN(id)) throw invalidType('id', 'of type number', id);
    const place = this.places.get(id);
    if (place === undefined) return false;
    this.places.delete(id);
    const lastId = this.ids.pop()!;
    const last = this.things.pop()!;
    if (lastId !== id) {
      this.ids[place] = lastId;
      this.things[place] = last;
      this.places.set(lastId, place);
    }
    return true;
  }

  /** The id of some live thing; undefined when there is none. */
  pick(random: Random): number | undefined {
    if (!Entities.is(this)) throw notMade('Entities.pick');
    if (!Random.is(random)) throw invalidType('random', 'a Random', random);
    return this.ids.length === 0 ? undefined : this.ids[random.below(this.ids.length)];
  }

  /** In an order that depends on the history, the same for the same history. Safe against deleting while walking. */
  entries(): [number, T][] {
    return this.ids.map((id, place) => [id, this.things[place]]);
  }

  /** All of them. */
  values(): T[] {
    return [...this.things];
  }
}
