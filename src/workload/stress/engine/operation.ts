import type { Random } from './random.js';

/** One operation as it is recorded: a name and plain values, so that a run is a list that JSON can hold. */
export interface Operation {
  readonly op: string;
  readonly [argument: string]: string | number | boolean | readonly number[] | undefined;
}

/**
 * A kind of operation on a world. What is drawn at random is drawn in `generate` and stands in the operation; `apply`
 * depends on nothing but the operation and the world.
 */
export interface OperationKind<World, Op extends Operation = Operation> {
  readonly name: string;
  /** A random operation of this kind; null when the world has nothing to do it to. */
  generate(world: World, random: Random): Op | null;
  /**
   * Does it. An operation whose subject is not there (because the one that made it was left out or refused) does nothing
   * and returns false. Refusals of the emulated kernel are thrown through.
   */
  apply(world: World, operation: Op): boolean;
  /** The same as lines of TypeScript against the public API. */
  print(operation: Op): string[];
  /** Simpler forms to try when a failing run is cut down, simplest first. */
  simpler?(operation: Op): Iterable<Op>;
}
