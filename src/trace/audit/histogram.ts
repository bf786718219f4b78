/**
 * Counts of values in buckets that grow with the value, sixteen for each power of two; a percentile is the mean of its bucket:
 * right to 6 % whatever the range, and exact where the bucket's values are equal. Values are whole numbers from 0 to 2^53.
 */

const SUB_BITS = 4;
const SUB = 1 << SUB_BITS;
const BUCKETS = SUB * 52;

/** How values are spread. Percentiles are right to 6 %, the other figures exact; all are 0 when there is no value. */
export interface Percentiles {
  /** Values. */
  count: number;
  /** The smallest. */
  min: number;
  /** The median. */
  p50: number;
  /** 90 of 100 values are no larger. */
  p90: number;
  /** 99 of 100 values are no larger. */
  p99: number;
  /** The largest. */
  max: number;
  /** All together. */
  sum: number;
}

export class Histogram {
  private readonly buckets = new Float64Array(BUCKETS);
  private readonly sums = new Float64Array(BUCKETS);
  count = 0;
  sum = 0;
  min = Number.POSITIVE_INFINITY;
  max = 0;

  add(value: number): void {
    ++this.count;
    this.sum += value;
    if (value < this.min) this.min = value;
    if (value > this.max) this.max = value;
    const bucket = bucketOf(value);
    ++this.buckets[bucket];
    this.sums[bucket] += value;
  }

  /** The value that a share of all values do not exceed. */
  percentile(share: number): number {
    const wanted = Math.ceil(this.count * share);
    let seen = 0;
    for (let i = 0; i < BUCKETS; ++i) {
      seen += this.buckets[i];
      if (seen >= wanted && seen > 0) return Math.round(this.sums[i] / this.buckets[i]);
    }
    return this.max;
  }

  get percentiles(): Percentiles {
    const { count, sum, max } = this;
    const min = count === 0 ? 0 : this.min;
    return { count, min, p50: this.percentile(0.5), p90: this.percentile(0.9), p99: this.percentile(0.99), max, sum };
  }
}

function bucketOf(value: number): number {
  if (value < SUB) return value < 0 ? 0 : value | 0;
  let shift = 0;
  let high = value;
  if (high >= 2 ** 31) {
    const scale = Math.ceil(Math.log2(value / 2 ** 31)) + 1;
    shift = scale;
    high = value / 2 ** scale;
  }
  const exponent = 31 - Math.clz32(high | 0) - SUB_BITS;
  return Math.min(BUCKETS - 1, SUB + (exponent + shift) * SUB + (((high | 0) >>> exponent) - SUB));
}
