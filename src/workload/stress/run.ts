import type { MappingPolicy } from '../../i915/policy/policy.js';
import { ALL_KINDS } from './kinds.js';
import type { Operation } from './operation.js';
import type { StressConfig } from './profiles.js';
import { Random } from './random.js';
import { operationTable, Runner } from './runner.js';
import { World } from './world.js';

/** One run from its first operation: what stress and reproduce have in common. */
export class StressRun {
  readonly world: World;
  readonly runner: Runner<World>;
  readonly #random: Random;
  readonly #table;

  constructor(config: StressConfig, policy: MappingPolicy | undefined) {
    this.world = new World(config, policy);
    this.runner = new Runner(this.world, ALL_KINDS, config.checkEvery);
    this.#random = new Random(config.seed);
    this.#table = operationTable(ALL_KINDS, config.weights);
  }

  /** Draws and applies `count` operations; false after a failure. */
  step(count: number, seen?: (operation: Operation) => void): boolean {
    return this.runner.run(this.#random, this.#table, count, seen);
  }
}

/** Indexes of recorded operations that the emulated kernel refuses. */
export function refusedOperations(
  config: StressConfig,
  operations: readonly Operation[],
  policy?: MappingPolicy,
): Set<number> {
  const runner = new Runner(new World(config, policy), ALL_KINDS, config.checkEvery);
  const count = (): number => Object.values(runner.tally.refused).reduce((sum, n) => sum + n, 0);
  const refused = new Set<number>();
  operations.every((operation, i) => {
    const before = count();
    const going = runner.apply(operation);
    if (count() > before) refused.add(i);
    return going;
  });
  return refused;
}
