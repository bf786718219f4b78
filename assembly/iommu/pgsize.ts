// How the IOMMU core cuts a range into calls of the driver (iommu_pgsize): pages of one size per call, the largest that
// suits, up to where a larger size becomes possible. A bitmap of page sizes has bit s set for pages of 2^s bytes.

/**
 * Shift of the pages that the next call maps or unmaps.
 * @param sizes page sizes that the domain supports
 * @param merged iova | phys
 * @param size bytes that are left, at least the smallest page size
 */
// @ts-ignore: decorator
@inline
export function pageShift(sizes: u64, merged: u64, size: u64): u32 {
  const fits: u64 = sizes & (0xffffffffffffffff >> clz(size));
  const aligned: u64 = merged == 0 ? fits : fits & (0xffffffffffffffff >> (63 - ctz(merged)));
  return 63 - <u32>clz(aligned);
}

/** Pages of that size in the next call: those before the next larger size, if one whole page of it fits behind them. */
// @ts-ignore: decorator
@inline
export function pageCount(sizes: u64, iova: u64, phys: u64, size: u64, shift: u32): u64 {
  const larger: u64 = shift == 63 ? 0 : sizes >> (shift + 1) << (shift + 1);
  if (larger != 0) {
    const next: u64 = <u64>1 << ctz(larger);
    if (((iova ^ phys) & (next - 1)) == 0) {
      const offset = next - ((iova | phys) & (next - 1));
      if (offset + next <= size) return offset >> shift;
    }
  }
  return size >> shift;
}
