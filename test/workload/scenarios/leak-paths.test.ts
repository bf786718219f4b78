import { describe, expect, test } from 'vitest';
import { complete } from '../../../src/core/slices.js';
import { leakPaths } from '../../../src/workload/scenarios/leak-paths.js';

// Mappings lost under 3.18, 4.1 and 4.2; by the rules, not by what the program says of itself.
const MATRIX: Readonly<Record<string, readonly [number, number, number]>> = {
  L1: [1, 1, 0],
  L2: [1, 8, 0],
  L3: [0, 3, 0],
  L4: [0, 1, 0],
  L5: [0, 1, 0],
  L6: [1, 1, 0],
  L7: [0, 2, 0],
};

const MiB = 1024 ** 2;

describe('the leak matrix', () => {
  test('has a row for each path', () => {
    expect(leakPaths.map(({ name }) => name)).toEqual(Object.keys(MATRIX));
  });

  for (const scenario of leakPaths) {
    test.each(scenario.policies.map((policy, i) => [policy, MATRIX[scenario.name][i]] as const))(
      `${scenario.name} under %s loses %d`,
      (policy, lost) => {
        const result = complete(scenario.run({ policy, seed: 1 }));
        expect(result).toMatchObject({
          ok: true,
          scenario: scenario.name,
          policy,
          leakedMappings: lost,
          live: lost,
          // Every object that loses a mapping here has 1 MiB.
          leakedIovaBytes: lost * MiB,
          dmaDebug: { lost, lostIovaBytes: lost * MiB },
        });
        expect(result.maps).toBeGreaterThan(0);
        expect(JSON.parse(JSON.stringify(result))).toEqual(result);
      },
    );
  }

  test('under 3.18 what is lost has been unmapped elsewhere: as many calls, and one that finds nothing', () => {
    const [l1] = leakPaths;
    expect(complete(l1.run({ policy: 'i915-3.18', seed: 1 }))).toMatchObject({ maps: 2, unmaps: 2, staleUnmaps: 1 });
  });
});
