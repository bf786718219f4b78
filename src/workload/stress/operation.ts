import type { StressConfig } from './profiles.js';
import type { Random } from './random.js';

/** One operation as it is recorded: a name and plain values, so that a run is a list that JSON can hold. */
export interface Operation {
  readonly op: string;
  readonly [argument: string]: string | number | boolean | readonly number[];
}

/**
 * A kind of operation on a world. What is drawn at random is drawn in `generate` and stands in the operation; `apply`
 * depends on nothing but the operation and the world.
 */
export interface OperationKind<World> {
  readonly name: string;
  /** A random operation of this kind; null when the world has nothing to do it to. */
  generate(world: World, random: Random): Operation | null;
  /**
   * Does it. An operation whose subject is not there (because the one that made it was left out or refused) does nothing
   * and returns false. Refusals of the emulated kernel are thrown through.
   */
  apply(world: World, operation: Operation): boolean;
  /** The same as lines of TypeScript against the public API. */
  print(operation: Operation): string[];
  /** Simpler forms to try when a failing run is cut down, simplest first. */
  simpler?(operation: Operation): Iterable<Operation>;
}

/** A named sequence of operations, written by hand. Ids are the things of the scenario; context 0 is the global GTT. */
export interface OperationScenario {
  name: string;
  title: string;
  /** Changes to the churn profile's configuration: other devices, other back ends. */
  config?: Partial<Pick<StressConfig, 'gpus' | 'devices' | 'machine'>>;
  operations: readonly Operation[];
}
