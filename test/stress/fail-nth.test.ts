import { describe, expect, test } from 'vitest';
import { FAIL_NTH_SCENARIOS, failNth } from '../../src/workload/stress.js';

describe.each(['linux-6.12', 'linux-4.2'] as const)('every allocation fails once, on %s', (kernel) => {
  test.each(FAIL_NTH_SCENARIOS.map((scenario) => [scenario.name, scenario] as const))('%s', (_, scenario) => {
    const result = failNth(scenario, { machine: { kernel } });
    expect(result.failures).toEqual([]);
    expect(result.points).toBeGreaterThan(15);
    const refused = Object.values(result.refused).reduce((sum, count) => sum + count, 0);
    expect(refused + result.absorbed).toBe(result.points);
    expect(refused).toBeGreaterThan(5);
  });
});

test('a driver that is wrong without any failure is not asked further', () => {
  const [object] = FAIL_NTH_SCENARIOS;
  const { points, failures } = failNth(object, { policy: 'i915-4.1' });
  expect(points).toBe(0);
  expect(failures).toEqual([expect.objectContaining({ op: 'bind', kind: 'no' })]);
});
