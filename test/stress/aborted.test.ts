import { bench, failNthAsync, runScenarioAsync, stress, stressThreads, verifyAsync } from 'gemdma';
import { FAIL_NTH_SCENARIOS, scenarios } from 'gemdma/workload';
import { expect, test } from 'vitest';

/** A signal that is aborted before the call: nothing is done, and the result says so. */
const signal = AbortSignal.abort();

test('stress', async () => {
  expect(await stress({ signal })).toMatchObject({ operations: 0, ended: 'signal', failure: null });
});

test.each(scenarios.map(({ name }) => name))('runScenarioAsync(%j)', async (name) => {
  const { policies } = scenarios.find((scenario) => scenario.name === name)!;
  const result = await runScenarioAsync(name, { signal, ...(policies.length > 0 && { policy: policies[0] }) });
  expect(result).toMatchObject({ scenario: name, ok: false, interrupted: true, maps: 0 });
});

test('failNthAsync, stressThreads, bench, verifyAsync', async () => {
  expect(await failNthAsync(FAIL_NTH_SCENARIOS[0], { signal })).toMatchObject({ points: 0, interrupted: true });
  expect(await stressThreads({ threads: 2, signal })).toMatchObject({ interrupted: true });
  expect((await bench({ seconds: 1000, signal })).untrusted).not.toEqual([]);
  expect(await verifyAsync('test/golden/iova/c_full.txt.gz', { signal })).toMatchObject({
    steps: 0,
    interrupted: true,
  });
});
