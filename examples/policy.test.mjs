// A mapping policy under test: npx vitest run. On a leaking policy it fails with the few lines that show the leak.

import { failNthAsync, stress } from 'gemdma';
import { FAIL_NTH_SCENARIOS } from 'gemdma/workload';
import { expect, test } from 'vitest';
import newPolicy from './policy.mjs';

/** Milliseconds: a few seconds of work, and more on a machine that does other things besides. */
const TIMEOUT = 120_000;

const sources = { policy: new URL('./policy.mjs', import.meta.url).href };

test('no random sequence of operations loses a mapping', async ({ signal }) => {
  const { failure, reproducer, replay } = await stress({ policy: newPolicy, sources, operations: 100_000, signal });
  expect(failure === null, `${failure?.message}\n\n${replay}\n\n${reproducer?.program}`).toBe(true);
}, TIMEOUT);

test('nor does any allocation that fails', async ({ signal }) => {
  for (const scenario of FAIL_NTH_SCENARIOS) {
    const { failures } = await failNthAsync(scenario, { policy: newPolicy, signal });
    expect(failures, scenario.name).toEqual([]);
  }
}, TIMEOUT);
