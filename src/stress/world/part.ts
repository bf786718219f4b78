import { invalidType } from '../../core/errors.js';
import { guard } from '../../core/guard.js';
import type { DmaBuf } from '../../drm/dma-buf.js';
import type { BaseMachine } from '../../machine/machine.js';
import type { Operation } from '../engine/operation.js';
import type { Random, Weighted } from '../engine/random.js';
import type { Contents } from './contents.js';
import { World, type WorldState } from './world.js';

/** An object that a part lends to the devices of another, through dma-buf. */
export interface Lent {
  /** The dma-buf; the borrower drops its reference. */
  readonly dmaBuf: DmaBuf;
  /** Bytes. */
  readonly size: number;
  /** What its bytes must be. */
  readonly contents: Contents;
}

/** What is mapped: as calls of the DMA API, where a list counts once, and as entries of dma-debug. */
export interface Books {
  /** Calls of the DMA API that map; a list counts once. */
  mappings: number;
  /** Entries of dma-debug; a list counts once for each entry that was given. */
  entries: number;
}

/**
 * The part of a world that one vocabulary acts on: its devices, the things that its operations name, and what must hold of
 * them. Fields are visible properties (TypeScript's `private`): a snapshot of the machine follows them.
 */
export abstract class WorldPart {
  static {
    guard(WorldPart, (one) => #made in one);
  }

  /** Every object of the class has this field, and no other object (guard.ts). */
  readonly #made = true;
  /** The world that it is a part of. */
  readonly world: World;
  /** The machine of the run. */
  readonly machine: BaseMachine;
  /** Most things of each kind. */
  readonly limits: Readonly<Record<string, number>>;
  /** Sizes to draw, in pages. */
  readonly pages: Weighted<number>;

  /** @internal The members of a derived class refuse a `this` that is not an object of it (guard.ts). */
  static guard(part: { name: string; prototype: WorldPart }): void {
    guard(part, (one) => #made in one && Object.prototype.isPrototypeOf.call(part.prototype, one));
  }

  constructor(world: World) {
    if (!World.is(world)) throw invalidType('world', 'a World', world);
    this.world = world;
    this.machine = world.machine;
    this.limits = world.config.limits;
    this.pages = world.pages;
  }

  /** An id that no operation of this run has had. */
  newId(): number {
    return this.world.newId();
  }

  /** What is mapped now by the drivers' own counts. */
  abstract books(): Books;
  /** Throws a StressFailure for what does not hold of the part's own things. */
  check(): void {}
  /** Gives everything back. */
  abstract teardown(): void;
  /** Everything was given back: throws a StressFailure for what is left. */
  empty(): void {}

  /** What an operation that was refused must leave as it was, as plain values. */
  abstract state(): Record<string, unknown>;
  /** Mappings that outlast an operation that was refused, such as those of page tables. */
  lasting(): number {
    return 0;
  }
  /** Undoes the side effects that the kernel also leaves after a refused operation. */
  rewind(_before: WorldState, _operation: Operation): void {}
  /** The world is back at its start: the user's code also starts again. */
  renew(): void {}

  /** Live objects, for a progress bar. */
  get objectCount(): number {
    return 0;
  }
  /** A random object that another part's devices may use, by its id. */
  pickObject(_random: Random): number | undefined {
    return undefined;
  }
  /** Lends an object; undefined for one that is not the part's, or not to be lent. The borrower releases the dma-buf. */
  lend(_id: number): Lent | undefined {
    return undefined;
  }
}
