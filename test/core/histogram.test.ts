import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HistogramHandle } from '../../src/core/generated/exports.js';
import { made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';
import { debug } from './debug.js';

const core = new Core(debug);
const ctx = made(core.exports.machineCreate(64 * 2 ** 20, 1, 4096, 0, 1));
const {
  histogramCount,
  histogramCreate,
  histogramDestroy,
  histogramDeviation,
  histogramLargest,
  histogramMean,
  histogramPercentile,
  histogramRecord,
  histogramSmallest,
} = core.tools;

const times = fc.array(
  fc.oneof(fc.double({ min: 0.2, max: 2, noNaN: true }), fc.double({ min: 2, max: 1e9, noNaN: true })),
  { minLength: 1, maxLength: 300 },
);

function filled(values: number[]): HistogramHandle {
  const at = made(histogramCreate(ctx));
  for (const value of values) histogramRecord(at, value);
  return at;
}

describe('latency histogram', () => {
  test('percentiles are those of the sorted values, to one part in 64', () => {
    fc.assert(
      fc.property(times, fc.constantFrom(0.001, 0.5, 0.9, 0.99, 0.999, 1), (values, share) => {
        const at = filled(values);
        const sorted = [...values].sort((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(share * values.length) - 1)];
        const got = histogramPercentile(at, share);
        expect(Math.abs(got - exact)).toBeLessThanOrEqual(Math.max(exact, 1) / 64);
        expect(histogramSmallest(at)).toBe(sorted[0]);
        expect(histogramLargest(at)).toBe(sorted.at(-1));
        histogramDestroy(ctx, at);
      }),
    );
  });

  test('mean and deviation are those of the values', () => {
    const values = [3, 5, 8, 13, 21];
    const at = filled(values);
    expect(histogramCount(at)).toBe(5);
    expect(histogramMean(at)).toBeCloseTo(10, 12);
    expect(histogramDeviation(at)).toBeCloseTo(Math.sqrt((49 + 25 + 4 + 9 + 121) / 4), 12);
    histogramDestroy(ctx, at);
    const one = filled([7]);
    expect([histogramDeviation(one), histogramPercentile(one, 0.5)]).toEqual([0, 7]);
    histogramDestroy(ctx, one);
  });

  test('what is no time counts as none; an empty one has no percentiles', () => {
    const at = filled([-5, Number.NaN, 2 ** 60]);
    expect([histogramCount(at), histogramSmallest(at), histogramLargest(at)]).toEqual([3, 0, 2 ** 60]);
    expect(histogramPercentile(at, 1)).toBeGreaterThan(2 ** 39);
    histogramDestroy(ctx, at);
    const empty = made(histogramCreate(ctx));
    expect(histogramPercentile(empty, 0.5)).toBeNaN();
    histogramDestroy(ctx, empty);
    expect(core.tools.machineCheck(ctx)).toBe(0);
  });
});
