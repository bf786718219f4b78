import { LIBRARY } from '../../core/life.js';
import type { Sliced } from '../../core/slices.js';
import type { Operation } from '../engine/operation.js';
import { Random } from '../engine/random.js';
import { operationTable, Runner } from '../engine/runner.js';
import type { StressConfig } from './profile.js';
import type { Repertoire } from './vocabulary.js';
import { World } from './world.js';

/** One run from its first operation: what stress and reproduce have in common. */
export class StressRun {
  readonly world: World;
  readonly runner: Runner<World>;
  readonly #random: Random;
  readonly #table;

  constructor(config: StressConfig, repertoire: Repertoire) {
    this.world = new World(LIBRARY, config, repertoire);
    this.runner = new Runner(this.world, repertoire.kinds, config.checkEvery);
    this.#random = new Random(config.seed);
    this.#table = operationTable(repertoire.kinds, config.weights);
  }

  /** Draws and applies `count` operations; false after a failure. */
  step(count: number, seen?: (operation: Operation) => void): boolean {
    return this.runner.run(this.#random, this.#table, count, seen);
  }
}

/** What recorded operations do when they are applied to a fresh world. */
export interface Course {
  /** Indexes of operations that the emulated kernel refuses. */
  refused: Set<number>;
  /** Indexes of operations that do nothing: what they are about is not there. */
  idle: Set<number>;
}

/** Applies operations to a fresh world and finds what each of them did. */
export function* courseOf(
  config: StressConfig,
  operations: readonly Operation[],
  repertoire: Repertoire,
): Sliced<Course> {
  const runner = new Runner(new World(LIBRARY, config, repertoire), repertoire.kinds, config.checkEvery);
  const sum = (counts: Readonly<Record<string, number>>): number =>
    Object.values(counts).reduce((total, count) => total + count, 0);
  const course: Course = { refused: new Set(), idle: new Set() };
  for (const [i, operation] of operations.entries()) {
    const { done, refused } = runner.tally;
    const [doneBefore, refusedBefore] = [sum(done), sum(refused)];
    const going = runner.apply(operation);
    if (sum(refused) > refusedBefore) course.refused.add(i);
    else if (going && sum(done) === doneBefore) course.idle.add(i);
    if (!going) break;
    if (i % SLICE === 0) yield;
  }
  return course;
}

const SLICE = 64;
