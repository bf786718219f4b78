import { FAIL_NTH_SCENARIOS, failNth } from 'gemdma/workload';
import { describe, expect, test } from 'vitest';
import { correctedPolicy, countingPolicy, work } from '../../examples/counting-policy.js';

describe('the example of a policy of your own', () => {
  test('loses a mapping with each bind that fails, and dma-debug names the hook that made it', () => {
    const { lost, report } = work(countingPolicy());
    expect(lost).toBe(3);
    expect(report).toMatch(/bind/);
    expect(report).toMatch(/object/);
  });

  test('loses nothing once failed binds are counted back', () => {
    expect(work(correctedPolicy()).lost).toBe(0);
  });
});

test('fail-nth says in which operation the first one is wrong, though no snapshot holds its state', () => {
  const scenario = FAIL_NTH_SCENARIOS.find(({ name }) => name === 'L5')!;
  const wrong = failNth(scenario, { policy: countingPolicy() });
  expect(wrong.points).toBeGreaterThan(20);
  // Nothing is wrong until a bind fails after the object was mapped.
  expect(wrong.failures.length).toBeGreaterThan(0);
  expect(wrong.failures.every(({ op }) => op === 'bind')).toBe(true);
  const right = failNth(scenario, { policy: correctedPolicy() });
  expect([right.points, right.failures]).toEqual([wrong.points, []]);
});
