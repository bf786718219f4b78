import { describe, expect, test } from 'vitest';
import { complete } from '../../../src/core/slices.js';
import { corpus, mistakes } from '../../../src/workload/corpus/index.js';
import { scenarios } from '../../../src/workload/scenarios.js';

const options = { policy: 'i915-4.1', seed: 1 } as const;

describe('the corpus of mistakes', () => {
  test.each(corpus.map((scenario) => [scenario.name, scenario] as const))('%s', (name, scenario) => {
    const result = complete(scenario.run(options));
    expect(result.kernel, "the kernel's checker").toEqual(mistakes[name].kernel);
    expect(result.ours, 'ours besides').toEqual(mistakes[name].ours);
    expect(result.ok).toBe(true);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  });

  test('each is a mistake that somebody notices, and can be run by its name', () => {
    expect(corpus.length).toBeGreaterThanOrEqual(30);
    for (const { name } of corpus) {
      const { kernel, ours, says = [], silent = false } = mistakes[name];
      expect(kernel.length + ours.length + says.length > 0, name).toBe(!silent);
      expect(scenarios.filter((scenario) => scenario.name === name)).toHaveLength(1);
    }
  });

  test('a result that is not what the corpus says is not ok', () => {
    const { ours } = mistakes['map-sg-twice'];
    const scenario = corpus.find(({ name }) => name === 'map-sg-twice')!;
    Object.assign(mistakes['map-sg-twice'], { ours: [] });
    expect(complete(scenario.run(options)).ok).toBe(false);
    Object.assign(mistakes['map-sg-twice'], { ours });
    expect(complete(scenario.run(options)).ok).toBe(true);
  });

  test('what is told of a run fits in 80 columns', () => {
    for (const scenario of corpus) {
      for (const line of scenario.describe!(complete(scenario.run(options))))
        expect(line.length, line).toBeLessThanOrEqual(80);
    }
  });
});
