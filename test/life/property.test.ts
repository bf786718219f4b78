import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Core } from '../../src/core/instance.js';
import { debug } from '../core/debug.js';
import { DMA_NAMES } from './fuzz/calls.js';
import { runSteps } from './fuzz/run.js';
import { steps } from './fuzz/steps.js';

/** Random calls of the whole public surface: see fuzz/run.ts for what must hold after each. `npm run fuzz` goes on. */

const SEED = 20250701;

test('thousands of calls, right and wrong, on living and dead objects of two machines', () => {
  let calls = 0;
  fc.assert(
    fc.property(steps(200), (sequence) => {
      runSteps(
        () => new Core(debug),
        sequence,
        () => ++calls,
        undefined,
        DMA_NAMES,
      );
    }),
    { seed: SEED, numRuns: 40, endOnFailure: true },
  );
  expect(calls).toBeGreaterThan(2000);
}, 300_000);
