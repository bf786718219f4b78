import { describe, expect, test } from 'vitest';
import { ratio } from '../../src/cli/compare.js';

describe('two results side by side', () => {
  // Welch's test on logarithms, worked with the quantiles of printed tables: t(0.975) of 3, 9 and 19 degrees of freedom.
  test.each([
    [4, 3 * 2, 2.447],
    [10, 9 * 2, 2.101],
    [20, 19 * 2, 2.024],
  ])('the interval of two runs of %i parts has %i degrees of freedom', (parts, _freedom, t) => {
    const values = Array.from({ length: parts }, (_, i) => Math.exp(i / 100));
    const variance = (parts * (parts + 1)) / 12 / 1e4;
    const { mean, low, high } = ratio(values, values);
    expect(mean).toBeCloseTo(1, 12);
    const half = t * Math.sqrt((2 * variance) / parts);
    expect(Math.log(high)).toBeCloseTo(half, 4);
    expect(Math.log(low)).toBeCloseTo(-half, 4);
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
