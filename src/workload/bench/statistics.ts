/** Means with intervals, and comparisons of two runs. */

export interface Interval {
  mean: number;
  low: number;
  high: number;
}

/** z for a two-sided 95 %. */
const Z = 1.959963984540054;

/** Two-sided 95 % point of Student's t with v degrees of freedom (Cornish-Fisher expansion; exact for 1 and 2). */
export function studentT(v: number): number {
  if (v < 1.5) return 12.706204736432095;
  if (v < 2.5) return 4.302652729911275;
  const g1 = (Z ** 3 + Z) / 4;
  const g2 = (5 * Z ** 5 + 16 * Z ** 3 + 3 * Z) / 96;
  const g3 = (3 * Z ** 7 + 19 * Z ** 5 + 17 * Z ** 3 - 15 * Z) / 384;
  const g4 = (79 * Z ** 9 + 776 * Z ** 7 + 1482 * Z ** 5 - 1920 * Z ** 3 - 945 * Z) / 92160;
  return Z + g1 / v + g2 / v ** 2 + g3 / v ** 3 + g4 / v ** 4;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Sample variance. */
export function variance(values: readonly number[]): number {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / Math.max(1, values.length - 1);
}

/** The mean of independent values with its 95 % interval. */
export function interval(values: readonly number[]): Interval {
  const middle = mean(values);
  const half = studentT(values.length - 1) * Math.sqrt(variance(values) / values.length);
  return values.length < 2
    ? { mean: middle, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY }
    : { mean: middle, low: middle - half, high: middle + half };
}

/**
 * The ratio b / a of two sets of positive values, with its 95 % interval: Welch's test on their logarithms, which is what
 * ratios are normal in. Values must be independent: blocks of a run, not single batches, which follow one another.
 */
export function ratio(a: readonly number[], b: readonly number[]): Interval {
  const [la, lb] = [a.map(Math.log), b.map(Math.log)];
  const [va, vb] = [variance(la) / la.length, variance(lb) / lb.length];
  const difference = mean(lb) - mean(la);
  const spread = Math.sqrt(va + vb);
  const freedom = (va + vb) ** 2 / (va ** 2 / Math.max(1, la.length - 1) + vb ** 2 / Math.max(1, lb.length - 1));
  const half = spread === 0 ? 0 : studentT(freedom) * spread;
  return { mean: Math.exp(difference), low: Math.exp(difference - half), high: Math.exp(difference + half) };
}
