import type { Random } from './random.js';

/** One operation as it is recorded: a name and plain values, so that a run is a list that JSON can hold. */
export interface Operation {
  /** Name of its kind. */
  readonly op: string;
  readonly [argument: string]: string | number | boolean | readonly number[] | undefined;
}

/** An operation by its name, of an interface that holds the arguments of each. */
export type OperationIn<Arguments, Name extends keyof Arguments> = {
  [Each in Name]: {
    /** Name of its kind. */
    readonly op: Each;
  } & Readonly<Arguments[Each]>;
}[Name];

/** A kind of operation by its name, on the part of a world that it acts on. */
export type KindIn<Part, Arguments, Name extends keyof Arguments> = OperationKind<
  Part,
  OperationIn<Arguments, Name> & Operation
> & {
  /** Name of the kind. */
  readonly name: Name;
};

/**
 * A kind of operation on a part of a world. What is drawn at random is drawn in `generate` and stands in the operation;
 * `apply` depends on nothing but the operation and the world.
 */
export interface OperationKind<Part, Op extends Operation = Operation> {
  /** As operations carry it in `op`. */
  readonly name: string;
  /** A random operation of this kind; null when there is nothing to do it to. */
  generate(part: Part, random: Random): Op | null;
  /**
   * Does it. An operation whose subject is not there (because the one that made it was left out or refused) does nothing
   * and returns false. Refusals of the emulated kernel are thrown through.
   */
  apply(part: Part, operation: Op): boolean;
  /** The same as lines of TypeScript against the public API. */
  print(operation: Op): string[];
  /** Simpler forms to try when a failing run is cut down, simplest first. */
  simpler?(operation: Op): Iterable<Op>;
}

/** Simpler forms of an operation on a range of bytes. */
export function* smallerRange<Op extends { readonly offset: number; readonly length: number }>(
  operation: Op,
): Iterable<Op> {
  if (operation.length > 1) yield { ...operation, length: 1 };
  if (operation.offset > 0) yield { ...operation, offset: 0 };
}
