// Numbers of the host and of the core. A host has doubles, the core addresses and sizes of 64 bits. They meet in the host.ts
// of each room, and only there: no other file says f64 (test/core/contract.test.ts), so that an address is never rounded
// on its way through the core.
//
// What crosses is below 2^53, where a double is exact, or all ones, which is -1 for the host (DMA_MAPPING_ERROR). The signed
// conversions are one instruction, the unsigned ones several.

/** A number of the host's as an address or a size: 0 for NaN, all ones for -1. */
// @ts-ignore: decorator
@inline
export function fromHost(value: f64): u64 {
  return <u64>(<i64>value);
}

/** An address or a size for the host: -1 for all ones. */
// @ts-ignore: decorator
@inline
export function toHost(value: u64): f64 {
  return <f64>(<i64>value);
}

/** As fromHost, for a query of an address: a value that is not an address becomes the largest one, which nothing holds. */
// @ts-ignore: decorator
@inline
export function placeFromHost(value: f64): u64 {
  return value >= 0 ? <u64>(<i64>value) : 0xffffffffffffffff;
}

/** The last address below a number of the host's, which may be 2^64: a mask. 0 for 0. */
export function maskFromHost(reach: f64): u64 {
  if (reach >= 18446744073709551616.0) return 0xffffffffffffffff;
  return reach > 0 ? <u64>reach - 1 : 0;
}
