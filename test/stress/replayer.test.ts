import { describe, expect, test } from 'vitest';
import type { Operation } from '../../src/stress/engine/operation.js';
import { Random } from '../../src/stress/engine/random.js';
import { Replayer } from '../../src/stress/shrink/replayer.js';
import { StressRun } from '../../src/stress/world/run.js';
import { PROFILE_NAMES } from '../../src/stress-i915/profiles.js';
import { repertoireOf, stressConfig } from '../../src/workload/stress.js';

const STEPS = 700;

/** Everything that a run can be told apart by. */
function everything({ runner, world }: StressRun): unknown {
  return structuredClone({
    tally: runner.tally,
    state: world.state(),
    gauges: world.gauges(),
    now: world.machine.clock.now,
  });
}

describe.each(PROFILE_NAMES)('going back in the middle of %s', (profile) => {
  test.each(['i915-4.2', 'i915-4.1'] as const)('the same operations come to the same: %s', (policy) => {
    const seed = 20 + PROFILE_NAMES.indexOf(profile);
    // A policy that loses mappings does so unnoticed without dma-debug, so that there is a way on to come back from.
    const machine = { dmaDebug: policy !== 'i915-4.1' };
    const config = stressConfig({ profile, policy, seed, machine, faults: 0.02, checkEvery: 1e9 });
    const run = new StressRun(config, repertoireOf());
    run.step(STEPS);
    const { runner, world } = run;
    const before = everything(run);
    const snapshot = world.machine.snapshot(runner);
    const recorded: Operation[] = [];
    run.step(STEPS, (operation) => recorded.push(operation));
    const after = everything(run);
    expect(runner.tally.operations).toBe(2 * STEPS);
    for (const _ of [1, 2]) {
      world.machine.restore(snapshot);
      expect(everything(run), `seed ${seed}`).toEqual(before);
      for (const operation of recorded) runner.apply(operation);
      expect(everything(run), `seed ${seed}`).toEqual(after);
    }
  });
});

test('sequences that go on from a stop fail as they do from the beginning, or pass', () => {
  const config = { ...stressConfig({ policy: 'i915-4.1', seed: 5, faults: 0.01, checkEvery: 1e9 }) };
  const clean = { ...config, gpus: config.gpus.map((gpu) => ({ ...gpu, policy: 'i915-4.2' as const })) };
  const operations: Operation[] = [];
  new StressRun(clean, repertoireOf()).step(14_000, (operation) => operations.push(operation));
  const random = new Random(5);
  for (const tried of [clean, config]) {
    const replayer = new Replayer(tried, repertoireOf());
    for (let i = 0; i < 8; ++i) {
      const at = random.below(operations.length);
      const part = operations.toSpliced(at, 1 + random.below(2000));
      const [went, fresh] = [replayer.run(part), new Replayer(tried, repertoireOf()).run(part)];
      expect(went && { ...went, message: went.message }).toEqual(fresh && { ...fresh, message: fresh.message });
      expect(went === null).toBe(tried === clean);
    }
  }
});
