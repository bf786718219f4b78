// A log-linear histogram of times: buckets of equal width within each power of two, so that every percentile is right to
// one part in 64 whatever its size, in 11 KiB and a few instructions per value (the idea of HdrHistogram). Values
// are nanoseconds with a fraction; the first buckets are 1/64 ns wide.
//
// The core reads no clock: the host times a batch of operations and records its mean.

import { blockAlloc, blockFree, blockOrder } from '../memory/block';
import { Context } from '../memory/context';
import { addressOf } from '../memory/record';

const SUB_BITS: u32 = 6;
const SUB: u32 = 1 << SUB_BITS;
/** Highest power of two told apart, in 1/64 ns: 2^46 is 18 minutes. */
const TOP: u32 = 46;
const BUCKETS: u32 = (TOP - SUB_BITS + 2) << SUB_BITS;
/** Bytes before the counts, u32 each. */
const HEADER: usize = 64;
const SIZE: usize = HEADER + <usize>BUCKETS * 4;

// @ts-ignore: decorator
@unmanaged
export class Histogram {
  count: f64;
  sum: f64;
  squares: f64;
  smallest: f64;
  largest: f64;
}

/** Makes an empty histogram. Returns null without memory. */
export function histogramCreate(ctx: Context): Histogram | null {
  const at = blockAlloc(ctx, blockOrder(SIZE));
  if (at == 0) return null;
  memory.fill(at, 0, SIZE);
  const histogram = changetype<Histogram>(at);
  histogram.smallest = Infinity;
  return histogram;
}

export function histogramDestroy(ctx: Context, histogram: Histogram): void {
  blockFree(ctx, addressOf(histogram));
}

/** Where a bucket's count lies. */
// @ts-ignore: decorator
@inline
function countAt(histogram: Histogram, bucket: u32): usize {
  return addressOf(histogram) + HEADER + (<usize>bucket << 2);
}

// @ts-ignore: decorator
@inline
function bucketOf(ns: f64): u32 {
  const v = <u64>(ns * <f64>SUB);
  if (v < <u64>SUB) return <u32>v;
  const power = min<u32>(63 - <u32>clz(v), TOP);
  return ((power - SUB_BITS + 1) << SUB_BITS) + (<u32>(v >> (power - SUB_BITS)) & (SUB - 1));
}

/** Middle of a bucket, in nanoseconds. */
function middle(bucket: u32): f64 {
  if (bucket < SUB) return (<f64>bucket + 0.5) / <f64>SUB;
  const power = (bucket >> SUB_BITS) + SUB_BITS - 1;
  const width: f64 = <f64>(<u64>1 << (power - SUB_BITS));
  return (<f64>(SUB + (bucket & (SUB - 1))) + 0.5) * width / <f64>SUB;
}

/** Adds one value; what is not a time (negative, not a number) counts as 0. */
export function histogramRecord(histogram: Histogram, ns: f64): void {
  const value = ns > 0 ? ns : 0;
  histogram.count += 1;
  histogram.sum += value;
  histogram.squares += value * value;
  histogram.smallest = min(histogram.smallest, value);
  histogram.largest = max(histogram.largest, value);
  const at = countAt(histogram, bucketOf(value));
  store<u32>(at, load<u32>(at) + 1);
}

/** The value below or at which a share of all values lies, 0 < share <= 1; NaN when there are none. */
export function histogramPercentile(histogram: Histogram, share: f64): f64 {
  if (histogram.count == 0) return NaN;
  const rank = max<f64>(1, ceil(share * histogram.count));
  let seen: f64 = 0;
  for (let i: u32 = 0; i < BUCKETS; ++i) {
    seen += <f64>load<u32>(countAt(histogram, i));
    if (seen >= rank) return max(histogram.smallest, min(histogram.largest, middle(i)));
  }
  return histogram.largest;
}

export function histogramCount(histogram: Histogram): f64 {
  return histogram.count;
}

export function histogramMean(histogram: Histogram): f64 {
  return histogram.sum / histogram.count;
}

/** Sample standard deviation. */
export function histogramDeviation(histogram: Histogram): f64 {
  const n = histogram.count;
  return n < 2 ? 0 : sqrt(max<f64>(0, (histogram.squares - histogram.sum * (histogram.sum / n)) / (n - 1)));
}

export function histogramSmallest(histogram: Histogram): f64 {
  return histogram.smallest;
}

export function histogramLargest(histogram: Histogram): f64 {
  return histogram.largest;
}
