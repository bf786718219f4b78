import { LIBRARY } from '../../core/life.js';
import { complete, type Sliced } from '../../core/slices.js';
import type { MachineSnapshot } from '../../machine/snapshot.js';
import type { StressFailure } from '../engine/failure.js';
import type { Operation } from '../engine/operation.js';
import { Runner } from '../engine/runner.js';
import type { StressConfig } from '../world/profile.js';
import type { Repertoire } from '../world/vocabulary.js';
import { World } from '../world/world.js';

/** A copy of a world takes as long as a thousand operations, and memory, so there are few. */
const MOST_STOPS = 12;
const LEAST_STEP = 4096;
/** A mask: operations between two yields. */
const SLICE = 0x1ff;

/** How a world was after the first `length` operations of a sequence. */
interface Stop {
  length: number;
  snapshot: MachineSnapshot;
}

/**
 * Runs one sequence of operations after the other, each as if on a fresh world. Making a world takes ten times as long as
 * going back to its beginning, so there is one world, and a sequence that begins as the one before goes on from a stop on
 * the common way. The user's code, such as a mapping policy, may keep state where no snapshot finds it, in a WeakMap or
 * a closure: with it, every sequence goes on from the beginning, with that code made anew.
 */
export class Replayer {
  readonly #config: StressConfig;
  readonly #repertoire: Repertoire;
  #runner: Runner<World>;
  readonly #stops: Stop[] = [];
  /** The sequence along which the stops are. */
  #way: readonly Operation[] = [];

  /** @throws GemDmaError when the machine cannot be made */
  constructor(config: StressConfig, repertoire: Repertoire) {
    this.#config = config;
    this.#repertoire = repertoire;
    this.#runner = this.#newRunner();
    this.#stop(0);
  }

  /**
   * A world in which these operations were done and nothing else, up to the first failure. What is done to it from then on
   * lasts until the next call.
   */
  after(operations: readonly Operation[]): Runner<World> {
    return complete(this.#advance(operations));
  }

  *#advance(operations: readonly Operation[]): Sliced<Runner<World>> {
    const step = Math.max(LEAST_STEP, Math.ceil(operations.length / MOST_STOPS));
    let at = this.#goBack(operations);
    const runner = this.#runner;
    this.#way = operations;
    for (let i = at; i < operations.length; ++i) {
      if (i - at >= step && this.#stops.length <= MOST_STOPS) {
        at = i;
        this.#stop(i);
      }
      if (!runner.apply(operations[i])) break;
      if ((i & SLICE) === SLICE) yield;
    }
    return runner;
  }

  /**
   * Makes the moment after these operations the stop from which sequences go on that begin with them.
   * @returns the world at that moment
   */
  stand(operations: readonly Operation[]): World {
    const { world } = this.after(operations);
    this.#stops.splice(1);
    this.#stop(operations.length);
    return world;
  }

  /**
   * Applies operations to a fresh world, then checks it and takes it down.
   * @returns the failure, null when there was none
   */
  run(operations: readonly Operation[]): StressFailure | null {
    return complete(this.sliced(operations));
  }

  /** The same in slices. A replayer whose work was left half done cannot be used again. */
  *sliced(operations: readonly Operation[]): Sliced<StressFailure | null> {
    const runner = yield* this.#advance(operations);
    runner.finish();
    return runner.failure;
  }

  /**
   * Goes to the last stop on the common beginning of both sequences; later stops are dropped.
   * @returns how many operations it is after
   */
  #goBack(operations: readonly Operation[]): number {
    const stops = this.#stops;
    const way = this.#way;
    let common = 0;
    while (common < way.length && way[common] === operations[common]) ++common;
    while (stops.at(-1)!.length > common) stops.pop();
    const stop = stops.at(-1)!;
    const { world } = this.#runner;
    world.machine.restore(stop.snapshot);
    world.renew();
    return stop.length;
  }

  #stop(length: number): void {
    if (this.#repertoire.hasOwnState && length > 0) return;
    this.#stops.push({ length, snapshot: this.#runner.world.machine.snapshot(this.#runner) });
  }

  #newRunner(): Runner<World> {
    return new Runner(
      new World(LIBRARY, this.#config, this.#repertoire),
      this.#repertoire.kinds,
      this.#config.checkEvery,
    );
  }
}
