import type { MappingPolicy } from '../../gem/policy/policy.js';
import type { MachineSnapshot } from '../../machine/snapshot.js';
import type { StressFailure } from './failure.js';
import { ALL_KINDS } from './kinds.js';
import type { Operation } from './operation.js';
import type { StressConfig } from './profiles.js';
import { Runner } from './runner.js';
import { World } from './world.js';

/** A copy of a world takes as long as a thousand operations, and memory: so few, and so far apart. */
const MOST_STOPS = 12;
const LEAST_STEP = 4096;

/** How a world was after the first `length` operations of a sequence. */
interface Stop {
  length: number;
  snapshot: MachineSnapshot;
}

/**
 * Runs one sequence of operations after the other, each on the same fresh world: making a world takes ten times as long
 * as going back to its beginning. A sequence that begins as the one before goes on from a stop on the common way.
 */
export class Replayer {
  readonly #runner: Runner<World>;
  readonly #stops: Stop[];
  /** The sequence along which the stops are. */
  #way: readonly Operation[] = [];

  constructor(config: StressConfig, policy?: MappingPolicy) {
    this.#runner = new Runner(new World(config, policy), ALL_KINDS, config.checkEvery);
    this.#stops = [{ length: 0, snapshot: this.#snapshot() }];
  }

  /**
   * Applies operations to a fresh world, then checks it and takes it down.
   * @returns the failure, null when there was none
   */
  run(operations: readonly Operation[]): StressFailure | null {
    const runner = this.#runner;
    const step = Math.max(LEAST_STEP, Math.ceil(operations.length / MOST_STOPS));
    let { length } = this.#goBack(operations);
    this.#way = operations;
    for (let i = length; i < operations.length; ++i) {
      if (i - length >= step && this.#stops.length <= MOST_STOPS) {
        length = i;
        this.#stops.push({ length, snapshot: this.#snapshot() });
      }
      if (!runner.apply(operations[i])) return runner.failure;
    }
    runner.finish();
    return runner.failure;
  }

  /** Goes to the last stop before the sequence parts from the way; what lies beyond is of no use any more. */
  #goBack(operations: readonly Operation[]): Stop {
    const stops = this.#stops;
    const way = this.#way;
    let common = 0;
    while (common < way.length && way[common] === operations[common]) ++common;
    while (stops.at(-1)!.length > common) stops.pop();
    const stop = stops.at(-1)!;
    this.#runner.world.machine.restore(stop.snapshot);
    return stop;
  }

  #snapshot(): MachineSnapshot {
    return this.#runner.world.machine.snapshot(this.#runner);
  }
}
