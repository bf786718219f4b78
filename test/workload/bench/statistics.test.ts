import { describe, expect, test } from 'vitest';
import { interval, mean, ratio, studentT, variance } from '../../../src/workload/bench/statistics.js';

describe('statistics', () => {
  // From printed tables of Student's t, two-sided 95 %.
  test.each([
    [1, 12.706],
    [2, 4.303],
    [3, 3.182],
    [5, 2.571],
    [10, 2.228],
    [19, 2.093],
    [60, 2.0],
    [1000, 1.962],
  ])('t with %i degrees of freedom is %f', (freedom, value) => {
    expect(Math.abs(studentT(freedom) - value)).toBeLessThan(freedom === 3 ? 0.03 : 0.003);
  });

  test('interval of a mean, against a worked example', () => {
    const values = [9.8, 10.2, 10.4, 9.9, 10.0, 10.2, 9.7, 10.3, 9.8, 10.1];
    expect(mean(values)).toBeCloseTo(10.04, 10);
    expect(Math.sqrt(variance(values))).toBeCloseTo(0.2366, 4);
    const { low, high } = interval(values);
    expect(low).toBeCloseTo(9.8707, 3);
    expect(high).toBeCloseTo(10.2093, 3);
    expect(interval([5])).toEqual({ mean: 5, low: -Infinity, high: Infinity });
  });

  test('a ratio of two runs covers the truth, and 1 when nothing changed', () => {
    const spread = [0.98, 1.01, 1.0, 1.02, 0.99, 1.0, 1.03, 0.97];
    const a = spread.map((factor) => 40 * factor);
    const same = ratio(a, a);
    expect(same.mean).toBeCloseTo(1, 12);
    expect(same.low).toBeLessThan(1);
    expect(same.high).toBeGreaterThan(1);
    const slower = ratio(
      a,
      spread.map((factor) => 60 * factor),
    );
    expect(slower.mean).toBeCloseTo(1.5, 12);
    expect(slower.low).toBeGreaterThan(1.4);
    expect(slower.high).toBeLessThan(1.6);
    expect(ratio([2, 2], [4, 4])).toEqual({ mean: 2, low: 2, high: 2 });
  });
});
